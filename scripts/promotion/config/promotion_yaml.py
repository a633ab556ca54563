"""promotion.yaml: one schema, one strict loader; every mistake is one sentence with file:line."""

import difflib
import functools
import hashlib
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from promotion.config.strict import COLUMN_NAME, Reader, compose, plain, suggestion
from promotion.errors import PromotionError
from promotion.records import PinRecord, canonical_json

FILE = "promotion.yaml"
MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
METRIC_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
OPERATORS = (">=", "<=", ">", "<")
SETTINGS = ("confidence", "looks", "worthwhile", "confirm")
DOLLAR_KEYS = ("caught", "review", "missed", "false_alarm", "under", "over")


@dataclass(frozen=True)
class Target:
    """What a rule looks at: a metric on all rows, on every value of a slice column, or on one value."""

    metric: str
    column: str | None = None
    value: str | None = None

    def __str__(self) -> str:
        if self.column is None:
            return self.metric
        return f"{self.metric} by {self.column}" + ("" if self.value is None else f"={self.value}")


@dataclass(frozen=True)
class Floor:
    """A gate rule: the metric's value on the test window `op` bound, as point values."""

    target: Target
    op: str
    bound: float
    line: int = 0


@dataclass(frozen=True)
class ChallengeRule:
    """A challenge rule on candidate minus champion.

    kind `superior`: the interval lies wholly on the better side of 0. kind `not_worse_than`: wholly
    on the better side of -margin (in the metric's units), or, with `relative`, of the contrast
    candidate - (1 - margin) * champion (margin a share between 0 and 1).
    """

    target: Target
    kind: str
    margin: float = 0.0
    relative: bool = False
    line: int = 0


@dataclass(frozen=True)
class CustomMetric:
    """A metric whose per-row sums come from the model folder's metrics.py; `formula` is over those sums."""

    name: str
    formula: str
    better: str
    unit: str | None = None


@dataclass(frozen=True)
class Measure:
    """What the figures mean. dollars: outcome -> column name or number of dollars."""

    test_days: int
    delay_days: int
    dollars: dict[str, str | float] = field(default_factory=dict)
    cluster: tuple[str, ...] = ()
    slices: tuple[str, ...] = ()
    daily_reviews: int = 100
    metrics: tuple[CustomMetric, ...] = ()


@dataclass(frozen=True)
class Challenge:
    """How a candidate must beat the champion; tails are (1 - confidence) / 2 / looks."""

    confidence: float
    looks: int
    rules: tuple[ChallengeRule, ...]
    worthwhile: float | None = None
    confirm: str | None = None


@dataclass(frozen=True)
class Policy:
    """measure, gate and challenge of one model; `raw` is their plain form and `digest` names it."""

    model: str
    measure: Measure
    gate: tuple[Floor, ...]
    challenge: Challenge
    raw: dict[str, Any]
    file: str = FILE

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of the policy's canonical JSON: comments and layout do not enter, the order of rules does."""
        return "sha256:" + hashlib.sha256(canonical_json(self.raw).encode()).hexdigest()


@dataclass(frozen=True)
class Entry:
    """One model in promotion.yaml. renamed_from: the model whose champion its first candidate has to beat."""

    policy: Policy
    champion: PinRecord | None
    freeze: str | None = None
    drift: str = "report"
    renamed_from: str | None = None
    line: int = 0
    champion_line: int = 0


@dataclass(frozen=True)
class Promotion:
    """The whole of promotion.yaml. guard_moves: how many champions one apply may move or drop."""

    models: dict[str, Entry]
    guard_moves: int | None = None
    file: str = FILE


def load(path: Path) -> Promotion:
    """Read promotion.yaml from a file; raise PromotionError with file:line for the first mistake."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PromotionError(
            "missing; run this from a checkout that has one, or see the README for a first", file=path
        ) from None
    except (UnicodeDecodeError, IsADirectoryError):
        raise PromotionError(
            "not a UTF-8 text file; restore it with `git checkout -- promotion.yaml`", file=path
        ) from None
    return parse(text, file=str(path))


def parse(text: str, *, file: str = FILE) -> Promotion:
    """Read promotion.yaml from its text; `file` is the name that errors use."""
    root = compose(text, file)
    if root is None:
        raise PromotionError("empty; it needs `models:` with at least one model (or `models: {}`)", file=file, line=1)
    reader = Reader(file)
    top = reader.mapping(root, "the file", required=("models",), optional=("guard",))
    guard = None
    if "guard" in top:
        limits = reader.mapping(top["guard"], "guard", required=("moves",))
        guard = reader.integer(limits["moves"], "guard.moves", low=0)
    models: dict[str, Entry] = {}
    for key, node in reader.items(top["models"], "models"):
        if not MODEL_NAME.fullmatch(key.value):
            raise reader.error(key, f"`{key.value}` is not a model name: letters, digits, `.`, `_` and `-` only")
        models[key.value] = _entry(reader, key, node)
    return Promotion(models=models, guard_moves=guard, file=file)


@functools.lru_cache(maxsize=2)  # fifty pins of one merge have one base
def _composed(text: str, file: str) -> yaml.Node | None:
    return compose(text, file)


def model_entry(text: str, model: str, *, file: str = FILE) -> Entry | None:
    """Return one model's entry from a promotion.yaml of which nothing else is read; None where it has none."""
    root = _composed(text, file)
    if root is None:
        return None
    reader = Reader(file)
    for top, models in reader.items(root, "the file"):
        if top.value == "models":
            for key, node in reader.items(models, "models"):
                if key.value == model:
                    return _entry(reader, key, node)
    return None


def _entry(reader: Reader, key: yaml.ScalarNode, node: yaml.Node) -> Entry:
    name = key.value
    parts = reader.mapping(
        node, name, required=("measure", "gate", "challenge", "champion"), optional=("freeze", "drift", "renamed_from")
    )
    measure = _measure(reader, parts["measure"])
    gate = _gate(reader, parts["gate"], measure)
    challenge = _challenge(reader, parts["challenge"], measure)
    raw = {part: plain(parts[part]) for part in ("measure", "gate", "challenge")}
    policy = Policy(model=name, measure=measure, gate=gate, challenge=challenge, raw=raw, file=reader.file)
    freeze = reader.text(parts["freeze"], "freeze", what="the reason for the freeze") if "freeze" in parts else None
    drift = reader.choice(parts["drift"], "drift", ("repair", "report")) if "drift" in parts else "report"
    renamed = None
    if "renamed_from" in parts:
        renamed = reader.text(parts["renamed_from"], "renamed_from", MODEL_NAME, "the name of a model")
    return Entry(
        policy=policy,
        champion=_pin(reader, parts["champion"]),
        freeze=freeze,
        drift=drift,
        renamed_from=renamed,
        line=key.start_mark.line + 1,
        champion_line=parts["champion"].start_mark.line + 1,
    )


def _measure(reader: Reader, node: yaml.Node) -> Measure:
    optional = ("dollars", "cluster", "slices", "daily_reviews", "metrics")
    parts = reader.mapping(node, "measure", required=("test_days", "delay_days"), optional=optional)
    dollars: dict[str, str | float] = {}
    if "dollars" in parts:
        for key, value in reader.mapping(parts["dollars"], "dollars", optional=DOLLAR_KEYS).items():
            if isinstance(value, yaml.ScalarNode) and value.tag == "tag:yaml.org,2002:str":
                dollars[key] = reader.text(value, f"dollars.{key}", COLUMN_NAME, "a number or a column name")
            else:
                dollars[key] = reader.number(value, f"dollars.{key}", low=0)
    metrics = (
        tuple(_custom(reader, k, v) for k, v in reader.items(parts["metrics"], "metrics")) if "metrics" in parts else ()
    )
    return Measure(
        test_days=reader.integer(parts["test_days"], "test_days", low=1, high=3660),
        delay_days=reader.integer(parts["delay_days"], "delay_days", low=0, high=3660),
        dollars=dollars,
        cluster=reader.texts(parts["cluster"], "cluster", most=2) if "cluster" in parts else (),
        slices=reader.texts(parts["slices"], "slices", most=20) if "slices" in parts else (),
        daily_reviews=reader.integer(parts["daily_reviews"], "daily_reviews", low=1)
        if "daily_reviews" in parts
        else 100,
        metrics=metrics,
    )


def _custom(reader: Reader, key: yaml.ScalarNode, node: yaml.Node) -> CustomMetric:
    if not METRIC_NAME.fullmatch(key.value):
        raise reader.error(key, f"`{key.value}` is not a metric name: lower-case letters, digits and `_` only")
    parts = reader.mapping(node, key.value, required=("formula", "better"), optional=("unit",))
    return CustomMetric(
        name=key.value,
        formula=reader.text(parts["formula"], "formula"),
        better=reader.choice(parts["better"], "better", ("higher", "lower")),
        unit=reader.text(parts["unit"], "unit") if "unit" in parts else None,
    )


def _target(reader: Reader, key: yaml.ScalarNode, measure: Measure) -> Target:
    match = re.fullmatch(r"(\S+)(?: by ([^\s=]+)(?:=(.+))?)?", key.value)
    if match is None or not METRIC_NAME.fullmatch(match[1]):
        raise reader.error(
            key, f"`{key.value}` is not a rule: write METRIC, `METRIC by COLUMN` or `METRIC by COLUMN=VALUE`"
        )
    if match[2] is not None and match[2] not in measure.slices:
        raise reader.error(key, f"`{match[2]}` is not one of measure.slices{suggestion(match[2], measure.slices)}")
    return Target(metric=match[1], column=match[2], value=match[3])


def _gate(reader: Reader, node: yaml.Node, measure: Measure) -> tuple[Floor, ...]:
    floors = []
    for key, value in reader.items(node, "gate"):
        text = reader.text(value, key.value, what='a floor such as "> 0.20"')
        op = next((o for o in OPERATORS if text.startswith(o)), None)
        try:
            bound = float(text[len(op or "") :])
        except ValueError:
            bound = math.nan
        if op is None or not math.isfinite(bound):
            raise reader.error(
                value, f'`{key.value}` must be a floor such as "> 0.20" (one of > >= < <=), not `{text}`'
            )
        floors.append(Floor(_target(reader, key, measure), op, bound, key.start_mark.line + 1))
    if not floors:
        raise reader.error(node, "`gate` has no floor, so everything would pass; give at least one")
    return tuple(floors)


def _challenge(reader: Reader, node: yaml.Node, measure: Measure) -> Challenge:
    settings: dict[str, yaml.Node] = {}
    rules: list[ChallengeRule] = []
    for key, value in reader.items(node, "challenge"):
        if key.value in SETTINGS:
            settings[key.value] = value
        else:
            rules.append(_challenge_rule(reader, key, value, measure))
    for name in ("confidence", "looks"):
        if name not in settings:
            raise reader.error(node, f"`challenge` lacks the key `{name}`")
    if not rules:
        raise reader.error(node, "`challenge` has no rule, so everything would win; give at least one")
    worthwhile = settings.get("worthwhile")
    return Challenge(
        confidence=reader.number(settings["confidence"], "confidence", low=0.5, high=0.9999),
        looks=reader.integer(settings["looks"], "looks", low=1, high=1000),
        rules=tuple(rules),
        worthwhile=None if worthwhile is None else reader.number(worthwhile, "worthwhile", low=1e-12),
        confirm=reader.choice(settings["confirm"], "confirm", ("fresh",)) if "confirm" in settings else None,
    )


def _challenge_rule(reader: Reader, key: yaml.ScalarNode, node: yaml.Node, measure: Measure) -> ChallengeRule:
    target, line = _target(reader, key, measure), key.start_mark.line + 1
    if isinstance(node, yaml.ScalarNode):
        if node.value != "superior":
            close = difflib.get_close_matches(key.value, SETTINGS, n=1) or difflib.get_close_matches(
                node.value, ("superior",)
            )
            hint = f"; did you mean `{close[0]}`?" if close else ""
            raise reader.error(
                node,
                f"`{key.value}` must be a rule, `superior` or {{not_worse_than: MARGIN}}, not `{node.value}`{hint}",
            )
        return ChallengeRule(target, "superior", line=line)
    margin = reader.mapping(node, key.value, required=("not_worse_than",))["not_worse_than"]
    name = f"{key.value}.not_worse_than"
    if isinstance(margin, yaml.ScalarNode) and margin.value.endswith("%"):
        try:
            share = float(margin.value[:-1]) / 100
        except ValueError:
            share = math.nan
        if not 0 < share < 1:
            raise reader.error(margin, f"`{name}` must be a share between 0% and 100%, not `{margin.value}`")
        return ChallengeRule(target, "not_worse_than", share, relative=True, line=line)
    value = reader.number(margin, name)
    if value < 0:
        raise reader.error(
            margin,
            f"`{name}` has the wrong sign: a margin is how much worse is still allowed, 0 or more, not {margin.value}",
        )
    return ChallengeRule(target, "not_worse_than", value, line=line)


def _pin(reader: Reader, node: yaml.Node) -> PinRecord | None:
    if reader.is_null(node):
        return None
    keys = ("version", "source_tree", "digest", "evidence")
    parts = reader.mapping(node, "champion", required=("version",), optional=(*keys[1:], "override", "adopted"))
    adopted = False
    if "adopted" in parts:
        adopted = reader.scalar(parts["adopted"], "adopted", ("bool",), "true")
    override = None
    if "override" in parts:
        who = reader.mapping(parts["override"], "override", required=("by", "reason"))
        override = {k: reader.text(v, f"override.{k}") for k, v in who.items()}
    for key in keys[1:]:
        needed = not adopted and not (key == "evidence" and override is not None)
        if needed and key not in parts:
            raise reader.error(node, f"`champion` lacks the key `{key}`")
    sha = re.compile(r"sha256:[0-9a-f]{64}")
    tree = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
    return PinRecord(
        version=reader.integer(parts["version"], "version", low=1),
        source_tree=_optional(reader, parts, "source_tree", tree, "a git tree id of 40 hex digits"),
        digest=_optional(reader, parts, "digest", sha, "sha256: and 64 hex digits"),
        evidence=_optional(reader, parts, "evidence", sha, "sha256: and 64 hex digits"),
        override=override,
        adopted=adopted,
    )


def _optional(reader: Reader, parts: dict[str, yaml.Node], key: str, pattern: re.Pattern[str], what: str) -> str | None:
    if key not in parts:
        return None
    node = parts[key]
    if isinstance(node, yaml.ScalarNode) and pattern.fullmatch(node.value):
        return node.value  # forty digits without a letter are an int to YAML
    raise reader.error(node, f"`{key}` must be {what}")


def policy_from_raw(model: str, raw: dict[str, Any], *, file: str) -> Policy:
    """Rebuild a policy from its plain form in a record, through the same strict loader."""
    text = yaml.safe_dump({"models": {model: {**raw, "champion": None}}}, sort_keys=False)
    return parse(text, file=file).models[model].policy
