"""The rules of a policy: floors of the gate, and what a candidate must show against the champion."""

import math
import re
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema

from promotion.config.sections import Mapped, Section, must, says

OPERATORS = (">=", "<=", ">", "<")
METRIC = "[a-z][a-z0-9_]{0,63}"
RULE = re.compile(rf"({METRIC})(?: by ([^\s=]+)(?:=(.+))?)?")
TRIVIAL = "above_trivial"
FLOOR = rf"({TRIVIAL}|(>=|<=|>|<)\s*[-+]?([0-9][0-9_]*(\.[0-9_]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?\s*)"
RULE_FORM = "is not a rule: write METRIC, `METRIC by COLUMN` or `METRIC by COLUMN=VALUE`"


class Target(NamedTuple):
    """What a rule looks at: a metric on all rows, on every value of a slice column, or on one value."""

    metric: str
    column: str | None = None
    value: str | None = None

    def __str__(self) -> str:
        """As promotion.yaml writes it."""
        if self.column is None:
            return self.metric
        return f"{self.metric} by {self.column}" + ("" if self.value is None else f"={self.value}")

    @classmethod
    def read(cls, text: str) -> Self:
        """A target from a rule's key; raise ValueError where it is none."""
        match = RULE.fullmatch(text)
        if match is None:
            raise ValueError(f"`{text}` {RULE_FORM}")
        return cls(*match.groups())


class Floor(NamedTuple):
    """A gate rule: the metric's value on the test window `op` bound, as point values.

    op `above_trivial`, without a bound: better than the best model that always says the same.
    """

    target: Target
    op: str
    bound: float | None


class ChallengeRule(NamedTuple):
    """A challenge rule on candidate minus champion.

    kind `superior`: the interval lies wholly on the better side of 0. kind `not_worse_than`: wholly
    on the better side of -margin (in the metric's units), or, with `relative`, of the contrast
    candidate - (1 - margin) * champion (margin a share between 0 and 1). min_clusters: a place with fewer
    clusters is not ruled; too_few `block`: then nothing is settled, `skip`: then the rule does not count there.
    """

    target: Target
    kind: Literal["superior", "not_worse_than"]
    margin: float = 0.0
    relative: bool = False
    min_clusters: int | None = None
    too_few: Literal["block", "skip"] = "block"


def _rule_name(text: str) -> str:
    if RULE.fullmatch(text) is None:
        raise says(RULE_FORM, of_key=True)
    return text


def _bounds(text: Any) -> list[tuple[str, float | None]]:
    return [_bound(part.strip()) for part in text.split(" and ")] if isinstance(text, str) else [_bound(text)]


def _bound(text: Any) -> tuple[str, float | None]:
    if text == TRIVIAL:
        return TRIVIAL, None
    op = next((one for one in OPERATORS if isinstance(text, str) and text.startswith(one)), "")
    try:
        bound = float(text.removeprefix(op)) if op else math.nan
    except ValueError:
        bound = math.nan
    if not math.isfinite(bound):
        raise must('a floor such as "> 0.20" (one of > >= < <=), above_trivial, or both joined by `and`')
    return op, bound


def _floors(found: dict[str, list[tuple[str, float | None]]]) -> tuple[Floor, ...]:
    if not found:
        raise says("has no floor, so everything would pass; give at least one")
    return tuple(Floor(Target.read(name), *one) for name, bounds in found.items() for one in bounds)


RuleName = Annotated[str, AfterValidator(_rule_name)]
Bounds = Annotated[
    list[tuple[str, float | None]],
    Mapped(Any, lambda text, raw: _bounds(text)),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": f"^{FLOOR}( and {FLOOR})*$",
            "description": 'A floor such as "> 0.20", or above_trivial: better than a model that always says the same.',
        }
    ),
]
Gate = Annotated[
    tuple[Floor, ...],
    Mapped(
        Annotated[dict[RuleName, Bounds], Field(json_schema_extra={"minProperties": 1})],
        lambda made, raw: _floors(made),
    ),
]


def _margin(value: Any) -> tuple[float, bool]:
    """(margin, relative): a number in the metric's units, or a share of the champion's value such as 5%."""
    if isinstance(value, str) and value.endswith("%"):
        try:
            share = float(value[:-1]) / 100
        except ValueError:
            share = math.nan
        if not 0 < share < 1:
            raise must("a share between 0% and 100%")
        return share, True
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise must("a number, or a share of the champion's value such as 5%")
    if value < 0:
        raise says(f"has the wrong sign: a margin is how much worse is still allowed, 0 or more, not {value}")
    return float(value), False


class Enough(Section):
    """What a rule wants to rest on."""

    min_clusters: Annotated[int, Field(ge=1)] | None = None
    """Where fewer clusters have anything in them, such as on a thin slice, the rule is not ruled."""
    too_few: Literal["block", "skip"] = "block"
    """Whether a place that is not ruled keeps the candidate from winning, or does not count."""


class Superior(Enough):
    """A rule that a candidate passes when it is better than the champion."""

    superior: Literal[True]
    """Always true: the mapping's form of `superior`."""


class NotWorseThan(Enough):
    """A rule that a candidate passes when it is at most this much worse than the champion."""

    not_worse_than: Annotated[
        tuple[float, bool],
        Mapped(Any, lambda value, raw: _margin(value)),
        WithJsonSchema(
            {"oneOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": r"^([0-9]*\.)?[0-9]+%$"}]}
        ),
    ]
    """In the metric's units, or a share of the champion's value such as 5%."""


def _superior(value: Any) -> Any:
    if value != "superior":
        raise must("a rule, `superior` or {not_worse_than: MARGIN}", "superior")
    return value


def _form(value: Any) -> str:
    if isinstance(value, Superior) or (isinstance(value, dict) and "superior" in value):
        return "#superior"
    return "#keys" if isinstance(value, dict | NotWorseThan) else "#word"


Rule = Annotated[
    Annotated[Literal["superior"], BeforeValidator(_superior), Tag("#word")]
    | Annotated[Superior, Tag("#superior")]
    | Annotated[NotWorseThan, Tag("#keys")],
    Discriminator(_form),
]


class Challenge(Section):
    """How a candidate must beat the champion on the same rows: settings and, under any other name, rules.

    Tails are (1 - confidence) / 2 / looks.
    """

    model_config = ConfigDict(extra="allow", json_schema_extra={"minProperties": 1})
    __pydantic_extra__: dict[RuleName, Rule]

    confidence: Annotated[float, Field(ge=0.5, le=0.9999)] = 0.95
    """Two-sided, spread evenly over looks."""
    looks: Annotated[int, Field(ge=1, le=1000)] = 5
    """How many candidates may be judged on overlapping test days."""
    worthwhile: Annotated[float, Field(gt=0)] | None = None
    """The difference, in the first rule's units, worth waiting for."""
    confirm: Literal["fresh"] | None = None
    """Only days whose labels became known after the tree was committed count."""
    unseen_loss: Literal["decides"] | None = None
    """The largest loss that could have gone unseen is shown; with `decides`, a win must also exceed it."""

    @property
    def rules(self) -> tuple[ChallengeRule, ...]:
        """The rules, in the file's order: the first one leads."""
        return tuple(_challenge_rule(name, rule) for name, rule in (self.__pydantic_extra__ or {}).items())


def _challenge_rule(name: str, rule: Any) -> ChallengeRule:
    target = Target.read(name)
    if not isinstance(rule, Enough):
        return ChallengeRule(target, rule)
    margin, relative = rule.not_worse_than if isinstance(rule, NotWorseThan) else (0.0, False)
    kind: Literal["superior", "not_worse_than"] = "not_worse_than" if isinstance(rule, NotWorseThan) else "superior"
    return ChallengeRule(target, kind, margin, relative, rule.min_clusters, rule.too_few)
