"""How often the judgement is wrong, measured with the product's own code: prints the table of tests/README.md.

    python tests/proofs/simulation/simulate.py > tests/proofs/simulation/table.md

Rates come with the half width of their own 95% interval. Takes about forty minutes of one free core; with --keep
FOLDER a run that was cut off goes on where it was, --quick draws a tenth.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: threads would only wait for each other

import numpy as np

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from promotion.judgement.measure import Measured  # noqa: E402
from promotion.judgement.resample import Sample, interval, normal, percentile, replicates  # noqa: E402
from promotion.judgement.statistic import CANDIDATE, DIFFERENCE, Statistic  # noqa: E402

from tests.proofs.simulation.harness import (  # noqa: E402
    GUARDS,
    METRICS,
    SEED,
    TAILS,
    Counts,
    Drawn,
    World,
    kept,
    rate,
    run,
)  # fmt: skip
from tests.proofs.simulation.world import week  # noqa: E402
from tests.proofs.simulation.worlds import TWO_WAYS, alike, error_worlds, measure, power_worlds  # noqa: E402

COMMAND = "Made by `python tests/proofs/simulation/simulate.py > tests/proofs/simulation/table.md`."
METHODS = {"percentile": percentile, "normal": normal, "the farther end of both": interval}
DECISIVE = ("alike", "raised, misses", "drops every")  # the worlds in which every guard is shown by itself


def row(cells: Iterable[str]) -> str:
    """A line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def head(cells: tuple[str, ...]) -> list[str]:
    """The first two lines of a Markdown table."""
    return [row(cells), row("---" for _ in cells)]


def worlds_table(title: str, said: str, found: list[tuple[World, Counts]], shown: tuple[str, ...]) -> list[str]:
    """One line a world: what is counted, at each declared level, with the guards in `shown`."""
    cells = [f"{guard}, {100 * share:g}%" for share in TAILS for guard in shown]
    lines = [f"### {title}", "", said, "", *head(("world", *cells))]
    for world, counts in found:
        lines.append(row((world.name, *(counts.rate(world.wrong, guard, share) for share in TAILS for guard in shown))))
    return [*lines, ""]


def intervals(draws: int, reps: int) -> tuple[dict, dict]:
    """Misses of intervals where both models are alike, by quantity and level; and by quantity and method at 0.5%."""
    truth = long_run()
    statistics = [Statistic(METRICS[name]) for name in ("net_benefit", "f1")]
    rng, basis, make = np.random.default_rng(SEED), measure(TWO_WAYS), alike(TWO_WAYS)
    misses: dict = {}
    methods: dict = {}
    for _ in range(draws):
        measured = Measured(Drawn(make(rng)), basis, statistics, seed=int(rng.integers(2**60)), count=reps)
        for one in statistics:
            for label, contrast, target in (
                (one.metric.name, CANDIDATE, truth[one.metric.name]),
                (f"{one.metric.name} difference", DIFFERENCE, 0.0),
            ):
                finding = measured.finding(one, contrast)
                for share in TAILS:
                    low, high = finding.interval(share) or (-np.inf, np.inf)
                    misses.setdefault((label, share), []).append((low > target, high < target))
                for method, ends in METHODS.items():
                    low, high = ends(finding.sample, TAILS[1]) or (-np.inf, np.inf)
                    methods.setdefault((label, method), []).append((low > target, high < target, high - low))
    return misses, methods


def long_run(draws: int = 6000) -> dict[str, float]:
    """Levels in the long run: formulas over mean sums."""
    rng, total = np.random.default_rng(SEED + 1), np.zeros(8)
    for _ in range(draws):
        total += week(rng).sums().sum(axis=0)
    tp, fp, fn, dollars = total[4:] / draws
    return {"net_benefit": dollars, "f1": 2 * tp / (2 * tp + fp + fn)}


def intervals_table(draws: int, reps: int) -> list[str]:
    """Markdown of the intervals' misses."""
    misses, methods = intervals(draws, reps)
    lines = [
        "### The intervals, both models alike, two ways",
        "",
        f"{draws:,} weeks; one-sided misses.",
        "",
        *head(("quantity", "declared", "interval above the truth", "interval below the truth")),
    ]
    for (label, share), found in misses.items():
        sides = (rate(sum(miss[side] for miss in found), draws) for side in (0, 1))
        lines.append(row((label.replace("_", " "), f"{100 * share:g}%", *sides)))
    lines += ["", "### Why this interval: 0.5% declared", ""]
    lines += head(("quantity", "method", "above the truth", "below the truth", "mean width"))
    for (label, method), found in methods.items():
        width = float(np.mean([miss[2] for miss in found]))
        sides = (rate(sum(miss[side] for miss in found), draws) for side in (0, 1))
        lines.append(row((label.replace("_", " "), method, *sides, f"{width:,.0f}" if width > 10 else f"{width:.3f}")))
    return [*lines, ""]


def steering(draws: int, *, reps: int, looks: int = 20) -> dict[str, int]:
    """Count false PROMOTEs in `looks` reports on one test set, in dollars, for four ways of using them.

    A change moves 60 payments of random customers by amounts that are as often gains as losses: no
    change, and no combination, is better in the long run.
    """
    rng = np.random.default_rng(SEED + 2)
    share = 0.05 / 2 / looks
    won = dict.fromkeys(("best of 20 fixed", "combines", "reverses", "fresh"), 0)
    for _ in range(draws):
        changes, fresh = _changes(rng, looks), _changes(rng, looks)
        seen = changes.sum(axis=0)
        better = seen[: looks - 1] > 0
        combined = changes[:, : looks - 1] @ better
        reversed_too = changes[:, : looks - 1] @ np.where(better, 1.0, -1.0)
        # the same changes on days that nobody had seen: their effects there are new draws
        confirmed = fresh[:, : looks - 1] @ np.where(better, 1.0, -1.0)
        sums = np.concatenate([changes, np.stack([combined, reversed_too, confirmed], axis=1)], axis=1)
        drawn = replicates(sums, int(rng.integers(2**60)), reps)
        passed = [interval(Sample(float(sums[:, j].sum()), drawn[:, j]), share)[0] > 0 for j in range(sums.shape[1])]
        singles = passed[: looks - 1]
        won["best of 20 fixed"] += any(passed[:looks])
        won["combines"] += any(singles) or passed[looks]
        won["reverses"] += any(singles) or passed[looks + 1]
        won["fresh"] += passed[looks + 2]
    return won


def _changes(rng: np.random.Generator, number: int) -> np.ndarray:
    """(customers, number) dollars per customer of each change."""
    sums = np.zeros((1500, number))
    for j in range(number):
        where = rng.integers(0, len(sums), 60)
        np.add.at(sums[:, j], where, rng.choice([-1.0, 1.0], 60) * rng.gamma(1.5, 80.0, 60))
    return sums


def steering_table(draws: int, *, reps: int) -> list[str]:
    """Markdown of what 20 reports on one test set are good for."""
    won = steering(draws, reps=reps)
    said = {
        "best of 20 fixed": "20 candidates that were fixed in advance, any of them promoted",
        "combines": "a trainer who tries 19 changes and then submits all that looked better",
        "reverses": "... and turns round those that looked worse",
        "fresh": "the same candidate under `confirm: fresh`, on days that no report had shown",
    }
    lines = ["### 20 looks at one test set, no true difference", "", *head(("who", "false PROMOTE"))]
    lines += [row((text, rate(won[name], draws))) for name, text in said.items()]
    return [*lines, "", f"{draws:,} test sets, 95% spread over 20 looks.", ""]


def main(argv: list[str] | None = None) -> int:
    """Print the whole table."""
    parser = argparse.ArgumentParser(description="Measure how often the judgement is wrong; prints Markdown.")
    parser.add_argument("--draws", type=int, default=1500, help="test sets per world (default: %(default)s)")
    parser.add_argument("--replicates", type=int, default=2000, help="replicates per interval (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the draws")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep what is done there, and take what is there")
    args = parser.parse_args(argv)
    started = time.perf_counter()
    draws, reps = (args.draws // 10 if args.quick else args.draws), args.replicates
    said = f"{draws:,} test sets per world, {draws // 3:,} where a pass is right."
    print(f"{COMMAND} {said}\n", flush=True)

    def keeping(name: str, make: Callable[[], Any], number: int = draws) -> Any:
        return kept(args.keep, f"{name}, {number} draws, {reps} replicates", make)

    found = []
    for world in (*error_worlds(), *power_worlds()):
        number = draws if world.wrong is not None else draws // 3
        plain = keeping(world.name, lambda one=world, n=number: run(one, n, replicates=reps).plain(), number)
        found.append((world, Counts.of_plain(plain)))
        print(f"{time.perf_counter() - started:5.0f} s  {world.name}", file=sys.stderr, flush=True)
    errors = [one for one in found if one[0].wrong is not None]
    power = [one for one in found if one[0].wrong is None]
    decisive = [one for one in found if one[0].name.startswith(DECISIVE) and "two ways" not in one[0].name]
    plain = ("interval alone", "as shipped")
    wrong = "How often a rule passes (or, where it says so, fails) although the truth lies at its bound or short of it."
    right = "How often a rule passes that should."
    sides = "The same with one guard more from left to right; in the worlds that are better, a pass is right."
    print("\n".join(worlds_table("Errors", wrong, errors, plain)), flush=True)
    print("\n".join(worlds_table("Power", right, power, plain)), flush=True)
    print("\n".join(worlds_table("What each guard does: error and power side by side", sides, decisive, GUARDS)))
    print("\n".join(keeping("intervals", lambda: intervals_table(2 * draws, reps))), flush=True)
    print("\n".join(keeping("steering", lambda: steering_table(max(50, draws // 5), reps=10_000))), flush=True)
    print(f"{(time.perf_counter() - started) / 60:.0f} minutes", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
