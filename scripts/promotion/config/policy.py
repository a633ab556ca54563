"""What one model is judged by: measure, gate and challenge, as promotion.yaml and the records say them.

A key is one line of its section, with its limits; whoever adds one adds it here and nowhere else. Defaults are
what everybody sets alike. They never change: a policy's digest is over what its file says, in its order (so that
the pins of years ago verify and a comment changes nothing), and another default would be another policy under
the same digest. What must change becomes a key of another name. There is none for the label delay.
"""

import math
import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    WithJsonSchema,
    model_serializer,
    model_validator,
)

from promotion.config import FILE
from promotion.config.rules import METRIC, Challenge, ChallengeRule, Floor, Gate
from promotion.config.sections import COLUMN, Column, Listed, Mapped, Section, Text, must, says
from promotion.config.trusted import forbidden
from promotion.frozen import Frozen, canonical_json, sha256_text

PARTS = ("measure", "gate", "warn", "challenge")
FILES_KEYS = ("formats", "trusted_types")  # what a model's files may be: a part of the policy where a file says it


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


InputName = Annotated[str, Field(pattern=r"\S", max_length=500, title="the name of a column")]


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
    inputs: Annotated[tuple[InputName, ...], Listed("a list of column names", most=1000)] = ()
    """Columns that callers send beside those that the champion needs; a candidate may need no others."""
    _raw: dict[str, Any] = PrivateAttr(default_factory=dict)
    _place: Place | None = PrivateAttr(default=None)

    @model_validator(mode="wrap")
    @classmethod
    def _written(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        made = handler(data)
        if isinstance(data, dict):
            made._raw = {part: data[part] for part in (*PARTS, "inputs", *FILES_KEYS) if part in data}
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
