"""What a model folder exchanges with the verbs: time windows, rows, and the spec from its model.yaml.

This is the only module of this project that code below `models/` imports, so it stays small and its
names stay put: the champion's folder of last year runs against it too.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # verbs that plan and judge read it too, where no data frame is installed
    import numpy as np
    import pandas as pd


@dataclass(frozen=True)
class Window:
    """`days` whole days from `first` on."""

    first: date
    days: int

    @property
    def last(self) -> date:
        """The last day inside the window."""
        return self.first + timedelta(days=self.days - 1)

    @property
    def end(self) -> date:
        """The first day after the window."""
        return self.first + timedelta(days=self.days)

    def __str__(self) -> str:
        return f"{self.first} to {self.last}"


@dataclass(frozen=True)
class Rows:
    """n rows of one window.

    X: (n, features) what the model accepts. y: (n,) labels: 0/1 for a classifier, float for a
    regression. keys: (n, k) columns that name a row once and for all. columns: (n, c) what metrics,
    clusters and slices need, among them `day` (datetime64, the day the row belongs to).
    """

    X: pd.DataFrame
    y: np.ndarray
    keys: pd.DataFrame
    columns: pd.DataFrame


@dataclass(frozen=True)
class Spec:
    """A model folder's `model.yaml`: the windows' dates, the seed, and the caller's own parameters."""

    as_of: date
    train_days: int
    validation_days: int
    seed: int
    parameters: dict[str, Any] = field(default_factory=dict)
    trusted_types: tuple[str, ...] = ()
    run: str | None = None


def data_dir(model: str) -> Path:
    """The folder where a model's data.py may keep what it made, by model; ignored by git, safe to delete."""
    root = Path(os.environ.get("PROMOTION_DATA_DIR") or Path.cwd() / ".data")
    folder = root / model
    folder.mkdir(parents=True, exist_ok=True)
    return folder
