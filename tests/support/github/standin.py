"""A stateful stand-in for GitHub's REST API over real HTTP, with faults on demand.

In a test: `hub = StandIn().start()`, or the fixture `github`. From a shell, for workflows that run in
other processes: `python tests/support/github/standin.py --port 0 --state state.json` prints its address;
`/_control/` steers it: GET or PUT `state`, GET `requests`, POST `faults`, `pulls`, `close`, `comments`, `tokens`
(with the arguments of Fault, Hub.add_pull, close_pull, add_comment and token as JSON).
"""

import argparse
import json
import re
import socket
import struct
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

if __package__ in (None, ""):  # started as a file
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.support.github.hub import Hub, Refusal

MAX_BODY_BYTES = 10 * 1024 * 1024


@dataclass
class Fault:
    """What goes wrong with the next `times` matching requests.

    kind: `status` (answer with `status`, `message`, `headers`), `reset` (the connection breaks), `short`
    (half the body of the announced length), `cut` (half the JSON, as if it were all), `html` (a proxy's
    page), `deep` (nested without end) or `hang` (no answer until the stand-in stops). applied: the request takes effect
    before.
    path: a regular expression searched in the path.
    """

    kind: str
    method: str = ""
    path: str = ""
    times: int = 1
    status: int = 500
    message: str = "Server Error"
    headers: dict[str, str] = field(default_factory=dict)
    applied: bool = False

    def hits(self, method: str, path: str) -> bool:
        """Whether this fault is for that request."""
        return self.times > 0 and self.method in ("", method) and re.search(self.path, path) is not None


@dataclass
class Recorded:
    """One request as it came, without its token, and the answer; a fault's name where one hit it."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    login: str | None
    body: Any = None
    status: int = 0
    answer: Any = None
    fault: str = ""


class StandIn:
    """The server. `hub` holds the state; `before` is called with each request before it is handled."""

    def __init__(self, hub: Hub | None = None, *, port: int = 0, state_file: Path | None = None) -> None:
        self.hub = hub or Hub()
        self.requests: list[Recorded] = []
        self.faults: list[Fault] = []
        self.before: Callable[[Recorded], None] = lambda request: None
        self.validate = True  # the fixture checks what was recorded against GitHub's description
        self.lock = threading.RLock()
        self.stopped = threading.Event()
        self._state_file = state_file
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.standin = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.hub.url = self.url
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def start(self) -> "StandIn":
        """Begin to answer."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End the server and whatever hangs in it."""
        self.stopped.set()
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()

    def fault(self, kind: str, **how: Any) -> None:
        """Queue a Fault."""
        with self.lock:
            self.faults.append(Fault(kind, **how))

    def take_fault(self, method: str, path: str) -> Fault | None:
        """The fault for this request, counted down."""
        with self.lock:
            for fault in self.faults:
                if fault.hits(method, path):
                    fault.times -= 1
                    return fault
        return None

    def save(self) -> None:
        """Write the state file, if there is one."""
        if self._state_file is not None:
            temporary = self._state_file.with_suffix(".part")
            temporary.write_text(json.dumps(self.hub.state, indent=1))
            temporary.replace(self._state_file)

    def control(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Answer a request below /_control/."""
        with self.lock:
            if (method, path) == ("GET", "/_control/state"):
                return 200, self.hub.state
            if (method, path) == ("PUT", "/_control/state"):
                self.hub.state.update(body)
            elif (method, path) == ("GET", "/_control/requests"):
                return 200, [asdict(request) for request in self.requests]
            elif (method, path) == ("POST", "/_control/faults"):
                self.faults.append(Fault(**body))
            elif (method, path) == ("POST", "/_control/pulls"):
                number = self.hub.add_pull(**body)
                self.save()
                return 200, {"number": number}
            elif (method, path) == ("POST", "/_control/close"):
                self.hub.close_pull(**body)
            elif (method, path) == ("POST", "/_control/tokens"):
                token = self.hub.token(**body)
                self.save()
                return 200, {"token": token}
            elif (method, path) == ("POST", "/_control/comments"):
                self.hub.add_comment(**body)
            else:
                return 404, {"message": "no such control"}
            self.save()
            return 200, {}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    standin: StandIn

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what timeouts look like from here; anything else is a bug of the stand-in."""
        if not isinstance(sys.exc_info()[1], OSError | ValueError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _serve(self) -> None:
        standin = self.server.standin
        parts = urlsplit(self.path)
        raw = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), MAX_BODY_BYTES))
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            self._answer(400, {"message": "Problems parsing JSON"})
            return
        if parts.path.startswith("/_control/"):
            self._answer(*standin.control(self.command, parts.path, body))
            return
        token = re.sub(r"(?i)^(bearer|token) ", "", self.headers.get("Authorization") or "")
        request = Recorded(
            method=self.command,
            path=parts.path,
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers={key.lower(): value for key, value in self.headers.items() if key.lower() != "authorization"},
            login=standin.hub.login_of(token),
            body=body,
        )
        with standin.lock:
            standin.requests.append(request)
        standin.before(request)
        fault = standin.take_fault(request.method, request.path)
        if fault is None:
            self._answer(*self._handle(request, token))
        else:
            request.fault = fault.kind
            self._fail(fault, request, token)

    def _handle(self, request: Recorded, token: str) -> tuple[int, Any, dict[str, str]]:
        standin = self.server.standin
        with standin.lock:
            try:
                status, answer, headers = standin.hub.answer(
                    request.method, request.path, request.query, request.headers, request.body, token
                )
            except Refusal as refusal:
                status, answer, headers = refusal.status, refusal.answer, refusal.headers
            if request.method != "GET":
                standin.save()
        request.status, request.answer = status, answer
        return status, answer, headers

    def _fail(self, fault: Fault, request: Recorded, token: str) -> None:
        status, answer, headers = 200, {"message": "truncated " * 20}, {}
        if fault.applied or fault.kind in ("short", "cut"):
            status, answer, headers = self._handle(request, token)
        request.status = 0
        if fault.kind == "status":
            request.status = fault.status
            self._answer(fault.status, {"message": fault.message}, fault.headers)
        elif fault.kind == "short":
            self._answer(status, answer, headers, half=True)
        elif fault.kind == "cut":
            text = json.dumps(answer).encode()
            self._write(status, text[: max(1, len(text) // 2)], {})
        elif fault.kind == "html":
            self._write(fault.status, b"<html><h1>Bad gateway</h1></html>", {"Content-Type": "text/html"})
        elif fault.kind == "deep":
            self._write(fault.status, b"[" * 100_000, {})
        elif fault.kind == "hang":
            self.server.standin.stopped.wait(60)
            self.close_connection = True
        elif fault.kind == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.shutdown(socket.SHUT_RD)
            self.close_connection = True
            self.connection.close()
        else:
            raise AssertionError(f"unknown fault {fault.kind}")

    def _answer(self, status: int, answer: Any, headers: dict[str, str] | None = None, half: bool = False) -> None:
        content = b"" if answer is None else json.dumps(answer).encode()
        self._write(status, content, headers or {}, half)

    def _write(self, status: int, content: bytes, headers: dict[str, str], half: bool = False) -> None:
        self.send_response(status)
        for key, value in {"Content-Type": "application/json; charset=utf-8", **headers}.items():
            self.send_header(key, value)
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if half else content)
        if half:
            self.close_connection = True


def main(argv: list[str] | None = None) -> int:
    """Serve until interrupted; the first line printed is the address."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument(
        "--state", type=Path, help="JSON file: read at the start where it exists, written on each change"
    )
    parser.add_argument(
        "--git", type=Path, help="bare repository whose branches are the pull requests' heads and bases"
    )
    arguments = parser.parse_args(argv)
    state = json.loads(arguments.state.read_text()) if arguments.state and arguments.state.exists() else None
    standin = StandIn(Hub(state, git=arguments.git), port=arguments.port, state_file=arguments.state)
    standin.save()
    print(standin.url, flush=True)
    standin.start()
    try:
        standin.stopped.wait()
    except KeyboardInterrupt:
        standin.stop()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
