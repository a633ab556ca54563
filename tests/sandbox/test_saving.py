"""What fit() returns is saved so that a server can load it, or the sentence says what to do instead."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from promotion.sandbox.saving import own_modules

from tests.support.artifacts import X, save


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A model folder on the path; modules of it are forgotten afterwards."""
    folder = tmp_path / "churn"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name in ("rules", "weights", "parts", "parts.inner"):
        sys.modules.pop(name, None)


def test_a_class_of_train_py_is_refused_with_what_to_do(source: Path) -> None:
    """No server has train.py; the sentence names the class and a module that would do."""
    with pytest.raises(ValueError, match=r"the model contains train\.Rule, .*such as estimator\.py beside"):
        own_modules(["train.Rule"], source)


def test_modules_bring_what_they_import_of_the_folder(source: Path) -> None:
    """A module, a package, and what they import; the standard library and installed packages stay where they are."""
    (source / "rules.py").write_text("import json\nimport numpy\nfrom weights import CUT\nfrom parts import inner\n")
    (source / "weights.py").write_text("CUT = 1\n")
    (source / "parts").mkdir()
    (source / "parts" / "__init__.py").write_text("")
    (source / "parts" / "inner.py").write_text("import weights\n")

    found = own_modules(["rules.Rule", "numpy.ndarray", "sklearn.tree._tree.Tree"], source)
    assert {path.name for path in found} == {"rules.py", "weights.py", "parts"}


def test_a_module_that_needs_this_project_is_refused(source: Path) -> None:
    """promotion.model is on the path in training only."""
    (source / "rules.py").write_text("from promotion.model import Spec\n")

    with pytest.raises(ValueError, match=r"rules\.py is part of the saved model and imports promotion"):
        own_modules(["rules.Rule"], source)


def test_what_is_no_fitted_estimator_is_refused(tmp_path: Path) -> None:
    """fit() that returns its figures, nothing, a class, or what was never fitted."""
    from sklearn.linear_model import Ridge

    for model, says in (
        ({"f1": 0.5}, r"fit\(\) returned a dict, which has no predict\(\)"),
        (None, r"fit\(\) returned a NoneType, which has no predict\(\)"),
        (Ridge, r"fit\(\) returned the class Ridge; return a fitted instance of it"),
        (Ridge(), r"the Ridge that fit\(\) returned does not answer the validation rows \(NotFittedError"),
    ):
        with pytest.raises(ValueError, match=says):
            save(model, tmp_path / "model")


def test_what_skops_cannot_save_is_refused(tmp_path: Path) -> None:
    """A lambda in a pipeline has no name to be found by."""
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    model = make_pipeline(FunctionTransformer(lambda rows: rows), Ridge()).fit(X, X.a)

    with pytest.raises(ValueError, match="Pipeline"):
        save(model, tmp_path / "model")
