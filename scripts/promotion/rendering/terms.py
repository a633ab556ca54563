"""What the policy says that a report repeats: days, confidence, looks, units, and which slices a rule looks at."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from promotion.rendering.reported import Reported, results


@dataclass(frozen=True)
class Terms:
    """The terms of one judgement.

    confidence: what is claimed over all looks together. worthwhile: in the units of the first challenge rule.
    units: metric -> (unit, better), of the policy's own metrics. unruled: slice columns that no rule looks at.
    """

    test_days: int | None = None
    confidence: float | None = None
    looks: int | None = None
    worthwhile: float | None = None
    units: Mapping[str, tuple[str | None, str]] | None = None
    unruled: tuple[str, ...] = ()


def terms(reported: Reported) -> Terms:
    """The terms under which a model was judged: its evaluation's policy, else its plan's."""
    policy = reported.evaluation.policy if reported.evaluation is not None else reported.plan.policy
    if policy is None:
        return Terms()
    ruled = {rule.slice.partition("=")[0] for rule in results(reported) if rule.slice is not None}
    measure, challenge = policy.measure, policy.challenge
    return Terms(
        test_days=measure.test_days,
        confidence=challenge.confidence,
        looks=challenge.looks,
        worthwhile=challenge.worthwhile,
        units={name: (metric.unit, metric.better) for name, metric in measure.metrics.items()},
        unruled=tuple(column for column in measure.slices if column not in ruled),
    )


def unit_of(reported: Reported, terms: Terms, metric: str | None) -> tuple[str | None, str]:
    """(unit, better) of a metric: from the comparisons, else from the policy."""
    for comparison in reported.evaluation.comparisons if reported.evaluation is not None else ():
        if comparison.metric == metric:
            return comparison.unit, comparison.better
    known = None if terms.units is None or metric is None else terms.units.get(metric)
    if known is not None:
        return known
    return ("$" if metric == "net_benefit" else None), "higher"


def operator_of(rule: str) -> str:
    """`>` of `f1 > 0.2`, with the signs of mathematics for `>=` and `<=`."""
    if rule.endswith("above_trivial"):
        return ">"
    found = re.search(r">=|<=|>|<", rule)
    return "" if found is None else {">=": "≥", "<=": "≤"}.get(found[0], found[0])
