"""A model that is trained elsewhere: a folder whose model.yaml names an MLflow run goes the way of every other."""

from pathlib import Path

import pytest
from promotion.config.model_yaml import maker, move_run, read_spec, registered, run_of
from promotion.errors import PromotionError

from tests.support.tiny import MODEL, TinyProject

RUN = "0123456789abcdef" * 2


def trained_elsewhere(project: TinyProject, features: list[str], *, registered: str | None = None) -> str:
    """Fit and log a model as a training system does, which knows nothing of this project; return the run's id.

    registered: also register it under this name.
    """
    import mlflow
    import numpy as np
    import pandas as pd
    from mlflow.models import infer_signature
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    rng = np.random.default_rng(1)
    y = (rng.random(3000) < 0.2).astype(int)
    X = pd.DataFrame({"hint": y + rng.normal(0, 1.0, 3000), "clue": y + rng.normal(0, 0.4, 3000)})
    chosen = ColumnTransformer([("chosen", "passthrough", features)])
    model = make_pipeline(chosen, LogisticRegression()).fit(X, y)
    mlflow.set_tracking_uri(project.env["MLFLOW_TRACKING_URI"])
    mlflow.set_experiment("somebody-elses")
    with mlflow.start_run() as run:
        mlflow.sklearn.log_model(
            model,
            name="model" if registered is None else "fitted",
            registered_model_name=registered,
            serialization_format="skops",
            input_example=X.head(20),
            signature=infer_signature(X, model.predict(X)),
            pip_requirements=["scikit-learn==1.9.1"],
        )
    return str(run.info.run_id)


def test_a_run_takes_the_place_of_train_py(tmp_path: Path) -> None:
    """Both, neither, and what is no run are one sentence each."""
    text = f"as_of: 2026-03-01\ntrain_days: 20\nvalidation_days: 10\nseed: 0\nrun: {RUN} # of last night\n"
    (tmp_path / "model.yaml").write_text(text)
    (tmp_path / "data.py").write_text("")

    assert read_spec(tmp_path).run == RUN == run_of(text)
    assert (registered(RUN), registered("models:/a.b c/12")) == (None, ("a.b c", 12))
    assert (maker(RUN, digits=8), maker("models:/a.b c/12")) == ("run 01234567", "version 12 of a.b c")
    assert move_run(text, RUN[::-1], "model.yaml") == text.replace(RUN, RUN[::-1])
    (tmp_path / "train.py").write_text("")
    with pytest.raises(PromotionError, match=r"train\.py: model\.yaml says `run: .*remove one of the two"):
        read_spec(tmp_path)
    (tmp_path / "train.py").unlink()
    (tmp_path / "model.yaml").write_text(text.replace(RUN, "last"))
    with pytest.raises(
        PromotionError, match=r"model\.yaml:5: `run` must be the id of an MLflow run \(32 hex digits\), or a reg"
    ):
        read_spec(tmp_path)
    (tmp_path / "model.yaml").write_text(text.replace(f"run: {RUN} # of last night\n", ""))
    with pytest.raises(PromotionError, match=r"train\.py: a model folder needs train\.py, or the line `run: ID`"):
        read_spec(tmp_path)
    with pytest.raises(PromotionError, match="it has no line `run: ID`, so this model is trained here"):
        move_run((tmp_path / "model.yaml").read_text(), RUN, "model.yaml")


@pytest.mark.slow
def test_it_is_judged_pinned_promoted_and_rolled_back(tmp_path: Path) -> None:
    """First champion, a better one by moving the line to a registered version, the revert; what is missing is told."""
    project = TinyProject(tmp_path)
    folder = project.clone / "models" / MODEL
    (folder / "train.py").unlink()
    with (folder / "model.yaml").open("a") as handle:
        handle.write(f"run: {RUN}\n")
    with pytest.raises(PromotionError, match=r"models/tiny/model\.yaml: run 0123.* has no artifact `model`"):
        project.judge(project.open("nothing"))
    project.hosting.pull()
    (folder / "train.py").unlink()
    with (folder / "model.yaml").open("a") as handle:
        handle.write(f"run: {trained_elsewhere(project, ['hint'])}\n")

    first = project.judge(project.open("first"))

    assert first.evaluation is not None and first.evaluation.verdict == "FIRST", first.evaluation
    comment = (first.work.root / "comment.md").read_text(encoding="utf-8")
    assert "trained elsewhere (run " in comment
    project.merge(first.request)
    assert project.promote()
    project.hosting.pull()
    text = (folder / "model.yaml").read_text()
    trained_elsewhere(project, ["hint", "clue"], registered="Labs models")
    (folder / "model.yaml").write_text(move_run(text, "models:/Labs models/2", "model.yaml"))
    with pytest.raises(PromotionError, match=r"models/tiny/model\.yaml: version 2 of Labs models does not exist in"):
        project.judge(project.open("not-there"))
    project.hosting.pull()
    (folder / "model.yaml").write_text(move_run(text, "models:/Labs models/1", "model.yaml"))
    better = project.judge(project.open("better"))
    assert "(version 1 of Labs models in MLflow)" in (better.work.root / "comment.md").read_text(encoding="utf-8")
    assert better.evaluation is not None and better.evaluation.verdict == "PROMOTE", better.evaluation
    merged = project.merge(better.request)
    assert project.promote() and project.champion() == 2
    project.hosting.revert(merged)
    undo = project.judge(project.open("undo"))
    assert undo.action == "verify"
    project.merge(undo.request)
    assert project.promote() and project.champion() == 1
