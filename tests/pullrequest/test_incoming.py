"""Records that were tampered with between the jobs: each trick is refused with a sentence, and nothing is used."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import challenge
import gate
import pandas as pd
import pytest
from promotion.errors import PromotionError
from promotion.pullrequest import incoming as module
from promotion.pullrequest.incoming import check_incoming, overlaps, take_in
from promotion.pullrequest.workdir import ModelWork, Work
from promotion.records.evaluation import Evaluation
from promotion.records.plan import Plan
from promotion.story.hosting import LocalPull
from report import collect

from tests.support.tiny import MODEL, TinyProject


@dataclass
class Handed:
    """A judged work folder and, apart, what its train job handed over; both are copies to spoil."""

    work: Work
    incoming: Path
    plan: Plan

    def path(self, name: str) -> Path:
        """Where a job's file lies: the candidate's own in its train job's folder, the scores in the other."""
        place = f"trained-{MODEL}" if name.startswith("candidate") else f"scored/{MODEL}"
        return self.incoming / place / name

    @property
    def files(self) -> ModelWork:
        """The model's own files."""
        return self.work.model(MODEL)

    def take(self) -> None:
        """What gate.py does with what came in."""
        (item,) = self.plan.models
        take_in(self.incoming, self.files, "train")
        check_incoming(item, self.files, lock=self.plan.lock)

    def spoil(self, name: str, change: Callable[[dict[str, object]], None]) -> None:
        """Change a record that came in."""
        raw = json.loads(self.path(name).read_text())
        change(raw)
        self.path(name).write_text(json.dumps(raw))


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work folder of a pull request whose candidate was trained and judged against a champion."""
    project = TinyProject(tmp_path_factory.mktemp("tiny"))
    project.edit("model.yaml", "seed: 0", "seed: 1")
    first: LocalPull = project.open("retrain/first")
    project.judge(first)
    project.merge(first)
    assert project.promote()
    project.hosting.pull()
    project.edit("model.yaml", "[hint]", "[hint, clue]")
    return project.judge(project.open("retrain/better")).work.root


@pytest.fixture
def handed(judged: Path, tmp_path: Path) -> Iterator[Handed]:
    """What the train job handed over, untouched."""
    shutil.copytree(judged, tmp_path / "work")
    for place in (f"trained-{MODEL}", f"scored/{MODEL}"):
        shutil.copytree(judged / MODEL, tmp_path / "incoming" / place)
    work = Work(tmp_path / "work")
    yield Handed(work, tmp_path / "incoming", work.read_plan())


def test_an_honest_job_is_believed(handed: Handed) -> None:
    """The same files as they were judged pass every check."""
    handed.take()


def test_rows_of_training_reach_the_job_that_answers_and_no_other(handed: Handed) -> None:
    """What drift is measured by has features alone, and ends in the evidence: scores first, then every feature."""
    mine = handed.files.side("candidate").training

    assert list(pd.read_parquet(mine)) == ["hint", "clue"]
    mine.unlink()
    handed.take()
    assert not mine.exists()
    take_in(handed.incoming, handed.files, "train", "answer")
    assert mine.is_file()
    found = Evaluation.read(handed.files.evaluation).drift
    assert [(one.of, one.column) for one in found or ()] == [
        ("score", "score"), ("feature", "hint"), ("feature", "clue"),
    ]  # fmt: skip


def set_to(key: str, value: object) -> Callable[[dict[str, object]], None]:
    """A change that sets one key."""
    return lambda raw: raw.update({key: value})


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("scores.json", set_to("schema_version", 2), "schema version"),
        ("scores.json", set_to("first", "2026-03-08"), "not about tiny on 2026-03-01"),
        ("scores.json", set_to("model", "other"), "not about tiny"),
        ("scores.json", set_to("test_digest", "sha256:" + "0" * 64), "do not hash"),
        ("scores.json", set_to("candidate_predictions", "sha256:" + "0" * 64), "do not hash"),
        ("scores.json", set_to("champion_predictions", "sha256:" + "0" * 64), "champion's scores do not hash"),
        ("scores.json", set_to("champion_predictions", None), "pinned files"),
        ("scores.json", set_to("champion_digest", "sha256:" + "0" * 64), "pinned files"),
        ("scores.json", set_to("rows", "many"), "valid"),
        ("scores.json", set_to("extra", 1), "extra"),
        ("candidate/candidate.json", set_to("source_tree", "0" * 40), "source_tree"),
        ("candidate/candidate.json", set_to("key", "0" * 64), "key"),
        ("candidate/candidate.json", set_to("lock", "none"), "lock"),
        ("candidate/candidate.json", set_to("digest", "sha256:" + "0" * 64), "digest"),
        ("candidate/candidate.json", set_to("labels_known_by", "2026-03-09"), "labels_known_by"),
        ("candidate/candidate.json", set_to("parameters", {"threshold": 0.1}), "parameters"),
        ("candidate/candidate.json", set_to("train_seconds", float("nan")), "NaN"),
    ],
)
def test_a_record_that_says_something_else_is_refused(
    handed: Handed, name: str, change: Callable[[dict[str, object]], None], said: str
) -> None:
    """Schema, window, model, digests, tree, key, lock, labels: one sentence each."""
    handed.spoil(name, change)

    with pytest.raises(PromotionError, match=said):
        handed.take()


@pytest.mark.parametrize(("column", "value", "gives"), [("label", 2, True), ("candidate.score", float("nan"), False)])
def test_a_bad_value_names_the_file_that_gives_it(handed: Handed, column: str, value: float, gives: bool) -> None:
    """Labels, keys and columns are data.py's, answers are not; the part's own name says the day."""
    part = handed.path("scores/part-2026-03-03.parquet")
    table = pd.read_parquet(part)
    table[column] = float(value)
    table.to_parquet(part, index=False)

    with pytest.raises(PromotionError, match=rf"part-2026-03-03\.parquet: {column} ") as caught:
        handed.take()
    assert (f"; models/{MODEL}/data.py gives it" in str(caught.value)) is gives


def test_scores_of_another_test_set_are_refused(handed: Handed) -> None:
    """A day's part is replaced by another day's rows: the digest no longer fits."""
    parts = sorted(handed.path("scores").glob("part-*.parquet"))
    shutil.copyfile(parts[0], parts[1])

    with pytest.raises(PromotionError):
        handed.take()


@pytest.mark.parametrize("name", ["scores.json", "candidate/candidate.json", "scores/part-2026-03-01.parquet"])
def test_a_truncated_file_is_refused(handed: Handed, name: str) -> None:
    """Half a record, half a table."""
    path = handed.path(name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    with pytest.raises(PromotionError):
        handed.take()


@pytest.mark.parametrize("name", ["scores.json", "scores", "candidate/model", "candidate"])
def test_a_link_is_refused_wherever_it_stands(handed: Handed, name: str, tmp_path: Path) -> None:
    """A link to the runner's own files would be read and published by a job with credentials."""
    secret = tmp_path / "secret"
    secret.mkdir()
    target = handed.path(name)
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    target.symlink_to(secret)

    with pytest.raises(PromotionError, match="link"):
        handed.take()


def test_a_pipe_is_refused_and_not_waited_for(handed: Handed) -> None:
    """Reading a FIFO would hang the job."""
    os.mkfifo(handed.path("scores") / "part-x.parquet")

    with pytest.raises(PromotionError, match="special file"):
        handed.take()


@pytest.mark.parametrize("limit", ["MAX_FILES", "MAX_BYTES"])
def test_more_than_an_honest_job_sends_is_refused(handed: Handed, limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Number and size of files are bounded."""
    monkeypatch.setattr(module, limit, 3)

    with pytest.raises(PromotionError, match="more than"):
        handed.take()


def test_a_record_of_gigabytes_is_not_read(handed: Handed) -> None:
    """A sparse record of 64 MiB is refused by its size alone."""
    with handed.path("scores.json").open("r+b") as file:
        file.truncate(64 << 20)

    with pytest.raises(PromotionError, match="larger than"):
        handed.take()


def test_what_nobody_asked_for_is_not_taken(handed: Handed) -> None:
    """A job cannot hand over a gate, an evaluation, sources or another folder."""
    for name in ("gate.json", "evaluation.json", "candidate/source/model.yaml", "champion/model/MLmodel", "../x"):
        path = handed.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("tampered")
    handed.take()

    kept = [path for path in handed.work.root.rglob("*") if path.is_file() and b"tampered" in path.read_bytes()]
    assert kept == []


def test_a_model_that_was_trained_before_keeps_the_registrys_files(handed: Handed) -> None:
    """Where nothing was trained, the job hands over scores only: its candidate is ignored."""
    handed.path("candidate/candidate.json").write_text("tampered")
    before = handed.files.candidate_record.read_text()
    take_in(handed.incoming, handed.files, "judge")

    assert handed.files.candidate_record.read_text() == before


def test_the_jobs_own_error_is_what_the_report_says(handed: Handed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training that failed hands its sentence over, cut at a few thousand characters; gate.py exits 1."""
    (handed.incoming / f"trained-{MODEL}" / "error.txt").write_text("train.py raised\n" + "x" * 100_000)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{handed.work.root.parent}/never.db")
    code = gate.main(["--work", str(handed.work.root), "--incoming", str(handed.incoming)])

    assert code == 1
    assert handed.files.error.read_text().startswith("train.py raised")
    assert len(handed.files.error.read_text()) < 5_000


@pytest.mark.parametrize(("name", "job"), [("scores.json", "score"), ("candidate/candidate.json", "train")])
def test_a_job_that_left_neither_result_nor_reason(handed: Handed, name: str, job: str) -> None:
    """It was stopped, or ran out of memory: the sentence names the job whose log to look at."""
    handed.path(name).unlink()

    with pytest.raises(PromotionError, match=rf"its {job} job ended without {Path(name).name} and without a reason"):
        handed.take()


def test_an_answer_job_that_left_no_answers(handed: Handed) -> None:
    """The score job says so for the job before it, and scores nothing."""
    answered = handed.incoming / f"answered-{MODEL}" / "candidate"
    shutil.copytree(handed.path("candidate/table"), answered / "table")

    with pytest.raises(PromotionError, match=r"its answer job ended without answered\.json and without"):
        take_in(handed.incoming, handed.files, "train", "score")


@pytest.mark.parametrize(
    ("other", "shared"),
    [
        (("2026-08-01", "2026-08-07"), False),
        (("2026-08-01", "2026-08-08"), True),
        (("2026-08-10", "2026-08-11"), True),
        (("2026-08-01", "2026-08-30"), True),
        (("2026-08-14", "2026-08-20"), True),
        (("2026-08-15", "2026-08-20"), False),
    ],
)
def test_spans_overlap_where_they_share_a_day(other: tuple[str, str], shared: bool) -> None:
    """A look at a test set counts for every other with one of its days, whichever began first."""
    week = ("2026-08-08", "2026-08-14")

    assert overlaps(*week, *other) is overlaps(*other, *week) is shared


def test_the_log_that_the_comment_shows_is_the_failed_steps_own(handed: Handed, tmp_path: Path) -> None:
    """The score job's sentence and the end of its log come in and are reported; no other step's log is."""
    log = tmp_path / "answer.log"
    log.write_text("x" * 20_000 + "\nOSError: the disk is full\n")
    score_job = ModelWork(handed.incoming / "scored" / MODEL)
    with pytest.raises(PromotionError), score_job.noted():
        raise PromotionError("the answers step raised OSError", log=log)
    with pytest.raises(PromotionError, match="answers step"), handed.files.noted():
        take_in(handed.incoming, handed.files, "train")

    _, (reported,) = collect(handed.work, pinned=False)

    assert reported.error == "the answers step raised OSError"
    assert reported.log_tail is not None and reported.log_tail.endswith("OSError: the disk is full\n")
    assert len(reported.log_tail) <= 8_000
    with handed.files.noted():
        pass
    assert not handed.files.error_log.exists()


def test_a_refused_pull_request_is_not_judged(handed: Handed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was trained for it; the report says so for the model, and why for the pull request."""
    handed.plan.model_copy(update={"refusals": ("it changes tiny together with scripts/",)}).write(handed.work.plan)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{handed.work.root.parent}/never.db")

    assert gate.main(["--work", str(handed.work.root), "--incoming", str(handed.incoming / "none")]) == 1
    assert handed.files.error.read_text() == "not trained, because this pull request is refused as it is\n"
    assert challenge.main(["--work", str(handed.work.root)]) == 1
