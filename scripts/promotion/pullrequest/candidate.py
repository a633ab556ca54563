"""The record of a candidate's saved model, whoever trained it: what its model.yaml says, beside the files' digest."""

from promotion.config.model_yaml import windows
from promotion.model import Spec, Window
from promotion.records.plan import ModelPlan
from promotion.records.steps import Candidate


def candidate_record(plan: ModelPlan, spec: Spec, *, digest: str, lock: str, seconds: float = 0.0) -> Candidate:
    """Return candidate.json of a planned model. digest: of its files. seconds: that training took here."""
    measure = plan.judged_by.measure
    spans = windows(spec, test_days=measure.test_days, delay_days=measure.delay_days)
    return Candidate(
        model=plan.model,
        key=plan.key or "",
        source_tree=plan.source_tree or "",
        lock=lock,
        digest=digest,
        as_of=str(spec.as_of),
        train=_days(spans.train),
        validation=_days(spans.validation),
        labels_known_by=str(spans.labels_known_by),
        parameters=spec.parameters,
        seed=spec.seed,
        train_seconds=seconds,
    )


def _days(window: Window) -> tuple[str, str]:
    return str(window.first), str(window.last)
