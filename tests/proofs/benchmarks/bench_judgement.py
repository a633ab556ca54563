"""The judgement beside what people use: time for 10,000 replicates, and whether the numbers agree.

Run from the project's root: `python tests/proofs/benchmarks/bench_judgement.py [--rows 1000000]`. Every line is
measured in this run; a peer that would take too long does fewer replicates and is scaled (marked ~).

First all that a judgement does (checks, digests, sums, every metric for both models and their
difference, slices, rules, rankings) beside SciPy's paired bootstrap of the same differences: on a table of
cluster sums that somebody has made before, which is what is fair to compare with, and on rows. The second
has one number, the standard error of candidate minus champion in F1, from every tool.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from tests.proofs.benchmarks.harness import Line, Timing, table, timed  # noqa: E402

REPLICATES = 10_000
SLICES = 4
CLUSTERS = 20_000


@dataclass(frozen=True)
class Data:
    """(n,) arrays: labels, both models' decisions and probabilities, money, names of clusters and slices."""

    y: np.ndarray
    champion: np.ndarray
    candidate: np.ndarray
    amount: np.ndarray
    cluster: np.ndarray
    scores: tuple[np.ndarray, np.ndarray]
    band: np.ndarray


def make(rows: int, clusters: int) -> Data:
    """Rows with 0.8% positives in bursts; the models find 70% and 73% of them."""
    rng = np.random.default_rng(0)
    cluster = rng.integers(0, clusters, rows)
    burst = rng.random(clusters) < 0.006
    y = burst[cluster] & (rng.random(rows) < 0.9) | (rng.random(rows) < 0.0026)
    noise = rng.random(rows)
    flagged = [np.where(y, noise < share, rng.random(rows) < 0.004) for share in (0.70, 0.73)]
    scores = tuple(np.where(d, 0.5 + rng.random(rows) / 2, rng.random(rows) / 2) for d in flagged)
    return Data(y, *flagged, np.round(rng.gamma(2, 60, rows), 2), cluster, scores, rng.integers(0, SLICES, rows))


def rules_of(*, clustered: bool = True, slices: bool = False):
    """The policy of the task."""
    from tests.support.policies import policy_from_raw

    raw: dict = {
        "measure": {"test_days": 1, "delay_days": 0, "dollars": {"caught": "amount", "review": 15}},
        "gate": {"f1": "> 0"},
        "challenge": {"confidence": 0.95, "looks": 5, "net_benefit": "superior", "f1": {"not_worse_than": 0.05}},
    }
    if clustered:
        raw["measure"]["cluster"] = ["name"]
    if slices:
        raw["measure"]["slices"] = ["band"]
    return policy_from_raw("bench", raw, file="promotion.yaml")


def table_of(data: Data):
    """The data as a score table in memory."""
    import pyarrow as pa

    columns = {
        "key.id": np.arange(len(data.y)),
        "label": data.y.astype(np.int8),
        "column.day": np.full(len(data.y), np.datetime64("2024-01-01")),
        "column.amount": data.amount,
        "column.name": data.cluster,
        "column.band": data.band,
        "champion.decision": data.champion.astype(np.int8),
        "candidate.decision": data.candidate.astype(np.int8),
        "champion.score": data.scores[0],
        "candidate.score": data.scores[1],
    }
    return pa.table(columns)


def whole(data: Data) -> tuple[Timing, Timing]:
    """(the whole judgement of a file, of which resampling): every metric of both models, slices, digests, rules."""
    import pyarrow.parquet as pq
    from promotion.judgement.judge import judge_table
    from promotion.judgement.statistic import DIFFERENCE
    from promotion.judgement.table import scores_from_table
    from promotion.judgement.work import Work

    rules = rules_of(slices=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.parquet"
        pq.write_table(table_of(data), path)
        judge_table(path, rules, replicates=100)  # imports and the first pages of memory are nobody's work
        every = timed(lambda: judge_table(path, rules, replicates=REPLICATES), rounds=3)

    def ready() -> Work:
        work = Work(scores_from_table(table_of(data), rules), rules, replicates=REPLICATES)
        assert work.measured
        return work

    works = [ready() for _ in range(3)]  # each with its sums made, and no replicate drawn
    best = min(
        (
            timed(lambda work=work: [work.measured.finding(one, DIFFERENCE).interval(0.005) for one in work.shown])
            for work in works
        ),
        key=lambda one: one.processor,
    )
    return every, best


def row_sums_of(data: Data) -> np.ndarray:
    """(n, 2, C) summands of candidate and champion: tp, fp, fn, right, 1, dollars, Brier, log loss; sums by slice."""
    found = []
    for decision, score in zip((data.candidate, data.champion), data.scores[::-1], strict=True):
        hits, alarms, missed = data.y & decision, ~data.y & decision, data.y & ~decision
        money = np.where(hits, data.amount, 0.0) - 15.0 * decision
        p = np.clip(score, 1e-15, 1 - 1e-15)
        columns = [hits, alarms, missed, data.y == decision, np.ones(len(data.y)), money]
        columns += [(score - data.y) ** 2, -np.where(data.y, np.log(p), np.log1p(-p))]
        columns += [part * (data.band == band) for band in range(SLICES) for part in (hits, alarms, missed, money)]
        found.append(np.stack([np.asarray(column, np.float64) for column in columns], axis=1))
    return np.stack(found, axis=1)


def all_differences(*columns: np.ndarray, axis: int = -1) -> np.ndarray:
    """Candidate minus champion of what the judgement rules on and shows, from (..., n) columns of both."""
    total = [column.sum(axis=axis) for column in columns]
    half = len(total) // 2

    def values(s: list[np.ndarray]) -> list[np.ndarray]:
        tp, fp, fn, right, n, money, brier, log_loss = s[:8]
        found = [f1(tp, fp, fn), tp / (tp + fp), tp / (tp + fn), right / n, money, brier / n, log_loss / n]
        for i in range(8, len(s), 4):
            found += [f1(*s[i : i + 3]), s[i + 3]]
        return found

    return np.stack([new - old for new, old in zip(values(total[:half]), values(total[half:]), strict=True)])


def scipy_all(sums: np.ndarray, count: int) -> np.ndarray:
    """scipy.stats.bootstrap of all differences at once, paired, over the rows of `sums`."""
    from scipy.stats import bootstrap

    columns = tuple(sums.reshape(len(sums), -1).T.copy())
    options = {"paired": True, "method": "percentile", "confidence_level": 0.99, "rng": np.random.default_rng(0)}
    result = bootstrap(columns, all_differences, n_resamples=count, batch=max(1, 1_000_000 // len(sums)), **options)
    return np.asarray(result.standard_error)


def whole_lines(data: Data) -> Iterator[Line]:
    """Everything that a judgement does beside SciPy's intervals of the same differences, in processor time."""
    every, resampling = whole(data)
    by_row = row_sums_of(data)
    groups = np.unique(data.cluster, return_inverse=True)[1]
    sums = np.stack([np.bincount(groups, weights=column) for column in by_row.reshape(len(by_row), -1).T], axis=1)
    what = f"judging {len(data.y):,} rows, {SLICES} slices, {REPLICATES:,} replicates"
    for name, summands, count in (("cluster sums made before", sums, 400), ("rows", by_row, 10)):
        found = timed(lambda summands=summands, count=count: scipy_all(summands, count))
        seconds = found.processor * REPLICATES / count
        peer, theirs = f"scipy.stats.bootstrap, {name}", f"~{seconds:,.0f} s"
        yield Line(f"{what}: everything", f"{every.processor:.2f} s", peer, theirs, seconds / every.processor)
        if summands is sums:
            yield Line(
                f"{what}: resampling", f"{resampling.processor:.2f} s", peer, theirs, seconds / resampling.processor
            )


def ours(data: Data, *, clustered: bool) -> Callable[[], float]:
    """This project: from the table in memory to the standard error, checks and sums included."""
    from promotion.judgement.measure import Measured
    from promotion.judgement.metrics import metrics_of
    from promotion.judgement.source import ScoresSource
    from promotion.judgement.statistic import DIFFERENCE, Statistic
    from promotion.judgement.table import scores_from_table

    rules, table = rules_of(clustered=clustered), table_of(data)
    known = metrics_of(rules, "classification")
    statistics = [Statistic(known["net_benefit"]), Statistic(known["f1"])]

    def run() -> float:
        source = ScoresSource(scores_from_table(table, rules), rules)
        measured = Measured(source, rules.measure, statistics, seed=1, count=REPLICATES)
        findings = [measured.finding(one, DIFFERENCE) for one in statistics]
        assert all(finding.interval(0.005) for finding in findings)
        return float(np.std(findings[1].sample.draws))

    return run


def f1(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    """F1 of counts."""
    return 2 * tp / (2 * tp + fp + fn)


def f1_difference(y: np.ndarray, old: np.ndarray, new: np.ndarray, axis: int = -1) -> np.ndarray:
    """F1 of the candidate minus F1 of the champion, from rows."""
    found = [f1((y & d).sum(axis=axis), (~y & d).sum(axis=axis), (y & ~d).sum(axis=axis)) for d in (new, old)]
    return found[0] - found[1]


def scipy_rows(data: Data, count: int) -> float:
    """scipy.stats.bootstrap over rows, paired and vectorised."""
    from scipy.stats import bootstrap

    result = bootstrap(
        (data.y, data.champion, data.candidate),
        f1_difference,
        paired=True,
        n_resamples=count,
        batch=10,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return float(result.standard_error)


def scipy_clusters(data: Data, count: int) -> float:
    """scipy.stats.bootstrap over a table of cluster sums, as one writes it by hand."""
    from scipy.stats import bootstrap

    columns = []
    for d in (data.candidate, data.champion):
        for rows in (data.y & d, ~data.y & d, data.y & ~d):
            columns.append(np.bincount(data.cluster, weights=rows))
    result = bootstrap(
        tuple(columns),
        lambda *c, axis=-1: f1(*(x.sum(axis=axis) for x in c[:3])) - f1(*(x.sum(axis=axis) for x in c[3:])),
        paired=True,
        n_resamples=count,
        batch=50,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return float(result.standard_error)


def arch_rows(data: Data, count: int) -> float:
    """arch's IIDBootstrap over rows."""
    from arch.bootstrap import IIDBootstrap

    draws = IIDBootstrap(data.y, data.champion, data.candidate, seed=0).apply(f1_difference, count)
    return float(np.std(draws))


def poisson_rows(data: Data, count: int) -> float:
    """The Poisson bootstrap over rows, as TensorFlow Model Analysis has it: each row counts a Poisson(1) of times."""
    rng, draws = np.random.default_rng(0), []
    columns = np.stack(
        [part for d in (data.candidate, data.champion) for part in (data.y & d, ~data.y & d, data.y & ~d)]
    )
    columns = columns.astype(np.float32)
    for _ in range(count):
        found = columns @ rng.poisson(1.0, len(data.y)).astype(np.float32)
        draws.append(f1(*found[:3]) - f1(*found[3:]))
    return float(np.std(draws))


def sklearn_loop(data: Data, count: int) -> float:
    """sklearn.utils.resample and f1_score in a loop."""
    from sklearn.metrics import f1_score
    from sklearn.utils import resample

    draws = []
    for seed in range(count):
        y, old, new = resample(data.y, data.champion, data.candidate, random_state=seed)
        draws.append(f1_score(y, new) - f1_score(y, old))
    return float(np.std(draws))


def mlflow_points(data: Data) -> float:
    """mlflow.models.evaluate for both models; it gives values and no interval."""
    import logging
    import tempfile
    import warnings

    import mlflow
    import pandas as pd

    warnings.filterwarnings("ignore", module="mlflow")
    logging.disable(logging.WARNING)
    values = []
    with tempfile.TemporaryDirectory() as folder:
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        for d in (data.candidate, data.champion):
            table = pd.DataFrame({"y": data.y.astype(int), "d": d.astype(int)})
            with mlflow.start_run():
                found = mlflow.models.evaluate(
                    data=table,
                    targets="y",
                    predictions="d",
                    model_type="classifier",
                    evaluator_config={"log_model_explainability": False},
                )
            values.append(found.metrics["f1_score"])
        mlflow.set_tracking_uri(None)
    return float(values[0] - values[1])


ERRORS: list[tuple[str, Callable[[Data, int], float], int, bool]] = [
    ("scipy.stats.bootstrap, table of cluster sums", scipy_clusters, 2000, True),
    ("scipy.stats.bootstrap, rows", scipy_rows, 200, False),
    ("arch IIDBootstrap, rows", arch_rows, 200, False),
    ("Poisson bootstrap in NumPy, rows", poisson_rows, 200, False),
    ("scikit-learn in a loop, rows", sklearn_loop, 60, False),
]


def error_lines(data: Data) -> Iterator[Line]:
    """One number, the standard error of the F1 difference, from every tool; ours checks, and has net benefit's too."""
    run = {clustered: ours(data, clustered=clustered) for clustered in (False, True)}
    run[True]()  # imports and the first pages of memory are nobody's work
    base = {clustered: timed(run[clustered], rounds=2) for clustered in (False, True)}
    what = f"error of the F1 difference, {len(data.y):,} rows, {REPLICATES:,} replicates"
    for name, function, count, clustered in ERRORS:
        mine = base[clustered]
        try:
            found = timed(lambda function=function, count=count: function(data, count))
        except ImportError:
            yield Line(what, f"{mine.seconds:.2f} s", name, "not installed")
            continue
        seconds = found.seconds * REPLICATES / count
        theirs = f"~{seconds:,.0f} s; its error {found.result / mine.result:.2f} of ours"
        yield Line(what, f"{mine.seconds:.2f} s", name, theirs, seconds / mine.seconds)
    point, found = float(f1_difference(data.y, data.champion, data.candidate)), timed(lambda: mlflow_points(data))
    if abs(found.result - point) > 1e-9:
        raise SystemExit(f"mlflow.models.evaluate says {found.result}, and it is {point}")
    here, theirs = f"{base[True].seconds:.2f} s with its interval", f"{found.seconds:.1f} s, the same value"
    peer = "mlflow.models.evaluate, no interval"
    yield Line(f"the F1 difference, {len(data.y):,} rows", here, peer, theirs, found.seconds / base[True].seconds)


def lines(rows: int = 200_000) -> Iterator[Line]:
    """Measure all of it, a line at a time."""
    yield from whole_lines(make(1_000_000, CLUSTERS))
    yield from error_lines(make(rows, CLUSTERS))


def main(argv: list[str] | None = None) -> int:
    """Measure everything once and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000, help="of the one number; the whole has a million")
    args = parser.parse_args(argv)
    print(table(lines(args.rows)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
