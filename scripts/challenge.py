"""Let the candidate challenge the champion on the same rows: writes evaluation.json, the evidence.

The record is deterministic, so the same judgement has the same digest; with a registry it is kept
with the candidate's run. Versions that do not win are tagged so and lose @candidate.
"""

from collections.abc import Sequence
from datetime import date

from promotion.cli import NO_DRY_RUN, WORKERS, command_line, handled
from promotion.config.model_yaml import read_spec, windows
from promotion.config.policy import Policy
from promotion.config.requirements import conflicts, read_requirements, why_no_lock
from promotion.errors import VERDICT_NO, PromotionError
from promotion.judgement.table import READING, Reading
from promotion.pullrequest.incoming import Believed, check_incoming, overlaps
from promotion.pullrequest.workdir import ModelWork, Work, base_side
from promotion.records.evaluation import WINNING, Evaluation, Side
from promotion.records.figures import RuleResult
from promotion.records.plan import ModelPlan, Plan
from promotion.records.steps import Gate, ScoresInfo
from promotion.registry.client import CANDIDATE, Registry
from promotion.registry.evidence import read_evidence, store_evidence
from promotion.registry.looks import fresh_since
from promotion.registry.outcome import description, outcome_tags
from promotion.sandbox.artifact import FORMATS_THAT_RUN_CODE
from promotion.sandbox.mlmodel import Column, inputs_of
from promotion.sandbox.workers import workers
from promotion.text.progress import progress

NEW_INPUT = {True: "needed; promotion.yaml says that callers send it", False: "may be sent or not"}


def challenge(
    plan: ModelPlan, whole: Plan, files: ModelWork, registry: Registry, reading: Reading = READING
) -> Evaluation:
    """Judge one candidate against the champion; write evaluation.json and keep it as evidence, unless it is a trial."""
    from promotion.judgement.judge import Case, judge

    believed = check_incoming(plan, files, lock=whole.lock, reading=reading)
    candidate, info, policy = believed.candidate, believed.info, believed.policy
    gated = Gate.read(files.gate)
    champion, pair = _champion(plan, files, believed)
    case = Case(
        gate=gated.rules,
        candidate=Side(
            source_tree=candidate.source_tree,
            digest=candidate.digest,
            predictions=info.candidate_predictions,
            labels_known_by=candidate.labels_known_by,
        ),
        champion=champion,
        pair=pair,
        looks=gated.looks,
        notes=_notes(plan, files, believed, registry),
        drift=info.drift,
        fresh_from=_fresh_from(plan, info, policy, registry),
    )
    result = judge(believed.scores, policy, case)
    result.write(files.evaluation)
    if not whole.trial and gated.run_id is not None:
        _keep(plan, whole, result, gated, registry)
    return result


def _champion(plan: ModelPlan, files: ModelWork, believed: Believed) -> tuple[Side | None, tuple[RuleResult, ...]]:
    """Return the champion's side and the rules that are about the pair and not about a metric."""
    if plan.champion is None:
        return None, ()
    info, policy, known = believed.info, believed.policy, None
    source = files.side("champion").source
    if plan.champion.source_tree is not None and source.is_dir():
        spans = windows(read_spec(source), test_days=policy.measure.test_days, delay_days=policy.measure.delay_days)
        known = str(spans.labels_known_by)
    side = Side(
        source_tree=plan.champion.source_tree,
        digest=info.champion_digest,
        predictions=info.champion_predictions,
        version=plan.champion.version,
        labels_known_by=known,
    )
    accepted = inputs_of(files.side("champion").model)
    return side, (signature_rule(accepted, believed.artifact.inputs, policy.inputs), windows_rule(known, info.first))


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


def signature_rule(
    champion: tuple[Column, ...] | None, candidate: tuple[Column, ...] | None, declared: Sequence[str] = ()
) -> RuleResult:
    """Whether the candidate needs no more than callers send, and takes what they send as they send it; pure.

    They send what the champion needs, and what promotion.yaml's `inputs` declares.
    """

    def result(ok: bool, reason: str) -> RuleResult:
        return RuleResult(rule="signature", kind="signature", ok=ok, reason=reason)

    if candidate is None:
        return result(False, "the candidate has no signature, so nobody knows what it needs")
    if champion is None and not declared:
        return result(False, "the champion has no signature; promotion.yaml can say what callers send: `inputs: [...]`")
    known = {column.name: column for column in champion or ()}
    sent = {*(column.name for column in known.values() if column.required), *declared}
    lacking = sorted(column.name for column in candidate if column.required and column.name not in sent)
    if lacking:
        return result(
            False,
            f"callers do not send {', '.join(lacking)}; once they do, promotion.yaml says so under the model, in a "
            f"pull request of its own: `inputs: [{', '.join(lacking)}]`",
        )
    changed = sorted(one.name for one in candidate if one.name in known and known[one.name].kind != one.kind)
    if changed:
        return result(False, f"the type of {', '.join(changed)} differs from what callers send")
    return result(True, "needs no more than callers send")


def new_inputs(
    champion: tuple[Column, ...] | None, candidate: tuple[Column, ...] | None, declared: Sequence[str]
) -> str:
    """Say which columns the candidate takes that the champion does not know; empty where there is none; pure.

    Those that it needs and nobody declares are signature_rule's to refuse.
    """
    known = {column.name for column in champion or ()}
    new = [one for one in candidate or () if one.name not in known and (not one.required or one.name in declared)]
    said = [
        f"{', '.join(names)} ({what})"
        for need, what in NEW_INPUT.items()
        if (names := [f"{column.name}: {column.kind}" for column in new if column.required is need])
    ]
    return f"New columns, which the champion does not know: {'; '.join(said)}." if said else ""


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


def _notes(plan: ModelPlan, files: ModelWork, believed: Believed, registry: Registry) -> tuple[str, ...]:
    """Return what a reviewer must know beside the figures, the most important first."""
    info, artifact = believed.info, believed.artifact
    notes = [f"This pull request changes what is measured: {change}." for change in info.changes]
    if artifact.types:
        notes.append(f"The model contains types that promotion.yaml trusts: {', '.join(artifact.types)}.")
    if artifact.format in FORMATS_THAT_RUN_CODE or artifact.code:
        named = ", ".join(artifact.code) or artifact.data
        notes.append(f"The model runs code when it is loaded, which promotion.yaml allows: {named}.")
    pin = plan.champion
    if pin is None:
        return tuple(notes)
    if pin.override is not None:
        by = "" if pin.override.by is None else f" of {pin.override.by}"
        notes.append(f"The champion was put there by an override{by}: {pin.override.reason}.")
    if pin.source_tree is None:
        whose = "base" if base_side(files) == "champion" else "candidate"
        notes.append(f"The champion was adopted without its source: it was scored with the features of the {whose}.")
    if new := new_inputs(inputs_of(files.side("champion").model), artifact.inputs, believed.policy.inputs):
        notes.append(new)
    if why := why_no_lock(files.side("champion").source, plan.shown):
        notes.append(f"The champion answered with the base's packages: its tree's requirements.txt is no lock ({why}).")
    elif older := conflicts(read_requirements(files.side("champion").source, plan.shown)):
        said = "; ".join(sentence.partition(",")[0] for sentence, _ in older)
        notes.append(f"The champion's requirements.txt is older than the base's lock, with which it answered: {said}.")
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


def _keep(plan: ModelPlan, whole: Plan, result: Evaluation, gated: Gate, registry: Registry) -> None:
    """Keep the evidence, log the figures, and let run and version say the verdict."""
    assert gated.run_id is not None
    digest = store_evidence(registry, gated.run_id, result)
    metrics = {}
    for row in result.comparisons:
        if row.slice is None and row.candidate.value is not None:
            metrics[row.metric] = row.candidate.value
        if row.slice is None and row.difference is not None and row.difference.value is not None:
            metrics[f"difference.{row.metric}"] = row.difference.value
    registry.log_run(gated.run_id, {}, metrics)
    registry.tag_run(gated.run_id, outcome_tags(result, whole, digest))
    if gated.version is None:
        return
    registry.tag_version(plan.model, gated.version, {"verdict": result.verdict, "evidence": digest})
    known = registry.version(plan.model, gated.version)
    said = description(result, whole, digest, "" if known is None else known.description)
    registry.describe_version(plan.model, gated.version, said)
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
        *WORKERS,
        epilog="Reads WORK/plan.json and WORK/MODEL/{candidate/,scores/,scores.json,gate.json}. Writes "
        "WORK/MODEL/evaluation.json and keeps it as evidence with the candidate's run. Loads no model.",
        moved={"--scores": "`python scripts/judge.py TABLE` judges a table from elsewhere", **NO_DRY_RUN},
    )
    parser.add_argument("--model", help="only this model (default: every planned one)")
    args = parser.parse_args(argv)
    work, registry, all_won = Work(args.work), Registry(), True
    failed: PromotionError | None = None
    with work.held(), workers(args.workers, args.cluster, args.scratch) as pool:
        whole = work.read_plan()
        for item in work.chosen(args.model, ("train", "judge")):
            files = work.model(item.model)
            if files.error.is_file():
                print(f"{item.model}: not judged, because an earlier step failed")
                all_won = False
                continue
            try:
                with files.noted(), progress(f"{item.model}: judging", unit="rows") as step:
                    result = challenge(item, whole, files, registry, Reading(step.reached, pool))
            except PromotionError as error:  # the other models are judged all the same, for the report
                failed = error
                print(f"{item.model}: not judged: {error}")
                continue
            all_won = all_won and result.verdict in WINNING
            print(f"{item.model}: {result.verdict}: {result.headline}")
    if failed is not None:
        raise failed
    return 0 if all_won else VERDICT_NO


if __name__ == "__main__":
    raise SystemExit(main())
