"""What a report says about each model, as plain text and records: Markdown, HTML and terminal all render this.

Every figure comes from a record; the only arithmetic is the difference of two printed figures (a
day's two values, a floor and what it was missed by).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from promotion.records import (
    WINNING,
    Candidate,
    Comparison,
    Evaluation,
    Gate,
    ModelPlan,
    Plan,
    Power,
    RuleResult,
    ScoresInfo,
)
from promotion.rendering import text


@dataclass(frozen=True)
class Reported:
    """Everything known about one model of a pull request when it is reported.

    pinned: the winning version is pinned on the branch. error: why a step failed. log_tail: the end
    of that step's log, as it came.
    """

    plan: ModelPlan
    evaluation: Evaluation | None = None
    gate: Gate | None = None
    candidate: Candidate | None = None
    scores: ScoresInfo | None = None
    pinned: bool = False
    error: str | None = None
    log_tail: str | None = None


@dataclass(frozen=True)
class Status:
    """A verdict as it is shown: an icon and a word that need no colour, and a tone for those who see it."""

    word: str
    icon: str
    glyph: str
    tone: str
    green: bool


STATUSES = {
    "PROMOTE": Status("PROMOTE", "✅", "✓", "good", True),
    "FIRST": Status("FIRST", "✅", "✓", "good", True),
    "SAME": Status("SAME", "✅", "=", "good", True),
    "KEEP": Status("KEEP", "✋", "✕", "bad", False),
    "INCONCLUSIVE": Status("INCONCLUSIVE", "❔", "?", "unsure", False),
    "REJECTED": Status("REJECTED", "❌", "✕", "bad", False),
    "VERIFIED": Status("VERIFIED", "✅", "✓", "good", True),
    "ROLLBACK": Status("ROLLBACK", "⏪", "↶", "good", True),
    "REFUSED": Status("REFUSED", "🚫", "✕", "bad", False),
    "ERROR": Status("ERROR", "⚠️", "!", "bad", False),
    "NOTHING": Status("NOTHING TO DO", "➖", "–", "good", True),
}


@dataclass(frozen=True)
class RuleRow:
    """One rule as text; `result` and `better` are for the picture."""

    mark: str
    word: str
    name: str
    value: str
    interval: str
    bound: str
    reason: str
    result: RuleResult
    unit: str | None
    better: str


@dataclass(frozen=True)
class MetricRow:
    """One metric on all rows or on one slice, as text; `comparison` is for the picture."""

    name: str
    slice: str
    rows: str
    champion: str
    candidate: str
    difference: str
    interval: str
    better: str
    comparison: Comparison


@dataclass(frozen=True)
class DayRow:
    """One test day; `delta` (candidate minus champion) is None where one of them is missing."""

    day: str
    rows: str
    champion: str
    candidate: str
    difference: str
    delta: float | None


@dataclass(frozen=True)
class PowerRow:
    """What the test set can show about one challenge rule."""

    name: str
    smallest: str
    pass_zero: str
    pass_worthwhile: str
    days_needed: str
    warning: str | None
    power: Power


@dataclass(frozen=True)
class Hero:
    """The one line that matters: the first challenge metric of both models and the difference."""

    metric: str
    window: str
    champion: str | None
    candidate: str
    difference: str | None
    interval: str | None
    level: str
    candidate_interval: str
    comparison: Comparison


@dataclass(frozen=True)
class ModelView:
    """One model's part of the report."""

    name: str
    status: Status
    headline: str
    merge: str
    hero: Hero | None = None
    warnings: tuple[str, ...] = ()
    rules: tuple[RuleRow, ...] = ()
    metrics: tuple[MetricRow, ...] = ()
    slices: tuple[MetricRow, ...] = ()
    days: tuple[DayRow, ...] = ()
    day_metric: str = ""
    day_better: str = "higher"
    power: tuple[PowerRow, ...] = ()
    level: str = ""
    looks: str | None = None
    caveat: str | None = None
    notes: tuple[str, ...] = ()
    next: tuple[str, ...] = ()
    details: tuple[tuple[str, str], ...] = ()
    error: str | None = None
    log_tail: str | None = None
    pinned: bool = False


@dataclass(frozen=True)
class View:
    """The whole report: what must be read first, then the models."""

    refusals: tuple[str, ...]
    models: tuple[ModelView, ...]
    losers: tuple[str, ...]
    green: bool
    details: tuple[tuple[str, str], ...] = field(default=())


def build(models: Sequence[Reported], *, plan: Plan | None = None, refusals: Sequence[str] = ()) -> View:
    """Turn records into what the report says; pure."""
    named = tuple(dict.fromkeys([*(plan.refusals if plan else ()), *refusals]))
    statuses = [status(model) for model in models]
    losers = tuple(m.plan.model for m, s in zip(models, statuses, strict=True) if not s.green)
    views = tuple(_model(m, s, losers, blocked=bool(named)) for m, s in zip(models, statuses, strict=True))
    green = not named and all(is_green(model) for model in models)
    details = () if plan is None else (("base", plan.base), ("head", plan.head), ("merge result", plan.merge))
    return View(refusals=named, models=views, losers=losers, green=green, details=details)


def status(reported: Reported) -> Status:
    """How the model stands; whatever was not judged counts as an error, never as a pass."""
    action = reported.plan.action
    if action == "refuse":
        return STATUSES["REFUSED"]
    if reported.evaluation is not None and action in ("train", "judge"):
        return STATUSES[reported.evaluation.verdict]
    if reported.error is not None:
        return STATUSES["ERROR"]
    if action == "none":
        return STATUSES["NOTHING"]
    if action == "verify":
        return STATUSES["ROLLBACK" if _moves_back(reported.plan) else "VERIFIED"]
    if reported.gate is not None and not reported.gate.passed:
        return STATUSES["REJECTED"]
    return STATUSES["ERROR"]


def is_green(reported: Reported) -> bool:
    """True if this model lets the pull request merge: verified, unchanged, or won and pinned."""
    shown = status(reported)
    won = reported.evaluation is not None and reported.evaluation.verdict in WINNING
    needs_pin = won and reported.plan.action in ("train", "judge")
    return shown.green and reported.error is None and (reported.pinned or not needs_pin)


def _moves_back(plan: ModelPlan) -> bool:
    if plan.champion is None or plan.pin is None:
        return False
    return plan.pin.version < plan.champion.version


def _model(reported: Reported, shown: Status, losers: Sequence[str], *, blocked: bool) -> ModelView:
    evaluation, plan = reported.evaluation, reported.plan
    base = {
        "name": plan.model,
        "status": shown,
        "warnings": _warnings(reported),
        "headline": _headline(reported, shown),
        "merge": _merge(reported, shown, losers, blocked=blocked),
        "rules": tuple(_rule(rule, reported) for rule in _results(reported)),
        "details": _details(reported),
        "next": _next_steps(reported, shown, losers),
        "error": reported.error or _unjudged(reported, shown),
        "log_tail": reported.log_tail,
        "pinned": reported.pinned,
    }
    if evaluation is None:
        looks = reported.gate.looks if reported.gate is not None else None
        return ModelView(**base, looks=None if looks is None else _looks(looks.number, looks.allowed))
    overall = [c for c in evaluation.comparisons if c.slice is None]
    lead = _lead(evaluation)
    return ModelView(
        **base,
        hero=_hero(evaluation, lead),
        metrics=tuple(_metric(c) for c in overall),
        slices=tuple(_metric(c) for c in evaluation.comparisons if c.slice is not None),
        days=_days(evaluation, lead),
        day_metric="" if lead is None else lead.metric,
        day_better="higher" if lead is None else lead.better,
        power=tuple(_power(p, evaluation) for p in evaluation.power),
        level=text.confidence(evaluation.confidence_used),
        looks=None if evaluation.looks is None else _looks(evaluation.looks.number, evaluation.looks.allowed),
        caveat=_caveat(evaluation),
        notes=evaluation.notes,
    )


def _unjudged(reported: Reported, shown: Status) -> str | None:
    if shown is STATUSES["ERROR"] and reported.error is None:
        return "this model was not judged: its evaluation is missing; run the workflow again"
    return None


def _warnings(reported: Reported) -> tuple[str, ...]:
    changes = reported.scores.changes if reported.scores is not None else ()
    measured = tuple(f"changes what is measured: {change}" for change in changes)
    said = " ".join(reported.plan.says_first)
    return tuple(dict.fromkeys([*reported.plan.says_first, *(m for m in measured if m not in said)]))


def _headline(reported: Reported, shown: Status) -> str:
    if reported.plan.action == "refuse":
        return reported.plan.reason
    if reported.evaluation is not None and reported.plan.action in ("train", "judge"):
        return reported.evaluation.headline
    if shown is STATUSES["REJECTED"] and reported.gate is not None:
        return reported.gate.reason
    if shown is STATUSES["ERROR"]:
        return "this model could not be judged, so it cannot be merged"
    return reported.plan.reason


def _versions(reported: Reported) -> tuple[str, int | None]:
    old = reported.plan.champion
    evaluation, gate = reported.evaluation, reported.gate
    new = evaluation.candidate.version if evaluation is not None else None
    new = new or (gate.version if gate is not None else None) or reported.plan.version
    return ("none" if old is None else str(old.version)), new


def arrow(words: str) -> str:
    """`3 -> 4` as `3 → 4`."""
    return words.replace(" -> ", " → ")


def _merge(reported: Reported, shown: Status, losers: Sequence[str], *, blocked: bool) -> str:
    """What merging does to users, in one sentence."""
    old, new = _versions(reported)
    stays = f"`@champion` stays {old}" if old != "none" else "there is still no `@champion`"
    action = reported.plan.action
    if not shown.green or reported.error is not None:
        return f"Merging is blocked; {stays}."
    if action == "none":
        return "Merging changes nothing for this model."
    if action == "verify":
        return f"Merging: {arrow(reported.plan.merge_effect or 'nothing changes')}."
    move = f"moves `@champion {old} → {new if new is not None else 'the version that is registered'}`"
    same = "; the predictions are the same on every row, so users see no change" if shown.word == "SAME" else ""
    if reported.pinned:
        return f"Merging {move}{same}."
    if losers:
        return f"Nothing is pinned because {names(losers)} lost; merging is blocked and {stays}."
    if blocked:
        return f"Nothing is pinned because this pull request is refused; {stays}."
    return f"Not pinned yet: merging is blocked until the pin is on the branch; then merging {move}{same}."


def names(models: Sequence[str], most: int = 5) -> str:
    """Model names in backticks, the first few of many."""
    shown = ", ".join(f"`{model.replace('`', '')}`" for model in models[:most])
    return shown + (f" and {len(models) - most} more" if len(models) > most else "")


def _results(reported: Reported) -> tuple[RuleResult, ...]:
    if reported.evaluation is not None:
        return (*reported.evaluation.gate, *reported.evaluation.challenge)
    return reported.gate.rules if reported.gate is not None else ()


def _units(reported: Reported, metric: str | None, part: str | None = None) -> tuple[str | None, str]:
    """(unit, better) of a metric: from the comparisons, else from the policy."""
    comparisons = reported.evaluation.comparisons if reported.evaluation is not None else ()
    for comparison in comparisons:
        if comparison.metric == metric:
            return comparison.unit, comparison.better
    policy = reported.plan.policy or {}
    custom = ((policy.get("measure") or {}).get("metrics") or {}).get(metric) or {}
    unit = custom.get("unit") or ("$" if metric == "net_benefit" else None)
    return unit, custom.get("better", "higher")


def _rule(rule: RuleResult, reported: Reported) -> RuleRow:
    unit, better = _units(reported, rule.metric)
    mark, word = {True: ("✅", "pass"), False: ("❌", "fail"), None: ("❔", "unsettled")}[rule.ok]
    floor = rule.kind == "floor"
    digits = text.digits_apart(rule.value, rule.bound, unit)
    if rule.interval is not None:
        digits = max(digits if rule.bound else 0, text.decimals((rule.value, *rule.interval), unit))
    shown_interval = text.range_of if floor else text.interval
    return RuleRow(
        mark=mark,
        word=word,
        name=rule.rule if rule.slice is None or rule.slice in rule.rule else f"{rule.rule} ({rule.slice})",
        value=text.figure(rule.value, unit, signed=not floor, digits=digits),
        interval=shown_interval(rule.interval, unit, digits=digits),
        bound=_bound(rule, reported, unit, better, digits),
        reason=rule.reason,
        result=rule,
        unit=unit,
        better=better,
    )


def _bound(rule: RuleResult, reported: Reported, unit: str | None, better: str, digits: int) -> str:
    if rule.bound is None:
        return text.MISSING
    if rule.kind == "floor":
        operator = _operator(rule, reported)
        least = min(digits, text.decimals((rule.bound,), unit)) if rule.bound else 0
        return f"{operator} {text.figure(rule.bound, unit, digits=max(least, _places(rule.bound)))}".strip()
    side = "above" if better == "higher" else "below"
    return f"{side} {text.figure(rule.bound, unit, signed=True, digits=digits)}"


def _places(value: float) -> int:
    """Decimals that a bound was written with."""
    return min(6, len(f"{value:.6f}".rstrip("0").partition(".")[2]))


def _operator(rule: RuleResult, reported: Reported) -> str:
    policy = reported.evaluation.policy if reported.evaluation is not None else reported.plan.policy or {}
    gate = policy.get("gate")
    written = gate.get(rule.metric, "") if isinstance(gate, dict) else ""
    for source in (rule.rule, str(written)):
        found = re.search(r">=|<=|>|<", source)
        if found is not None:
            return {">=": "≥", "<=": "≤"}.get(found[0], found[0])
    return ""


def _metric(comparison: Comparison) -> MetricRow:
    unit, difference = comparison.unit, comparison.difference
    champion = comparison.champion
    levels = [comparison.candidate.value, champion.value if champion is not None else None]
    digits = text.decimals(levels, unit)
    gap = digits
    if difference is not None and difference.value is not None:
        gap = max(digits, text.decimals((difference.value, *(difference.interval or ())), unit))
    return MetricRow(
        name=comparison.metric,
        slice=comparison.slice or "",
        rows=text.count(comparison.rows),
        champion=_estimate(champion, unit, digits),
        candidate=_estimate(comparison.candidate, unit, digits),
        difference=text.MISSING
        if difference is None
        else text.figure(difference.value, unit, signed=True, digits=gap)
        if difference.value is not None
        else difference.reason or text.MISSING,
        interval=text.MISSING if difference is None else text.interval(difference.interval, unit, digits=gap),
        better=comparison.better,
        comparison=comparison,
    )


def _estimate(estimate: object, unit: str | None, digits: int) -> str:
    value = getattr(estimate, "value", None)
    if value is None:
        return getattr(estimate, "reason", None) or text.MISSING
    return text.figure(value, unit, digits=digits)


def _lead(evaluation: Evaluation) -> Comparison | None:
    """The comparison of the first challenge rule, else of the first floor, else the first there is."""
    overall = [c for c in evaluation.comparisons if c.slice is None]
    for rule in (*evaluation.challenge, *evaluation.gate):
        for comparison in overall:
            if rule.metric == comparison.metric and rule.slice is None:
                return comparison
    return overall[0] if overall else None


def _hero(evaluation: Evaluation, lead: Comparison | None) -> Hero | None:
    if lead is None:
        return None
    row, test = _metric(lead), evaluation.test
    has_champion = lead.champion is not None
    return Hero(
        metric=lead.metric,
        window=f"{text.plural(len(evaluation.days), 'test day')} ({test.first} to {test.last})"
        if evaluation.days
        else f"{test.first} to {test.last}",
        champion=row.champion if has_champion else None,
        candidate=row.candidate,
        difference=row.difference if has_champion and lead.difference is not None else None,
        interval=row.interval if has_champion and lead.difference is not None else None,
        level=text.confidence(evaluation.confidence_used),
        candidate_interval=text.range_of(lead.candidate.interval, lead.unit),
        comparison=lead,
    )


def _days(evaluation: Evaluation, lead: Comparison | None) -> tuple[DayRow, ...]:
    unit = lead.unit if lead is not None else None
    levels = [v for d in evaluation.days for v in (d.candidate, d.champion)]
    digits = text.decimals(levels, unit)
    rows = []
    for day in evaluation.days:
        known = day.candidate is not None and day.champion is not None
        delta = day.candidate - day.champion if known else None
        rows.append(
            DayRow(
                day=day.day,
                rows=text.count(day.rows),
                champion=text.figure(day.champion, unit, digits=digits),
                candidate=text.figure(day.candidate, unit, digits=digits),
                difference=text.figure(delta, unit, signed=True, digits=digits),
                delta=delta,
            )
        )
    return tuple(rows)


def _power(power: Power, evaluation: Evaluation) -> PowerRow:
    unit = None
    for comparison in evaluation.comparisons:
        if re.match(rf"{re.escape(comparison.metric)}(?![A-Za-z0-9_])", power.rule):
            unit = comparison.unit
            break
    days = MISSING_DAYS if power.days_needed is None else text.plural(power.days_needed, "day")
    return PowerRow(
        name=power.rule,
        smallest=text.figure(power.smallest, unit),
        pass_zero=text.share(power.pass_zero),
        pass_worthwhile=text.share(power.pass_worthwhile),
        days_needed=days,
        warning=power.warning,
        power=power,
    )


MISSING_DAYS = text.MISSING


def _looks(number: int, allowed: int) -> str:
    used = f"Look {number} of {allowed} on these test days"
    if number > allowed:
        return f"{used}: they are used up; move `as_of` to newer days."
    if number == allowed:
        return f"{used}: the last one; a further candidate needs a newer `as_of`."
    return f"{used}: {text.plural(allowed - number, 'more candidate')} may be judged on them."


def _caveat(evaluation: Evaluation) -> str:
    test = evaluation.test
    level = text.confidence(evaluation.confidence_used)
    who = "these two fitted models" if evaluation.champion is not None else "this fitted model"
    return (
        f"The {level} interval is about {who} in this window ({test.first} to {test.last}): "
        "not about the recipe, not about next month."
    )


def _details(reported: Reported) -> tuple[tuple[str, str], ...]:
    plan, evaluation, candidate = reported.plan, reported.evaluation, reported.candidate
    old, new = _versions(reported)
    found: list[tuple[str, str | None]] = [
        ("champion version", None if old == "none" else old),
        ("candidate version", None if new is None else str(new)),
        ("source tree", plan.source_tree),
        ("key", plan.key),
    ]
    if candidate is not None:
        found += [
            ("model digest", candidate.digest),
            ("as_of", candidate.as_of),
            ("trained on", " to ".join(candidate.train)),
            ("validated on", " to ".join(candidate.validation)),
            ("labels known by", candidate.labels_known_by),
            ("seed", str(candidate.seed)),
            ("training took", f"{candidate.train_seconds:.1f} s"),
        ]
    if evaluation is not None:
        test = evaluation.test
        rows = f"{test.rows:,} rows" + ("" if test.positives is None else f", {test.positives:,} positives")
        found += [
            ("test window", f"{test.first} to {test.last}, {rows}"),
            ("test set digest", test.digest),
            ("policy digest", evaluation.policy_digest),
            ("evidence", evaluation.sha256),
        ]
    else:
        found.append(("policy digest", plan.policy_digest))
    if reported.scores is not None:
        found += [(f"latency, {side}", f"{ms:.3g} ms") for side, ms in reported.scores.latency_ms.items()]
    run = reported.gate.run_id if reported.gate is not None else plan.run_id
    found.append(("tracker run", run))
    return tuple((label, value) for label, value in found if value is not None)


def _next_steps(reported: Reported, shown: Status, losers: Sequence[str]) -> tuple[str, ...]:
    from promotion.rendering import advice

    return advice.next_steps(reported, shown.word, losers)
