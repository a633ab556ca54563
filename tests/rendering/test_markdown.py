"""The comment says, in this order: what to beware of, the verdict, what merging does, why, and what to do."""

import pytest
from promotion.records import Plan
from promotion.rendering import Reported, comment_markdown, is_green, job_summary, summary_line, terminal_text
from promotion.rendering.cut import Block, fit, size

from tests.support import samples


def comment(*models: Reported, **options: object) -> str:
    """The comment on a pull request with `models`."""
    return comment_markdown(models, plan=samples.PLAN, **options)


@pytest.mark.parametrize(
    ("name", "heading"),
    [
        ("promote", "## ✅ PROMOTE · `fraud-detector`"),
        ("keep", "## ✋ KEEP · `fraud-detector`"),
        ("inconclusive", "## ❓ INCONCLUSIVE · `fraud-detector`"),
        ("rejected", "## ❌ REJECTED · `fraud-detector`"),
        ("first", "## ✅ FIRST · `fraud-detector`"),
        ("same", "## ✅ SAME · `fraud-detector`"),
        ("rollback", "## ⏪ ROLLBACK · `fraud-detector`"),
        ("verified", "## ✅ VERIFIED · `fraud-detector`"),
        ("retired", "## ⏹️ RETIRE · `fraud-detector`"),
        ("refused", "## 🚫 REFUSED · `fraud-detector`"),
        ("broken", "## ⚠️ ERROR · `fraud-detector`"),
        ("pair", "## ❌ Nothing is pinned: 1 of 2 models did not win"),
    ],
)
def test_the_verdict_is_an_icon_and_a_word(name: str, heading: str) -> None:
    """Each verdict and action has its own heading, readable without colour."""
    assert heading in comment(*samples.every()[name]).split("\n")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("promote", "**Merging moves `@champion 3 → 4`.**"),
        ("keep", "**Merging is blocked; `@champion` stays 3.**"),
        ("rejected", "**Merging is blocked; `@champion` stays 3.**"),
        ("first", "**Merging makes version 1 the first champion: `@champion none → 1`.**"),
        ("same", "so users see no change.**"),
        ("rollback", "**Merging: `@champion 4 → 3`, rollback to the champion of 2018-08-15, merged in #\u200b12.**"),
        ("verified", "**Merging: `@champion 3 → 4`.**"),
        ("retired", "**Merging: `@champion` is dropped.**"),
    ],
)
def test_what_merging_does(name: str, sentence: str) -> None:
    """One sentence says what happens to users on merge."""
    assert sentence in comment(*samples.every()[name])


def test_a_win_says_by_how_much_and_how_sure() -> None:
    """Both levels and the difference with its interval stand in the first lines."""
    head = "\n".join(comment(samples.promote()).split("\n")[:8])

    assert "$47,124 → $50,184" in head
    assert "+$3,060" in head and "+$927 to +$5,193" in head


def test_rules_are_one_table() -> None:
    """Rule, value, what it must be, interval and reason in one row."""
    row = "| ✅ pass | `net_benefit superior` | **+$3,060** | above $0 | +$927 to +$5,193 | the whole interval"

    assert row in comment(samples.promote()).replace("\u00a0", " ").replace("\u2060", "")


def test_warnings_come_before_the_verdict() -> None:
    """What changes the meaning of the figures, or was rolled back, is read first."""
    text = comment(samples.reoffered())

    assert text.split("\n")[1] == "> [!WARNING]"
    assert text.index("rolled back on") < text.index("## ✅ PROMOTE")
    assert text.index("changes what is measured") < text.index("## ✅ PROMOTE")


def test_refusals_of_the_pull_request_come_first_and_block() -> None:
    """A refused pull request says so above a verdict that would have won."""
    text = comment(samples.promote(pinned=False), refusals=["it touches models/ together with scripts/: split it"])

    assert text.index("REFUSED") < text.index("PROMOTE")
    assert "Nothing is pinned because this pull request is refused; `@champion` stays 3." in text


def test_one_loser_keeps_every_model_unpinned() -> None:
    """With several models the overview names the one that lost."""
    text = comment(*samples.pair())

    assert "**Nothing is pinned because `chargeback-amount` lost.**" in text
    assert "Nothing is pinned because `chargeback-amount` lost; merging is blocked" in text


def test_a_winner_without_its_pin_is_not_green() -> None:
    """Until the pin is on the branch the tree must not reach main."""
    assert is_green(samples.promote())
    assert not is_green(samples.promote(pinned=False))
    assert "Not pinned yet" in comment(samples.promote(pinned=False))


def test_what_was_not_judged_is_an_error() -> None:
    """A planned model without any record fails closed."""
    missing = Reported(samples.model_plan())

    assert not is_green(missing)
    assert "## ⚠️ ERROR" in comment(missing)
    assert "its evaluation is missing" in comment(missing)


def test_a_rejection_says_by_how_much_it_missed() -> None:
    """Each failed floor is named with the distance to it."""
    text = comment(samples.rejected())

    assert "`net_benefit` is $39,104 and must be &gt; $40,000: missed by $896." in text
    assert "`f1` is 0.187 and must be &gt; 0.200: missed by 0.013." in text


def test_inconclusive_says_what_the_set_can_show_and_the_days_needed() -> None:
    """The smallest difference and the days for a worthwhile one, from the record of the power."""
    text = comment(samples.inconclusive())

    assert "is $2,830 (80% power); a worthwhile one ($1,000) needs about 19 days" in text
    assert "Look 5 of 5 on these test days: the last one" in text


def test_models_that_are_not_touched_are_left_out() -> None:
    """A repository of many models shows the one that the pull request is about."""
    text = comment(*[samples.untouched()] * 50, samples.promote())

    assert "## ✅ PROMOTE · `fraud-detector`" in text and "NOTHING" not in text


def test_a_verified_pin_beside_a_loser_is_blocked_too() -> None:
    """What merging would do is not promised while another model keeps the pull request red."""
    loser = samples.pair()[1]
    text = comment(samples.rollback(), loser)

    assert "**Merging is blocked because `chargeback-amount` lost; unblocked, it means: `@champion 4 → 3`" in text


def test_no_models_is_one_green_line() -> None:
    """A pull request without models is not bothered."""
    text = comment()

    assert text.split("\n")[1].startswith("✅ **Nothing to judge:**")
    assert comment(samples.untouched()) == text
    assert summary_line([]) == "No model changes in this pull request"


def test_a_long_report_is_cut_between_blocks_and_links_the_rest() -> None:
    """A report over the limit keeps its first lines and says where the rest is."""
    models = [samples.promote() for _ in range(60)]
    text = comment(*models, report_url="https://github.com/o/r/actions/runs/1")

    assert size(text) <= 65_000
    assert "the rest is in [the full report](<https://github.com/o/r/actions/runs/1>)" in text
    assert text.count("<details>") == text.count("</details>") and text.count("```") % 2 == 0
    assert "All 60 models may be merged" in text


def test_the_summary_may_be_longer_than_the_comment() -> None:
    """The job summary has its own limit and no marker."""
    models = [samples.promote() for _ in range(20)]

    assert len(job_summary(models, plan=samples.PLAN)) > 65_000
    assert not job_summary(models, plan=samples.PLAN).startswith("<!--")


def test_cutting_leaves_out_the_least_important_first() -> None:
    """Importance decides, and among equals the later one goes; the first block and the footer stay."""
    blocks = [Block("head"), Block("x" * 50, 2), Block("y" * 50, 1), Block("z" * 50, 2)]

    assert fit(blocks, 140, footer="foot", shortened="cut").split() == ["head", "x" * 50, "y" * 50, "cut", "foot"]
    assert fit(blocks, 80, footer="foot", shortened="cut").split() == ["head", "y" * 50, "cut", "foot"]
    assert fit(blocks, 1, footer="foot", shortened="cut").split() == ["head", "cut", "foot"]


def test_the_status_line_of_each_outcome() -> None:
    """A commit status says the verdict, the figure and the move."""
    assert summary_line([samples.promote()]) == (
        "PROMOTE: fraud-detector net_benefit +$3,060 (+$927 to +$5,193), @champion 3 → 4"
    )
    assert summary_line([samples.promote(pinned=False)]).endswith(", not pinned")
    assert summary_line(samples.pair()) == "Not to be merged: chargeback-amount KEEP, fraud-detector PROMOTE"
    assert summary_line([samples.promote()], refusals=["split it"]) == "REFUSED: split it"


def test_a_trial_promises_nothing_about_merging() -> None:
    """retrain.py try judges like the pull request would and says that nothing was written."""
    text = terminal_text([samples.promote(pinned=False)])

    assert "✓ PROMOTE  fraud-detector" in text
    assert "nothing was registered" in text and "Merging" not in text


def test_lower_is_better_points_the_right_way() -> None:
    """For a cost, less is better: the bound is an upper one and a falling day is a gain."""
    text = comment(samples.regression()).replace("\u00a0", " ").replace("\u2060", "")

    assert "| below 0 bed days | −140.2 to −26.1 bed days |" in text
    assert "| 2024-05-06 | 300.0 bed days | 280.0 bed days | −20.0 bed days |  | ████████████ |" in text


def test_the_same_records_give_the_same_bytes() -> None:
    """Rendering is pure."""
    plan = Plan.parse(samples.PLAN.text(), where="plan.json")

    assert comment_markdown([samples.keep()], plan=plan) == comment(samples.keep())
