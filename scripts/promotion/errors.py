"""The one error that a user is meant to read, and the exit codes."""

import errno
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Self

OK = 0
VERDICT_NO = 1  # the verdict is no, or something was refused
BAD_INPUT = 2  # one sentence says what is wrong
BUG = 3  # a traceback: never to be taken for a verdict
# ends a line, or hides text
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
LONGEST = 1500  # characters of a sentence, whatever it quotes

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # the disk, this user's share of it, or what one file may have
NO_PROCESS = {str(BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))), "can't start new thread"}  # as Python says
UNUSABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, *FULL}


class PromotionError(Exception):
    """One sentence that says what is wrong and what to do, with `file:line` where a file is at fault.

    Whatever it quotes, it is one line, moves no cursor, and is no longer than LONGEST: what is in the middle goes. A
    file with several mistakes is one error: the first mistake's `message`, `file` and `line`, the rest in `more`. log:
    what a process of its own printed, where one failed.
    """

    def __init__(
        self, message: str, *, file: str | Path | None = None, line: int | None = None, log: Path | None = None
    ) -> None:
        message = UNSEEN.sub(lambda found: " " if found[0].isspace() else "\ufffd", message)
        if len(message) > LONGEST:
            message = f"{message[: LONGEST // 3]} ... {message[-LONGEST // 2 :]}"
        super().__init__(message)
        self.message = message
        self.file = None if file is None else str(file)
        self.line = line
        self.log = log
        self.more: tuple[PromotionError, ...] = ()

    @classmethod
    def several(cls, mistakes: Sequence[tuple[str, int | None]], *, file: str | Path) -> Self:
        """One error for all mistakes of a file, each a sentence with its line."""
        first, *others = (cls(message, file=file, line=line) for message, line in mistakes)
        first.more = tuple(others)
        return first

    def __str__(self) -> str:
        """`file:line: message`, with as much of the place as is known; one line a mistake."""
        return "\n".join(one.line_text for one in self.each)

    @property
    def each(self) -> "tuple[PromotionError, ...]":
        """The mistakes one by one."""
        return (self, *self.more)

    @property
    def brief(self) -> str:
        """The first mistake on one line, and how many there are, for a sentence that quotes it."""
        return self.line_text + (f" (and {len(self.more)} more)" if self.more else "")

    @property
    def line_text(self) -> str:
        """This mistake alone, with its place."""
        if self.file is None:
            return self.message
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.message}"


def unusable(error: Exception) -> PromotionError | None:
    """The sentence for a full disk, an unusable folder, no process: the machine's, and no bug; None for all else."""
    if str(error) in NO_PROCESS:
        return PromotionError(
            "the system allows no further process or thread; raise its limit (ulimit -u, a container's pids), then run "
            "this again"
        )
    if not isinstance(error, OSError):
        return None
    number, file = error.errno, error.filename2 or error.filename  # of a copy that fails: where it goes
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):  # of a whole folder
        _, file, why = error.args[0][0]
        number = next((one for one in sorted(UNUSABLE) if f"[Errno {one}]" in str(why)), None)
    if number in UNUSABLE and file is not None:
        why = f"{os.strerror(number)}; give another folder, permission, or room, then run this again"
        return PromotionError(why, file=os.fsdecode(file) if isinstance(file, bytes) else str(file))
    if number in FULL:
        return PromotionError(f"{os.strerror(number)}; make room where this writes (TMPDIR too), then run this again")
    if isinstance(error, FileNotFoundError) and "temporary directory" in str(error):  # tempfile's
        return PromotionError("no folder for temporary files can be written; let TMPDIR name one, then run this again")
    return None
