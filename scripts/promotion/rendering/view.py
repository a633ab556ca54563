"""What a report says, as plain text and rows: Markdown, HTML and terminal are three renderings of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from promotion.records.evaluation import Evaluation
from promotion.records.figures import Comparison
from promotion.records.plan import Plan
from promotion.rendering import about, advice, curves, foundations, risk, rows, sentences
from promotion.rendering.reported import (
    NOWHERE,
    STATUSES,
    Links,
    Reported,
    Status,
    is_green,
    status,
    versions,
)
from promotion.rendering.standings import Standing, standings
from promotion.rendering.terms import terms
from promotion.text import figures as text


@dataclass(frozen=True)
class ModelView:
    """One model's part of the report.

    verdict: what was found, in one sentence. merge: what merging does. reasons: why it did not win.
    confidence: over all looks together, `95%`. beware: what a reviewer must know before trusting the figures.
    """

    name: str
    status: Status
    verdict: str
    merge: str
    mergeable: bool = False
    warnings: tuple[str, ...] = ()
    reasons: tuple[sentences.Reason, ...] = ()
    next: tuple[str, ...] = ()
    commands: advice.Commands = advice.NONE
    champion: str = "champion"
    candidate: str = "candidate"
    confidence: str = ""
    hero: rows.Hero | None = None
    standings: tuple[Standing, ...] = ()
    rules: tuple[rows.RuleRow, ...] = ()
    changes: about.Changes | None = None
    flips: tuple[about.FlipRow, ...] = ()
    unmeasured: tuple[str, ...] = ()
    beware: tuple[str, ...] = ()
    reach: tuple[str, ...] = ()
    metrics: tuple[rows.MetricRow, ...] = ()
    slices: tuple[rows.MetricRow, ...] = ()
    curve: curves.CurveView | None = None
    costs: risk.CostsView | None = None
    calibration: risk.CalibrationView | None = None
    drift: risk.DriftView | None = None
    days: tuple[rows.DayRow, ...] = ()
    day_metric: str = ""
    day_better: str = "higher"
    power: tuple[rows.PowerRow, ...] = ()
    rests: tuple[foundations.Rest, ...] = ()
    trivial: tuple[str, ...] = ()
    details: tuple[tuple[str, str], ...] = ()
    release: str | None = None
    evidence: str | None = None
    error: str | None = None
    log_tail: str | None = None

    @property
    def challenged(self) -> bool:
        """Whether there is a champion to compare with."""
        return self.hero is not None and self.hero.difference is not None

    @property
    def interval_head(self) -> str:
        """The head of the first column of intervals; it names the confidence where the verdict does not."""
        named = not self.confidence or f"{self.confidence} confidence" in self.verdict
        return "interval" if named else f"interval ({self.confidence} confidence)"

    @property
    def pictured(self) -> tuple[rows.RuleRow, ...]:
        """The rules worth a picture: the challenge's, or the floors where there was no challenge."""
        if self.status.word == "SAME":
            return ()
        known = [row for row in self.rules if row.result.interval is not None and row.result.value is not None]
        challenge = [row for row in known if row.about_difference]
        return tuple(challenge or [row for row in known if row.result.kind == "floor" and not row.warns])


@dataclass(frozen=True)
class View:
    """The whole report: what must be read first, the models, and what it was made from."""

    refusals: tuple[str, ...]
    models: tuple[ModelView, ...]
    losers: tuple[str, ...]
    green: bool
    links: Links = NOWHERE
    commits: tuple[tuple[str, str], ...] = ()
    scripts: str = ""

    @property
    def releases(self) -> tuple[str, ...]:
        """The releases of this project whose scripts judged; older records do not say."""
        return tuple(dict.fromkeys(model.release for model in self.models if model.release is not None))

    @property
    def evidence(self) -> tuple[tuple[str, str], ...]:
        """(model, digest) of every judgement that is shown."""
        return tuple((model.name, model.evidence) for model in self.models if model.evidence is not None)


def build(
    models: Sequence[Reported], *, plan: Plan | None = None, refusals: Sequence[str] = (), links: Links = NOWHERE
) -> View:
    """Turn records into what the report says; pure. Models that the pull request does not touch are left out."""
    named = tuple(dict.fromkeys([*(plan.refusals if plan else ()), *refusals]))
    touched = [(m, status(m)) for m in models if status(m) is not STATUSES["NOTHING"]]
    losers = tuple(m.plan.model for m, shown in touched if not shown.green)
    called = None if plan is None or plan.own else f"a clone of {plan.scripts}"
    commits = () if plan is None else (("base", plan.base), ("head", plan.head), ("merge result", plan.merge))
    return View(
        refusals=named,
        models=tuple(_model(m, shown, losers, links, blocked=bool(named), called=called) for m, shown in touched),
        losers=losers,
        green=not named and all(is_green(m) for m in models),
        links=links,
        commits=commits,
        scripts="" if plan is None else plan.scripts,
    )


def _model(
    reported: Reported, shown: Status, losers: Sequence[str], links: Links, *, blocked: bool, called: str | None
) -> ModelView:
    evaluation, plan, agreed = reported.evaluation, reported.plan, terms(reported)
    rules = rows.all_rules(reported, agreed)
    lead = None if evaluation is None else evaluation.lead
    hero = None if evaluation is None else rows.hero(evaluation, lead, agreed)
    power = () if evaluation is None else tuple(rows.power_row(p, evaluation, agreed) for p in evaluation.power)
    old, new = versions(reported)
    base = ModelView(
        name=plan.model,
        status=shown,
        warnings=_warnings(reported),
        verdict=sentences.verdict(reported, shown, hero, rules, agreed),
        merge=sentences.merge(reported, shown, losers, blocked=blocked),
        mergeable=is_green(reported) and not blocked and not losers,
        reasons=sentences.reasons(reported, shown, rules),
        next=advice.next_steps(reported, shown.word, losers, power, blocked=blocked),
        commands=advice.commands(reported, links, called),
        champion="champion" if old is None else f"champion {old}",
        candidate="candidate" if new is None else f"candidate {new}",
        confidence="" if agreed.confidence is None else text.confidence(agreed.confidence),
        rules=rules,
        standings=standings(rules, reported),
        changes=about.changes(reported, links),
        details=_details(reported),
        error=reported.error or _unjudged(reported, shown),
        log_tail=reported.log_tail,
    )
    if evaluation is None:
        return base
    metrics = tuple(rows.metric_row(c) for c in evaluation.comparisons if c.slice is None)
    return replace(
        base,
        hero=hero,
        metrics=metrics,
        slices=tuple(rows.metric_row(c) for c in evaluation.comparisons if c.slice is not None),
        curve=_curve(evaluation, lead, base.champion, base.candidate),
        costs=risk.costs_view(evaluation),
        calibration=risk.calibration_view(evaluation, base.champion, base.candidate),
        drift=risk.drift_view(evaluation),
        days=rows.day_rows(evaluation, lead),
        day_metric="" if lead is None else lead.metric,
        day_better="higher" if lead is None else lead.better,
        power=power,
        rests=foundations.rests(rules),
        trivial=foundations.trivial(reported, base.standings, agreed),
        flips=about.flips(evaluation.flips),
        unmeasured=about.unmeasured(reported, metrics, agreed),
        beware=_beware(reported),
        reach=(*sentences.reach(evaluation, agreed), *_looks(reported, shown), *about.latency(reported)),
        release=evaluation.release,
        evidence=_evidence(reported),
    )


def _curve(evaluation: Evaluation, lead: Comparison | None, champion: str, candidate: str) -> curves.CurveView | None:
    """Both models at every threshold, where the record has it."""
    found = evaluation.curve
    if found is None or lead is None or lead.metric != found.metric:
        return None
    models = [curves.Decided(candidate, "candidate", found.candidate, lead.candidate.value)]
    if found.champion is not None and lead.champion is not None:
        models.append(curves.Decided(champion, "champion", found.champion, lead.champion.value))
    return curves.curve_view(found, lead.unit, models)


def _unjudged(reported: Reported, shown: Status) -> str | None:
    if shown is STATUSES["ERROR"] and reported.error is None:
        return "this model was not judged: its evaluation is missing; run the workflow again"
    return None


def _warnings(reported: Reported) -> tuple[str, ...]:
    changes = reported.scores.changes if reported.scores is not None else ()
    measured = tuple(f"changes what is measured: {change}" for change in changes)
    plan = reported.plan
    held = (plan.held,) if plan.held is not None and plan.action != "refuse" else ()
    said = " ".join(plan.says_first)
    return tuple(dict.fromkeys([*held, *plan.says_first, *(m for m in measured if m not in said)]))


def _beware(reported: Reported) -> tuple[str, ...]:
    """The judgement's notes, the most important first, without what the warnings say already."""
    changes = reported.scores.changes if reported.scores is not None else ()
    notes = reported.evaluation.notes if reported.evaluation is not None else ()
    return tuple(sentences.ended(note) for note in notes if not any(change in note for change in changes))


def _looks(reported: Reported, shown: Status) -> tuple[str, ...]:
    """How worn the test days are, where the next steps do not say so."""
    found = reported.evaluation.looks if reported.evaluation is not None else None
    return () if found is None or not shown.green else (sentences.looks(found.number, found.allowed),)


def _evidence(reported: Reported) -> str | None:
    """The digest of the judgement that is shown: the pin's own where it comes from the pin."""
    if reported.plan.action == "verify":
        return None if reported.plan.pin is None else reported.plan.pin.evidence
    return None if reported.evaluation is None else reported.evaluation.sha256


def _details(reported: Reported) -> tuple[tuple[str, str], ...]:
    plan, evaluation, candidate = reported.plan, reported.evaluation, reported.candidate
    old, new = versions(reported)
    found: list[tuple[str, str | None]] = [
        ("champion version", None if old is None else str(old)),
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
            ("training took", f"{candidate.train_seconds:,.1f} s"),
        ]
    if evaluation is not None:
        test = evaluation.test
        counted = f"{test.rows:,} rows" + ("" if test.positives is None else f", {test.positives:,} positives")
        found += [
            ("test window", f"{test.first} to {test.last}, {counted}"),
            ("test set digest", test.digest),
            ("policy digest", evaluation.policy_digest),
        ]
    else:
        found.append(("policy digest", plan.policy_digest))
    run = reported.gate.run_id if reported.gate is not None else plan.run_id
    found += [("evidence", _evidence(reported)), ("tracker run", run)]
    return tuple((label, value) for label, value in found if value is not None)
