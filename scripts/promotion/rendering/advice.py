"""What to do next, for each verdict."""

from collections.abc import Sequence
from functools import partial

from promotion.records import RuleResult
from promotion.rendering.reported import Reported
from promotion.rendering.rows import PowerRow, power_row, rule_row
from promotion.text import figures as text


def next_steps(reported: Reported, word: str, losers: Sequence[str]) -> tuple[str, ...]:
    """The next steps of a person, most useful first."""
    if reported.error is not None and word in ("PROMOTE", "FIRST", "SAME"):
        return (f"The candidate won, but the pin was not written: {reported.error}",)
    if reported.elsewhere and word in ("PROMOTE", "FIRST", "SAME"):
        return ()
    steps = {
        "PROMOTE": _won,
        "FIRST": _won,
        "SAME": _won,
        "KEEP": _keep,
        "INCONCLUSIVE": _inconclusive,
        "REJECTED": _rejected,
        "ROLLBACK": _rollback,
        "VERIFIED": lambda r: ("Review and merge: the pinned version is the one that this tree made.",),
        "RETIRE": lambda r: ("Merging drops the alias; the versions stay in the registry.",),
        "REFUSED": lambda r: ("Do what the reason above says, then push again.",),
        "ERROR": _error,
    }[word](reported)
    others = [name for name in losers if name != reported.plan.model]
    if word in ("PROMOTE", "FIRST", "SAME") and others:
        return ("This model waits for the others: take those that lost out of this pull request, or fix them.",)
    return steps


def _won(reported: Reported) -> tuple[str, ...]:
    if not reported.pinned:
        return ("Wait for the pin commit, or run the workflow again if it does not come.",)
    return (
        "Review and merge (squash or merge commit): merging is the promotion.",
        "If it turns out badly, `git revert` of the merge is the rollback.",
    )


def _keep(reported: Reported) -> tuple[str, ...]:
    failed = [r for r in reported.evaluation.challenge if r.ok is False] if reported.evaluation else []
    why = _listed(failed)
    return (
        f"The champion stays{f': the candidate fails {why}' if why else ''}.",
        "Change the candidate and push, or close this pull request; each new candidate uses a look.",
    )


def _inconclusive(reported: Reported) -> tuple[str, ...]:
    evaluation = reported.evaluation
    steps = []
    if evaluation is not None:
        unsettled = _listed([r for r in evaluation.challenge if r.ok is None])
        if unsettled:
            steps.append(f"Nothing failed, but these test days do not settle {unsettled}.")
        steps += [_days_needed(row) for row in map(partial(power_row, evaluation=evaluation), evaluation.power)]
    steps.append("Wait for more days (a later `as_of`, or a longer `test_days`), or make a larger difference.")
    steps.append("A person may override with a reason; the pin then says who and why.")
    return tuple(step for step in steps if step)


def _days_needed(row: PowerRow) -> str:
    if row.power.days_needed is None:
        return ""
    return (
        f"The smallest difference that this set can show in `{row.name.replace('`', '')}` is {row.smallest} "
        f"(80% power); a worthwhile one{row.worthwhile} needs about {row.days_needed} of test data."
    )


def _rejected(reported: Reported) -> tuple[str, ...]:
    rules = reported.evaluation.gate if reported.evaluation else reported.gate.rules if reported.gate else ()
    steps = []
    for rule in rules:
        if rule.ok is True:
            continue
        row = rule_row(rule, reported)
        if rule.value is None or rule.bound is None or rule.kind != "floor":
            steps.append(f"`{row.name.replace('`', '')}`: {rule.reason}")
            continue
        digits = text.digits_apart(rule.value, rule.bound, row.unit)
        missed = text.figure(abs(rule.bound - rule.value), row.unit, digits=digits)
        steps.append(f"`{rule.metric}` is {row.value} and must be {row.bound}: missed by {missed}.")
    steps.append(
        "No version was registered; the run with its model and figures is kept in the tracker. "
        "Change the model and push."
    )
    return tuple(steps)


def _rollback(reported: Reported) -> tuple[str, ...]:
    return (
        "Review and merge: the older champion serves again within seconds, nothing is retrained.",
        "The scheduled retraining of this model then stays quiet until a person opens a pull request.",
    )


def _error(reported: Reported) -> tuple[str, ...]:
    name = reported.plan.model
    return (
        "Read the end of the log here (the whole of it is in the workflow run), fix it and push.",
        f"To repeat it on a laptop: `python scripts/retrain.py try {name.replace('`', '')}`",
    )


def _listed(rules: Sequence[RuleResult]) -> str:
    return ", ".join(f"`{rule.rule.replace('`', '')}`" for rule in rules[:5])
