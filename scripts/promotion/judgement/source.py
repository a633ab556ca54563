"""A score table as the source of sums."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from promotion.config.policy import Policy
from promotion.judgement.hashing import combine
from promotion.judgement.metrics import Task
from promotion.judgement.sums import DAY, Rows, Tally
from promotion.judgement.table import Scores

R = TypeVar("R")


def _with_source(scores: Scores, work: Callable[..., R], policy: Policy, *more: Any) -> R:
    return work(ScoresSource(scores, policy), *more)


@dataclass(frozen=True)
class ScoresSource:
    """A score table as the source of sums."""

    scores: Scores
    policy: Policy

    @property
    def task(self) -> Task:
        return self.scores.task

    @property
    def sides(self) -> tuple[str, ...]:
        return self.scores.sides

    @property
    def limits(self) -> dict[str, float]:
        return self.scores.limits

    @property
    def centre(self) -> float:
        return self.scores.centre

    @property
    def mean(self) -> float:
        return self.scores.mean

    def shares(self, work: Callable[..., R], *more: Any) -> Iterator[R]:
        """Yield work(source, *more) of all rows at once, or where there are workers of one file after another."""
        return self.scores.shares(_with_source, work, self.policy, *more)

    def rows(self, tallies: tuple[Tally, ...]) -> Iterator[Rows]:
        """Yield all rows, with what the tallies need."""
        columns = [column for tally in tallies for column in tally.columns]
        ways = {way for tally in tallies for way in tally.ways}
        measure = self.policy.measure
        sides, names = self.sides, self.scores.names
        money = sorted({spec for spec in measure.dollars.values() if isinstance(spec, str)})
        custom = {(c.side, c.name): f"{c.side}.sum.{c.name}" for c in columns if "." in c.name}
        slices = sorted({column.slice[0] for column in columns if column.slice is not None})
        clusters = measure.cluster if set(measure.cluster) & ways else ()
        wanted = ["label", *(f"column.{name}" for name in {*money, *slices, *clusters}), *custom.values()]
        wanted += [f"{side}.{part}" for side in sides for part in ("score", "decision") if f"{side}.{part}" in names]
        wanted += ["column.day"] if DAY in ways or self.scores.since is not None else []
        wanted += [name for name in names if name.startswith("key.")] if "row" in ways else []
        for part in self.scores.parts(list(dict.fromkeys(wanted))):
            ids = {name: part.hashes(name) for name in clusters}
            if len(clusters) == 2:
                ids[" and ".join(clusters)] = combine([ids[name] for name in clusters])
            if "row" in ways:
                ids["row"] = part.key_hashes()
            yield Rows(
                y=part.y,
                score={side: part.optional(f"{side}.score") for side in sides},
                decision={side: part.optional(f"{side}.decision") for side in sides},
                ids=ids,
                columns={name: part.number(f"column.{name}") for name in money},
                custom={key: part.number(name) for key, name in custom.items()},
                slices={name: part.texts(name) for name in slices},
                days=part.days if DAY in ways else None,
            )
