"""The payments of the Fraud Detection Handbook's simulator, with its features, by window of days.

The simulator and the features are described in Le Borgne, Siblini, Lebichot and Bontempi,
*Reproducible Machine Learning for Credit Card Fraud Detection*, chapter 3. The random streams are
drawn in the order that the book describes, with seeds 0, 1, the customer's number and the day's
number, so SEED = 0 gives the book's own 1,754,155 transactions. NumPy promises never to change
the streams of `RandomState`, so these are the same rows on every machine.

A customer's payments are drawn one by one, because how many random numbers a payment takes depends
on what was drawn; frauds and features are whole-array NumPy. All money is counted in whole cents,
so a sum does not depend on its order.
"""

import hashlib
import itertools
import random
import uuid
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from promotion.model import Rows, Window, data_dir

FIRST_DAY = date(2018, 4, 1)
DAYS = 183
CUSTOMERS = 5_000
TERMINALS = 10_000
RADIUS = 5.0  # customers pay at terminals nearer than this, on a square of 100 by 100
SEED = 0

SECONDS = 86_400  # of a day
LABEL_DELAY_DAYS = 7  # a payment's label is known a week later, so features may use it only then
WINDOWS = (1, 7, 30)  # days that the customer's and the terminal's features look back
LARGE_CENTS = 220_00  # scenario 1: everything above is fraud
TERMINALS_A_DAY, TERMINAL_DAYS = 2, 28  # scenario 2: newly compromised a day, and for how long
CARDS_A_DAY, CARD_DAYS, CARD_FACTOR = 3, 14, 5  # scenario 3: a third of a stolen card's payments, times five

FEATURES = (
    "amount",
    "weekend",
    "night",
    *(f"customer_{what}_{days}d" for days in WINDOWS for what in ("count", "mean_amount")),
    *(f"terminal_{what}_{days}d" for days in WINDOWS for what in ("count", "fraud_rate")),
)
AMOUNT_BANDS = ("0-50", "50-100", "100-220", "over 220")


def load(window: Window) -> Rows:
    """Return all payments of `window`'s days: X has FEATURES, y is 1 for fraud, the key is `transaction_id`.

    columns: `day`, `amount` in dollars, `customer_id` and `terminal_id` (clusters), and the slices
    `weekend`, `night` and `amount_band`. The first call makes all 183 days (10 to 20 seconds) and keeps
    them. Raises ValueError where the window reaches outside the simulated days.
    """
    first = (window.first - FIRST_DAY).days
    if window.days < 1 or first < 0 or first + window.days > DAYS:
        last = FIRST_DAY + timedelta(days=DAYS - 1)
        raise ValueError(f"the simulated payments run from {FIRST_DAY} to {last}, so there are none for {window}")
    days = range(first, first + window.days)
    with pq.ParquetFile(stored()) as file:  # one row group a day
        return rows(file.read_row_groups(list(days)).to_pandas())


def rows(table: pd.DataFrame) -> Rows:
    """Split rows of `simulate` with `add_features` into what models, keys and metrics need."""
    cents = table["cents"].to_numpy()
    columns = pd.DataFrame(
        {
            "day": pd.Timestamp(FIRST_DAY) + pd.to_timedelta(table["second"].to_numpy() // SECONDS, unit="D"),
            "amount": cents / 100,
            "customer_id": table["customer_id"].to_numpy(),
            "terminal_id": table["terminal_id"].to_numpy(),
            "weekend": np.where(table["weekend"] == 1, "weekend", "weekday"),
            "night": np.where(table["night"] == 1, "night", "day"),
            "amount_band": np.array(AMOUNT_BANDS)[np.searchsorted([50_00, 100_00, LARGE_CENTS], cents)],
        }
    )
    return Rows(
        X=table.assign(amount=cents / 100)[list(FEATURES)].astype("float64").reset_index(drop=True),
        y=table["fraud"].to_numpy().astype("int64"),
        keys=table[["transaction_id"]].reset_index(drop=True),
        columns=columns,
    )


def simulate(
    *,
    customers: int = CUSTOMERS,
    terminals: int = TERMINALS,
    days: int = DAYS,
    radius: float = RADIUS,
    seed: int = SEED,
) -> pd.DataFrame:
    """Return all payments in order of time.

    One row each: transaction_id, second (since the first midnight), customer_id, terminal_id, cents,
    fraud (0/1), scenario (0 genuine, 1 to 3 as in the book). Deterministic by its arguments.
    """
    people = np.random.RandomState(seed).uniform([0, 0, 5, 0], [100, 100, 100, 4], (customers, 4))
    places = np.random.RandomState(seed + 1).uniform(0, 100, (terminals, 2))
    parts = []
    for customer, (x, y, mean_amount, per_day) in enumerate(people.tolist()):
        near = np.flatnonzero((x - places[:, 0]) ** 2 + (y - places[:, 1]) ** 2 < radius**2).tolist()
        drawn = _payments(near, mean_amount, per_day, days, seed=seed * customers + customer)
        parts.append((np.full(len(drawn[0]), customer), *drawn))
    customer_id, second, terminal_id, cents = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.argsort(second, kind="stable")
    table = pd.DataFrame(
        {
            "transaction_id": np.arange(len(order)),
            "second": second[order],
            "customer_id": customer_id[order],
            "terminal_id": terminal_id[order],
            "cents": cents[order],
        }
    )
    return _with_frauds(table, customers, terminals, days, seed)


def _payments(
    near: list[int], mean: float, per_day: float, days: int, *, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw one customer's payments at the terminals `near`: seconds, terminals, cents, (n,) each."""
    if not near:
        return np.empty(0, int), np.empty(0, int), np.empty(0, int)
    draw, choose = np.random.RandomState(seed), random.Random(seed).choice
    normal, poisson = draw.standard_normal, draw.poisson
    seconds, terminals, amounts = [], [], []
    for midnight in range(0, days * SECONDS, SECONDS):
        for _ in range(poisson(per_day)):
            second = int(SECONDS / 2 + 20_000 * normal())
            if 0 < second < SECONDS:
                amount = mean + mean / 2 * normal()
                seconds.append(midnight + second)
                amounts.append(amount if amount >= 0 else draw.uniform(0, 2 * mean))
                terminals.append(choose(near))
    cents = np.rint(np.round(np.array(amounts, float), 2) * 100).astype(int)
    return np.array(seconds, int), np.array(terminals, int), cents


def _with_frauds(table: pd.DataFrame, customers: int, terminals: int, days: int, seed: int) -> pd.DataFrame:
    """Add the book's three fraud scenarios; a later scenario's name wins where two meet."""
    day = table["second"].to_numpy() // SECONDS
    cents = table["cents"].to_numpy().copy()
    scenario = np.where(cents > LARGE_CENTS, 1, 0)
    by_terminal, by_customer = _Groups(table["terminal_id"]), _Groups(table["customer_id"])
    seeds = [(start, seed * days + start) for start in range(int(day.max(initial=0)))]
    for start, day_seed in seeds:
        for terminal in np.random.RandomState(day_seed).choice(terminals, TERMINALS_A_DAY, replace=False):
            at = by_terminal.rows(terminal)
            scenario[at[(day[at] >= start) & (day[at] < start + TERMINAL_DAYS)]] = 2
    for start, day_seed in seeds:
        stolen = np.random.RandomState(day_seed).choice(customers, CARDS_A_DAY, replace=False)
        at = np.sort(np.concatenate([by_customer.rows(card) for card in stolen]))
        at = at[(day[at] >= start) & (day[at] < start + CARD_DAYS)]
        taken = random.Random(day_seed).sample(at.tolist(), k=len(at) // 3)
        cents[taken] *= CARD_FACTOR
        scenario[taken] = 3
    return table.assign(cents=cents, fraud=(scenario > 0).astype("int8"), scenario=scenario.astype("int8"))


class _Groups:
    """The rows of each id, in order."""

    def __init__(self, ids: pd.Series) -> None:
        values = ids.to_numpy()
        self.order = np.argsort(values, kind="stable")
        self.sorted = values[self.order]

    def rows(self, which: int) -> np.ndarray:
        first, end = np.searchsorted(self.sorted, [which, which + 1])
        return self.order[first:end]


def add_features(table: pd.DataFrame) -> pd.DataFrame:
    """Add FEATURES (without `amount`) to rows of `simulate`, which must be in order of time.

    The customer's count and mean amount include the payment itself. The terminal's count and fraud
    rate end LABEL_DELAY_DAYS before the payment's second: no label is used before it was known.
    """
    second = table["second"].to_numpy()
    weekday = (FIRST_DAY.weekday() + second // SECONDS) % 7
    added: dict[str, np.ndarray] = {
        "weekend": (weekday >= 5).astype("int8"),
        "night": (second % SECONDS // 3600 <= 6).astype("int8"),
    }
    customer, terminal = _Lookback(table["customer_id"], second), _Lookback(table["terminal_id"], second)
    cents, fraud = table["cents"].to_numpy(), table["fraud"].to_numpy()
    for days in WINDOWS:
        count, (total,) = customer.sums(days, 0, cents)
        added[f"customer_count_{days}d"] = count
        added[f"customer_mean_amount_{days}d"] = total / count / 100
        count, (frauds,) = terminal.sums(days, LABEL_DELAY_DAYS, fraud)
        added[f"terminal_count_{days}d"] = count
        added[f"terminal_fraud_rate_{days}d"] = frauds / np.maximum(count, 1)
    return table.assign(**added)


class _Lookback:
    """Counts and sums over each row's own past, within its customer or terminal."""

    def __init__(self, ids: pd.Series, second: np.ndarray) -> None:
        self.order = np.argsort(ids.to_numpy(), kind="stable")  # by id, then by time
        # One number line for all ids; the gap between two ids is longer than any window.
        gap = int(second.max(initial=0)) + (max(WINDOWS) + LABEL_DELAY_DAYS + 1) * SECONDS
        self.line = ids.to_numpy().astype("int64")[self.order] * gap + second[self.order]

    def sums(self, days: int, delay: int, *values: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return the (n,) count and sums of (n,) integer `values` in (t - delay - days, t - delay]."""
        begin = np.searchsorted(self.line, self.line - (delay + days) * SECONDS, side="right")
        # Without a delay a row sees itself and those before it, not a later row of the same second.
        if delay:
            end = np.searchsorted(self.line, self.line - delay * SECONDS, side="right")
        else:
            end = np.arange(1, len(self.line) + 1)
        sums = []
        for value in (np.ones(len(self.line), "int64"), *values):
            running = np.concatenate([[0], np.cumsum(value[self.order], dtype="int64")])
            back = np.empty(len(self.line), "int64")
            back[self.order] = running[end] - running[begin]
            sums.append(back)
        return sums[0], sums[1:]


def stored() -> Path:
    """Return the Parquet file of all days, made now if it is not there.

    Its name is a digest of this file, so a change here makes other data and leaves the old file be.
    Two processes may make it at once: each writes its own temporary file, and a rename is atomic.
    """
    name = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    path = data_dir("fraud-detector") / f"transactions-{name}.parquet"
    if not path.exists():
        part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
        try:
            write(add_features(simulate()), part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    return path


def write(table: pd.DataFrame, path: Path, days: int = DAYS) -> None:
    """Write rows in order of time as Parquet with one row group a day, empty days included."""
    bounds = np.searchsorted(table["second"].to_numpy(), np.arange(days + 1) * SECONDS)
    whole = pa.Table.from_pandas(table, preserve_index=False)
    with pq.ParquetWriter(path, whole.schema, compression="zstd") as writer:
        for first, end in itertools.pairwise(bounds.tolist()):
            writer.write_table(whole.slice(first, end - first))
