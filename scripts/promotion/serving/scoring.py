"""MLflow's scoring protocol, by MLflow's own functions, for one request or for several in one `predict`.

Anything unusual about a request (bad JSON, params, tensors, a wrong type) is left whole to
`mlflow.pyfunc.scoring_server.invocations`, so its answers are MLflow's own. Only well-formed tables
whose types the schema takes as they are, are put together, and only for a model of which proof.py
showed that it answers each row for itself; for these MLflow's enforcement looks at names and types and
never at values, so the table of all rows is treated as each part would be. This runs in the worker.
"""

import io
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from promotion.sandbox.proof import MOST_ROWS, Proof, Recorded, texts_of
from promotion.serving.events import failure
from promotion.serving.media import canonical, plain
from promotion.serving.tables import Rows, array_of, exact_as_doubles, frame_of, number_columns, read_rows

JSON, CSV = "application/json", "text/csv"
TABLE_KEYS = ("dataframe_split", "dataframe_records")
MOST_ERROR = 10_000  # characters of an error's text: MLflow repeats the whole request in it
RECORD_BYTES = 1 << 16


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


BUG = Answer("Internal Server Error", 500, "text/plain")


@dataclass(frozen=True)
class Table:
    """A request's rows: `frame`, or `rows` of plain numbers. Equal keys may be joined."""

    key: Hashable
    length: int
    frame: Any = None
    rows: Rows | None = None


class Asked:
    """The model, and whether it was asked: what fails before is the request's fault."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.metadata = model.metadata
        self.yes = False

    def predict(self, data: Any, params: Any = None) -> Any:
        """Note it, and pass it on."""
        self.yes = True
        return self.model.predict(data, params=params)


class Scorer:
    """One loaded pyfunc model. `proof` says whether requests may share a `predict`, and go to it as arrays."""

    def __init__(self, model: Any, proof: Proof | None = None) -> None:
        self.model = model
        self.schema = model.metadata.get_input_schema()
        by_example = getattr(model.metadata, "_is_type_hint_from_example", lambda: False)()
        by_type_hint = getattr(model.metadata, "_is_signature_from_type_hint", lambda: False)()
        tensors = self.schema is not None and (self.schema.is_tensor_spec() or not self.schema.has_input_names())
        self.tables = not (by_example or by_type_hint or tensors)
        self.numbers = (number_columns(self.schema) if self.tables else None) or {}  # empty: rows go as frames
        self.as_array = getattr(model, "_predict_fn", None) if self.numbers else None
        self.recorded = Recorded()
        self.kind: Any = None  # of the first shared `predict`: of the model's own example, where it has one
        self.proof = proof or Proof()

    @property
    def batching(self) -> bool:
        """Whether requests may share a `predict`."""
        return self.tables and self.proof.batching

    def alone(self, request: Request) -> Answer:
        """Answer one request exactly as `mlflow models serve` does; whatever is raised becomes an answer."""
        from mlflow.exceptions import MlflowException
        from mlflow.pyfunc.scoring_server import _decode_json_input, invocations

        model = Asked(self.model)
        media = canonical(request.content_type)
        try:
            body = _decode_json_input(request.body) if plain(media, JSON) else request.body
            done = invocations(body, media, model, self.schema)
            return Answer(done.response, done.status, done.mimetype)
        except MlflowException as error:
            if isinstance(error.__context__, MemoryError):
                failure("predict", error.__context__)
                return BUG
            return _told(error)
        except BaseException as error:  # a Rust panic and sys.exit are no Exception
            if model.yes or not isinstance(error, Exception):
                failure("predict")
                return BUG
            return _told(MlflowException.invalid_parameter_value(f"The request cannot be read: {_short(error)}"))

    def answers(self, requests: Sequence[Request]) -> list[Answer]:
        """Answer requests in their order; tables of the same columns and types share one `predict`."""
        tables = [self._table(request, lone=len(requests) == 1) for request in requests]
        if not self.batching:
            return [self._one(*pair) for pair in zip(requests, tables, strict=True)]
        groups: dict[Hashable, list[int]] = {}
        for index, table in enumerate(tables):
            groups.setdefault(index if table is None else table.key, []).append(index)
        found: dict[int, Answer] = {}
        for members in groups.values():
            for part in _parts(members, tables):
                together = [table for i in part if (table := tables[i]) is not None]
                shared = self._together(together) if len(part) > 1 else None
                for place, index in enumerate(part):
                    found[index] = shared[place] if shared else self._one(requests[index], tables[index])
        return [found[index] for index in range(len(requests))]

    def _one(self, request: Request, table: Table | None) -> Answer:
        """Answer one request by itself: numbers as an array where that is proven, all else as MLflow does."""
        if table is not None and table.rows is not None and self.proof.array:
            found = self._together([table])
            if found is not None:
                return found[0]
        answer = self.alone(request)
        if table is not None and table.length == 1 and answer.status == 200 and not self.proof.batching:
            frame = table.frame if table.rows is None else frame_of(table.rows, self.numbers)
            self.recorded.keep(frame, answer.text)
        return answer

    def _table(self, request: Request, *, lone: bool) -> Table | None:
        """Return the request's rows if they may be put beside others', else None; `lone`: there are no others."""
        from mlflow.pyfunc import scoring_server

        if not self.tables:
            return None
        try:
            media = canonical(request.content_type)
            if plain(media, JSON):
                rows = read_rows(request.body, self.numbers) if self.numbers else None
                if rows is not None:
                    return Table("numbers", len(rows), rows=rows)
                wanted = not lone or (not self.proof.batching and len(request.body) < RECORD_BYTES)
                data = scoring_server._decode_json_input(request.body) if wanted else {}
                if len(data) != 1 or next(iter(data)) not in TABLE_KEYS:
                    return None
                frame = scoring_server.infer_and_parse_data(data, self.schema)
            elif plain(media, CSV) and not lone:
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

        try:
            if tables[0].rows is not None:
                rows = tables[0].rows if len(tables) == 1 else [row for table in tables for row in table.rows or ()]
                if self.as_array is not None and self.proof.array and exact_as_doubles(rows, self.numbers):
                    predictions = self.as_array(array_of(rows, self.numbers))
                else:
                    predictions = self.model.predict(frame_of(rows, self.numbers))
            else:
                predictions = self.model.predict(pd.concat([table.frame for table in tables], ignore_index=True))
            if len(tables) > 1 and kind_of(predictions) != self.kind:
                if self.kind is not None:
                    return None  # a missing answer among whole numbers makes all of them doubles
                self.kind = kind_of(predictions)
            return [Answer(text, 200) for text in texts_of(predictions, [table.length for table in tables])]
        except BaseException:
            return None  # one of them is at fault, and only that one shall hear of it


def kind_of(predictions: Any) -> Any:
    """What the rows of an answer have in common: its type, and whether numbers in it are whole."""
    import pandas as pd

    if isinstance(predictions, pd.DataFrame):
        return pd.DataFrame, [dtype.kind for dtype in predictions.dtypes]
    return type(predictions), getattr(getattr(predictions, "dtype", None), "kind", None)


def _parts(members: list[int], tables: list[Table | None]) -> list[list[int]]:
    """Cut requests of one kind into runs of at most as many rows as were shown not to depend on each other."""
    parts: list[list[int]] = []
    rows = 0
    for index in members:
        length = 0 if (table := tables[index]) is None else table.length
        if not parts or rows + length > MOST_ROWS:
            parts.append([])
            rows = 0
        parts[-1].append(index)
        rows += length
    return parts


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error)[:MOST_ERROR].split())}"


def _told(error: Any) -> Answer:
    """MLflow's answer to its own error, cut where it repeats a long request."""
    message = error.message
    if len(message) > MOST_ERROR:
        error.message = f"{message[: MOST_ERROR // 2]} ... {message[-MOST_ERROR // 2 :]}"
    return Answer(error.serialize_as_json(), error.get_http_status_code())
