"""Judge a test set that is larger than memory: writes synthetic Parquet parts and shows the resident memory.

Run from the project's root: `python tests/proofs/benchmarks/bench_size.py --rows 100000000` (8 GB of disk, below
2 GiB resident). The working set must not grow with the rows: compare two counts.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from tests.proofs.benchmarks.harness import Resident  # noqa: E402

PART_ROWS = 2_000_000
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


def judge_parts(folder: Path, *, replicates: int = 10_000):
    """Open, digest and judge the parts, with floors; return the evaluation."""
    from promotion.judgement.judge import judge_table

    def show(done: int, rows: int) -> None:
        if done % PART_ROWS == 0:
            print(f"\r{done:,} of {rows:,} rows", end="", file=sys.stderr, flush=True)

    return judge_table(folder, rules(), replicates=replicates, progress=show)


def main(argv: list[str] | None = None) -> int:
    """Write, judge, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, help="where to write the parts (default: a temporary folder)")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name) / "scores"
        folder.mkdir()
        print(f"writing {args.rows:,} rows ...", flush=True)
        write_parts(folder, args.rows)
        size = sum(path.stat().st_size for path in folder.iterdir()) / 2**20
        started = time.perf_counter()
        with Resident() as memory:
            found = judge_parts(folder)
        seconds = time.perf_counter() - started
    print(f"{args.rows:,} rows, {size:,.0f} MB of Parquet: judged in {seconds:.0f} s", flush=True)
    print(f"at most {memory.most:,.0f} MB resident, {memory.before:,.0f} MB before")
    print(f"{found.verdict}: {found.headline}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
