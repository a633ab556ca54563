"""The history page: what was promised and realized, every pull request's verdict, and nothing that is not known."""

import re

import pytest
from promotion.rendering.history import history_html
from promotion.timeline import History, Tried

from tests.support import sample_history as samples
from tests.support.hostile import EVERYTHING


def page(models: tuple[History, ...]) -> str:
    """The page of some models."""
    return history_html(models, commit=samples.COMMIT, when=samples.WHEN, web=samples.WEB)


def texts(html: str) -> str:
    """What a reader sees, without markup."""
    said = re.sub(r"<[^>]+>", " ", html.split("</style>")[1]).replace("\u2060", "")
    return re.sub(r"\s+", " ", said)


def test_the_share_that_the_gate_rejects_is_this_projects_own() -> None:
    """Two of eight candidates."""
    said = texts(page((samples.fraud(),)))

    assert "rejected at the gate 25% 2 of 8 candidates" in said
    assert "promotions 3" in said and "rollbacks 2 and 1 override" in said


def test_promised_and_realized_stand_side_by_side() -> None:
    """Of each promotion: what the judgement said, and what its newest look found, each with its interval."""
    said = texts(page((samples.fraud(),)))

    assert "✓ PROMOTE +$3,060 +$960 to +$5,160 +$3,177 +$1,077 to +$5,277, look 2 of 8" in said
    assert "+$5,210 +$3,110 to +$7,310 −$6,120 −$8,120 to −$4,120, look 2 of 8" in said


def test_every_pull_request_has_its_verdict_and_its_link() -> None:
    """Those that were not merged too; where nobody recorded the number it says so."""
    html = page((samples.fraud(),))

    for number in (1, 2, 3, 4, 5, 7):
        assert f'<a href="{samples.WEB}/pull/{number}">#{number}</a>' in html
    for word in ("FIRST", "PROMOTE", "KEEP", "INCONCLUSIVE", "REJECTED", "NOT FINISHED"):
        assert word in texts(html)
    assert "unknown" in texts(html)


def test_the_time_to_production_is_from_the_first_commit() -> None:
    """25 hours, 25 hours and a bit, and 25 days: the median, and each at its row."""
    said = texts(page((samples.fraud(),)))

    assert "from pull request to production 25.1 h median of 3" in said
    assert "26 days after its first commit" in said


def test_looks_left_are_those_of_the_test_days_and_of_the_promotion() -> None:
    """Two more candidates on these days; the rollback has had no look, so all eight are left."""
    assert "2 of 5 candidates, 8 of 8 after the merge" in texts(page((samples.fraud(),)))


def test_a_ledger_that_cannot_be_read_is_said() -> None:
    """One model's trouble is its own."""
    said = texts(page(samples.every()["many"]))

    assert "the tag promotion.ledger.00000007 is not what was written" in said
    assert "diabetes-progression" in said and "It has had no champion yet." in said


@pytest.mark.parametrize("name", samples.every())
def test_it_loads_nothing(name: str) -> None:
    """One file, whose own policy lets nothing else in."""
    html = page(samples.every()[name])

    assert "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-" in html
    assert html.count("<script") == 1
    assert not re.search(r"<link|<img|@import|url\(|src=", html)


def test_hostile_text_is_text() -> None:
    """Reasons, notes, authors and addresses come from people and from tags."""
    move = samples.move("2026-08-02T10:00:00Z", None, 1, EVERYTHING, 1, note=EVERYTHING)
    move = move.model_copy(update={"author": EVERYTHING, "subject": EVERYTHING})
    told = {"verdict": EVERYTHING, "reason": EVERYTHING, "pull": "javascript:alert(1)"}
    tried = Tried(run="r", at="2026-08-01T00:00:00Z", rejected=True, **told)
    html = page((History(model="m", champion=1, moves=(move,), tried=(tried,), trouble=EVERYTHING),))

    links = re.findall(r'href="([^"]*)"', html)

    assert links == ["#model-1", f"{samples.WEB}/pull/1"]
    assert html.count("<script") == 1 and not re.search(r"<(img|b|i|style x)\b", html)


@pytest.mark.slow
def test_a_thousand_models_are_one_page() -> None:
    """Rows, not pictures."""
    many = tuple(samples.fraud().model_copy(update={"model": f"m{number:04d}"}) for number in range(1000))

    assert page(many).count('<section class="card" id="model-') == 1000
