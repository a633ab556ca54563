"""Check the candidate against the floors, log its run, and register it as @candidate if it passes: writes gate.json.

A candidate below a floor keeps its run, parameters, metrics, scores and model in the experiment
tracker, tagged with the reason, and no model version exists for it. This step may hold registry
credentials; it imports no model code and loads no model.
"""

from pathlib import Path

from promotion.cli import NO_DRY_RUN, WORKERS, command_line, handled
from promotion.errors import VERDICT_NO, PromotionError
from promotion.judgement.table import READING, Reading
from promotion.pullrequest.incoming import check_incoming, take_in
from promotion.pullrequest.workdir import ModelWork, Work
from promotion.records.figures import Looks
from promotion.records.plan import ModelPlan, Plan
from promotion.records.steps import Candidate, Gate, ScoresInfo
from promotion.registry.client import CANDIDATE, Registry, Run
from promotion.registry.looks import count_in, look_tag
from promotion.sandbox.workers import workers
from promotion.text.progress import progress


def gate(plan: ModelPlan, whole: Plan, files: ModelWork, registry: Registry, reading: Reading = READING) -> Gate:
    """Judge the floors of one candidate; log and register it, unless it is a trial; return and write gate.json."""
    from promotion.judgement.judge import floors

    believed = check_incoming(plan, files, lock=whole.lock, reading=reading)
    candidate, info, policy = believed.candidate, believed.info, believed.policy
    same = info.candidate_predictions == info.champion_predictions
    looks = count_in(
        registry,
        plan.model,
        predictions=info.candidate_predictions,
        first=info.first,
        last=info.last,
        allowed=policy.challenge.looks,
    )
    rules = floors(believed.scores, policy, looks_allowed=policy.challenge.looks)
    passed = bool(rules) and all(rule.ok is True for rule in rules)
    result = Gate(
        model=plan.model,
        passed=passed,
        rules=rules,
        run_id=plan.run_id,
        version=plan.version if passed else None,
        reason="; ".join(rule.reason for rule in rules if rule.ok is not True) or "every floor is passed",
        looks=None if same else Looks(number=looks.number, allowed=looks.allowed),
    )
    if not whole.trial:
        run = _run(plan, candidate, files, registry)
        _log(registry, run, result, info)
        registry.tag_run(run.run_id, {"complete": "true"})  # from here on the key is never trained again
        version = _register(plan, candidate, registry, run) if passed else None
        result = result.model_copy(update={"run_id": run.run_id, "version": version})
    result.write(files.gate)
    return result


def _run(plan: ModelPlan, candidate: Candidate, files: ModelWork, registry: Registry) -> Run:
    """Return the run of this training with all its files: logged before, taken up where a gate was cut off, or new.

    A run that was cut off with other files than these is given up: it keeps its files and loses its key, so that a
    key has one run.
    """
    known = registry.runs(plan.model, key=candidate.key)
    for run in known:
        complete, same = run.tags.get("complete") == "true", run.tags.get("digest") == candidate.digest
        if run.run_id == plan.run_id or (complete and same):
            return run
        if complete:
            raise PromotionError(
                f"{plan.model}: run {run.run_id} was trained from this tree meanwhile; run this again to judge that one"
            )
        if not same:
            registry.give_up(run.run_id, "key")
    begun = [run for run in known if run.tags.get("digest") == candidate.digest]
    tags = {
        "key": candidate.key,
        "source_tree": candidate.source_tree,
        "lock": candidate.lock,
        "digest": candidate.digest,
        "as_of": candidate.as_of,
    }
    name = f"{plan.model} {candidate.source_tree[:12]}"
    run = begun[0] if begun else registry.create_run(plan.model, name, tags)
    params = {key: str(value) for key, value in candidate.parameters.items()}
    if plan.elsewhere is not None:
        params["run"] = plan.elsewhere
    params |= {"as_of": candidate.as_of, "seed": str(candidate.seed), "train": " to ".join(candidate.train)}
    registry.log_run(run.run_id, params, {"train_seconds": candidate.train_seconds})
    registry.log_files(run.run_id, files.side("candidate").model, "model")
    registry.log_files(run.run_id, files.candidate_record, "")
    registry.log_files(run.run_id, files.scores, "scores")
    return run


def _log(registry: Registry, run: Run, found: Gate, info: ScoresInfo) -> None:
    """Let the run say the figures and the reason."""
    metrics = {one.metric: one.value for one in found.rules if one.metric and one.value is not None and not one.slice}
    registry.log_run(run.run_id, {}, metrics)
    gate = "passed" if found.passed else "REJECTED"
    tags = {"gate": gate, "gate_reason": found.reason[:4900], "test": info.test_digest}
    if found.looks is not None:  # the same predictions as the champion's use no look
        tags[look_tag(info.first, info.last)] = info.candidate_predictions
    registry.tag_run(run.run_id, tags)
    registry.finish_run(run.run_id)


def _register(plan: ModelPlan, candidate: Candidate, registry: Registry, run: Run) -> int:
    """Register the run's model unless it is registered, and point @candidate at it."""
    version = registry.version_of_run(plan.model, run.run_id)
    if version is None:
        tags = {"key": candidate.key, "source_tree": candidate.source_tree, "digest": candidate.digest}
        version = registry.register(plan.model, run, tags)
    if run.tags.get("version") != str(version.version):
        registry.tag_run(run.run_id, {"version": str(version.version)})
    registry.set_alias(plan.model, CANDIDATE, version.version)
    return version.version


@handled
def main(argv: list[str] | None = None) -> int:
    """Parse arguments and gate every planned model, or one; exit 1 when a floor is missed."""
    parser = command_line(
        "Check candidates against the floors of promotion.yaml; log and register them.",
        "work",
        *WORKERS,
        epilog="Reads WORK/plan.json, WORK/MODEL/{candidate/,scores/,scores.json}. Writes WORK/MODEL/gate.json, a run, "
        "and, if every floor is passed, a model version with the alias @candidate. Loads no model.",
        moved=NO_DRY_RUN,
    )
    parser.add_argument("--model", help="only this model (default: every planned one)")
    parser.add_argument(
        "--incoming",
        type=Path,
        metavar="FOLDER",
        help="take FOLDER/trained-MODEL/ and FOLDER/scored/MODEL/ of the jobs that ran model code into WORK/MODEL/, "
        "after validation",
    )
    args = parser.parse_args(argv)
    work, registry, all_passed = Work(args.work), Registry(), True
    failed: PromotionError | None = None
    with work.held(), workers(args.workers, args.cluster, args.scratch) as pool:
        whole = work.read_plan()
        for item in work.chosen(args.model, ("train", "judge", "verify")):
            files = work.model(item.model)
            try:
                with files.noted():
                    if args.incoming is not None and whole.blocked and item.action != "verify":
                        raise PromotionError("not trained, because this pull request is refused as it is")
                    if args.incoming is not None:
                        take_in(args.incoming, files, item.action)
                    if item.action == "verify":
                        continue
                    with progress(f"{item.model}: comparing with the floors", unit="rows") as step:
                        result = gate(item, whole, files, registry, Reading(step.reached, pool))
            except PromotionError as error:  # the other models are judged all the same, for the report
                failed = error
                print(f"{item.model}: not judged: {error}")
                continue
            all_passed = all_passed and result.passed
            where = f"registered as version {result.version}" if result.version else "not registered"
            print(f"{item.model}: gate {'passed' if result.passed else 'REJECTED'}: {result.reason}; {where}")
    if failed is not None and args.incoming is None:
        raise failed
    return 0 if all_passed and failed is None else VERDICT_NO  # what came in and cannot be used is a no, and reported


if __name__ == "__main__":
    raise SystemExit(main())
