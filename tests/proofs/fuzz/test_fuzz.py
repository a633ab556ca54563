"""Fuzzing: artifact folders, records, promotion.yaml, model.yaml and event payloads, damaged at random places.

Each is refused in one sentence, or is what the honest one is: it means the same, or it says plainly what it now is.
"""

import copy
import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import strategies as st
from promotion.config import promotion_yaml
from promotion.config.edit import splice
from promotion.config.model_yaml import parse_spec
from promotion.config.pin import PinRecord
from promotion.errors import PromotionError
from promotion.frozen import Record, strict_json
from promotion.github.event import Event, read_event
from promotion.records.evaluation import Evaluation
from promotion.records.plan import Plan
from promotion.records.steps import Candidate, Gate, ScoresInfo
from promotion.registry.ledger import LedgerEntry, read_ledger
from promotion.sandbox.artifact import read_artifact

from tests.github.test_event import payload
from tests.proofs.fuzz.damage import EXAMPLES, HOSTILE, damaged, every, spoiled
from tests.support import samples
from tests.support.artifacts import tiny_files
from tests.support.sample_parts import model_plan

ROOT = Path(__file__).resolve().parents[3]
bounded = pytest.mark.parametrize("examples", [EXAMPLES[0], pytest.param(EXAMPLES[1], marks=pytest.mark.slow)])


def taken(read: Callable[[], Any]) -> Any:
    """What was read, or None where it was refused in sentences that a terminal and a log can show as they are."""
    try:
        return read()
    except PromotionError as error:
        for one in error.each:
            assert one.message and "\n" not in one.message and "\x1b" not in one.message, repr(one.message)
            assert len(one.message) < 2000
        return None


def records() -> dict[str, Record]:
    """One honest record of each kind."""
    won = samples.promote()
    found = [won.evaluation, won.gate, won.candidate, won.scores]
    plan = Plan(base="a" * 40, head="b" * 40, merge="c" * 40, lock="sha256:" + "0" * 64, models=(model_plan(),))
    return {type(record).__name__: record for record in (*found, plan) if record is not None}


KINDS: dict[str, type[Record]] = {kind.__name__: kind for kind in (Evaluation, Gate, Candidate, ScoresInfo, Plan)}


@bounded
@pytest.mark.parametrize("name", KINDS)
def test_a_record(name: str, examples: int) -> None:
    """What is read is written again as the same, so that no two readers take it for two things."""
    kind, honest = KINDS[name], records()[name]
    text = honest.text()

    def check(changed: str) -> None:
        found = taken(lambda: kind.parse(changed, where="record.json"))
        if found is not None:
            assert kind.parse(found.text(), where="record.json") == found
            assert found == honest or found.sha256 != honest.sha256

    as_json = damaged(json.loads(text)).map(json.dumps)
    every(spoiled(text) | as_json, examples, check)


@bounded
def test_an_entry_of_the_ledger(examples: int) -> None:
    """A tag that somebody wrote is an entry in its one form, or a sentence."""
    pin = LedgerEntry(
        height=3,
        commit="a" * 40,
        before=2,
        version=3,
        digest="sha256:" + "0" * 64,
        reason="merge",
        at="2026-08-01T00:00:00Z",
        by="x",
    )

    def check(changed: str) -> None:
        found = taken(lambda: read_ledger({pin.key: changed}))
        if found is not None:
            assert read_ledger({found[0].key: found[0].text()})[0].text() == found[0].text()

    every(spoiled(pin.text()) | damaged(json.loads(pin.text())).map(json.dumps), examples, check)


@bounded
@pytest.mark.parametrize("name", ["promotion.yaml", "models/fraud-detector/model.yaml"])
def test_a_file_of_the_tree(name: str, examples: int) -> None:
    """What is accepted can be pinned, and a pin changes nothing else."""
    text = (ROOT / name).read_text(encoding="utf-8")
    pin = PinRecord(version=3, source_tree="a" * 40, digest="sha256:" + "0" * 64, evidence="sha256:" + "1" * 64)

    def check(changed: str) -> None:
        if name != "promotion.yaml":
            taken(lambda: parse_spec(changed, name))
            return
        found = taken(lambda: promotion_yaml.parse(changed))
        if found is not None and "fraud-detector" in found.models:
            pinned = promotion_yaml.parse(splice(changed, {"fraud-detector": pin}))
            assert pinned.models["fraud-detector"].champion == pin
            assert {m: e.policy for m, e in pinned.models.items()} == {m: e.policy for m, e in found.models.items()}

    as_yaml = damaged(yaml.safe_load(text)).map(lambda raw: yaml.safe_dump(raw, sort_keys=False, allow_unicode=True))
    every(spoiled(text) | as_yaml, examples, check)


@bounded
def test_an_event(examples: int, tmp_path: Path) -> None:
    """The payload of a run: an event of plain texts and numbers, or a sentence."""
    path = tmp_path / "event.json"
    names = ["pull_request", "merge_group", "workflow_dispatch", "push", "constructor"]

    def check(given: tuple[str, str]) -> None:
        name, changed = given
        path.write_bytes(changed.encode("utf-8", "surrogatepass"))
        found = taken(lambda: read_event({"GITHUB_EVENT_NAME": name, "GITHUB_EVENT_PATH": str(path)}))
        if found is not None:
            assert isinstance(found, Event) and all(isinstance(value, str) for value in found.inputs.values())
            for text in (found.repo, found.head_sha, found.head_ref, found.base_ref, found.author, found.sender):
                assert isinstance(text, str)
            assert found.number is None or type(found.number) is int

    honest = json.dumps(payload())
    texts = spoiled(honest) | damaged(payload()).map(json.dumps)
    every(st.tuples(st.sampled_from(names), texts), examples, check)


@bounded
def test_an_artifact(examples: int, tmp_path: Path) -> None:
    """A folder with a changed MLmodel, a changed .skops file, other files: refused, or the honest model."""
    honest = tiny_files("honest")
    whole = written(honest, tmp_path / "honest")
    accepted = read_artifact(whole)
    with zipfile.ZipFile(io.BytesIO(honest["model.skops"])) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    mlmodel, schema = yaml.safe_load(honest["MLmodel"]), json.loads(members["schema.json"])

    def zipped(raw: Any) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, json.dumps(raw) if name == "schema.json" else content)
        return out.getvalue()

    def check(changed: dict[str, bytes]) -> None:
        folder = written(changed, tmp_path / "changed")
        found = taken(lambda: read_artifact(folder))
        if found is not None:
            assert (found.format, found.data, found.types, found.code) == ("skops", "model.skops", (), ())
            flavors = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))["flavors"]
            assert flavors["python_function"]["loader_module"] == "mlflow.sklearn"
            assert {*os.listdir(folder)} <= {*honest, *PLAIN}
            if changed["MLmodel"] == honest["MLmodel"]:
                assert found.inputs == accepted.inputs

    def put(name: str) -> Callable[[bytes], dict[str, bytes]]:
        return lambda content: {**honest, name: content}

    binary = st.binary(max_size=40)
    cut = st.tuples(st.integers(0, len(honest["model.skops"])), binary).map(
        lambda at: honest["model.skops"][: at[0]] + at[1] + honest["model.skops"][at[0] + len(at[1]) :]
    )
    text = honest["MLmodel"].decode()
    every(
        st.one_of(
            damaged(mlmodel).map(lambda raw: put("MLmodel")(yaml.safe_dump(raw).encode("utf-8", "surrogatepass"))),
            spoiled(text).map(lambda changed: put("MLmodel")(changed.encode("utf-8", "surrogatepass"))),
            damaged(schema).map(lambda raw: put("model.skops")(zipped(raw))),
            cut.map(put("model.skops")),
            st.tuples(st.sampled_from([*PLAIN, "x.py", "code/x.py", "registered_model_meta", "a\nb", "é"]), binary).map(
                lambda pair: {**honest, pair[0]: pair[1]}
            ),
        ),
        examples,
        check,
    )


PLAIN = ("conda.yaml", "python_env.yaml", "requirements.txt")


def written(files: dict[str, bytes], folder: Path) -> Path:
    """Write a folder's files, and nothing else."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_json_means_one_thing() -> None:
    """Hostile values that are no JSON of ours are refused, the others come back as they are."""
    for value in HOSTILE:
        text = json.dumps(value)
        if isinstance(value, int) and abs(value) >= 10**20:
            continue
        assert strict_json(text) == copy.deepcopy(value)
    for text in ('{"a": 1, "a": 1}', "NaN", "-Infinity", "1e999", "9" * 30, '"\\ud800"', "[" * 61 + "]" * 61, ""):
        with pytest.raises(ValueError, match=r"."):
            strict_json(text)
