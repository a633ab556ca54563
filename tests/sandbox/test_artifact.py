"""A model folder is read by an allow-list: what is honest is accepted, and says what it is."""

import importlib
import shutil
import sys
from pathlib import Path

import pytest
from promotion.config.trusted import forbidden
from promotion.errors import PromotionError
from promotion.records.files import digest_files
from promotion.sandbox.artifact import ANY_FORMAT, Allowed, read_artifact
from promotion.sandbox.mlmodel import DEEPEST, MOST_NODES, Column, bounded_yaml, inputs_of
from promotion.sandbox.skops_types import KNOWN_FILE

from tests.sandbox.make_known_types import text as known_text
from tests.support.artifacts import FOREST_TYPES, X, change_mlmodel, forest, logistic, save, y

INPUTS = tuple(Column(name, "double") for name in X)
OWN = """
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from weights import CUT

class Rule(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_ = np.array([0, 1])
        return self

    def predict(self, X):
        return (X["a"].to_numpy() > CUT).astype(int)
"""
SCRIPT = """
import mlflow

class Model(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return (model_input["a"] > 0).astype(int).to_numpy()

mlflow.models.set_model(Model())
"""


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A logistic regression behind a threshold, in skops format."""
    return save(logistic(), tmp_path_factory.mktemp("artifact") / "model")


@pytest.fixture(scope="session")
def saved_forest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A forest, in skops format."""
    return save(forest(), tmp_path_factory.mktemp("artifact") / "model")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """(saved folder, model folder) of an estimator class in a module of the model folder, which imports another."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "rule.py").write_text(OWN, encoding="utf-8")
    (source / "weights.py").write_text("CUT = 0.0\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(source))
    try:
        return save(importlib.import_module("rule").Rule().fit(X, y), tmp_path / "model", source), source
    finally:
        for name in ("rule", "weights"):
            sys.modules.pop(name)


def test_what_training_saves_is_accepted_and_says_what_it_takes(saved: Path) -> None:
    """Format, file and inputs are read from the folder itself."""
    found = read_artifact(saved)

    assert (found.format, found.data, found.inputs) == ("skops", "model.skops", INPUTS)
    assert found.types == found.code == ()
    assert inputs_of(saved) == INPUTS


def test_mlflows_own_note_of_a_download_is_neither_digested_nor_refused(saved: Path, tmp_path: Path) -> None:
    """A download of a registered version has a file more, which says its name and number."""
    shutil.copytree(saved, tmp_path / "model")
    (tmp_path / "model" / "registered_model_meta").write_text("model_name: fraud\nmodel_version: '3'\n")

    assert digest_files(tmp_path / "model") == digest_files(saved)
    assert read_artifact(tmp_path / "model") == read_artifact(saved)


def test_a_type_that_is_not_known_to_be_data_must_be_in_the_policy(saved_forest: Path) -> None:
    """The sentence names the type, the file and the line to write; with the line it is accepted, and told."""
    line = r"model\.skops: .*promotion\.yaml .*`trusted_types: \[sklearn\.tree\._tree\.Tree\]`"
    with pytest.raises(PromotionError, match=line):
        read_artifact(saved_forest)

    assert read_artifact(saved_forest, Allowed(types=FOREST_TYPES)).types == ("sklearn.tree._tree.Tree",)
    assert read_artifact(saved_forest, ANY_FORMAT).types == ("sklearn.tree._tree.Tree",)


def test_a_class_of_ones_own_is_accepted_where_the_policy_allows_its_code(own: tuple[Path, Path]) -> None:
    """Its module and what that imports of the folder travel with the model, byte for byte as reviewed."""
    model, source = own
    with pytest.raises(PromotionError, match=r"formats: \[code\]"):
        read_artifact(model, Allowed(types=frozenset({"rule.Rule"})), source=source)
    with pytest.raises(PromotionError, match=r"trusted_types: \[rule\.Rule\]"):
        read_artifact(model, Allowed(frozenset({"code"})), source=source)

    found = read_artifact(model, Allowed(frozenset({"code"}), frozenset({"rule.Rule"})), source=source)
    assert found.code == ("code/rule.py", "code/weights.py")


def test_a_pickle_is_accepted_where_the_policy_says_so(tmp_path: Path) -> None:
    """By default the sentence says what to return instead, and what the policy would have to say."""
    import mlflow.sklearn

    mlflow.sklearn.save_model(
        logistic(), str(tmp_path / "model"), serialization_format="cloudpickle", pip_requirements=["scikit-learn==1.9"]
    )
    with pytest.raises(PromotionError, match=r"pickled.*formats: \[pickle\]"):
        read_artifact(tmp_path / "model")

    assert read_artifact(tmp_path / "model", Allowed(frozenset({"pickle"}))).format == "pickle"


def test_a_script_of_the_folder_is_accepted_where_the_policy_allows_code(tmp_path: Path) -> None:
    """MLflow's models from code: the script is the reviewed one."""
    import mlflow.pyfunc

    source = tmp_path / "source"
    source.mkdir()
    (source / "answering.py").write_text(SCRIPT, encoding="utf-8")
    mlflow.pyfunc.save_model(
        str(tmp_path / "model"), python_model=str(source / "answering.py"), pip_requirements=["mlflow==3.17.2"]
    )
    with pytest.raises(PromotionError, match=r"formats: \[code\]"):
        read_artifact(tmp_path / "model", source=source)

    found = read_artifact(tmp_path / "model", Allowed(frozenset({"code"})), source=source)
    assert (found.format, found.code) == ("code", ("answering.py",))


@pytest.mark.parametrize(
    ("library", "fit", "format_"),
    [
        ("xgboost", lambda lib: lib.XGBClassifier(n_estimators=3).fit(X, y), "xgboost"),
        ("lightgbm", lambda lib: lib.LGBMRegressor(n_estimators=3, verbose=-1).fit(X, y).booster_, "lightgbm"),
        (
            "catboost",
            lambda lib: lib.CatBoostClassifier(iterations=3, verbose=0, allow_writing_files=False).fit(X, y),
            "catboost",
        ),
    ],
)
def test_other_libraries_are_saved_in_their_own_formats(
    library: str, fit: object, format_: str, tmp_path: Path
) -> None:
    """Boosters that run no code when loaded need no line in any policy."""
    lib = pytest.importorskip(library)
    found = read_artifact(save(fit(lib), tmp_path / "model"))  # type: ignore[operator]

    assert (found.format, found.inputs) == (format_, INPUTS)


def test_the_known_types_are_those_of_the_installed_skops() -> None:
    """A new scikit-learn or skops brings new names; the file is made again by its command."""
    assert KNOWN_FILE.read_text(encoding="utf-8") == known_text()


@pytest.mark.parametrize(
    "name",
    [
        "posix.system",
        "os.system",
        "builtins.eval",
        "builtins.exec",
        "builtins.getattr",
        "subprocess.Popen",
        "operator.methodcaller",
        "importlib.import_module",
        "joblib.load",
        "numpy.load",
        "numpy.f2py.compile",
        "pandas.io.pickle.read_pickle",
        "pandas.core.computation.eval.eval",
        "mlflow.pyfunc.load_model",
        "cloudpickle.loads",
        "skops.io.load",
        "ctypes.CDLL",
        "shutil.os.system",
        "numpy.testing._private.utils.os.system",
        "sklearn.utils.subprocess.Popen",
        "scipy.system",
        "rule.helpers.check_output",
        "pandas.compat.pickle_compat.Unpickler",
        "rule.sys.modules",
    ],
)
def test_what_runs_or_loads_can_never_be_trusted(name: str) -> None:
    """Whatever a policy says."""
    assert forbidden(name)


@pytest.mark.parametrize(
    "name",
    ["sklearn.tree._tree.Tree", "lightgbm.basic.Booster", "rule.Rule", "collections.OrderedDict", "functools.partial"],
)
def test_what_holds_values_can_be_trusted(name: str) -> None:
    """A policy may name it."""
    assert not forbidden(name)


def test_one_model_has_one_file(saved: Path, tmp_path: Path) -> None:
    """Where the two flavours name different files, the sentence says that these would be two models."""
    model = shutil.copytree(saved, tmp_path / "model")
    shutil.copyfile(model / "model.skops", model / "other.skops")
    change_mlmodel(model, lambda raw: raw["flavors"]["python_function"].update(model_path="other.skops"))

    with pytest.raises(PromotionError, match="two models"):
        read_artifact(model)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: &x 1\nb: *x\n", "an alias, an anchor or a tag"),
        ("a: &x 1\n", "an alias, an anchor or a tag"),
        ("a: !!str 1\n", "an alias, an anchor or a tag"),
        ("a: 1\na: 2\n", "a duplicate"),
        ("a: {<<: {b: 1}}\n", "a merge"),
        ("[a]: 1\n", "a key that is no text"),
        ("\ufeffa: 1\n", "a byte order mark"),
        ("a: 1\n\x00", "a NUL byte"),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), f"deeper than {DEEPEST} levels"),
        ("[" + "1, " * MOST_NODES + "]", f"more than {MOST_NODES} values"),
    ],
    ids=lambda value: value[:20],
)
def test_yaml_that_is_more_than_it_seems_is_not_read(text: str, why: str) -> None:
    """What unfolds, nests without end, or is another thing to another parser is refused for that, whatever it says."""
    with pytest.raises(ValueError, match=why):
        bounded_yaml(text)


def test_yaml_up_to_its_limits_is_read() -> None:
    """As deep and as long as is allowed, beside each other as often as that."""
    nested, many = "[" * (DEEPEST - 1) + "]" * (DEEPEST - 1), "[" + "1, " * (MOST_NODES - 1) + "]"

    assert bounded_yaml(f"- {nested}\n- {nested}\n")[0] == bounded_yaml(nested)
    assert len(bounded_yaml(many)) == MOST_NODES - 1


@pytest.mark.parametrize(
    ("flavour", "file", "begins"),
    [
        ("xgboost", "model.ubj", b"{L\x00"),
        ("xgboost", "model.json", b'{"learner"'),
        ("lightgbm", "model.lgb", b"tree\nversion=v4\n"),
        ("catboost", "model.cb", b"CBM1\x00"),
        ("onnx", "model.onnx", b"\x08\x0a"),
    ],
)
def test_a_file_begins_as_its_format_does(flavour: str, file: str, begins: bytes, saved: Path, tmp_path: Path) -> None:
    """A library that finds something else in its file may take it for a pickle, so it is not given that file."""
    folder = shutil.copytree(saved, tmp_path / "model")
    (folder / "model.skops").unlink()
    own, common = {"data": file}, {"data": file, "loader_module": f"mlflow.{flavour}", "python_version": "3.11.0"}
    change_mlmodel(folder, lambda raw: raw.update(flavors={"python_function": common, flavour: own}))
    (folder / file).write_bytes(begins)

    assert read_artifact(folder).format == flavour
    (folder / file).write_bytes(b"\x80\x04\x95" + begins)
    with pytest.raises(PromotionError, match=f"is not in the format {flavour}"):
        read_artifact(folder)


CONDA = "channels: [conda-forge]\ndependencies: [python=3.11.7, pip<=24, {pip: [numpy==2.1]}]\nname: mlflow-env\n"
ENV = "python: 3.11.7\nbuild_dependencies: [pip==24, setuptools]\ndependencies: [-r requirements.txt]\n"


@pytest.mark.parametrize(
    ("name", "good", "old", "new"),
    [
        ("conda.yaml", CONDA, "[conda-forge]", "[conda-forge, evil]"),
        ("conda.yaml", CONDA, "name:", "prefix: /\nname:"),
        ("conda.yaml", CONDA, "pip<=24", "curl"),
        ("conda.yaml", CONDA, "numpy==2.1", "git+https://evil.example/x"),
        ("conda.yaml", CONDA, "numpy==2.1", "numpy>=2"),
        ("conda.yaml", CONDA, "numpy==2.1]", "numpy==2.1], npm: [x]"),
        ("conda.yaml", CONDA, "{pip:", "{npm:"),
        ("python_env.yaml", ENV, "[-r requirements.txt]", "[-r other.txt]"),
        ("python_env.yaml", ENV, "setuptools", "evil"),
        ("python_env.yaml", ENV, "python:", "index: x\npython:"),
        ("requirements.txt", "numpy==2.1\n", "numpy==2.1", "--index-url https://evil.example"),
        ("requirements.txt", "numpy==2.1\n", "numpy==2.1", "numpy"),
        ("requirements.txt", "numpy==2.1\n", "numpy==2.1", "numpy==2.1\nx @ https://evil.example/x.whl"),
    ],
)
def test_an_environment_is_pinned_packages_alone(
    name: str, good: str, old: str, new: str, saved: Path, tmp_path: Path
) -> None:
    """Whoever rebuilds it gets what is named from where everybody gets it: each thing more is refused for itself."""
    folder = shutil.copytree(saved, tmp_path / "model")
    (folder / name).write_text(good, encoding="utf-8")
    read_artifact(folder)
    assert old in good
    (folder / name).write_text(good.replace(old, new), encoding="utf-8")
    with pytest.raises(PromotionError, match=r"more than pinned packages|is not NAME==VERSION"):
        read_artifact(folder)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("code/deep/x-y.py", "a module is a .py file"),
        ("code/x-y/deep.py", "a module is a .py file"),
        ("code/native.so", "a module is a .py file"),
        ("code/json.py", "may not be called `json`"),
        ("code/numpy/core.py", "may not be called `numpy`"),
        ("a b.json", "is not a name that a model's file may have"),
        (".hidden", "is not a name that a model's file may have"),
    ],
)
def test_a_file_with_a_name_of_something_else(name: str, why: str, own: tuple[Path, Path]) -> None:
    """Modules have names of their own that Python can import; all files have plain ones."""
    folder, source = own
    allowed = Allowed(frozenset({"code"}), frozenset({"rule.Rule"}))
    read_artifact(folder, allowed, source=source)
    for root in (folder, source):
        path = root / (name if root is folder else name.removeprefix("code/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("X = 1\n", encoding="utf-8")
    with pytest.raises(PromotionError, match=why):
        read_artifact(folder, allowed, source=source)
