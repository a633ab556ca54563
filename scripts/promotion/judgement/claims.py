"""From a finding to what a rule needs: the interval, what carries a claim, and what that rests on; pure."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from promotion.config.rules import ChallengeRule
from promotion.frozen import finite
from promotion.judgement import support
from promotion.judgement.measure import Finding
from promotion.judgement.resample import is_extreme
from promotion.judgement.rules import Outcome, bound_of, enough, fewest
from promotion.judgement.statistic import Statistic
from promotion.records.figures import Assumptions
from promotion.text.figures import figure, plural

FEW = 10  # clusters below which no interval is given
ALIKE = "the models do not differ in any cluster"


@dataclass(frozen=True)
class Level:
    """At which probabilities a rule is judged. tail: to pass. failing: to fail.

    unseen: a win must also exceed the losses that could have gone unseen. scale: of a margin that belongs to
    the declared days, the days that count over those.
    """

    tail: float
    failing: float
    unseen: bool = False
    scale: float = 1.0


def few(finding: Finding) -> str | None:
    """Why a finding has no interval at all."""
    if finding.clusters >= FEW:
        return None
    there = plural(finding.clusters, "cluster")
    return f"only {there} with anything in it, too few for an interval ({FEW} are needed)"


def claim(finding: Finding, statistic: Statistic, rule: ChallengeRule, level: Level, *, basis: bool = True) -> Outcome:
    """Return what `rule` needs of a finding that has a value: at a claim in either direction, what can carry it.

    basis: whether to say what the claim rests on, which takes most of the time.
    """
    unit, metric = statistic.metric.unit, statistic.metric
    reason = few(finding)
    if reason is not None:
        return Outcome(finding.value, None, reason=reason, unit=unit)
    bound = bound_of(rule, metric.sign, scale=level.scale)
    better, worse = _Side(finding, turned=False), _Side(finding, turned=True)
    up = _Direction(better, rule, level.tail, bound, unit)
    down, failing = (_Direction(worse, rule, tail, bound, unit) for tail in (level.tail, level.failing))
    up_end, down_end, failing_end = up.end, down.end, failing.end
    if up_end is None or down_end is None or failing_end is None:
        reason = "in some replicates it cannot be computed" if finding.differing else ALIKE
        return Outcome(finding.value, None, reason=reason, unit=unit)
    said = up if better.sign * (finding.value - bound) >= 0 else failing
    return Outcome(
        finding.value,
        finding.within(*sorted((better.sign * up_end, worse.sign * down_end))),
        finding.within(*sorted((better.sign * up_end, worse.sign * failing_end))),
        unit=unit,
        not_better=up.refusal(unseen=level.unseen),
        not_worse=failing.refusal(unseen=False),
        assumptions=_assumptions(said) if basis else None,
    )


class _Side:
    """A finding seen so that more is better for the candidate, or, turned, for the champion. sign: of its values."""

    def __init__(self, finding: Finding, *, turned: bool) -> None:
        self.finding, self.turned = finding, turned
        self.sign = -finding.sign if turned else finding.sign
        self.ways = tuple(way.mirrored() for way in finding.ways) if turned else finding.ways

    @cached_property
    def seen(self) -> float:
        """The skew that was seen; below 0 it speaks against the side."""
        return support.skew_seen(self.ways)

    @cached_property
    def expected(self) -> float:
        """The skew that must be expected."""
        return support.skew_expected(self.ways)


class _Direction:
    """The claim that a contrast is past `bound` on one side, at `tail`."""

    def __init__(self, side: _Side, rule: ChallengeRule, tail: float, bound: float, unit: str | None) -> None:
        self.side, self.finding, self.rule, self.tail, self.unit = side, side.finding, rule, tail, unit
        self.value, self.bound = side.sign * self.finding.value, side.sign * bound
        self.rate = bool(self.finding.counted)

    @cached_property
    def normal(self) -> bool:
        """Whether the interval of the replicates can be taken at its word."""
        enough_differ = self.finding.differing >= fewest(self.tail)
        return enough_differ and self.side.seen > -support.LIMIT and self.side.expected > -support.LIMIT

    @property
    def bounded(self) -> bool:
        """Whether, where it cannot, the exact bound may stand in for it.

        It takes the stakes as they are. Those of a rate are rows; those in dollars may themselves be of a kind whose
        largest were not there, so with them it has to be enough that nothing at all was lost.
        """
        nothing = not any(way.lost.any() for way in self.side.ways)
        return self.rate or (nothing and self.side.seen > -support.LIMIT)

    @cached_property
    def bounds(self) -> tuple[tuple[support.Bound, ...], ...]:
        """What could have gone unseen."""
        return support.bounds(self.side.ways, self.tail)

    @cached_property
    def exact(self) -> float | None:
        """The end that needs no normality; None where there is none, or it may not stand in."""
        scale = 1.0 if self.finding.sample is None else self.finding.sample.scale
        found = support.exact_end(self.value, self.side.ways, self.bounds, self.tail, scale) if self.bounded else None
        return found

    @cached_property
    def end(self) -> float | None:
        """The low end of the interval; None when it cannot be computed."""
        found = self.finding.interval(self.tail)
        low = None if found is None else min(self.side.sign * end for end in found)
        if self.normal or low is None:
            return low
        if self.exact is not None:
            return min(low, self.exact)
        return low if self.finding.differing else None

    def refusal(self, *, unseen: bool) -> str | None:
        """Why the claim is not carried; None where it is."""
        differing, least = self.finding.differing, fewest(self.tail)
        too_few = f"differ in only {plural(differing, 'cluster')}; {least} are needed"
        margin = self.rule.margin if self.rule.kind == "not_worse_than" else 0.0
        if margin == 0 and differing < least:
            return f"the models {too_few}"
        if self.rate and margin and self.finding.counted < enough(self._room(margin), self.tail):
            there, needed = plural(self.finding.counted, "cluster"), enough(margin, self.tail)
            return f"a loss of {margin:g} could go unseen in {there}; {needed} are needed"
        if not self.normal and self.exact is None:
            return self._skewed() if differing >= least else f"the models {too_few}"
        missed = support.unseen(self.bounds) if unseen else None
        if missed is not None and not self.value - missed.loss > self.bound:
            return f"losses of up to {figure(missed.loss, self.unit)} could have gone unseen"
        return None

    def _room(self, margin: float) -> float:
        """How much of a rate must be lost unseen for the claim to be wrong: after a gain, more than the margin."""
        unit = abs(self.finding.base) if self.rule.relative else 1.0
        return margin if self.end is None or unit == 0 else max(margin, (self.end - self.bound) / unit)

    def _skewed(self) -> str:
        """Cochran's rule in words, for the way of resampling with the worst skew."""
        way, what = (
            min(self.side.ways, key=lambda one: support.skew_seen((one,))),
            "gains" if self.side.turned else "losses",
        )
        count = int(np.count_nonzero(way.change))
        needed = support.clusters_needed(way.change, min(self.side.seen, self.side.expected))
        there = plural(count, "cluster")
        return f"few and large {what} make up too much of it: {there} differ, {needed} such would be needed"


def _assumptions(direction: _Direction) -> Assumptions:
    """What a claim rests on; the largest cluster is that of the way of resampling in which it is largest."""
    finding, side = direction.finding, direction.side
    missed = support.unseen(direction.bounds)
    sizes = [np.abs(way.change) for way in side.ways]
    shares = [float(size.max() / size.sum()) if size.any() else 0.0 for size in sizes]
    worst = int(np.argmax(shares)) if shares else 0
    sample, turned = finding.sample, -1 if side.turned else 1
    return Assumptions(
        clusters=finding.clusters,
        differing=finding.differing,
        counted=finding.counted or None,
        skew=finite(turned * side.seen, 4),
        expected_skew=finite(turned * side.expected, 4),
        largest_share=finite(shares[worst], 4) if shares else None,
        without_largest=finite(finding.without[worst]) if finding.without else None,
        unseen=None if missed is None else finite(missed.loss, 4),
        unseen_rate=None if missed is None else finite(missed.rate, 4),
        unseen_clusters=None if missed is None else missed.clusters,
        exact=True if not direction.normal and direction.exact is not None else None,
        replicates=0 if sample is None else len(sample.draws),
        extreme=None if sample is None else is_extreme(len(sample.draws), direction.tail) or None,
    )
