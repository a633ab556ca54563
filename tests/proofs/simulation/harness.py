"""Judge many drawn test sets with the product's own functions, and count how often a rule is wrong.

A draw is rows in memory, without a table around them: what resamples, guards and rules is the product's. Each
rule is also asked with guards taken out, so that error and power stand side by side with and without them.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from promotion.config.policy import Measure
from promotion.config.rules import ChallengeRule, Target
from promotion.judgement import claims, support
from promotion.judgement.challenge import contrast_of
from promotion.judgement.claims import Level, claim
from promotion.judgement.measure import Finding, Measured
from promotion.judgement.metrics import BUILT_IN, Metric, Task
from promotion.judgement.metrics import _net_benefit as net_benefit
from promotion.judgement.rules import Outcome, bound_of, challenge_rule, fewest
from promotion.judgement.statistic import Statistic
from promotion.judgement.sums import Rows, Tally

TAILS = (0.025, 0.005)  # one look, and one of five
GUARDS = ("interval alone", "skew seen", "as shipped", "unseen loss decides")
SEED = 20260101
NET_BENEFIT = net_benefit("classification")
DOLLARS = Metric("dollars", ("dollars.dollars",), lambda s: s["dollars.dollars"] + 0.0, needs="", unit="$")
METRICS = {**BUILT_IN, "net_benefit": NET_BENEFIT, "dollars": DOLLARS}


@dataclass(frozen=True)
class Drawn:
    """One drawn test set, as a source of sums. rows: all of it."""

    drawn: Rows
    task: Task = "classification"
    sides: tuple[str, ...] = ("candidate", "champion")
    centre: float = 0.0
    mean: float = 0.5

    @property
    def limits(self) -> dict[str, float]:
        """The largest sizes."""
        found = {f"column.{name}": _largest(values) for name, values in self.drawn.columns.items()}
        found |= {f"{side}.sum.{name}": _largest(values) for (side, name), values in self.drawn.custom.items()}
        return found | {"label": _largest(self.drawn.y)}

    def rows(self, tallies: tuple[Tally, ...]) -> Iterator[Rows]:
        """The one part."""
        yield self.drawn

    def shares(self, work: Callable[..., Any], *more: Any) -> Iterator[Any]:
        """The one share."""
        yield work(self, *more)


def _largest(values: np.ndarray) -> float:
    return float(np.abs(values).max()) if len(values) else 0.0


@dataclass(frozen=True)
class World:
    """A way of drawing test sets in which the truth is known.

    rule: its metric and kind; `make` draws a test set. wrong: what is an error: "pass" where the truth lies at the
    bound or short of it, "fail" where it lies at or past it, None where a pass is right (power). days: of `test_days`.
    """

    name: str
    make: Callable[[np.random.Generator], Rows]
    rule: ChallengeRule
    measure: Measure
    wrong: str | None = "pass"
    days: float = 1.0
    slice: tuple[str, str] | None = None


@dataclass
class Counts:
    """Of how many draws the rule passed and failed, by guard and tail; and the differences found."""

    draws: int = 0
    passed: dict[tuple[str, float], int] = field(default_factory=dict)
    failed: dict[tuple[str, float], int] = field(default_factory=dict)
    values: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)

    def add(self, guard: str, tail: float, ok: bool | None) -> None:
        """Count one outcome."""
        self.passed[guard, tail] = self.passed.get((guard, tail), 0) + (ok is True)
        self.failed[guard, tail] = self.failed.get((guard, tail), 0) + (ok is False)

    def plain(self) -> dict[str, Any]:
        """What the tables need, as JSON holds it."""
        counted = {kind: [[*key, hits] for key, hits in getattr(self, kind).items()] for kind in ("passed", "failed")}
        return {"draws": self.draws, **counted}

    @classmethod
    def of_plain(cls, plain: dict[str, Any]) -> "Counts":
        """The same from JSON."""
        counted = {kind: {(guard, tail): hits for guard, tail, hits in plain[kind]} for kind in ("passed", "failed")}
        return cls(plain["draws"], **counted)

    def rate(self, wrong: str | None, guard: str, tail: float) -> str:
        """`0.60% ± 0.21` of what is counted as an error, or of passes."""
        hits = (self.failed if wrong == "fail" else self.passed)[guard, tail]
        return rate(hits, self.draws)


def kept(folder: Path | None, name: str, make: Callable[[], Any]) -> Any:
    """What `make` gives, from a file in `folder` where it was made before."""
    if folder is None:
        return make()
    file = folder / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps([name, make()])
        file.with_suffix(".part").write_text(text, encoding="utf-8")
        file.with_suffix(".part").replace(file)
    return json.loads(file.read_text(encoding="utf-8"))[1]


def rate(hits: int, draws: int) -> str:
    """A rate and the half width of its 95% interval (3 / draws where nothing or everything was hit)."""
    share = hits / draws
    half = 1.96 * math.sqrt(share * (1 - share) / draws) if 0 < hits < draws else 3 / draws
    return f"{100 * share:.2f}% ± {100 * half:.2f}"


def rule_on(metric: str, margin: float | None = None, column: str | None = None) -> ChallengeRule:
    """A challenge rule; margin None: superior."""
    kind = "superior" if margin is None else "not_worse_than"
    return ChallengeRule(Target(metric, column), kind, margin or 0.0)  # type: ignore[arg-type]


def run(world: World, draws: int, *, replicates: int = 2000, guards: tuple[str, ...] = GUARDS) -> Counts:
    """Judge `draws` test sets of a world."""
    rng, counts = np.random.default_rng(SEED), Counts()
    statistic = Statistic(METRICS[world.rule.target.metric], world.slice)
    contrast = contrast_of(world.rule, statistic.metric)
    for _ in range(draws):
        seed = int(rng.integers(2**60))
        source = Drawn(world.make(rng))
        measured = Measured(source, world.measure, [statistic], seed=seed, count=replicates)
        finding = measured.finding(statistic, contrast)
        counts.draws += 1
        counts.values.append(finding.value)
        counts.errors.append(finding.error)
        for tail in TAILS:
            for guard in guards:
                counts.add(guard, tail, judged(finding, statistic, world, tail, guard))
    return counts


def judged(finding: Finding, statistic: Statistic, world: World, tail: float, guard: str) -> bool | None:
    """How the rule comes out, with all guards or with fewer; None also where there is no value."""
    scale = world.days**statistic.metric.degree
    level = Level(tail, tail, unseen=guard == "unseen loss decides", scale=scale)
    if not finding.error >= 0:
        return None
    if guard in ("as shipped", "unseen loss decides"):
        found = claim(finding, statistic, world.rule, level, basis=False)
    else:
        found = _bare(finding, statistic, world.rule, level, seen=guard == "skew seen")
    return challenge_rule(world.rule, found, None, statistic.metric.sign, scale=scale).ok


def _bare(finding: Finding, statistic: Statistic, rule: ChallengeRule, level: Level, *, seen: bool) -> Outcome:
    """The outcome of the interval alone, as it was before the guards, or with the skew that was seen only."""
    reason = claims.few(finding)
    if reason is not None:
        return Outcome(finding.value, None, reason=reason)
    interval, sign = finding.interval(level.tail), statistic.metric.sign
    few = "few" if bound_of(rule, sign) == 0 and finding.differing < fewest(level.tail) else None
    skews = [
        support.skew_seen(tuple(w.mirrored() for w in finding.ways) if turned else finding.ways) for turned in (0, 1)
    ]
    better, worse = ("skew" if seen and skew <= -support.LIMIT else few for skew in skews)
    return Outcome(finding.value, interval, interval, not_better=better, not_worse=worse)
