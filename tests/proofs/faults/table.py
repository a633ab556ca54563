"""Print the tables of faults (a quarter of an hour), and write them into tests/README.md.

python tests/proofs/faults/table.py > tests/proofs/faults/table.md
"""

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
from tests.proofs.faults.gating import gate_lab  # noqa: E402
from tests.proofs.faults.verbs import FAILURES, KILLS, LABS, tried  # noqa: E402
from tests.support.documents import put  # noqa: E402


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
    text += "\n".join(lines) + "\n\n"
    with contextlib.redirect_stdout(sys.stderr):
        more, bad = others()
    print(text + more, end="", file=out)
    put(ROOT / "tests" / "README.md", "faults", text + more)
    return 1 if wrong or bad else 0


def others() -> tuple[str, int]:
    """The table of the other verbs that write to git, MLflow or GitHub, and how many outcomes were wrong."""
    lines = ["| command | steps | fault | tried | outcome |", "|---|---|---|---|---|"]
    wrong = 0
    with tempfile.TemporaryDirectory() as folder, gate_lab(Path(folder)) as gate:
        for before, kill in ((True, KILLS[0]), (False, KILLS[1])):
            bad = [line for point in gate.points for line in gate.kill(point, before=before)]
            wrong += len(bad)
            lines.append(_line("gate.py", len(gate.points), kill, len(gate.points), bad))
    for name, lab_of in LABS.items():
        with tempfile.TemporaryDirectory() as folder, lab_of(Path(folder)) as made:
            for fault in (*KILLS, *(FAILURES if made.front is not None else ())):
                steps = tried(made, fault)
                bad = [line for step in steps for line in made.try_fault(fault, step)]
                wrong += len(bad)
                lines.append(_line(name, len(made.points), fault, len(steps), bad))
    text = (
        "The same for other commands that write elsewhere; a step is an HTTP request (to MLflow, to GitHub) or a git "
        "command that talks to origin. Right means, after the command was run again: one run and one version of a key "
        "(gate.py); one commit on main, @champion and one ledger entry for it (rollback.py --now); one branch and one "
        "pull request (retrain.py open); one commit on the branch, and the record of it (pin.py --push); and one more "
        "run changes nothing.\n\n"
    )
    return text + "\n".join(lines) + "\n", wrong


def _line(name: str, steps: int, fault: str, count: int, bad: list[str]) -> str:
    for line in bad:
        print(line, file=sys.stderr)
    outcome = f"{len(bad)} WRONG" if bad else f"{count} right after the next run"
    return f"| `{name}` | {steps} | {fault.replace('request', 'step')} | {count} | {outcome} |"


if __name__ == "__main__":
    raise SystemExit(main())
