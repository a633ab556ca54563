"""What an operator sees: Prometheus text that a parser takes, and one line of log an event."""

import re
import socket
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.serving_world import ONE_ROW, ROWS, Client, Models, constant, make_server, running_server, wait_for


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """One registry for the file; each test uses a model name of its own."""
    return Models(tmp_path_factory.mktemp("registry"))


ASK = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


def hanging_scraper(url, asked):
    """A connection that sends what it asks, as far as it is taken, and then does nothing."""
    place = urlsplit(url)
    scraper = socket.create_connection((place.hostname, place.port))
    scraper.setblocking(False)
    scraper.send(asked)
    return scraper


def sampled(client):
    """Every sample of /metrics as {(name, labels): value}."""
    status, headers, text = client.ask("/metrics", None)
    assert status == 200 and headers["Content-Type"].startswith("text/plain; version=")
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_say_what_happened(models, tmp_path):
    """Requests and errors by version and status, batch sizes, swaps, failed loads, version and age.

    Two scrapers hang meanwhile: one never ends its request, one asks 400 times and never reads.
    """
    from sklearn.linear_model import LogisticRegression

    path = models.save(LogisticRegression().fit(ROWS, ROWS.a > 0))
    first = models.register("m", path)
    models.promote("m", first)
    server = make_server(models, ["m"], tmp_path / "store")
    with running_server(server) as url:
        client = Client(url)
        wait_for(lambda: client.health()["version"] == first)
        hung = [hanging_scraper(url, asked) for asked in (ASK[:-2], ASK * 400)]
        for body in (ONE_ROW, ONE_ROW, ONE_ROW, "{"):
            client.ask(body=body)
        bad = models.save(constant(1))
        (bad / "model.skops").write_bytes(b"not a model")
        models.promote("m", models.register("m", bad))
        wait_for(lambda: client.health()["status"] == "degraded")
        models.promote("m", models.register("m", path))
        wait_for(lambda: client.health()["version"] == 3)
        client.ask()
        found = sampled(client)
        for scraper in hung:
            scraper.close()

    assert found["promotion_requests_total", "1", "200", "m"] == 3
    assert found["promotion_requests_total", "1", "400", "m"] == 1
    assert found["promotion_requests_total", "200", "3", "m"] == 1
    assert found["promotion_request_seconds_count", "1", "m"] == 4
    assert 0 < found["promotion_request_seconds_sum", "1", "m"] < 20
    assert found["promotion_batch_requests_count", "1", "m"] == 4
    assert found["promotion_swaps_total", "m"] == 1
    assert found["promotion_failed_loads_total", "m"] >= 1
    assert (found["promotion_version", "m"], found["promotion_queue", "m"]) == (3, 0)
    assert 0 <= found["promotion_version_age_seconds", "m"] < 60
    assert found["promotion_connections",] >= 1


def test_what_a_model_raises_is_one_line_too(caplog):
    """A traceback is a value of its event's line, cut at its beginning."""
    from promotion.serving.events import failure

    try:
        raise SystemExit("no\nmore " + "x" * 10_000)
    except SystemExit:
        failure("predict")

    assert len(caplog.messages) == 1 and "\n" not in caplog.messages[0] and len(caplog.messages[0]) < 6000
    assert caplog.messages[0].startswith('event=error what=predict text="SystemExit(')


def test_every_event_is_one_line_of_pairs(models, tmp_path, caplog):
    """Whatever words a model or a registry has, a log line stays one line that a parser splits."""
    caplog.set_level("INFO", "serve")
    bad = models.save(constant(1))
    (bad / "model.skops").write_bytes(b"not a\nmodel")
    models.promote("lines", models.register("lines", bad))
    with running_server(make_server(models, ["lines"], tmp_path / "store")) as url:
        wait_for(lambda: Client(url).health()["reason"])
    lines = [record.getMessage() for record in caplog.records if record.name == "serve"]
    pair = r'\w+=(?:"(?:[^"\\]|\\.)*"|[^\s"]+)'

    assert any(line.startswith("event=problem ") for line in lines)
    assert all(re.fullmatch(rf"event=[\w-]+(?: {pair})*", line) for line in lines), lines
