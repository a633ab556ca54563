"""How a candidate came out, as its run and its version say it: tags that one listing reads, and a description."""

from datetime import UTC, datetime

from promotion.records.evaluation import Evaluation
from promotion.records.plan import Plan
from promotion.registry.client import Run
from promotion.text.escape import code, link, markdown
from promotion.text.figures import confidence, figure, interval
from promotion.timeline import Claim, Tried, promised


def outcome_tags(evaluation: Evaluation, plan: Plan, digest: str) -> dict[str, str]:
    """What a run says about its latest judgement; digest: of the evidence."""
    tags = {"verdict": evaluation.verdict, "evidence": digest}
    claim = promised(evaluation)
    if claim is not None:
        tags["promised"] = claim.tag()
    tags |= {name: value for name in ("pull", "begun") if (value := getattr(plan, name)) is not None}
    return tags


def tried_of(run: Run) -> Tried:
    """Read what a run says."""
    tags = run.tags
    number = tags.get("version", "")
    return Tried(
        run=run.run_id,
        at=datetime.fromtimestamp(run.started_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        version=int(number) if number.isascii() and number.isdigit() else None,
        verdict=tags.get("verdict"),
        rejected=tags.get("gate") == "REJECTED",
        reason=tags.get("gate_reason", ""),
        pull=tags.get("pull"),
        begun=_time(tags.get("begun")),
        promised=Claim.from_tag(tags.get("promised")),
        source_tree=tags.get("source_tree"),
        digest=tags.get("digest"),
        evidence=tags.get("evidence"),
    )


def _time(text: str | None) -> str | None:
    """An ISO 8601 time with its offset; None for anything else."""
    try:
        return text if text and datetime.fromisoformat(text).tzinfo is not None else None
    except ValueError:
        return None


def description(evaluation: Evaluation, plan: Plan, digest: str) -> str:
    """What MLflow's page of a version shows, as Markdown: the verdict, the dollars, where to read on; pure."""
    claim, pull = promised(evaluation), link(plan.pull)
    beaten, days = evaluation.champion, f"judged on {evaluation.test.first} to {evaluation.test.last}"
    against = "" if beaten is None else f" against version {beaten.version or 'unknown'}"
    lines = [f"**{evaluation.verdict}**{against}, {days}"]
    if claim is not None:
        worth = f"{markdown(claim.metric)} {figure(claim.level, claim.unit)}"
        if claim.difference is not None:
            worth += f", {figure(claim.difference, claim.unit, signed=True)}"
            worth += f" ({interval(claim.interval, claim.unit)} at {confidence(claim.confidence or 0)})"
        lines.append(worth)
    lines += [f"Pull request: {pull}"] if pull else []
    lines.append(f"Evidence: {code(digest)}; source tree: {code(evaluation.candidate.source_tree or 'unknown')}")
    return "\n\n".join(lines) + "\n"
