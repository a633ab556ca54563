"""What a reviewer of model risk finds beside the verdict, folded in the comment and on the page."""

import re

import pytest
from promotion.records.figures import Estimate
from promotion.rendering import Reported, comment_markdown, report_html

from tests.support import samples


def plain(text: str) -> str:
    """`text` without the characters that keep a figure on one line."""
    return text.replace("\u00a0", " ").replace("\u2060", "")


def comment(model: Reported) -> str:
    """Its comment, plain."""
    return plain(comment_markdown([model], plan=samples.PLAN))


@pytest.mark.parametrize(
    "title",
    ["If a review cost more or less", "Calibration: slope 0.97", "Drift from training to test: 1 of 4 columns moved"],
)
def test_it_is_folded_away_in_both(title: str) -> None:
    """The comment and the page have each under a summary that says the figure that matters."""
    page = report_html([samples.promote()], plan=samples.PLAN)

    assert f"<summary>{title}" in comment(samples.promote())
    assert f"<summary>{title}" in page
    assert page.count("<details open") == 0


def test_both_models_calibration_is_shown() -> None:
    """Slopes and intercepts with their intervals, then the candidate's bins."""
    text = comment(samples.promote())

    assert "| champion 3 | 0.72 | 0.64 to 0.80 | −0.31 | −0.45 to −0.17 |" in text
    assert "| candidate 4 | 0.97 | 0.88 to 1.06 | +0.05 | −0.09 to +0.19 |" in text
    assert "| 0.101 to 0.199 | 9,940 | 0.140 | 0.120 | 0.070 to 0.200 |" in text


def test_the_cost_at_which_both_are_even_is_named() -> None:
    """Where the models would earn the same at another cost, the fold's title says at which."""
    text = comment(samples.keep())

    assert "<summary>If a review cost more or less: even at 4.65 ×</summary>" in text
    assert "| 1 × | $47,124 | $42,144 | −$4,980 | −$7,113 to −$2,847 |" in text


def test_a_first_version_stands_alone() -> None:
    """Without a champion there is no difference and no second shape."""
    text = comment(samples.first())

    assert re.search(r"\| a review costs \| candidate \d \| interval \|", text)
    assert "| champion" not in text.split("Calibration: slope")[1].split("</details>")[0]


def test_what_moved_most_comes_first() -> None:
    """The scores, then the features by how far they moved, with the bins that moved most."""
    part = comment(samples.promote()).split("Drift from training to test")[1].split("</details>")[0]
    rows = [line for line in part.splitlines() if line.startswith("| `")]

    assert [row.split("`")[1] for row in rows] == [
        "the candidate's scores", "terminal_risk_30_days", "amount", "is_weekend",
    ]  # fmt: skip
    assert "| 0.313 | moved far | up to 0: 97.0% to 84%, 0 to 0.2: 2.0% to 9.0%" in rows[1]


def test_a_slope_that_is_not_there_says_why() -> None:
    """The reason stands in its place."""
    whole = samples.promote()
    found = whole.evaluation.calibration
    flat = found.candidate.model_copy(update={"slope": Estimate(reason="every row has the same score")})
    judged = whole.evaluation.model_copy(update={"calibration": found.model_copy(update={"candidate": flat})})

    assert "Calibration: slope every row has the same score" in comment(Reported(whole.plan, judged, whole.gate))


def test_the_curves_have_bands() -> None:
    """Each curve has an area behind it; a record without ends has none."""
    whole = samples.promote()
    bare = whole.evaluation.curve.model_copy(
        update={"candidate": whole.evaluation.curve.candidate.model_copy(update={"low": None, "high": None})}
    )
    judged = whole.evaluation.model_copy(update={"curve": bare})

    assert report_html([whole]).count('<path class="band ') == 2
    assert report_html([Reported(whole.plan, judged, whole.gate)]).count('<path class="band ') == 1


def test_an_old_record_has_none_of_it() -> None:
    """What an earlier release judged is shown as it was."""
    whole = samples.promote()
    old = whole.evaluation.model_copy(update={"costs": None, "calibration": None, "drift": None})
    text = comment(Reported(whole.plan, old, whole.gate, pinned=True))

    assert "Calibration" not in text and "If a review" not in text and "<summary>Drift" not in text


def test_a_model_without_drift_says_why() -> None:
    """A tree that was trained before, or elsewhere, is judged without its training rows, which nobody keeps."""
    whole = samples.promote()
    judged = whole.evaluation.model_copy(update={"drift": None})

    def said(**changes) -> str:
        return comment(Reported(whole.plan.model_copy(update=changes), judged, whole.gate, pinned=True))

    assert "drift from training to test (it was trained in an earlier run, and training rows" in said(action="judge")
    assert "drift from training to test (it was trained elsewhere" in said(elsewhere="f3d1c2")
    assert "drift from training" not in comment(whole)
