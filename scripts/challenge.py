"""Let the candidate challenge the champion on the same rows: writes evaluation.json, the evidence.

The record is deterministic, so the same judgement has the same digest; with a registry it is kept
with the candidate's run. Versions that do not win are tagged so and lose @candidate.
"""

from datetime import date
from pathlib import Path
from typing import Any

import yaml
from promotion.cli import NO_DRY_RUN, command_line, handled
from promotion.config.model_yaml import read_spec, windows
from promotion.config.policy import Policy
from promotion.errors import VERDICT_NO
from promotion.pullrequest.incoming import check_incoming, overlaps
from promotion.pullrequest.workdir import ModelWork, Work
from promotion.records import (
    WINNING,
    Candidate,
    Evaluation,
    Gate,
    ModelPlan,
    Plan,
    RuleResult,
    ScoresInfo,
    Side,
)
from promotion.registry.client import CANDIDATE, Registry
from promotion.registry.evidence import read_evidence, store_evidence
from promotion.registry.looks import fresh_since


def challenge(plan: ModelPlan, whole: Plan, files: ModelWork, registry: Registry, *, record: bool = True) -> Evaluation:
    """Judge one candidate against the champion; write evaluation.json and, with `record`, keep it as evidence."""
    from promotion.judgement.judge import judge
    from promotion.judgement.table import open_scores

    candidate, info, policy = check_incoming(plan, whole, files, trained_before=plan.run_id is not None)
    gated = Gate.read(files.gate)
    champion, extra = _champion(plan, files, info, policy, candidate)
    result = judge(
        open_scores(files.scores, policy),
        policy,
        candidate=Side(
            source_tree=candidate.source_tree,
            digest=candidate.digest,
            predictions=info.candidate_predictions,
            labels_known_by=candidate.labels_known_by,
        ),
        champion=champion,
        gate=gated.rules,
        extra_rules=extra,
        looks=gated.looks,
        notes=_notes(plan, info, registry),
        fresh_from=_fresh_from(plan, info, policy, registry),
    )
    result.write(files.evaluation)
    if record and gated.run_id is not None:
        _keep(plan, result, gated, registry)
    return result


def _champion(
    plan: ModelPlan, files: ModelWork, info: ScoresInfo, policy: Policy, candidate: Candidate
) -> tuple[Side | None, tuple[RuleResult, ...]]:
    """Return the champion's side and the rules that are about the pair and not about a metric."""
    if plan.champion is None:
        return None, ()
    known = None
    source = files.side("champion").source
    if source.is_dir():
        spans = windows(read_spec(source), test_days=policy.measure.test_days, delay_days=policy.measure.delay_days)
        known = str(spans.labels_known_by)
    side = Side(
        source_tree=plan.champion.source_tree,
        digest=info.champion_digest,
        predictions=info.champion_predictions,
        version=plan.champion.version,
        labels_known_by=known,
    )
    accepted = _inputs(files.side("champion").model)
    return side, (signature_rule(accepted, candidate.inputs), windows_rule(known, info.first))


def _fresh_from(plan: ModelPlan, info: ScoresInfo, policy: Policy, registry: Registry) -> date | None:
    """Return the day after which labels must have become known, where the policy asks to confirm on fresh days."""
    if policy.challenge.confirm != "fresh" or plan.committed_on is None:
        return None
    return fresh_since(
        registry.runs(plan.model),
        predictions=info.candidate_predictions,
        committed_on=date.fromisoformat(plan.committed_on),
        delay_days=policy.measure.delay_days,
    )


def _inputs(model: Path) -> tuple[tuple[str, str], ...] | None:
    """Return (name, type) of a saved model's inputs from its MLmodel file, or None without a signature."""
    import json

    raw: Any = yaml.safe_load((model / "MLmodel").read_text(encoding="utf-8"))
    inputs = (raw.get("signature") or {}).get("inputs")
    if inputs is None:
        return None
    columns = json.loads(inputs)
    return tuple((str(c.get("name", i)), f"DataType.{c.get('type')}") for i, c in enumerate(columns))


def signature_rule(champion: tuple[tuple[str, str], ...] | None, candidate: tuple[tuple[str, str], ...]) -> RuleResult:
    """Whether the candidate accepts every input that the champion accepts; pure."""
    name = "signature"
    if champion is None:
        return RuleResult(rule=name, kind="signature", ok=False, reason="the champion has no signature to compare with")
    accepted, offered = dict(champion), dict(candidate)
    missing = sorted(set(offered) - set(accepted))
    changed = sorted(n for n in set(offered) & set(accepted) if _kind(offered[n]) != _kind(accepted[n]))
    if missing:
        text = f"callers of the champion do not send {', '.join(missing)}"
        return RuleResult(rule=name, kind="signature", ok=False, reason=text)
    if changed:
        text = f"the type of {', '.join(changed)} differs from what callers send"
        return RuleResult(rule=name, kind="signature", ok=False, reason=text)
    return RuleResult(rule=name, kind="signature", ok=True, reason="accepts every input that the champion accepts")


def _kind(name: str) -> str:
    return name.removeprefix("DataType.").lower()


def windows_rule(known_by: str | None, first: str) -> RuleResult:
    """Whether every label that the champion used was known before the first test day; pure."""
    if known_by is None:
        reason = "the champion's source is not in this repository, so its windows cannot be checked (adopted)"
        return RuleResult(rule="windows", kind="windows", ok=True, reason=reason)
    if known_by < first:
        return RuleResult(
            rule="windows",
            kind="windows",
            ok=True,
            reason=f"the champion knew labels up to {known_by}, test starts {first}",
        )
    reason = f"the champion's labels reach to {known_by}, past the first test day {first}; move as_of after it"
    return RuleResult(rule="windows", kind="windows", ok=False, reason=reason)


def _notes(plan: ModelPlan, info: ScoresInfo, registry: Registry) -> tuple[str, ...]:
    """Return what a reviewer must know beside the figures, the most important first."""
    notes = [f"This pull request changes what is measured: {change}." for change in info.changes]
    pin = plan.champion
    if pin is None:
        return tuple(notes)
    if pin.override is not None:
        notes.append(f"The champion was put there by an override of {pin.override.by}: {pin.override.reason}.")
    if pin.source_tree is None:
        notes.append("The champion was adopted without its source: it was scored with the candidate's features.")
    if plan.champion_model is not None:
        notes.append(f"The model was renamed: its champion is version {pin.version} of {plan.champion_model}.")
    version = registry.version(plan.champion_model or plan.model, pin.version)
    if version is not None and version.run_id is not None and pin.evidence is not None:
        won = read_evidence(registry, version.run_id, pin.evidence)
        if won is not None and overlaps(info.first, info.last, won.test.first, won.test.last):
            notes.append(
                f"The champion won on test days that overlap these ({won.test.first} to {won.test.last}), "
                "so its own figures here may flatter it."
            )
        if won is not None and _scored_otherwise(won, info):
            notes.append(
                "On the same test set the champion's predictions differ from those it was promoted with: "
                "the environment changed, or something in the scoring job did. Find out which before you merge."
            )
    return tuple(notes)


def _scored_otherwise(won: Evaluation, info: ScoresInfo) -> bool:
    """Whether the champion's predictions on the very test set that it won on are not what they were; pure."""
    return won.test.digest == info.test_digest and won.candidate.predictions != info.champion_predictions


def _keep(plan: ModelPlan, result: Evaluation, gated: Gate, registry: Registry) -> None:
    """Keep the evidence, log the figures, and tag the version with the verdict."""
    assert gated.run_id is not None
    digest = store_evidence(registry, gated.run_id, result)
    metrics = {}
    for row in result.comparisons:
        if row.slice is None and row.candidate.value is not None:
            metrics[row.metric] = row.candidate.value
        if row.slice is None and row.difference is not None and row.difference.value is not None:
            metrics[f"difference.{row.metric}"] = row.difference.value
    registry.log_run(gated.run_id, {}, metrics)
    registry.tag_run(gated.run_id, {"verdict": result.verdict, "evidence": digest})
    if gated.version is None:
        return
    registry.tag_version(plan.model, gated.version, {"verdict": result.verdict, "evidence": digest})
    if result.verdict not in WINNING:
        listed = registry.model(plan.model)
        if listed is not None and listed.aliases.get(CANDIDATE) == gated.version:
            registry.delete_alias(plan.model, CANDIDATE)


@handled
def main(argv: list[str] | None = None) -> int:
    """Parse arguments and judge every planned model, or one; exit 1 when one does not win."""
    parser = command_line(
        "Judge candidates against their champions on the same rows.",
        "work",
        epilog="Reads WORK/plan.json and WORK/MODEL/{candidate/,scores/,scores.json,gate.json}. Writes "
        "WORK/MODEL/evaluation.json and keeps it as evidence with the candidate's run. Loads no model.",
        moved={"--scores": "`python scripts/judge.py TABLE` judges a table from elsewhere", **NO_DRY_RUN},
    )
    parser.add_argument("--model", help="only this model (default: every planned one)")
    args = parser.parse_args(argv)
    work, registry, all_won = Work(args.work), Registry(), True
    whole = work.read_plan()
    for item in work.chosen(args.model, ("train", "judge")):
        files = work.model(item.model)
        if files.error.is_file():
            print(f"{item.model}: not judged, because an earlier step failed")
            all_won = False
            continue
        with files.noted():
            result = challenge(item, whole, files, registry, record=not whole.trial)
        all_won = all_won and result.verdict in WINNING
        print(f"{item.model}: {result.verdict}: {result.headline}")
    return 0 if all_won else VERDICT_NO


if __name__ == "__main__":
    raise SystemExit(main())
