"""MLflow's scoring protocol, by MLflow's own functions, for one request or for several in one `predict`.

Anything unusual about a request (bad JSON, params, tensors, a wrong type) is left whole to
`mlflow.pyfunc.scoring_server.invocations`, so its answers are MLflow's own. Only well-formed tables
whose types the schema takes as they are, are put together; for these MLflow's enforcement looks at
names and types and never at values, so the table of all rows is treated as each part would be.
"""

import io
import logging
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from promotion.serving.tables import frame_of, number_columns, plain_rows

log = logging.getLogger("serve")

TABLE_KEYS = ("dataframe_split", "dataframe_records")


@dataclass(frozen=True)
class Request:
    """The body and the content type of one POST /invocations."""

    body: bytes
    content_type: str


@dataclass(frozen=True)
class Answer:
    """What goes back: text, HTTP status, media type."""

    text: str
    status: int
    media_type: str = "application/json"


@dataclass(frozen=True)
class Table:
    """A request's rows: `frame`, or `rows` (column by column) of plain numbers. Equal keys may be joined."""

    key: Hashable
    length: int
    frame: Any = None
    rows: list[list[Any]] | None = None


class Scorer:
    """One loaded pyfunc model; `batching` says whether requests may share a `predict`."""

    def __init__(self, model: Any, *, batching: bool) -> None:
        self.model = model
        self.schema = model.metadata.get_input_schema()
        by_example = getattr(model.metadata, "_is_type_hint_from_example", lambda: False)()
        by_type_hint = getattr(model.metadata, "_is_signature_from_type_hint", lambda: False)()
        tensors = self.schema is not None and (self.schema.is_tensor_spec() or not self.schema.has_input_names())
        self.batching = batching and not (by_example or by_type_hint or tensors)
        self.numbers = number_columns(self.schema) if self.batching else None

    def alone(self, request: Request) -> Answer:
        """Answer one request exactly as `mlflow models serve` does."""
        from mlflow.exceptions import MlflowException
        from mlflow.pyfunc.scoring_server import invocations

        try:
            done = invocations(request.body, request.content_type, self.model, self.schema)
        except MlflowException as error:
            return Answer(error.serialize_as_json(), error.get_http_status_code())
        except Exception:
            log.exception("event=error what=invocations")
            return Answer("Internal Server Error", 500, "text/plain")
        return Answer(done.response, done.status, done.mimetype)

    def answers(self, requests: Sequence[Request]) -> list[Answer]:
        """Answer requests in their order; tables of the same columns and types share one `predict`."""
        if not self.batching:
            return [self.alone(request) for request in requests]
        groups: dict[Hashable, list[int]] = {}
        tables: dict[int, Table] = {}
        for index, request in enumerate(requests):
            table = self._table(request, lone=len(requests) == 1)
            if table is not None:
                tables[index] = table
            groups.setdefault(index if table is None else table.key, []).append(index)
        found: dict[int, Answer] = {}
        for members in groups.values():
            first = tables.get(members[0])
            worth = first is not None and (len(members) > 1 or first.rows is not None)
            together = self._together([tables[i] for i in members]) if worth else None
            for place, index in enumerate(members):
                found[index] = self.alone(requests[index]) if together is None else together[place]
        return [found[index] for index in range(len(requests))]

    def _table(self, request: Request, *, lone: bool) -> Table | None:
        """Return the request's rows if they may be put beside others', else None; `lone`: there are no others."""
        from mlflow.pyfunc import scoring_server

        try:
            media = request.content_type.replace(" ", "").lower().removesuffix(";charset=utf-8")
            if media == "application/json":
                data = scoring_server._decode_json_input(request.body)
                if len(data) != 1 or next(iter(data)) not in TABLE_KEYS:
                    return None
                rows = plain_rows(data, self.numbers) if self.numbers is not None else None
                if rows is not None:
                    return Table("numbers", len(rows[0]), rows=rows)
                frame = None if lone else scoring_server.infer_and_parse_data(data, self.schema)
            elif media == "text/csv" and not lone:
                frame = scoring_server.parse_csv_input(io.StringIO(request.body.decode()), self.schema)
            else:
                return None
            fits = frame is not None and len(frame) > 0 and frame.columns.is_unique and frame.columns.nlevels == 1
            if not fits or not self._taken_as_it_is(frame):
                return None
            return Table((tuple(frame.columns), tuple(map(str, frame.dtypes))), len(frame), frame=frame)
        except Exception:
            return None  # `alone` says what is wrong with it, in MLflow's words

    def _taken_as_it_is(self, frame: Any) -> bool:
        """Whether enforcing the schema leaves every value of `frame` alone, whatever the values are."""
        if self.schema is None:
            return True
        import pandas as pd
        from mlflow.types import DataType

        dtypes = frame.dtypes.to_dict()
        for column in self.schema.inputs:
            dtype = dtypes.get(column.name)
            if dtype is None:
                if column.required:
                    return False
                continue
            if not isinstance(column.type, DataType):
                return False
            text = column.type == DataType.string and (dtype.kind == "O" or isinstance(dtype, pd.StringDtype))
            if not text and column.type.to_pandas() != dtype and column.type.to_numpy() != dtype:
                return False
        return True

    def _together(self, tables: list[Table]) -> list[Answer] | None:
        """Answer several tables by one `predict`, or None where that fails: then each is asked alone."""
        import pandas as pd
        from mlflow.pyfunc.scoring_server import predictions_to_json

        try:
            if tables[0].rows is not None:
                frame = frame_of([table.rows for table in tables], self.numbers)
            else:
                frame = pd.concat([table.frame for table in tables], ignore_index=True)
            predictions = self.model.predict(frame)
            found = []
            for part in split(predictions, [table.length for table in tables]):
                text = io.StringIO()
                predictions_to_json(part, text)
                found.append(Answer(text.getvalue(), 200))
            return found
        except Exception:
            return None  # one of them is at fault, and only that one shall hear of it


def split(predictions: Any, lengths: Sequence[int]) -> list[Any]:
    """Cut predictions of sum(lengths) rows into parts of `lengths`; ValueError if they are not one a row."""
    import numpy as np
    import pandas as pd

    known = isinstance(predictions, np.ndarray | pd.DataFrame | pd.Series | list)
    rows = len(predictions) if known and np.ndim(predictions) > 0 else None
    if rows != sum(lengths):
        raise ValueError(f"{rows} predictions for {sum(lengths)} rows")
    sliced = predictions.iloc if isinstance(predictions, pd.DataFrame | pd.Series) else predictions
    ends = np.cumsum(lengths).tolist()
    return [sliced[end - length : end] for end, length in zip(ends, lengths, strict=True)]
