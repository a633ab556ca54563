"""MLmodel, the file that says how MLflow loads a folder: read by an allow-list, so that it says what it seems to say.

Every key that MLflow's loaders look at is either checked here or refused. The text is bounded before it is
parsed, and what two YAML parsers might read differently (aliases, tags, a key twice) is refused.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from promotion.errors import PromotionError
from promotion.frozen import strict_json

FILE = "MLmodel"
MOST_BYTES = 1 << 20
MOST_NODES = 20_000
DEEPEST = 12
CODE = "code"  # where MLflow keeps a model's own modules
PICKLES = ("pickle", "cloudpickle")
EXAMPLE, SERVING_EXAMPLE = "input_example.json", "serving_input_example.json"
TYPE_NAME = re.compile(r"[A-Za-z_][\w.]{0,299}", re.ASCII)
COLUMN_TYPES = ("boolean", "integer", "long", "float", "double", "string", "binary", "datetime")
MOST_COLUMNS = 10_000


class Column(NamedTuple):
    """One input of a model: its name, MLflow's type, and whether a caller must send it."""

    name: str
    kind: str
    required: bool = True


class Described(NamedTuple):
    """What an MLmodel says.

    format: skops, xgboost, lightgbm, catboost or onnx, which run no code when they are loaded, or one of those that
    do. data: the model's own file. trusted: types it tells skops to trust.

    code: whether it brings modules. inputs: None where it has no signature. files: its examples. artifacts: files and
    folders that its script reads.
    """

    format: str
    data: str
    inputs: tuple[Column, ...] | None
    trusted: tuple[str, ...] = ()
    code: bool = False
    files: tuple[str, ...] = ()
    artifacts: tuple[str, ...] = ()


class Refused(Exception):
    """One sentence about an MLmodel; read_mlmodel adds the file."""


def read_mlmodel(folder: Path) -> Described:
    """Read `folder`/MLmodel; raise PromotionError for anything that is not exactly what MLflow writes and we know."""
    path = folder / FILE
    try:
        return described(_loaded(path))
    except Refused as refused:
        raise PromotionError(str(refused), file=path) from None


def _loaded(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise Refused("missing, so this is not an MLflow model folder; train.py must save one")
    if path.stat().st_size > MOST_BYTES:
        raise Refused(f"larger than {MOST_BYTES} bytes, which no honest one is")
    try:
        found = bounded_yaml(path.read_bytes().decode("utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise Refused(f"not readable ({_short(error)}); train again") from None
    if not isinstance(found, dict):
        raise Refused("not a mapping; train again")
    return found


def bounded_yaml(text: str) -> Any:
    """Return what a YAML text says; raise ValueError where it is too deep or large, or uses aliases, tags, a key twice.

    These are what lets a short text stand for gigabytes, or mean one thing to one parser and another to the next.
    """
    if "\x00" in text or text.startswith("\ufeff"):
        raise ValueError("a NUL byte or a byte order mark")
    return yaml.load(text, Loader=_Bounded)


class _Bounded(yaml.SafeLoader):
    """The parser that MLflow reads an MLmodel with, which gives up where a text is more than it seems."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._count = self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        self._count += 1
        if self._count > MOST_NODES:
            raise ValueError(f"more than {MOST_NODES} values")
        if isinstance(event, yaml.AliasEvent) or event.anchor or event.tag:
            raise ValueError("an alias, an anchor or a tag")
        if isinstance(event, yaml.CollectionStartEvent) and self._depth == DEEPEST:
            raise ValueError(f"deeper than {DEEPEST} levels")
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(node, yaml.MappingNode):
            keys = [key.value if isinstance(key, yaml.ScalarNode) else None for key, _ in node.value]
            if None in keys or len(set(keys)) != len(keys) or "<<" in keys:
                raise ValueError("a key that is no text, a duplicate, or a merge")
        return node


def _short(error: Exception) -> str:
    return " ".join(str(getattr(error, "problem", None) or error).split())[:100]


# what each key may be

Check = Callable[[Any], bool]


def _is(*values: Any) -> Check:
    return lambda value: any(value is known or (type(value) is type(known) and value == known) for known in values)


def _text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 500


def _maybe_text(value: Any) -> bool:
    return value is None or _text(value)


def _types(value: Any) -> bool:
    return value is None or (
        isinstance(value, list)
        and len(value) <= 1000
        and all(isinstance(name, str) and TYPE_NAME.fullmatch(name) for name in value)
    )


def _env(value: Any) -> bool:
    return value in ("conda.yaml", {"conda": "conda.yaml", "virtualenv": "python_env.yaml"})


TOP: dict[str, Check] = {
    "artifact_path": _maybe_text,
    "databricks_runtime": _maybe_text,
    "is_signature_from_type_hint": _is(False),
    "mlflow_version": _text,
    "model_id": _maybe_text,
    "model_size_bytes": lambda value: value is None or type(value) is int,
    "model_uuid": _maybe_text,
    "prompts": _is(None),
    "run_id": _maybe_text,
    "type_hint_from_example": _is(False),
    "utc_time_created": _text,
}
PYFUNC: dict[str, Check] = {"env": _env, "python_version": _text}
CODED: dict[str, Check] = {"code": _is(None, CODE)}
SKOPS: dict[str, Check] = {"skops_trusted_types": _types}
XGBOOST = ("xgboost.core.Booster", *(f"xgboost.sklearn.XGB{n}" for n in ("Classifier", "Regressor", "Ranker")))
XGBOOST += ("xgboost.sklearn.XGBRFClassifier", "xgboost.sklearn.XGBRFRegressor")
LIGHTGBM = ("lightgbm.basic.Booster", *(f"lightgbm.sklearn.LGBM{n}" for n in ("Classifier", "Regressor", "Ranker")))
CATBOOST = ("CatBoost", "CatBoostClassifier", "CatBoostRegressor", "CatBoostRanker")
ONNX_PROVIDERS = _is(["CUDAExecutionProvider", "CPUExecutionProvider"], ["CPUExecutionProvider"])


class Flavour(NamedTuple):
    """One of MLflow's flavours. loader: its own module. files: what its model may be called, by format.

    key, pyfunc_key: under which its own part and the python_function part name that file.
    """

    loader: str
    files: dict[str, str]
    keys: dict[str, Check]
    key: str = "data"
    pyfunc_key: str = "data"


FLAVOURS = {
    "sklearn": Flavour(
        "mlflow.sklearn",
        {"model.skops": "skops", "model.pkl": "pickle"},
        {"serialization_format": _is("skops", *PICKLES), "sklearn_version": _text, **SKOPS},
        key="pickled_model",
        pyfunc_key="model_path",
    ),
    "xgboost": Flavour(
        "mlflow.xgboost",
        {"model.ubj": "xgboost", "model.json": "xgboost"},
        {"model_class": _is(*XGBOOST), "model_format": _is("ubj", "json"), "xgb_version": _text},
    ),
    "lightgbm": Flavour(
        "mlflow.lightgbm",
        {"model.lgb": "lightgbm", "model.skops": "skops", "model.pkl": "pickle"},
        {
            "model_class": _is(*LIGHTGBM),
            "lgb_version": _text,
            "serialization_format": _is("skops", *PICKLES),
            **SKOPS,
        },
    ),
    "catboost": Flavour(
        "mlflow.catboost",
        {"model.cb": "catboost"},
        {"catboost_version": _text, "model_type": _is(*CATBOOST), "save_format": _is("cbm")},
    ),
    "onnx": Flavour(
        "mlflow.onnx",
        {"model.onnx": "onnx"},
        {"onnx_session_options": _is(None), "onnx_version": _text, "providers": ONNX_PROVIDERS},
    ),
}
PYTHON_MODEL, CODE_MODEL = "mlflow.pyfunc.model", "mlflow.pyfunc.loaders.code_model"
SCRIPT = re.compile(r"(?:.*/)?([A-Za-z_]\w{0,99}\.py)", re.ASCII)


def described(raw: dict[str, Any]) -> Described:
    """Return what a parsed MLmodel says; raise Refused at the first key or value that is not known."""
    special = ("flavors", "signature", "saved_input_example_info")
    _keys({key: value for key, value in raw.items() if key not in special}, TOP, "the file")
    flavors = raw.get("flavors")
    if not isinstance(flavors, dict) or not all(isinstance(part, dict) for part in flavors.values()):
        raise Refused("it has no flavours; train again")
    pyfunc = flavors.get("python_function")
    others = sorted(str(name) for name in flavors if name != "python_function")
    if pyfunc is None or len(others) > 1 or (others and others[0] not in FLAVOURS):
        raise Refused(
            f"its flavours are {', '.join(sorted(map(str, flavors)))}; a model has python_function and one of "
            f"{', '.join(FLAVOURS)}"
        )
    inputs, files = _signature(raw.get("signature")), _example(raw.get("saved_input_example_info"))
    if not others:
        return _python_model(pyfunc, inputs, files)
    return _library(others[0], flavors[others[0]], pyfunc, inputs, files)


def _library(
    name: str, own: dict[str, Any], pyfunc: dict[str, Any], inputs: tuple[Column, ...] | None, files: tuple[str, ...]
) -> Described:
    flavour = FLAVOURS[name]
    data = own.get(flavour.key)
    if not isinstance(data, str) or data not in flavour.files:
        raise Refused(f"flavors.{name}.{flavour.key} is {data!r}; it must be {' or '.join(flavour.files)}")
    if pyfunc.get(flavour.pyfunc_key) != data:
        raise Refused(
            f"its two flavours name different files: {name} {data}, python_function "
            f"{pyfunc.get(flavour.pyfunc_key)!r}; what is judged and what is served would be two models"
        )
    _keys(own, {**flavour.keys, **CODED, flavour.key: _text}, f"flavors.{name}")
    predict = {"predict_fn": _is("predict")} if name == "sklearn" else {}
    loader = {"loader_module": _is(flavour.loader), flavour.pyfunc_key: _text}
    _keys(pyfunc, {**PYFUNC, **CODED, **predict, **loader}, "flavors.python_function", needs=("loader_module",))
    if own.get("code") != pyfunc.get("code") and None not in (own.get("code"), pyfunc.get("code")):
        raise Refused("its two flavours name different code")
    form = own.get("serialization_format", "pickle" if data == "model.pkl" else "skops")
    if data in ("model.skops", "model.pkl") and (form == "skops") != (data == "model.skops"):
        raise Refused(f"flavors.{name}.serialization_format is {form}, but its file is {data}")
    return Described(
        format=flavour.files[data],
        data=data,
        inputs=inputs,
        trusted=tuple(own.get("skops_trusted_types") or ()) if data == "model.skops" else (),
        code=bool(own.get("code") or pyfunc.get("code")),
        files=files,
    )


def _python_model(pyfunc: dict[str, Any], inputs: tuple[Column, ...] | None, files: tuple[str, ...]) -> Described:
    """A model of one's own: pickled as a whole, or a script of the model folder that MLflow runs when it loads it."""
    pickled = "python_model" in pyfunc
    known: dict[str, Check] = {**PYFUNC, **CODED, "cloudpickle_version": _text, "streamable": _is(False)}
    if pickled:
        known |= {"loader_module": _is(PYTHON_MODEL), "python_model": _is("python_model.pkl")}
    else:
        known |= {"loader_module": _is(CODE_MODEL), "model_code_path": _script, "artifacts": _artifacts}
    _keys(pyfunc, known, "flavors.python_function", needs=("loader_module",))
    if not pickled and "model_code_path" not in pyfunc:
        raise Refused("flavors.python_function names neither python_model.pkl nor a script")
    script = None if pickled else SCRIPT.fullmatch(pyfunc["model_code_path"])
    data = "python_model.pkl" if script is None else script[1]  # MLflow runs the file of that name beside MLmodel
    return Described(
        format="pickle" if pickled else "code",
        data=data,
        inputs=inputs,
        code=pyfunc.get("code") is not None,
        files=files,
        artifacts=tuple(item["path"] for item in (pyfunc.get("artifacts") or {}).values()),
    )


def _script(value: Any) -> bool:
    return _text(value) and SCRIPT.fullmatch(value) is not None


def _artifacts(value: Any) -> bool:
    """Files that a script reads by itself, each below artifacts/."""
    if value is None:
        return True
    return isinstance(value, dict) and all(
        isinstance(item, dict)
        and set(item) <= {"path", "uri"}
        and isinstance(item.get("path"), str)
        and re.fullmatch(r"artifacts(/[A-Za-z0-9_][\w.-]{0,99}){1,5}", item["path"], re.ASCII) is not None
        for item in value.values()
    )


def _keys(found: dict[str, Any], known: dict[str, Check], where: str, *, needs: tuple[str, ...] = ()) -> None:
    if missing := [name for name in needs if name not in found]:
        raise Refused(f"it lacks the key `{missing[0]}` in {where}; train again")
    for key, value in found.items():
        if key not in known:
            raise Refused(
                f"it has the key `{key}` in {where}, which this gate does not know; nothing unknown is loaded"
            )
        if not known[key](value):
            raise Refused(f"`{key}` in {where} is {str(value)[:80]!r}, which this gate does not take")


def _example(info: Any) -> tuple[str, ...]:
    if info is None:
        return ()
    known: dict[str, Check] = {
        "artifact_path": _is(EXAMPLE),
        "serving_input_path": _is(SERVING_EXAMPLE),
        "type": _is("dataframe", "ndarray"),
        "pandas_orient": _is("split"),
        "format": _is("tf-serving"),
    }
    if not isinstance(info, dict):
        raise Refused("saved_input_example_info is not a mapping")
    _keys(info, known, "saved_input_example_info")
    return tuple(info[key] for key in ("artifact_path", "serving_input_path") if key in info)


def _signature(signature: Any) -> tuple[Column, ...] | None:
    if signature is None:
        return None
    if not isinstance(signature, dict):
        raise Refused("its signature is not a mapping")
    _keys(signature, {"inputs": _maybe_json, "outputs": _maybe_json, "params": _is(None)}, "signature")
    return None if signature.get("inputs") is None else columns(signature["inputs"])


def inputs_of(folder: Path) -> tuple[Column, ...] | None:
    """Return the inputs of a pinned model, whatever else its MLmodel says; None without a readable signature."""
    try:
        return _signature(_loaded(folder / FILE).get("signature"))
    except Refused:
        return None


def _maybe_json(value: Any) -> bool:
    return value is None or isinstance(value, str)


def columns(text: str) -> tuple[Column, ...]:
    """Return the inputs that a signature's JSON lists; raise Refused for what is no list of columns or one tensor."""
    try:
        found = strict_json(text)
    except ValueError:
        raise Refused("its signature is not readable; train again") from None
    if not isinstance(found, list) or not 1 <= len(found) <= MOST_COLUMNS:
        raise Refused("its signature has no inputs, or too many")
    if len(found) == 1 and isinstance(found[0], dict) and found[0].get("type") == "tensor":
        spec = found[0].get("tensor-spec")
        if not isinstance(spec, dict):
            raise Refused("its signature has a tensor without a specification")
        return (Column(str(found[0].get("name", "")), f"tensor {spec.get('dtype')} {spec.get('shape')}"[:200]),)
    kept = []
    for number, item in enumerate(found):
        if not isinstance(item, dict) or item.get("type") not in COLUMN_TYPES:
            raise Refused(f"its signature has an input of a type that this gate does not know: {str(item)[:80]}")
        name, required = item.get("name", str(number)), item.get("required", True)
        if not isinstance(name, str) or len(name) > 500 or not isinstance(required, bool):
            raise Refused(f"its signature has an input that is not a column: {str(item)[:80]}")
        kept.append(Column(name, item["type"], required and not item.get("optional", False)))
    if len({column.name for column in kept}) != len(kept):
        raise Refused("its signature names an input twice")
    return tuple(kept)
