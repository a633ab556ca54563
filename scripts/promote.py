"""Make @champion what main pins: plan shows the difference, apply moves it, history tells what happened.

adopt takes over the champions that a registry already has; override moves @champion for a reason that a
person gives, commit first.

Level-based: it compares desired with current and moves the difference, so running it twice, late or
after a crash is harmless, and a rollback is just another desired state.

plan and apply run on every merge and mostly import: what only another command needs is imported there, and what
compares and checks while the registry answers the first question.
"""

import gc

if __name__ == "__main__":
    gc.disable()  # what is imported stays, so nothing looks for garbage in it

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from promotion.cli import command_line, deadline, handled, leave, subcommand, who
from promotion.config import FILE
from promotion.errors import VERDICT_NO, PromotionError
from promotion.git.commits import Tip, commit_to_apply, hosted_tip, person
from promotion.git.repo import Commit, Repo
from promotion.registry.at_once import meanwhile
from promotion.registry.client import CHAMPION, Registry
from promotion.text.figures import plural
from promotion.text.progress import progress

if TYPE_CHECKING:
    from promotion.champion.agreed import Authors
    from promotion.champion.apply import Planned

TASKS = ("classification", "regression")
SECONDS = 300.0  # a whole command; a 50 MB model takes under five
READS = ("repo", "branch")


def _planned(args: argparse.Namespace, registry: Registry) -> "list[Planned]":
    """Say what is read, compare it, and check every model that differs."""
    listed = registry.beside(registry.models)
    loaded = meanwhile(_load)
    repo = Repo(args.repo, args.root)
    try:
        tip = commit_to_apply(repo, args.branch, args.commit, rewritten_history=args.rewritten_history)
        repo.read_ahead(tip.commit, FILE)
    finally:
        loaded()  # Python may crash where it ends in the middle of an import
    from promotion.champion.apply import plan_moves
    from promotion.champion.checks import Permissions

    _reading(tip, registry, json=getattr(args, "json", False))
    allowed = Permissions(args.reason, args.rewritten_history, _authors(repo, args.branch))
    with progress("checking", unit="models", told=False) as step:
        return plan_moves(repo, tip.commit, registry, allowed, branch=args.branch, listed=listed, reached=step.reached)


def _load() -> None:
    """Import what compares and checks. All of it stays, so nothing looks for garbage in it, now or at the end."""
    gc.disable()
    import promotion.champion.apply  # noqa: F401

    gc.freeze()
    gc.enable()


def _authors(repo: Repo, branch: str) -> "Authors":
    """Who a commit of the branch is by; GitHub is asked only where an override names somebody."""

    def names(commit: Commit) -> tuple[str, ...]:
        from promotion.github.pulls import host_of, merged_by

        return merged_by(host_of(repo), branch)(commit)

    return names


def _reading(tip: Tip, registry: Registry, *, json: bool = False) -> None:
    print(f"reading {tip} and {registry.where}", file=sys.stderr if json else sys.stdout)


def run_plan(args: argparse.Namespace) -> int:
    """Print the difference and every check; exit 1 when something is refused."""
    planned = _planned(args, Registry())
    if args.json:
        print(json.dumps([item.as_dict() for item in planned], indent=2))
    for item in [] if args.json else planned:
        print(item.difference)
        for problem in item.problems:
            print(f"  REFUSED {problem}")
        for note in item.notes:
            print(f"  note: {note}")
    return VERDICT_NO if any(item.problems for item in planned) else 0


def run_apply(args: argparse.Namespace) -> int:
    """Move @champion of every model that differs and passes its checks; exit 1 when one is refused."""
    registry = Registry()
    planned = _planned(args, registry)
    from promotion.champion.apply import apply

    with progress("applying", len(planned), "models", told=False) as step:

        def say(line: str) -> None:  # one a model
            step.say(line)
            step.advance()

        done = apply(planned, registry, by=who(), together=args.together, reason=args.reason, say=say)
    return 0 if done else VERDICT_NO


def run_history(args: argparse.Namespace) -> int:
    """Print a model's history, or which version was champion at a time; with --html write the page of all models."""
    from promotion.champion.history import as_dicts, as_text, history, in_production, parse_time

    repo, registry = Repo(args.repo, args.root), Registry()
    if args.html is not None:
        return write_page(repo, registry, args)
    if args.model is None:
        raise PromotionError("which model? give its name, or write the page of all models with --html FILE")
    when = None if args.at is None else parse_time(args.at)
    tip = commit_to_apply(repo, args.branch, None)
    _reading(tip, registry, json=args.json)
    rows = history(repo, tip.commit, registry, args.model)
    if when is not None:
        found = in_production(args.model, rows, when)
        if args.json:
            print(json.dumps(found.as_dict(), indent=2))
        else:
            what = "no champion" if found.version is None else f"version {found.version}"
            move = found.event
            since = "" if move is None else f", since {move.at} ({move.reason}, {move.commit[:12]})"
            print(f"{args.model} at {found.at}: {what}{since}" + ("" if found.note is None else f"; {found.note}"))
        return 0
    if args.json:
        print(json.dumps(as_dicts(rows), indent=2))
        return 0
    registered = registry.model(args.model)
    print(as_text(args.model, rows, None if registered is None else registered.aliases.get(CHAMPION)))
    return 0


def write_page(repo: Repo, registry: Registry, args: argparse.Namespace) -> int:
    """Write the page of all models."""
    from promotion.champion.desired import Main
    from promotion.champion.history import histories
    from promotion.github.pulls import host_of
    from promotion.rendering.history import history_html  # the promote job does without what pages are made with

    if args.model is not None or args.at is not None or args.json:
        raise PromotionError("--html writes one page of all models; leave out MODEL, --at and --json")
    tip = commit_to_apply(repo, args.branch, None)
    _reading(tip, registry)
    main = Main(repo, tip.commit, args.branch)
    found = histories(main, registry)
    page = history_html(found, commit=main.tip, when=repo.describe(main.tip).when, web=host_of(repo).web)
    args.html.parent.mkdir(parents=True, exist_ok=True)
    args.html.write_text(page, encoding="utf-8")
    print(f"wrote {args.html}: {plural(len(found), 'model')}")
    return 0


def run_audit(args: argparse.Namespace) -> int:
    """Print, for every move between two times, all that is known of it, as JSON."""
    from promotion.champion.audit import audit
    from promotion.champion.desired import Main
    from promotion.github.pulls import host_of

    repo, registry = Repo(args.repo, args.root), Registry()
    tip = commit_to_apply(repo, args.branch, None)
    _reading(tip, registry, json=True)
    main, github = Main(repo, tip.commit, args.branch), host_of(repo).github
    found = audit(main, registry, github, args.model, since=args.since, until=args.until)
    print(json.dumps([record.model_dump(mode="json") for record in found], indent=2, ensure_ascii=False))
    return 0


def run_adopt(args: argparse.Namespace) -> int:
    """Write entries for champions that were there before this project; exit 1 where --all left one out."""
    from promotion.champion.adopt import adopt

    registry, repo = Registry(), Repo(args.repo, args.root)
    path = repo.here / FILE
    print(f"reading {path} and {registry.where}")
    lines, done = adopt(path, repo, registry, args.models, everything=args.all, task=args.task)
    print("\n".join(lines))
    return 0 if done else VERDICT_NO


def run_override(args: argparse.Namespace) -> int:
    """Commit a version's tree and its pin with who and why, then apply; exit 1 where main has it, the registry not."""
    from promotion.champion.landing import Mandate, land
    from promotion.champion.override import body_of, prepare_override
    from promotion.github.pulls import Proposal, host_of, propose

    repo, registry = Repo(args.repo, args.root), Registry()
    mandate = Mandate(person(repo), args.reason, proposed=args.pull_request)
    tip = hosted_tip(repo, args.branch)
    _reading(tip, registry)
    found = prepare_override(repo, registry, args.model, base=tip.commit, to=args.to, mandate=mandate)
    if found is None:
        print(f"{args.branch} pins version {args.to} of {args.model} already; `promote.py apply` makes it so")
        return 0
    print(f"{found.subject}: every check passes" + (f"; the challenge said {found.verdict}" if found.verdict else ""))
    if args.dry_run:
        print("nothing was pushed, because of --dry-run")
    elif args.pull_request:
        branch = f"override/{args.model}-{args.to}-{tip.commit[:7]}"
        proposal = Proposal(found.commit, branch, args.branch, found.subject, body_of(found, mandate.by))
        pull = propose(repo, host_of(repo), proposal)
        if pull is not None:
            print(f"merge it and @champion moves: {pull.url}")
    else:
        done = land(repo, registry, args.model, found.commit, branch=args.branch, mandate=mandate)
        return 0 if done else VERDICT_NO
    return 0


def _which(command: argparse.ArgumentParser) -> None:
    """The options of plan and apply: which commit, and what is allowed."""
    command.add_argument("--commit", help="a commit of the branch instead of its tip (older ones are refused)")
    command.add_argument("--reason", help="why: recorded, and needed for a rollback during a freeze")
    command.add_argument("--rewritten-history", action="store_true", help="accept that main was rewritten")


def _parser() -> argparse.ArgumentParser:
    parser = command_line(
        "Make @champion what main pins.",
        epilog="Reads git (full history) and the registry (MLFLOW_TRACKING_URI). Writes, with apply, ledger tags and "
        "aliases. Exit code: 0 all is as main pins, 1 something was refused, 2 bad input or a registry that failed.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _which(subcommand(commands, run_plan, "show what apply would do, and every reason against it", *READS, "json"))

    command = subcommand(
        commands, run_apply, "move @champion of every model that differs and passes its checks", *READS
    )
    _which(command)
    command.add_argument("--together", action="store_true", help="write nothing unless every model passes")

    command = subcommand(
        commands, run_history, "say who moved @champion when, from what to what, and why", *READS, "json"
    )
    command.add_argument("model", nargs="?", metavar="MODEL", help="the model's name")
    command.add_argument("--at", metavar="TIME", help="only the version in production then: 2026-08-03T12:00Z")
    command.add_argument("--html", type=Path, metavar="FILE", help="write one page of all models: promised, realized")

    text = "for an auditor, as JSON: every move with its evidence, approvals, policy, digests, and who"
    command = subcommand(commands, run_audit, text, *READS)
    command.add_argument("model", metavar="MODEL", help="the model's name")
    command.add_argument("--from", dest="since", metavar="TIME", help="the first time: 2026-08-01 or 2026-08-03T12:00Z")
    command.add_argument("--to", dest="until", metavar="TIME", help="the last one; a day counts whole")

    text = "write entries for champions that the registry had before; without names: list them"
    command = subcommand(commands, run_adopt, text, "repo")
    command.add_argument("models", nargs="*", metavar="MODEL", help="the models to adopt")
    command.add_argument("--all", action="store_true", help="adopt all that can be")
    command.add_argument("--task", choices=TASKS, default="classification", help="the policy to begin with")

    text = "move @champion to any version for a reason: commit it to main, then apply"
    command = subcommand(commands, run_override, text, *READS, moved={"--by": "who overrides is whom the commit is by"})
    command.add_argument("model", metavar="MODEL", help="the model's name")
    command.add_argument("--to", type=int, required=True, metavar="VERSION", help="any registered version")
    command.add_argument("--reason", required=True, help="why; it stays in the pin")
    command.add_argument("--pull-request", action="store_true", help="propose it instead of pushing to main")
    command.add_argument("--dry-run", action="store_true", help="make every check and push nothing")

    for command in commands.choices.values():
        command.add_argument(
            "--deadline", type=float, default=SECONDS, metavar="S", help="stop after S seconds (default: %(default)g)"
        )
    return parser


@handled
def main(argv: list[str] | None = None) -> int:
    """Parse arguments and run one command."""
    args = _parser().parse_args(argv)
    gc.enable()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    with deadline(args.deadline, f"promote.py {args.command}"):
        return args.run(args)


if __name__ == "__main__":
    leave(main())
