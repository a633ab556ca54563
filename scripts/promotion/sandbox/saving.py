"""Save what fit() returned as one MLflow model folder, in a format that runs no code when it is loaded if it can be."""

import ast
import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PINNED = ("mlflow", "scikit-learn", "numpy", "pandas", "scipy", "skops")
# A library, which is MLflow's name for its format too, and what of it a server needs.
LIBRARIES = {
    "xgboost": ("xgboost",),
    "lightgbm": ("lightgbm",),
    "catboost": ("catboost",),
    "onnx": ("onnx", "onnxruntime"),
}
EXAMPLE_ROWS = 64  # distinct, so that the server can show on them that no row's answer depends on another's
SAMPLE_ROWS = 1000


def save(model: Any, X: Any, out: Path, source: Path, packages: str | None = None) -> None:
    """Save `model` below `out`. X: rows from which signature and example are taken. source: the model folder.

    packages: a folder of those that it needs beyond the base's; a server is told of them.

    Raises ValueError, one sentence, for what cannot be saved so that a server could load it.
    """
    import mlflow
    from mlflow.models import infer_signature

    sample = X.head(SAMPLE_ROWS)
    library = type(model).__module__.partition(".")[0]
    answer = _answer(model, sample)
    common = {
        "pip_requirements": _requirements(library, packages),
        "signature": infer_signature(sample, answer),
        "input_example": sample.drop_duplicates().head(EXAMPLE_ROWS),
    }
    if isinstance(model, mlflow.pyfunc.PythonModel):
        _save_python_model(model, out, source, common)
    elif library not in LIBRARIES or type(model).__module__ == "lightgbm.sklearn":
        if not hasattr(model, "predict"):
            raise ValueError(
                f"fit() returned a {type(model).__name__}, which has no predict(); return a fitted estimator"
            )
        _save_estimator(model, out, source, common)
    else:
        getattr(mlflow, library).save_model(model, str(out), **common)


def _answer(model: Any, sample: Any) -> Any:
    """What the model says to its sample, for the signature; None where it has no predict() of a table."""
    import mlflow

    if isinstance(model, type):
        raise ValueError(f"fit() returned the class {model.__name__}; return a fitted instance of it")
    if not hasattr(model, "predict") or isinstance(model, mlflow.pyfunc.PythonModel):
        return None
    try:
        return model.predict(_input(model, sample))
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise ValueError(
            f"the {type(model).__name__} that fit() returned does not answer the validation rows ({reason})"
        ) from error


def _input(model: Any, sample: Any) -> Any:
    """What the library's own predict takes: XGBoost's Booster asks for its matrix."""
    if type(model).__module__ == "xgboost.core":
        return importlib.import_module("xgboost").DMatrix(sample)
    return sample


def _requirements(library: str, packages: str | None) -> list[str]:
    """What a server needs, as NAME==VERSION."""
    by = {"mlflow": "mlflow-skinny"}  # a server may want all of it; what is here in any case is this part
    found = {name: importlib.metadata.version(by.get(name, name)) for name in _packages(library)}
    own = () if packages is None else importlib.metadata.distributions(path=[packages])
    found |= {dist.metadata["Name"]: dist.version for dist in own}
    return [f"{name}=={version}" for name, version in found.items()]


def _packages(library: str) -> Iterable[str]:
    names = importlib.metadata.packages_distributions()
    return (*PINNED, *(names.get(package, [package])[0] for package in LIBRARIES.get(library, ())))


def _save_python_model(model: Any, out: Path, source: Path, common: dict[str, Any]) -> None:
    """Save a model that answers by code of its own.

    Where its module says `mlflow.models.set_model(...)`, that file is saved and runs when the model is loaded; what
    it reads are the files of `model.artifacts` (name to path). Else the object is pickled, and its modules beside it.
    """
    import mlflow.pyfunc

    module = type(model).__module__
    modules = own_modules([f"{module}.{type(model).__qualname__}"], source)
    script = source / f"{module}.py"
    read = getattr(model, "artifacts", None) or None
    if script in modules and "set_model(" in script.read_text(encoding="utf-8"):
        modules.remove(script)
        common |= {"python_model": str(script), "artifacts": read and {name: str(path) for name, path in read.items()}}
    else:
        common |= {"python_model": model}
    mlflow.pyfunc.save_model(str(out), code_paths=[str(path) for path in modules] or None, **common)


def _save_estimator(model: Any, out: Path, source: Path, common: dict[str, Any]) -> None:
    import mlflow.sklearn
    import skops.io

    try:
        types = skops.io.get_untrusted_types(data=skops.io.dumps(model))
        modules = own_modules(types, source)
        code = {"code_paths": [str(path) for path in modules]} if modules else {}
        mlflow.sklearn.save_model(
            model, str(out), serialization_format="skops", skops_trusted_types=types or None, **code, **common
        )
    except NoServerHasIt:
        raise
    except Exception as error:
        reason = " ".join(str(error.__cause__ or error).split())[:200]
        raise ValueError(
            f"skops cannot save this {type(model).__name__} ({reason}); models/README.md says which formats there are"
        ) from error


class NoServerHasIt(ValueError):
    """A class of the model that no server can import."""


def own_modules(types: Iterable[str], source: Path) -> list[Path]:
    """Return the model folder's modules that classes of these names come from, with what those import of the folder.

    Raises NoServerHasIt for a class of train.py or of this project: no server has them.
    """
    found: dict[Path, None] = {}
    waiting = []
    for name in types:
        top = name.partition(".")[0]
        if top in ("train", "data", "__main__", "promotion"):
            raise NoServerHasIt(
                f"the model contains {name}, which no server can import; move it into a module of its own in the "
                "model folder, such as estimator.py beside train.py (models/README.md)"
            )
        waiting.append(top)
    while waiting:
        path = _module_file(waiting.pop(), source)
        if path is None or path in found:
            continue
        found[path] = None
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            waiting += _imports(file)
    return list(found)


def _module_file(name: str, source: Path) -> Path | None:
    package, module = source / name, source / f"{name}.py"
    if name not in sys.modules and importlib.util.find_spec(name) is None:
        return None
    return module if module.is_file() else package if (package / "__init__.py").is_file() else None


def _imports(file: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [item.name.partition(".")[0] for item in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.append(node.module.partition(".")[0])
    if "promotion" in found:
        raise NoServerHasIt(
            f"{file.name} is part of the saved model and imports promotion, which no server has on its path; move what "
            "the model needs into a module without that import"
        )
    return found
