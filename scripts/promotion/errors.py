"""The one error that a user is meant to read, and the one handler that prints it."""

import functools
import sys
from collections.abc import Callable
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
