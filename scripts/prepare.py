"""Decide what must happen to a pull request, and fetch what its judgement needs: writes plan.json.

A pull request is classified by state, not by its diff; see scripts/README.md. This step may hold
registry credentials; it imports no model code and loads no model.
"""

import argparse
import json
from collections.abc import Callable

from promotion.cli import command_line, handled
from promotion.config import FILE
from promotion.config.model_yaml import LOCK
from promotion.errors import VERDICT_NO, PromotionError
from promotion.git.promotion_at import promotion_at
from promotion.git.repo import Repo
from promotion.git.tree import export, folder_at
from promotion.git.whose import scripts_of
from promotion.github.actions import pull_url, write_output
from promotion.github.client import GitHub
from promotion.github.event import read_event
from promotion.judgement.metrics import check_policy
from promotion.judgement.power import policy_power, sentences
from promotion.pullrequest.classify import OVERRIDDEN, UNFIT, WON_HERE, Change, classify
from promotion.pullrequest.fetch import fetch_elsewhere, fetch_pinned
from promotion.pullrequest.moved import moved, need_commits
from promotion.pullrequest.runners import JOBS, here, outputs, shared
from promotion.pullrequest.situation import NO_TRACKER, THROWAWAY, gate_alone, situation
from promotion.pullrequest.workdir import PREPARE, TRIAL, ModelWork, Work
from promotion.records.plan import ModelPlan, Plan
from promotion.registry.client import Registry, tracking_uri
from promotion.registry.evidence import read_evidence
from promotion.text.escape import clean
from promotion.text.progress import progress


def prepare(
    repo: Repo,
    registry: Registry,
    work: Work,
    change: Change,
    *,
    trial: str | None = None,
    adapt: Callable[[Plan], Plan] = here,
) -> Plan:
    """Plan what is proposed, fetch files of each model, and write plan.json.

    trial: judge this model alone, even where nothing differs from the base, and have nothing registered.
    adapt: what the event makes of the plan (a draft trains nothing); by default, all of it runs on this machine.
    A model whose files or records are bad or cannot be had is refused with the reason, so that the others are judged
    all the same; where there is no other, that is the PromotionError.
    """
    plan = adapt(classify(repo, registry, change, only=trial))
    plan = plan.model_copy(update={"pull": change.pull, "begun": repo.first_time(change.base, change.head)})
    if trial is not None:
        plan = as_trial(plan, trial)
    check_policies(repo, plan)
    work.claim(owner(trial))
    models: list[ModelPlan] = []
    failed: list[PromotionError] = []
    for item in plan.models:
        try:
            fetch(item, repo, registry, work.model(item.model), change.base, plan.lock)
            for line in power_lines(item, registry):
                print(f"{item.model}: {line}")
        except PromotionError as error:
            failed.append(error)
            item = item.model_copy(update={"action": "refuse", "reason": error.brief, "merge_effect": UNFIT})
        models.append(item)
    if failed and all(item.action in ("none", "refuse") for item in models):
        raise failed[0]
    new = [f"{item.model}: {item.reason}" for item, old in zip(models, plan.models, strict=True) if item != old]
    plan = plan.model_copy(update={"models": tuple(models), "refusals": (*plan.refusals, *new)})
    plan.write(work.plan)
    return plan


def owner(trial: str | None) -> str:
    """The command whose records these are."""
    return PREPARE if trial is None else TRIAL


def as_trial(plan: Plan, model: str) -> Plan:
    """Mark a plan as a trial, of which no later step registers or pins anything; some plans leave nothing to try."""
    item = next((item for item in plan.models if item.model == model), None)
    if item is None:
        raise PromotionError(f"no model `{clean(model, 100)}`: there is no models/{model}/ and no entry in {FILE}")
    if item.action == "verify":
        raise PromotionError(f"{model}: {item.reason}; there is nothing to try")
    return plan.model_copy(update={"trial": True})


def fetch(item: ModelPlan, repo: Repo, registry: Registry, files: ModelWork, base: str, lock: str) -> None:
    """Put in place what the steps without credentials need: sources, the champion's files, a trained model.

    base: the commit whose tree says what is measured, also where an adopted champion's own is not known.
    """
    if item.action in ("train", "judge"):
        assert item.source_tree is not None
        export(repo, item.source_tree, files.side("candidate").source)
        if item.champion is not None:
            # main pins it already, so promote has decided about it, or will
            fetch_pinned(item.champion_model or item.model, item.champion, registry, files.side("champion").root)
            tree = item.champion.source_tree or folder_at(repo, base, f"models/{item.champion_model or item.model}")
            if tree is not None and repo.has_object(tree):
                export(repo, tree, files.side("champion").source)
    if item.elsewhere is not None:
        fetch_elsewhere(item, registry, files, lock)
    elif item.action == "judge":
        assert item.run_id is not None
        for path in ("candidate.json", "model"):
            with progress(f"{item.model}: downloading {path} of run {item.run_id}", unit="B") as step:
                found = registry.fetch(item.run_id, path, files.side("candidate").root, step.reached)
            if found is None:
                raise PromotionError(
                    f"{item.model}: run {item.run_id} was trained from this tree but its {path} is gone; "
                    "delete the run's tag promotion.key to train again"
                )
    if item.action == "verify" and item.pin is not None:
        own = files.side("pinned")
        if item.source_tree is not None:
            export(repo, item.source_tree, own.source)
        lands = item.pin != item.champion and item.reason in (WON_HERE, OVERRIDDEN)
        fetch_pinned(item.model, item.pin, registry, own.root, lands=(item, own.source) if lands else None)
        fetch_evidence(item, registry, files)


def fetch_evidence(item: ModelPlan, registry: Registry, files: ModelWork) -> None:
    """Put the judgement that won a verified pin in place, so that the report of an updated branch still shows it."""
    pin = item.pin
    if pin is None or pin == item.champion or pin.evidence is None or item.reason != WON_HERE:
        return
    version = registry.version(item.model, pin.version)
    won = None if version is None or version.run_id is None else read_evidence(registry, version.run_id, pin.evidence)
    if won is not None:
        won.write(files.evaluation)


def check_policies(repo: Repo, plan: Plan) -> None:
    """Raise PromotionError with promotion.yaml:LINE at the first rule, of a model that is judged or whose policy
    is new, that names an unknown metric or cannot be computed."""
    entries = promotion_at(repo, plan.merge).models
    known = {entry.policy.digest for entry in promotion_at(repo, plan.base, base=True).models.values()}
    judged = {item.model for item in plan.models if item.action in ("train", "judge")}
    for name, entry in entries.items():
        if name in judged or entry.policy.digest not in known:
            check_policy(entry.policy)


def power_lines(item: ModelPlan, registry: Registry) -> tuple[str, ...]:
    """Return what candidates with no and with the worthwhile difference would get, from the champion's evidence.

    () where there is no stored challenge with a difference to take the standard errors from.
    """
    pin = item.champion
    if item.action not in ("train", "judge") or pin is None or pin.evidence is None:
        return ()
    name = item.champion_model or item.model
    version = registry.version(name, pin.version)
    won = None if version is None or version.run_id is None else read_evidence(registry, version.run_id, pin.evidence)
    if won is None or item.policy is None:
        return ()
    policy = item.judged_by
    powers = policy_power(policy, won)
    warnings = tuple(f"warning: {power.warning}" for power in powers if power.warning)
    return (*sentences(powers, policy.challenge.worthwhile), *warnings)


def describe(plan: Plan) -> str:
    """Return the plan as lines for a terminal."""
    lines = [f"{item.model}: {item.action} - {item.reason}" for item in plan.models] or ["no model is touched"]
    return "\n".join([*lines, *(f"refused: {reason}" for reason in plan.refusals)])


@handled
def main(argv: list[str] | None = None) -> int:
    """Parse arguments, write the plan; exit 1 when the pull request is refused as it is."""
    parser = command_line(
        "Decide what must happen to a pull request and fetch what its judgement needs.",
        "repo",
        "branch",
        "work",
        epilog="Reads git and the registry (MLFLOW_TRACKING_URI). Writes WORK/plan.json and "
        "WORK/MODEL/{candidate,champion}/. Imports no model code.",
    )
    parser.add_argument("--merge", default="HEAD", help="the merge result (default: %(default)s)")
    parser.add_argument("--base", help="the base commit (default: the merge result's first parent)")
    parser.add_argument("--head", help="the pull request's head (default: the merge result's last parent)")
    parser.add_argument("--trial", metavar="MODEL", help="for `retrain.py try`: this model alone, nothing registered")
    parser.add_argument(
        "--github",
        action="store_true",
        help="in Actions: apply the event's limits (a fork has no credentials, a draft trains nothing), "
        "and write the job's outputs",
    )
    parser.add_argument("--pull", metavar="URL", help="the pull request's address (default: the event's)")
    args = parser.parse_args(argv)
    work = Work(args.work)
    with work.held(owner(args.trial)):
        try:
            plan = run(args, work)
        except PromotionError as error:
            work.note(error)
            raise
    print(describe(plan))
    return VERDICT_NO if plan.refusals else 0


def run(args: argparse.Namespace, work: Work) -> Plan:
    """Find the commits, plan, and write the outputs for the jobs that follow."""
    repo = Repo(args.repo, args.root)
    repo.need_full_history()
    merge = repo.resolve(args.merge)
    if args.merge == "HEAD" and not args.github:  # there the work tree is not looked at: it could start a filter
        for path in ("models", FILE):
            repo.need_clean(path)
    parents = repo.parents(merge)
    if not parents and args.base is None:
        raise PromotionError(f"{merge[:12]} is the first commit, so it has no base; give --base")
    base = repo.resolve(args.base) if args.base else parents[0]
    head = repo.resolve(args.head) if args.head else (parents[-1] if len(parents) > 1 else merge)
    what = f"{merge[:12]} against {base[:12]}" if head == merge else f"the merge of {head[:12]} into {base[:12]}"
    reading, scripts = f"reading {what} and", scripts_of(repo, LOCK)
    print(f"judged by the scripts of {scripts.name}")
    if not args.github:
        registry = Registry()
        print(f"{reading} {registry.where}", flush=True)
        change = Change(base, merge, head, pull=args.pull, scripts=scripts)
        return prepare(repo, registry, work, change, trial=args.trial)
    where = situation(read_event(), GitHub.from_environment, production=args.branch)
    alone = where.credentials and tracking_uri().startswith("sqlite:")
    pinned = [name for name, entry in promotion_at(repo, base, base=True).models.items() if entry.champion is not None]
    if alone and pinned:
        raise PromotionError(
            f"MLFLOW_TRACKING_URI is not set, and {FILE} pins a champion of {pinned[0]}; give the repository this "
            "variable (see .github/SETUP.md)"
        )
    throwaway = alone or not where.credentials
    need_commits(repo, where, base=base, head=head)
    write_output({"merge": merge})
    registry = Registry(THROWAWAY if throwaway else None)
    print(f"{reading} {registry.where}", flush=True)

    def adapted(plan: Plan) -> Plan:
        plan = shared(where.adapt(gate_alone(plan, NO_TRACKER) if alone else plan))
        late = moved(repo, plan, head_ref=where.head_ref, base_ref=where.base_ref) if where.speaks else None
        return plan if late is None else plan.model_copy(update={"refusals": (*plan.refusals, late)})

    change = Change(base, merge, head, where.author, args.pull or pull_url(where.number), scripts)
    plan = prepare(repo, registry, work, change, adapt=adapted)
    wanted = [] if plan.blocked else [item for item in plan.models if item.action in JOBS]
    names = json.dumps([item.model for item in wanted])
    write_output({"models": names, "tracker": THROWAWAY if throwaway else "", **outputs(wanted)})
    return plan


if __name__ == "__main__":
    raise SystemExit(main())
