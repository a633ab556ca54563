"""Serve the champions of models over HTTP and follow them: a promotion takes over without failing a request."""

import argparse
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from promotion.cli import command_line, handled, say_no_more
from promotion.errors import OK, PromotionError

if TYPE_CHECKING:
    from promotion.serving.server import Settings

DESCRIPTION = """\
Speaks MLflow's scoring protocol: POST /invocations, GET /ping, /health, /version; with several models each of
them below /models/NAME. Reads the alias and the model's files from MLFLOW_TRACKING_URI (default
sqlite:///mlflow.db), keeps copies of the files that served in --store, and writes nothing else. Every answer
names its version in the header X-Model-Version."""


MOST = 1e9  # of megabytes or seconds


def serve(names: Sequence[str], *, host: str, port: int, store: Path, settings: "Settings") -> int:
    """Serve until SIGTERM or SIGINT, then finish the requests in flight."""
    from promotion.registry.client import Registry
    from promotion.serving.app import Model
    from promotion.serving.server import Server, address, listen
    from promotion.serving.store import Store

    with contextlib.closing(listen(host, port)) as listener:
        url = address(listener)

        def announce(model: Model) -> None:
            if model.served is not None:
                line = f"serving {model.name} version {model.served.version} at {url}"
            else:
                line = f"serving {model.name} at {url}, with 503 for now: {model.follower.waiting_for()}"
            try:
                sys.stdout.write(f"{line}\n")  # in one piece: each model has a thread that may say it
                sys.stdout.flush()
            except OSError:  # nobody reads it, or the disk is full: it is followed all the same
                say_no_more()

        Server(
            names, listener=listener, registry=Registry(), store=Store(store), settings=settings, announce=announce
        ).run()
    return OK


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value <= MOST:
        raise argparse.ArgumentTypeError(f"must be more than 0 and at most {MOST:,.0f}, not {text}")
    return value


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to 256, not {text}")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"must be a port between 0 and 65535, not {text}")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    from promotion.serving.store import default_store

    parser = command_line(DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL", help="registered models' names")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=_port, default=5001, help="port; 0 picks a free one (default %(default)s)")
    parser.add_argument("--alias", default="champion", help="the alias to follow (default %(default)s)")
    parser.add_argument(
        "--poll-seconds", type=_positive, default=2.0, help="how often the alias is read (default %(default)s)"
    )
    parser.add_argument("--max-body-mb", type=_positive, default=64.0, help="largest request (default %(default)s)")
    parser.add_argument(
        "--workers", type=_count, default=2, help="processes a model: slow requests never hold the last (default 2)"
    )
    parser.add_argument(
        "--shadow", metavar="ALIAS", help="let this alias answer too, after the client has its answer (candidate)"
    )
    parser.add_argument("--log", type=Path, metavar="FOLDER", help="keep what was asked and answered, for judge.py")
    parser.add_argument("--log-mb", type=_positive, default=1000.0, help="size of the log (default %(default)s)")
    parser.add_argument(
        "--store", type=Path, default=default_store(), help="folder of local copies (default: in the user's state)"
    )
    return parser


@handled
def main(argv: list[str] | None = None) -> int:
    """Parse the arguments and serve."""
    # until there is a server to end: the first process of a container would be deaf to it while it imports for seconds
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    from mlflow.environment_variables import MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT as TIMEOUT
    from promotion.serving.connection import Limits
    from promotion.serving.server import Settings

    args = _parser().parse_args(argv)
    if len(set(args.models)) < len(args.models):
        raise PromotionError("a model is named twice; name each once")
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(message)s")
    logging.getLogger("serve").setLevel(logging.INFO)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # a poll that fails is told once, by us
    # A poll that hangs should say so soon: the model that serves does not wait for it.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    try:
        timeout = float(TIMEOUT.get())
    except ValueError as error:
        raise PromotionError(f"{error}; give a whole number of seconds, or none") from None
    if timeout <= 0:
        raise PromotionError(f"{TIMEOUT.name} is {timeout:g}, which leaves no request any time; give seconds, or none")
    max_body = int(args.max_body_mb * 1_000_000)
    settings = Settings(
        alias=args.alias,
        poll_seconds=args.poll_seconds,
        workers=args.workers,
        timeout=timeout,
        shadow=args.shadow,
        log=args.log,
        log_bytes=int(args.log_mb * 1_000_000),
        limits=Limits(body=max_body, held=max(4 * max_body, 256_000_000)),
    )
    return serve(args.models, host=args.host, port=args.port, store=args.store, settings=settings)


if __name__ == "__main__":
    raise SystemExit(main())
