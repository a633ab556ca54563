"""The report on a table of predictions from elsewhere: the same records and renderings, without a pull request."""

from pathlib import Path

from promotion.config.promotion_yaml import Policy, load, suggestion
from promotion.errors import PromotionError
from promotion.judgement.judge import judge_table
from promotion.judgement.table import Progress
from promotion.records import Evaluation, ModelPlan
from promotion.rendering import Reported, comment_markdown, report_html, terminal_text


def policy_of(path: Path, model: str | None) -> Policy:
    """Return the policy of `model` in a promotion.yaml, or of its only model; raise PromotionError for another."""
    models = load(path).models
    if model is None and len(models) == 1:
        return next(iter(models.values())).policy
    if model not in models:
        asked = "say which model with --model" if model is None else f"no model `{model}`"
        raise PromotionError(f"{asked}{suggestion(model or '', tuple(models))}", file=path)
    return models[model].policy


def judge_and_report(scores: Path, policy: Policy, out: Path, *, progress: Progress | None = None) -> Evaluation:
    """Judge the table; write evaluation.json, comment.md and report.html into `out`; print the report as text."""
    found = judge_table(scores, policy, progress=progress)
    plan = ModelPlan(
        model=policy.model,
        action="judge",
        reason=f"the table {scores.name}",
        source_tree=None,
        key=None,
        champion=None,
        pin=None,
        policy=policy.raw,
        policy_digest=policy.digest,
    )
    reported = [Reported(plan=plan, evaluation=found, elsewhere=True)]
    found.write(out / "evaluation.json")
    comment = comment_markdown(reported, plan=None, run_url=None, report_url=None)
    (out / "comment.md").write_text(comment, encoding="utf-8")
    (out / "report.html").write_text(report_html(reported, plan=None, run_url=None), encoding="utf-8")
    print(terminal_text(reported, trial=False))
    return found
