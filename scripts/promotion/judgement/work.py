"""One score table under one policy: what its rules look at, and the sums that they share."""

from functools import cached_property

from promotion.config.policy import ChallengeRule, Floor, Policy
from promotion.judgement.binned import Binned, binned
from promotion.judgement.measure import Measured
from promotion.judgement.metrics import NOT_SUMS, Metric, check_policy
from promotion.judgement.ranking import Ranked, rank
from promotion.judgement.rules import tail
from promotion.judgement.source import ScoresSource
from promotion.judgement.statistic import Statistic
from promotion.judgement.table import Scores, rows_digest
from promotion.judgement.targets import available, statistics
from promotion.records.charts import Calibration

REPLICATES = 10_000


class Work:
    """What floors, challenge and report have in common, each part made once, when it is first asked for."""

    def __init__(
        self,
        scores: Scores,
        policy: Policy,
        *,
        replicates: int = REPLICATES,
        gate_only: bool = False,
        watch_tail: float | None = None,
    ) -> None:
        """Find what the rules look at; raise PromotionError for a rule that this table cannot answer.

        gate_only: nothing but the floors will be asked for. watch_tail: this is a look at a promotion after the
        merge, judged at this tail, on whatever days there are, and the first rule asks for superiority.
        """
        check_policy(policy, scores.task)
        self.watch_tail = watch_tail
        self.scores, self.policy, self.replicates = scores, policy, replicates
        watching = watch_tail is not None
        self._metrics = available(scores, policy)
        self.floors: tuple[tuple[Floor, Statistic], ...] = tuple(
            (floor, one)
            for floor in policy.gate
            for one in statistics(floor.target, self._metrics, scores, policy, policy.line_of(floor))
        )
        self.rules: tuple[tuple[ChallengeRule, Statistic], ...] = (
            tuple(
                (rule._replace(kind="superior", margin=0.0, relative=False) if watching and i == 0 else rule, one)
                for i, rule in enumerate(policy.challenge.rules)
                for one in statistics(rule.target, self._metrics, scores, policy, policy.line_of(rule))
            )
            if not gate_only
            else ()
        )
        self.shown = () if gate_only else self._shown()

    @property
    def tail(self) -> float:
        """The probability in one tail of an interval."""
        if self.watch_tail is not None:
            return self.watch_tail
        return tail(self.policy.challenge.confidence, self.policy.challenge.looks)

    @property
    def seed(self) -> int:
        """The test set's own, so that the same judgement has the same bytes."""
        return int(rows_digest(self.scores).removeprefix("sha256:")[:30], 16)

    @property
    def first(self) -> Metric:
        """The first challenge rule's metric, which leads."""
        return self.rules[0][1].metric

    @cached_property
    def measured(self) -> Measured:
        """The sums of all days."""
        return self.measure(self.scores, days=bool(self.rules))

    @cached_property
    def ranked(self) -> dict[str, Ranked]:
        """The metrics of the order of the scores."""
        return rank(self.scores, self.policy)

    @cached_property
    def binned(self) -> dict[str, Binned]:
        """Each side's rows by their probabilities; {} without."""
        return binned(self.scores, self.policy)

    @cached_property
    def calibrated(self) -> Calibration | None:
        """Both models' calibration."""
        from promotion.judgement.calibration import calibration  # which is about a Work

        return calibration(self)

    def measure(self, scores: Scores, *, days: bool) -> Measured:
        """The sums of some days of the table."""
        floors = [one for _, one in self.floors if one.metric.name not in NOT_SUMS]
        above = [one for floor, one in self.floors if floor.bound is None and one.metric.name not in NOT_SUMS]
        return Measured(
            ScoresSource(scores, self.policy),
            self.policy.measure,
            list(dict.fromkeys([*self.shown, *floors])),
            seed=self.seed,
            count=self.replicates,
            trivial=[*(one for one in self.shown if one.slice is None), *above],
            days=self.first if days else None,
        )

    def _shown(self) -> tuple[Statistic, ...]:
        """Every metric on all rows, those of rules first, then the rules' metrics on every slice."""
        targets = (
            *(rule.target for rule in self.policy.challenge.rules),
            *(floor.target for floor in self.policy.gate),
        )
        named = dict.fromkeys([*(target.metric for target in targets), *self._metrics])
        overall = [Statistic(self._metrics[name]) for name in named if name in self._metrics]
        places = [(column, value) for column, values in self.scores.slices.items() for value in values]
        sliced = dict.fromkeys(one.metric for _, one in self.rules)
        return (*overall, *(Statistic(metric, place) for metric in sliced for place in places))
