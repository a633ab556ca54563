"""Go back to an older champion, code and pin together: a branch and a pull request, or --now on main itself.

The revert button undoes one commit; this puts a state back. It works from a dirty checkout, touches no
file of it, and pushes nothing before the target has passed the checks that promote.py makes.
"""

import argparse
import re

from promotion.champion.landing import Mandate, follow, land
from promotion.champion.proposal import body_of, branch_of
from promotion.champion.rollback import Standing, Target, prepare_rollback, refuse_problems, standing
from promotion.cli import command_line, handled
from promotion.errors import VERDICT_NO, PromotionError
from promotion.git.commits import hosted_tip, person
from promotion.git.repo import Repo
from promotion.github.pulls import Proposal, host_of, propose
from promotion.registry.client import Registry
from promotion.text.escape import log_text


def target(text: str) -> Target:
    """Read --to: a version number, `none` (also `null`) to drop the champion, or `previous`."""
    if text == "previous":
        return "previous"
    if text.lower() in ("none", "null"):
        return "none"
    if not re.fullmatch(r"v?[1-9][0-9]{0,8}", text):
        raise argparse.ArgumentTypeError(f"`{text}` is not a version number or `none`")
    return int(text.removeprefix("v"))


def _parser() -> argparse.ArgumentParser:
    parser = command_line(
        "Go back to an older champion, code and pin together, as a branch and a pull request.",
        "repo",
        "branch",
        epilog="Reads git (full history), origin and the registry (MLFLOW_TRACKING_URI). Pushes one branch and, with "
        "GITHUB_TOKEN, opens its pull request; without one it prints the address to open it.",
        moved={
            "--base": "`--branch NAME` names the production branch, `--head NAME` the one to push",
            "--by": "who rolls back is whom the commit is by",
        },
    )
    parser.add_argument("model", metavar="MODEL", help="the model, as promotion.yaml names it")
    parser.add_argument(
        "--to",
        type=target,
        default="previous",
        metavar="VERSION",
        help="an older champion, or `none` to drop the alias (default: %(default)s, the one before the last promotion)",
    )
    parser.add_argument("--reason", help="why; needed while the model is frozen")
    parser.add_argument("--now", action="store_true", help="push to the production branch and move @champion from here")
    parser.add_argument("--dry-run", action="store_true", help="check the target and say what would happen")
    parser.add_argument("--head", metavar="NAME", help="the branch to push (default: rollback/MODEL-FROM-to-TO-COMMIT)")
    return parser


def finish(
    repo: Repo, registry: Registry, had: Standing, commit: str, args: argparse.Namespace, mandate: Mandate
) -> int:
    """Say whether a rollback that main has already is in place; with --now, finish it; exit 1 where it is not."""
    further = "" if had.since is None else "; to go further back, say `--to VERSION`"
    if not had.planned.wanted:
        print(log_text(f"{had}, and @champion is there{further}"))
        return 0
    if args.now and not args.dry_run:
        print(log_text(f"{had}, and @champion is not there yet"))
        return 0 if follow(repo, registry, had.model, commit, branch=args.branch, mandate=mandate) else VERDICT_NO
    refuse_problems(had.planned)
    print(log_text(f"{had}, and @champion is not there yet: promote.yml moves it, or this command with --now{further}"))
    return VERDICT_NO


@handled
def main(argv: list[str] | None = None) -> int:
    """Parse arguments and roll back; exit 0 when it is on its way, 1 when main has it but the registry does not."""
    args = _parser().parse_args(argv)
    repo, registry = Repo(args.repo, args.root), Registry()
    if args.reason is not None and not args.reason.strip():
        raise PromotionError("--reason is empty; say in a few words why")
    mandate = Mandate(person(repo), args.reason, proposed=not args.now)
    tip = hosted_tip(repo, args.branch)
    print(f"reading {tip} and {registry.where}")
    had = standing(repo, registry, args.model, base=tip.commit, to=args.to, mandate=mandate)
    if had is not None:
        return finish(repo, registry, had, tip.commit, args, mandate)
    found = prepare_rollback(repo, registry, args.model, base=tip.commit, to=args.to, mandate=mandate)
    if found is None:
        print(f"{args.branch} pins this already; if @champion differs, run `python scripts/promote.py apply`")
        return 0
    body = body_of(found, mandate)
    print(log_text(f"{found.subject}: every check passes"))
    proposal = Proposal(found.commit, args.head or branch_of(found, tip.commit), args.branch, found.subject, body)
    if args.dry_run:
        pushed = args.branch if args.now else proposal.branch
        print(log_text(f"\n{body}\nnothing was pushed; without --dry-run: {pushed}"))
        return 0
    if args.now:
        done = land(repo, registry, args.model, found.commit, branch=args.branch, mandate=mandate)
        return 0 if done else VERDICT_NO
    pull = propose(repo, host_of(repo), proposal)
    if pull is not None:
        print(f"merge it and @champion moves: {pull.url}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
