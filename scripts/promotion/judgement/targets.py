"""What a policy's rules look at on one score table: statistics, and why some of them cannot count."""

from datetime import date, timedelta

import numpy as np

from promotion.config.policy import Policy
from promotion.config.rules import Target
from promotion.config.strict import suggestion
from promotion.errors import PromotionError
from promotion.judgement.metrics import NOT_SUMS, Metric, metrics_of
from promotion.judgement.statistic import Statistic
from promotion.judgement.table import Scores
from promotion.text.figures import plural

MOST_NAMED = 3


def available(scores: Scores, policy: Policy) -> dict[str, Metric]:
    """Return the metrics that this table's columns can answer."""
    found = {}
    for name, metric in metrics_of(policy, scores.task).items():
        if metric.needs == "":
            lacking = [s for s in metric.sums if s not in scores.custom_sums()]
            if lacking:
                raise PromotionError(
                    f"measure.metrics.{name} needs the sum `{lacking[0]}`, which metrics.py did not give",
                    file=policy.file,
                )
        elif metric.needs == "p" and scores.task == "classification" and not _has_probabilities(scores):
            continue
        found[name] = metric
    return found


def _has_probabilities(scores: Scores) -> bool:
    return scores.probabilities and "candidate.score" in scores.names


def ranked_metric(name: str) -> Metric:
    """A metric that is no sum, so that a floor on it is a statistic like any other."""
    return Metric(name, (), lambda sums: np.asarray(np.nan), task="classification")


def statistics(
    target: Target, metrics: dict[str, Metric], scores: Scores, policy: Policy, line: int | None
) -> list[Statistic]:
    """A rule's target as statistics of this table: one, or one for every value of the slice column."""
    metric = metrics.get(target.metric) or (ranked_metric(target.metric) if target.metric in NOT_SUMS else None)
    if metric is None:
        raise PromotionError(
            f"a rule on `{target.metric}`: the score table has no probabilities", file=policy.file, line=line
        )
    if target.column is None:
        return [Statistic(metric)]
    values = scores.slices[target.column]
    if target.value is None:
        return [Statistic(metric, (target.column, value)) for value in values]
    if target.value not in values:
        raise PromotionError(
            f"no row has {target.column}={target.value}, so the rule on it cannot pass"
            + suggestion(target.value, tuple(values)),
            file=policy.file,
            line=line,
        )
    return [Statistic(metric, (target.column, target.value))]


def wrong_days(scores: Scores, policy: Policy, metric: Metric, *, floor: bool, any_number: bool = False) -> str | None:
    """Why a metric that grows with the days, such as dollars, does not belong to the declared `test_days`.

    A floor is about exactly that many days. A rule's margin is scaled to the days that count, so more are welcome.
    any_number: fewer as well, as in a look after the merge, whose floors are scaled too.
    """
    declared, counted, gaps = policy.measure.test_days, len(scores.counted()), scores.gaps()
    if metric.degree == 0 or (counted == declared and not gaps):
        return None
    what = "dollars" if metric.unit == "$" else "a sum"
    if gaps:
        return (
            f"{metric.name} is {what} in {declared} test days, and there are no rows on {listed(gaps)}; "
            "wait for them, or declare days that rightly have none"
        )
    if (counted < declared or floor) and not any_number:
        span = "only " * (counted < declared) + plural(counted, "day")
        return f"{metric.name} is {what} in {declared} test days, but these scores span {span}"
    return None


def days_scale(scores: Scores, policy: Policy, metric: Metric) -> float:
    """The days that count over the declared ones, for what grows with the days; else 1."""
    return float((len(scores.counted()) / policy.measure.test_days) ** metric.degree)


def one_class(classes: tuple[int, int]) -> str | None:
    """Why rows of one class say nothing about a classifier."""
    positives, negatives = classes
    if positives and negatives:
        return None
    return f"one class only: all {positives + negatives:,} labels are {int(positives > 0)}"


def iso(day: int) -> str:
    """A day since 1970-01-01 as text."""
    return str(date(1970, 1, 1) + timedelta(days=day))


def listed(days: tuple[int, ...]) -> str:
    """The first few days."""
    return ", ".join(map(iso, days[:MOST_NAMED])) + (" ..." if len(days) > MOST_NAMED else "")
