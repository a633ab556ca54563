"""How often a look after the merge alarms falsely, and when it finds a real loss: prints the table of tests/README.md.

    python tests/proofs/simulation/watch.py > tests/proofs/simulation/watch.md

A promotion is watched for eight weeks with the product's own functions, in several ways of spending one probability
of a false alarm. Takes about seven minutes of one free core; with --keep FOLDER a run that was cut off goes on where
it was, --quick draws a tenth.
"""

import argparse
import math
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import NormalDist
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: threads would only wait for each other

import numpy as np

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from promotion.config.promotion_yaml import Watch  # noqa: E402
from promotion.judgement.claims import Level, claim  # noqa: E402
from promotion.judgement.measure import Measured  # noqa: E402
from promotion.judgement.rules import challenge_rule  # noqa: E402
from promotion.judgement.spending import nominal_tails, spent  # noqa: E402
from promotion.judgement.statistic import DIFFERENCE, Statistic  # noqa: E402
from promotion.judgement.sums import Rows  # noqa: E402

from tests.proofs.simulation.harness import METRICS, SEED, Drawn, kept, rate, rule_on  # noqa: E402
from tests.proofs.simulation.simulate import head, row  # noqa: E402
from tests.proofs.simulation.world import DAYS, week  # noqa: E402
from tests.proofs.simulation.worlds import BURSTS, Make, alike, long_run, measure, rows_of, traded  # noqa: E402

COMMAND = "Made by `python tests/proofs/simulation/watch.py > tests/proofs/simulation/watch.md`."
SETTINGS = Watch()
ALARM, LOOKS = SETTINGS.false_alarm, SETTINGS.looks
NORMAL = NormalDist()
BATCH = 100  # promotions that are kept together
LASTING = 4  # weeks that a burst lasts in some worlds
FAR = 1 << 32


def brien_fleming(share: float) -> float:
    """The spending function like O'Brien and Fleming's (Lan and DeMets 1983)."""
    return 2 * (1 - NORMAL.cdf(NORMAL.inv_cdf(1 - ALARM / 2) / math.sqrt(share))) if share else 0.0


def sequence(look: int, width: float = 1.0) -> float:
    """The tail of a one-sided normal-mixture confidence sequence (Robbins 1970), tightest at the first looks."""
    bound = (look + width) * (2 * math.log(1 / (2 * ALARM)) + math.log((look + width) / width))
    return 1 - NORMAL.cdf(math.sqrt(bound / look))


@dataclass(frozen=True)
class Way:
    """A way of watching. whole: on all days so far, else on the new ones. tails: by look."""

    whole: bool
    tails: tuple[float, ...]


WAYS = {
    "5% at every look, all days": Way(True, (ALARM,) * LOOKS),
    "split evenly, new days": Way(False, (ALARM / LOOKS,) * LOOKS),
    "split evenly, all days": Way(True, (ALARM / LOOKS,) * LOOKS),
    "as shipped": Way(True, nominal_tails(ALARM, LOOKS)),
    "O'Brien and Fleming": Way(True, spent(brien_fleming, LOOKS)),
    "confidence sequence": Way(True, tuple(sequence(look) for look in range(1, LOOKS + 1))),
}
SHIPPED = ("as shipped",)


@dataclass(frozen=True)
class Life:
    """A promotion's life: weeks, LOOKS of them, in which `candidate` is the predecessor. worse: the champion is."""

    name: str
    weeks: Callable[[np.random.Generator], list[Rows]]
    worse: bool = False


def fresh(make: Make) -> Callable[[np.random.Generator], list[Rows]]:
    """Weeks that know nothing of each other: every burst ends with its week."""
    return lambda rng: [_moved(make(rng), i) for i in range(LOOKS)]


def _moved(rows: Rows, place: int) -> Rows:
    return replace(rows, ids={name: ids + np.uint64(place * FAR) for name, ids in rows.ids.items()})


def lasting(edge: float) -> Callable[[np.random.Generator], list[Rows]]:
    """Weeks in which a burst goes on for LASTING weeks, with the luck that each model has with it."""

    def weeks(rng: np.random.Generator) -> list[Rows]:
        found = []
        for i in range(LOOKS // LASTING):
            drawn = week(rng, edge=edge, weeks=LASTING)
            rows = _moved(rows_of(drawn, BURSTS), i)
            found += [_of(rows, drawn.day // DAYS == j) for j in range(LASTING)]
        return found

    return weeks


def _of(rows: Rows, chosen: np.ndarray) -> Rows:
    """Some of the rows."""
    return replace(
        rows,
        y=rows.y[chosen],
        decision={side: values[chosen] for side, values in rows.decision.items() if values is not None},
        ids={name: ids[chosen] for name, ids in rows.ids.items()},
        columns={name: values[chosen] for name, values in rows.columns.items()},
    )


def together(parts: list[Rows]) -> Rows:
    """All rows of some weeks."""
    return replace(
        parts[0],
        y=np.concatenate([part.y for part in parts]),
        decision={side: np.concatenate([part.decision[side] for part in parts]) for side in parts[0].decision},
        ids={name: np.concatenate([part.ids[name] for part in parts]) for name in parts[0].ids},
        columns={name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns},
    )


def lives() -> list[Life]:
    """The worlds: first those in which an alarm is false."""
    found = [
        Life("alike, bursts of a week", fresh(alike(BURSTS))),
        Life("alike, bursts of four weeks", lasting(0.0)),
        Life("the predecessor misses 15% of expensive bursts", fresh(traded(BURSTS, 0.15))),
        Life("the champion misses 15% of expensive bursts", fresh(traded(BURSTS, 0.15, lowered=True))),
    ]
    for edge in (0.15, 0.3, 0.6):
        lost = f"the champion loses ${long_run(edge, 2000):,.0f} a week"
        found.append(Life(f"{lost}, bursts of a week", fresh(alike(BURSTS, edge)), worse=True))
        found.append(Life(f"{lost}, bursts of four weeks", lasting(edge), worse=True))
    return found


def watched(
    life: Life, draws: int, *, reps: int, ways: tuple[str, ...] = tuple(WAYS), batch: int = 0
) -> dict[str, list[int]]:
    """For each way, how many of `draws` promotions were called worse at each look for the first time, and never."""
    rng, statistic = np.random.default_rng([SEED, batch]), Statistic(METRICS["net_benefit"])
    found = {way: [0] * (LOOKS + 1) for way in ways}
    for _ in range(draws):
        weeks, seed = life.weeks(rng), int(rng.integers(2**60))
        waiting = set(ways)
        for look in range(LOOKS):
            tables = {True: together(weeks[: look + 1]), False: weeks[look]}
            for whole in {WAYS[way].whole for way in waiting}:
                source = Drawn(tables[whole])
                measured = Measured(source, measure(BURSTS), [statistic], seed=seed + look, count=reps)
                finding = measured.finding(statistic, DIFFERENCE)
                for way in sorted(waiting):
                    tail = WAYS[way].tails[look]
                    if WAYS[way].whole == whole and finding.error >= 0 and _alarmed(finding, statistic, tail):
                        found[way][look] += 1
                        waiting.remove(way)
        for way in waiting:
            found[way][LOOKS] += 1
    return found


def _alarmed(finding: Any, statistic: Statistic, tail: float) -> bool:
    rule = rule_on("net_benefit")
    outcome = claim(finding, statistic, rule, Level(tail, tail), basis=False)
    return challenge_rule(rule, outcome, None, statistic.metric.sign).ok is True


def alarms(counts: list[int]) -> str:
    """`4.20% ± 1.24` of promotions were called worse."""
    return rate(sum(counts) - counts[LOOKS], sum(counts))


def days(counts: list[int]) -> float:
    """Days until a promotion is called worse, on average; one that never is counts as all days."""
    at = [*range(1, LOOKS + 1), LOOKS]
    return DAYS * sum(n * look for n, look in zip(counts, at, strict=True)) / sum(counts)


def main(argv: list[str] | None = None) -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(description="Measure how a promotion is watched; prints Markdown.")
    parser.add_argument("--draws", type=int, default=200, help="promotions per world (default: %(default)s)")
    parser.add_argument("--replicates", type=int, default=1000, help="replicates per interval (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the draws")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep what is done there, and take what is there")
    args = parser.parse_args(argv)
    draws, reps = (args.draws // 10 if args.quick else args.draws), args.replicates
    said = f"{draws:,} promotions per world, {LOOKS} looks at {DAYS} new days each, {ALARM:.0%} declared."
    print(f"{COMMAND} {said}\n", flush=True)
    found: dict[str, tuple[bool, dict[str, list[int]]]] = {}
    for life in lives():
        number = draws // 2 if life.worse else draws
        counts = {way: [0] * (LOOKS + 1) for way in WAYS}
        for batch in range(0, number, BATCH):
            size = min(BATCH, number - batch)
            name = f"watch: {life.name}, {size} draws from {batch}, {reps} replicates"
            part = kept(args.keep, name, lambda one=life, n=size, b=batch: watched(one, n, reps=reps, batch=b))
            counts = {way: [a + b for a, b in zip(counts[way], part[way], strict=True)] for way in WAYS}
        found[life.name] = life.worse, counts
        print(life.name, file=sys.stderr, flush=True)
    print("\n".join(["### False alarms: no champion here is worse", "", *head(("world", *WAYS))]))
    for name, (worse, counts) in found.items():
        if not worse:
            print(row((name, *(alarms(counts[way]) for way in WAYS))))
    print("\n".join(["", "### Real losses: how many are found in eight weeks, and after how many days on average", ""]))
    print("\n".join(head(("world", *WAYS))))
    for name, (worse, counts) in found.items():
        if worse:
            print(row((name, *(f"{alarms(counts[way])}, {days(counts[way]):.0f} days" for way in WAYS))))
    print(f"\n{draws // 2:,} promotions per world; one whose loss is not found counts as {LOOKS * DAYS} days.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
