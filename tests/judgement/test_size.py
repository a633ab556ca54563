"""Size: the resident memory of a judgement does not grow with the rows."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHILD = """
import sys
from pathlib import Path
sys.path[:0] = [{root!r}, {root!r} + "/scripts"]
import promotion.judgement.clusters as clusters
import promotion.judgement.digest as digest
import promotion.judgement.ranking as ranking
import promotion.judgement.table as scores
import tests.proofs.benchmarks.bench_size as size
from tests.proofs.benchmarks.harness import Resident
size.PART_ROWS = 200_000
scores.BATCH_ROWS = 1 << 16
clusters.MOST = 1 << 12
digest.IN_MEMORY = 1 << 17
ranking.MOST_ROWS = 1 << 17
folder = Path(sys.argv[1])
size.write_parts(folder, int(sys.argv[2]))
size.judge_parts(folder, replicates=200)  # imports, and memory that the allocators keep
with Resident() as memory:
    found = size.judge_parts(folder, replicates=200)
print(found.verdict, found.test.rows, memory.most)
"""


def judged(folder: Path, rows: int) -> tuple[str, int, float]:
    """Judge synthetic parts in a process of its own; return verdict, rows and the most megabytes resident."""
    folder.mkdir()
    code = CHILD.format(root=str(ROOT))
    command = [sys.executable, "-c", code, str(folder), str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    verdict, count, most = done.stdout.split()
    return verdict, int(count), float(most)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the resident memory from /proc")
def test_five_times_the_rows_need_no_more_memory(tmp_path: Path) -> None:
    """With small limits, 300,000 and 1,500,000 rows are judged in the same memory, give or take 60 MB; 11 s."""
    small = judged(tmp_path / "small", 300_000)
    large = judged(tmp_path / "large", 1_500_000)

    assert (small[1], large[1]) == (300_000, 1_500_000)
    assert large[2] - small[2] < 60
