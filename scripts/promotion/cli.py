"""The command line that every verb shares: options, the handler of errors, a deadline, output that Actions only shows.

An option that two verbs have is made here, so that it has one name and one meaning.
"""

import argparse
import contextlib
import datetime
import functools
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, cast
from urllib.parse import urlsplit

from promotion import __version__
from promotion.errors import BAD_INPUT, BUG, PromotionError, unusable
from promotion.git.whose import told
from promotion.text.escape import log_text

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

MOST_WORKERS = 256
SCHEDULERS = ("tcp", "tls")


def _number_of_workers(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST_WORKERS:
        raise PromotionError(f"--workers: `{text}` is not a number of processes from 1 to {MOST_WORKERS}")
    return int(text)


def _scheduler(text: str) -> str:
    """The address of a Dask scheduler; raise PromotionError for what can be none."""
    try:
        found = urlsplit(text)
        good = found.scheme in SCHEDULERS and found.hostname and found.port and not found.path.strip("/")
    except ValueError:
        good = False
    if "@" in text:  # before the address is quoted
        raise PromotionError(
            "--cluster: an address with a login in it would be shown; Dask's own configuration has logins"
        )
    if not good:
        raise PromotionError(f"--cluster: `{text}` is not the address of a Dask scheduler, such as tcp://HOST:8786")
    return text


SHARED: dict[str, dict[str, Any]] = {
    "repo": {
        "type": Path,
        "default": Path(),
        "metavar": "FOLDER",
        "help": "the checkout of your repository (default: this folder)",
    },
    "root": {
        "metavar": "FOLDER",
        "help": "its folder of promotion.yaml and models/ (default: the one that --repo is in, else the only one)",
    },
    "branch": {"default": "main", "metavar": "NAME", "help": "the production branch (default: %(default)s)"},
    "work": {
        "type": Path,
        "default": Path(".work"),
        "metavar": "FOLDER",
        "help": "the folder of the records that pass from step to step (default: %(default)s)",
    },
    "json": {"action": "store_true", "help": "print the result as JSON"},
    # who answers the days of a test window, or reads the files of a table of millions of rows (sandbox/workers.py)
    "workers": {
        "type": _number_of_workers,
        "metavar": "N",
        "help": "share out days, or the files of a large table, to N processes",
    },
    "cluster": {
        "type": _scheduler,
        "metavar": "tcp://HOST:PORT",
        "help": "... or to a Dask cluster (requirements/cluster.txt)",
    },
    "scratch": {
        "type": Path,
        "metavar": "FOLDER",
        "help": "where workers put rows in order; a cluster must share it (default: this machine's temporary folder)",
    },
}
WORKERS = ("workers", "cluster", "scratch")
NO_DRY_RUN = {"--dry-run": "`python scripts/retrain.py try MODEL` judges without registering anything"}


def command_line(
    description: str, *shared: str, epilog: str = "", moved: Mapping[str, str] | None = None, **more: Any
) -> argparse.ArgumentParser:
    """Return a verb's parser with --version and the shared options of these names.

    moved: option of an older release -> one sentence that gives the new one; using it raises PromotionError.
    """
    parser = argparse.ArgumentParser(description=description, epilog=epilog, allow_abbrev=False, **more)
    return _with_options(parser, shared, moved or {})


def subcommand(
    commands: "Commands",
    run: Callable[[argparse.Namespace], int],
    text: str,
    *shared: str,
    moved: Mapping[str, str] | None = None,
) -> argparse.ArgumentParser:
    """Add the command that `run` (run_NAME) carries out, and return its parser. text: its help."""
    command = commands.add_parser(
        run.__name__.removeprefix("run_"),
        help=text,
        description=text[0].upper() + text[1:] + ".",
        allow_abbrev=False,
    )
    command.set_defaults(run=run)
    return _with_options(command, shared, moved or {})


def _with_options(
    parser: argparse.ArgumentParser, shared: tuple[str, ...], moved: Mapping[str, str]
) -> argparse.ArgumentParser:
    parser.add_argument(
        "--version",
        action="version",
        version=f"promote by pull request {__version__}",
        help="print the release of these scripts",
    )
    for name in shared:
        parser.add_argument(f"--{name}", **SHARED[name])
    if "repo" in shared:
        parser.add_argument("--root", **SHARED["root"])
    for spelling, sentence in moved.items():
        parser.add_argument(spelling, nargs="?", action=_Moved, const=sentence, help=argparse.SUPPRESS)
    return parser


class _Moved(argparse.Action):
    """An option of an older release: it does nothing but say what is there in its place."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: object, values: object, option: object = None
    ) -> None:
        raise PromotionError(f"there is no {option} any more: {self.const}")


def handled(main: Callable[..., int]) -> Callable[..., int]:
    """Turn an expected error of a verb's `main` into one line on stderr and exit code 2, a bug into a traceback and 3.

    A bug is printed here and not by Python, because Python's own traceback would pass by the shield and
    exit with 1, which means that the verdict is no.
    """

    @functools.wraps(main)
    def wrapper(argv: list[str] | None = None) -> int:
        sys.stdout, sys.stderr = sys.stdout or _nowhere(), sys.stderr or _nowhere()
        with _harmless_output():
            return run(argv)

    def run(argv: list[str] | None) -> int:
        if os.path.expanduser("~") == "~":  # a user whom the system does not know: MLflow and git need some home
            os.environ["HOME"] = "/"  # as container engines say it
        try:
            code = main(argv)
            sys.stdout.flush()  # else Python does it at the end, in its own words and with its own code
            return code
        except PromotionError as error:
            print("\n".join(f"error: {one.line_text}" for one in error.each), file=sys.stderr)
            return BAD_INPUT
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        except BrokenPipeError:
            say_no_more()
            return 141
        except Exception as error:
            sentence = unusable(error)
            if sentence is not None:
                print(f"error: {sentence}", file=sys.stderr)
                try:
                    sys.stdout.flush()
                except OSError:
                    say_no_more()
                return BAD_INPUT
            traceback.print_exc()
            print("this is a bug of these scripts and no verdict; please report the lines above", file=sys.stderr)
            return BUG

    return wrapper


def _nowhere() -> TextIO:
    """In place of an output that was closed before Python began."""
    return os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")


def leave(code: int) -> NoReturn:
    """End the process at once, as mypy does: Python would free one by one what was imported, for longer than a request.

    What was printed is written; what runs in a daemon thread is cut off, as at any end.
    """
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(code)


def say_no_more() -> None:
    """Let what waits for an output that takes nothing more go, so that Python's own last flush does not complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


class _Told:
    """A stream whose commands are as the reader can type them."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write what print() was given, which is a whole sentence."""
        self._stream.write(told(text))
        return len(text)


class _Harmless:
    """A stream whose lines the Actions runner shows and never obeys: model code chooses some of their words."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._waiting = ""
        self._begun = False  # whether a part of the line was passed on already, so that no command can start in it

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Pass whole lines on; the rest waits for its end or for flush."""
        *lines, self._waiting = (self._waiting + text).split("\n")
        for line in lines:
            self._pass_on(line)
            self._stream.write("\n")
            self._begun = False
        return len(text)

    def flush(self) -> None:
        """Pass on what waits, unless it may still become the beginning of a command."""
        if self._waiting.strip(" \t:") and not self._waiting.endswith("#"):
            self._pass_on(self._waiting)
            self._waiting = ""
            self._begun = True
        self._stream.flush()

    def drain(self) -> None:
        """Pass on all that waits."""
        self._pass_on(self._waiting)
        self._waiting = ""
        self._stream.flush()

    def _pass_on(self, text: str) -> None:
        text = told(text)
        self._stream.write(log_text("-" + text)[1:] if self._begun else log_text(text))


@contextlib.contextmanager
def _harmless_output() -> Iterator[None]:
    """In Actions, keep what a verb prints from being a workflow command; elsewhere, say commands as they are typed."""
    if not os.environ.get("GITHUB_ACTIONS"):
        spoken = (cast(TextIO, _Told(sys.stdout)), cast(TextIO, _Told(sys.stderr)))
        with contextlib.redirect_stdout(spoken[0]), contextlib.redirect_stderr(spoken[1]):
            yield
        return
    out, err = _Harmless(sys.stdout), _Harmless(sys.stderr)
    with contextlib.redirect_stdout(cast(TextIO, out)), contextlib.redirect_stderr(cast(TextIO, err)):
        try:
            yield
        finally:
            out.drain()
            err.drain()


class _Overdue(BaseException):
    """Not an Exception, so that no library on the way takes it for a failure of its own and goes on."""


@contextlib.contextmanager
def deadline(seconds: float, what: str) -> Iterator[None]:
    """Raise PromotionError once the body took longer than `seconds` (0: no limit).

    Works where signals do (the main thread, not Windows); elsewhere each request's own timeout holds.
    """
    usable = hasattr(signal, "SIGALRM") and threading.current_thread() is threading.main_thread()
    if not seconds or not usable:
        yield
        return

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise _Overdue

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except _Overdue:
        raise PromotionError(f"{what} took longer than {seconds:g} s and was stopped; run it again to resume") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


CLOCK = "PROMOTION_NOW"


def clock() -> datetime.datetime:
    """The time: the machine's, or what PROMOTION_NOW says, so that a story plays on the days of its data."""
    said = os.environ.get(CLOCK)
    if not said:
        return datetime.datetime.now(datetime.UTC)
    try:
        found = datetime.datetime.fromisoformat(said)
    except ValueError:
        raise PromotionError(f"{CLOCK} is `{said[:40]}`, not a time such as 2026-08-03T12:00Z; unset it") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=datetime.UTC)


def now() -> str:
    """The time as ISO 8601 in UTC, to the second."""
    return clock().astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def today() -> datetime.date:
    """The day, in UTC."""
    return clock().astimezone(datetime.UTC).date()


def who() -> str:
    """Who runs this: the actor of the workflow run, else this machine's user."""
    actor, run = os.environ.get("GITHUB_ACTOR"), os.environ.get("GITHUB_RUN_ID")
    if actor:
        return f"{actor} (run {run})" if run else actor
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
