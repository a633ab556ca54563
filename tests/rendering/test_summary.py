"""The shorter forms of a report: cut to a limit, one line, a terminal's text, a label."""

from promotion.rendering import Links, comment_markdown, job_summary, labels, summary_line, terminal_text
from promotion.rendering.cut import Block, fit, size

from tests.support import samples


def test_a_long_report_is_cut_between_blocks_and_links_the_rest() -> None:
    """A report over the limit keeps its first lines and says where the rest is."""
    models = [samples.promote() for _ in range(60)]
    text = comment_markdown(models, plan=samples.PLAN, links=Links(report="https://github.com/o/r/actions/runs/1"))

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


def test_labels_say_how_it_came_out() -> None:
    """One label an outcome; where a model lost, the winners' is left out, and an error has none."""
    assert labels(samples.every()["promote"]) == ("promotion: promote",)
    assert labels(samples.every()["rollback"]) == ("promotion: rollback",)
    assert labels(samples.every()["rejected"]) == ("promotion: rejected",)
    assert labels(samples.pair()) == ("promotion: keep",)
    assert labels(samples.every()["broken"]) == labels(samples.every()["promote"], refused=True) == ()
