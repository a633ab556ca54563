"""Champion and candidate side by side: rows as the base's tree has them, and each model's answers to them.

Keys, labels and columns come from the base's data.py. What the candidate's own data.py says of them is compared and
told, and counts for nothing; of the candidate only its answers are taken.
"""

import shutil
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from promotion.config.model_yaml import read_spec
from promotion.config.requirements import why_no_lock
from promotion.errors import PromotionError
from promotion.pullrequest.workdir import ModelWork, base_side
from promotion.records.plan import ModelPlan
from promotion.sandbox.packages import packages_of
from promotion.sandbox.run import run_model_code
from promotion.text.progress import progress

FIRST_ROWS = (
    "the base has no data.py of this model, so what is measured (keys, labels, money) is what this pull request's says"
)


def window(plan: ModelPlan, files: ModelWork) -> tuple[date, int]:
    """The first test day, which is the candidate's as_of, and how many there are; those of a look after a merge."""
    if plan.looked is not None:
        return date.fromisoformat(plan.looked[0]), plan.looked[1]
    spec = read_spec(files.side("candidate").source, shown=plan.shown)
    return spec.as_of, plan.judged_by.measure.test_days


def packages(plan: ModelPlan, files: ModelWork, side: str) -> str | None:
    """The packages that a side's own tree asks for; where a champion's lock is older than the base's, that one wins."""
    note = without_lock(plan, files, side)
    if note is not None:
        print(f"{plan.model}: {note}")
        return None
    return packages_of(files.side(side).source, plan.shown, base_wins=_is_past(plan, side))


def without_lock(plan: ModelPlan, files: ModelWork, side: str) -> str | None:
    """Say so where a tree of the past, such as an adopted champion's, has a requirements.txt that is no lock."""
    why = why_no_lock(files.side(side).source, plan.shown) if _is_past(plan, side) else None
    if why is None:
        return None
    return (
        f"the requirements.txt of the {side}'s own tree is no lock ({why}), so it runs with the base's packages alone; "
        "where it needs others, whoever may push to the production branch commits a lock"
    )


def _is_past(plan: ModelPlan, side: str) -> bool:
    """Whether a side is, or was, champion, so that no pull request can mend its tree."""
    return side != "candidate" or plan.action == "watch"


def make_features(plan: ModelPlan, files: ModelWork, side: str) -> None:
    """Let the data.py of a side's tree write the test rows: what its model gets, and what they are measured by."""
    own = files.side(side)
    first, days = window(plan, files)
    for folder in (own.features, own.table):
        shutil.rmtree(folder, ignore_errors=True)
    job = {
        "source": str(own.source.resolve()),
        "first": str(first),
        "days": days,
        "features": str(own.features.resolve()),
        "table": str(own.table.resolve()),
        "declares": side == base_side(files),
        "needs": _needed(plan) if side == base_side(files) else {},
        "packages": packages(plan, files, side),
    }
    what = f"{plan.model}: the {side}'s data.py makes the test rows"
    with progress(what, days, "days", done=lambda: len(list(own.features.glob("part-*")))):
        run_model_code("features", job, log=own.root / "features.log", blame=plan.shown)


def _needed(plan: ModelPlan) -> dict[str, str]:
    """The columns that the policy names, and the key that names each."""
    measure = plan.judged_by.measure
    named = {"dollars": [v for v in measure.dollars.values() if isinstance(v, str)]}
    named |= {"cluster": list(measure.cluster), "slices": list(measure.slices)}
    return {column: f"measure.{key}" for key, columns in named.items() for column in columns}


def join(files: ModelWork, sides: Sequence[str], first: date, days: int) -> tuple[str, ...]:
    """Write scores/ from the sides' tables, answers and sums, a part a day; return what the candidate says differently.

    Raise PromotionError where the two trees give other rows, which cannot be compared.
    """
    shutil.rmtree(files.scores, ignore_errors=True)
    files.scores.mkdir(parents=True)
    base = base_side(files)
    changes = [FIRST_ROWS] if base == "candidate" else _other_metrics(files)
    for offset in range(days):
        name = f"part-{first + timedelta(days=offset)}.parquet"
        tables = {side: _table(files.side(side).table / name) for side in {base, "candidate"}}
        if all(table is None for table in tables.values()):
            continue
        if any(table is None for table in tables.values()):
            raise PromotionError(
                f"only one of the base's data.py and the candidate's has rows on {name[5:15]}; both must give the same"
            )
        if base == "champion":
            changes += _compare(tables["candidate"], tables["champion"], name[5:15])
        joined = tables[base].drop(columns=PLACE)
        for side in sides:
            places = tables[side if side in tables else base][PLACE].to_numpy()
            answers = _answers(files.side(side).answers / name, len(joined))
            joined = joined.join(answers.iloc[places].reset_index(drop=True).add_prefix(f"{side}."))
        joined.to_parquet(files.scores / name, index=False)
    return tuple(dict.fromkeys(changes))


PLACE = "place"  # of a row in its file, where its answer is too


def _table(path: Path) -> Any:
    """A day's rows in the order of their keys, and each one's place in the file; None where there are none."""
    import pandas as pd

    if not path.is_file():
        return None
    table = pd.read_parquet(path)
    table[PLACE] = range(len(table))
    if not _keys(table):
        raise PromotionError("no key.* column, so rows cannot be told apart", file=path)
    return table.sort_values(_keys(table), ignore_index=True)


def _keys(table: Any) -> list[str]:
    return [column for column in table if column.startswith("key.")]


def _answers(path: Path, rows: int) -> Any:
    """A side's answers of a day, in the order of its table."""
    import pandas as pd

    if not path.is_file():
        raise PromotionError("missing: the model did not answer this day; answer again", file=path)
    found = pd.read_parquet(path)
    if set(found) not in ({"score"}, {"score", "decision"}) or len(found) != rows:
        raise PromotionError(f"it has {len(found)} answers to {rows} rows, or other columns; answer again", file=path)
    return found


def add_sums(files: ModelWork, sums: Path) -> None:
    """Put the sums of the model folder's own metrics, a part a day, beside the answers that they are made from."""
    import pandas as pd

    for path in sorted(files.scores.glob("part-*.parquet")):
        pd.read_parquet(path).join(pd.read_parquet(sums / path.name)).to_parquet(path, index=False)


def _compare(candidate: Any, base: Any, day: str) -> list[str]:
    """Return what the candidate's data.py says differently, in sentences; other rows than the base's are an error."""
    keys = _keys(candidate)
    if keys != _keys(base):
        raise PromotionError(
            f"the candidate's rows are keyed by {keys}, the base's by {_keys(base)}; they cannot be paired"
        )
    if len(candidate) != len(base) or not candidate[keys].equals(base[keys]):
        raise PromotionError(
            f"on {day} the candidate's data.py gives {len(candidate)} rows and the base's {len(base)}, "
            "or other keys; both models must be judged on the same rows, so keep the test rows as they are"
        )
    changes = []
    if not candidate["label"].equals(base["label"]):
        changes.append("the candidate's data.py changes the labels of test rows")
    mine, theirs = ({c for c in table if c.startswith("column.")} for table in (candidate, base))
    changes += [f"the candidate's data.py drops the column {c[7:]}" for c in sorted(theirs - mine)]
    for column in sorted(mine & theirs):
        if not candidate[column].equals(base[column]):
            changes.append(f"the candidate's data.py changes the values of {column[7:]}")
    return [f"{change}; both models are judged by the base's" for change in changes]


def _other_metrics(files: ModelWork) -> list[str]:
    mine, theirs = (files.side(side).source / "metrics.py" for side in ("candidate", "champion"))
    if theirs.is_file() and (not mine.is_file() or mine.read_bytes() != theirs.read_bytes()):
        return ["the candidate's metrics.py differs; both models are judged by the base's"]
    return []
