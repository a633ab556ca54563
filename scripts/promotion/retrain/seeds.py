"""How much the same recipe varies: the same trial with other seeds, and where the candidate lies among them."""

import shutil
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from promotion.config.model_yaml import read_spec, with_seed
from promotion.pullrequest.workdir import Work
from promotion.records.evaluation import Evaluation
from promotion.records.figures import Comparison
from promotion.text import figures as text

FOLDER = "seeds"
MOST_METRICS = 4
LIMIT = 2**32


@dataclass(frozen=True)
class Refit:
    """One training of the recipe: its seed, and how it was judged."""

    seed: int
    evaluation: Evaluation


def other_seeds(work: Work, model: str, number: int) -> list[int]:
    """The next seeds after the one that model.yaml says."""
    first = read_spec(work.model(model).side("candidate").source).seed
    return [(first + i) % LIMIT for i in range(1, number + 1)]


def own_refit(work: Work, model: str) -> Refit:
    """The trial itself."""
    files = work.model(model)
    return Refit(read_spec(files.side("candidate").source).seed, Evaluation.read(files.evaluation))


def copy_for(work: Work, model: str, seed: int) -> Work:
    """Return a copy of a trial's folder, below it, in which model.yaml has another seed and nothing is trained yet."""
    where = work.root / FOLDER / str(seed)
    shutil.rmtree(where, ignore_errors=True)
    shutil.copytree(work.root, where, ignore=lambda folder, names: [FOLDER] if Path(folder) == work.root else [])
    copied = Work(where)
    files = copied.model(model)
    for path in (files.evaluation, files.gate, files.scores_record, files.candidate_record):
        path.unlink(missing_ok=True)
    recipe = files.side("candidate").source / "model.yaml"
    recipe.write_text(with_seed(recipe.read_text(encoding="utf-8"), seed, str(recipe)), encoding="utf-8")
    return copied


def told(mine: Refit, others: Sequence[Refit]) -> list[str]:
    """Lines for a terminal: each refit, and where the candidate lies in the lead metric; pure."""
    names = _metrics(mine.evaluation)
    heads = ["seed", *(name.replace("_", " ") for name in names), "difference", "verdict"]
    table = [heads, *(_row(refit, names, yours=refit is mine) for refit in (mine, *others))]
    widths = [max(len(row[i]) for row in table) for i in range(len(heads))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
    return [*lines, "", *_said(mine, others, names[0])]


def _metrics(evaluation: Evaluation) -> list[str]:
    """The metrics that rules look at, the lead first."""
    rules = (*evaluation.challenge, *evaluation.gate)
    ruled = [rule.metric for rule in rules if rule.metric is not None and rule.slice is None]
    first = evaluation.comparisons[0].metric
    known = {one.metric for one in evaluation.comparisons}
    return [name for name in dict.fromkeys([first, *ruled]) if name in known][:MOST_METRICS]


def _found(refit: Refit, name: str) -> Comparison:
    return next(one for one in refit.evaluation.comparisons if one.metric == name and one.slice is None)


def _row(refit: Refit, names: Sequence[str], *, yours: bool) -> list[str]:
    lead = _found(refit, names[0])
    gap = None if lead.difference is None else lead.difference.value
    values = [text.figure(one.candidate.value, one.unit) for one in (_found(refit, name) for name in names)]
    seed = f"{refit.seed} (yours)" if yours else str(refit.seed)
    return [seed, *values, text.figure(gap, lead.unit, signed=True), refit.evaluation.verdict]


def _said(mine: Refit, others: Sequence[Refit], name: str) -> list[str]:
    """Where the candidate lies among its refits."""
    lead = _found(mine, name)
    values = [one.value for refit in (mine, *others) if (one := _found(refit, name).candidate).value is not None]
    known = [value for value in values if value is not None]
    if lead.candidate.value is None or len(known) < 2:
        return [f"{name} is not known for enough seeds to say how much it varies."]
    if len(set(known)) == 1:
        return ["The seed changes nothing: every refit has the same figures."]
    sign = 1 if lead.better == "higher" else -1
    place = 1 + sum(sign * value > sign * lead.candidate.value for value in known)
    low, high = (text.figure(end, lead.unit) for end in (min(known), max(known)))
    spread = text.figure(statistics.stdev(known), lead.unit)
    verdicts = [refit.evaluation.verdict for refit in others]
    alike = sum(verdict == mine.evaluation.verdict for verdict in verdicts)
    return [
        f"Of {len(known)} seeds yours is number {place} in {name.replace('_', ' ')}, from the best on: "
        f"{low} to {high}, standard deviation {spread}.",
        f"{alike} of the {len(verdicts)} others would get the same verdict, {mine.evaluation.verdict}.",
    ]
