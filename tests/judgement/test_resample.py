"""The bootstrap: weights with Poisson's moments, exact sums, the same bits however the rows are cut."""

import itertools
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from promotion.errors import PromotionError
from promotion.judgement.clusters import MOST, Accumulator, ClusterSums, coarser, exponent, grouped
from promotion.judgement.measure import Measured, gradient
from promotion.judgement.metrics import BUILT_IN, metrics_of
from promotion.judgement.resample import BLOCK_DRAWS, COUNTS, Sample, interval, normal, percentile, replicates, weights
from promotion.judgement.source import ScoresSource
from promotion.judgement.statistic import CANDIDATE, DIFFERENCE, Statistic
from promotion.judgement.table import open_scores

from tests.support.score_tables import frame, opened, policy

PINNED = [1, 3, 1, 0, 1, 0, 1, 1, 2, 0, 2, 1, 3, 0, 4, 1, 1, 0, 2, 1, 1, 2, 0, 0]


def test_the_weight_table_has_poissons_moments() -> None:
    """Mean and variance are exactly 1, the next two moments Poisson's to 1e-4, over 65,536 equally likely numbers."""
    k, counts = np.arange(len(COUNTS)), np.array(COUNTS)
    moments = [int((k**power * counts).sum()) / 65536 for power in range(5)]

    assert moments[:3] == [1, 1, 2]
    assert moments[3:] == pytest.approx([5, 15], abs=1e-4)


def test_weights_are_pinned() -> None:
    """The stream behind the weights is the one that every earlier evaluation used."""
    found = weights(1, 24, seed=7, block=0)[0].astype(int).tolist()

    assert found == PINNED


def test_replicates_have_the_mean_and_variance_of_a_poisson_bootstrap() -> None:
    """Over 20,000 replicates the totals have the mean of the sums and the variance of their squares."""
    sums = np.random.default_rng(0).normal(1, 2, (300, 2))
    drawn = replicates(sums, 1, 20_000)

    np.testing.assert_allclose(drawn.mean(axis=0), sums.sum(axis=0), atol=5 * np.sqrt((sums**2).sum() / 20_000))
    np.testing.assert_allclose(drawn.var(axis=0), (sums**2).sum(axis=0), rtol=0.05)


def test_both_models_get_the_same_weights() -> None:
    """Two equal columns have equal replicates, so the difference of a model with itself is 0 in each."""
    sums = np.repeat(np.random.default_rng(0).normal(0, 1, (50, 1)), 2, axis=1)
    drawn = replicates(sums, 3, 500)

    np.testing.assert_array_equal(drawn[:, 0], drawn[:, 1])


def test_replicates_are_exact_sums() -> None:
    """A replicate is the weighted sum, with an error below 2^-45 of the column's size."""
    sums = np.random.default_rng(0).normal(0, 1e5, (40, 3))
    drawn = replicates(sums, 5, 10)
    expected = weights(10, 40, 5, 0) @ sums

    np.testing.assert_allclose(drawn, expected, atol=2**-45 * 40 * np.abs(sums).sum())


def test_the_blocks_of_weights_are_those_of_every_earlier_evaluation() -> None:
    """More replicates than a block holds come from the next one's stream."""
    sums, rows = np.random.default_rng(0).normal(0, 1, (1000, 1)), BLOCK_DRAWS // 1000
    drawn = np.vstack([weights(height, 1000, 5, block) for block, height in enumerate((rows, rows, 76))])

    np.testing.assert_allclose(replicates(sums, 5, 2 * rows + 76), drawn @ sums, atol=1e-9)


def test_columns_do_not_change_each_others_replicates() -> None:
    """Asking for more metrics leaves the others' numbers as they were, to the bit."""
    sums = np.random.default_rng(0).normal(0, 1, (500, 7))

    np.testing.assert_array_equal(replicates(sums, 2, 100)[:, :2], replicates(sums[:, :2], 2, 100))


values = st.lists(
    st.tuples(st.integers(0, 6), st.floats(-1e6, 1e6, allow_nan=False, width=64)), min_size=1, max_size=40
)


def merged(parts: Iterable[ClusterSums]) -> ClusterSums:
    """The sum of partial sums, added as they come."""
    first, *rest = parts
    total = Accumulator(first)
    for part in rest:
        total.add(part)
    return total.total()


@given(values, st.integers(0, 40), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_partial_sums_merge_to_the_same_bits(rows, cut: int, random) -> None:
    """Any cut and any order of the rows gives the same ids and the same whole numbers."""
    scale = [exponent(max(abs(v) for _, v in rows))]

    def sums(chosen):
        ids = np.array([i for i, _ in chosen], dtype=np.uint64)
        return grouped(ids, [np.array([v for _, v in chosen])], ["x"], scale)

    whole = sums(rows)
    shuffled = list(rows)
    random.shuffle(shuffled)
    parts = [sums(part) for part in (shuffled[:cut], shuffled[cut:]) if part]
    found = merged(parts)

    np.testing.assert_array_equal(whole.ids, found.ids)
    np.testing.assert_array_equal(whole.values(), found.values())
    np.testing.assert_array_equal(whole.high, found.high)
    np.testing.assert_array_equal(whole.low, found.low)
    exact = sum(v for _, v in rows)
    assert found.totals()["x"] == pytest.approx(exact, rel=1e-12, abs=1e-9)


def test_more_clusters_than_the_limit_become_pseudo_clusters_whatever_the_order() -> None:
    """Above the limit 16,384 pseudo-clusters hold the same total, and it does not matter when they were made."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 2**63, 3 * MOST).astype(np.uint64) * np.uint64(2)
    x = rng.normal(0, 1, len(ids))
    scale = [exponent(float(np.abs(x).max()))]
    cuts = np.array_split(np.arange(len(ids)), 5)
    orders = [cuts, cuts[::-1], [np.arange(len(ids))]]
    found = [merged(grouped(ids[c], [x[c]], ["x"], scale) for c in order) for order in orders]

    assert all(part.coarse and len(part.ids) == 1 << 14 for part in found)
    for one, two in itertools.pairwise(found):
        np.testing.assert_array_equal(one.high, two.high)
        np.testing.assert_array_equal(one.low, two.low)
    assert found[0].totals()["x"] == pytest.approx(x.sum(), rel=1e-12)


@pytest.mark.parametrize("many", [5000, 2 * MOST])
def test_clusters_that_are_put_together_for_drawing_hold_the_same(many: int) -> None:
    """At most so many, by the top bits of their names, also where they are pseudo-clusters already."""
    rng = np.random.default_rng(1)
    ids, x = rng.integers(0, 2**63, many).astype(np.uint64) * np.uint64(2), rng.integers(-9, 9, many).astype(float)
    whole = merged([grouped(ids, [x], ["x"], [4])])
    found = coarser(whole, 1 << 8)

    assert whole.coarse is (many > MOST) and len(whole.ids) > 4096
    assert found.ids.tolist() == list(range(256))
    by_hand = np.bincount((ids >> np.uint64(56)).astype(np.int64), weights=x, minlength=256)
    np.testing.assert_array_equal(found.values()[:, 0], by_hand)
    assert coarser(found, 1 << 8) is found


def test_sums_of_other_columns_or_scales_do_not_add_up() -> None:
    """They are refused, and no interval comes of them."""
    ids, x = np.array([3, 1, 3], dtype=np.uint64), np.array([0.1, 0.2, 0.3])
    for name, scale in (("x", 1), ("y", 0)):
        with pytest.raises(PromotionError, match="different columns or scales"):
            merged([grouped(ids, [x], ["x"], [0]), grouped(ids, [x], [name], [scale])])


def test_the_scale_is_the_smallest_that_holds_the_largest_value() -> None:
    """A power of two is held by itself, anything above it by the next."""
    assert [exponent(size) for size in (0, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)] == [0, -1, 0, 0, 1, 1, 2]


def test_a_value_that_cannot_be_summed_is_refused() -> None:
    """An infinite summand is an error and never an interval."""
    with pytest.raises(PromotionError, match="NaN or infinite"):
        exponent(float("inf"))


def found(scores, metric: str, contrast=DIFFERENCE, rules=None, count: int = 400):
    """One metric's finding on a table."""
    rules = rules or policy()
    statistic = Statistic(metrics_of(rules, scores.task)[metric])
    measured = Measured(ScoresSource(scores, rules), rules.measure, [statistic], seed=9, count=count)
    return measured.finding(statistic, contrast)


@pytest.mark.parametrize("cluster", [None, ["customer_id"], ["customer_id", "terminal_id"]])
@pytest.mark.parametrize("metric", ["net_benefit", "f1", "brier"])
def test_partitions_and_order_do_not_change_a_bit(tmp_path: Path, cluster, metric: str) -> None:
    """One file in order, or seven parts shuffled: the same value and the same replicates, bit by bit."""
    rules = policy({"cluster": cluster})
    table = frame(2000)
    shuffled = table.sample(frac=1, random_state=3)
    for i, rows in enumerate(np.array_split(np.arange(2000), 7)):
        shuffled.iloc[rows].to_parquet(tmp_path / f"part-{i}.parquet", index=False)
    one = found(opened(table, rules), metric, rules=rules)
    two = found(open_scores(tmp_path, rules), metric, rules=rules)

    assert one.value == two.value
    assert one.error == two.error
    np.testing.assert_array_equal(one.sample.draws, two.sample.draws)


@pytest.mark.parametrize("metric", ["net_benefit", "f1"])
def test_rows_that_are_all_zero_drop_out_exactly(metric: str) -> None:
    """Rows that are neither fraud nor flagged change nothing at all, but how many rows there are."""
    table = frame(2000)
    matter = table[(table["label"] == 1) | (table["candidate.decision"] == 1) | (table["champion.decision"] == 1)]
    one, two = found(opened(table), metric), found(opened(matter), metric)

    assert len(matter) < 300
    np.testing.assert_array_equal(one.sample.draws, two.sample.draws)


def test_two_cluster_columns_take_the_largest_variance() -> None:
    """The error is the root of max(Va + Vb - Vab, Va, Vb), computed here from the rows by hand."""
    table = frame(3000)
    result = found(opened(table), "net_benefit", CANDIDATE)
    hit = table["candidate.decision"] == 1
    money = np.where(hit & (table["label"] == 1), table["column.amount"], 0) - 15 * hit
    by = [["column.customer_id"], ["column.terminal_id"], ["column.customer_id", "column.terminal_id"]]
    spread = []
    for names in by:
        sums = money[money != 0].groupby([table[n] for n in names]).sum()
        spread.append((sums**2).sum() * len(sums) / (len(sums) - 1))

    assert result.error == pytest.approx(np.sqrt(max(spread[0] + spread[1] - spread[2], *spread[:2])), rel=0.02)
    assert result.error >= np.sqrt(max(spread[:2])) * 0.98


def test_bursts_widen_the_interval() -> None:
    """Frauds that come in bursts at terminals make the interval wider than rows alone would have it."""
    table = frame(4000)
    rows = found(opened(table, policy({"cluster": None})), "f1", CANDIDATE, policy({"cluster": None}))
    bursts = found(
        opened(table, policy({"cluster": ["terminal_id"]})), "f1", CANDIDATE, policy({"cluster": ["terminal_id"]})
    )

    assert bursts.error > rows.error


@pytest.mark.parametrize("name", BUILT_IN)
def test_gradients_are_the_formulas_slopes(name: str) -> None:
    """The numerical slope predicts the change of the formula for a small step in any direction."""
    metric = BUILT_IN[name]
    rng = np.random.default_rng(0)
    totals = {n: np.float64(rng.uniform(50, 500)) for n in metric.sums} | (
        {"n": np.float64(1000)} if "n" in metric.sums else {}
    )
    slopes = gradient(metric, totals)
    step = {n: v * 1e-7 for n, v in totals.items()}
    change = metric.value({n: totals[n] + step[n] for n in totals}) - metric.value(totals)

    assert sum(slopes[n] * step[n] for n in totals) == pytest.approx(float(change), rel=1e-3, abs=1e-12)


def test_a_replicate_that_cannot_be_computed_widens_to_nothing() -> None:
    """Not-a-number replicates count as infinitely low and high, so enough of them leave no interval."""
    draws = np.linspace(-1, 1, 999)
    good, few, many = (Sample(0.0, np.where(np.arange(999) % 200 < n, np.nan, draws)) for n in (0, 1, 20))

    assert percentile(few, 0.025)[0] < percentile(good, 0.025)[0]
    assert percentile(few, 0.025)[1] > percentile(good, 0.025)[1]
    assert interval(many, 0.025) is None
    assert interval(Sample(float("nan"), draws), 0.025) is None
    assert interval(Sample(0.0, np.full(99, np.nan)), 0.025) is None


def test_each_end_is_the_farther_of_percentile_and_normal() -> None:
    """On skewed replicates one end is the percentile's and the other the normal approximation's."""
    sample = Sample(1.0, np.random.default_rng(0).exponential(1.0, 20_000))
    low, high = interval(sample, 0.005)

    assert low == normal(sample, 0.005)[0] < percentile(sample, 0.005)[0]
    assert high == percentile(sample, 0.005)[1] > normal(sample, 0.005)[1]
    assert normal(sample, 0.005)[1] == pytest.approx(1 + 2.5758 * 1.0, rel=0.03)


def test_the_scale_stretches_both_halves() -> None:
    """Two-way clusters with 1.7 times the deviation make an interval of 1.7 times the length about its value."""
    draws = np.random.default_rng(0).normal(2.0, 1.0, 5000)
    one, wide = interval(Sample(2.0, draws), 0.025), interval(Sample(2.0, draws, 1.7), 0.025)

    assert [end - 2 for end in wide] == pytest.approx([1.7 * (end - 2) for end in one])


def test_cluster_sums_know_their_shape() -> None:
    """Sums of nothing are empty, and an all-zero column stays zero."""
    sums = grouped(np.array([1, 1], dtype=np.uint64), [np.zeros(2)], ["x"], [0])
    assert isinstance(sums, ClusterSums)
    np.testing.assert_array_equal(replicates(sums.values(), 0, 5), np.zeros((5, 1)))
