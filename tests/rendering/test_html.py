"""report.html stands alone: one file, nothing loaded, the figures and pictures of the records."""

import base64
import hashlib
import re
from xml.etree import ElementTree

import pytest
from promotion.rendering import Links, charts, report_html
from promotion.rendering.media import inline
from promotion.text import escape

from tests.support import samples


@pytest.mark.parametrize("name", samples.every())
def test_a_page_loads_nothing_and_runs_its_own_script_alone(name: str) -> None:
    """No stylesheet, font or image from anywhere, and a policy that forbids them and every script but the one."""
    page = report_html(samples.every()[name], plan=samples.PLAN)
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]

    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digests[0]}'\"" in page
    assert len(scripts) == page.count("<script") == 1
    assert not re.search(r"<link|<img|@import|url\(|src=", page)


def test_a_page_shows_the_figures_of_the_comment() -> None:
    """Levels, difference, interval and what merging does are on the page."""
    page = report_html([samples.promote()], plan=samples.PLAN)

    for shown in ("$47,124", "$50,184", "+$3,060", "+$927 to +$5,193", "<code>@champion 3 → 4</code>"):
        assert shown in page


def test_every_picture_is_well_formed() -> None:
    """Each inline SVG parses as XML and keeps its marks within the width."""
    pictures = re.findall(r"<svg.*?</svg>", report_html([samples.inconclusive()], plan=samples.PLAN))

    assert len(pictures) > 15
    for picture in pictures:
        for element in ElementTree.fromstring(picture).iter():
            for key in ("x", "x1", "x2", "cx", "width"):
                assert 0 <= float(element.get(key, "0%").rstrip("%")) <= 100


def test_a_page_links_only_plain_addresses() -> None:
    """A link that is not http or https is left out."""
    page = report_html([samples.keep()], links=Links(run="javascript:alert(1)", pull="https://github.com/o/r/pull/7"))

    assert "javascript:" not in page
    assert '<a href="https://github.com/o/r/pull/7">pull request</a>' in page


def test_ticks_are_round_and_inside() -> None:
    """A scale has a few round ticks within its ends, zero among them where it is inside."""
    scale = charts.Scale.around((-1756.0, 2510.0))
    ticks = scale.ticks()

    assert 2 <= len(ticks) <= 6 and 0 in ticks
    assert all(scale.low <= tick <= scale.high for tick in ticks)


def test_the_text_strip_turns_with_the_better_side() -> None:
    """The allowed side is always on the right, for metrics that are better when lower too."""
    assert charts.strip_text(3.0, (1.0, 5.0), 0.0, "higher") == charts.strip_text(-3.0, (-5.0, -1.0), 0.0, "lower")
    assert charts.strip_text(None, None, 0.0, "higher") == ""


def test_a_refused_pull_request_without_models_is_not_called_fine() -> None:
    """A refusal alone is on the page, and nothing green beside it."""
    page = report_html([], plan=samples.PLAN, refusals=["models/ together with scripts/: split it"])

    assert "✕ REFUSED: models/ together with scripts/: split it" in page
    assert "NOTHING TO JUDGE" not in page


def test_code_in_backticks_survives_and_a_bare_name_is_no_mention() -> None:
    """Our own sentences keep their code, and a bare @champion becomes code."""
    assert escape.markdown("run `git revert` for @champion") == "run `git revert` for `@champion`"
    assert inline("run `git revert`") == "run <code>git revert</code>"
