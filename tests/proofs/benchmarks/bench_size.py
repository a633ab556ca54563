"""Judge a test set that is larger than memory, by one process and by several: time, memory of each process, efficiency.

Run from the project's root: `python tests/proofs/benchmarks/bench_size.py --rows 100000000 --workers 1 2 4` (8 GB of
disk for the table and as much for its rows in order). Prints Markdown. The working set must not grow with the rows:
compare two counts. Every run must give the same evaluation.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

PART_ROWS = 1_000_000
DAYS = 7


def write_parts(folder: Path, rows: int, *, seed: int = 0) -> None:
    """Write `rows` payments as part-*.parquet: 0.8% fraud in bursts, two models, two cluster columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    customers, terminals = max(100, rows // 15), max(100, rows // 7)
    for number, first in enumerate(range(0, rows, PART_ROWS)):
        rng = np.random.default_rng([seed, number])
        n = min(PART_ROWS, rows - first)
        terminal = rng.integers(0, terminals, n)
        fraud = (terminal % 167 == 0) & (rng.random(n) < 0.9) | (rng.random(n) < 0.0026)
        noise = rng.random(n)
        columns = {
            "key.id": np.arange(first, first + n),
            "label": fraud.astype(np.int8),
            "column.day": np.datetime64("2024-01-01") + rng.integers(0, DAYS, n).astype("timedelta64[D]"),
            "column.amount": np.round(rng.gamma(2.0, 60.0, n), 2),
            "column.customer": rng.integers(0, customers, n),
            "column.terminal": terminal,
        }
        for side, share in (("champion", 0.70), ("candidate", 0.72)):
            hit = np.where(fraud, noise < share, rng.random(n) < 0.004)
            columns[f"{side}.score"] = np.where(hit, 0.5, 0.0) + rng.random(n) / 2
            columns[f"{side}.decision"] = hit.astype(np.int8)
        pq.write_table(pa.table(columns), folder / f"part-{number:05}.parquet")


def rules(days: int = DAYS):
    """A policy over these parts."""
    from tests.support.policies import policy_from_raw

    raw = {
        "measure": {
            "test_days": days,
            "delay_days": 7,
            "dollars": {"caught": "amount", "review": 15},
            "cluster": ["customer", "terminal"],
        },
        "gate": {"net_benefit": "> 0", "f1": "> 0.20"},
        "challenge": {"confidence": 0.95, "looks": 5, "net_benefit": "superior", "f1": {"not_worse_than": 0.05}},
    }
    return policy_from_raw("size", raw, file="promotion.yaml")


def judge_parts(folder: Path, *, replicates: int = 10_000, count: int | None = None):
    """Open, digest and judge the parts, with floors, by `count` workers; return the evaluation."""
    from promotion.judgement.judge import judge_table
    from promotion.judgement.table import Reading
    from promotion.sandbox.workers import workers

    with workers(count) as pool:
        return judge_table(folder, rules(), replicates=replicates, reading=Reading(workers=pool))


def family(pid: int) -> dict[int, float]:
    """Megabytes resident of a process and of all below it, where /proc tells."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    members, found = {pid}, 0
    while len(members) != found:
        found = len(members)
        members |= {child for child, parent in parents.items() if parent in members}
    memory = {}
    for member in members:
        try:
            memory[member] = int(Path(f"/proc/{member}/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
        except OSError:
            continue
    return memory


def alone(folder: Path, count: int) -> tuple[float, float, float, str]:
    """(seconds, most megabytes of the judging process, of any worker, the evaluation's digest), in a fresh process."""
    command = [sys.executable, __file__, "--judge", str(folder), "--workers", str(count)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    most: dict[int, float] = {}
    while process.poll() is None:
        for pid, size in family(process.pid).items():
            most[pid] = max(size, most.get(pid, 0.0))
        time.sleep(0.2)  # how often the memory is looked at
    assert process.returncode == 0 and process.stdout is not None
    seconds, digest = process.stdout.read().split()
    others = [size for pid, size in most.items() if pid != process.pid]
    return float(seconds), most[process.pid], max(others, default=0.0), digest


def main(argv: list[str] | None = None) -> int:
    """Write, judge with each number of workers, and print what it took; exit 1 where two runs disagree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--folder", type=Path, help="where to write the parts (default: a temporary folder)")
    parser.add_argument("--judge", type=Path, help=argparse.SUPPRESS)  # the process that is measured
    args = parser.parse_args(argv)
    if args.judge is not None:
        began = time.perf_counter()
        found = judge_parts(args.judge, count=args.workers[0])
        print(time.perf_counter() - began, found.sha256)
        return 0
    from tests.proofs.benchmarks.harness import markdown

    rows, digests, first = [], set(), 0.0
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name) / "scores"
        folder.mkdir()
        print(f"writing {args.rows:,} rows ...", file=sys.stderr, flush=True)
        write_parts(folder, args.rows)
        size = sum(path.stat().st_size for path in folder.iterdir()) / 2**20
        for count in args.workers:
            seconds, judging, working, digest = alone(folder, count)
            digests.add(digest)
            first = first or seconds
            rows.append(
                [
                    f"{args.rows:,} rows, {size:,.0f} MB, {count} worker{'s' * (count > 1)}",
                    f"{seconds:.0f} s",
                    f"{args.rows / seconds:,.0f}",
                    f"{judging:,.0f} MB",
                    f"{working:,.0f} MB" if count > 1 else "",
                    f"{first * args.workers[0] / seconds / count:.0%}",
                ]
            )
    head = ["judged", "time", "rows/s", "the process that judges", "each worker, at most", "efficiency"]
    print(markdown(head, rows))
    print(f"\n{os.cpu_count()} cores; {len(digests)} evaluation{'s' * (len(digests) > 1)}")
    return 0 if len(digests) == 1 else 1


if __name__ == "__main__":
    raise SystemExit(main())
