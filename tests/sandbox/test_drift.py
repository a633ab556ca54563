"""Drift between training and test: the index by hand, and its bins."""

import json

import numpy as np
import pandas as pd
import pytest
from promotion.records.charts import Drifts
from promotion.sandbox.drift import drift, places
from pydantic import TypeAdapter

RNG = np.random.default_rng(0)


def one(before: list | np.ndarray, now: list | np.ndarray) -> dict:
    """The drift of one column."""
    (found,) = drift(pd.DataFrame({"x": before}), pd.DataFrame({"x": now}))
    TypeAdapter(Drifts).validate_json(json.dumps([{"of": "feature", **found}]))  # as it is recorded
    return found


def test_the_index_is_that_of_its_bins() -> None:
    """Deciles of the training rows, and the sum of (share now - share before) times the log of their ratio."""
    before, now = RNG.normal(size=5000), RNG.normal(0.5, 1, 5000)
    found = one(before, now)
    shares = np.array([[a, b] for _, a, b in found["bins"]])
    cuts = np.quantile(before, np.arange(1, 10) / 10)
    plain = [np.bincount(np.searchsorted(cuts, part), minlength=10) / 5000 for part in (before, now)]

    assert len(shares) == 10 and shares.sum(axis=0) == pytest.approx([1, 1], abs=1e-4)
    assert shares[:, 1] == pytest.approx(plain[1], abs=0.001)
    assert found["psi"] == pytest.approx(float(((plain[1] - plain[0]) * np.log(plain[1] / plain[0])).sum()), rel=0.02)
    assert found["psi"] > 0.2


def test_the_same_rows_have_not_moved() -> None:
    """Rows of one kind have an index near 0, and the same rows exactly 0."""
    rows = RNG.normal(size=5000)

    assert one(rows, rows)["psi"] == 0
    assert one(rows, RNG.normal(size=5000))["psi"] < 0.02


def test_values_and_missing_ones_are_bins() -> None:
    """Text and few numbers are told one by one, values that training did not know together, missing ones apart."""
    found = one(["a", "a", "b", None] * 100, ["a", "c", None, None] * 100)
    flag = one([0.0, 1.0] * 100, [0.0, 0.0, 0.0, 1.0] * 50)

    assert [label for label, _, _ in found["bins"]] == ["a", "b", "other", "missing"]
    assert [round(now, 2) for _, _, now in found["bins"]] == [0.25, 0.0, 0.25, 0.5]
    assert [(label, round(now, 2)) for label, _, now in flag["bins"]] == [("0", 0.75), ("1", 0.25)]


@pytest.mark.parametrize(
    "column",
    [
        [np.nan] * 50,
        [np.inf, *range(49)],
        ["x" * 500] * 50,
        [True, False] * 25,
        [*pd.date_range("2024", periods=50)],
    ],
    ids=["nothing", "infinite", "long text", "truth", "dates"],
)
def test_odd_columns_have_an_index_too(column: list) -> None:
    """Whatever a feature holds is counted and recorded."""
    assert np.isfinite(one(column, column[::-1])["psi"])


def test_rows_are_taken_evenly() -> None:
    """At most so many, the first and the last among them."""
    assert places(5, 10).tolist() == [0, 1, 2, 3, 4]
    assert places(101, 3).tolist() == [0, 50, 100]
