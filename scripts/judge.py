"""Judge a table of predictions from elsewhere: the same records and report as a pull request's, without one."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from promotion.cli import WORKERS, command_line, handled
from promotion.config import FILE
from promotion.config.policy import Policy
from promotion.config.promotion_yaml import load
from promotion.errors import OK, VERDICT_NO, PromotionError
from promotion.judgement.judge import judge_table
from promotion.judgement.labels import join_labels
from promotion.judgement.places import Place, place
from promotion.judgement.places import name as place_name
from promotion.judgement.table import Reading
from promotion.pullrequest.workdir import Work
from promotion.records.evaluation import WINNING, Evaluation
from promotion.records.plan import ModelPlan
from promotion.sandbox.workers import Workers, workers
from promotion.text.progress import progress


def policy_of(path: Path, model: str | None) -> Policy:
    """Return the policy of `model` in a promotion.yaml, or of its only model; raise PromotionError for another."""
    promotion = load(path)
    if model is None and len(promotion.models) != 1:
        known = ", ".join(sorted(promotion.models)) or "none"
        raise PromotionError(f"say which model with --model; known: {known}", file=path)
    return promotion.entry(model or next(iter(promotion.models))).policy


def day(text: str) -> str:
    """A day in ISO form; raise PromotionError for anything else."""
    try:
        return str(date.fromisoformat(text))
    except ValueError:
        raise PromotionError(f"--empty-days: `{text}` is not a day such as 2024-12-25") from None


def judge(
    scores: Place,
    policy: Policy,
    out: Path,
    empty: Sequence[str] = (),
    workers: Workers | None = None,
    versions: tuple[int | None, int | None] = (None, None),
) -> Evaluation:
    """Judge the table; write evaluation.json, comment.md and report.html into `out`; print the report as text.

    empty: days that rightly have no rows. workers: who reads the files of a table that does not fit in memory.
    versions: (champion, candidate), where they are known.
    """
    from promotion.rendering import Reported, comment_markdown, report_html, terminal_text

    name = place_name(scores)
    with progress(f"judging {name}", unit="rows") as step:
        reading = Reading(step.reached, workers)
        found = judge_table(scores, policy, empty=empty, reading=reading, versions=versions)
    plan = ModelPlan(
        model=policy.model,
        action="judge",
        reason=f"the table {name}",
        source_tree=None,
        key=None,
        champion=None,
        pin=None,
        policy=policy,
        policy_digest=policy.digest,
    )
    reported = [Reported(plan=plan, evaluation=found, elsewhere=True)]
    found.write(out / "evaluation.json")
    comment = comment_markdown(reported, plan=None)
    (out / "comment.md").write_text(comment, encoding="utf-8")
    (out / "report.html").write_text(report_html(reported), encoding="utf-8")
    print(terminal_text(reported, trial=False))
    return found


@handled
def main(argv: list[str] | None = None) -> int:
    """Parse arguments and judge one table; exit 1 unless the candidate wins."""
    parser = command_line(
        "Judge a table of predictions from elsewhere: no registry, no git, no pull request.",
        "work",
        *WORKERS,
        epilog="Reads TABLE (a Parquet file or a folder of part-*.parquet) and promotion.yaml. Writes "
        "WORK/MODEL/{evaluation.json,comment.md,report.html}.",
    )
    parser.add_argument(
        "table", type=place, metavar="TABLE", help="labels and predictions, a row a test row; a path, or s3://…"
    )
    parser.add_argument(
        "--labels", type=Path, metavar="FILE", help="join these labels (Parquet) to TABLE, a log of serve.py --log"
    )
    parser.add_argument("--policy", type=Path, default=Path(FILE), help="the policy (default: %(default)s)")
    parser.add_argument("--model", help="whose policy (default: the only model's)")
    parser.add_argument(
        "--empty-days",
        nargs="+",
        default=[],
        type=day,
        metavar="DAY",
        help="days (2024-12-25) that rightly have no rows",
    )
    parser.set_defaults(work=Path(".work-judge"))
    args = parser.parse_args(argv)
    policy = policy_of(args.policy, args.model)
    work, table = Work(args.work), args.table
    versions: tuple[int | None, int | None] = (None, None)
    folder = args.work / policy.model
    with work.held("judge.py"), workers(args.workers, args.cluster, args.scratch) as pool:
        if args.labels is not None:
            if not isinstance(table, Path):
                raise PromotionError(f"--labels joins a log that lies in a folder of this machine, not {table}")
            table = folder / "labelled.parquet"
            joined = join_labels(args.table, args.labels, table)
            versions = joined.versions
            print(joined)
        found = judge(table, policy, folder, args.empty_days, pool, versions)
    print(f"wrote evaluation.json, comment.md and report.html to {folder}")
    return OK if found.verdict in WINNING else VERDICT_NO


if __name__ == "__main__":
    raise SystemExit(main())
