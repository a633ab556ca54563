"""Worlds in which the two models fail differently, each with its truth known by construction.

Two models that are alike err alike, and their errors cancel. Here the candidate trades: it misses a few
expensive bursts and drops as many dollars of false alarms (a raised threshold, the commonest challenger
there is), or the other way round; it loses single positives of lognormal amounts; there are few clusters,
few positives, thin slices, few terminals, few days.
"""

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from promotion.config.policy import Measure
from promotion.judgement.sums import Rows

from tests.proofs.simulation.harness import World, rule_on
from tests.proofs.simulation.world import CUSTOMERS, FAR, REVIEW, Week, week

Make = Callable[[np.random.Generator], Rows]
EXPENSIVE = 300.0  # what a stolen card's caught payments are worth at least to be expensive
BURSTS, TWO_WAYS, GROUPS = ("burst",), ("customer", "terminal"), ("group",)


def measure(cluster: tuple[str, ...], review: float = REVIEW) -> Measure:
    """Dollars as the fraud policy's, clustered."""
    return Measure(test_days=7, delay_days=7, dollars={"caught": "amount", "review": review}, cluster=cluster)


def rows_of(drawn: Week, cluster: tuple[str, ...]) -> Rows:
    """A week as rows; cluster: `burst` is the truth in one column, else customers and terminals."""
    names = {"customer": drawn.customer, "terminal": drawn.terminal, "burst": drawn.burst}
    ids = {name: names[name].astype(np.uint64) for name in cluster}
    if len(cluster) == 2:
        ids[" and ".join(cluster)] = drawn.customer.astype(np.uint64) * np.uint64(FAR) + drawn.terminal.astype(
            np.uint64
        )
    return Rows(
        y=drawn.fraud.astype(np.float64),
        score={"champion": None, "candidate": None},
        decision={side: drawn.flagged[:, i].astype(np.float64) for i, side in enumerate(("champion", "candidate"))},
        ids=ids,
        columns={"amount": drawn.amount},
    )


def alike(cluster: tuple[str, ...], edge: float = 0.0, weeks: float = 1.0) -> Make:
    """Two models with luck of their own; edge: in the candidate's log odds of finding a fraud."""
    return lambda rng: rows_of(week(rng, edge=edge, weeks=weeks), cluster)


def _expensive(drawn: Week) -> tuple[np.ndarray, np.ndarray]:
    """(whether a payment is of a stolen card, what the champion's catches of each card are worth)."""
    card = drawn.fraud & (drawn.burst < CUSTOMERS)
    worth = np.maximum(drawn.amount - REVIEW, 0) * drawn.flagged[:, 0]
    return card, np.bincount(drawn.burst[card], weights=worth[card], minlength=CUSTOMERS)


@functools.cache
def _balance(draws: int = 3000) -> float:
    """The expensive bursts' dollars over the false alarms', in the long run: what is traded for what.

    Both sides of the balance are conditional means given the champion's week, so its own error is small.
    """
    rng, caught, alarms = np.random.default_rng(7), 0.0, 0.0
    for _ in range(draws):
        drawn = week(rng)
        worth = _expensive(drawn)[1]
        caught += float(worth[worth > EXPENSIVE].sum())
        alarms += REVIEW * float((drawn.flagged[:, 0] & ~drawn.fraud).sum())
    return caught / alarms


def _week(rng: np.random.Generator, few: int | None) -> Week:
    drawn = week(rng)
    return drawn if few is None else replace(drawn, terminal=drawn.terminal % few)


def traded(
    cluster: tuple[str, ...], share: float, *, lowered: bool = False, noise: float = 0.0, few: int | None = None
) -> Make:
    """A candidate that misses `share` of the expensive bursts and drops as many dollars of false alarms.

    lowered: the mirror image, a candidate that catches them and raises the alarms. noise: both models miss
    this share of single payments on top, each by its own luck. few: the payments are at so few terminals.
    """

    def make(rng: np.random.Generator) -> Rows:
        dropped = share * (1 - noise) * _balance()  # the share of false alarms whose dollars those are
        assert dropped < 1
        drawn = _week(rng, few)
        (card, worth), strict = _expensive(drawn), drawn.flagged[:, 0].copy()
        missed = (rng.random(CUSTOMERS) < share) & (worth > EXPENSIVE)
        strict[card & missed[np.minimum(drawn.burst, CUSTOMERS - 1)]] = False
        strict[~drawn.fraud & (rng.random(len(strict)) < dropped)] = False
        flagged = np.stack([drawn.flagged[:, 0], strict], axis=1)
        if noise:
            flagged &= ~(drawn.fraud[:, None] & (rng.random(flagged.shape) < noise))
        return rows_of(replace(drawn, flagged=flagged[:, ::-1] if lowered else flagged), cluster)

    return make


def saving(cluster: tuple[str, ...], weeks: int) -> Make:
    """A candidate that drops every false alarm and misses nothing, over several weeks: truly better."""

    def make(rng: np.random.Generator) -> Rows:
        parts = [week(rng) for _ in range(weeks)]
        drawn = Week(*(np.concatenate([getattr(part, name) for part in parts]) for name in Week.__dataclass_fields__))
        burst = np.concatenate([part.burst + i * 10 * FAR for i, part in enumerate(parts)])
        flagged = np.stack([drawn.flagged[:, 0], drawn.flagged[:, 0] & drawn.fraud], axis=1)
        return rows_of(replace(drawn, flagged=flagged, burst=burst), cluster)

    return make


SAVED = 600  # false alarms that a lognormal world's candidate drops


def review_of(sigma: float, lost: int) -> float:
    """What a review costs so that SAVED dropped alarms pay for `lost` positives of median $100, in the long run."""
    return lost * (100 * math.exp(sigma**2 / 2)) / (SAVED + lost)


def lognormal(sigma: float, clusters: int, lost: int, *, whole: bool) -> Make:
    """Positives of lognormal amounts in unequal clusters; the candidate loses a quarter of the champion's catches.

    lost: how many it loses in the long run. whole: all of a cluster's or none, else each by itself.
    """
    size = np.random.default_rng(3).gamma(1.0, 1.0, clusters)
    size /= size.sum()

    def make(rng: np.random.Generator) -> Rows:
        caught, alarms = rng.poisson(4 * lost), rng.poisson(SAVED)
        group = rng.choice(clusters, caught + alarms, p=size)
        y = np.concatenate([np.ones(caught), np.zeros(alarms)])
        amount = 100 * np.exp(sigma * rng.standard_normal(len(y)))
        missed = (rng.random(clusters) < 0.25)[group] if whole else rng.random(len(y)) < 0.25
        return _grouped(group, y, np.ones(len(y)), np.where(y == 1, ~missed, False), amount)

    return make


def _grouped(
    group: np.ndarray,
    y: np.ndarray,
    champion: np.ndarray,
    candidate: np.ndarray,
    amount: np.ndarray | None = None,
    **more: object,
) -> Rows:
    return Rows(
        y=y.astype(np.float64),
        score={"champion": None, "candidate": None},
        decision={"champion": champion.astype(np.float64), "candidate": candidate.astype(np.float64)},
        ids={"group": group.astype(np.uint64)},
        columns={} if amount is None else {"amount": amount},
        **more,  # type: ignore[arg-type]
    )


def exponential(clusters: int) -> Make:
    """Equal clusters whose differences are 1 less an exponential of mean 1, of a metric without catches."""

    def make(rng: np.random.Generator) -> Rows:
        change = 1 - rng.standard_exponential(clusters)
        return _custom(change)

    return make


def even(clusters: int) -> Make:
    """Equal clusters whose differences are normal, of a metric without catches."""
    return lambda rng: _custom(rng.standard_normal(clusters))


def _custom(change: np.ndarray) -> Rows:
    group, mixed = np.arange(len(change)), np.arange(len(change)) % 2
    custom = {("candidate", "dollars.dollars"): change + 5, ("champion", "dollars.dollars"): np.full(len(change), 5.0)}
    return _grouped(group, mixed, mixed, mixed, custom=custom)


def few_positives(positives: int, loss: float, *, thin: bool = False) -> Make:
    """Positives, each a cluster of its own, of which the champion finds 90% and the candidate `loss` fewer of all.

    thin: they are on a slice, beside as many as ten times elsewhere that both find alike.
    """

    def make(rng: np.random.Generator) -> Rows:
        many = positives * 11 if thin else positives
        old = rng.random(many) < 0.9
        new = old & ~((rng.random(many) < loss / 0.9) & (np.arange(many) < positives))
        y = np.append(np.ones(many), 0)
        place = (np.append((np.arange(many) < positives).astype(np.int64), 0), ["elsewhere", "thin"])
        return _grouped(np.arange(many + 1), y, np.append(old, 0), np.append(new, 0), slices={"place": place})

    return make


def error_worlds() -> Iterator[World]:
    """The worlds in which an outcome is an error."""
    for cluster, said in ((BURSTS, "one way"), (TWO_WAYS, "two ways")):
        basis, superior = measure(cluster), rule_on("net_benefit")
        yield World(f"alike, {said}", alike(cluster), superior, basis)
        yield World(f"alike, {said}, claimed worse", alike(cluster), superior, basis, "fail")
        for share in (0.15, 0.08, 0.04):
            yield World(
                f"raised, misses {share:.0%} of expensive bursts, {said}", traded(cluster, share), superior, basis
            )
        yield World(
            f"lowered, finds 15% more expensive bursts, {said}, claimed worse",
            traded(cluster, 0.15, lowered=True),
            superior,
            basis,
            "fail",
        )
    for share, noise in ((0.15, 0.03), (0.08, 0.03), (0.15, 0.10)):
        yield World(
            f"raised, misses {share:.0%}, and single payments by luck ({noise:.0%})",
            traded(BURSTS, share, noise=noise), rule_on("net_benefit"), measure(BURSTS),
        )  # fmt: skip
    for few in (10, 20, 50):
        yield World(
            f"alike, two ways, {few} terminals",
            lambda rng, few=few: rows_of(_week(rng, few), TWO_WAYS), rule_on("net_benefit"), measure(TWO_WAYS),
        )  # fmt: skip
        yield World(
            f"raised, misses 15%, two ways, {few} terminals",
            traded(TWO_WAYS, 0.15, few=few),
            rule_on("net_benefit"),
            measure(TWO_WAYS),
        )
    for sigma, clusters, lost in (
        (1.0, 200, 300), (1.0, 200, 60), (1.0, 50, 60), (1.0, 20, 60), (1.0, 10, 60), (1.5, 200, 60), (1.5, 20, 20),
        (2.0, 200, 300), (2.0, 200, 60), (2.0, 50, 60), (2.0, 10, 60), (2.0, 200, 10),
    ):  # fmt: skip
        for whole in (False, True):
            what, make = "whole clusters" if whole else "single ones", lognormal(sigma, clusters, lost, whole=whole)
            name = f"lognormal σ {sigma:g}, {clusters} clusters, {lost} lost, {what}"
            yield World(name, make, rule_on("net_benefit"), measure(GROUPS, review_of(sigma, lost)))
    for clusters in (10, 20, 50):
        basis = Measure(test_days=7, delay_days=7, cluster=GROUPS)
        yield World(
            f"{clusters} equal clusters, negative exponential", exponential(clusters), rule_on("dollars"), basis
        )
        yield World(f"{clusters} equal clusters, normal", even(clusters), rule_on("dollars"), basis)
    basis = Measure(test_days=7, delay_days=7, cluster=GROUPS)
    for positives in (15, 30, 104, 300):
        for loss in (0.05, 0.10):
            yield World(
                f"recall, {positives} positives, true loss {loss:g}",
                few_positives(positives, loss),
                rule_on("recall", 0.05),
                basis,
            )
    yield World("f1, 150 positives, loss of recall 0.10", few_positives(150, 0.10), rule_on("f1", 0.05), basis)
    for positives, loss in ((6, 0.20), (30, 0.10), (150, 0.06)):
        yield World(
            f"recall on a slice of {positives} positives, true loss {loss:g}",
            few_positives(positives, loss, thin=True), rule_on("recall", 0.05, "place"), basis, slice=("place", "thin"),
        )  # fmt: skip
    for days in (1, 2, 4):
        yield World(
            f"{days} fresh days, true loss the margin",
            worse_by_margin(days),
            rule_on("net_benefit", MARGIN),
            measure(BURSTS),
            days=days / 7,
        )


MARGIN = 2000.0


def worse_by_margin(days: int) -> Make:
    """A champion that is better by MARGIN a week, on some days of it."""

    def make(rng: np.random.Generator) -> Rows:
        drawn = week(rng, edge=_edge_of_margin(), weeks=days / 7)
        return rows_of(replace(drawn, flagged=drawn.flagged[:, ::-1]), BURSTS)

    return make


@functools.cache
def _edge_of_margin() -> float:
    """The edge that is worth MARGIN a week, by interpolation of long runs."""
    edges = np.array([0.2, 0.25, 0.3, 0.35])
    worth = [long_run(edge) for edge in edges]
    slope, offset = np.polyfit(edges, worth, 1)
    return float((MARGIN - offset) / slope)


@functools.cache
def long_run(edge: float, draws: int = 4000) -> float:
    """The true difference in dollars a week at an edge: mean dollars of many weeks."""
    rng, total = np.random.default_rng(11), 0.0
    for _ in range(draws):
        sums = week(rng, edge=edge).sums().sum(axis=0)
        total += sums[7] - sums[3]
    return total / draws


BETTER = {0.6: 4_324, 1.2: 7_895, 2.0: 11_376}  # edge -> dollars a week, by long_run of 2,000 draws


def power_worlds() -> Iterator[World]:
    """The worlds in which the candidate is better, and a pass is right."""
    for cluster, said in ((BURSTS, "one way"), (TWO_WAYS, "two ways")):
        for edge, worth in BETTER.items():
            yield World(
                f"alike but better by ${worth:,} a week, {said}",
                alike(cluster, edge),
                rule_on("net_benefit"),
                measure(cluster),
                None,
            )
    for weeks in (1, 4, 12):
        yield World(
            f"drops every false alarm, misses nothing, {weeks} weeks",
            saving(BURSTS, weeks),
            rule_on("net_benefit"),
            measure(BURSTS),
            None,
        )
    basis = Measure(test_days=7, delay_days=7, cluster=GROUPS)
    for clusters in (10, 20, 50):
        yield World(
            f"{clusters} equal clusters, normal, better by 3 standard errors",
            lambda rng, n=clusters: _custom(rng.standard_normal(n) + 3 / math.sqrt(n)), rule_on("dollars"), basis, None,
        )  # fmt: skip
    for positives in (104, 300, 1000):
        yield World(
            f"recall, {positives} positives, no loss",
            few_positives(positives, 0.0),
            rule_on("recall", 0.05),
            basis,
            None,
        )
        yield World(
            f"recall, {positives} positives, true loss 0.01",
            few_positives(positives, 0.01),
            rule_on("recall", 0.05),
            basis,
            None,
        )
