"""Try a model on this machine with nothing registered; write its lock; open, update and schedule its pull request."""

import argparse
import contextlib
import datetime
import importlib
from pathlib import Path

from promotion.cli import command_line, handled, subcommand, today
from promotion.config.model_yaml import as_date
from promotion.errors import OK, VERDICT_NO
from promotion.git.commits import hosted_tip
from promotion.git.repo import Repo
from promotion.github.actions import write_summary
from promotion.github.pulls import host_of
from promotion.pullrequest.workdir import TRIAL, Work
from promotion.records.evaluation import Evaluation
from promotion.retrain.trial import as_merged, base_of
from promotion.text.escape import log_text, markdown

TRY_WORK = Path(".work-try")
STEPS = ("prepare", "train", "score", "gate", "challenge", "report")
REFIT = ("train", "score", "gate", "challenge")


def attempt(repo: Repo, model: str, *, base: str | None, branch: str, work: Path) -> int:
    """Run the steps of retrain.yml on the model folder as it lies on disk; return challenge.py's exit code.

    Nothing is logged, registered or pinned. A step that cannot do its work, or a pull request that would be
    refused, ends the trial with that step's exit code. A step is the verb's own command, carried out in this
    process, so that all of them import once.
    """
    name, against = base_of(repo, branch) if base is None else (base, repo.resolve(base))
    merge = as_merged(repo, against, model, base_name=name)
    print(f"{model}: tried against {name} at {against[:12]}", flush=True)
    commits = ["--merge", merge, "--base", against, "--head", merge]
    verdict = OK
    for step in STEPS:
        own = ["--repo", str(repo.top.path), "--root", repo.prefix or ".", "--trial", model, *commits]
        code: int = importlib.import_module(step).main(["--work", str(work), *(own if step == "prepare" else [])])
        if code > VERDICT_NO or (code and step not in ("gate", "challenge", "report")):
            return code
        verdict = code if step == "challenge" else verdict
    return verdict


def refit(model: str, work: Path, seeds: int) -> int:
    """Train what was tried with so many other seeds, judge each alike, and print where the candidate lies."""
    from promotion.retrain.seeds import Refit, copy_for, other_seeds, own_refit, told

    tried, found = Work(work), []
    for seed in other_seeds(tried, model, seeds):
        print(f"{model}: once more with seed {seed} ...", flush=True)
        copied = copy_for(tried, model, seed)
        with (copied.root / "steps.log").open("w", encoding="utf-8") as log, contextlib.redirect_stdout(log):
            for step in REFIT:
                code: int = importlib.import_module(step).main(["--work", str(copied.root)])
                if code > VERDICT_NO:
                    return code
        found.append(Refit(seed, Evaluation.read(copied.model(model).evaluation)))
    print("\n" + "\n".join(told(own_refit(tried, model), found)))
    return OK


def run_open(args: argparse.Namespace) -> int:
    """Open the model's retrain pull request, or move the open one on."""
    from promotion.retrain.open import open_retrain, plan_retrain
    from promotion.retrain.schedule import start

    repo = Repo(args.repo, args.root)
    tip = hosted_tip(repo, args.branch)
    print(f"reading {tip}")
    found = plan_retrain(repo, tip.commit, args.model, as_of=args.as_of, today=today(), run=args.run_id)
    print(f"{args.model}: {found.title}; {found.champion_since}")
    host = host_of(repo)
    opened = open_retrain(repo, host, found, into=args.branch, branch=args.head)
    if opened is not None and host.github is not None:
        for line in start(host.github, opened):
            print(line)
    return 0


def run_lock(args: argparse.Namespace) -> int:
    """Write what a model needs beyond the base's lock."""
    from promotion.retrain.lock import write_lock

    repo = Repo(args.repo, args.root)
    pins = write_lock(repo.here, args.model, args.packages)
    for pin in pins:
        print(f"{pin.name}=={pin.version}")
    file = repo.at(f"models/{args.model}/requirements.txt")
    print(f"written to {file}; it is one pull request with the code that needs it")
    return OK


def run_update(args: argparse.Namespace) -> int:
    """Merge the base into the pull request's branch, taking the base's pin where they conflict."""
    from promotion.retrain.update import branch_to_update, follow, update_branch

    repo = Repo(args.repo, args.root)
    tip = hosted_tip(repo, args.branch)
    print(f"reading {tip}")
    head = args.head or branch_to_update(repo, host_of(repo), args.model, args.branch)
    done = update_branch(repo, head, tip.commit, args.branch)
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

    repo = Repo(args.repo, args.root)
    tip = hosted_tip(repo, args.branch)
    lines = [f"reading {tip}"]
    print(lines[0], flush=True)

    def say(line: str) -> None:
        lines.append(line)
        print(log_text(line), flush=True)

    host = host_of(repo)
    good = run_schedule(repo, host, base=tip.commit, into=args.branch, today=today(), only=args.models, say=say)
    write_summary("\n".join(["## Scheduled retraining", "", *(f"- {markdown(line)}" for line in lines)]))
    return 0 if good else VERDICT_NO


def run_try(args: argparse.Namespace) -> int:
    """Judge models/MODEL/ as it lies on disk; exit 1 when it would not win."""
    repo, tried = Repo(args.repo, args.root), Work(args.work)
    with tried.held(TRIAL):
        code = attempt(repo, args.model, base=args.base, branch=args.branch, work=args.work)
        if args.seeds and code <= VERDICT_NO and tried.model(args.model).evaluation.is_file():
            return refit(args.model, args.work, args.seeds) or code
    return code


def _day(text: str) -> datetime.date:
    try:
        return as_date(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"`{text}` is not a number from 1 to 100")
    return int(text)


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
    command.add_argument("model", metavar="MODEL", help="the name of the model's folder")
    command.add_argument("--base", metavar="COMMIT", help="judge against this commit (default: the production branch)")
    command.add_argument(
        "--seeds", type=_number, metavar="N", help="train it with N other seeds too, and show where this one lies"
    )
    command.set_defaults(work=TRY_WORK)

    branches = {"--base": "`--branch NAME` names the production branch, `--head NAME` the pull request's own"}
    text = "open a model's retrain pull request: newer data, or your uncommitted edit of its folder"
    command = subcommand(commands, run_open, text, "repo", "branch", moved=branches)
    command.add_argument("model", metavar="MODEL", help="the model, as promotion.yaml names it")
    command.add_argument("--head", metavar="NAME", help="the pull request's branch (default: retrain/MODEL-DATE)")
    command.add_argument(
        "--as-of", type=_day, metavar="DATE", help="the first test day (default: the newest that is labelled)"
    )
    command.add_argument(
        "--run",
        dest="run_id",
        metavar="ID",
        help="what trained a model elsewhere: an MLflow run, or models:/NAME/VERSION",
    )

    text = "write a model's requirements.txt: packages beyond the base's lock, with what they need, pinned and hashed"
    command = subcommand(commands, run_lock, text, "repo")
    command.add_argument("model", metavar="MODEL", help="the name of the model's folder")
    command.add_argument("packages", nargs="+", metavar="PACKAGE", help="such as lightgbm, or lightgbm==4.6.0")

    text = "merge the production branch into a pull request's branch, and take its pin where they conflict"
    command = subcommand(commands, run_update, text, "repo", "branch", moved=branches)
    command.add_argument("model", nargs="?", metavar="MODEL", help="update this model's open pull request")
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
