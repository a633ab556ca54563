"""What a promotion has brought after the merge."""

from typing import Literal

from promotion.frozen import Frozen, Record, added
from promotion.records.charts import Flip
from promotion.records.figures import Estimate, RuleResult


class Realized(Frozen):
    """What a promotion has brought on the days from `first` to `last`: the lead metric, the first challenge rule's.

    difference: champion minus predecessor; both None where there is none to compare with. What grows with the days,
    such as dollars, is per `test_days`, as it was promised. days: how many count.
    """

    first: str
    last: str
    days: int
    rows: int
    champion: Estimate
    predecessor: Estimate | None = added()
    difference: Estimate | None = added()


class Watched(Record):
    """One look at a promotion after the merge. Written as watched.json.

    look: its number, of `looks` over the life of the promotion. worse: the predecessor won the challenge under the
    policy on all days since the promotion, at `tail`, which is this look's part of the declared `false_alarm`.
    floor missed: the champion's point value on the new days is below a floor. too little: nothing can be said.
    new, whole: the days of this look, and all days since the promotion, with intervals at `confidence`. flips: on all
    those days, the rows that the champion decides otherwise than its predecessor. per_days: for how many days a figure
    of the lead metric is, where it grows with them.
    """

    model: str
    look: int
    looks: int
    verdict: Literal["worse", "floor missed", "fine", "too little"]
    reason: str
    metric: str
    unit: str | None = None
    better: Literal["higher", "lower"]
    test_days: int
    confidence: float
    false_alarm: float
    tail: float
    new: Realized
    whole: Realized
    floors: tuple[RuleResult, ...]
    flips: tuple[Flip, ...] | None = added()
    per_days: int | None = added()
