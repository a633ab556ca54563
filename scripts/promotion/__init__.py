"""Nouns that two or more verbs share; scripts/README.md has their order."""

import sys
from types import TracebackType

__version__ = "0.1.0"
OBJECT_ID = r"[0-9a-f]{40}([0-9a-f]{24})?"  # of a git commit or tree, SHA-1 or SHA-256


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say Ctrl-C while a verb still imports as it is said later, by cli.handled."""
    if kind is KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _uncaught
