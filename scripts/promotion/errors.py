"""The one error that a user is meant to read, and the exit codes."""

from pathlib import Path

OK = 0
VERDICT_NO = 1  # the verdict is no, or something was refused
BAD_INPUT = 2  # one sentence says what is wrong
BUG = 3  # a traceback: never to be taken for a verdict


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
