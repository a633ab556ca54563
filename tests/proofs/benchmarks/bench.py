"""Everything that others do too, beside them, in one run and one table (`make bench`, some ten minutes).

Run from the project's root: `python tests/proofs/benchmarks/bench.py`. Serving beside `mlflow models serve` and
LitServe, also while the champion moves; judging beside SciPy, arch, a Poisson bootstrap and MLflow's evaluate; a
promotion beside a bare HTTP client. Seconds and rates: the ratio says how many times as fast this project is.
"""

import argparse
import importlib
import logging
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT)]

from tests.proofs.benchmarks.harness import end_when_asked, table  # noqa: E402

BENCHES = ("bench_serve", "bench_judgement", "bench_promote")


def main(argv: list[str] | None = None) -> int:
    """Measure and print the table; each line is told on stderr as it comes."""
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    end_when_asked()
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    found = []
    for name in BENCHES:
        for line in importlib.import_module(f"tests.proofs.benchmarks.{name}").lines():
            print(f"{line.what}: {line.ours}; {line.peer}: {line.theirs}", file=sys.stderr, flush=True)
            found.append(line)
    print(table(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
