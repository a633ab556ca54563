"""Write the winners into promotion.yaml: reads plan.json and every evaluation.json, changes only the pins' lines.

All pins or none: when one model of the pull request does not win, nothing is written. With --push the
pins become one commit on the pull request's branch.
"""

import argparse
from pathlib import Path

from promotion.cli import command_line, handled
from promotion.config import FILE
from promotion.config.edit import splice
from promotion.config.pin import PinRecord
from promotion.errors import VERDICT_NO, PromotionError
from promotion.git.repo import Repo
from promotion.github.client import GitHub
from promotion.github.event import read_event
from promotion.pullrequest.moved import moved
from promotion.pullrequest.push_pins import Pushed, push_pins
from promotion.pullrequest.situation import situation
from promotion.pullrequest.workdir import Work
from promotion.records.evaluation import WINNING, Evaluation
from promotion.records.steps import Candidate, Gate


def winners(work: Work) -> tuple[dict[str, PinRecord], list[str]]:
    """Return the pins that a plan's winners earn, and one sentence for every model that does not win."""
    plan = work.read_plan()
    pins, losers = {}, list(plan.refusals)
    if plan.trial:
        return {}, ["this is the work folder of a trial (`retrain.py try`); open the pull request to have it pinned"]
    for item in plan.models:
        if item.action == "verify" and work.model(item.model).error.is_file():
            losers.append(f"the pin of {item.model} could not be verified")
        if item.action not in ("train", "judge"):
            continue
        files = work.model(item.model)
        if files.error.is_file() or not files.evaluation.is_file():
            losers.append(f"{item.model} was not judged")
            continue
        gated, evaluation = Gate.read(files.gate), Evaluation.read(files.evaluation)
        candidate = Candidate.read(files.candidate_record)
        if evaluation.verdict not in WINNING:
            losers.append(f"{item.model} did not win ({evaluation.verdict})")
        elif item.gate_alone:
            losers.append(f"{item.model} met the gate alone, and its version is in a throwaway tracker")
        elif gated.version is None:
            losers.append(f"{item.model} won but was not registered; run gate.py again")
        else:
            pins[item.model] = PinRecord(
                version=gated.version,
                source_tree=candidate.source_tree,
                digest=candidate.digest,
                evidence=evaluation.sha256,
            )
    return pins, losers


def write_pins(path: Path, pins: dict[str, PinRecord | None]) -> None:
    """Set the pins in a promotion.yaml file, whose other bytes stay as they are."""
    if not path.is_file():
        raise PromotionError("missing; run this in a checkout of the pull request's head", file=path)
    text = path.read_bytes().decode("utf-8")
    changed = splice(text, pins, file=str(path))
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(changed.encode("utf-8"))
    temporary.replace(path)


def push_winners(repo: Repo, work: Work, pins: dict[str, PinRecord], *, branch: str) -> Pushed:
    """Push the pins where the event allows it, and leave pushed.json for the report.

    Where there is nothing to push, it still says whether branch and base are the ones that were judged.
    """
    where = situation(read_event(), GitHub.from_environment, production=branch)
    result, plan = Pushed(), work.read_plan()
    if where.number is not None and where.speaks:
        refs = {"head_ref": where.head_ref, "base_ref": where.base_ref}
        if pins and where.verify_only is None:
            result = push_pins(repo, plan, pins, **refs, number=where.number)
        elif not pins:
            result = Pushed(blocked=moved(repo, plan, **refs))
    result.write(work.pushed)
    return result


@handled
def main(argv: list[str] | None = None) -> int:
    """Parse arguments and write the pins; exit 1, with nothing written, when a model does not win."""
    parser = command_line(
        "Write the winners of a plan into promotion.yaml.",
        "repo",
        "branch",
        "work",
        epilog="Reads WORK/plan.json and WORK/MODEL/{candidate/candidate.json,gate.json,evaluation.json}. "
        "Writes the pins' lines of REPO/promotion.yaml and nothing else.",
        moved={"--file": "`--repo FOLDER` names the checkout whose promotion.yaml is written"},
    )
    parser.add_argument(
        "--push", action="store_true", help="in Actions: commit the pins on the pull request's branch; WORK/pushed.json"
    )
    args = parser.parse_args(argv)
    work = Work(args.work)
    with work.held():
        return _run(args, work)


def _run(args: argparse.Namespace, work: Work) -> int:
    pins, losers = winners(work)
    if args.push:
        work.pushed.unlink(missing_ok=True)
    if losers:
        print("nothing is pinned: " + "; ".join(losers))
        return VERDICT_NO
    if args.push:
        pushed = push_winners(Repo(args.repo, args.root), work, pins, branch=args.branch)
        print(pushed.blocked or (f"pushed {pushed.commit}" if pushed.commit else "nothing to pin"))
        return VERDICT_NO if pushed.blocked else 0
    write_pins(Repo(args.repo, args.root).here / FILE, dict(pins))
    for model, pin in pins.items():
        print(f"{model}: pinned version {pin.version}")
    if not pins:
        print("nothing to pin")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
