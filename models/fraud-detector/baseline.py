"""Repeat the Fraud Detection Handbook's baseline table and print it beside the published figures.

    python models/fraud-detector/baseline.py

Reads the payments of data.py (made on first use), writes Markdown to standard output, takes about
ten seconds. The book's way of testing is not this project's: it trains on the week from
2018-07-25, tests on the week from 2018-08-08, and removes from each test day the cards whose fraud
was known by then. The gate and the challenge use every row.
"""

import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.append(str(Path(__file__).resolve().parents[2] / "scripts"))

import data
from promotion.model import Rows, Window
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

TRAIN = Window(date(2018, 7, 25), 7)
TEST = Window(date(2018, 8, 8), 7)
DELAY_DAYS = 7
REVIEWS_A_DAY = 100  # cards

# AUC, average precision, card precision@100 of the book's section "Baseline fraud detection system".
PUBLISHED = {
    "logistic regression": (0.871, 0.606, 0.291),
    "tree of depth 2": (0.763, 0.496, 0.241),
    "tree": (0.788, 0.309, 0.243),
    "random forest": (0.867, 0.658, 0.287),
}
ESTIMATORS = {
    "logistic regression": LogisticRegression(random_state=0),
    "tree of depth 2": DecisionTreeClassifier(max_depth=2, random_state=0),
    "tree": DecisionTreeClassifier(random_state=0),
    "random forest": RandomForestClassifier(random_state=0, n_jobs=2),
}


def known_cards(training: Rows, delay: Rows, day: date) -> np.ndarray:
    """Return the customers with a fraud in training, or at least DELAY_DAYS + 1 days before test day `day`."""
    known = [training.columns["customer_id"][training.y == 1]]
    before = delay.columns["day"] <= pd.Timestamp(day - timedelta(days=DELAY_DAYS + 1))
    known.append(delay.columns["customer_id"][before & (delay.y == 1)])
    return np.unique(np.concatenate(known))


def kept_rows(training: Rows, delay: Rows, test: Rows) -> np.ndarray:
    """Return the (n,) mask of the test rows that the book keeps: those of cards not yet known as stolen."""
    keep = np.zeros(len(test.y), bool)
    for offset in range(TEST.days):
        day = TEST.first + timedelta(days=offset)
        unknown = ~test.columns["customer_id"].isin(known_cards(training, delay, day))
        keep |= (test.columns["day"] == pd.Timestamp(day)) & unknown
    return keep


def card_precision(score: np.ndarray, y: np.ndarray, columns: pd.DataFrame, top: int = REVIEWS_A_DAY) -> float:
    """Return the mean over days of the share of stolen cards among the `top` with the highest score.

    score, y: (n,); columns: `day` and `customer_id`. A card's score is that of its highest payment of
    the day; a card that was found is not reviewed again on later days.
    """
    table = columns[["day", "customer_id"]].assign(score=score, fraud=y)
    found: set[int] = set()
    shares = []
    for _, rows in table.groupby("day"):
        cards = rows[~rows["customer_id"].isin(found)].groupby("customer_id")[["score", "fraud"]].max()
        reviewed = cards.sort_values("score", ascending=False, kind="stable").head(top)
        hits = reviewed.index[reviewed["fraud"] == 1]
        found.update(hits)
        shares.append(len(hits) / top)
    return float(np.mean(shares))


def measured() -> Iterator[tuple[str, tuple[float, float, float]]]:
    """Yield each estimator's name and its AUC, average precision and card precision@100."""
    training, test = data.load(TRAIN), data.load(TEST)
    delay = data.load(Window(TRAIN.end, DELAY_DAYS))
    keep = kept_rows(training, delay, test)
    y, columns = test.y[keep], test.columns[keep]
    for name, estimator in ESTIMATORS.items():
        model = make_pipeline(StandardScaler(), estimator).fit(training.X, training.y)
        model[-1].set_params(**({"n_jobs": 1} if "n_jobs" in model[-1].get_params() else {}))
        score = model.predict_proba(test.X[keep])[:, 1]
        figures = (roc_auc_score(y, score), average_precision_score(y, score), card_precision(score, y, columns))
        yield name, tuple(map(float, figures))


def table() -> str:
    """Return the Markdown table: ours, the book's and the difference."""
    lines = [
        "| model | AUC | book | diff | average precision | book | diff | card precision@100 | book | diff |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, figures in measured():
        cells = [
            f"{ours:.3f} | {book:.3f} | {ours - book:+.3f}" for ours, book in zip(figures, PUBLISHED[name], strict=True)
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Print the table."""
    print(table())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
