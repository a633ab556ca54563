"""Floors that only warn: judged like the gate's, in the record, and without a say in the verdict."""

from pathlib import Path

import pytest
from promotion.config.policy import Policy
from promotion.errors import PromotionError
from promotion.judgement.judge import judge_table
from promotion.judgement.metrics import check_policy
from promotion.records.evaluation import Evaluation

from tests.support.policies import policy_from_raw
from tests.support.score_tables import CHALLENGE, GATE, MEASURE, frame


def warned(warn: dict[str, str]) -> Policy:
    """The fraud policy with warnings."""
    return policy_from_raw("fraud-detector", {"measure": MEASURE, "gate": GATE, "warn": warn, "challenge": CHALLENGE})


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A candidate that finds half as much again."""
    path = tmp_path_factory.mktemp("scores") / "part-1.parquet"
    frame(8000, finds=(0.5, 0.95)).to_parquet(path)
    return path


def judged(table: Path, warn: dict[str, str]) -> Evaluation:
    """The judgement with these warnings."""
    return judge_table(table, warned(warn), replicates=1000)


def test_a_missed_warning_blocks_nothing(table: Path) -> None:
    """The verdict is that of the gate and the challenge; the record says how each warning came out, and why."""
    found = judged(table, {"recall": "> 0.5", "precision": "> 0.99", "f1 by weekend": "> 0.2"})

    assert found.verdict == "PROMOTE"
    assert found.warn is not None
    assert [(rule.metric, rule.slice, rule.ok) for rule in found.warn] == [
        ("recall", None, True),
        ("precision", None, False),
        ("f1", "weekend=0", True),
        ("f1", "weekend=1", True),
    ]
    assert "must be > 0.99" in found.warn[1].reason and found.warn[1].interval is not None


def test_a_warning_that_cannot_be_judged_blocks_nothing_either(table: Path) -> None:
    """A slice value that no row has makes the gate's rule an error; a warning fails with the sentence."""
    found = judged(table, {"f1 by weekend=3": "> 0.2"})

    assert found.verdict == "PROMOTE"
    assert found.warn is not None
    assert [rule.ok for rule in found.warn] == [False]
    assert "weekend=3" in found.warn[0].reason


def test_a_policy_without_warnings_has_the_record_of_old(table: Path) -> None:
    """No key is added to a policy or a record that has none, so that digests stay."""
    plain = policy_from_raw("fraud-detector", {"measure": MEASURE, "gate": GATE, "challenge": CHALLENGE})
    found = judge_table(table, plain, replicates=1000)

    assert found.warn is None and '"warn"' not in found.text()
    assert plain.digest != warned({"recall": "> 0.5"}).digest


def test_an_unknown_metric_is_told_before_anything_is_trained() -> None:
    """prepare.py refuses it with its line, as in the gate."""
    with pytest.raises(PromotionError, match=r"promotion.yaml:\d+: a rule on `recal`: .*did you mean `recall`"):
        check_policy(warned({"recal": "> 0.5"}))
