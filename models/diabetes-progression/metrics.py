"""This model's own metrics: sums per row, over which promotion.yaml's `measure.metrics` gives the formula.

treatment_cost: {formula: cost / n, better: lower}
"""

import numpy as np
import pandas as pd

UNDER, OVER = 3.0, 1.0  # invented weights: a patient who is treated too little costs three times as much


def treatment_cost(y: np.ndarray, prediction: np.ndarray, columns: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return per row the cost of treating by `prediction` what turned out as `y`, and the count 1.

    y, prediction: (n,) progression. cost: UNDER for each unit predicted too low, OVER for each too high.
    """
    missed = y - prediction
    return {"cost": np.where(missed > 0, UNDER * missed, -OVER * missed), "n": np.ones(len(y))}
