"""The challenge: every rule of the policy on candidate minus champion, and what the test set can show."""

from dataclasses import dataclass, replace
from datetime import date

from promotion.config.policy import Policy
from promotion.config.rules import ChallengeRule
from promotion.judgement.claims import Level, claim
from promotion.judgement.floors import undefined
from promotion.judgement.measure import Measured
from promotion.judgement.metrics import Metric
from promotion.judgement.power import power_of, too_few
from promotion.judgement.rules import Outcome, challenge_rule, enough, rule_name
from promotion.judgement.statistic import CHAMPION, DIFFERENCE, Contrast, Statistic
from promotion.judgement.table import Scores
from promotion.judgement.targets import days_scale, iso, one_class, wrong_days
from promotion.judgement.work import Work
from promotion.records.evaluation import Power
from promotion.records.figures import RuleResult
from promotion.text.figures import plural


@dataclass(frozen=True)
class Challenged:
    """How a challenge came out. notes: what must be said about the days. fresh: only some days counted."""

    rules: tuple[RuleResult, ...] = ()
    power: tuple[Power, ...] = ()
    notes: tuple[str, ...] = ()
    fresh: bool = False

    @property
    def whole_rules(self) -> tuple[RuleResult, ...]:
        """The rules that are about all days of the table."""
        return () if self.fresh else self.rules


def challenge(work: Work, fresh_from: date | None) -> Challenged:
    """Judge every challenge rule, on fresh days only where the policy asks for `confirm: fresh`."""
    scores, policy = work.scores, work.policy
    if policy.challenge.confirm != "fresh" or work.watch_tail is not None:
        duel = Duel(work, scores, work.measured)
        return Challenged(duel.results(), duel.power())
    kept, why = fresh_days(scores, policy, fresh_from)
    if kept is None:
        unsettled = Outcome(0.0, None, reason=why)
        rules = tuple(challenge_rule(rule, unsettled, one.label, one.metric.sign) for rule, one in work.rules)
        return Challenged(rules, notes=(why,), fresh=True)
    duel = Duel(work, kept, work.measure(kept, days=False))
    return Challenged(duel.results(), duel.power(), (why,), fresh=True)


@dataclass(frozen=True)
class Duel:
    """Both models' sums on the days that count, `scores`, of the whole table that `work` is about."""

    work: Work
    scores: Scores
    measured: Measured

    @property
    def policy(self) -> Policy:
        """What is judged by."""
        return self.work.policy

    @property
    def wanted(self) -> tuple[tuple[ChallengeRule, Statistic], ...]:
        """The rules with what each looks at."""
        return self.work.rules

    def results(self) -> tuple[RuleResult, ...]:
        """Every challenge rule as it came out."""
        return tuple(self._result(rule, one) for rule, one in self.wanted)

    def _result(self, rule: ChallengeRule, one: Statistic) -> RuleResult:
        share = self.work.tail
        unseen, scale = self.policy.challenge.unseen_loss == "decides", days_scale(self.scores, self.policy, one.metric)
        level = Level(share, share / len(self.wanted), unseen, scale)
        finding = self.measured.finding(one, contrast_of(rule, one.metric))
        found = self._objection(one) or (
            claim(finding, one, rule, level)
            if finding.error >= 0
            else Outcome(None, None, reason=undefined(self.measured, one), unit=one.metric.unit)
        )
        result = challenge_rule(rule, found, one.label, one.metric.sign, scale=level.scale)
        thin = rule.min_clusters is not None and finding.clusters < rule.min_clusters
        bare = rule.min_clusters is not None and self._alone(one) is not None
        if not thin and not bare:
            return result
        there = plural(finding.clusters, "cluster")
        less = f"{there} of the {rule.min_clusters} that the policy asks for" if thin else self._alone(one)
        why = f"not ruled: too little data, {less}"
        return result.model_copy(update={"ok": None, "reason": why, "ruled": False if rule.too_few == "skip" else None})

    def _objection(self, one: Statistic) -> Outcome | None:
        """Why a rule is not even compared."""
        any_number = self.work.watch_tail is not None
        days = wrong_days(self.work.scores, self.policy, one.metric, floor=False, any_number=any_number)
        if days is not None:
            return Outcome(None, None, refused=days)
        alone = self._alone(one)
        return None if alone is None else Outcome(None, None, reason=alone)

    def _alone(self, one: Statistic) -> str | None:
        """Why a place where every label is the same says nothing about a classifier."""
        return one_class(self.measured.classes(one.slice)) if self.scores.task == "classification" else None

    def power(self) -> tuple[Power, ...]:
        """What the days that count can show about every challenge rule."""
        share = self.work.tail
        found = []
        for i, (rule, one) in enumerate(self.wanted):
            finding = self.measured.finding(one, contrast_of(rule, one.metric))
            if not finding.error >= 0:
                continue
            scale = days_scale(self.scores, self.policy, one.metric)
            margin = rule.margin * (self.measured.finding(one, CHAMPION).value if rule.relative else scale)
            worthwhile = self.policy.challenge.worthwhile if i == 0 else None
            power = power_of(
                rule._replace(margin=margin, relative=False),
                finding.error,
                share,
                days=len(self.scores.counted()),
                worthwhile=None if worthwhile is None else worthwhile * scale,
                name=rule_name(rule) + (f" ({one.label})" if one.label else ""),
            )
            needed = enough(rule.margin, share) if rule.margin and one.metric.rate_over else 0
            found.append(too_few(power, finding.counted, needed) if finding.counted < needed else power)
        return tuple(found)


def contrast_of(rule: ChallengeRule, metric: Metric) -> Contrast:
    """candidate - champion; for a relative margin m, candidate - (1 - m) champion, or (1 + m) where lower is better."""
    return Contrast(1.0, -(1 - metric.sign * rule.margin)) if rule.relative else DIFFERENCE


def fresh_days(scores: Scores, policy: Policy, fresh_from: date | None) -> tuple[Scores | None, str]:
    """The days whose labels became known after `fresh_from` (None: there are none), and a sentence about them."""
    if fresh_from is None:
        return None, "confirm: fresh, but it is not known when the candidate's tree was committed"
    first = (fresh_from - date(1970, 1, 1)).days - policy.measure.delay_days + 1
    kept = replace(scores, since=max(first, scores.first))
    if not any(day >= first for day in scores.days):
        return None, (
            f"confirm: fresh counts days whose labels became known after {fresh_from}, when the candidate's tree "
            f"was committed; there is none yet, the first is {iso(first)}"
        )
    return kept, (
        f"confirm: fresh: the challenge counts only the {len(kept.counted())} days from "
        f"{iso(max(first, scores.first))} on, whose labels became known after {fresh_from}, when the candidate's "
        "tree was committed"
    )
