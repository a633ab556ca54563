"""Open a retrain pull request, or --try the whole judgement on this machine with nothing registered."""

import argparse
import tempfile
from pathlib import Path

from promotion.config import FILE
from promotion.errors import VERDICT_NO, PromotionError, handled
from promotion.records import WINNING, Evaluation, Plan
from promotion.registry import Registry
from promotion.source import Repo
from promotion.workdir import Work

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
    write_report(work, plan, models, run_url=None, report_url=None)
    print(terminal_text(models, plan=plan))
    print(f"\nnothing was registered; the full report is {work.root / 'report.html'}")


@handled
def main(argv: list[str] | None = None) -> int:
    """Parse arguments; with --try, exit 0 when the candidate would win and 1 when it would not."""
    parser = argparse.ArgumentParser(
        description="Open a retrain pull request, or try the whole judgement on this machine.",
        epilog="--try reads the working copy of models/MODEL/, the base's policy and the registry "
        "(MLFLOW_TRACKING_URI), and writes only below --work.",
    )
    parser.add_argument("--try", dest="attempt", metavar="MODEL", required=True, help="judge models/MODEL/ as it is")
    parser.add_argument("--base", help="judge against this commit (default: origin/main, else main)")
    parser.add_argument("--work", type=Path, default=TRY_WORK, help="where the records go (default: %(default)s)")
    args = parser.parse_args(argv)
    work = Work(args.work)
    repo = Repo(Path())
    base = repo.resolve(args.base) if args.base else None
    result = attempt(repo, Registry(), work, args.attempt, base=base)
    show(work)
    return 0 if result.verdict in WINNING else VERDICT_NO


if __name__ == "__main__":
    raise SystemExit(main())
