"""Tables that nobody vouches for: read in a process of their own, and written again before anybody uses them."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from promotion.errors import PromotionError
from promotion.frozen import strict_json
from promotion.sandbox.run import clean_environment

TIDY = Path(__file__).with_name("tidy.py")
SECONDS, SECONDS_A_GIB = 300, 600
MOST_BYTES = 40 << 30


def take_tables(source: Path, target: Path) -> None:
    """Write the part-*.parquet of `source` into a new folder `target` as plain tables of the same rows.

    Raise PromotionError, one sentence with the file, for anything else than such tables, or more of it than is sane.
    """
    size = sum(path.stat().st_size for path in source.iterdir())
    seconds = SECONDS + SECONDS_A_GIB * (size >> 30)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as home:
        request, answer = Path(home) / "job.json", Path(home) / "result.json"
        job = {"from": str(source.resolve()), "to": str(target.resolve()), "seconds": seconds, "bytes": MOST_BYTES}
        request.write_text(json.dumps(job), encoding="utf-8")
        environment = {**clean_environment(home), "ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1"}
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-B", str(TIDY), str(request), str(answer)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=environment,
                cwd=home,
                timeout=2 * seconds,
                check=False,
            )
            result = strict_json(answer.read_text(encoding="utf-8")) if done.returncode == 0 else None
        except (subprocess.TimeoutExpired, OSError, ValueError):
            result = None
    if result is None:
        shutil.rmtree(target, ignore_errors=True)
        raise PromotionError(
            "its tables could not be read within their limits of memory and time; not used", file=source
        )
    if "refused" in result:
        shutil.rmtree(target, ignore_errors=True)
        raise PromotionError(f"{result['refused']}; not used", file=source / str(result["file"]))
