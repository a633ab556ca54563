"""On which runner a model is trained and answers: its model.yaml asks, the base's promotion.yaml allows."""

import json
from collections.abc import Collection, Sequence

from promotion.config import FILE
from promotion.config.model_yaml import machine_of
from promotion.errors import PromotionError
from promotion.git.repo import Repo
from promotion.records.plan import ModelPlan, Plan, Runner

JOBS = ("train", "judge", "verify")  # actions for which jobs run beside those of the workflow itself
NOT_ASKED = (
    "Its model.yaml asks for a runner or a time of its own, which counts on branches of the repository itself alone: "
    "this ran where the workflow says."
)


def asked(repo: Repo, commit: str, model: str, allowed: Collection[str]) -> Runner | None:
    """Return what a model.yaml asks for; raise PromotionError with its line for a label that is not allowed.

    allowed: the labels of the base's promotion.yaml, which whoever asks cannot change.
    """
    file = f"models/{model}/model.yaml"
    found = machine_of(repo.file_at(commit, file))
    if found.runs_on is not None and found.runs_on not in allowed:
        raise PromotionError(
            f"`runs_on: {found.runs_on}` is not among `runners` of the base's {repo.at(FILE)}, which allows "
            f"{', '.join(allowed) or 'none'}; leave the line out, or add the label there in a pull request of its own",
            file=repo.at(file),
            line=found.line,
        )
    if found.runs_on is None and found.timeout_minutes is None:
        return None
    return Runner(runs_on=found.runs_on, timeout_minutes=found.timeout_minutes)


def allowed_or_none(repo: Repo, commit: str, model: str, allowed: Collection[str]) -> Runner | None:
    """The same for a model that was champion before: nothing, where its label is not allowed any more."""
    try:
        return asked(repo, commit, model, allowed)
    except PromotionError:
        return None


def here(plan: Plan) -> Plan:
    """The plan on this very machine, whatever its models ask for."""
    return plan.model_copy(update={"models": tuple(one.model_copy(update={"runner": None}) for one in plan.models)})


def not_asked(plan: Plan) -> Plan:
    """The plan of a fork's pull request: who may not push to the repository chooses no machine of its owner's."""
    models = (
        one.model_copy(update={"runner": None, "says_first": (*one.says_first, NOT_ASKED)}) if one.runner else one
        for one in plan.models
    )
    return plan.model_copy(update={"models": tuple(models)})


def scoring(models: Sequence[ModelPlan]) -> Runner:
    """What the one job in which champions answer asks for: the only label that any model names, and all minutes."""
    found = [one.runner or Runner() for one in models]
    labels = {one.runs_on for one in found} - {None}
    minutes = [one.timeout_minutes for one in found]
    known = [one for one in minutes if one is not None]
    return Runner(
        runs_on=labels.pop() if len(labels) == 1 else None,
        timeout_minutes=sum(known) if known and len(known) == len(minutes) else None,
    )


def shared(plan: Plan) -> Plan:
    """Tell each model's runner on which machine champions answer."""
    label = scoring([one for one in plan.models if one.action in JOBS]).runs_on
    if label is None:
        return plan
    models = [_with(one, scored_on=label) if one.action in JOBS else one for one in plan.models]
    return plan.model_copy(update={"models": tuple(models)})


def _with(plan: ModelPlan, scored_on: str) -> ModelPlan:
    return plan.model_copy(update={"runner": (plan.runner or Runner()).model_copy(update={"scored_on": scored_on})})


def outputs(models: Sequence[ModelPlan]) -> dict[str, str]:
    """The outputs that runs-on and timeout-minutes read: one job a model as JSON, and of the one that scores all.

    What is left out, or empty, the workflow itself says.
    """
    jobs = [{"model": one.model, **_said(one.runner or Runner())} for one in models]
    score = _said(scoring(models))
    return {"jobs": json.dumps(jobs), **{f"score_{key}": score.get(key, "") for key in ("runs_on", "timeout")}}


def _said(runner: Runner) -> dict[str, str]:
    found = {"runs_on": runner.runs_on, "timeout": runner.timeout_minutes}
    return {key: str(value) for key, value in found.items() if value is not None}
