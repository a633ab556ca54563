"""Is @champion what main pins? Say so, or name the cause, and have it repaired or reported.

Only reads the registry. A model whose promotion.yaml says `drift: repair` gets promote.yml started, which
holds the credentials that move aliases; the others, and what promote would refuse, are kept in one issue.
"""

import argparse
import datetime
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from promotion.champion.apply import plan_moves
from promotion.champion.checks import Permissions
from promotion.champion.drift import Limits, ModelDrift, find_drift
from promotion.cli import command_line, deadline, handled
from promotion.errors import VERDICT_NO
from promotion.git.commits import commit_to_apply
from promotion.git.repo import Repo
from promotion.github.actions import beside, write_summary
from promotion.github.answers import WorkflowRun
from promotion.github.client import GitHub
from promotion.github.comments import close_issue, upsert_issue
from promotion.github.pulls import host_of, merged_by
from promotion.registry.client import Registry
from promotion.text.escape import code, log_text, markdown

MARKER = "<!-- promotion-drift -->"
LABEL = "drift"
FAILURES = 3
MOST_LISTED = 50
SECONDS = 900.0
LIMITS = Limits()


def lines_of(findings: Sequence[ModelDrift]) -> list[str]:
    """Return one line for what is well and two for what is not; pure."""
    lines = []
    for item in findings:
        if not item.drifted and not item.needs_person:
            continue
        lines.append(f"{item.model}: {item.cause}: {item.text}")
        lines += [f"  promote would refuse: {problem}" for problem in item.problems]
        lines.append(f"  {item.todo}")
    well = [item for item in findings if item.cause == "well"]
    waiting = [item.model for item in findings if item.cause == "waiting"]
    if waiting:
        lines.append(f"merged a moment ago, to be applied by promote.yml: {', '.join(waiting)}")
    lines.append(f"{len(well)} of {len(findings)} models are as main pins them")
    return lines


def issue_body(findings: Sequence[ModelDrift], stuck: str | None) -> str:
    """Return the issue's text; the same findings give the same text, so the issue is not edited needlessly; pure."""
    shown = [item for item in findings if item.reported or (stuck is not None and item.repair)]
    lines = ["`@champion` is not what `main` pins, or keeps changing.", ""]
    if any(item.needs_person for item in shown) or stuck is not None:
        lines += ["**A person has to look at this: it does not resolve itself.**", ""]
    if stuck is not None:
        lines += [markdown(stuck), ""]
    for item in shown[:MOST_LISTED]:
        state = "settled for now" if not item.drifted else item.cause
        lines.append(f"- {code(item.model)} **{state}**: {markdown(item.text)}")
        lines += [f"  - promote would refuse: {markdown(problem, 500)}" for problem in item.problems]
        lines.append(f"  - to do: {markdown(item.todo)}")
    if len(shown) > MOST_LISTED:
        lines.append(f"- and {len(shown) - MOST_LISTED} more; `python scripts/drift.py` lists them all")
    lines += ["", "This issue is kept up to date by drift.yml, and closed when all is well."]
    return "\n".join(lines) + "\n"


def title_of(findings: Sequence[ModelDrift]) -> str:
    """Return the issue's title; pure."""
    names = [item.model for item in findings if item.reported] or [item.model for item in findings if item.drifted]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    person = "; a person has to look" if any(item.needs_person for item in findings) else ""
    return f"Drift: {', '.join(names[:3])}{more}{person}"


def act(github: GitHub, findings: Sequence[ModelDrift], *, branch: str) -> list[str]:
    """Start promote.yml for what can be repaired and keep the one issue; return lines that say what was done."""
    done = []
    repairs = [item for item in findings if item.repair]
    stuck, workflow = None, beside("promote.yml")
    if repairs:
        runs = github.runs(workflow, most=FAILURES, branch=branch)
        under_way = next((run for run in runs if run.status != "completed"), None)
        stuck = _stuck(runs)
        if under_way is not None:
            done.append(f"{workflow} is under way: {under_way.url}")
        else:
            github.dispatch(workflow, branch)
            done.append(f"started {workflow} for {', '.join(item.model for item in repairs)}")
    if stuck is not None or any(item.reported for item in findings):
        body = issue_body(findings, stuck)
        issue = upsert_issue(github, MARKER, title=title_of(findings), body=body, label=LABEL)
        done.append(f"the issue is #{issue.number}: {issue.url}")
    elif not repairs:
        text = "All well: `@champion` is what `main` pins, for every model."
        done += [f"closed #{number}" for number in close_issue(github, MARKER, LABEL, comment=text)]
    return done


def _stuck(runs: Sequence[WorkflowRun]) -> str | None:
    """Say so where the newest runs all failed: starting another would not help."""
    finished = [run for run in runs if run.status == "completed"]
    if len(finished) < FAILURES or any(run.conclusion == "success" for run in finished):
        return None
    return f"the last {len(finished)} runs of {beside('promote.yml')} did not succeed, so repairs do not succeed"


def summary_of(findings: Sequence[ModelDrift], done: Sequence[str]) -> str:
    """Return the job summary: all well says so, too; pure."""
    bad = [item for item in findings if item.drifted or item.needs_person]
    if not bad:
        head = f"## Drift: all well\n\n`@champion` is what `main` pins, for all {len(findings)} models."
    else:
        head = f"## Drift: {len(bad)} of {len(findings)} models\n"
        head += "".join(f"\n- {code(item.model)} **{item.cause}**: {markdown(item.text)}" for item in bad)
    return head + "".join(f"\n\n{markdown(line)}" for line in done) + "\n"


def _parser() -> argparse.ArgumentParser:
    parser = command_line(
        "Say whether @champion is what main pins, name the cause where it is not, and have it repaired or reported.",
        "repo",
        "branch",
        "json",
        epilog="Reads git (full history) and the registry (MLFLOW_TRACKING_URI); moves nothing there. With "
        "GITHUB_TOKEN it starts promote.yml for models with `drift: repair` and keeps one issue for the others. "
        "Exit code: 0 all well, 1 drift, 2 bad input or a registry that failed.",
        moved={
            "--grace": f"promote.yml always has {LIMITS.grace} minutes after a merge",
            "--again": f"a person is always asked after {LIMITS.again} repairs in {LIMITS.days} days",
            "--days": f"a person is always asked after {LIMITS.again} repairs in {LIMITS.days} days",
        },
    )
    parser.add_argument("--files", action="store_true", help="also download every champion and hash its files")
    parser.add_argument("--dry-run", action="store_true", help="only print the findings; start nothing, write no issue")
    parser.add_argument("--deadline", type=float, default=SECONDS, metavar="S", help="stop after S seconds")
    return parser


@handled
def main(argv: list[str] | None = None) -> int:
    """Parse arguments, look, act; exit 1 where something drifted."""
    args = _parser().parse_args(argv)
    with deadline(args.deadline, "drift.py"):
        repo, registry = Repo(args.repo, args.root), Registry()
        tip = commit_to_apply(repo, args.branch, None)
        print(f"reading {tip} and {registry.where}", file=sys.stderr if args.json else sys.stdout)
        allowed = Permissions(authors=merged_by(host_of(repo), args.branch))
        planned = plan_moves(repo, tip.commit, registry, allowed, branch=args.branch)
        now = datetime.datetime.now(datetime.UTC)
        findings = find_drift(planned, registry, now=now, limits=LIMITS, files=args.files)
        github = host_of(repo).github
        done: list[str] = []
        if github is not None and not args.dry_run:
            done = act(github, findings, branch=args.branch)
        elif any(item.repair for item in findings):
            done = ["nothing was started; to repair: `python scripts/promote.py apply`"]
    if args.json:
        print(json.dumps([asdict(item) for item in findings], indent=2))
    else:
        print(log_text("\n".join([*lines_of(findings), *done])))
    write_summary(summary_of(findings, done))
    return VERDICT_NO if any(item.drifted for item in findings) else 0


if __name__ == "__main__":
    raise SystemExit(main())
