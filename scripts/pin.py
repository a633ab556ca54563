"""Write the winners into promotion.yaml: reads plan.json and every evaluation.json, changes only the pins' lines.

All pins or none: when one model of the pull request does not win, nothing is written.
"""

import argparse
from pathlib import Path

from promotion.config import FILE
from promotion.errors import VERDICT_NO, PromotionError, handled
from promotion.records import WINNING, Candidate, Evaluation, Gate, PinRecord
from promotion.splice import splice
from promotion.workdir import DEFAULT, Work


def winners(work: Work) -> tuple[dict[str, PinRecord], list[str]]:
    """Return the pins that a plan's winners earn, and one sentence for every model that does not win."""
    plan = work.read_plan()
    pins, losers = {}, list(plan.refusals)
    for item in plan.models:
        if item.action not in ("train", "judge"):
            continue
        files = work.model(item.model)
        gated, evaluation = Gate.read(files.gate), Evaluation.read(files.evaluation)
        candidate = Candidate.read(files.candidate_record)
        if evaluation.verdict not in WINNING:
            losers.append(f"{item.model} did not win ({evaluation.verdict})")
        elif gated.version is None:
            losers.append(f"{item.model} won but was not registered; run gate.py without --dry-run")
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


@handled
def main(argv: list[str] | None = None) -> int:
    """Parse arguments and write the pins; exit 1, with nothing written, when a model does not win."""
    parser = argparse.ArgumentParser(
        description="Write the winners of a plan into promotion.yaml.",
        epilog="Reads WORK/plan.json and WORK/MODEL/{candidate/candidate.json,gate.json,evaluation.json}. "
        "Writes the pins' lines of promotion.yaml and nothing else.",
    )
    parser.add_argument("--work", type=Path, default=DEFAULT, help="the work folder (default: %(default)s)")
    parser.add_argument("--file", type=Path, default=Path(FILE), help="the file to write (default: %(default)s)")
    args = parser.parse_args(argv)
    pins, losers = winners(Work(args.work))
    if losers:
        print("nothing is pinned: " + "; ".join(losers))
        return VERDICT_NO
    write_pins(args.file, dict(pins))
    for model, pin in pins.items():
        print(f"{model}: pinned version {pin.version}")
    if not pins:
        print("nothing to pin")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
