"""Looks: how many different candidates were judged on test days that overlap; counted in MLflow."""

from datetime import date, timedelta

from promotion.records.figures import Looks
from promotion.registry.client import Registry, Run

LOOK = "look."


def look_tag(first: str, last: str) -> str:
    """The run tag (without our prefix) that says: judged on these test days; its value is the predictions' digest."""
    return f"{LOOK}{first}.{last}"


def looks_of(run: Run) -> list[tuple[str, str, str]]:
    """Return (first day, last day, predictions digest) of every judgement that a run took part in."""
    found = []
    for key, value in run.tags.items():
        if key.startswith(LOOK):
            first, _, last = key.removeprefix(LOOK).partition(".")
            found.append((first, last, value))
    return found


def count_looks(runs: list[Run], *, predictions: str, first: str, last: str, allowed: int) -> Looks:
    """Return which look this candidate is; the same predictions on the same days keep their number.

    `runs` are all of the model's runs, oldest first: rejected candidates count too.
    """
    seen: list[str] = []
    for run in runs:
        for its_first, its_last, digest in looks_of(run):
            if its_first <= last and first <= its_last and digest not in seen:
                seen.append(digest)
    number = seen.index(predictions) + 1 if predictions in seen else len(seen) + 1
    return Looks(number=number, allowed=allowed)


def newest_looks(runs: list[Run]) -> int:
    """How many candidates were judged on days that overlap the newest ones; 0 where none was."""
    spans = [(first, last, digest) for run in runs for first, last, digest in looks_of(run)]
    if not spans:
        return 0
    newest = max(spans, key=lambda span: span[1])
    return len({digest for first, last, digest in spans if first <= newest[1] and newest[0] <= last})


def fresh_since(runs: list[Run], *, predictions: str, committed_on: date, delay_days: int) -> date:
    """Return the day after which a label must have become known to count with `confirm: fresh`.

    That is the day on which the candidate's tree was committed, or, where that is later, the day on which
    the labels of the last day became known that another candidate was judged on before: each day once.
    """
    latest = committed_on
    for run in runs:
        looks = looks_of(run)
        if any(digest == predictions for _, _, digest in looks):
            break  # this candidate's own first judgement: what came later takes nothing from it
        for _, last, _ in looks:
            latest = max(latest, date.fromisoformat(last) + timedelta(days=delay_days))
    return latest


def count_in(registry: Registry, model: str, *, predictions: str, first: str, last: str, allowed: int) -> Looks:
    """Count in the registry's runs; see count_looks."""
    return count_looks(registry.runs(model), predictions=predictions, first=first, last=last, allowed=allowed)
