"""models/fraud-detector/data.py: the Handbook's payments, features without a leak, and the stored file."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from threading import Barrier

import numpy as np
import pandas as pd
import pytest
from promotion.model import Window

from tests.support.folder import FOLDERS, REPOSITORY, module

SMALL = {"customers": 60, "terminals": 80, "days": 60, "radius": 25.0}
DAY = 86_400

# Prints a digest of a small simulation with its features, and of what is written.
DIGEST = """
import hashlib, sys
sys.path[:0] = sys.argv[1:]
import data, pandas as pd
made = data.add_features(data.simulate(customers=40, terminals=60, days=40, radius=25.0))
print(len(made), hashlib.sha256(pd.util.hash_pandas_object(made).to_numpy().tobytes()).hexdigest())
"""


@pytest.fixture(scope="module")
def data():
    """The module models/fraud-detector/data.py."""
    return module("fraud-detector", "data")


@pytest.fixture(scope="module")
def small(data) -> pd.DataFrame:
    """Two months of few customers, with features."""
    return data.add_features(data.simulate(**SMALL))


@pytest.fixture(scope="module")
def full(data) -> pd.DataFrame:
    """All 183 days, without features."""
    return data.simulate()


@pytest.mark.slow
def test_the_payments_are_the_handbooks_own(full: pd.DataFrame) -> None:
    """Rows, frauds and the first payments are those that the book prints."""
    assert (len(full), full["fraud"].sum()) == (1_754_155, 14_681)
    first = full.loc[:1, ["second", "customer_id", "terminal_id", "cents"]].to_numpy().tolist()
    assert first == [[31, 596, 3156, 5716], [130, 4961, 3412, 8151]]


@pytest.mark.slow
def test_the_books_training_week_has_its_rows(full: pd.DataFrame) -> None:
    """The week from 2018-07-25 has the book's 67,240 payments."""
    day = full["second"] // DAY

    assert ((day >= 115) & (day < 122)).sum() == 67_240


@pytest.mark.slow
def test_large_amounts_are_always_fraud(full: pd.DataFrame) -> None:
    """Scenario 1: every payment over 220 dollars is a fraud, and amounts are whole cents of 0 or more."""
    assert full.loc[full["cents"] > 220_00, "fraud"].eq(1).all()
    assert full["cents"].ge(0).all()


def test_two_processes_make_the_same_rows() -> None:
    """The same source gives the same bytes whatever the hash seed of the process."""
    paths = [str(FOLDERS / "fraud-detector"), str(REPOSITORY / "scripts")]
    printed = [
        subprocess.run(
            [sys.executable, "-c", DIGEST, *paths],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]

    assert printed[0] == printed[1]


def test_another_seed_makes_other_rows(data) -> None:
    """The seed decides the rows, and the same seed gives them again."""
    one, again, other = (data.simulate(**{**SMALL, "days": 10}, seed=seed) for seed in (3, 3, 4))

    pd.testing.assert_frame_equal(one, again)
    assert not one["cents"].head(50).equals(other["cents"].head(50))


def brute_force(table: pd.DataFrame, at: int) -> dict[str, float]:
    """The features of row `at`, from their definition, one row at a time."""
    row, time = table.iloc[at], table["second"]
    moment = pd.Timestamp("2018-04-01") + timedelta(seconds=int(row["second"]))
    found = {"weekend": float(moment.weekday() >= 5), "night": float(moment.hour <= 6)}
    for days in (1, 7, 30):
        own = table[
            (table["customer_id"] == row["customer_id"])
            & (time > row["second"] - days * DAY)
            & (table["transaction_id"] <= row["transaction_id"])
        ]
        found[f"customer_count_{days}d"] = len(own)
        found[f"customer_mean_amount_{days}d"] = own["cents"].sum() / 100 / len(own)
        known = row["second"] - 7 * DAY
        there = table[(table["terminal_id"] == row["terminal_id"]) & (time > known - days * DAY) & (time <= known)]
        found[f"terminal_count_{days}d"] = len(there)
        found[f"terminal_fraud_rate_{days}d"] = there["fraud"].sum() / len(there) if len(there) else 0.0
    return found


def test_features_are_what_their_definition_says(small: pd.DataFrame) -> None:
    """On 150 rows spread over two months every feature equals a count over the rows, one by one."""
    chosen = np.linspace(0, len(small) - 1, 150).astype(int)
    expected = pd.DataFrame([brute_force(small, at) for at in chosen]).astype(float)
    found = small.iloc[chosen][list(expected.columns)].astype(float).reset_index(drop=True)

    assert expected["terminal_fraud_rate_30d"].gt(0).any()
    pd.testing.assert_frame_equal(expected, found, rtol=1e-12)


def test_no_feature_sees_a_label_before_it_was_known(data, small: pd.DataFrame) -> None:
    """Turning every label of the last 7 days around changes no feature of the last day."""
    last = int(small["second"].max() // DAY)
    day = small["second"] // DAY
    turned = small.assign(fraud=small["fraud"].where(day <= last - 7, 1 - small["fraud"]))
    features = list(data.FEATURES[1:])
    today = day == last

    pd.testing.assert_frame_equal(small.loc[today, features], data.add_features(turned).loc[today, features])
    older = small.assign(fraud=small["fraud"].where(day != last - 8, 1 - small["fraud"]))
    assert not small.loc[today, features].equals(data.add_features(older).loc[today, features])


def test_windows_hold_their_days_and_no_others(data, small: pd.DataFrame, tmp_path: Path, monkeypatch) -> None:
    """Neighbouring windows share no row, and together are the days that they name."""
    path = tmp_path / "small.parquet"
    data.write(small, path, SMALL["days"])
    monkeypatch.setattr(data, "stored", lambda: path)
    one, two = data.load(Window(date(2018, 4, 10), 7)), data.load(Window(date(2018, 4, 17), 3))

    day = small["second"] // DAY
    assert small.loc[day.between(9, 15), "transaction_id"].tolist() == one.keys["transaction_id"].tolist()
    assert small.loc[day.between(16, 18), "transaction_id"].tolist() == two.keys["transaction_id"].tolist()
    assert pd.Timestamp("2018-04-16") == one.columns["day"].max()
    assert pd.Timestamp("2018-04-17") == two.columns["day"].min()


def test_rows_name_what_a_reader_slices_by(data, small: pd.DataFrame) -> None:
    """Slices, clusters, money and labels are those of the payment, and features are numbers."""
    rows = data.rows(small)
    columns = rows.columns

    assert {"day", "amount", "customer_id", "terminal_id", "weekend", "night", "amount_band"} == set(columns)
    assert list(data.FEATURES) == list(rows.X.columns)
    assert {np.dtype("float64")} == set(rows.X.dtypes)
    weekday = columns["day"].dt.dayofweek >= 5
    assert np.where(weekday, "weekend", "weekday").tolist() == columns["weekend"].tolist()
    assert columns.loc[columns["amount_band"] == "over 220", "amount"].gt(220).all()
    assert columns.loc[columns["amount_band"] != "over 220", "amount"].le(220).all()


@pytest.mark.parametrize(
    "window", [Window(date(2018, 3, 31), 7), Window(date(2018, 9, 28), 7), Window(date(2018, 5, 1), 0)]
)
def test_a_window_outside_the_data_is_one_sentence(data, window: Window) -> None:
    """Days that were never simulated are refused with the days that there are, before anything is made."""
    with pytest.raises(ValueError, match="run from 2018-04-01 to 2018-09-30"):
        data.load(window)


def test_the_file_is_made_once_and_named_by_its_source(tmp_path: Path, monkeypatch) -> None:
    """A changed data.py makes another file and leaves the old one; the same data.py makes nothing."""
    monkeypatch.setenv("PROMOTION_DATA_DIR", str(tmp_path / "kept"))
    source = (FOLDERS / "fraud-detector" / "data.py").read_text()
    made = []
    for number, text in enumerate((source, source, source + "\n# changed\n")):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "data.py").write_text(text)
        copy = module("fraud-detector", "data", file=folder / "data.py")
        tiny = copy.simulate(**{**SMALL, "days": 3})
        monkeypatch.setattr(copy, "simulate", lambda tiny=tiny: tiny)
        before = set((tmp_path / "kept").glob("*/*"))
        path = copy.stored()
        made.append((path, path in before))

    assert made[0][0] == made[1][0] != made[2][0]
    assert [there for _, there in made] == [False, True, False]
    assert {made[0][0], made[2][0]} == set((tmp_path / "kept").glob("*/*"))


def test_two_makers_at_once_leave_one_whole_file(data, small: pd.DataFrame, tmp_path: Path, monkeypatch) -> None:
    """Two makers that both found nothing end with one readable file and no leftovers."""
    monkeypatch.setenv("PROMOTION_DATA_DIR", str(tmp_path))
    both_found_nothing = Barrier(2)

    def simulate() -> pd.DataFrame:
        both_found_nothing.wait(timeout=30)
        return small[list(small.columns[:7])]

    monkeypatch.setattr(data, "simulate", simulate)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: data.stored(), range(2))

    assert first == second
    assert [first] == list(first.parent.iterdir())
    assert len(small) == len(pd.read_parquet(first))


def test_git_ignores_the_kept_data(tmp_path: Path, monkeypatch) -> None:
    """The default folder of the kept data is one that git ignores."""
    monkeypatch.delenv("PROMOTION_DATA_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    from promotion.model import data_dir

    place = data_dir("fraud-detector").relative_to(tmp_path) / "transactions-0.parquet"
    ignored = subprocess.run(["git", "check-ignore", "--no-index", "-q", str(place)], cwd=REPOSITORY, check=False)

    assert ignored.returncode == 0
