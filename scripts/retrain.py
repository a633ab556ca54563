"""Try a model on this machine with nothing registered; open, update and schedule its retrain pull request."""

import argparse
import datetime
import tempfile
from pathlib import Path

from promotion.cli import command_line, handled, subcommand
from promotion.config.as_of import as_date
from promotion.config.promotion_yaml import FILE
from promotion.errors import VERDICT_NO, PromotionError
from promotion.git.commits import hosted_tip
from promotion.git.repo import Repo
from promotion.github.actions import write_summary
from promotion.github.pulls import host_of
from promotion.pullrequest.workdir import Work
from promotion.records import WINNING, Evaluation
from promotion.registry.client import Registry
from promotion.text.escape import log_text, markdown

TRY_WORK = Path(".work") / "try"


def attempt(repo: Repo, registry: Registry, work: Work, model: str, *, base: str | None = None) -> Evaluation:
    """Judge the model folder as it lies on disk, committed or not, as its pull request would be judged.

    Nothing is logged, registered or pinned. Raise PromotionError when the pull request would be refused.
    """
    from challenge import challenge
    from gate import gate
    from prepare import prepare
    from score import score
    from train import train

    base = base or base_of(repo)
    merge = as_merged(repo, base, model)
    plan = prepare(repo, registry, work, base=base, merge=merge, head=merge, only=model)
    item = next((item for item in plan.models if item.model == model), None)
    if item is None:
        known = ", ".join(each.model for each in plan.models) or "none"
        raise PromotionError(f"no model `{model}`: there is no models/{model}/ and no entry in {FILE}; known: {known}")
    if plan.refusals:
        raise PromotionError("the pull request would be refused: " + "; ".join(plan.refusals))
    if item.action == "verify":
        raise PromotionError(f"{model}: {item.reason}; there is nothing to try")
    print(f"{model}: training from tree {(item.source_tree or '')[:12]} ..." if item.action == "train" else item.reason)
    if item.action == "train":
        train(item, work, plan.lock)
    print(f"{model}: scoring champion and candidate on the same rows ...")
    score(item, work)
    files = work.model(model)
    gate(item, plan, files, registry, record=False)
    return challenge(item, plan, files, registry, record=False)


def base_of(repo: Repo) -> str:
    """Return the commit that a pull request from here would be judged against: main as hosted, else as local."""
    for name in ("origin/main", "main", "HEAD"):
        try:
            return repo.resolve(name)
        except PromotionError:
            continue
    raise PromotionError(f"{repo.path} has no commit yet; commit once before you try a model")


def as_merged(repo: Repo, base: str, model: str) -> str:
    """Return a commit, on no branch, of `base` with the model's folder and promotion.yaml as they lie on disk."""
    root = repo.root
    if not (root / "models" / model).is_dir():
        names = sorted(path.name for path in (root / "models").glob("*") if path.is_dir())
        raise PromotionError(f"no model `{model}`: there is no models/{model}/; known: {', '.join(names) or 'none'}")
    top = Repo(root)
    with tempfile.TemporaryDirectory() as scratch:
        env = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        top.git("read-tree", base, env=env)
        top.git("rm", "-r", "--cached", "--quiet", "--ignore-unmatch", "--", f"models/{model}", env=env)
        top.git("add", "--all", "--", f"models/{model}", FILE, env=env)
        tree = top.git("write-tree", env=env).strip()
    who = {f"GIT_{role}_{part}": "try" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    when = {"GIT_AUTHOR_DATE": "2000-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2000-01-01T00:00:00Z"}
    return top.git("commit-tree", tree, "-p", base, "-m", "try", env={**who, **when}).strip()


def show(work: Work) -> None:
    """Print the report and say where the full one is."""
    from promotion.rendering.terminal import terminal_text
    from report import collect, write_report

    plan, models = collect(work, pinned=False)
    write_report(work, plan, models)
    print(terminal_text(models, plan=plan))
    print(f"\nnothing was registered; the full report is {work.root / 'report.html'}")


def run_open(args: argparse.Namespace) -> int:
    """Open the model's retrain pull request, or move the open one on."""
    from promotion.retrain.open import open_retrain, plan_retrain

    repo = Repo(args.repo)
    base = hosted_tip(repo, args.branch)
    found = plan_retrain(repo, base, args.model, as_of=args.as_of, today=today())
    print(f"{args.model}: {found.title}; {found.champion_since}")
    open_retrain(repo, host_of(repo), found, into=args.branch, branch=args.head)
    return 0


def run_update(args: argparse.Namespace) -> int:
    """Merge the base into the pull request's branch, taking the base's pin where they conflict."""
    from promotion.retrain.update import branch_to_update, follow, update_branch

    repo = Repo(args.repo)
    base = hosted_tip(repo, args.branch)
    head = args.head or branch_to_update(repo, host_of(repo), args.model, args.branch)
    done = update_branch(repo, head, base, args.branch)
    if done.commit is None:
        print(f"{head} has all of {args.branch}; nothing to do")
        return 0
    print(f"{head}: merged {args.branch} and pushed {done.commit[:12]}")
    for model in done.yielded:
        print(f"{model}: the pin is {args.branch}'s now, so the candidate has to challenge that champion")
    for line in follow(repo, head, done.commit):
        print(line)
    return 0


def run_schedule(args: argparse.Namespace) -> int:
    """Open a retrain pull request for every model that is due; exit 1 when one failed."""
    from promotion.retrain.schedule import run_schedule

    repo = Repo(args.repo)
    base = hosted_tip(repo, args.branch)
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        print(log_text(line), flush=True)

    good = run_schedule(repo, host_of(repo), base=base, into=args.branch, today=today(), only=args.models, say=say)
    write_summary("\n".join(["## Scheduled retraining", "", *(f"- {markdown(line)}" for line in lines)]))
    return 0 if good else VERDICT_NO


def run_try(args: argparse.Namespace) -> int:
    """Judge models/MODEL/ as it lies on disk; exit 1 when it would not win."""
    work = Work(args.work)
    repo = Repo(args.repo)
    base = repo.resolve(args.base) if args.base else None
    result = attempt(repo, Registry(), work, args.model, base=base)
    show(work)
    return 0 if result.verdict in WINNING else VERDICT_NO


def _day(text: str) -> datetime.date:
    try:
        return as_date(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def today() -> datetime.date:
    """The day that it is in UTC."""
    return datetime.datetime.now(datetime.UTC).date()


def _parser() -> argparse.ArgumentParser:
    parser = command_line(
        "Judge a model folder on this machine, or open, update and schedule its retrain pull request.",
        epilog="try reads the working copy of models/MODEL/, the base's policy and the registry (MLFLOW_TRACKING_URI), "
        "and writes only below --work. open, update and schedule push to origin as plain fast-forwards and, with "
        "GITHUB_TOKEN, talk to GitHub.",
        moved={
            "--try": "`retrain.py try MODEL` judges a model folder",
            "--base": "`retrain.py try MODEL --base COMMIT` judges against that commit",
        },
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    text = "judge models/MODEL/ as it lies on disk, as its pull request would be judged, and register nothing"
    command = subcommand(commands, run_try, text, "repo", "branch", "work")
    command.add_argument("model", help="the name of the model's folder")
    command.add_argument("--base", metavar="COMMIT", help="judge against this commit (default: the production branch)")
    command.set_defaults(work=TRY_WORK)

    branches = {"--base": "`--branch NAME` names the production branch, `--head NAME` the pull request's own"}
    text = "open a model's retrain pull request: newer data, or your uncommitted edit of its folder"
    command = subcommand(commands, run_open, text, "repo", "branch", moved=branches)
    command.add_argument("model", help="the model, as promotion.yaml names it")
    command.add_argument("--head", metavar="NAME", help="the pull request's branch (default: retrain/MODEL-DATE)")
    command.add_argument(
        "--as-of", type=_day, metavar="DATE", help="the first test day (default: the newest that is labelled)"
    )

    text = "merge the production branch into a pull request's branch, and take its pin where they conflict"
    command = subcommand(commands, run_update, text, "repo", "branch", moved=branches)
    command.add_argument("model", nargs="?", help="update this model's open pull request")
    command.add_argument("--head", metavar="NAME", help="the pull request's branch (default: the one checked out)")

    text = "open one for every model whose next whole test window is labelled"
    command = subcommand(commands, run_schedule, text, "repo", "branch", moved=branches)
    command.add_argument("models", nargs="*", metavar="MODEL", help="only these (default: all)")
    return parser


@handled
def main(argv: list[str] | None = None) -> int:
    """Parse arguments and run one command; exit 1 where a trial would not win, or a scheduled model failed."""
    args = _parser().parse_args(argv)
    return args.run(args)


if __name__ == "__main__":
    raise SystemExit(main())
