"""What one model is judged by: measure, gate and challenge, as promotion.yaml and the records say them.

A key is one line of its section, with its limits; whoever adds one adds it here and nowhere else. Defaults are
what everybody sets alike. They never change: a policy's digest is over what its file says, in its order (so that
the pins of years ago verify and a comment changes nothing), and another default would be another policy under
the same digest. What must change becomes a key of another name. There is none for the label delay.
"""

import math
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    Tag,
    WithJsonSchema,
    model_serializer,
    model_validator,
)

from promotion.config.sections import COLUMN, Column, Listed, Mapped, Section, Text, must, says
from promotion.config.trusted import forbidden
from promotion.frozen import Frozen, canonical_json, sha256_text

FILE = "promotion.yaml"
OPERATORS = (">=", "<=", ">", "<")
METRIC = "[a-z][a-z0-9_]{0,63}"
RULE = re.compile(rf"({METRIC})(?: by ([^\s=]+)(?:=(.+))?)?")
TRIVIAL = "above_trivial"
FLOOR = rf"({TRIVIAL}|(>=|<=|>|<)\s*[-+]?([0-9][0-9_]*(\.[0-9_]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?\s*)"
RULE_FORM = "is not a rule: write METRIC, `METRIC by COLUMN` or `METRIC by COLUMN=VALUE`"
PARTS = ("measure", "gate", "warn", "challenge")
FILES_KEYS = ("formats", "trusted_types")  # what a model's files may be: a part of the policy where a file says it


@dataclass(frozen=True)
class Target:
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


@dataclass(frozen=True)
class Floor:
    """A gate rule: the metric's value on the test window `op` bound, as point values.

    op `above_trivial`, without a bound: better than the best model that always says the same.
    """

    target: Target
    op: str
    bound: float | None


@dataclass(frozen=True)
class ChallengeRule:
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


def _money(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(COLUMN, value):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise must("a number of 0 or more, or a column name")
    return float(value)


Money = Annotated[
    str | float,
    BeforeValidator(_money),
    WithJsonSchema({"oneOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": f"^{COLUMN}$"}]}),
]
MetricName = Annotated[
    str, Field(pattern=f"^{METRIC}$", title="a metric name: lower-case letters, digits and `_` only")
]


class Dollars(Section):
    """What an outcome is worth, in dollars or as a column of dollars."""

    caught: Money = 0.0
    """Added for a positive that is flagged."""
    review: Money = 0.0
    """Subtracted for every flag."""
    missed: Money = 0.0
    """Subtracted for a positive that is not flagged."""
    false_alarm: Money = 0.0
    """Subtracted for a negative that is flagged."""
    under: Money = 0.0
    """Regression: subtracted per unit that a prediction is too low."""
    over: Money = 0.0
    """Regression: subtracted per unit that a prediction is too high."""


class CustomMetric(Section):
    """A metric whose per-row sums come from the model folder's metrics.py; `formula` is over those sums."""

    formula: Text
    """Over the sums' names, such as `cost / n`."""
    better: Literal["higher", "lower"]
    """Which direction is better."""
    unit: Text | None = None
    """Shown after its values; `$` before them."""


class Measure(Section):
    """What the figures mean."""

    test_days: Annotated[int, Field(ge=1, le=3660)]
    """Days of the test window; net_benefit is dollars per this window."""
    delay_days: Annotated[int, Field(ge=0, le=3660)]
    """Labels of day d are known on day d + delay_days. It has no default: nobody can know it but you."""
    dollars: Annotated[
        dict[str, str | float], Mapped(Dollars, lambda made, raw: {key: getattr(made, key) for key in raw})
    ] = Field(default_factory=dict)
    """What an outcome is worth, in dollars or as a column of dollars; without it there is no net_benefit."""
    cluster: Annotated[tuple[Column, ...], Listed("a list of column names", most=2)] = ()
    """Columns whose rows depend on each other; at most two."""
    slices: Annotated[tuple[Column, ...], Listed("a list of column names", most=20)] = ()
    """Columns by whose values metrics are also shown, and that rules may name."""
    daily_reviews: Annotated[int, Field(ge=1)] = 100
    """The k of precision at k per day."""
    metrics: dict[MetricName, CustomMetric] = Field(default_factory=dict)
    """Metrics of the model folder's metrics.py: a formula over its sums."""


def _rule_name(text: str) -> str:
    if RULE.fullmatch(text) is None:
        raise says(RULE_FORM)
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


def _type_name(name: str) -> str:
    if forbidden(name):
        raise says(f"can never be trusted in a model: {name} runs or loads what it is given")
    return name


Format = Literal["pickle", "code"]
TypeName = Annotated[
    str,
    Field(pattern="^[A-Za-z_][A-Za-z0-9_.]*$", max_length=300, title="the name of a type"),
    AfterValidator(_type_name),
]


class FilesPolicy(Section):
    """What a model's files may be beyond formats that run no code when they are loaded."""

    formats: Annotated[tuple[Format, ...], Listed("a list of formats, pickle or code", most=2)] = ()
    """Formats that run code when a model is loaded: `pickle`, and `code` (modules of the model folder)."""
    trusted_types: Annotated[tuple[TypeName, ...], Listed("a list of type names", most=500)] = ()
    """Types that saved models may contain beyond those that are known to hold data only."""


class Place(Frozen):
    """Where a policy was written: whose it is, in which file, and the line of `gate.f1` and the like."""

    model: str
    file: str
    lines: dict[str, int] = Field(default_factory=dict)


class Policy(FilesPolicy):
    """measure, gate and challenge of one model, and what its files may be.

    In a record it is what its file says, in the file's order.
    """

    measure: Measure
    gate: Gate
    warn: Gate = ()
    """Floors that only warn: judged like the gate's, shown in the report, and blocking nothing."""
    challenge: Challenge
    _raw: dict[str, Any] = PrivateAttr(default_factory=dict)
    _place: Place | None = PrivateAttr(default=None)

    @model_validator(mode="wrap")
    @classmethod
    def _written(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        made = handler(data)
        if isinstance(data, dict):
            made._raw = {part: data[part] for part in (*PARTS, *FILES_KEYS) if part in data}
        return made

    @model_serializer
    def _said(self) -> dict[str, Any]:
        return self._raw

    @property
    def raw(self) -> dict[str, Any]:
        """What the file says, in its order, with no default filled in."""
        return self._raw

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of what the file says: comments and layout do not enter, the order of rules does."""
        return sha256_text(canonical_json(self._raw))

    @property
    def place(self) -> Place | None:
        """Where it was written; None where a record does not say."""
        return self._place

    @property
    def warned(self) -> Self:
        """The policy whose gate are this one's warnings."""
        return self.model_copy(update={"gate": self.warn})

    def at(self, place: Place | None) -> Self:
        """The same policy, written at `place`."""
        made = self.model_copy()
        made._place = place
        return made

    @property
    def model(self) -> str:
        """Whose policy it is; empty where a record does not say."""
        return "" if self._place is None else self._place.model

    @property
    def file(self) -> str:
        """The file to name in an error."""
        return FILE if self._place is None else self._place.file

    def line_of(self, rule: Floor | ChallengeRule | str) -> int | None:
        """The line in `file` of a rule, or of `metrics.NAME`; None where it is not known."""
        if not isinstance(rule, str):
            part = "challenge" if isinstance(rule, ChallengeRule) else "gate"
            if any(rule is one for one in self.warn):
                part = "warn"
            rule = f"{part}.{rule.target}"
        return None if self._place is None else self._place.lines.get(rule)

    def __eq__(self, other: object) -> bool:
        """Two policies are equal when their files say the same, wherever."""
        return isinstance(other, Policy) and self._raw == other._raw

    def __hash__(self) -> int:
        """Of the digest."""
        return hash(self.digest)
