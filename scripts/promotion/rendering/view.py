"""What a report says, as plain text and rows: Markdown, HTML and terminal are three renderings of it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from promotion.records import Evaluation, Plan
from promotion.rendering import advice, rows
from promotion.rendering.reported import STATUSES, Reported, Status, is_green, names, results, status
from promotion.text import figures as text


@dataclass(frozen=True)
class ModelView:
    """One model's part of the report."""

    name: str
    status: Status
    headline: str
    merge: str
    hero: rows.Hero | None = None
    warnings: tuple[str, ...] = ()
    rules: tuple[rows.RuleRow, ...] = ()
    metrics: tuple[rows.MetricRow, ...] = ()
    slices: tuple[rows.MetricRow, ...] = ()
    days: tuple[rows.DayRow, ...] = ()
    day_metric: str = ""
    day_better: str = "higher"
    power: tuple[rows.PowerRow, ...] = ()
    level: str = ""
    looks: str | None = None
    caveat: str | None = None
    notes: tuple[str, ...] = ()
    next: tuple[str, ...] = ()
    details: tuple[tuple[str, str], ...] = ()
    error: str | None = None
    log_tail: str | None = None
    mergeable: bool = False
    repeat: str | None = None

    @property
    def challenged(self) -> bool:
        """Whether there is a champion to compare with."""
        return self.hero is not None and self.hero.difference is not None

    @property
    def pictured(self) -> tuple[rows.RuleRow, ...]:
        """The rules worth a picture: the challenge's, or the floors where there was no challenge."""
        if self.status.word == "SAME":
            return ()
        known = [row for row in self.rules if row.result.interval is not None and row.result.value is not None]
        challenge = [row for row in known if row.result.kind in ("superior", "not_worse_than")]
        return tuple(challenge or [row for row in known if row.result.kind == "floor"])


@dataclass(frozen=True)
class View:
    """The whole report: what must be read first, then the models."""

    refusals: tuple[str, ...]
    models: tuple[ModelView, ...]
    losers: tuple[str, ...]
    green: bool
    details: tuple[tuple[str, str], ...] = field(default=())


def build(models: Sequence[Reported], *, plan: Plan | None = None, refusals: Sequence[str] = ()) -> View:
    """Turn records into what the report says; pure. Models that the pull request does not touch are left out."""
    named = tuple(dict.fromkeys([*(plan.refusals if plan else ()), *refusals]))
    touched = [(m, status(m)) for m in models if status(m) is not STATUSES["NOTHING"]]
    losers = tuple(m.plan.model for m, shown in touched if not shown.green)
    details = () if plan is None else (("base", plan.base), ("head", plan.head), ("merge result", plan.merge))
    return View(
        refusals=named,
        models=tuple(_model(m, shown, losers, blocked=bool(named)) for m, shown in touched),
        losers=losers,
        green=not named and all(is_green(m) for m in models),
        details=details,
    )


def _model(reported: Reported, shown: Status, losers: Sequence[str], *, blocked: bool) -> ModelView:
    evaluation, plan = reported.evaluation, reported.plan
    base = {
        "name": plan.model,
        "status": shown,
        "warnings": _warnings(reported),
        "headline": _sentence(_headline(reported, shown)),
        "merge": _merge(reported, shown, losers, blocked=blocked),
        "rules": tuple(rows.rule_row(rule, reported) for rule in results(reported)),
        "details": _details(reported),
        "next": advice.next_steps(reported, shown.word, losers),
        "error": reported.error or _unjudged(reported, shown),
        "log_tail": reported.log_tail,
        "repeat": f"python scripts/retrain.py try {plan.model}" if plan.action in ("train", "judge") else None,
        "mergeable": is_green(reported) and not blocked and not losers,
    }
    if evaluation is None:
        looks = reported.gate.looks if reported.gate is not None else None
        return ModelView(**base, looks=None if looks is None else _looks(looks.number, looks.allowed))
    overall = [c for c in evaluation.comparisons if c.slice is None]
    changes = reported.scores.changes if reported.scores is not None else ()  # said first already
    lead = rows.lead_comparison(evaluation)
    return ModelView(
        **base,
        hero=rows.hero(evaluation, lead),
        metrics=tuple(rows.metric_row(c) for c in overall),
        slices=tuple(rows.metric_row(c) for c in evaluation.comparisons if c.slice is not None),
        days=rows.day_rows(evaluation, lead),
        day_metric="" if lead is None else lead.metric,
        day_better="higher" if lead is None else lead.better,
        power=tuple(rows.power_row(p, evaluation) for p in evaluation.power),
        level=text.confidence(evaluation.confidence_used),
        looks=None if evaluation.looks is None else _looks(evaluation.looks.number, evaluation.looks.allowed),
        caveat=_caveat(evaluation),
        notes=(*(n for n in evaluation.notes if not any(c in n for c in changes)), *_latency(reported)),
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
        what = (
            "this pin could not be verified" if reported.plan.action == "verify" else "this model could not be judged"
        )
        return f"{what}, so it cannot be merged"
    return reported.plan.reason


def _because(losers: Sequence[str]) -> str:
    return f" because {names(losers)} lost" if losers else ""


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def _latency(reported: Reported) -> tuple[str, ...]:
    milliseconds = reported.scores.latency_ms if reported.scores is not None else {}
    if not milliseconds:
        return ()
    listed = ", ".join(f"{re.sub(r'[._]', ' ', name)} {ms:.3g} ms" for name, ms in milliseconds.items())
    return (f"Latency, measured beside the verdict and no part of it: {listed}.",)


def _versions(reported: Reported) -> tuple[str, int | None]:
    old = reported.plan.champion
    evaluation, gate = reported.evaluation, reported.gate
    new = evaluation.candidate.version if evaluation is not None else None
    new = new or (gate.version if gate is not None else None) or reported.plan.version
    return ("none" if old is None else str(old.version)), new


def arrow(words: str) -> str:
    """`@champion 3 -> 4` as code with an arrow; the rest as it is."""
    return re.sub(r"`?@champion (\w+) -> (\w+)`?", r"`@champion \1 → \2`", words).rstrip(".")


def _merge(reported: Reported, shown: Status, losers: Sequence[str], *, blocked: bool) -> str:
    """What merging does to users, in one sentence."""
    old, new = _versions(reported)
    stays = f"`@champion` stays {old}" if old != "none" else "there is still no `@champion`"
    action = reported.plan.action
    if reported.elsewhere:
        return "A table was judged: nothing is registered or pinned, and no champion moves."
    if not shown.green or reported.error is not None:
        return f"Merging is blocked; {stays}."
    if action in ("none", "verify"):
        if losers or blocked:
            return f"Merging is blocked{_because(losers)}; unblocked, it means: {arrow(reported.plan.merge_effect)}."
        return f"Merging: {arrow(reported.plan.merge_effect or 'nothing changes')}."
    if shown.word == "FIRST" and new is not None:
        move = f"makes version {new} the first champion: `@champion none → {new}`"
    else:
        move = f"moves `@champion {old} → {new if new is not None else 'the version that is registered'}`"
    same = "; the predictions are the same on every row, so users see no change" if shown.word == "SAME" else ""
    if reported.pinned:
        return f"Merging {move}{same}."
    if losers:
        return f"Nothing is pinned because {names(losers)} lost; merging is blocked and {stays}."
    if blocked:
        return f"Nothing is pinned because this pull request is refused; {stays}."
    return f"Not pinned yet: merging is blocked until the pin is on the branch; then merging {move}{same}."


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
        ("pinned version" if plan.action == "verify" else "candidate version", None if new is None else str(new)),
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
    run = reported.gate.run_id if reported.gate is not None else plan.run_id
    found.append(("tracker run", run))
    return tuple((label, value) for label, value in found if value is not None)
