"""Serve the champion of a model over HTTP and follow it: a promotion takes over without failing a request."""

import argparse
import contextlib
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from promotion.cli import command_line, handled
from promotion.errors import OK, PromotionError

if TYPE_CHECKING:
    import uvicorn

DESCRIPTION = """\
Speaks MLflow's scoring protocol: POST /invocations, GET /ping, /health, /version. Reads the alias and
the model's files from MLFLOW_TRACKING_URI (default sqlite:///mlflow.db); writes nothing but a private
temporary folder. Every answer names its version in the header X-Model-Version."""

GRACE_SECONDS = 30


def make_server(
    name: str,
    *,
    listener: socket.socket,
    root: Path,
    uri: str | None,
    alias: str,
    poll_seconds: float,
    **limits: int,
) -> "uvicorn.Server":
    """Return a server for `name`@`alias` on a bound `listener`, not yet running; it downloads below `root`.

    limits: those of `promotion.serving.app.make_app`, among them `max_body` in bytes.
    """
    import uvicorn
    from mlflow.environment_variables import _MLFLOW_IS_IN_SERVING_ENVIRONMENT as SERVING
    from mlflow.environment_variables import MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT as TIMEOUT
    from promotion.registry.client import Registry
    from promotion.serving.app import make_app
    from promotion.serving.following import Follower

    os.environ[SERVING.name] = "true"  # as MLflow's own scoring server says to the model
    follower = Follower(Registry(uri), name, alias, poll_seconds, root)
    url = "http://{}:{}".format(*_address(listener))

    def announce() -> None:
        if follower.current is not None:
            print(f"serving {name} version {follower.current.version} at {url}", flush=True)
        else:
            print(f"serving {name} at {url}, with 503 for now: {follower.waiting_for()}", flush=True)

    follower.polled_once = announce
    app = make_app(follower, timeout=TIMEOUT.get(), **limits)
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        lifespan="on",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return uvicorn.Server(config)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on host:port (port 0: a free one); PromotionError when it cannot be had."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, proto)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(2048)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        reason = error.strerror or error
        raise PromotionError(f"cannot listen on {host}:{port} ({reason}); choose another --host or --port") from None
    return listener


def _address(listener: socket.socket) -> tuple[str, int]:
    host, port = listener.getsockname()[:2]
    return (f"[{host}]" if ":" in host else host), port


def serve(name: str, *, host: str, port: int, alias: str, poll_seconds: float, max_body: int) -> int:
    """Serve until SIGTERM or SIGINT, then finish the requests in flight."""
    listener = listen(host, port)
    root = Path(tempfile.mkdtemp(prefix="serve-")).resolve()
    try:
        server = make_server(
            name,
            listener=listener,
            root=root,
            uri=None,
            alias=alias,
            poll_seconds=poll_seconds,
            max_body=max_body,
        )
        # uvicorn stops gracefully on these, then raises them again for whoever was asked before it: us
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        server.run(sockets=[listener])
    finally:
        with contextlib.suppress(OSError):
            listener.close()
        shutil.rmtree(root, ignore_errors=True)
    return OK


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be more than 0, not {text}")
    return value


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"must be a port between 0 and 65535, not {text}")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = command_line(DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="the registered model's name")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=_port, default=5001, help="port; 0 picks a free one (default %(default)s)")
    parser.add_argument("--alias", default="champion", help="the alias to follow (default %(default)s)")
    parser.add_argument(
        "--poll-seconds", type=_positive, default=2.0, help="how often the alias is read (default %(default)s)"
    )
    parser.add_argument("--max-body-mb", type=_positive, default=64.0, help="largest request (default %(default)s)")
    return parser


@handled
def main(argv: list[str] | None = None) -> int:
    """Parse the arguments and serve."""
    args = _parser().parse_args(argv)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(message)s")
    logging.getLogger("serve").setLevel(logging.INFO)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # a poll that fails is told once, by us
    # A poll that hangs should say so soon: the model that serves does not wait for it.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    return serve(
        args.model,
        host=args.host,
        port=args.port,
        alias=args.alias,
        poll_seconds=args.poll_seconds,
        max_body=int(args.max_body_mb * 1_000_000),
    )


if __name__ == "__main__":
    raise SystemExit(main())
