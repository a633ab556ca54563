"""Models of a pull request that are not judged: pins that go back, are dropped or refused, and what failed."""

from promotion.records.plan import Changed, FileChange
from promotion.rendering import Reported

from tests.support.sample_parts import PIN_NEW, PIN_OLD, TREE_OLD, changed, model_plan


def rollback() -> Reported:
    """A revert of the last promotion."""
    plan = model_plan(
        action="verify",
        reason="this version was champion before; version 4 goes, of which net benefit was promised +$3,060 (+$927 to "
        "+$5,193) and realized −$5,398 (−$7,921 to −$2,910)",
        source_tree=TREE_OLD,
        champion=PIN_NEW,
        pin=PIN_OLD,
        changed=Changed(
            settings=tuple((key, after, before) for key, before, after in changed().settings),
            files=tuple(FileChange(path=f.path, added=f.removed, removed=f.added) for f in changed().files),
        ),
        merge_effect="@champion 4 -> 3, rollback to the champion of 2018-08-15, merged in #12",
    )
    return Reported(plan)


def retired() -> Reported:
    """A model whose entry and folder are removed: its alias goes."""
    plan = model_plan(
        action="none",
        reason="removed together with its folder",
        source_tree=None,
        key=None,
        pin=None,
        changed=None,
        merge_effect="@champion is dropped",
    )
    return Reported(plan)


def refused() -> Reported:
    """A pin without its code."""
    plan = model_plan(
        action="refuse",
        reason="the pin moves to version 2 but the code does not; "
        "run `python scripts/rollback.py fraud-detector --to 2`, which brings both",
        pin=PIN_OLD.model_copy(update={"version": 2}),
    )
    return Reported(plan)


def broken() -> Reported:
    """train.py raised."""
    tail = (
        'Traceback (most recent call last):\n  File "models/fraud-detector/train.py", line 31, in fit\n'
        "    model.fit(train.X, train.y)\nValueError: Input X contains NaN.\n```\n::error::not a command\n"
    )
    return Reported(
        model_plan(),
        error="models/fraud-detector/train.py raised ValueError: Input X contains NaN.; its log ends below",
        log_tail=tail,
    )


def untouched() -> Reported:
    """A model that this pull request does not touch."""
    return Reported(model_plan(action="none", reason="neither its tree nor its pin differs from the base"))
