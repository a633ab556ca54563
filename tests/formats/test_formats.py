"""Every format with its real library: judged, pinned, merged, promoted, served, and swapped from one to the next.

One repository, one server: each library in turn challenges the one before, and the server, which goes on answering,
gives for the rows of the test window the very decisions that were judged.
"""

import json
import re
import textwrap
from collections.abc import Iterator

import pandas as pd
import pytest
from promotion.records.evaluation import WINNING
from promotion.sandbox.artifact import ANY_FORMAT, read_artifact

from tests.support.serving_world import NURSERY, Client, running_server, serving, wait_for
from tests.support.tiny import TinyProject

pytestmark = pytest.mark.formats

POLICY = """\
formats: [code, pickle]
trusted_types: [rule.Rule]
models:
  tiny:
    measure: {test_days: 7, delay_days: 7}
    gate: {f1: "> 0.2"}
    challenge: {confidence: 0.95, looks: 20, f1: {not_worse_than: 0.3}}
    champion: null
"""
TRAIN = """\
from promotion.model import Rows, Spec


def fit(train: Rows, validation: Rows, spec: Spec):
    X, y = train.X, train.y
"""
# format -> (train.py's body, other files of the model folder)
FORMATS: dict[str, tuple[str, dict[str, str]]] = {
    "skops": (
        """
        from sklearn.linear_model import LogisticRegression
        return LogisticRegression().fit(X, y)
        """,
        {},
    ),
    "lightgbm": (
        """
        from lightgbm import LGBMClassifier
        return LGBMClassifier(n_estimators=20, verbose=-1, n_jobs=1).fit(X, y)
        """,
        {},
    ),
    "xgboost in a pipeline": (
        """
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from xgboost import XGBClassifier
        return make_pipeline(StandardScaler(), XGBClassifier(n_estimators=20, n_jobs=1)).fit(X, y)
        """,
        {},
    ),
    "xgboost": (
        """
        from xgboost import XGBClassifier
        return XGBClassifier(n_estimators=20, n_jobs=1).fit(X, y)
        """,
        {},
    ),
    "catboost": (
        """
        from catboost import CatBoostClassifier
        return CatBoostClassifier(iterations=20, verbose=0, thread_count=1, allow_writing_files=False).fit(X, y)
        """,
        {},
    ),
    "onnx": (
        """
        import numpy as np
        from onnx import TensorProto, helper
        from sklearn.linear_model import LogisticRegression
        linear = LogisticRegression().fit(X, y)
        constants = {"zero": linear.intercept_, "half": [0.5]} | dict(zip(["wa", "wb"], linear.coef_.T))
        node = helper.make_node
        graph = helper.make_graph(
            [
                node("Mul", ["hint", "wa"], ["a"]), node("Mul", ["clue", "wb"], ["b"]),
                node("Add", ["a", "b"], ["ab"]), node("Add", ["ab", "zero"], ["z"]),
                node("Sigmoid", ["z"], ["probability"]), node("Greater", ["probability", "half"], ["over"]),
                node("Cast", ["over"], ["decision"], to=TensorProto.INT64),
            ],
            "linear",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("hint", "clue")],
            [
                helper.make_tensor_value_info("decision", TensorProto.INT64, ["n"]),
                helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["n"]),
            ],
            [helper.make_tensor(k, TensorProto.FLOAT, [1], np.float32(v)) for k, v in constants.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        """,
        {},
    ),
    "own class": (
        """
        from rule import Rule
        from sklearn.linear_model import LogisticRegression
        return Rule(LogisticRegression().fit(X, y), cut=0.5).fit(X, y)
        """,
        {
            "rule.py": """
            import numpy as np
            from sklearn.base import BaseEstimator, ClassifierMixin


            class Rule(ClassifierMixin, BaseEstimator):
                def __init__(self, scorer=None, cut=0.5):
                    self.scorer, self.cut = scorer, cut

                def fit(self, X, y):
                    self.classes_ = np.array([0, 1])
                    return self

                def predict_proba(self, X):
                    return self.scorer.predict_proba(X)

                def predict(self, X):
                    return (self.predict_proba(X)[:, 1] > self.cut).astype(int)
            """
        },
    ),
    "code": (
        """
        import json, tempfile
        from pathlib import Path
        from answering import Answering
        from sklearn.linear_model import LogisticRegression
        linear = LogisticRegression().fit(X, y)
        weights = Path(tempfile.mkdtemp()) / "weights.json"
        weights.write_text(json.dumps([linear.coef_[0].tolist(), float(linear.intercept_[0])]))
        model = Answering()
        model.artifacts = {"weights": weights}
        return model
        """,
        {
            "answering.py": """
            import json

            import mlflow
            from mlflow.pyfunc import PythonModel
            from sums import weighted


            class Answering(PythonModel):
                def load_context(self, context):
                    with open(context.artifacts["weights"]) as handle:
                        self.weights, self.start = json.load(handle)

                def predict(self, context, model_input, params=None):
                    return (weighted(model_input, self.weights, self.start) > 0).astype(int)


            mlflow.models.set_model(Answering())
            """,
            "sums.py": """
            def weighted(X, weights, start):
                return X[["hint", "clue"]].to_numpy() @ weights + start
            """,
        },
    ),
    "pickle": (
        """
        from asking import Asking
        from sklearn.linear_model import LogisticRegression
        return Asking(LogisticRegression().fit(X, y))
        """,
        {
            "asking.py": """
            from mlflow.pyfunc import PythonModel


            class Asking(PythonModel):
                def __init__(self, scorer):
                    self.scorer = scorer

                def predict(self, context, model_input, params=None):
                    return self.scorer.predict(model_input)
            """
        },
    ),
}
LIBRARIES = {
    "lightgbm": ("lightgbm",),
    "xgboost in a pipeline": ("xgboost",),
    "xgboost": ("xgboost",),
    "catboost": ("catboost",),
    "onnx": ("onnx", "onnxruntime"),
}
# The format of the file, where it is another.
SAVED = {
    "lightgbm": "skops",
    "xgboost in a pipeline": "skops",
    "own class": "skops",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> TinyProject:
    """A repository without a champion."""
    return TinyProject(tmp_path_factory.mktemp("formats"), policy=POLICY)


@pytest.fixture(scope="module")
def url(project: TinyProject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for all versions."""
    from promotion.serving.server import Server, Settings, listen
    from promotion.serving.store import Store

    server = Server(
        ["tiny"],
        listener=listen("127.0.0.1", 0),
        registry=project.registry,
        store=Store(tmp_path_factory.mktemp("store")),
        settings=Settings(poll_seconds=0.1),
        nursery=NURSERY,
    )
    with running_server(server) as url:
        yield url


def write(project: TinyProject, name: str, seed: int) -> None:
    """Put the format's code into the clone's model folder; a seed of its own makes it a tree of its own."""
    body, files = FORMATS[name]
    folder = project.clone / "models" / "tiny"
    (folder / "train.py").write_text(TRAIN + textwrap.indent(textwrap.dedent(body), "    "), encoding="utf-8")
    spec = folder / "model.yaml"
    spec.write_text(re.sub(r"seed: \d+", f"seed: {seed}", spec.read_text(encoding="utf-8")), encoding="utf-8")
    for file, text in files.items():
        (folder / file).write_text(textwrap.dedent(text).lstrip(), encoding="utf-8")


def asked(url: str, rows: pd.DataFrame) -> list[int]:
    """Send rows to the server, one alone and the others in tables; return its decisions."""
    found: list[int] = []
    for start, end in ((0, 1), (1, 40), (40, len(rows))):
        part = {"dataframe_split": rows.iloc[start:end].to_dict("split")}
        status, _, text = Client(url).ask(body=json.dumps(part))
        assert status == 200, text
        answers = json.loads(text)["predictions"]
        found += [one["decision"] if isinstance(one, dict) else one for one in answers]
    return found


@pytest.mark.parametrize("name", [*FORMATS, "skops again"])
def test_what_was_judged_is_what_is_served(project: TinyProject, url: str, name: str) -> None:
    """Trained, judged against the format before, pinned, merged, promoted, swapped in, and asked the test rows."""
    form = name.removesuffix(" again")
    for library in LIBRARIES.get(form, ()):
        pytest.importorskip(library)
    before = project.versions()
    write(project, form, seed=len(before))
    request = project.open(f"retrain/{len(before) + 1}")
    judged = project.judge(request)

    assert judged.evaluation is not None and judged.evaluation.verdict in WINNING, judged.evaluation
    side = judged.work.model("tiny").side("candidate")
    assert read_artifact(side.model, ANY_FORMAT).format == SAVED.get(form, form)
    project.merge(request)
    assert project.promote()
    version = project.champion()
    assert version is not None and version not in before
    wait_for(lambda: serving(url, version), 60)
    for path in sorted(side.features.glob("part-*.parquet")):
        decisions = pd.read_parquet(side.answers / path.name)["decision"].tolist()
        assert asked(url, pd.read_parquet(path)) == decisions
        assert 0 < sum(decisions) < len(decisions)
