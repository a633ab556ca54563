"""Make @champion what main pins: plan shows the difference, apply moves it.

Level-based: it compares desired with current and moves the difference, so running it twice, late or
after a crash is harmless, and a rollback is just another desired state.
"""

import argparse
import sys
from pathlib import Path

from promotion.apply import apply, plan, who
from promotion.checks import Permissions
from promotion.errors import VERDICT_NO, handled
from promotion.registry import Registry
from promotion.source import Repo


def tip_of(repo: Repo, branch: str) -> str:
    """Return the tip of the branch, fetched from `origin` first where there is one.

    A re-run of an old workflow run holds an old checkout; what counts is the branch as it is now.
    """
    repo.check()
    if "origin" in repo.git("remote").split():
        repo.git("fetch", "--quiet", "origin", f"+refs/heads/{branch}:refs/remotes/origin/{branch}")
        return repo.resolve(f"origin/{branch}")
    return repo.resolve(branch)


def _commit(repo: Repo, args: argparse.Namespace) -> str:
    repo.need_full_history()
    return repo.resolve(args.commit) if args.commit else tip_of(repo, args.branch)


def run_plan(args: argparse.Namespace) -> int:
    """Print the difference and every check; exit 1 when something is refused."""
    repo = Repo(args.repo)
    planned = plan(repo, _commit(repo, args), Registry(), _allowed(args))
    for item in planned:
        print(item.difference)
        for problem in item.problems:
            print(f"  REFUSED {problem}")
    return VERDICT_NO if any(item.problems for item in planned) else 0


def run_apply(args: argparse.Namespace) -> int:
    """Move @champion of every model that differs and passes its checks; exit 1 when one is refused."""
    repo, registry = Repo(args.repo), Registry()
    planned = plan(repo, _commit(repo, args), registry, _allowed(args))
    done = apply(planned, registry, by=who(), together=args.together, reason=args.reason)
    return 0 if done else VERDICT_NO


def _allowed(args: argparse.Namespace) -> Permissions:
    return Permissions(thaw=args.reason, rewritten_history=args.rewritten_history)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Make @champion what main pins.",
        epilog="Reads git (full history) and the registry (MLFLOW_TRACKING_URI). Writes, with apply, ledger tags and aliases.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, run, text in (
        ("plan", run_plan, "show what apply would do, and every reason against it"),
        ("apply", run_apply, "move @champion of every model that differs and passes its checks"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--repo", type=Path, default=Path(), help="the checkout (default: this folder)")
        command.add_argument("--branch", default="main", help="the branch that counts (default: %(default)s)")
        command.add_argument("--commit", help="a commit instead of the branch's tip (older ones are refused)")
        command.add_argument("--reason", help="why: recorded, and needed for a rollback during a freeze")
        command.add_argument("--rewritten-history", action="store_true", help="accept that main was rewritten")
        if name == "apply":
            command.add_argument("--together", action="store_true", help="write nothing unless every model passes")
        command.set_defaults(run=run)
    return parser


@handled
def main(argv: list[str] | None = None) -> int:
    """Parse arguments and run one command."""
    args = _parser().parse_args(argv)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    return args.run(args)


if __name__ == "__main__":
    raise SystemExit(main())
