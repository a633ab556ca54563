"""Metrics as sums per row and a formula over the sums: they add over partitions, machines and slices.

A row is described by y (label), p (score: a probability, or a regression's prediction) and d (the 0/1
decision). `tp`, `fp`, `fn`, and dollars are zero on most rows of an imbalanced problem; these metrics
are sparse, and the resampling engine drops such rows exactly. Metrics that are not sums (AUC, average
precision, precision at k) are in ranking.py.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from promotion.config.policy import CustomMetric, Measure, Policy
from promotion.config.strict import suggestion
from promotion.errors import PromotionError
from promotion.judgement.formula import Formula

Task = Literal["classification", "regression"]
Sums = Mapping[str, Any]  # name -> array or number
EPSILON = np.finfo(np.float64).eps  # scikit-learn's clipping of probabilities in log_loss
RANKED = ("roc_auc", "average_precision", "precision_at_k")
CALIBRATION = ("calibration_slope", "calibration_intercept")
NOT_SUMS = (*RANKED, *CALIBRATION)


@dataclass(frozen=True)
class Metric:
    """A metric: the names of its sums, and the formula over them.

    needs: "d" decisions, "p" scores. sparse: every sum is zero on rows with y = 0 and d = 0.
    positive: it is greater than 0 for every usable model, so a relative margin means something.
    low, high: what its value cannot leave. rate_over: of a rate that is made of all-or-nothing rows, the sums
    that say whether a cluster has such rows. catches: the sum that says what a model catches ("tp", or "stake"
    for dollars), and caught: by how much each of the metric's own sums changes for one of it.
    """

    name: str
    sums: tuple[str, ...]
    formula: Callable[[Sums], np.ndarray]
    better: Literal["higher", "lower"] = "higher"
    unit: str | None = None
    task: Task | None = None
    needs: str = "p"
    sparse: bool = False
    positive: bool = True
    low: float = -np.inf
    high: float = np.inf
    rate_over: tuple[str, ...] = ()
    catches: str | None = None
    caught: Mapping[str, float] = field(default_factory=dict, hash=False)

    @property
    def sign(self) -> int:
        """+1 where higher is better, -1 where lower is."""
        return 1 if self.better == "higher" else -1

    @property
    def degree(self) -> int:
        """1 where twice the days have twice the value (dollars, counts), 0 where they have the same (a rate)."""
        once = {name: np.float64(3 + 2 * i) for i, name in enumerate(self.sums)}
        one, two = (float(self.value({name: factor * v for name, v in once.items()})) for factor in (1, 2))
        return int(np.isfinite(one) and one != 0 and abs(two / one - 2) < 1e-9)

    def value(self, sums: Sums) -> np.ndarray:
        """The formula over sums (name -> array of one shape); NaN where it cannot be computed."""
        with np.errstate(all="ignore"):
            return np.asarray(self.formula(sums), dtype=np.float64)

    def limits(self, weights: Mapping[str, float]) -> tuple[float, float]:
        """What a weighted sum of values of this metric cannot leave; weights: by side."""
        ends = [sorted((weight * self.low, weight * self.high)) for weight in weights.values()]
        return sum(end[0] for end in ends), sum(end[1] for end in ends)


def _ratio(top: str, bottom: str) -> Callable[[Sums], np.ndarray]:
    return lambda s: s[top] / s[bottom]


def _rate(
    name: str, sums: tuple[str, ...], formula: Callable[[Sums], np.ndarray], over: tuple[str, ...], **more: Any
) -> Metric:
    """A share of rows that decisions get right."""
    return Metric(
        name, sums, formula, task="classification", needs="d", low=0.0, high=1.0, rate_over=over, **more
    )  # fmt: skip


BUILT_IN = {
    m.name: m
    for m in (
        _rate(
            "f1",
            ("tp", "fp", "fn"),
            lambda s: 2 * s["tp"] / (2 * s["tp"] + s["fp"] + s["fn"]),
            ("tp", "fn"),
            sparse=True,
            catches="tp",
            caught={"tp": 1.0, "fn": -1.0},
        ),
        _rate("precision", ("tp", "fp"), lambda s: s["tp"] / (s["tp"] + s["fp"]), ("tp", "fp"), sparse=True,
              catches="tp", caught={"tp": 1.0}),
        _rate("recall", ("tp", "fn"), lambda s: s["tp"] / (s["tp"] + s["fn"]), ("tp", "fn"), sparse=True,
              catches="tp", caught={"tp": 1.0, "fn": -1.0}),
        _rate("accuracy", ("right", "n"), _ratio("right", "n"), ("n",)),
        Metric("brier", ("brier", "n"), _ratio("brier", "n"), better="lower", task="classification", low=0.0, high=1.0),
        Metric("log_loss", ("log_loss", "n"), _ratio("log_loss", "n"), better="lower", task="classification", low=0.0),
        Metric("mae", ("ae", "n"), _ratio("ae", "n"), better="lower", task="regression", low=0.0),
        Metric("rmse", ("se", "n"), lambda s: np.sqrt(s["se"] / s["n"]), better="lower", task="regression", low=0.0),
        Metric(
            "r2",
            ("se", "y", "yy", "n"),
            # y is centred on a constant (see `row_sums`), so that yy - y*y/n does not cancel
            lambda s: 1 - s["se"] / (s["yy"] - s["y"] * s["y"] / s["n"]),
            task="regression",
            positive=False,
            high=1.0,
        ),
    )
}  # fmt: skip


def _net_benefit(task: Task) -> Metric:
    classes = task == "classification"
    return Metric(
        "net_benefit",
        ("dollars",),
        lambda s: s["dollars"] + 0.0,
        unit="$",
        needs="d" if classes else "p",
        sparse=classes,
        positive=False,
        catches="stake" if classes else None,
        caught={"dollars": 1.0},
    )


def _custom(name: str, metric: CustomMetric, file: str | None, line: int | None) -> Metric:
    formula = Formula(metric.formula, file=file, line=line)
    return Metric(
        name,
        tuple(f"{name}.{part}" for part in formula.names),
        lambda s: formula({part: s[f"{name}.{part}"] for part in formula.names}),
        better=metric.better,
        unit=metric.unit,
        needs="",
        positive=False,
    )


def metrics_of(policy: Policy, task: Task) -> dict[str, Metric]:
    """Return every sum metric that this policy and task have, by name: net benefit, built-in, then custom ones."""
    found: dict[str, Metric] = {}
    if policy.measure.dollars:
        found["net_benefit"] = _net_benefit(task)
    found |= {name: metric for name, metric in BUILT_IN.items() if metric.task == task}
    for name, custom in policy.measure.metrics.items():
        line = policy.line_of(f"metrics.{name}")
        if name in BUILT_IN or name in (*NOT_SUMS, "net_benefit"):
            raise PromotionError(
                f"measure.metrics.{name} has the name of a built-in metric; call it something else",
                file=policy.file,
                line=line,
            )
        found[name] = _custom(name, custom, policy.file, line)
    return found


def check_policy(policy: Policy, task: Task | None = None) -> None:
    """Raise PromotionError, with the policy's lines, for every rule that no score table of `task` could ever answer.

    That is an unknown metric (with a suggestion), a metric that is not a sum in a challenge rule, and
    a relative margin on a metric that can be 0 or less.
    """
    tasks: tuple[Task, ...] = (task,) if task is not None else ("classification", "regression")
    known = {t: metrics_of(policy, t) for t in tasks}
    names = tuple(dict.fromkeys(name for found in known.values() for name in found))
    ranked = NOT_SUMS if "classification" in tasks else ()
    mistakes = [
        (_unknown(floor.target.metric, names + ranked, policy, task), policy.line_of(floor))
        for floor in (*policy.gate, *policy.warn)
        if floor.target.metric not in names + ranked
    ]
    for rule in policy.challenge.rules:
        name, line = rule.target.metric, policy.line_of(rule)
        if name in ranked:
            mistakes.append((f"`{name}` is not a sum over rows, so it can be a floor but not a challenge rule", line))
        elif name not in names:
            mistakes.append((_unknown(name, names, policy, task), line))
        elif rule.relative and not all(found[name].positive for found in known.values() if name in found):
            mistakes.append(
                (f"`{name}` can be 0 or less, so a margin in % of it means nothing; give it in its own units", line)
            )
    if mistakes:
        raise PromotionError.several(mistakes, file=policy.file)


def _unknown(name: str, names: tuple[str, ...], policy: Policy, task: Task | None) -> str:
    if name == "net_benefit" and not policy.measure.dollars:
        why = "no `dollars` in `measure`"
    elif task == "regression" and name in (*metrics_of(policy, "classification"), *NOT_SUMS):
        why = (
            "that is of classifiers, and the model answers as a regression does; let fit() return a classifier, which "
            f"answers 0 or 1, or rule on one of {', '.join(names)}"
        )
    elif task == "classification" and name in metrics_of(policy, "regression"):
        why = f"that is of regressions, and the model is a classifier; rule on one of {', '.join(names)}"
    else:
        why = f"unknown metric{suggestion(name, names)}"
    return f"a rule on `{name}`: {why}"


def dollars(
    measure: Measure, y: np.ndarray, predicted: np.ndarray, columns: Mapping[str, np.ndarray], task: Task
) -> np.ndarray:
    """Return the (n,) dollars of each row, as `measure.dollars` says.

    Classification, `predicted` being decisions: + caught where y = 1 and d = 1, - review where d = 1,
    - missed where y = 1 and d = 0, - false_alarm where y = 0 and d = 1. Regression, `predicted` being
    predictions: - under per unit of y above the prediction, - over per unit below.
    """

    def amount(key: str) -> np.ndarray | float:
        spec = measure.dollars.get(key, 0.0)
        return columns[spec] if isinstance(spec, str) else float(spec)

    if task == "regression":
        missed = y - predicted
        cost: np.ndarray = np.maximum(missed, 0) * amount("under") + np.maximum(-missed, 0) * amount("over")
        return -cost
    hit, flagged = y == 1, predicted == 1
    total = np.where(hit & flagged, amount("caught"), 0.0) - np.where(flagged, amount("review"), 0.0)
    return (
        total - np.where(hit & ~flagged, amount("missed"), 0.0) - np.where(~hit & flagged, amount("false_alarm"), 0.0)
    )


def row_sums(
    names: tuple[str, ...], y: np.ndarray, p: np.ndarray | None, d: np.ndarray | None, *, centre: float = 0.0
) -> dict[str, np.ndarray]:
    """Return the (n,) summand of each of `names` for every row (not dollars and custom sums).

    y: labels. p: probabilities or predictions, d: 0/1 decisions, each None where no sum needs it. centre: a constant
    near the mean of y, the same for the whole test set, which keeps the sum of squares of R2 from cancelling.
    """
    makers: dict[str, Callable[[], np.ndarray]] = {
        "tp": lambda: (y == 1) & (d == 1),
        "fp": lambda: (y == 0) & (d == 1),
        "fn": lambda: (y == 1) & (d == 0),
        "right": lambda: y == d,
        "n": lambda: np.ones(len(y)),
        "brier": lambda: (p - y) ** 2,
        "log_loss": lambda: _log_loss(y, p),
        "ae": lambda: np.abs(y - p),
        "se": lambda: (y - p) ** 2,
        "y": lambda: y - centre,
        "yy": lambda: (y - centre) ** 2,
    }
    return {name: makers[name]().astype(np.float64) for name in names}


def _log_loss(y: np.ndarray, p: np.ndarray | None) -> np.ndarray:
    assert p is not None
    clipped = np.clip(p, EPSILON, 1 - EPSILON)
    likelihood: np.ndarray = np.where(y == 1, np.log(clipped), np.log1p(-clipped))
    return -likelihood
