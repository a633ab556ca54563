"""A small made-up classification task: 200 rows a day, one strong and one weak feature."""

import numpy as np
import pandas as pd
from promotion.model import Rows, Window

ROWS_A_DAY = 200


def load(window: Window) -> Rows:
    """Return the rows of a window; the same day gives the same rows whatever window it is in."""
    days = [pd.Timestamp(window.first) + pd.Timedelta(days=i) for i in range(window.days)]
    tables = [one_day(day) for day in days]
    table = pd.concat(tables, ignore_index=True)
    return Rows(
        X=table[["hint", "clue"]],
        y=table["y"].to_numpy(),
        keys=table[["row_id"]],
        columns=table[["day", "amount", "shop", "size"]],
    )


def one_day(day: pd.Timestamp) -> pd.DataFrame:
    """Return one day's rows."""
    rng = np.random.default_rng(day.toordinal())
    y = (rng.random(ROWS_A_DAY) < 0.2).astype(int)
    return pd.DataFrame(
        {
            "row_id": day.toordinal() * 1000 + np.arange(ROWS_A_DAY),
            "hint": y + rng.normal(0, 1.0, ROWS_A_DAY),
            "clue": y + rng.normal(0, 0.4, ROWS_A_DAY),
            "y": y,
            "day": day,
            "amount": rng.integers(10, 200, ROWS_A_DAY).astype(float),
            "shop": rng.integers(0, 40, ROWS_A_DAY),
            "size": np.where(rng.random(ROWS_A_DAY) < 0.5, "small", "large"),
        }
    )
