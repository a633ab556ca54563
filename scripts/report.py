"""Turn the records of a judgement into a comment, a job summary, a page, and one line: writes comment.md, report.html.

Four renderings of the same records; nothing is computed here. With --github, the comment and the
status go to the pull request.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from promotion.errors import VERDICT_NO, handled
from promotion.records import Candidate, Evaluation, Gate, ModelPlan, Plan, Record, ScoresInfo
from promotion.rendering.html import report_html
from promotion.rendering.markdown import comment_markdown, job_summary, summary_line
from promotion.rendering.view import Reported, is_green
from promotion.workdir import DEFAULT, Work

LOG_TAIL = 8_000
R = TypeVar("R", bound=Record)


def collect(work: Work, *, pinned: bool) -> tuple[Plan, list[Reported]]:
    """Read every record that a work folder holds; what is missing stays None."""
    plan = work.read_plan()
    return plan, [_reported(item, work, pinned=pinned) for item in plan.models]


def _reported(item: ModelPlan, work: Work, *, pinned: bool) -> Reported:
    files = work.model(item.model)
    judged = item.action in ("train", "judge")
    error = files.error.read_text(encoding="utf-8").strip() if files.error.is_file() else None
    evaluation = _read(Evaluation, files.evaluation) if judged else None
    if judged and evaluation is None and error is None:
        error = "the judgement did not finish; see the run's log"
    log = files.side("candidate").root / "train.log"
    tail = log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL:] if error and log.is_file() else None
    return Reported(
        plan=item,
        evaluation=evaluation,
        gate=_read(Gate, files.gate) if judged else None,
        candidate=_read(Candidate, files.candidate_record) if judged else None,
        scores=_read(ScoresInfo, files.scores_record) if judged else None,
        pinned=pinned,
        error=error,
        log_tail=tail,
    )


def _read(kind: type[R], path: Path) -> R | None:
    return kind.read(path) if path.is_file() else None


def write_report(
    work: Work, plan: Plan, models: Sequence[Reported], *, run_url: str | None, report_url: str | None
) -> str:
    """Write comment.md, report.html and status.txt into the work folder; return the status line."""
    line = summary_line(models, refusals=plan.refusals)
    comment = comment_markdown(models, plan=plan, run_url=run_url, report_url=report_url, refusals=plan.refusals)
    (work.root / "comment.md").write_text(comment, encoding="utf-8")
    (work.root / "report.html").write_text(report_html(models, plan=plan, run_url=run_url), encoding="utf-8")
    (work.root / "status.txt").write_text(line + "\n", encoding="utf-8")
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        with open(summary, "a", encoding="utf-8") as handle:
            handle.write(job_summary(models, plan=plan, run_url=run_url, report_url=report_url))
    return line


@handled
def main(argv: list[str] | None = None) -> int:
    """Parse arguments, write the report; exit 1 when the pull request must not be merged."""
    parser = argparse.ArgumentParser(
        description="Turn the records of a judgement into a comment, a page and one line.",
        epilog="Reads WORK/plan.json and every record below WORK/MODEL/. Writes WORK/comment.md, WORK/report.html and "
        "WORK/status.txt, and the job summary where GITHUB_STEP_SUMMARY is set.",
    )
    parser.add_argument("--work", type=Path, default=DEFAULT, help="the work folder (default: %(default)s)")
    parser.add_argument("--pinned", action="store_true", help="say that the pins were written")
    parser.add_argument("--run-url", help="where the run's log is")
    parser.add_argument("--report-url", help="where the full report is")
    args = parser.parse_args(argv)
    work = Work(args.work)
    plan, models = collect(work, pinned=args.pinned)
    print(write_report(work, plan, models, run_url=args.run_url, report_url=args.report_url))
    green = not plan.refusals and all(is_green(item) for item in models)
    return 0 if green else VERDICT_NO


if __name__ == "__main__":
    raise SystemExit(main())
