"""After the merge: did it pay? Look at every promotion on the days whose labels are known since, and say so.

`plan` says which promotions are due and fetches champion and predecessor, score.py lets both answer without
credentials, `judge` holds the predecessor against the champion under main's policy. Worse: the rollback's pull
request is opened, with the report. A floor missed: one issue. Nothing here moves anything. A first champion, and one
that somebody went back to, has no predecessor: it answers alone, and its floors are looked at.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from promotion.champion.desired import Main, current_state
from promotion.champion.proposal import Seen, propose_rollback
from promotion.champion.watching import Promotion, Standing, standing
from promotion.cli import command_line, handled, now, subcommand, today, who
from promotion.config.pin import PinRecord
from promotion.errors import VERDICT_NO, PromotionError
from promotion.git.commits import hosted_tip
from promotion.git.repo import Repo
from promotion.git.tree import export
from promotion.github.actions import write_output, write_summary
from promotion.github.comments import close_issue, upsert_issue
from promotion.github.pulls import Host, host_of
from promotion.judgement.table import Reading
from promotion.pullrequest.fetch import fetch_pinned
from promotion.pullrequest.incoming import check_scored, take_in
from promotion.pullrequest.runners import allowed_or_none, outputs
from promotion.pullrequest.workdir import ModelWork, Work
from promotion.records.evaluation import Side
from promotion.records.plan import ModelPlan, Plan, Runner
from promotion.records.watched import Watched
from promotion.registry.client import Registry
from promotion.registry.evidence import read_evidence
from promotion.registry.outcome import with_look
from promotion.registry.watched import Shelf
from promotion.text.escape import clean, log_text, markdown
from promotion.text.progress import progress
from promotion.timeline import Claim, Look, promised

OWNER = "watch.py"
MARKER = "<!-- promotion-watch -->"
LABEL = "watch"


def standings(main: Main, registry: Registry, only: Sequence[str] = ()) -> list[Standing]:
    """Say of every model of main, or of some, whether its promotion is due for a look."""
    entries = {name: main.promotion.entry(name) for name in sorted(only or main.promotion.models)}
    registered = registry.models()
    return [
        standing(main, entry, current_state(registered.get(name)), name, today()) for name, entry in entries.items()
    ]


def planned(found: Promotion, repo: Repo, runner: Runner | None = None) -> ModelPlan:
    """A look as a plan: the predecessor challenges, on the days of this look; without one the champion is alone.

    runner: what main's model.yaml asks.
    """
    policy, challenger = found.entry.policy, found.before or found.pin
    return ModelPlan(
        model=found.model,
        action="watch",
        reason=f"look {found.number} on {found.window}",
        source_tree=challenger.source_tree,
        key=None,
        champion=None if found.before is None else found.pin,
        pin=challenger,
        policy=policy,
        policy_digest=policy.digest,
        policy_place=policy.place,
        folder=repo.at(f"models/{found.model}"),
        runner=runner,
        version=challenger.version,
        looked=(str(found.window.first), found.window.days),
    )


def plan(main: Main, registry: Registry, work: Work, found: Sequence[Standing]) -> Plan:
    """Write plan.json for what is due, and fetch both models and their sources; what cannot be had is noted."""
    work.claim(OWNER)
    items = []
    for one in found:
        if not one.due or one.promotion is None:
            continue
        runner = allowed_or_none(main.repo, main.tip, one.model, main.promotion.runners)
        item = planned(one.promotion, main.repo, runner)
        try:
            with work.model(item.model).noted():
                fetch(main, registry, work.model(item.model), item)
        except PromotionError as error:  # the others are looked at all the same
            print(f"error: {item.model}: {error}", file=sys.stderr)
            continue
        items.append(item)
    whole = Plan(base=main.tip, head=main.tip, merge=main.tip, lock="none", models=tuple(items))
    whole.write(work.plan)
    return whole


def fetch(main: Main, registry: Registry, files: ModelWork, item: ModelPlan) -> None:
    """Put champion and predecessor in place; raise PromotionError where one's files or code are gone."""
    for side, pin in (("champion", item.champion), ("candidate", item.pin)):
        if pin is None:
            continue
        fetch_pinned(item.model, pin, registry, files.side(side).root)
        tree = pin.source_tree
        if tree is None and item.champion is None:  # adopted, and alone: main's data.py says what its rows are
            tree = main.repo.object_at(main.tip, item.folder)
            if tree is None:
                raise PromotionError(f"version {pin.version} was adopted without a tree, and main has no {item.folder}")
        if tree is None:
            continue
        if not main.repo.has_object(tree):
            raise PromotionError(f"the code of version {pin.version} (git tree {tree[:12]}) is not in this clone")
        export(main.repo, tree, files.side(side).source)


def judge(found: Promotion, repo: Repo, work: Work, registry: Registry, incoming: Path | None) -> Seen:
    """Hold predecessor and champion against each other on the new days, and keep what came out."""
    from promotion.judgement import watch as judgement

    item, files, before = planned(found, repo), work.model(found.model), found.before
    if incoming is not None:
        take_in(incoming, files, item.action)
    elif files.error.is_file():
        raise PromotionError(files.error.read_text(encoding="utf-8", errors="replace").strip())
    info, _ = check_scored(item, files, found.window, (before or found.pin).digest)
    shelf, claim = _of_champion(registry, found)
    declared = (*(day for look in found.looks for day in look.empty), *(info.empty_days or ()))
    said = [f"The predecessor's tree says otherwise: {change}." for change in info.changes]
    with progress(f"{found.model}: judging", unit="rows") as step:
        watched, judged = judgement.watch(
            files.scores,
            item.judged_by,
            found.entry.watch,
            judgement.Look(
                number=found.number,
                earlier=shelf.tables(found.looks, files.root / "earlier"),
                empty=declared,
                predecessor=None if before is None else _side(before),
                champion=_side(found.pin),
                notes=() if before is None else tuple(said),
            ),
            reading=Reading(step.reached),
        )
    look = look_of(found, watched, info.empty_days or ())
    shelf.keep(look, files.scores, watched, judged)
    watched.write(files.root / "watched.json")
    judged.write(files.evaluation)
    look = look.model_copy(update={"evidence": judged.sha256})
    return Seen(found, look, watched, claim, fresh=True)


def _side(pin: PinRecord) -> Side:
    return Side(source_tree=pin.source_tree, digest=pin.digest, version=pin.version)


def look_of(found: Promotion, watched: Watched, empty: Sequence[str]) -> Look:
    """What a look leaves in the registered model's tags."""
    whole = watched.whole
    return Look(
        number=found.number,
        version=found.pin.version,
        against=None if found.before is None else found.before.version,
        first=str(found.window.first),
        last=str(found.window.last),
        verdict=watched.verdict,
        reason=clean(watched.reason, 1000),
        realized=Claim(
            metric=watched.metric,
            unit=watched.unit,
            better=watched.better,
            first=whole.first,
            last=whole.last,
            level=whole.champion.value,
            difference=None if whole.difference is None else whole.difference.value,
            interval=(whole.difference or whole.champion).interval,
            confidence=watched.confidence,
        ),
        at=now(),
        by=who()[:200],
        empty=tuple(empty),
    )


def _of_champion(registry: Registry, found: Promotion) -> tuple[Shelf, Claim | None]:
    """What its run keeps of a champion, and what its evidence promised; raise PromotionError where it has no run."""
    version = registry.version(found.model, found.pin.version)
    if version is None or version.run_id is None:
        raise PromotionError(
            f"version {found.pin.version} has no run in {registry.where}, so nothing can be kept with it"
        )
    shelf = Shelf(registry, found.model, version.run_id, found.place)
    won = None if found.pin.evidence is None else read_evidence(registry, version.run_id, found.pin.evidence)
    return shelf, None if won is None else promised(won)


def describe(registry: Registry, seen: Seen) -> None:
    """Let the champion's description in MLflow say what the look found."""
    found = seen.promotion
    version = registry.version(found.model, found.pin.version)
    if version is not None:
        text = with_look(version.description, seen.look, found.entry.watch.looks, seen.promised)
        registry.describe_version(found.model, found.pin.version, text)


def newest(found: Promotion, registry: Registry) -> Seen | None:
    """The newest look that was kept, in full, where something follows from it; else, or where it is gone, None."""
    if not found.looks or found.looks[-1].verdict not in ("worse", "floor missed"):
        return None
    shelf, claim = _of_champion(registry, found)
    watched = shelf.read(found.looks[-1])
    return None if watched is None else Seen(found, found.looks[-1], watched, claim, fresh=False)


def keep_issue(host: Host, missed: Sequence[Seen]) -> list[str]:
    """Keep one issue for the champions that are below a floor, or close it; say what was done."""
    from promotion.rendering.watch import watch_markdown

    if host.github is None:
        return []
    if not missed:
        text = "Every champion is above the floors of its gate again, or is champion no more."
        return [f"closed #{number}" for number in close_issue(host.github, MARKER, LABEL, comment=text)]
    reports = "\n".join(watch_markdown(one.found, one.look, one.promised) for one in missed)
    names = ", ".join(one.promotion.model for one in missed[:3]) + (" and more" if len(missed) > 3 else "")
    body = (
        f"A champion that misses a floor would not pass its own gate today.\n\n{reports}\nwatch.yml keeps this issue.\n"
    )
    issue = upsert_issue(host.github, MARKER, title=f"Below the floor: {names}", body=body, label=LABEL)
    return [f"the issue is #{issue.number}: {issue.url}"]


def run_plan(args: argparse.Namespace) -> int:
    """Say what is due, write the plan, and the output `models` for the job that scores."""
    repo, registry, work = Repo(args.repo, args.root), Registry(), Work(args.work)
    tip = hosted_tip(repo, args.branch)
    print(f"reading {tip} and {registry.where}")
    main = Main(repo, tip.commit, args.branch)
    found = standings(main, registry, args.models)
    for one in found:
        print(log_text(f"{one.model}: {one.why}"))
    made = plan(main, registry, work, found)
    # one that could not be fetched, too: its job passes on why
    write_output({"models": json.dumps([one.model for one in found if one.due]), **outputs(made.models)})
    done = len(made.models) == sum(one.due for one in found) and not any(one.odd for one in found)
    return 0 if done else VERDICT_NO


def run_judge(args: argparse.Namespace) -> int:
    """Judge what was scored, keep it, propose what follows; exit 1 where a champion is worse or cannot be judged."""
    from promotion.rendering.watch import watch_line

    repo, registry, work = Repo(args.repo, args.root), Registry(), Work(args.work)
    tip = hosted_tip(repo, args.branch)
    print(f"reading {tip} and {registry.where}")
    host, main = host_of(repo), Main(repo, tip.commit, args.branch)
    lines, seen, bad = [], [], False
    for one in standings(main, registry, args.models):
        if one.promotion is None:
            lines.append(f"{one.model}: {one.why}")
            bad = bad or one.odd
            continue
        try:
            found = one.promotion
            last = judge(found, repo, work, registry, args.incoming) if one.due else newest(found, registry)
        except PromotionError as error:
            bad = True
            lines.append(f"{one.model}: not looked at: {error}")
            continue
        said = one.why if last is None or not last.fresh else watch_line(last.found, last.promised)
        lines.append(f"{one.model}: {said}")
        if last is not None:
            seen.append(last)
        if last is not None and last.fresh:
            try:
                describe(registry, last)
            except PromotionError as error:  # what was found is kept all the same
                lines.append(f"  its description in MLflow was not written: {error}")
        if last is not None and last.found.verdict == "worse":
            try:
                done, pull = propose_rollback(repo, host, registry, tip.commit, args.branch, last)
                bad = bad or last.fresh or pull is not None
            except PromotionError as error:  # one model's trouble is its own
                done, bad = f"not proposed: {error}", True
            lines.append(f"  {done}")
    missed = [one for one in seen if one.found.verdict == "floor missed"]
    lines += keep_issue(host, missed)
    print(log_text("\n".join(lines)))
    write_summary(summary_of(lines))
    return VERDICT_NO if bad or missed else 0


def summary_of(lines: Sequence[str]) -> str:
    """The job summary; pure."""
    return "## After the merge\n\n" + "".join(f"- {markdown(line.strip(), 1000)}\n" for line in lines)


def _parser() -> argparse.ArgumentParser:
    parser = command_line(
        "Look at every promotion after the merge: did it pay?",
        epilog="Between plan and judge, `python scripts/score.py --work FOLDER` lets both models answer. Exit code: 0 "
        "no champion is worse than its predecessor, 1 one is, or misses a floor, or cannot be looked at, 2 bad input.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    text = "say which promotions are due, and fetch champion and predecessor; writes WORK/plan.json"
    command = subcommand(commands, run_plan, text, "repo", "branch", "work")
    command.add_argument("models", nargs="*", metavar="MODEL", help="only these (default: all)")
    text = "judge what score.py left in WORK, keep it, and open the rollback's pull request where it did not pay"
    command = subcommand(commands, run_judge, text, "repo", "branch", "work")
    command.add_argument("models", nargs="*", metavar="MODEL", help="only these (default: all)")
    command.add_argument(
        "--incoming", type=Path, metavar="FOLDER", help="first take FOLDER/scored/MODEL/, after validation"
    )
    return parser


@handled
def main(argv: list[str] | None = None) -> int:
    """Parse arguments and plan or judge."""
    args = _parser().parse_args(argv)
    with Work(args.work).held(OWNER if args.command == "plan" else None):
        return args.run(args)


if __name__ == "__main__":
    raise SystemExit(main())
