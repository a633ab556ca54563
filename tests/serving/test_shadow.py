"""A shadow answers after the champion and decides nothing; what it says can be kept, and judged once labels arrive."""

import json
import os
import resource
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from promotion.errors import PromotionError
from promotion.judgement.labels import join_labels
from promotion.serving.logbook import Logbook
from promotion.serving.scribe import Scribe

from tests.support.serving_world import (
    COLUMNS,
    JSON,
    ROWS,
    Client,
    Models,
    make_server,
    running_server,
    save_module,
    wait_for,
)

# It answers well until a file named `armed` is there; then it does its worst to requests, whose second column is 0.5.
WORST = """
import os, time
import numpy as np
from sklearn.base import BaseEstimator

class Worst(BaseEstimator):
    def __init__(self, folder="", worst=""):
        self.folder = folder
        self.worst = worst

    def predict(self, X):
        if np.asarray(X)[0, 1] == 0.5 and os.path.exists(self.folder + "/armed"):
            if self.worst == "hangs": time.sleep(3600)
            if self.worst == "crashes": os._exit(3)
            if self.worst == "eats":
                eaten = []
                while True:
                    eaten.append(np.ones(10_000_000))
        return np.asarray(X)[:, 0] * 2.0
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """One registry for the file; each test uses a model name of its own."""
    return Models(tmp_path_factory.mktemp("registry"))


def linear(models, factor):
    """A saved regression that answers `factor` times column a."""
    from sklearn.linear_model import LinearRegression

    fitted = LinearRegression().fit(ROWS, ROWS.a)
    fitted.coef_, fitted.intercept_ = np.array([factor, 0.0, 0.0]), 0.0
    return models.save(fitted)


def beside(models, name, champion, candidate):
    """Register both, with their aliases."""
    models.promote(name, models.register(name, champion))
    models.registry.set_alias(name, "candidate", models.register(name, candidate))


def body(*values):
    """A request of one row for each value of column a."""
    return json.dumps({"dataframe_split": {"columns": COLUMNS, "data": [[float(v), 0.5, 1.0] for v in values]}})


def up(url):
    """/health once champion and shadow serve."""
    return wait_for(lambda: (h := Client(url).health())["version"] == 1 and h["shadow"]["version"] == 2 and h, 60)


def test_agreement_is_counted_and_the_champion_answers(models, tmp_path, caplog):
    """The client gets the champion's answer; /health and /metrics count agreement, the log says who swapped."""
    caplog.set_level("INFO", "serve")
    beside(models, "agree", linear(models, 2.0), linear(models, 2.0 + 1e-15))
    with running_server(make_server(models, ["agree"], tmp_path / "store", shadow="candidate")) as url:
        up(url)
        client = Client(url)
        assert client.ask(body=body(1, 2))[::2] == (200, '{"predictions": [2.0, 4.0]}')
        wait_for(lambda: client.health()["shadow"]["same"] == 1)
        models.registry.set_alias("agree", "candidate", models.register("agree", linear(models, 3.0)))
        wait_for(lambda: client.health()["shadow"]["version"] == 3)
        assert client.ask(body=body(1, 2))[2] == '{"predictions": [2.0, 4.0]}'
        wait_for(lambda: client.health()["shadow"]["differ"] == 1)
        text = client.ask("/metrics", None)[2]
        models.registry.delete_alias("agree", "candidate")
        assert client.health()["status"] == "ok"

    assert any(line.startswith("event=swap model=agree alias=candidate old=2 new=3 ") for line in caplog.messages)
    assert 'promotion_shadow_total{model="agree",outcome="differ"} 1.0' in text


@pytest.mark.parametrize(
    "worst", ["hangs", *(pytest.param(worst, marks=pytest.mark.slow) for worst in ("crashes", "eats"))]
)
def test_a_shadow_cannot_delay_fail_or_grow_the_champion(models, tmp_path, worst):
    """Under load, whatever the candidate does: every answer is right and quick, and memory stays what it was."""
    name = f"shadow-{worst}"
    folder = tmp_path / "model"
    bad = save_module(models, folder, "worstmodule", WORST, "Worst", folder=str(folder), worst=worst)
    beside(models, name, linear(models, 2.0), bad)
    server = make_server(models, [name], tmp_path / "store", shadow="candidate", budget=0.5)
    with running_server(server) as url:
        up(url)
        wait_for(lambda: Client(url).health()["workers"] == 2)
        answers, times, stop = Counter(), [], threading.Event()

        def ask(value):
            client = Client(url)
            while not stop.is_set():
                began = time.monotonic()
                answers[value, *client.ask(body=body(value))[::2]] += 1
                times.append(time.monotonic() - began)

        threads = [threading.Thread(target=ask, args=(value,)) for value in range(8)]
        for thread in threads:
            thread.start()
        wait_for(lambda: server.models[0].shadow.counts.same > 50)
        before = resident()
        (folder / "armed").touch()
        counts = server.models[0].shadow.counts
        wait_for(lambda: counts.failed and counts.failed + counts.dropped > 10, 60)
        seen = answers.total()
        wait_for(lambda: answers.total() > seen + 200)
        stop.set()
        for thread in threads:
            thread.join(30)
        grown = resident() - before
        (folder / "armed").unlink()
        same = server.models[0].shadow.counts.same
        client = Client(url)
        wait_for(lambda: client.ask(body=body(1)) and server.models[0].shadow.counts.same > same, 60)
        health = client.health()

    assert set(answers) == {(v, 200, json.dumps({"predictions": [2.0 * v]})) for v in range(8)}
    assert max(times) < 2.0 and float(np.median(times)) < 0.2
    assert grown < 50
    assert health["restarts"] == 0 and health["workers"] == 2


def resident():
    """Megabytes of this process, in which the server runs."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def test_live_traffic_becomes_a_verdict(models, tmp_path, capsys):
    """Requests with a key are kept with both answers; joined with labels, judge.py promotes the better one."""
    import judge
    from sklearn.dummy import DummyClassifier
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    good = models.save(LogisticRegression().fit(ROWS, (ROWS.a > 0).astype(int)))
    poor = DummyClassifier(strategy="constant", constant=0).fit(ROWS, np.arange(len(ROWS)) % 2)
    beside(models, "live", models.save(poor), good)
    log = tmp_path / "log"
    options = {"shadow": "candidate", "log": log, "limit": 4096}
    values = rng.normal(size=500)
    with running_server(make_server(models, ["live"], tmp_path / "store", **options)) as url:
        up(url)
        client = Client(url)
        for number, value in enumerate(values):
            assert client.ask(body=body(value), headers={**JSON, "X-Request-Id": f"payment-{number}"})[0] == 200
            if number % 20 == 19:  # on a slow machine the shadow would fall behind, and drop: not what is asked here
                wait_for(lambda n=number: (s := client.health()["shadow"])["same"] + s["differ"] + s["dropped"] > n)
        client.ask(body=body(1), headers={**JSON, "X-Request-Id": "payment-0"})  # asked again
        client.ask(body='{"inputs": [[1.0, 2.0, 3.0]]}')  # not a table that can be kept
        wait_for(lambda: (s := client.health()["shadow"])["same"] + s["differ"] + s["dropped"] >= 501)
    parts = list((log / "live" / "v1-v2").glob("part-*.parquet"))
    rows = pq.read_table(parts[0])

    assert rows.num_rows == 501
    assert {"key.request", "key.row", "column.day", "column.time", "column.a", "champion.decision"} < set(
        rows.column_names
    )

    labels = pa.table(
        {
            "key.request": [f"payment-{n}" for n in range(499)],
            "label": (values[:499] > 0).astype(int),
            "column.amount": np.full(499, 100.0),
        }
    )
    pq.write_table(pa.concat_tables([labels, labels.slice(0, 5)]), tmp_path / "labels.parquet")
    (tmp_path / "promotion.yaml").write_text(POLICY)
    args = [str(log / "live" / "v1-v2"), "--labels", str(tmp_path / "labels.parquet"), "--work", str(tmp_path / "work")]
    code = judge.main([*args, "--policy", str(tmp_path / "promotion.yaml")])
    said = capsys.readouterr()

    assert code == 0, said
    assert "499 rows with a label; left out: 1 without a label" in said.out and "1 asked again" in said.out
    found = json.loads((tmp_path / "work" / "live" / "evaluation.json").read_text())
    assert (found["verdict"], found["champion"]["version"], found["candidate"]["version"]) == ("PROMOTE", 1, 2)
    assert "against version 1" in (tmp_path / "work" / "live" / "comment.md").read_text()


POLICY = """
models:
  live:
    measure:
      test_days: 1
      delay_days: 0
      dollars: {caught: amount, review: 15}
    gate:
      f1: "> 0.20"
    challenge:
      net_benefit: superior
    champion: null
"""


def write_log(folder, **columns):
    """A part of a log with the columns that every log has, and more."""
    rows = {"key.request": ["a", "b"], "key.row": [0, 0], "column.day": ["2026-01-01"] * 2, "column.id": [7.0, 8.0]}
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({**rows, "champion.decision": [0, 1], **columns}), folder / "part-1.parquet")
    return folder


def labels_of(tmp_path, **columns):
    """A file of labels."""
    pq.write_table(pa.table(columns), tmp_path / "labels.parquet")
    return tmp_path / "labels.parquet"


def test_labels_may_be_keyed_by_what_was_sent(tmp_path):
    """A column of the requests can be the key; pandas' index is none; a log without a shadow stands alone."""
    labels = labels_of(tmp_path, **{"key.id": [7, 8], "label": [0, 1], "__index_level_0__": [3, 5]})
    found = join_labels(write_log(tmp_path / "log"), labels, tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")

    assert str(found) == "2 rows with a label" and found.versions == (None, None)
    assert sorted(table.column_names) == ["candidate.decision", "column.day", "key.id", "label"]


def test_a_label_that_is_not_known_yet_is_none(tmp_path):
    """Missing and NaN are rows without a label, also where the label came later as a row of its own."""
    labels = labels_of(tmp_path, **{"key.id": [7, 7, 8], "label": [None, 1.0, float("nan")]})

    found = join_labels(write_log(tmp_path / "log"), labels, tmp_path / "out.parquet")

    assert str(found) == "1 rows with a label; left out: 1 without a label"


def test_a_column_of_nulls_alone_is_joined_like_any_other(tmp_path):
    """What no request of the log, or no label, has a value for keeps nobody from being judged."""
    empty = pa.nulls(2)
    labels = labels_of(tmp_path, **{"key.id": [7, 8], "label": [0, 1], "column.paid": empty})
    log = write_log(tmp_path / "log", **{"column.note": empty, "candidate.decision": [1, 0]})

    assert str(join_labels(log, labels, tmp_path / "out.parquet")) == "2 rows with a label"


def test_a_candidate_that_never_answered_is_a_sentence(tmp_path):
    """A shadow that failed at every request leaves nothing to judge, and not a traceback."""
    labels = labels_of(tmp_path, **{"key.id": [7, 8], "label": [0, 1]})
    log = write_log(tmp_path / "log", **{"candidate.decision": pa.nulls(2)})
    with pytest.raises(PromotionError, match="the candidate answered none of its rows"):
        join_labels(log, labels, tmp_path / "out.parquet")


def test_a_regression_whose_answers_were_0_and_1_in_some_requests_is_whole(tmp_path):
    """Such answers look like decisions to the log; among others they are scores like those."""
    log = write_log(tmp_path / "log", **{"candidate.decision": [1, 0]})
    rows = {"key.request": ["c"], "key.row": [0], "column.day": ["2026-01-01"], "column.id": [9.0]}
    pq.write_table(pa.table({**rows, "champion.score": [3.0], "candidate.score": [2.0]}), log / "part-2.parquet")
    labels = labels_of(tmp_path, **{"key.id": [7, 8, 9], "label": [0.0, 1.0, 3.0]})
    found = join_labels(log, labels, tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet").sort_by("key.id")

    assert str(found) == "3 rows with a label"
    assert table["champion.score"].to_pylist() == [0.0, 1.0, 3.0]
    assert table["candidate.score"].to_pylist() == [1.0, 0.0, 2.0]
    assert not any(name.endswith(".decision") for name in table.column_names)


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (
            {"key.request": ["a", "a"], "label": [0, 1]},
            "1 keys have two different labels or columns; the first is request a",
        ),
        ({"key.request": ["x"], "label": [0]}, "none of the 2 rows"),
        ({"key.nothing": ["x"], "label": [0]}, "keyed by key.nothing, which the log"),
        ({"label": [0]}, "labels need key.* columns"),
        ({"key.id": [7]}, "labels need key.* columns and the column label"),
        ({"key.request": ["a"], "label": [0], "amount": [1]}, "the column amount is neither"),
        ({"key.id": ["seven"], "label": [0]}, "key.id is of another type"),
        ({"key.id": [7, 8], "label": ["no", "yes"]}, "label is string; it must be 0 and 1"),
        ({"key.id": [7, 8], "label": [None, float("nan")]}, "none of the 2 rows"),
    ],
    ids=lambda value: None,
)
def test_labels_that_do_not_fit_are_one_sentence(tmp_path, columns, sentence):
    """Changed labels, other keys, odd columns: file and reason."""
    with pytest.raises(PromotionError) as error:
        join_labels(write_log(tmp_path / "log"), labels_of(tmp_path, **columns), tmp_path / "out.parquet")

    assert sentence in str(error.value) and "labels.parquet" in str(error.value)


def test_the_folder_of_all_pairs_says_which_there_are(tmp_path):
    """One level too high: the folders below it are named; parts of something else are refused."""
    write_log(tmp_path / "log" / "m" / "v1-v2")
    labels = labels_of(tmp_path, **{"key.request": ["a"], "label": [0]})
    with pytest.raises(PromotionError, match="m/v1-v2"):
        join_labels(tmp_path / "log", labels, tmp_path / "out.parquet")
    pd.DataFrame({"x": [1]}).to_parquet(tmp_path / "log" / "part-0.parquet")
    with pytest.raises(PromotionError, match="not a part of a log"):
        join_labels(tmp_path / "log", labels, tmp_path / "out.parquet")


def test_a_pair_of_versions_that_is_over_is_on_disk_at_once(tmp_path):
    """Once another pair of the same model answers, nobody waits for a minute to be over before judging the old one."""
    scribe = Scribe(tmp_path, 10**9)

    def ask(model, version, candidate):
        entry = [1_700_000_000.0, "key", "application/json", version, candidate, candidate is not None]
        answer = b'{"predictions": [1]}'
        return scribe.take({"model": model, "entries": [entry]}, [body(1).encode(), answer, answer])

    assert ask("m", 1, 2)["written"] == ask("other", 1, None)["written"] == ask("m", 1, 2)["written"] == 0
    assert ask("m", 2, None)["written"] == 2
    assert [part.parent.name for part in tmp_path.rglob("*.parquet")] == ["v1-v2"]


def test_one_clients_odd_column_costs_no_other_its_place_in_the_log(tmp_path):
    """Text or truth where others send numbers is a table of its own; what is no text is in none."""
    scribe = Scribe(tmp_path, 10**9)
    dropped = 0
    for value in (1, 2.5, "té", True, None, "\ud800", 2**70):
        sent = json.dumps({"dataframe_records": [{"x": 1, "more": value}]}).encode()
        entry = [1_700_000_000.0, "key", "application/json", 1, None, False]
        dropped += scribe.take({"model": "m", "entries": [entry]}, [sent, b'{"predictions": [1]}', b""])["dropped"]
    told = scribe.close(all_of_them=True)
    parts = [pq.read_table(part)["column.more"].to_pylist() for part in tmp_path.rglob("*.parquet")]

    assert (told["written"], told["problem"], dropped) == (6, None, 1)
    assert sorted(parts, key=str) == [["té", str(2**70)], [1.0, 2.5], [None], [True]]


def test_long_numbers_of_clients_are_kept_as_they_are(tmp_path):
    """A hash of 64 bits may be the key of the labels: neither a double nor text, however small some of them are."""
    scribe = Scribe(tmp_path, 10**9)
    ids = [7, 2**53 + 1, -(2**63)]
    sent = json.dumps({"dataframe_records": [{"x": 1.5, "id": value} for value in ids]}).encode()
    entry = [1_700_000_000.0, "key", "application/json", 1, None, False]
    scribe.take({"model": "m", "entries": [entry]}, [sent, b'{"predictions": [1, 0, 1]}', b""])
    assert scribe.close(all_of_them=True)["written"] == 3
    labels = labels_of(tmp_path, **{"key.id": ids, "label": [1, 0, 1]})

    assert str(join_labels(tmp_path / "m" / "v1", labels, tmp_path / "out" / "table.parquet")) == "3 rows with a label"


def test_a_log_that_cannot_be_written_costs_no_request(models, tmp_path, monkeypatch):
    """A full log and a writer that dies are told and counted, the writer is started again as soon as it can be.

    A file in the folder's place is refused at the start.
    """
    models.promote("full", models.register("full", linear(models, 2.0)))
    log = tmp_path / "log"
    server = make_server(models, ["full"], tmp_path / "store", log=log, log_bytes=1)
    (log / "full" / "v1").mkdir(parents=True)
    pd.DataFrame({"x": [1]}).to_parquet(log / "full" / "v1" / "part-0.parquet")
    with running_server(server) as url:
        wait_for(lambda: Client(url).health()["version"] == 1)
        client = Client(url)
        rows = list(range(1000))
        for _ in range(51):
            assert client.ask(body=body(*rows))[0] == 200
        health = wait_for(lambda: (h := client.health())["log"]["reason"] and h)
        assert "as much as --log-mb allows" in health["log"]["reason"] and health["log"]["dropped"] >= 50_000
        assert health["status"] == "ok" and client.ask(body=body(1))[0] == 200
        os.kill(server.logbook._process.pid, 9)
        with monkeypatch.context() as nothing:
            nothing.setattr(sys, "executable", str(tmp_path / "nothing"))
            wait_for(
                lambda: "writes the log cannot be started (No such file" in (client.health()["log"]["reason"] or "")
            )
            assert client.ask(body=body(1))[0] == 200
        wait_for(lambda: client.health()["log"]["reason"] is None)
    (tmp_path / "file").touch()
    with pytest.raises(PromotionError, match="choose another --log"):
        Logbook(tmp_path / "file" / "log", 1)


@pytest.mark.slow
def test_a_disk_that_is_full_or_read_only_for_a_while_costs_no_request(models, tmp_path):
    """The system refuses the writer's bytes, then its folder: told, counted, and written again once it does not."""
    models.promote("disk", models.register("disk", linear(models, 2.0)))
    log, rows = tmp_path / "log", list(range(1000))
    server = make_server(models, ["disk"], tmp_path / "store", log=log)
    with running_server(server) as url:
        wait_for(lambda: Client(url).health()["version"] == 1)
        client = Client(url)

        def told(words):
            """Ask for a whole part; return what /health then says of the log."""
            before = client.health()["log"]
            for _ in range(50):
                assert client.ask(body=body(*rows))[0] == 200
            return wait_for(
                lambda: (
                    (now := client.health()["log"])["written"] + now["dropped"] > before["written"] + before["dropped"]
                    and words in (now["reason"] or "none")
                    and now
                )
            )

        writer = server.logbook._process.pid
        resource.prlimit(writer, resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        full = told("File too large")
        assert (full["written"], full["dropped"]) == (0, 50_000) and not list(log.rglob("part-*"))
        resource.prlimit(writer, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert told("none")["written"] == 50_000
        (log / "disk").rename(tmp_path / "moved")
        (log / "disk").touch()  # no folder can be made where it was
        assert told("the log cannot be written")["dropped"] == 100_000
        (log / "disk").unlink()
        assert told("none")["written"] == 100_000
        health = client.health()

    assert health["status"] == "ok"
    assert sum(pq.read_metadata(part).num_rows for part in log.rglob("part-*.parquet")) == 50_000


@pytest.mark.parametrize("odd", ["x", [1, 2], True])
def test_a_column_that_one_client_sent_otherwise_is_empty_there(tmp_path, odd):
    """Text where the others send a number: its rows have no such value, and the others are judged."""
    log = write_log(tmp_path / "log")
    rows = {"key.request": ["c"], "key.row": [0], "column.day": ["2026-01-01"], "column.id": [odd]}
    pq.write_table(pa.table({**rows, "champion.decision": [0]}), log / "part-0.parquet")
    labels = labels_of(tmp_path, **{"key.id": [7, 8], "label": [0, 1]})

    found = join_labels(log, labels, tmp_path / "out.parquet")
    assert str(found) == "2 rows with a label; left out: 1 without a label"
    assert sorted(pq.read_table(tmp_path / "out.parquet")["key.id"].to_pylist()) == [7.0, 8.0]
