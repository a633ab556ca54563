"""What is reported about one model, and how it stands."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from promotion.records.evaluation import WINNING, Evaluation
from promotion.records.figures import RuleResult
from promotion.records.plan import ModelPlan
from promotion.records.steps import Candidate, Gate, ScoresInfo
from promotion.text import escape


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
class Links:
    """Where a report's reader can go on: the workflow's run, the full report, the pull request; None where unknown."""

    run: str | None = None
    report: str | None = None
    pull: str | None = None

    def known(self, name: str) -> str | None:
        """An address that is safe to link, or None."""
        return escape.link(getattr(self, name))

    @property
    def shown(self) -> tuple[tuple[str, str], ...]:
        """(label, address) of what a foot links."""
        names = (("full report", "report"), ("pull request", "pull"), ("workflow run", "run"))
        return tuple((label, url) for label, name in names if (url := self.known(name)) is not None)

    @property
    def number(self) -> int | None:
        """The pull request's number."""
        found = re.search(r"/pull/([1-9][0-9]*)$", self.pull or "")
        return None if found is None else int(found[1])

    def diff(self, path: str) -> str | None:
        """The address of one file's changes on the pull request."""
        pull = self.known("pull")
        return None if pull is None else f"{pull}/files#diff-{hashlib.sha256(path.encode()).hexdigest()}"


NOWHERE = Links()


@dataclass(frozen=True)
class Status:
    """A verdict as it is shown: an icon and a word that need no colour, and a tone for those who see it.

    label: what the pull request is labelled with, None for none.
    """

    word: str
    icon: str
    glyph: str
    tone: str
    green: bool
    label: str | None = None


STATUSES = {
    "PROMOTE": Status("PROMOTE", "✅", "✓", "good", True, "promote"),
    "FIRST": Status("FIRST", "✅", "✓", "good", True, "promote"),
    "SAME": Status("SAME", "✅", "=", "good", True, "promote"),
    "KEEP": Status("KEEP", "✋", "✕", "bad", False, "keep"),
    "INCONCLUSIVE": Status("INCONCLUSIVE", "❓", "?", "unsure", False, "inconclusive"),
    "REJECTED": Status("REJECTED", "❌", "✕", "bad", False, "rejected"),
    "VERIFIED": Status("VERIFIED", "✅", "✓", "good", True, "promote"),
    "ROLLBACK": Status("ROLLBACK", "⏪", "↶", "good", True, "rollback"),
    "RETIRE": Status("RETIRE", "⏹️", "■", "unsure", True),
    "REFUSED": Status("REFUSED", "🚫", "✕", "bad", False),
    "ERROR": Status("ERROR", "⚠️", "!", "bad", False),
    "NOTHING": Status("NOTHING TO DO", "➖", "–", "good", True),
    "ALONE": Status("GATE PASSED", "☑️", "✓", "unsure", False),
}
LABEL = "promotion: "


def status(reported: Reported) -> Status:
    """How the model stands; whatever was not judged counts as an error, never as a pass."""
    plan = reported.plan
    judged = plan.action in ("train", "judge")
    if plan.action == "refuse":
        return STATUSES["REFUSED"]
    if reported.evaluation is not None and judged:
        verdict = reported.evaluation.verdict
        return STATUSES["ALONE" if plan.gate_alone and verdict in WINNING else verdict]
    if judged and reported.gate is not None and not reported.gate.passed:
        return STATUSES["REJECTED"]
    if reported.error is not None:
        return STATUSES["ERROR"]
    if plan.action in ("none", "verify") and plan.champion is not None and plan.pin is None:
        return STATUSES["RETIRE"]
    if plan.action == "none":
        return STATUSES["NOTHING"]
    if plan.action == "verify":
        return STATUSES["ROLLBACK" if _moves_back(plan) else "VERIFIED"]
    return STATUSES["ERROR"]


def is_green(reported: Reported) -> bool:
    """True if this model lets the pull request merge: verified, unchanged, or won and pinned."""
    shown = status(reported)
    won = reported.evaluation is not None and reported.evaluation.verdict in WINNING
    needs_pin = won and reported.plan.action in ("train", "judge")
    return shown.green and reported.error is None and (reported.pinned or not needs_pin)


def labels(models: Sequence[Reported], *, refused: bool = False) -> tuple[str, ...]:
    """Return the pull request's labels: how its models came out, and only the losers where one lost."""
    shown = [status(item) for item in models]
    if refused or any(item.error is not None for item in models):
        return ()
    lost = [one for one in shown if not one.green]
    return tuple(dict.fromkeys(LABEL + one.label for one in lost or shown if one.label is not None))


def every_label() -> tuple[str, ...]:
    """Every label that `labels` may give: one of these that a pull request has and should not is taken off."""
    return tuple(dict.fromkeys(LABEL + one.label for one in STATUSES.values() if one.label is not None))


def _moves_back(plan: ModelPlan) -> bool:
    """A pin that wins may have a lower number than the champion: it was registered before that one was merged."""
    return ", rollback to " in plan.merge_effect


def results(reported: Reported) -> tuple[RuleResult, ...]:
    """The rules as they came out, floors first."""
    if reported.evaluation is not None:
        return (*reported.evaluation.gate, *reported.evaluation.challenge)
    return reported.gate.rules if reported.gate is not None else ()


def versions(reported: Reported) -> tuple[int | None, int | None]:
    """(the champion's version, the version that merging would pin), None where there is none."""
    evaluation, gate, base = reported.evaluation, reported.gate, reported.plan.champion
    old = None if base is None else base.version
    if reported.elsewhere and evaluation is not None and evaluation.champion is not None:
        old = evaluation.champion.version
    new = evaluation.candidate.version if evaluation is not None else None
    pin = reported.plan.pin if reported.plan.action == "verify" else None
    new = new or (gate.version if gate is not None else None) or reported.plan.version
    new = pin.version if pin is not None else new
    new = None if reported.plan.gate_alone else new  # of a throwaway tracker
    return old, new


def names(models: Sequence[str], most: int = 5) -> str:
    """Model names in backticks, the first few of many."""
    shown = ", ".join(f"`{model.replace('`', '')}`" for model in models[:most])
    return shown + (f" and {len(models) - most} more" if len(models) > most else "")
