"""What the models' own decisions would earn if a review cost more or less than the policy says; with bands."""

from collections.abc import Sequence

import numpy as np

from promotion.frozen import finite
from promotion.judgement.binned import CENTS, money_columns
from promotion.judgement.buckets import Buckets, band
from promotion.judgement.metrics import dollars
from promotion.judgement.work import Work
from promotion.records.charts import Band, Costs
from promotion.records.figures import Comparison, Estimate

TIMES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0)


def costs(work: Work) -> Costs | None:
    """Return net benefit over the cost of a review; None without decisions, or where the policy has no such cost."""
    scores, policy = work.scores, work.policy
    if scores.task != "classification" or not policy.measure.dollars.get("review"):
        return None
    free = policy.measure.model_copy(update={"dollars": {**policy.measure.dollars, "review": 0.0}})
    buckets, totals = Buckets(work), {side: np.zeros(2) for side in scores.sides}
    names = [f"{side}.decision" for side in scores.sides]
    for part in scores.parts(buckets.needed(["label", "column.day", *money_columns(policy), *names])):
        columns = {name.removeprefix("column."): part.number(name) for name in money_columns(policy)}
        place = np.zeros(part.rows, np.int64)
        for side in scores.sides:
            decided = part.number(f"{side}.decision")
            with_cost, without = (
                dollars(measure, part.y, decided, columns, "classification") for measure in (policy.measure, free)
            )
            for i, money in enumerate((without, without - with_cost)):
                whole = np.round(CENTS * money)
                totals[side][i] += whole.sum()
                buckets.add(part, f"{side}.{i}", whole, place, 1)
    times = np.array(TIMES)
    values = {side: (found[0] - found[1] * times) / CENTS for side, found in totals.items()}
    drawn = [
        {side: (one[f"{side}.0"] - one[f"{side}.1"] * times) / CENTS for side in scores.sides}
        for one in buckets.drawn()
    ]

    def banded(side: str) -> Band:
        return band(values[side], [one[side] for one in drawn], work.tail)

    if not scores.has_champion:
        return Costs(times=TIMES, candidate=banded("candidate"))
    gap = values["candidate"] - values["champion"]
    gaps = [one["candidate"] - one["champion"] for one in drawn]
    more = totals["candidate"] - totals["champion"]
    even = float(more[0] / more[1]) if more[1] else -1.0
    return Costs(
        times=TIMES,
        candidate=banded("candidate"),
        champion=banded("champion"),
        difference=band(gap, gaps, work.tail),
        even=finite(even, 4) if even >= 0 else None,
    )


def as_judged(found: Costs | None, compared: Sequence[Comparison]) -> Costs | None:
    """At the policy's own cost the intervals are the judged ones; the others come from replicates of their own."""
    net = next((one for one in compared if one.metric == "net_benefit" and one.slice is None), None)
    if found is None or net is None:
        return found
    pairs = {
        "candidate": (found.candidate, net.candidate),
        "champion": (found.champion, net.champion),
        "difference": (found.difference, net.difference),
    }
    return found.model_copy(update={name: _with_ends(band, judged) for name, (band, judged) in pairs.items()})


def _with_ends(band: Band | None, judged: Estimate | None) -> Band | None:
    if band is None or judged is None or judged.interval is None:
        return band
    at = TIMES.index(1.0)
    ends = zip((band.low, band.high), judged.interval, strict=True)
    low, high = ((*others[:at], end, *others[at + 1 :]) for others, end in ends)
    return band.model_copy(update={"low": low, "high": high})
