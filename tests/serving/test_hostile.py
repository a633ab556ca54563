"""Clients that mean harm, or are merely broken, cost their own connection: real sockets against a real server."""

import contextlib
import json
import os
import queue
import resource
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import serve
from promotion.serving.connection import Limits

from tests.support.attacks import attack
from tests.support.serving_world import (
    COLUMNS,
    JSON,
    ONE_ROW,
    ROWS,
    Client,
    Models,
    make_server,
    running_server,
    save_held,
    wait_for,
)

CLIENT = "a client"
HEAD = b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
TIGHT = Limits(body=1_000_000, held=3_000_000, head=0.5, keep_alive=0.5, receive=1.0, send=1.0)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A registry with a linear model as `m`@champion."""
    from sklearn.linear_model import LogisticRegression

    models = Models(tmp_path_factory.mktemp("registry"))
    models.promote("m", models.register("m", models.save(LogisticRegression().fit(ROWS, ROWS.a > 0))))
    return models


@contextlib.contextmanager
def serving_with(models, folder, limits, **options):
    """A server with these limits, ready; yields (server, url)."""
    server = make_server(models, ["m"], folder, limits=limits, **options)
    with running_server(server) as url:
        wait_for(lambda: Client(url).health()["workers"] == options.get("workers", 2))
        yield server, url


@pytest.fixture(scope="module")
def tight(models, tmp_path_factory):
    """A server with small limits and short patience; (server, url)."""
    with serving_with(models, tmp_path_factory.mktemp("tight"), TIGHT) as found:
        yield found


@pytest.fixture(scope="module")
def roomy(models, tmp_path_factory):
    """A server with the limits of serve.py; (server, url)."""
    with serving_with(models, tmp_path_factory.mktemp("roomy"), Limits()) as found:
        yield found


def dial(url, data=b"", *, small_window=False):
    """A raw connection that has sent `data`."""
    connection = socket.socket()
    if small_window:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(30)
    connection.connect(("127.0.0.1", urlsplit(url).port))
    connection.sendall(data)
    return connection


def _sent(connection, data):
    with contextlib.suppress(OSError):
        connection.sendall(data)


def everything(connection):
    """What comes until the server closes."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(65536):
            found += data
    return found


def post(body, *fields):
    """A whole request."""
    return HEAD + b"".join(field + b"\r\n" for field in fields) + b"content-length: %d\r\n\r\n" % len(body) + body


@attack(CLIENT, "500, or seconds in which nobody else was answered")
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 500_000,
        b'{"a":' * 200_000,
        b'{"dataframe_split": {"columns": ["a", "b", "c"], "data": ' + b"[" * 900 + b"]" * 900 + b"}}",
        b'{"dataframe_split": {"columns": ["a", "b", "c"], "data": [[1, 2, ' + b"[" * 60 + b"]" * 60 + b"]]}}",
        b'{"dataframe_records": [{"a": ' + b"9" * 5000 + b', "b": 1, "c": 2}]}',
        b'{"dataframe_records": [{"a": 1' + b"0" * 400 + b', "b": 1, "c": 2}]}',
        b'{"dataframe_split": {"columns": [["a"], "b", "c"], "data": [[1, 2, 3]]}}',
        b'{"dataframe_split": {"columns": 3, "data": 4}}',
        b'{"dataframe_split": 7}',
        b'{"inputs": ' + b"[" * 100 + b"1" + b"]" * 100 + b"}",
        b'{"instances": {"a": ' + b"[" * 900 + b"]" * 900 + b"}}",
        b"\xef\xbb\xbf{}",
        b"null",
        b"",
    ],
    ids=range(14),
)
def test_hostile_json_is_400_and_short(tight, body, happened):
    """A body is JSON of half a million levels, giant numbers, or an odd shape."""
    status, _, text = Client(tight[1]).ask(body=body)

    assert status == 400, text[:300]
    assert len(text) < 40_000
    assert Client(tight[1]).ask()[0] == 200
    happened("400 in a short answer, and the next request is answered")


def test_what_is_no_http_is_400(tight):
    """Noise, two lengths, a length beside chunks, and a wish for a tunnel are refused, and the connection closed."""
    bad = [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        HEAD + b"content-length: 3\r\ncontent-length: 4\r\n\r\nabc",
        HEAD + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"content-length: -1\r\n\r\n",
        b"CONNECT x:80 HTTP/1.1\r\nhost: x\r\n\r\n",
    ]
    answers = [everything(dial(tight[1], data)) for data in bad]

    assert [answer[:12] for answer in answers] == [b"HTTP/1.1 400"] * len(bad)
    assert all(b"connection: close" in answer for answer in answers)


def test_heads_and_targets_have_a_size(tight):
    """A head without end is 431, a target without end 414, both before they cost memory."""
    assert everything(dial(tight[1], HEAD + b"x: " + b"y" * 400_000))[:12] in (b"HTTP/1.1 431", b"")
    assert b" 414 " in everything(dial(tight[1], b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nconnection: close\r\n\r\n"))


def test_what_comes_beside_a_body_has_a_size_and_no_meaning(tight):
    """A trailer's fields are passed over; one without end, in one field or in many, is 431, as is a chunk's head."""
    body = ONE_ROW.encode()
    chunked = HEAD + b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n%x\r\n%b\r\n0\r\n" % (len(body), body)
    assert b'{"predictions": [true]}' in everything(dial(tight[1], chunked + b"content-type: text/csv\r\n\r\n"))
    fields = b"".join(b"x%d: y\r\n" % number for number in range(60_000))
    for endless in (chunked + b"x: " + b"y" * 600_000, chunked + fields, chunked[:-2] + b";" + b"x" * 600_000):
        connection = dial(tight[1])
        _sent(connection, endless)
        assert everything(connection)[:12] in (b"HTTP/1.1 431", b"")


def test_a_body_in_small_parts_counts_as_what_it_takes(tight):
    """Parts of two bytes take forty times their size: there is no more room for them than for others."""
    server, url = tight
    connection = dial(url, HEAD + b"transfer-encoding: chunked\r\n\r\n" + b"2\r\n[[\r\n" * 30_000)
    wait_for(lambda: server.gate.held > 1_000_000)
    connection.close()
    wait_for(lambda: server.gate.held == 0)


def test_a_declared_size_over_the_limit_is_413_before_it_is_sent(tight):
    """A client that waits for 100 Continue hears of it at once; one that sends all the same is answered, too."""
    head = HEAD + b"content-length: 1000001\r\n"
    began = time.monotonic()
    assert b" 413 " in everything(dial(tight[1], head + b"expect: 100-continue\r\n\r\n"))
    assert time.monotonic() - began < 0.9
    assert b" 413 " in everything(dial(tight[1], head + b"connection: close\r\n\r\n" + b"x" * 1_000_001))
    chunk = b"%x\r\n" % 400_000 + b"x" * 400_000 + b"\r\n"
    chunked = HEAD + b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n" + chunk * 3 + b"0\r\n\r\n"
    assert b" 413 " in everything(dial(tight[1], chunked))


def test_a_polite_client_is_told_to_continue(tight):
    """Expect: 100-continue, chunks and a half-closed connection get their answer."""
    body = ONE_ROW.encode()
    connection = dial(tight[1], HEAD + b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(body))
    assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.sendall(body)
    connection.shutdown(socket.SHUT_WR)
    assert b'{"predictions": [true]}' in everything(connection)
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    connection = dial(tight[1], HEAD + b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n" + chunks)
    assert b'{"predictions": [true]}' in everything(connection)


def test_a_polite_client_that_asks_twice_is_told_twice(tight):
    """Its next head comes while the first request is answered: then it may go on, or hears that it is too large."""
    body = ONE_ROW.encode()
    expects = HEAD + b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n"
    connection = dial(tight[1], post(body) + expects % len(body))
    found = b""
    while b"100 Continue" not in found:
        found += (data := connection.recv(1000))
        assert data, found
    assert found.index(b"predictions") < found.index(b"100 Continue")
    connection.sendall(body + post(body) + expects % 1_000_001)
    found = everything(connection)

    assert (found.count(b"predictions"), found.count(b"100 Continue")) == (2, 0)
    assert b" 413 " in found[found.rindex(b"predictions") :]


def test_requests_in_a_row_are_answered_in_their_order(tight):
    """Pipelined requests, thousands at once, each get their answer, in order."""
    ping = b"GET /ping HTTP/1.1\r\n\r\n"
    last = b"GET /version HTTP/1.1\r\nconnection: close\r\n\r\n"
    answers = everything(dial(tight[1], ping * 3000 + post(ONE_ROW.encode()) + last))

    assert answers.count(b"HTTP/1.1 200 OK") == 3002
    assert answers.index(b"predictions") < answers.index(b'"name": "m"')


def test_what_came_before_noise_is_answered(tight):
    """A body longer than was declared: what was asked before it is answered, then the client hears what is wrong."""
    answers = everything(dial(tight[1], post(ONE_ROW.encode()) * 2 + b"and more\r\n\r\n"))

    assert [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]] == [b"200", b"200", b"400"]
    assert answers.count(b"predictions") == 2 and b"Invalid HTTP request received" in answers


def test_a_wish_for_another_protocol_is_ignored(tight):
    """Java asks for HTTP/2 in its first request: that one, in pieces or not, and those behind it are answered."""
    wish = b"connection: Upgrade, HTTP2-Settings", b"upgrade: h2c", b"http2-settings: AAEAAEAAAAIAAAAB"
    asked = post(ONE_ROW.encode(), *wish)
    last = b"GET /version HTTP/1.1\r\nupgrade: websocket\r\nconnection: upgrade, close\r\n\r\n"
    connection = dial(tight[1], asked * 2 + asked[:40])
    time.sleep(0.05)
    connection.sendall(asked[40:-10])
    time.sleep(0.05)
    connection.sendall(asked[-10:] + last)
    answers = everything(connection)

    assert answers.count(b"HTTP/1.1 200 OK") == 4 and answers.count(b'{"predictions": [true]}') == 3
    assert answers.endswith(b"}\n") and b'"name": "m"' in answers


def test_an_older_client_is_told_in_its_words(tight):
    """HTTP/1.0 keeps a connection only if it is told so, and knows no 100 Continue."""
    body = ONE_ROW.encode()
    head = b"POST /invocations HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: %d\r\n" % len(body)
    answers = everything(
        dial(tight[1], head + b"connection: keep-alive\r\n\r\n" + body + head + b"expect: 100-continue\r\n\r\n" + body)
    )

    assert answers.count(b"200 OK") == 2 and b"100 Continue" not in answers
    assert (
        answers.index(b"connection: keep-alive") < answers.index(b"predictions") < answers.index(b"connection: close")
    )


def test_head_and_other_methods(tight):
    """HEAD has the length of GET and no body; another method is 405 with what is allowed."""
    answer = everything(dial(tight[1], b"HEAD /version HTTP/1.1\r\nconnection: close\r\n\r\n"))
    assert b" 200 OK" in answer and answer.endswith(b"\r\n\r\n") and b"content-length: 0" not in answer
    answer = everything(dial(tight[1], b"DELETE /invocations HTTP/1.1\r\nconnection: close\r\n\r\n"))
    assert b" 405 " in answer and b"allow: POST" in answer


@attack(CLIENT, "never closed")
def test_silent_connections_are_closed(tight, happened):
    """Connections say nothing, half a head, a head without its body, or idle after an answer."""
    server, url = tight
    began = time.monotonic()
    nothing, half_head = dial(url), dial(url, b"GET /ping HT")
    half_body = dial(url, HEAD + b"content-length: 100\r\n\r\nabc")
    idle = dial(url, b"GET /ping HTTP/1.1\r\n\r\n")
    slow_head = dial(url, b"GET /ping HTTP/1.1\r\n")
    answers = [everything(connection) for connection in (nothing, half_head, half_body, idle, slow_head)]

    assert time.monotonic() - began < 5
    assert answers[0] == b""
    assert [answer[:12] for answer in answers[1:]] == [
        b"HTTP/1.1 408",
        b"HTTP/1.1 408",
        b"HTTP/1.1 200",
        b"HTTP/1.1 408",
    ]
    wait_for(lambda: server.gate.held == 0)
    happened("closed when their time is over, with 408 where something was asked")


@attack(CLIENT, "40 of them held 800 MB")
def test_unfinished_bodies_are_bounded_in_all(tight, happened):
    """Twenty bodies stop before their end."""
    server, url = tight
    most, stop = [0], threading.Event()

    def watch():
        while not stop.is_set():
            most[0] = max(most[0], server.gate.held)
            time.sleep(0.001)

    watcher = threading.Thread(target=watch)
    watcher.start()
    connections = []
    for _ in range(20):
        with contextlib.suppress(OSError):
            connections.append(dial(url, HEAD + b"content-length: 1000000\r\n\r\n" + b"x" * 900_000))
    assert Client(url).ask()[0] == 200
    answers = [everything(connection) for connection in connections]
    stop.set()
    watcher.join()

    assert {answer[:12] for answer in answers} <= {b"HTTP/1.1 408", b""}
    assert most[0] <= 3_300_000
    wait_for(lambda: server.gate.held == 0)
    happened("never more than the limit of all bodies is held, and an honest client is answered meanwhile")


def test_who_waits_for_an_answer_makes_room_too(models, tmp_path):
    """The slowest of all bodies is the second one of a client whose first request is still being answered."""
    models.promote("held", models.register("held", save_held(models, tmp_path, "heldmodule", 7)))
    half = HEAD + b"content-length: 1000000\r\n\r\n" + b"x" * 900_000
    with running_server(server := make_server(models, ["held"], tmp_path / "store", limits=TIGHT)) as url:
        wait_for(lambda: Client(url).health()["workers"] == 2)
        (tmp_path / "hold").touch()
        waits = dial(url, post(ONE_ROW.encode()) + half)
        wait_for((tmp_path / "began").exists)
        others = [dial(url, half) for _ in range(3)]
        wait_for(lambda: server.gate.evicted)
        server.gate.limits = Limits()  # else a server that goes round for ever does so after this test, too
        (tmp_path / "hold").unlink()

        assert everything(waits) == b""
        assert Client(url).ask()[0] == 200
        assert server.gate.evicted == 1
        for connection in others:
            connection.close()


@pytest.mark.slow
def test_a_client_that_does_not_read_is_closed(models, tmp_path):
    """Answers that nobody takes are held for a while, within the same bound."""
    limits = Limits(body=4_000_000, held=8_000_000, send=1.0)
    rows = json.dumps({"dataframe_split": {"columns": COLUMNS, "data": [[1.0, 2.0, 3.0]] * 100_000}}).encode()
    with serving_with(models, tmp_path, limits) as (server, url):
        connection = dial(url, small_window=True)
        threading.Thread(target=lambda: _sent(connection, post(rows) * 20), daemon=True).start()
        wait_for(lambda: server.gate.held > 100_000)
        wait_for(lambda: server.gate.held == 0 and not any(c.unread for c in server.gate.connections))
        assert Client(url).ask()[0] == 200


def test_the_connection_that_was_idle_longest_makes_room(models, tmp_path):
    """Over the number of connections, the newcomer is served and the oldest idlers go, also where many come at once."""
    with serving_with(models, tmp_path, Limits(connections=5, head=60.0)) as (_, url):
        idlers = [dial(url) for _ in range(8)]

        assert Client(url).ask()[0] == 200
        assert [everything(connection) for connection in idlers[:3]] == [b""] * 3
        for connection in idlers:
            connection.close()  # else the server's end waits for them


def test_idle_connections_take_no_file_that_is_needed(models, tmp_path):
    """Where the system allows few open files, the oldest idlers go before there is none for a newcomer or a poll."""
    command = [sys.executable, str(Path(serve.__file__)), "m", "--port", "0", "--store", str(tmp_path / "store")]
    limited = ["sh", "-c", 'ulimit -n 256; exec "$@"', "sh", *command]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": models.registry.uri}
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(limited, stdout=subprocess.PIPE, stderr=log, env=environment, text=True)
    idlers = []
    try:
        url = process.stdout.readline().strip().rpartition(" ")[2]
        for _ in range(400):
            idlers.append(dial(url, b"GET /ping HTTP/1.1\r\n\r\n"))
        began = time.monotonic()
        assert Client(url).ask()[0] == 200
        assert time.monotonic() - began < 5.0
        assert Client(url).health()["status"] == "ok"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        for connection in idlers:
            connection.close()

    assert "Too many open files" not in (tmp_path / "log").read_text()


@pytest.mark.slow
@attack(CLIENT, "a request of 45 MB blocked all others for 18.6 s")
def test_a_body_of_the_largest_size_holds_up_nobody(roomy, happened):
    """A body of the largest size is sent while others ping and ask for one row."""
    _, url = roomy
    count = 50_000_000 // len("[1.25, 2.25, 3.25], ")
    body = (
        '{"dataframe_split": {"columns": ["a", "b", "c"], "data": [' + ", ".join(["[1.25, 2.25, 3.25]"] * count) + "]}}"
    )
    answers: queue.SimpleQueue = queue.SimpleQueue()
    thread = threading.Thread(target=lambda: answers.put(Client(url).ask(body=body.encode())))
    client = Client(url)

    def slowest(goes_on):
        most, asked = 0.0, 0
        while goes_on(asked):
            for path, content in (("/ping", None), ("/invocations", ONE_ROW)):
                began = time.monotonic()
                assert client.ask(path, content, JSON)[0] == 200
                most, asked = max(most, time.monotonic() - began), asked + 1
            time.sleep(0.01)
        return most

    calm = slowest(lambda asked: asked < 200)  # what a busy machine costs anyway
    thread.start()
    most = slowest(lambda _: thread.is_alive())
    status, _, text = answers.get()

    assert (status, text.count("true")) == (200, count)
    assert most < 1.0 + calm
    happened("others are answered within a second")


@pytest.mark.slow
@attack(CLIENT, "4,000 connections were never closed, and their bodies kept")
def test_four_thousand_connections_cost_little(models, tmp_path, happened):
    """Four thousand connections say nothing, half a head or half a body."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 9000:
        pytest.skip(f"only {hard} open files are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (9000, hard))
    command = [sys.executable, str(Path(serve.__file__)), "m", "--port", "0", "--store", str(tmp_path / "store")]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": models.registry.uri}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True)
    connections = []
    try:
        url = process.stdout.readline().strip().rpartition(" ")[2]
        assert Client(url).ask()[0] == 200
        before = resident(process.pid)
        starts = (b"", b"POST /invocations HTTP/1.1\r\nx: ", HEAD + b"content-length: 60000000\r\n\r\n" + b"x" * 10_000)
        for number in range(4000):
            connections.append(dial(url, starts[number % 3]))
        began = time.monotonic()
        assert Client(url).ask()[0] == 200
        took, grown = time.monotonic() - began, resident(process.pid) - before

        assert took < 5.0
        assert grown < 150, f"{grown:.0f} MB for 4,000 connections"
        happened("less than 150 MB in all, and an honest client is answered")
    finally:
        for connection in connections:
            connection.close()
        process.kill()
        process.wait()
        process.stdout.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def resident(pid):
    """Megabytes of a process that are resident."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
