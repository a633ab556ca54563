"""What a report says in sentences: the verdict with its dollars, why, what merging does, how far it reaches."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from promotion.records.evaluation import Evaluation
from promotion.rendering.reported import STATUSES, Reported, Status, names, versions
from promotion.rendering.rows import OUTCOMES, Hero, Outcome, RuleRow
from promotion.rendering.terms import Terms
from promotion.text import figures as text

SPOKEN = {"rmse": "RMSE", "mae": "MAE", "r2": "R²", "roc_auc": "ROC AUC", "f1": "F1"}
WON = ("PROMOTE", "FIRST", "SAME")


def spoken(metric: str) -> str:
    """A metric's name in a sentence: `net benefit`, `F1`."""
    return SPOKEN.get(metric, metric.replace("_", " "))


def capital(words: str) -> str:
    """A sentence's first letter."""
    return words[:1].upper() + words[1:]


def ended(words: str) -> str:
    """`words` with a full stop, unless they end with a mark already."""
    return words if words[-1:] in ("", ".", "!", "?", ":", ";") else words + "."


def verdict(reported: Reported, shown: Status, hero: Hero | None, rules: Sequence[RuleRow], terms: Terms) -> str:
    """What was found, with its dollars and its confidence, in one sentence."""
    said = _found(reported, shown, hero, rules, terms)
    return ended(capital(said)) if said else ""


def _found(reported: Reported, shown: Status, hero: Hero | None, rules: Sequence[RuleRow], terms: Terms) -> str:
    plan, evaluation = reported.plan, reported.evaluation
    if plan.action == "refuse" or (evaluation is None and shown not in (STATUSES["REJECTED"], STATUSES["ERROR"])):
        return plan.reason
    if shown is STATUSES["ERROR"]:
        return f"this {'pin could not be verified' if plan.action == 'verify' else 'model could not be judged'}"
    if shown is STATUSES["REJECTED"]:
        return _rejected(reported, rules)
    if evaluation is None or hero is None:
        return plan.reason if evaluation is None else evaluation.headline
    if evaluation.verdict == "SAME":
        rows = text.count(evaluation.test.rows)
        return (
            f"the same predictions as {_against(reported)} on all {rows} rows, so {spoken(hero.metric)} stays as it is"
        )
    return _figures(reported, hero, terms) + _others(evaluation, hero)


def _figures(reported: Reported, hero: Hero, terms: Terms) -> str:
    """`net benefit +$3,060 against version 3 in 7 test days ($4 → $5), between +$927 and … with 95% confidence`."""
    name, days = spoken(hero.metric), f" in {text.plural(terms.test_days, 'test day')}" if terms.test_days else ""
    ends: str | None
    if hero.difference is None:
        said, ends = f"{name} {hero.candidate}{days}", hero.candidate_interval
    else:
        levels = f"{hero.champion} → {hero.candidate}"
        said, ends = f"{name} {hero.difference} against {_against(reported)}{days} ({levels})", hero.interval
    if ends and ends != text.MISSING:
        level = "" if terms.confidence is None else f" with {text.confidence(terms.confidence)} confidence"
        said += f", between {ends.replace(' to ', ' and ')}{level}"
    return said


def _others(evaluation: Evaluation, hero: Hero) -> str:
    """`; F1 fails`: the metrics beside the first one that decide."""
    rules = [rule for rule in evaluation.challenge if rule.metric not in (None, hero.metric)]
    failed = dict.fromkeys(spoken(rule.metric or "") for rule in rules if rule.ok is False)
    open_ones = [rule for rule in rules if rule.ok is None and rule.ruled is not False]
    unsettled = dict.fromkeys(spoken(rule.metric or "") for rule in open_ones)
    if evaluation.verdict == "KEEP" and failed:
        return f"; {', '.join(failed)} {'fails' if len(failed) == 1 else 'fail'}"
    if evaluation.verdict == "INCONCLUSIVE" and unsettled:
        return f"; {', '.join(unsettled)} {'is' if len(unsettled) == 1 else 'are'} not settled"
    return ""


def _against(reported: Reported) -> str:
    champion = reported.evaluation.champion if reported.evaluation is not None else None
    return "the champion" if champion is None or champion.version is None else f"version {champion.version}"


def _rejected(reported: Reported, rules: Sequence[RuleRow]) -> str:
    missed = [_missed(row) for row in rules if _blocks(row) and row.result.ok is not True]
    if missed:
        return "below the gate: " + "; ".join(missed)
    return reported.gate.reason if reported.gate is not None else "there is no floor to pass"


def _blocks(row: RuleRow) -> bool:
    return row.result.kind == "floor" and not row.warns


def _missed(row: RuleRow) -> str:
    """`net benefit is $39,104 and must be > $40,000, missed by $896`, or why it could not be computed."""
    rule = row.result
    if rule.value is None or rule.bound is None:
        return rule.reason
    digits = text.digits_apart(rule.value, rule.bound, row.unit)
    missed = text.figure(abs(rule.bound - rule.value), row.unit, digits=digits)
    where = "" if rule.slice is None else f" on {rule.slice}"
    return f"{spoken(rule.metric or '')}{where} is {row.value} and must be {row.bound}, missed by {missed}"


def _advice(row: RuleRow) -> str:
    rule = row.result
    if rule.value is None:
        return rule.reason
    where = "" if rule.slice is None else f" on {rule.slice}"
    return f"{spoken(rule.metric or '')}{where} is {row.value} and {row.missed}"


@dataclass(frozen=True)
class Reason:
    """Why a candidate did not win: how one rule came out, and the rule's reason."""

    outcome: Outcome
    text: str


def reasons(reported: Reported, shown: Status, rules: Sequence[RuleRow]) -> tuple[Reason, ...]:
    """Why the candidate did not win, a line a rule of the challenge, and the warnings; floors are in the verdict."""
    evaluation = reported.evaluation
    found = []
    if evaluation is not None and evaluation.looks is not None and evaluation.looks.number > evaluation.looks.allowed:
        found.append(Reason(OUTCOMES[None], looks(evaluation.looks.number, evaluation.looks.allowed)))
    if shown is not STATUSES["REJECTED"]:
        found += [
            Reason(row.outcome, f"`{row.name.replace('`', '')}`: {row.reason}")
            for row in rules
            if row.result.kind != "floor" and row.result.ok is not True and row.result.ruled is not False
        ]
    found += [
        Reason(row.outcome, f"{_advice(row)}: a warning, which blocks nothing")
        for row in rules
        if row.warns and row.result.ok is not True
    ]
    return tuple(found)


def merge(reported: Reported, shown: Status, losers: Sequence[str], *, blocked: bool) -> str:
    """What merging does to users, in one sentence."""
    old, new = versions(reported)
    stays = "there is still no `@champion`" if old is None else f"`@champion` stays {old}"
    plan = reported.plan
    if reported.elsewhere:
        return "A table was judged: nothing is registered or pinned, and no champion moves."
    if plan.gate_alone and plan.action in ("train", "judge"):
        return "Merging is blocked: it met the gate alone, and no champion was challenged."
    if not shown.green or reported.error is not None:
        return f"Merging is blocked; {stays}."
    if plan.action in ("none", "verify"):
        if plan.held is not None:
            effect, means = f" {_held(new, stays)}", ""
        else:
            effect, means = f": {arrow(plan.merge_effect or 'nothing changes')}", " means"
        if losers or blocked:
            return f"Merging is blocked{_because(losers)}; unblocked, it{means}{effect}."
        return f"Merging{effect}."
    if plan.held is not None:
        move = _held(new, stays)
    elif shown is STATUSES["FIRST"] and new is not None:
        move = f"makes version {new} the first champion: `@champion none → {new}`"
    else:
        to = new if new is not None else "the version that is registered"
        move = f"moves `@champion {'none' if old is None else old} → {to}`"
    same = ", and users see no change" if shown is STATUSES["SAME"] else ""
    if reported.pinned:
        return f"Merging {move}{same}."
    if losers:
        return f"Nothing is pinned because {names(losers)} lost; merging is blocked and {stays}."
    if blocked:
        return f"Nothing is pinned because this pull request is refused; {stays}."
    return f"Not pinned yet: merging is blocked until the pin is on the branch; then merging {move}{same}."


def _held(new: int | None, stays: str) -> str:
    """What merging does while promote moves nothing."""
    return f"{'drops the pin' if new is None else f'pins version {new}'}, and {stays}"


def _because(losers: Sequence[str]) -> str:
    return f" because {names(losers)} lost" if losers else ""


def arrow(words: str) -> str:
    """`@champion 3 -> 4` as code with an arrow; the rest as it is."""
    return re.sub(r"`?@champion (\w+) -> (\w+)`?", r"`@champion \1 → \2`", words).rstrip(".")


def looks(number: int, allowed: int) -> str:
    """How worn the test days are."""
    if number > allowed:
        judged = text.plural(allowed, "candidate was", "candidates were")
        return f"These test days are used up: {judged} judged on them before this one; move `as_of` to newer days."
    if number == allowed:
        return (
            f"Look {number} of {allowed} on these test days, the last one: a further candidate needs a newer `as_of`."
        )
    more = text.plural(allowed - number, "more candidate")
    return f"Look {number} of {allowed} on these test days: {more} may be judged on them."


def reach(evaluation: Evaluation, terms: Terms) -> tuple[str, ...]:
    """What the interval is about, and over how many looks its confidence holds."""
    test = evaluation.test
    who = "these two fitted models" if evaluation.champion is not None else "this fitted model"
    found = [
        f"The interval is about {who} in this window ({test.first} to {test.last}): not about the recipe, "
        "not about next month."
    ]
    if terms.looks is not None and terms.looks > 1:
        found.append(
            f"The confidence holds for all {terms.looks} looks at these test days together, so each interval is wider "
            "than that of a single look."
        )
    return tuple(found)
