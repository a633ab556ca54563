"""Whether a model answers each row for itself: shown on its rows before any two requests share a `predict`.

Each of 64 distinct rows is answered alone and then in groups of other rows: pairs, fives, seventeens, all
of them, each in an order of its own. An answer must be the same in value, type and null, floats to 1e-9
(sums over a longer table differ in their last bits). 64 because so many rows at most share a `predict`, so
the largest batch that can occur was tried; and a dependence that shows in one row of twenty, in any of the
four groupings, is missed with 0.95 ** 64 < 4 %. What is always answered alike shows nothing: then the
probabilities behind the decisions must vary. Rows are the model's input example and what was recorded from
requests; where these are fewer, their values are put together anew, column by column. One row is none.
"""

import json
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from promotion.sandbox.same import same

MOST_ROWS = 64  # that may share a predict; the proof uses as many
GROUPS = (2, 5, 17, MOST_ROWS)
PER_ANSWER, MOST_ANSWERS = 32, 64
RETRY_ROWS = 32
WAITING = 6  # times as long as a proof may work it may take by the clock

UNPROVEN = "requests are answered one by one"


@dataclass(frozen=True)
class Proof:
    """What was shown. batching: rows do not depend on each other. array: nor on being in a data frame."""

    batching: bool = False
    array: bool = False
    note: str | None = None


@dataclass
class Recorded:
    """One-row requests seen while nothing is proven, so that it can be: a few for each different answer."""

    rows: list[Any] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    tried: int = 0

    def keep(self, frame: Any, answer: str) -> None:
        """Keep a row unless enough are kept that were answered so."""
        answer = answer[:200]
        seen = self.counts.get(answer, 0)
        if seen < PER_ANSWER and (seen or len(self.counts) < MOST_ANSWERS) and len(self.rows) < 4 * MOST_ROWS:
            self.rows.append(frame)
            self.counts[answer] = seen + 1

    def enough(self) -> bool:
        """Whether a new proof is worth trying: with many rows more than the last time, or now two answers."""
        return len(self.rows) >= self.tried + RETRY_ROWS

    def take(self) -> list[Any]:
        """Return the rows, those of rare answers first, and remember how many they were."""
        self.tried = len(self.rows)
        return list(self.rows)


Steps = Generator[None, None, Proof]


def prove(model: Any, example: Any, recorded: Sequence[Any], as_array: Any = None) -> Steps:
    """Yield after every `predict`, and return what was shown.

    model: a pyfunc model. example: its input example. recorded: data frames of one row. as_array: what
    answers an array, (rows, columns) in the schema's order, if that is to be tried.
    """
    try:
        return (yield from _prove(model, example, recorded, as_array))
    except GeneratorExit:
        raise
    except BaseException as error:  # a model that cannot be shown to be good for it is served all the same
        said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return Proof(note=f"{UNPROVEN}: it could not be shown that a row's answer does not depend on others ({said})")


def finish(steps: Steps, seconds: float) -> Proof:
    """Run a proof to its end, or for `seconds` of processor time.

    What else the machine does changes no answer; only a proof that waits for something ends by the clock, later.
    """
    worked, waited = time.process_time() + seconds, time.monotonic() + WAITING * seconds
    try:
        while True:
            next(steps)
            if time.process_time() > worked or time.monotonic() > waited:
                steps.close()
                return Proof(note=f"{UNPROVEN}: showing that rows do not depend on each other took over {seconds:g} s")
    except StopIteration as stop:
        return stop.value


def _prove(model: Any, example: Any, recorded: Sequence[Any], as_array: Any) -> Steps:
    import pandas as pd

    known = [frame for frame in (example, *recorded) if isinstance(frame, pd.DataFrame) and len(frame)]
    if not known:
        return Proof(note=f"{UNPROVEN}: the model has no input example of a table")
    rows = distinct_rows(pd.concat(known, ignore_index=True))
    if len(rows) < MOST_ROWS:
        return Proof(
            note=f"{UNPROVEN}: {MOST_ROWS} distinct rows are needed to show that rows do not depend on each other, "
            f"and its example and requests give {len(rows)}"
        )
    ones = [rows.iloc[[i]].reset_index(drop=True) for i in range(len(rows))]
    alone = []
    for one in ones:
        alone += texts_of(model.predict(one), [1])
        yield
    note, shown = yield from same_in_groups(model.predict, rows, alone)
    if note is None:
        note, varied = yield from _scores(model, ones, rows)
        if note is None and not shown and not varied:
            note = f"{UNPROVEN}: its answer to all {len(rows)} rows is the same, which shows nothing"
    if note is not None:
        return Proof(note=note)
    array = as_array is not None and (yield from _array(as_array, rows, alone))
    return Proof(batching=True, array=array)


def same_in_groups(predict: Any, rows: Any, alone: list[str]) -> Generator[None, None, tuple[str | None, bool]]:
    """Compare answers in groups with those alone; return (what differs, whether answers vary at all)."""
    for group in grouped(len(rows)):
        taken = rows.iloc[group].reset_index(drop=True) if hasattr(rows, "iloc") else rows[group]
        texts = texts_of(predict(taken), [1] * len(group))
        yield
        for place, text in zip(group, texts, strict=True):
            if not same(alone[place], text):
                return (
                    f"{UNPROVEN}: its answer to a row depends on the other rows "
                    f"({_answer(alone[place])} alone, {_answer(text)} among {len(group)})"
                ), True
    return None, len(set(alone)) > 1


def _scores(model: Any, ones: list[Any], rows: Any) -> Generator[None, None, tuple[str | None, bool]]:
    """The same for the probabilities behind a classifier's decisions, where it has any."""
    try:
        raw = model.get_raw_model()
    except Exception:
        return None, False
    ask = getattr(raw, "predict_proba", None) or getattr(raw, "decision_function", None)
    if ask is None:
        return None, False
    try:
        alone = []
        for one in ones:
            alone += texts_of(ask(one), [1])
            yield
    except Exception:
        return None, False  # the decisions are what is served; these only help to see
    return (yield from same_in_groups(ask, rows, alone))


def _array(as_array: Any, rows: Any, alone: list[str]) -> Generator[None, None, bool]:
    """Whether an array gets the answers of a data frame: the very same alone, and in groups as always."""
    try:
        values = rows.to_numpy(dtype=np.int64 if set(map(str, rows.dtypes)) == {"int64"} else np.float64)
        for place in range(len(values)):
            texts = texts_of(as_array(values[[place]]), [1])
            yield
            if texts[0] != alone[place]:
                return False
        note, _ = yield from same_in_groups(as_array, values, alone)
        return note is None
    except Exception:
        return False


def grouped(rows: int) -> list[np.ndarray]:
    """Return the groups: for each size all rows, in an order of its own, cut into groups of that size."""
    rng = np.random.default_rng(64)
    found = []
    for size in GROUPS:
        order = rng.permutation(rows)
        found += [order[start : start + size] for start in range(0, rows, size)]
    return found


def distinct_rows(known: Any) -> Any:
    """Return at most MOST_ROWS distinct rows of a data frame, and as many more of its values put together anew."""
    import pandas as pd

    known = known.drop_duplicates(ignore_index=True)
    if len(known) < 2:
        return known
    if len(known) > MOST_ROWS:
        # the rarest answers came last or first: take them evenly
        return known.iloc[np.linspace(0, len(known) - 1, MOST_ROWS).round().astype(int)].reset_index(drop=True)
    rng = np.random.default_rng(4096)
    drawn = pd.DataFrame({name: _drawn(known[name], rng, 8 * MOST_ROWS) for name in known.columns})
    drawn = drawn.astype(known.dtypes.to_dict())
    return pd.concat([known, drawn], ignore_index=True).drop_duplicates(ignore_index=True).head(MOST_ROWS)


def _drawn(values: Any, rng: np.random.Generator, size: int) -> Any:
    """Draw from a column: its values, and for numbers half of the time one between two of them."""
    found = values.iloc[rng.integers(len(values), size=size)].reset_index(drop=True)
    numbers = values.to_numpy()
    if numbers.dtype.kind == "i":
        between = rng.integers(numbers.min(), numbers.max(), size=size, endpoint=True)
    elif numbers.dtype.kind == "f" and np.isfinite(numbers).all():
        between = numbers.min() + rng.random(size) * (numbers.max() - numbers.min())
    else:
        return found
    return found.where(rng.random(size) < 0.5, between.astype(numbers.dtype))


def texts_of(predictions: Any, lengths: Sequence[int]) -> list[str]:
    """Return MLflow's JSON of predictions of sum(lengths) rows, cut into parts of `lengths`."""
    from mlflow.pyfunc.scoring_server import predictions_to_json

    if type(predictions) is np.ndarray and predictions.ndim == 1 and predictions.dtype.kind in "ifb":
        if len(predictions) != sum(lengths):
            raise ValueError(f"{len(predictions)} predictions for {sum(lengths)} rows")
        values, found, start = predictions.tolist(), [], 0
        for length in lengths:
            found.append(f'{{"predictions": {json.dumps(values[start : start + length])}}}')
            start += length
        return found
    import io

    found = []
    for part in split(predictions, lengths):
        text = io.StringIO()
        predictions_to_json(part, text)
        found.append(text.getvalue())
    return found


def split(predictions: Any, lengths: Sequence[int]) -> list[Any]:
    """Cut predictions of sum(lengths) rows into parts of `lengths`; ValueError if they are not one a row."""
    import pandas as pd

    known = isinstance(predictions, np.ndarray | pd.DataFrame | pd.Series | list)
    rows = len(predictions) if known and np.ndim(predictions) > 0 else None
    if rows != sum(lengths):
        raise ValueError(f"{rows} predictions for {sum(lengths)} rows")
    sliced = predictions.iloc if isinstance(predictions, pd.DataFrame | pd.Series) else predictions
    ends = np.cumsum(lengths).tolist()
    return [sliced[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def _answer(text: str) -> str:
    return text.removeprefix('{"predictions": [').removesuffix("]}")[:60]
