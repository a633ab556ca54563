"""The one error that a user is meant to read, and the one handler that prints it."""

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

OK = 0
VERDICT_NO = 1
BAD_INPUT = 2


class PromotionError(Exception):
    """One sentence that says what is wrong and what to do, with `file:line` where a file is at fault."""

    def __init__(self, message: str, *, file: str | Path | None = None, line: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.file = None if file is None else str(file)
        self.line = line

    def __str__(self) -> str:
        """`file:line: message`, with as much of the place as is known."""
        if self.file is None:
            return self.message
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.message}"


def handled(main: Callable[..., int]) -> Callable[..., int]:
    """Turn an expected error of a verb's `main` into one line on stderr and exit code 2; a bug stays a traceback."""

    @functools.wraps(main)
    def wrapper(argv: list[str] | None = None) -> int:
        with _harmless_output():
            return run(argv)

    def run(argv: list[str] | None) -> int:
        try:
            return main(argv)
        except PromotionError as error:
            print(f"error: {error}", file=sys.stderr)
            return BAD_INPUT
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        except BrokenPipeError:
            sys.stderr.close()
            return 141

    return wrapper


class _Harmless:
    """A stream whose lines the Actions runner shows and never obeys: model code chooses some of their words."""

    def __init__(self, stream: object) -> None:
        self._stream = stream
        self._part = ""

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Pass whole lines on; the rest waits for its end or for flush."""
        from promotion.github.actions import log_text

        *lines, self._part = (self._part + text).split("\n")
        for line in lines:
            self._stream.write(log_text(line) + "\n")  # type: ignore[attr-defined]
        return len(text)

    def flush(self) -> None:
        """Pass on what waits."""
        from promotion.github.actions import log_text

        if self._part:
            self._stream.write(log_text(self._part))  # type: ignore[attr-defined]
            self._part = ""
        self._stream.flush()  # type: ignore[attr-defined]


@contextlib.contextmanager
def _harmless_output() -> Iterator[None]:
    """In Actions, keep what a verb prints from being a workflow command."""
    if not os.environ.get("GITHUB_ACTIONS"):
        yield
        return
    with (
        contextlib.redirect_stdout(_Harmless(sys.stdout)) as out,  # type: ignore[type-var]
        contextlib.redirect_stderr(_Harmless(sys.stderr)) as err,  # type: ignore[type-var]
    ):
        try:
            yield
        finally:
            out.flush()
            err.flush()
