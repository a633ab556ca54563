"""What a candidate may need of its callers, and that a new column can win once they send it."""

import re
from pathlib import Path

import pytest
from challenge import new_inputs, signature_rule
from promotion.sandbox.mlmodel import Column

from tests.support.tiny import TinyProject

CHAMPION = (Column("amount", "double"), Column("note", "string", required=False))


@pytest.mark.parametrize(
    ("candidate", "declared", "ok", "says"),
    [
        (CHAMPION, (), True, "needs no more than callers send"),
        (CHAMPION[:1], (), True, "no more"),
        ((*CHAMPION, Column("age", "long")), (), False, r"do not send age; .* request of its own: `inputs: \[age\]`"),
        ((*CHAMPION, Column("age", "long")), ("age",), True, "no more"),
        ((*CHAMPION, Column("age", "long", required=False)), (), True, "no more"),
        ((Column("note", "string"),), (), False, "do not send note"),
        ((Column("note", "string"),), ("note",), True, "no more"),
        ((Column("amount", "string"),), ("amount",), False, "the type of amount differs from what callers send"),
        (None, ("age",), False, "the candidate has no signature"),
    ],
)  # fmt: skip
def test_a_candidate_needs_no_more_than_callers_send(
    candidate: tuple[Column, ...] | None, declared: tuple[str, ...], ok: bool, says: str
) -> None:
    """What the champion needs is sent, and what promotion.yaml declares; optional columns need no line."""
    found = signature_rule(CHAMPION, candidate, declared)

    assert found.ok is ok
    assert re.search(says, found.reason), found.reason


def test_a_champion_without_a_signature_is_spoken_for_by_promotion_yaml() -> None:
    """An adopted champion may have none: then the policy alone says what callers send."""
    candidate = (Column("amount", "double"),)

    assert signature_rule(None, candidate).ok is False
    assert signature_rule(None, candidate, ("amount",)).ok is True
    assert signature_rule(None, candidate, ("age",)).ok is False


def test_the_report_names_new_columns() -> None:
    """Which they are, of which type, and whether callers send them; none are no sentence."""
    new = (*CHAMPION, Column("age", "long"), Column("hint", "double", required=False), Column("odd", "long"))

    assert new_inputs(CHAMPION, new, ("age",)) == (
        "New columns, which the champion does not know: age: long (needed; promotion.yaml says that callers send it); "
        "hint: double (may be sent or not)."
    )
    assert new_inputs(CHAMPION, CHAMPION, ("age",)) == ""


@pytest.mark.slow
def test_a_new_column_wins_once_callers_send_it(tmp_path: Path) -> None:
    """Refused, then declared in a pull request of its own, then judged again without training, and it wins."""
    project = TinyProject(tmp_path)
    project.edit("data.py", 'X=table[["hint", "clue"]]', 'X=table[["hint"]]')
    first = project.judge(project.open("first"))
    project.merge(first.request)
    assert project.promote()
    project.hosting.pull()
    project.edit("data.py", 'X=table[["hint"]]', 'X=table[["hint", "clue"]]')
    project.edit("model.yaml", "[hint]", "[hint, clue]")
    wider = project.open("wider")

    refused = project.judge(wider)
    assert refused.evaluation is not None and refused.evaluation.verdict == "KEEP"
    assert "inputs: [clue]" in (refused.work.root / "comment.md").read_text(encoding="utf-8")

    project.hosting.pull()
    project.edit("promotion.yaml", "    gate:", "    inputs: [clue]\n    gate:")
    project.merge(project.open("callers-send-it"))
    again = project.judge(wider, pin=False)
    assert again.action == "judge"
    assert again.evaluation is not None and again.evaluation.verdict == "PROMOTE"
    comment = (again.work.root / "comment.md").read_text(encoding="utf-8")
    assert "clue: double (needed; promotion.yaml says that callers send it)" in comment
