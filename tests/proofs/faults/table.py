"""Print the table of faults (about ten minutes): `python tests/proofs/faults/table.py > table.md`, beside it."""

import argparse
import contextlib
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT)]

from tests.proofs.faults.cases import FAULTS, ONCE, SAME, Outcome, fits, lab  # noqa: E402


def row(fault: str, outcomes: list[Outcome]) -> str:
    """One line of the table."""
    counts = Counter("WRONG" if o.problems else SAME if o.survived else ONCE for o in outcomes)
    parts = [f"{counts[name]} {name}" for name in (SAME, ONCE, "WRONG") if counts[name]]
    return f"| {fault} | {len(outcomes)} | {', '.join(parts)} |"


def main() -> int:
    """Try every fault at every request of one apply; exit 1 when any outcome is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    began = time.monotonic()
    lines = ["| fault | tried | outcome |", "|---|---|---|"]
    wrong = 0
    out = sys.stdout
    with contextlib.redirect_stdout(sys.stderr), tempfile.TemporaryDirectory() as folder, lab(Path(folder)) as made:
        for fault in FAULTS:
            outcomes = [made.try_fault(fault, point) for point in made.points if fits(fault, point)]
            wrong += sum(bool(o.problems) for o in outcomes)
            lines.append(row(fault, outcomes))
            print(f"{fault}: {len(outcomes)} tried, {time.monotonic() - began:.0f} s so far", file=sys.stderr)
        requests = len(made.points)
    text = (
        f"One apply that promotes a version makes {requests} HTTP requests; each fault was tried at each of them "
        "(an old value: after each write). Outcome: what was true after the next plain run. Right means: "
        "@champion on main's pin, one ledger entry for it, no repair recorded, nothing left to write.\n\n"
    )
    text += "\n".join(lines) + "\n"
    print(text, end="", file=out)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
