"""How far what a model gets, and says, has moved between training and test: the population stability index.

It is computed where the model answers, by numbers alone: no label is there. Only NumPy and pandas, since the process
that answers has nothing of this project on its path.
"""

import itertools
from typing import Any

import numpy as np
import pandas as pd

BINS = 10
MOST_VALUES = 10  # values that are each a bin of their own; more of text are put together
MOST_COLUMNS = 200
MOST_ROWS = 20_000  # of training and of test that are compared
MISSING, OTHER = "missing", "other"


def drift(before: pd.DataFrame, now: pd.DataFrame) -> list[dict[str, Any]]:
    """Return each column's index and its bins: `column`, `psi`, `bins` of (label, share before, share now).

    before, now: rows of training and test. Numbers are binned at the deciles of `before`, other values and few numbers
    one by one; missing ones are a bin. Shares are counted with half a row more in each bin, so that none is zero.
    """
    return [
        {"column": str(name)[:100], **_column(before[name], now[name])}
        for name in list(before.columns)[:MOST_COLUMNS]
        if name in now
    ]


def _column(before: pd.Series, now: pd.Series) -> dict[str, Any]:
    labels, codes = _coded(before, now)
    counts = [np.bincount(part, minlength=len(labels)) for part in codes]
    there = (counts[0] + counts[1]) > 0
    shares = [(part[there] + 0.5) / (part.sum() + 0.5 * there.sum()) for part in counts]
    psi = float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())
    names = [label for label, kept in zip(labels, there, strict=True) if kept]
    bins = [[name, round(float(a), 6), round(float(b), 6)] for name, a, b in zip(names, *shares, strict=True)]
    return {"psi": round(psi, 6), "bins": bins}


def _coded(before: pd.Series, now: pd.Series) -> tuple[list[str], list[np.ndarray]]:
    """Labels of the bins, and in which of them each row is."""
    numeric = pd.api.types.is_numeric_dtype(before) and pd.api.types.is_numeric_dtype(now)
    known = before.dropna()
    if numeric and known.nunique() > MOST_VALUES:
        values = known.to_numpy(np.float64)
        edges = np.unique(np.quantile(values[np.isfinite(values)], np.arange(1, BINS) / BINS))
        texts = [f"{edge:.4g}" for edge in edges]
        spans = [f"{low} to {high}" for low, high in itertools.pairwise(texts)]
        labels = [f"up to {texts[0]}", *spans, f"over {texts[-1]}", MISSING]

        def place(part: pd.Series) -> np.ndarray:
            missing = part.isna().to_numpy()
            found = np.searchsorted(edges, part.fillna(0).to_numpy(np.float64), side="left")
            return np.where(missing, len(labels) - 1, found)

        return labels, [place(before), place(now)]
    said = [_texts(part, numeric) for part in (before, now)]
    common = said[0][said[0] != MISSING].value_counts().index[:MOST_VALUES].tolist()
    labels = [*sorted(common), OTHER, MISSING]
    index = {label: i for i, label in enumerate(labels)}
    return labels, [part.map(lambda text: index.get(text, index[OTHER])).to_numpy(np.int64) for part in said]


def _texts(part: pd.Series, numeric: bool) -> pd.Series:
    def shown_as(value: Any) -> str:
        return f"{float(value):.6g}" if numeric and pd.notna(value) else str(value)[:40]

    shown = part.astype(object).map(shown_as)
    return shown.where(part.notna().to_numpy(), MISSING)


def places(rows: int, most: int) -> np.ndarray:
    """Return the places of at most `most` of so many rows, evenly spread."""
    return np.linspace(0, rows - 1, min(rows, most)).round().astype(int)
