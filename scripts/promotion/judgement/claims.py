"""From a finding to what a rule needs: the interval, what carries a claim, and what that rests on; pure."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from promotion.config.rules import ChallengeRule
from promotion.judgement import support
from promotion.judgement.measure import Finding
from promotion.judgement.resample import is_extreme
from promotion.judgement.rules import Outcome, bound_of, enough, fewest
from promotion.judgement.statistic import Statistic
from promotion.records import Assumptions, finite
from promotion.text.figures import figure, plural

FEW = 10  # clusters below which no interval is given


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


def claim(finding: Finding, statistic: Statistic, rule: ChallengeRule, level: Level) -> Outcome:
    """Return what `rule` needs of a finding that has a value: at a claim in either direction, what can carry it."""
    unit = statistic.metric.unit
    reason = few(finding)
    if reason is not None:
        return Outcome(finding.value, None, reason=reason, unit=unit)
    sign, bound = statistic.metric.sign, bound_of(rule, statistic.metric.sign, scale=level.scale)
    up = _Direction(finding, sign, rule, level.tail, bound, unit)
    down = _Direction(finding, -sign, rule, level.tail, bound, unit)
    failing = _Direction(finding, -sign, rule, level.failing, bound, unit)
    up_end, down_end, failing_end = up.end(), down.end(), failing.end()
    if up_end is None or down_end is None or failing_end is None:
        reason = (
            "in some replicates it cannot be computed"
            if finding.differing
            else "the models do not differ in any cluster"
        )
        return Outcome(finding.value, None, reason=reason, unit=unit)
    interval = finding.within(*sorted((sign * up_end, -sign * down_end)))
    return Outcome(
        finding.value,
        interval,
        finding.within(*sorted((sign * up_end, -sign * failing_end))),
        unit=unit,
        not_better=up.refusal(unseen=level.unseen),
        not_worse=failing.refusal(unseen=False),
        assumptions=_assumptions(finding, up if sign * (finding.value - bound) >= 0 else failing),
    )


class _Direction:
    """The claim that a contrast is past `bound`, seen so that more is better: sign -1 turns it over."""

    def __init__(
        self, finding: Finding, sign: int, rule: ChallengeRule, tail: float, bound: float, unit: str | None
    ) -> None:
        self.finding, self.sign, self.rule, self.tail, self.unit = finding, sign, rule, tail, unit
        self.value, self.bound = sign * finding.value, sign * bound
        better = finding.value == finding.value and sign == finding.sign
        self.ways = finding.ways if better else tuple(way.mirrored() for way in finding.ways)
        self.skews = support.skew_seen(self.ways), support.skew_expected(self.ways)
        self.rate = bool(finding.counted)

    @property
    def normal(self) -> bool:
        """Whether the interval of the replicates can be taken at its word."""
        return min(self.skews) > -support.LIMIT and self.finding.differing >= fewest(self.tail)

    @property
    def bounded(self) -> bool:
        """Whether, where it cannot, the exact bound may stand in for it.

        It takes the stakes as they are. Those of a rate are rows; those in dollars may themselves be of a kind whose
        largest were not there, so with them it has to be enough that nothing at all was lost.
        """
        return self.rate or (self.skews[0] > -support.LIMIT and not any(way.lost.any() for way in self.ways))

    @cached_property
    def bounds(self) -> tuple[tuple[support.Bound, ...], ...]:
        """What could have gone unseen."""
        return support.bounds(self.ways, self.tail)

    @cached_property
    def exact(self) -> float | None:
        """The end that needs no normality."""
        return support.exact_end(self.value, self.ways, self.bounds, self.tail)

    def end(self) -> float | None:
        """The low end of the interval; None when it cannot be computed."""
        found = self.finding.interval(self.tail)
        low = None if found is None else min(self.sign * end for end in found)
        if self.normal or low is None:
            return low
        exact = self.exact if self.bounded else None
        if exact is not None:
            return min(low, exact)
        return low if self.finding.differing else None

    def refusal(self, *, unseen: bool) -> str | None:
        """Why the claim is not carried; None where it is."""
        differing, least = self.finding.differing, fewest(self.tail)
        margin = self.rule.margin if self.rule.kind == "not_worse_than" else 0.0
        if margin == 0 and differing < least:
            return f"the models differ in only {plural(differing, 'cluster')}; {least} are needed"
        if self.rate and margin and self.finding.counted < enough(self._room(margin), self.tail):
            there, needed = plural(self.finding.counted, "cluster"), enough(margin, self.tail)
            return f"a loss of {margin:g} could go unseen in {there}; {needed} are needed"
        if not self.normal and (not self.bounded or self.exact is None):
            return (
                self._skewed()
                if differing >= least
                else f"the models differ in only {plural(differing, 'cluster')}; {least} are needed"
            )
        missed = support.unseen(self.bounds) if unseen else None
        if missed is not None and not self.value - missed.loss > self.bound:
            return f"losses of up to {figure(missed.loss, self.unit)} could have gone unseen"
        return None

    def _room(self, margin: float) -> float:
        """How much of a rate must be lost unseen for the claim to be wrong: after a gain, more than the margin."""
        low = self.end()
        unit = abs(self.finding.base) if self.rule.relative else 1.0
        return margin if low is None or unit == 0 else max(margin, (low - self.bound) / unit)

    def _skewed(self) -> str:
        """Cochran's rule in words, for the way of resampling with the worst skew."""
        way = min(self.ways, key=lambda one: support.skew_seen((one,)))
        count, needed = int(np.count_nonzero(way.change)), support.clusters_needed(way.change, min(self.skews))
        there = plural(count, "cluster")
        return f"few and large losses make up too much of it: {there} differ, {needed} such would be needed"


def _assumptions(finding: Finding, side: _Direction) -> Assumptions:
    """What a claim rests on, of the way of resampling whose differences are most uneven."""
    missed = support.unseen(side.bounds)
    sizes = [np.abs(way.change) for way in side.ways]
    shares = [float(size.max() / size.sum()) if size.any() else 0.0 for size in sizes]
    worst = int(np.argmax(shares)) if shares else 0
    sample = finding.sample
    return Assumptions(
        clusters=finding.clusters,
        differing=finding.differing,
        counted=finding.counted or None,
        skew=finite(side.sign * finding.sign * side.skews[0], 4),
        expected_skew=finite(side.sign * finding.sign * side.skews[1], 4),
        largest_share=finite(shares[worst], 4) if shares else None,
        without_largest=finite(finding.without[worst]) if finding.without else None,
        unseen=None if missed is None else finite(missed.loss, 4),
        unseen_rate=None if missed is None else finite(missed.rate, 4),
        unseen_clusters=None if missed is None else missed.clusters,
        exact=None if side.normal else (side.bounded and side.exact is not None) or None,
        replicates=0 if sample is None else len(sample.draws),
        extreme=None if sample is None else is_extreme(len(sample.draws), side.tail) or None,
    )
