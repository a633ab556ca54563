"""The judgement, written as evaluation.json: what a pin's `evidence` is the digest of."""

from typing import ClassVar, Literal

from promotion.config.policy import Policy
from promotion.frozen import Frozen, Record, added
from promotion.records.charts import Calibration, Costs, Curve, Day, Drift, Flip
from promotion.records.figures import Comparison, Looks, RuleResult

Verdict = Literal["REJECTED", "PROMOTE", "KEEP", "INCONCLUSIVE", "FIRST", "SAME"]
WINNING: frozenset[str] = frozenset({"PROMOTE", "FIRST", "SAME"})


class Power(Frozen):
    """What the test set can show about one challenge rule (all in the metric's units).

    sd: standard error of the difference. smallest: the smallest difference that this set shows with
    80% power. pass_zero, pass_worthwhile: probability that a candidate with zero and with the
    `worthwhile` difference passes. days_needed: test days for a worthwhile one at 80% power. days: the days that
    counted, to which sd and smallest belong.
    """

    rule: str
    sd: float
    smallest: float
    pass_zero: float
    pass_worthwhile: float | None = None
    days_needed: int | None = None
    warning: str | None = None
    days: int | None = added()


class Side(Frozen):
    """One model of a judgement. predictions: digest of its predictions on the test rows."""

    source_tree: str | None = None
    digest: str | None = None
    predictions: str | None = None
    version: int | None = None
    labels_known_by: str | None = None


class JudgedRows(Frozen):
    """What was judged on: days, rows, and the digest over keys, labels, money and clusters, sorted."""

    first: str
    last: str
    rows: int
    positives: int | None = None
    digest: str


class Trivial(Frozen):
    """What a model that always says the same would get, on the same rows, by metric."""

    name: str
    values: dict[str, float]


class Evaluation(Record):
    """The judgement: deterministic, so the same judgement has the same digest. Written as evaluation.json.

    release: of the scripts that judged. flips: every kind of changed decision; None where nothing is decided
    (a regression), or there is nothing to compare with. warn: floors that block nothing; None where there are none.
    curve: None where no threshold moves the first challenge metric. costs: None without decisions or a review's
    cost. calibration: None where there are no probabilities. drift: of the candidate's scores and features, from
    the job that scored; None where it was not trained in this run.
    """

    BY: ClassVar[str] = "`python scripts/challenge.py`"

    model: str
    verdict: Verdict
    headline: str
    policy: Policy
    policy_digest: str
    test: JudgedRows
    candidate: Side
    champion: Side | None
    gate: tuple[RuleResult, ...]
    challenge: tuple[RuleResult, ...]
    comparisons: tuple[Comparison, ...]
    days: tuple[Day, ...]
    power: tuple[Power, ...]
    looks: Looks | None
    notes: tuple[str, ...]
    confidence_used: float
    release: str | None = added()
    flips: tuple[Flip, ...] | None = added()
    warn: tuple[RuleResult, ...] | None = added()
    curve: Curve | None = added()
    costs: Costs | None = added()
    calibration: Calibration | None = added()
    drift: tuple[Drift, ...] | None = added()
    trivial: tuple[Trivial, ...] | None = added()

    @property
    def lead(self) -> Comparison | None:
        """The comparison of the first challenge rule, else of the first floor, else the first there is."""
        overall = [row for row in self.comparisons if row.slice is None]
        for rule in (*self.challenge, *self.gate):
            for row in overall:
                if rule.metric == row.metric and rule.slice is None:
                    return row
        return overall[0] if overall else None
