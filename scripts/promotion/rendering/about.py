"""What surrounds the verdict: what the pull request changes, which decisions flip, and what was not measured."""

from collections.abc import Sequence
from dataclasses import dataclass

from promotion.records.charts import Flip
from promotion.rendering.reported import Links, Reported
from promotion.rendering.rows import MetricRow
from promotion.rendering.terms import Terms
from promotion.text import figures as text

DATA_KEYS = ("as_of", "train_days", "validation_days")
MOST_SETTINGS = 5
MOST_FILES = 6
KINDS = {
    "newly_caught": ("newly caught", "newly caught", "gain"),
    "newly_missed": ("newly missed", "newly missed", "loss"),
    "new_false_alarm": ("new false alarm", "new false alarms", "loss"),
    "false_alarm_gone": ("false alarm less", "false alarms fewer", "gain"),
}


@dataclass(frozen=True)
class Setting:
    """One changed setting of model.yaml; `before` or `after` is None where the key is not there."""

    key: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class File:
    """A changed file below the model's folder; url: its changes on the pull request, None where unknown."""

    path: str
    lines: str
    url: str | None


@dataclass(frozen=True)
class Changes:
    """What the pull request changes: settings, the data's window, files, and how many of each are left out."""

    settings: tuple[Setting, ...]
    more_settings: int
    data: str | None
    files: tuple[File, ...]
    more_files: int
    new: bool


def changes(reported: Reported, links: Links) -> Changes | None:
    """What the pull request changes in a model's folder; None where that is not known, or nothing."""
    found = reported.plan.changed
    if reported.plan.action == "refuse" or found is None or not (found.settings or found.files):
        return None
    settings = [
        Setting(key.removeprefix("parameters."), *ends) for key, *ends in found.settings if key not in DATA_KEYS
    ]
    folder = f"{reported.plan.shown.as_posix()}/"
    files = [File(f.path, _lines(f.added, f.removed), links.diff(folder + f.path)) for f in found.files]
    return Changes(
        settings=() if found.new else tuple(settings[:MOST_SETTINGS]),
        more_settings=0 if found.new else max(0, len(settings) - MOST_SETTINGS) + found.more_settings,
        data=_data(reported),
        files=tuple(files[:MOST_FILES]),
        more_files=max(0, len(files) - MOST_FILES) + found.more_files,
        new=found.new,
    )


def _lines(added: int | None, removed: int | None) -> str:
    if added is None or removed is None:
        return "not text"
    parts = ([f"+{added:,}"] if added else []) + ([f"{text.MINUS}{removed:,}"] if removed else [])
    return " ".join(parts) or "empty"


def _data(reported: Reported) -> str | None:
    """The candidate's windows, and what they were before where the pull request moves them."""
    candidate, evaluation = reported.candidate, reported.evaluation
    if candidate is None:
        return None
    said = f"trained on {' to '.join(candidate.train)}, validated on {' to '.join(candidate.validation)}"
    if evaluation is not None:
        said += f", tested on {evaluation.test.first} to {evaluation.test.last}"
    changed = reported.plan.changed
    if changed is None or changed.new:
        return said
    moved = [f"`{key}` was {before}" for key, before, _ in changed.settings if key in DATA_KEYS and before is not None]
    return said + (f" ({', '.join(moved)})" if moved else " (the same windows as before)")


@dataclass(frozen=True)
class FlipRow:
    """Rows that are decided otherwise now; dollars: the candidate's minus the champion's on them."""

    label: str
    rows: str
    dollars: str
    tone: str
    flip: Flip


def flips(found: Sequence[Flip] | None) -> tuple[FlipRow, ...]:
    """The kinds of changed decisions that occur."""
    rows = []
    for flip in found or ():
        one, many, tone = KINDS[flip.kind]
        dollars = "" if flip.dollars is None else text.figure(flip.dollars, "$", signed=True)
        if flip.rows:
            rows.append(FlipRow(one if flip.rows == 1 else many, text.count(flip.rows), dollars, tone, flip))
    return tuple(rows)


def unmeasured(reported: Reported, metrics: tuple[MetricRow, ...], terms: Terms) -> tuple[str, ...]:
    """What was not measured, or measured and ruled by nothing, each with why."""
    found = []
    if terms.unruled and reported.evaluation is not None:
        columns = ", ".join(f"`{name.replace('`', '')}`" for name in terms.unruled)
        found.append(f"slices by {columns} (shown, but no rule looks at them)")
    for row in metrics:
        if row.comparison.candidate.value is None:
            found.append(f"`{row.name.replace('`', '')}` ({row.comparison.candidate.reason or 'not computed'})")
    evaluation, scores = reported.evaluation, reported.scores
    if evaluation is not None and evaluation.drift is None and evaluation.candidate.digest is not None:
        found.append(f"drift from training to test ({_no_drift(reported)})")
    if scores is not None and not scores.latency_ms:
        found.append("latency (the models were not timed; the log of the scoring job says why)")
    return tuple(found)


def _no_drift(reported: Reported) -> str:
    """Why nothing is compared with the rows that the model was trained on."""
    if reported.plan.elsewhere is not None:
        return "it was trained elsewhere, so its training rows are not here"
    if reported.plan.action == "judge":
        return "it was trained in an earlier run, and training rows are not kept"
    return "the run that judged it had no training rows"


def latency(reported: Reported) -> tuple[str, ...]:
    """How long the models take; informational."""
    measured = reported.scores.latency_ms if reported.scores is not None else {}
    if not measured:
        return ()
    listed = ", ".join(
        f"{name.replace('.', ' ').replace('_', ' ')} {text.milliseconds(ms)}" for name, ms in measured.items()
    )
    return (f"Latency, which no rule looks at: {listed}{_measured_on(reported)}.",)


def _measured_on(reported: Reported) -> str:
    """On which runners, where one was asked for; two different ones are no comparison."""
    runner = reported.plan.runner
    if runner is None or not (runner.runs_on or runner.scored_on):
        return ""
    mine, other = (label or "the workflow's own runner" for label in (runner.runs_on, runner.scored_on))
    if mine == other or reported.plan.champion is None:
        return f", on {mine}"
    return f", the candidate on {mine} and the champion on {other}, so they do not compare"
