"""What the rules rest on, rules that the policy lets pass by, and models that always say the same."""

import pytest
from promotion.rendering import Reported, comment_markdown, is_green, report_html, terminal_text

from tests.support import samples


def plain(text: str) -> str:
    """`text` without the characters that keep a figure on one line."""
    return text.replace("\u00a0", " ").replace("\u2060", "")


def comment(model: Reported) -> str:
    """Its comment, plain."""
    return plain(comment_markdown([model], plan=samples.PLAN))


def test_a_rule_says_what_it_rests_on() -> None:
    """Clusters that differ, the largest one's share, the result without it, skew, and what could have gone unseen."""
    row = "| `net_benefit superior` | 97 of 312 | 7.4% | +$2,650 | +0.06 | $620 |"

    assert row in comment(samples.promote())


def test_a_bound_in_place_of_replicates_is_said() -> None:
    """Where the interval's end is the exact bound, its row says so."""
    whole = samples.promote()
    first, *others = whole.evaluation.challenge
    exact = first.model_copy(update={"assumptions": first.assumptions.model_copy(update={"exact": True})})
    judged = whole.evaluation.model_copy(update={"challenge": (exact, *others)})

    assert "| $620 (in the interval) |" in comment(Reported(whole.plan, judged, whole.gate, pinned=True))


def test_a_slice_that_passes_by_neither_blocks_nor_is_hidden() -> None:
    """A rule on a slice with too little data has a mark of its own, and is no reason against the candidate."""
    whole = samples.promote()
    thin = whole.evaluation.challenge[1].model_copy(
        update={"slice": "weekend=1", "ok": None, "ruled": False, "reason": "not ruled: only 7 clusters, 30 are needed"}
    )
    judged = whole.evaluation.model_copy(update={"challenge": (*whole.evaluation.challenge, thin)})
    shown = Reported(whole.plan, judged, whole.gate, whole.candidate, whole.scores, pinned=True)
    text = comment(shown)

    assert "| ➖&nbsp;`f1 weekend=1` |" in text and "❓" not in text
    assert "must be" not in text.split("| ➖&nbsp;`f1 weekend=1` |")[1].split("\n")[0]
    assert "not ruled: only 7" not in text.split("<details>")[0]
    assert "not ruled" in terminal_text([shown]) and is_green(shown)


def test_a_first_version_is_held_against_saying_always_the_same() -> None:
    """What flagging nobody and everybody would earn stands beside the figures, of the metrics that rules look at."""
    text = comment(samples.first())

    assert (
        "**Without a model:** flag nobody: net benefit $0, F1 0.000; flag everybody: net benefit −$960,507, F1 0.015."
    ) in text.split("<details>")[0]


@pytest.mark.parametrize("name", ["promote", "rejected"])
def test_against_a_champion_it_is_in_the_fold(name: str) -> None:
    """There is a better comparison, so it gives way."""
    head, folds = comment(samples.every()[name][0]).split("<details>", 1)

    assert "Without a model" not in head and "Without a model: flag nobody" in folds
    assert "Without a model: flag nobody" in plain(report_html(samples.every()[name]))


def test_a_floor_against_saying_always_the_same_has_its_bound() -> None:
    """`above_trivial` is shown as the value to beat."""
    whole = samples.promote()
    floor = whole.evaluation.gate[0].model_copy(update={"rule": "net_benefit above_trivial", "bound": 0.0})
    judged = whole.evaluation.model_copy(update={"gate": (floor, *whole.evaluation.gate[1:])})

    assert "| &gt; $0, difference &gt; $0 |" in comment(Reported(whole.plan, judged, whole.gate, pinned=True))
