"""The 442 diabetes patients of scikit-learn's `load_diabetes`, by the day of an invented first visit.

The measurements and the disease's progression after one year are real (Efron, Hastie, Johnstone and
Tibshirani, *Least Angle Regression*, 2004). The visit's day and the clinic are not in that data: they
are drawn here, once and for all, so that a regression on few rows can go through windows and clusters.
"""

from datetime import date, timedelta

import numpy as np
import pandas as pd
from promotion.model import Rows, Window
from sklearn.datasets import load_diabetes

FIRST_DAY = date(2024, 1, 1)
DAYS = 84  # five or six first visits a day
CLINICS = 40
SEED = 0


def load(window: Window) -> Rows:
    """Return the patients whose first visit lies in `window`, in order of day and patient.

    X: ten measurements in their own units. y: progression after one year, 25 to 346. The key is
    `patient_id`. columns: `day`, `sex` ("1" or "2": the source does not say which is which),
    `age_band` and the cluster `clinic`. Raises ValueError where the window reaches outside the days.
    """
    first = (window.first - FIRST_DAY).days
    if window.days < 1 or first < 0 or first + window.days > DAYS:
        last = FIRST_DAY + timedelta(days=DAYS - 1)
        raise ValueError(f"the visits run from {FIRST_DAY} to {last}, so there are none for {window}")
    patients, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    visit, clinic = visits(len(patients))
    here = np.flatnonzero((visit >= first) & (visit < first + window.days))
    here = here[np.argsort(visit[here], kind="stable")]
    X = patients.iloc[here].astype("float64").reset_index(drop=True)
    columns = pd.DataFrame(
        {
            "day": pd.Timestamp(FIRST_DAY) + pd.to_timedelta(visit[here], unit="D"),
            "sex": X["sex"].astype(int).astype(str),
            "age_band": np.array(["under 40", "40-59", "60 and over"])[np.digitize(X["age"], [40, 60])],
            "clinic": clinic[here],
        }
    )
    return Rows(X=X, y=y.to_numpy(dtype=float)[here], keys=pd.DataFrame({"patient_id": here}), columns=columns)


def visits(patients: int) -> tuple[np.ndarray, np.ndarray]:
    """Return each patient's day (0 to DAYS - 1, evenly filled) and clinic (0 to CLINICS - 1), (patients,) each."""
    draw = np.random.RandomState(SEED)  # a stream that NumPy promises to keep
    return draw.permutation(patients) * DAYS // patients, draw.randint(CLINICS, size=patients)
