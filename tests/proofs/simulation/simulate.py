"""How often the judgement is wrong, measured with the product's own code: prints the README's table.

    python tests/proofs/simulation/simulate.py > tests/proofs/simulation/table.md

Every draw is a whole test week of world.py, judged under the shipped policy's rules. Rates come with the
half width of their own 95% interval. Takes about fifteen minutes on one free core; --draws 200 gives an idea.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from promotion.config.policy import Policy  # noqa: E402
from promotion.judgement.judge import contrast_of  # noqa: E402
from promotion.judgement.measure import CANDIDATE, DIFFERENCE, Measured, Statistic  # noqa: E402
from promotion.judgement.metrics import metrics_of  # noqa: E402
from promotion.judgement.power import NORMAL, passes  # noqa: E402
from promotion.judgement.resample import Sample, interval, normal, percentile, replicates  # noqa: E402
from promotion.judgement.rules import Outcome, challenge_rule, tail  # noqa: E402
from promotion.judgement.table import Scores, scores_from_table  # noqa: E402

from tests.proofs.simulation.world import Week, week  # noqa: E402
from tests.support.policies import policy_from_raw  # noqa: E402

METRICS = ("net_benefit", "f1")
TAILS = (0.025, 0.005)  # one look, and one of five
METHODS = {"percentile": percentile, "normal": normal, "the farther end of both": interval}
SEED = 20260101


def policy(cluster: list[str]) -> Policy:
    """The shipped policy's measure and rules."""
    challenge = {"confidence": 0.95, "looks": 5, "worthwhile": 1000, "net_benefit": "superior"}
    raw = {
        "measure": {
            "test_days": 7,
            "delay_days": 7,
            "dollars": {"caught": "amount", "review": 15},
            "cluster": cluster,
        },
        "gate": {"net_benefit": "> 0"},
        "challenge": {**challenge, "f1": {"not_worse_than": 0.05}},
    }
    return policy_from_raw("simulated", raw, file="promotion.yaml")


def table(drawn: Week, rules: Policy) -> Scores:
    """A drawn week as a score table."""
    n = len(drawn.amount)
    columns = {
        "key.id": np.arange(n),
        "label": drawn.fraud.astype(np.int8),
        "column.day": (np.datetime64("2018-08-15") + drawn.day).astype("datetime64[D]"),
        "column.amount": drawn.amount,
        "column.customer_id": drawn.customer,
        "column.terminal_id": drawn.terminal,
        "champion.decision": drawn.flagged[:, 0].astype(np.int8),
        "candidate.decision": drawn.flagged[:, 1].astype(np.int8),
    }
    return scores_from_table(pa.table(columns), rules)


def by_burst(drawn: Week) -> Week:
    """The same week with every burst as one customer's, so that one cluster column is the truth."""
    return replace(drawn, customer=drawn.burst)


@dataclass
class Counts:
    """Misses and outcomes of many draws. below: the interval lies above the truth (a false PROMOTE's side)."""

    draws: int = 0
    above: dict[tuple[str, float], int] = field(default_factory=dict)
    below: dict[tuple[str, float], int] = field(default_factory=dict)
    promote: int = 0
    keep: int = 0
    superior: dict[str, int] = field(default_factory=dict)
    values: dict[str, list[float]] = field(default_factory=dict)
    errors: dict[str, list[float]] = field(default_factory=dict)
    methods: dict[tuple[str, str], list[tuple[bool, bool, float]]] = field(default_factory=dict)


def count(
    draws: int, cluster: list[str], make: Callable[[np.random.Generator], Week], truth: dict[str, float], *, reps: int
) -> Counts:
    """Judge `draws` weeks; truth: metric -> its value in the long run (levels), differences being 0."""
    rules = policy(cluster)
    rng, counts = np.random.default_rng(SEED), Counts()
    known = metrics_of(rules, "classification")
    statistics = [Statistic(known[name]) for name in METRICS]
    for _ in range(draws):
        scores = table(make(rng), rules)
        measured = Measured(scores, rules, statistics, seed=int(rng.integers(2**60)), count=reps)
        counts.draws += 1
        for statistic in statistics:
            name = statistic.metric.name
            for label, contrast, target in (
                (name, CANDIDATE, truth.get(name)),
                (f"{name} difference", DIFFERENCE, 0.0),
            ):
                found = measured.finding(statistic, contrast)
                counts.values.setdefault(label, []).append(found.value)
                counts.errors.setdefault(label, []).append(found.error)
                for method, ends in METHODS.items():
                    low, high = ends(found.sample, TAILS[1]) or (-math.inf, math.inf)
                    if target is not None:
                        missed = (low > target, high < target, high - low)
                        counts.methods.setdefault((label, method), []).append(missed)
                for share in TAILS:
                    low, high = found.interval(share) or (-math.inf, math.inf)
                    if target is not None:
                        counts.above[label, share] = counts.above.get((label, share), 0) + (low > target)
                        counts.below[label, share] = counts.below.get((label, share), 0) + (high < target)
        _decide(counts, measured, rules)
    return counts


def _decide(counts: Counts, measured: Measured, rules: Policy) -> None:
    """Count what the shipped policy would say at one of five looks."""
    share = tail(rules.challenge.confidence, rules.challenge.looks)
    known = metrics_of(rules, "classification")
    results = []
    for rule in rules.challenge.rules:
        metric = known[rule.target.metric]
        found = measured.finding(Statistic(metric), contrast_of(rule, metric))
        failing = found.interval(share / len(rules.challenge.rules))
        results.append(challenge_rule(rule, Outcome(found.value, found.interval(share), failing), None, metric.sign).ok)
        counts.superior[metric.name] = counts.superior.get(metric.name, 0) + (results[-1] is True)
    counts.promote += all(ok is True for ok in results)
    counts.keep += any(ok is False for ok in results)


def long_run(make: Callable[[np.random.Generator], Week], draws: int = 6000) -> dict[str, float]:
    """Levels and the difference in the long run: formulas over mean sums."""
    rng, total = np.random.default_rng(SEED + 1), np.zeros(8)
    for _ in range(draws):
        total += make(rng).sums().sum(axis=0)
    total /= draws
    f1 = [2 * tp / (2 * tp + fp + fn) for tp, fp, fn in (total[0:3], total[4:7])]
    return {
        "net_benefit": total[7],
        "f1": f1[1],
        "net_benefit difference": total[7] - total[3],
        "f1 difference": f1[1] - f1[0],
    }


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


def rate(hits: int, draws: int) -> str:
    """`0.60% ± 0.21`: a rate and the half width of its 95% interval (3 / draws where nothing or everything was hit)."""
    share = hits / draws
    half = 1.96 * math.sqrt(share * (1 - share) / draws) if 0 < hits < draws else 3 / draws
    return f"{100 * share:.2f}% ± {100 * half:.2f}"


def errors_table(title: str, counts: Counts) -> list[str]:
    """Markdown of one world's one-sided errors."""
    lines = [
        f"### {title}",
        "",
        f"{counts.draws:,} weeks; one-sided errors, declared and measured.",
        "",
        "| quantity | declared | interval above the truth | interval below the truth |",
        "|---|---|---|---|",
    ]
    for label in counts.values:
        for share in TAILS:
            if (label, share) in counts.above:
                cells = [rate(side[label, share], counts.draws) for side in (counts.above, counts.below)]
                lines.append(f"| {label.replace('_', ' ')} | {100 * share:g}% | {cells[0]} | {cells[1]} |")
    lines += [
        "",
        f"No true difference, 0.5% tails (95% over five looks): PROMOTE {rate(counts.promote, counts.draws)}, "
        f"KEEP {rate(counts.keep, counts.draws)}; `net_benefit superior` alone passes "
        f"{rate(counts.superior['net_benefit'], counts.draws)}.",
        "",
    ]
    return lines


def methods_table(title: str, counts: Counts) -> list[str]:
    """Markdown of what other intervals would have done at 0.5% a side."""
    lines = [
        f"### Why this interval: {title}, 0.5% declared",
        "",
        "| quantity | method | above the truth | below the truth | mean width |",
        "|---|---|---|---|---|",
    ]
    for (label, method), missed in counts.methods.items():
        above, below = (rate(sum(row[side] for row in missed), counts.draws) for side in (0, 1))
        width = float(np.mean([row[2] for row in missed]))
        figure = f"{width:,.0f}" if width > 10 else f"{width:.3f}"
        lines.append(f"| {label.replace('_', ' ')} | {method} | {above} | {below} | {figure} |")
    return [*lines, ""]


def power_table(draws: int, *, reps: int) -> list[str]:
    """Markdown of power, predicted from the mean standard error and measured."""
    lines = [
        "### Power of `net_benefit superior`",
        "",
        "| true difference a week | standard error | predicted | measured |",
        "|---|---|---|---|",
    ]
    z = NORMAL.inv_cdf(1 - 0.005)
    for edge in (0.6, 1.2, 2.0):

        def make(rng: np.random.Generator, edge: float = edge) -> Week:
            return week(rng, edge=edge)

        truth = long_run(make)["net_benefit difference"]
        counts = count(draws, ["customer_id", "terminal_id"], make, {}, reps=reps)
        error = float(np.mean(counts.errors["net_benefit difference"]))
        passed = rate(counts.superior["net_benefit"], draws)
        lines.append(f"| ${truth:,.0f} | ${error:,.0f} | {100 * passes(truth, error, z):.1f}% | {passed} |")
    return [*lines, ""]


def steering_table(draws: int, *, reps: int) -> list[str]:
    """Markdown of what 20 reports on one test set are good for."""
    won = steering(draws, reps=reps)
    said = {
        "best of 20 fixed": "20 candidates that were fixed in advance, any of them promoted",
        "combines": "a trainer who tries 19 changes and then submits all that looked better",
        "reverses": "... and turns round those that looked worse",
        "fresh": "the same candidate under `confirm: fresh`, on days that no report had shown",
    }
    lines = ["### 20 looks at one test set, no true difference", "", "| who | false PROMOTE |", "|---|---|"]
    lines += [f"| {text} | {rate(won[name], draws)} |" for name, text in said.items()]
    return [*lines, "", f"{draws:,} test sets, 95% spread over 20 looks.", ""]


def main(argv: list[str] | None = None) -> int:
    """Print the whole table."""
    parser = argparse.ArgumentParser(description="Measure how often the judgement is wrong; prints Markdown.")
    parser.add_argument("--draws", type=int, default=3000, help="weeks per world (default: %(default)s)")
    parser.add_argument("--replicates", type=int, default=4000, help="replicates per interval (default: %(default)s)")
    args = parser.parse_args(argv)
    started = time.perf_counter()
    draws, reps = args.draws, args.replicates

    def one_way(rng: np.random.Generator) -> Week:
        return by_burst(week(rng))

    def part(rng: np.random.Generator) -> Week:
        return week(rng, weeks=1 / 3)

    print("Made by `python tests/proofs/simulation/simulate.py > tests/proofs/simulation/table.md`.\n")
    truth = long_run(week)
    world = f"About 68,000 payments a week, 0.8% fraud in bursts; net benefit ${truth['net_benefit']:,.0f} a week, "
    print(world + f"F1 {truth['f1']:.3f} in the long run.\n")
    both = count(draws, ["customer_id", "terminal_id"], week, truth, reps=reps)
    print("\n".join(errors_table("Clustered by customer and terminal", both)), flush=True)
    print("\n".join(methods_table("one week", both)), flush=True)
    small = count(draws, ["customer_id", "terminal_id"], part, long_run(part), reps=reps)
    print("\n".join(methods_table("a third of a week", small)), flush=True)
    one = count(draws, ["customer_id"], one_way, truth, reps=reps)
    print("\n".join(errors_table("Clustered one way", one)), flush=True)
    print("\n".join(power_table(max(50, draws // 4), reps=reps)), flush=True)
    print("\n".join(steering_table(max(50, draws // 4), reps=10_000)), flush=True)
    print(f"{(time.perf_counter() - started) / 60:.0f} minutes", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
