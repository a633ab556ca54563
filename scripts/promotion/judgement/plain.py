"""Score tables that were made elsewhere: plain column names, brought into the form of scores.py.

`label`, `day`, `candidate` and `champion` (0/1 decisions, or predictions of a regression), optionally
`candidate_score` and `champion_score` (probabilities) and `key`; every other column keeps its name for
the policy's dollars, clusters and slices. A table that has `key.*` and `column.*` is taken as it is.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from promotion.config.policy import Policy
from promotion.errors import PromotionError
from promotion.judgement.table import SIDES, Progress, Scores, open_scores, scores_from_table


def open_plain(path: Path, policy: Policy, *, progress: Progress | None = None) -> Scores:
    """Open a score table in either form; raise PromotionError, one sentence with file and column, for a bad one."""
    if path.is_dir():
        return open_scores(path, policy, progress=progress)
    try:
        names = pq.read_schema(path).names
        if any(name.startswith(("key.", "column.")) for name in names):
            return open_scores(path, policy, progress=progress)
        table = pq.read_table(path)
    except FileNotFoundError:
        raise PromotionError("no such file; give a Parquet file or a folder of part-*.parquet", file=path) from None
    except (pa.ArrowException, OSError) as error:
        raise PromotionError(f"not a readable Parquet file ({str(error)[:80]})", file=path) from None
    return scores_from_table(renamed(table, path), policy, where=path)


def renamed(table: pa.Table, where: Path) -> pa.Table:
    """Return a plain table under the names of scores.py; raise PromotionError for a column that is missing."""
    for name in ("label", "day", "candidate"):
        if name not in table.column_names:
            raise PromotionError(
                f"the column `{name}` is missing; a plain table has label, day, candidate and champion", file=where
            )
    labels = set(table["label"].unique().to_pylist())
    classes = labels <= {0, 1, None}
    names = []
    for name in table.column_names:
        if name == "label":
            names.append("label")
        elif name in SIDES:
            if classes and not set(table[name].unique().to_pylist()[:3]) <= {0, 1, None}:
                raise PromotionError(
                    f"the labels are 0 and 1 but `{name}` is not a 0/1 decision; put probabilities into `{name}_score` "
                    f"and decisions into `{name}`",
                    file=where,
                )
            names.append(f"{name}.decision" if classes else f"{name}.score")
        elif name in ("candidate_score", "champion_score") and classes:
            names.append(name.replace("_score", ".score"))
        else:
            names.append("key.key" if name == "key" else f"column.{name}")
    table = table.rename_columns(names)
    if "key.key" not in names:
        table = table.append_column("key.row", pa.array(np.arange(table.num_rows)))
    return table
