"""What is reported about one model, and how it stands."""

from collections.abc import Sequence
from dataclasses import dataclass

from promotion.records import WINNING, Candidate, Evaluation, Gate, ModelPlan, RuleResult, ScoresInfo


@dataclass(frozen=True)
class Reported:
    """Everything known about one model of a pull request when it is reported.

    pinned: the winning version is pinned on the branch. elsewhere: a table from elsewhere was judged, so
    there is nothing to merge. error: why a step failed. log_tail: the end
    of that step's log, as it came.
    """

    plan: ModelPlan
    evaluation: Evaluation | None = None
    gate: Gate | None = None
    candidate: Candidate | None = None
    scores: ScoresInfo | None = None
    pinned: bool = False
    error: str | None = None
    log_tail: str | None = None
    elsewhere: bool = False


@dataclass(frozen=True)
class Status:
    """A verdict as it is shown: an icon and a word that need no colour, and a tone for those who see it."""

    word: str
    icon: str
    glyph: str
    tone: str
    green: bool


STATUSES = {
    "PROMOTE": Status("PROMOTE", "✅", "✓", "good", True),
    "FIRST": Status("FIRST", "✅", "✓", "good", True),
    "SAME": Status("SAME", "✅", "=", "good", True),
    "KEEP": Status("KEEP", "✋", "✕", "bad", False),
    "INCONCLUSIVE": Status("INCONCLUSIVE", "❓", "?", "unsure", False),
    "REJECTED": Status("REJECTED", "❌", "✕", "bad", False),
    "VERIFIED": Status("VERIFIED", "✅", "✓", "good", True),
    "ROLLBACK": Status("ROLLBACK", "⏪", "↶", "good", True),
    "RETIRE": Status("RETIRE", "⏹️", "■", "unsure", True),
    "REFUSED": Status("REFUSED", "🚫", "✕", "bad", False),
    "ERROR": Status("ERROR", "⚠️", "!", "bad", False),
    "NOTHING": Status("NOTHING TO DO", "➖", "–", "good", True),
}


def status(reported: Reported) -> Status:
    """How the model stands; whatever was not judged counts as an error, never as a pass."""
    action = reported.plan.action
    if action == "refuse":
        return STATUSES["REFUSED"]
    if reported.evaluation is not None and action in ("train", "judge"):
        return STATUSES[reported.evaluation.verdict]
    if action in ("train", "judge") and reported.gate is not None and not reported.gate.passed:
        return STATUSES["REJECTED"]
    if reported.error is not None:
        return STATUSES["ERROR"]
    if action in ("none", "verify") and reported.plan.champion is not None and reported.plan.pin is None:
        return STATUSES["RETIRE"]
    if action == "none":
        return STATUSES["NOTHING"]
    if action == "verify":
        return STATUSES["ROLLBACK" if _moves_back(reported.plan) else "VERIFIED"]
    return STATUSES["ERROR"]


def is_green(reported: Reported) -> bool:
    """True if this model lets the pull request merge: verified, unchanged, or won and pinned."""
    shown = status(reported)
    won = reported.evaluation is not None and reported.evaluation.verdict in WINNING
    needs_pin = won and reported.plan.action in ("train", "judge")
    return shown.green and reported.error is None and (reported.pinned or not needs_pin)


def _moves_back(plan: ModelPlan) -> bool:
    if plan.champion is None or plan.pin is None:
        return False
    return plan.pin.version < plan.champion.version or "rollback" in plan.merge_effect


def results(reported: Reported) -> tuple[RuleResult, ...]:
    """The rules as they came out, floors first."""
    if reported.evaluation is not None:
        return (*reported.evaluation.gate, *reported.evaluation.challenge)
    return reported.gate.rules if reported.gate is not None else ()


def names(models: Sequence[str], most: int = 5) -> str:
    """Model names in backticks, the first few of many."""
    shown = ", ".join(f"`{model.replace('`', '')}`" for model in models[:most])
    return shown + (f" and {len(models) - most} more" if len(models) > most else "")
