"""Score tables for tests: two models on the same random rows, in memory, and policies over them."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from promotion.config.policy import Policy
from promotion.judgement.table import Scores, scores_from_table

from tests.support.policies import policy_from_raw

MEASURE: dict[str, Any] = {
    "test_days": 7,
    "delay_days": 7,
    "dollars": {"caught": "amount", "review": 15},
    "cluster": ["customer_id", "terminal_id"],
    "slices": ["weekend"],
}
GATE: dict[str, Any] = {"net_benefit": "> 1000", "f1": "> 0.20"}
CHALLENGE: dict[str, Any] = {
    "confidence": 0.95,
    "looks": 5,
    "worthwhile": 1000,
    "net_benefit": "superior",
    "f1": {"not_worse_than": 0.05},
}


def policy(measure: dict | None = None, gate: dict | None = None, challenge: dict | None = None) -> Policy:
    """The fraud policy, with parts replaced; a measure's key of None is left out."""
    merged = {k: v for k, v in {**MEASURE, **(measure or {})}.items() if v is not None}
    raw = {"measure": merged, "gate": gate or GATE, "challenge": challenge or CHALLENGE}
    return policy_from_raw("fraud-detector", raw, file="promotion.yaml")


def frame(rows: int = 4000, seed: int = 0, *, finds: tuple[float, float] = (0.7, 0.8)) -> pd.DataFrame:
    """Payments with 5% fraud in bursts. finds: the share of frauds that champion and candidate find."""
    rng = np.random.default_rng(seed)
    terminal = rng.integers(0, rows // 10, rows)
    fraud = (rng.random(rows // 10) < 0.04)[terminal] | (rng.random(rows) < 0.01)
    table = pd.DataFrame(
        {
            "key.id": np.arange(rows),
            "label": fraud.astype(np.int8),
            "column.day": np.datetime64("2018-08-15", "us") + (np.arange(rows) % 7).astype("timedelta64[D]"),
            "column.amount": np.round(rng.gamma(2.0, 60.0, rows), 2),
            "column.customer_id": rng.integers(0, rows // 12, rows),
            "column.terminal_id": np.char.add("t", terminal.astype(str)),
            "column.weekend": (np.arange(rows) % 7 > 4).astype(np.int64),
        }
    )
    noise = rng.random(rows)
    for side, share in zip(("champion", "candidate"), finds, strict=True):
        hit = np.where(fraud, noise < share, rng.random(rows) < 0.01)
        table[f"{side}.score"] = np.round(np.where(hit, 0.5 + rng.random(rows) / 2, rng.random(rows) / 2), 3)
        table[f"{side}.decision"] = hit.astype(np.int8)
    return table


def regression(rows: int = 600, seed: int = 0, *, errors: tuple[float, float] = (12.0, 9.0)) -> pd.DataFrame:
    """A regression by clinics with a custom metric's sums. errors: the models' standard deviations."""
    rng = np.random.default_rng(seed)
    y = np.round(rng.normal(150, 40, rows), 1)
    table = pd.DataFrame(
        {
            "key.id": np.arange(rows),
            "label": y,
            "column.day": [f"2024-02-{19 + i % 7}" for i in range(rows)],
            "column.clinic": rng.integers(0, 60, rows),
        }
    )
    for side, error in zip(("champion", "candidate"), errors, strict=True):
        table[f"{side}.score"] = y + rng.normal(0, error, rows)
        missed = y - table[f"{side}.score"]
        table[f"{side}.sum.cost.cost"] = np.where(missed > 0, 3 * missed, -missed)
        table[f"{side}.sum.cost.n"] = 1.0
    return table


def opened(table: pd.DataFrame, rules: Policy | None = None, *, empty: Iterable[str] = ()) -> Scores:
    """A frame as checked scores; empty: days that are declared to have no rows."""
    return scores_from_table(pa.Table.from_pandas(table, preserve_index=False), rules or policy(), empty=empty)
