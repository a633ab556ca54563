"""Turn the records of a judgement into a comment, a job summary, a page, and one line: writes comment.md, report.html.

Four renderings of the same records; nothing is computed here. With --github the comment and the status
go to the pull request, and a label that says how it came out.
"""

import argparse
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from promotion.cli import command_line, handled
from promotion.errors import VERDICT_NO
from promotion.frozen import Record
from promotion.git.whose import told
from promotion.github.actions import Annotation, command, pull_url, run_url, write_output, write_summary
from promotion.github.client import GitHub
from promotion.github.comments import REPORT_MARKER, upsert_comment
from promotion.github.errors import GitHubError
from promotion.github.event import read_event
from promotion.github.labels import keep_labels
from promotion.pullrequest.push_pins import Pushed
from promotion.pullrequest.situation import Situation, situation
from promotion.pullrequest.workdir import Work
from promotion.records.evaluation import Evaluation
from promotion.records.plan import ModelPlan, Plan
from promotion.records.steps import Answered, Candidate, Gate, ScoresInfo
from promotion.rendering.html import report_html
from promotion.rendering.markdown import comment_markdown, job_summary, summary_line
from promotion.rendering.reported import NOWHERE, Links, Reported, every_label, is_green, labels
from promotion.rendering.terminal import terminal_text
from promotion.text.escape import log_text

R = TypeVar("R", bound=Record)


def collect(work: Work, *, pinned: bool, answers: bool = False) -> tuple[Plan, list[Reported]]:
    """Read every record that a work folder holds; what is missing stays None.

    answers: a verified pin must have loaded and answered in its job, else it is an error.
    """
    plan = work.read_plan()
    return plan, [_reported(item, work, pinned=pinned, answers=answers) for item in plan.models]


def _reported(item: ModelPlan, work: Work, *, pinned: bool, answers: bool) -> Reported:
    files = work.model(item.model)
    judged = item.action in ("train", "judge")
    error = files.error.read_text(encoding="utf-8", errors="replace").strip() if files.error.is_file() else None
    shown = judged or item.action == "verify"  # a verified pin comes with the judgement that won it
    evaluation = _read(Evaluation, files.evaluation) if shown and error is None else None
    if judged and evaluation is None and error is None:
        error = "the judgement did not finish; see the run's log"
    if answers and item.action == "verify" and item.pin is not None and error is None:
        answered = _read(Answered, files.answered)
        if answered is None or answered.model != item.model or answered.digest != (item.pin.digest or answered.digest):
            error = f"version {item.pin.version} was not seen to load and answer; see the log of its job"
    log = files.error_log
    tail = log.read_text(encoding="utf-8", errors="replace") if error and log.is_file() else None
    return Reported(
        plan=item,
        evaluation=evaluation,
        gate=_read(Gate, files.gate) if judged and error is None else None,
        candidate=_read(Candidate, files.candidate_record) if judged and error is None else None,
        scores=_read(ScoresInfo, files.scores_record) if judged and error is None else None,
        pinned=pinned,
        error=error,
        log_tail=tail,
    )


def _read(kind: type[R], path: Path) -> R | None:
    return kind.read(path) if path.is_file() else None


def write_report(
    work: Work,
    plan: Plan | None,
    models: Sequence[Reported],
    *,
    links: Links = NOWHERE,
    refusals: Sequence[str] = (),
) -> str:
    """Write comment.md, report.html and status.txt into the work folder; return the status line."""
    why = [*(plan.refusals if plan is not None else ()), *refusals]
    line = summary_line(models, refusals=why)
    comment = comment_markdown(models, plan=plan, links=links, refusals=why)
    work.root.mkdir(parents=True, exist_ok=True)
    (work.root / "comment.md").write_text(comment, encoding="utf-8")
    page = report_html(models, plan=plan, links=links, refusals=why)
    (work.root / "report.html").write_text(told(page), encoding="utf-8")
    (work.root / "status.txt").write_text(line + "\n", encoding="utf-8")
    return line


def gathered(work: Work, *, pinned: bool, answers: bool) -> tuple[Plan | None, list[Reported], list[str]]:
    """Return the plan, its models, and why nothing may be merged beside what the plan says."""
    if not work.plan.is_file() and work.error.is_file():
        return None, [], [work.error.read_text(encoding="utf-8", errors="replace").strip()]
    pushed = _read(Pushed, work.pushed) or Pushed()
    plan, models = collect(work, pinned=pinned or pushed.commit is not None, answers=answers)
    return plan, models, [pushed.blocked] if pushed.blocked else []


def green(plan: Plan | None, models: Sequence[Reported], refusals: Sequence[str]) -> bool:
    """Whether the pull request may be merged as far as the models go."""
    return plan is not None and not plan.refusals and not refusals and all(is_green(item) for item in models)


def gate_green(plan: Plan | None, models: Sequence[Reported]) -> bool:
    """Whether a run without credentials found nothing wrong: every candidate passed its floors."""
    if plan is None or plan.refusals:
        return False
    judged = [item for item in models if item.plan.action in ("train", "judge")]
    passed = all(item.error is None and item.gate is not None and item.gate.passed for item in judged)
    return passed and all(is_green(item) for item in models if item not in judged)


@dataclass(frozen=True)
class Told:
    """What a pull request is told. head: the commit that was judged, None where none was. pin: the commit on it
    that this run pushed. url: where the status leads to."""

    ok: bool
    line: str
    body: str
    labels: tuple[str, ...]
    head: str | None
    pin: str | None
    url: str | None


def publish(github: GitHub, where: Situation, told: Told) -> None:
    """Post the status on the commits that were judged and on no other, then the one comment, then the labels.

    A run for a pull request shows its own check on the head. The pin's commit has no run, and a dispatch's
    check is no check of the head, so these get a status; and a head whose pin is in the next commit must not
    be merged by itself, whatever its run's check says.
    """
    state = "success" if told.ok else "failure"
    if told.pin is not None:
        github.set_status(told.pin, state, told.line, target_url=told.url)
        if told.head is not None:
            wait = f"not by itself: its pin is in the next commit, {told.pin[:12]}"
            github.set_status(told.head, "pending", wait, target_url=told.url)
    elif told.head is not None and where.dispatched:
        github.set_status(told.head, state, told.line, target_url=told.url)
    if where.number is None:
        return
    upsert_comment(github, where.number, REPORT_MARKER, told.body)
    try:
        keep_labels(github, where.number, told.labels, ours=every_label())
    except GitHubError as error:  # they only help to find it, so a repository that forbids them is still judged
        print(log_text(f"the labels were left as they are: {error}"))


def links_of(run: str | None, report: str | None, env: Mapping[str, str] = os.environ) -> Links:
    """Return where readers can go on: what is given, and in Actions this run and the pull request that it is about."""
    here = run_url(env)
    if here is None:
        return Links(run=run or None, report=report or None)
    event = read_event(env)
    about = str(event.number or "") or event.inputs.get("pull_request", "")
    pull = pull_url(int(about), env) if re.fullmatch(r"[1-9][0-9]{0,9}", about) else None
    return Links(run=run or here, report=report or None, pull=pull)


@handled
def main(argv: list[str] | None = None) -> int:
    """Parse arguments, write the report; exit 1 when the pull request must not be merged."""
    parser = command_line(
        "Turn the records of a judgement into a comment, a page and one line.",
        "branch",
        "work",
        epilog="Reads WORK/plan.json and every record below WORK/MODEL/. Writes WORK/comment.md, WORK/report.html and "
        "WORK/status.txt; with --github the job summary, status, comment, label and the output `mergeable`.",
    )
    parser.add_argument("--pinned", action="store_true", help="say that the pins were written")
    parser.add_argument("--github", action="store_true", help="in Actions: publish it on the pull request")
    parser.add_argument("--run-url", help="where the run's log is (default: this workflow run)")
    parser.add_argument("--report-url", help="where the full report is")
    args = parser.parse_args(argv)
    work = Work(args.work)
    with work.held():
        return _run(args, work)


def _run(args: argparse.Namespace, work: Work) -> int:
    links = links_of(args.run_url, args.report_url)
    plan, models, refusals = gathered(work, pinned=args.pinned, answers=bool(os.environ.get("GITHUB_ACTIONS")))
    line = write_report(work, plan, models, links=links, refusals=refusals)
    ok = mergeable = green(plan, models, refusals)
    if args.github:
        where = situation(read_event(), GitHub.from_environment, production=args.branch)
        if not where.credentials:
            ok = gate_green(plan, models) and not refusals
        summary = job_summary(models, plan=plan, links=links, refusals=refusals)
        write_summary(summary, more=f"The rest: {links.report}" if links.report else "")
        write_output({"mergeable": "true" if mergeable else "false"})
        if not ok:
            print(command(Annotation("error", line, title="promotion")), file=sys.__stdout__, flush=True)
        if where.speaks:
            told = Told(
                ok=ok,
                line=line,
                body=(work.root / "comment.md").read_text(encoding="utf-8"),
                labels=labels(models, refused=plan is None or bool(plan.refusals or refusals)),
                head=None if plan is None else plan.head,
                pin=(_read(Pushed, work.pushed) or Pushed()).commit,
                url=links.report or links.run,
            )
            publish(GitHub.from_environment(), where, told)
    if plan is not None and plan.trial:
        print(terminal_text(models, plan=plan))
        print(f"\nnothing was registered; the full report is {work.root / 'report.html'}")
    else:
        print(line)
    return 0 if ok else VERDICT_NO


if __name__ == "__main__":
    raise SystemExit(main())
