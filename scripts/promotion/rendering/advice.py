"""What to do next, for each verdict, and the commands that do it."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from promotion.rendering.reported import Links, Reported, is_green, versions
from promotion.rendering.rows import PowerRow
from promotion.rendering.sentences import WON, looks

OVERRIDE = "A person may override with a reason (`promote.py override`); the pin then says who and why."


@dataclass(frozen=True)
class Commands:
    """Exact commands: `look` at the judgement on one's own machine, and `undo` it after the merge."""

    look: tuple[str, ...] = ()
    undo: str | None = None


NONE = Commands()


def commands(reported: Reported, links: Links, called: str | None = None) -> Commands:
    """The commands for one model; empty where there is nothing to look at or to undo.

    called: whose scripts they are, where the repository has none of its own.
    """
    plan, name = reported.plan, shlex.quote(reported.plan.model)
    if reported.elsewhere:
        return NONE
    scripts, where = ("scripts", ()) if called is None else ("../promotion/scripts", (f"# ../promotion: {called}",))
    root = f" --root {shlex.quote(plan.root)}" if plan.root else ""
    look: tuple[str, ...] = ()
    if plan.action in ("train", "judge"):
        fetch = (f"gh pr checkout {links.number}",) if links.number is not None else ()
        look = (*where, *fetch, f"python {scripts}/retrain.py try {name}{root}")
    old, new = versions(reported)
    moves = is_green(reported) and plan.action in ("train", "judge", "verify") and new is not None and new != old
    back = "none" if old is None else old
    undo = f"python {scripts}/rollback.py {name} --to {back}{root}" if moves else None
    return Commands(look, undo)


def next_steps(
    reported: Reported, word: str, losers: Sequence[str], power: Sequence[PowerRow], *, blocked: bool = False
) -> tuple[str, ...]:
    """The next steps of a person, most useful first. blocked: the whole pull request is refused."""
    won = word in WON
    waits = won or is_green(reported)  # a pin that the branch brought waits as well
    if blocked and (waits or word == "REFUSED"):
        return STEPS["REFUSED"](reported)
    if won and reported.error is not None:
        return (f"The candidate won, but the pin was not written: {reported.error}",)
    if reported.elsewhere:  # a table has no pull request, and no version to put anywhere
        return _inconclusive(reported, power)[:-1] if word == "INCONCLUSIVE" else ()
    if waits and [name for name in losers if name != reported.plan.model]:
        return ("This model waits for the others: take those that lost out of this pull request, or fix them.",)
    if word == "INCONCLUSIVE":
        return _inconclusive(reported, power)
    if reported.plan.held is not None and is_green(reported):
        return ("Do what the warning above asks for, then merge; merged now, promote says the same and moves nothing.",)
    return STEPS[word](reported)


def _won(reported: Reported) -> tuple[str, ...]:
    if not reported.pinned:
        return ("Wait for the pin commit, or run the workflow again if it does not come.",)
    return ("Review and merge (squash or merge commit): merging is the promotion, `git revert` the rollback.",)


def _keep(reported: Reported) -> tuple[str, ...]:
    return (f"Change the candidate and push, or close this pull request. {_looks(reported)}".strip(),)


def _looks(reported: Reported) -> str:
    found = reported.evaluation.looks if reported.evaluation is not None else None
    return "" if found is None or found.number > found.allowed else looks(found.number, found.allowed)


def _inconclusive(reported: Reported, power: Sequence[PowerRow]) -> tuple[str, ...]:
    steps = [_days_needed(row) for row in power if row.power.days_needed is not None][:1]
    steps.append(f"Wait for more days (a later `as_of`), or make a larger difference. {_looks(reported)}".strip())
    return (*steps, OVERRIDE)


def _days_needed(row: PowerRow) -> str:
    return (
        f"These days show a difference in `{row.name.replace('`', '')}` from {row.smallest} on (80% power); "
        f"a worthwhile one{row.worthwhile} needs about {row.days_needed} of test data."
    )


def _rejected(reported: Reported) -> tuple[str, ...]:
    return (
        "Change the model and push. No version was registered; the run with its model and figures is kept in the "
        "tracker.",
    )


def _rollback(reported: Reported) -> tuple[str, ...]:
    return (
        "Review and merge: the older champion serves again within seconds, nothing is retrained.",
        "The scheduled retraining of this model then stays quiet until a person opens a pull request.",
    )


STEPS: dict[str, Callable[[Reported], tuple[str, ...]]] = {
    "PROMOTE": _won,
    "FIRST": _won,
    "SAME": _won,
    "KEEP": _keep,
    "REJECTED": _rejected,
    "ROLLBACK": _rollback,
    "GATE PASSED": lambda reported: (),
    "VERIFIED": lambda reported: ("Review and merge: the pinned version is the one that this tree made.",),
    "RETIRE": lambda reported: ("Merging drops the alias; the versions stay in the registry.",),
    "REFUSED": lambda reported: ("Do what the refusal above says, then push again.",),
    "ERROR": lambda reported: ("Read the end of the log here (the whole of it is in the run), fix it and push.",),
}
