"""How a candidate came out, as its run and its version say it: tags that one listing reads, and a description."""

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime

from promotion.config.pin import PinRecord
from promotion.errors import PromotionError
from promotion.records.evaluation import Evaluation
from promotion.records.plan import Plan
from promotion.registry.client import Registry, Run
from promotion.registry.evidence import read_evidence
from promotion.registry.watched import read_looks
from promotion.text.escape import code, link, markdown
from promotion.text.figures import confidence, figure, interval
from promotion.timeline import Claim, Look, Tried, promised


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


def worth_of(registry: Registry, model: str, pin: PinRecord, tags: Mapping[str, str]) -> str:
    """`was promised net benefit +$3,261 (…) and realized +$2,104 (…)` of a champion, as far as it is known.

    tags: of the registered model, which hold the looks at it.
    """
    looks = [look for some in read_looks(tags).values() for look in some if look.version == pin.version]
    seen = max(looks, key=lambda look: look.last, default=None)
    version = None if pin.evidence is None else registry.version(model, pin.version)
    won = None
    if version is not None and version.run_id is not None and pin.evidence is not None:
        with contextlib.suppress(PromotionError):  # what is only told stops nothing
            won = read_evidence(registry, version.run_id, pin.evidence)
    before = None if won is None else promised(won)
    after = None if seen is None else seen.realized
    named = before or after
    parts = [f"promised {before.worth}"] if before is not None else []
    parts += [f"realized {after.worth}"] if after is not None else []
    return f"of which {named.metric.replace('_', ' ')} was {' and '.join(parts)}" if named is not None else ""


AFTER = "**After the merge:**"


def with_look(before: str, look: Look, looks: int, claim: Claim | None) -> str:
    """A version's description that says what a look found, in place of an earlier one; pure.

    before: the description. claim: what was promised.
    """
    told = "" if claim is None else f"promised {claim.worth}, "
    realized = "unknown" if look.realized is None else look.realized.worth
    against = "" if look.against is None else f" against version {look.against}"
    when = f"look {look.number} of {looks}, on {look.first} to {look.last}"
    said = f"{AFTER} {look.verdict}; {told}realized {realized}{against} ({when})"
    return f"{before.partition(AFTER)[0].rstrip()}\n\n{said}\n".lstrip()


def description(evaluation: Evaluation, plan: Plan, digest: str, before: str = "") -> str:
    """What MLflow's page of a version shows, as Markdown: the verdict, the dollars, where to read on; pure.

    before: the description until now, of which what a look after the merge found is kept.
    """
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
    _, seen, found = before.partition(AFTER)
    lines += [f"{seen}{found}".strip()] if seen else []
    return "\n\n".join(lines) + "\n"
