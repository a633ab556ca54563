"""Which runner each job asks for."""

import json

import pytest
from promotion.pullrequest.runners import here, outputs, scoring, shared
from promotion.records.plan import ModelPlan, Plan, Runner

from tests.support import samples


def asking(name: str, runs_on: str | None = None, minutes: int | None = None, action: str = "train") -> ModelPlan:
    """A planned model whose model.yaml asks for this."""
    runner = Runner(runs_on=runs_on, timeout_minutes=minutes) if runs_on or minutes else None
    return samples.model_plan().model_copy(update={"model": name, "runner": runner, "action": action})


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ([asking("a")], Runner()),
        ([asking("a", "gpu", 60), asking("b")], Runner(runs_on="gpu")),
        ([asking("a", "gpu", 60), asking("b", "gpu", 30)], Runner(runs_on="gpu", timeout_minutes=90)),
        ([asking("a", "gpu"), asking("b", "big")], Runner()),
        ([], Runner()),
    ],
)
def test_champions_answer_where_all_who_ask_agree(models: list[ModelPlan], expected: Runner) -> None:
    """One job scores all models: on the only label that is asked for, for as long as all of them ask together."""
    assert scoring(models) == expected


def test_the_outputs_say_only_what_is_asked_for() -> None:
    """One job a model for the matrix of retrain.yml; what a model leaves to the workflow is left out, or empty."""
    found = outputs([asking("a.b", "gpu", 60), asking("b")])

    assert json.loads(found["jobs"]) == [{"model": "a.b", "runs_on": "gpu", "timeout": "60"}, {"model": "b"}]
    assert (found["score_runs_on"], found["score_timeout"]) == ("gpu", "")


def test_every_model_knows_where_champions_answer_and_a_machine_of_ones_own_asks_for_nothing() -> None:
    """What is refused does not count; on a laptop no label is said."""
    models = (asking("a", "gpu"), asking("b"), asking("c", "big", action="refuse"))
    plan = Plan(base="b", head="h", merge="m", lock="none", models=models)
    on_all = shared(plan)

    assert [item.runner.scored_on if item.runner else None for item in on_all.models] == ["gpu", "gpu", None]
    assert [item.runner for item in here(on_all).models] == [None, None, None]
