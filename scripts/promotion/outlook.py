"""What a policy can be expected to say before anything is judged: mistakes in its rules, and its power."""

from promotion.config.promotion_yaml import FILE, parse, policy_from_raw
from promotion.git.repo import Repo
from promotion.judgement.metrics import check_policy
from promotion.judgement.power import policy_power, sentences
from promotion.records import ModelPlan, Plan
from promotion.registry.client import Registry
from promotion.registry.evidence import read_evidence


def check_policies(repo: Repo, plan: Plan) -> None:
    """Raise PromotionError with promotion.yaml:LINE at the first rule, of a model that is judged or whose policy
    is new, that names an unknown metric or cannot be computed."""
    entries = parse(repo.file_at(plan.merge, FILE) or "", file=FILE).models
    before = repo.file_at(plan.base, FILE)
    known = {entry.policy.digest for entry in parse(before).models.values()} if before is not None else set()
    judged = {item.model for item in plan.models if item.action in ("train", "judge")}
    for name, entry in entries.items():
        if name in judged or entry.policy.digest not in known:
            check_policy(entry.policy)


def power_lines(item: ModelPlan, registry: Registry) -> tuple[str, ...]:
    """Return what candidates with no and with the worthwhile difference would get, from the champion's evidence.

    () where there is no stored challenge with a difference to take the standard errors from.
    """
    pin = item.champion
    if item.action not in ("train", "judge") or pin is None or pin.evidence is None:
        return ()
    name = item.champion_model or item.model
    version = registry.version(name, pin.version)
    won = None if version is None or version.run_id is None else read_evidence(registry, version.run_id, pin.evidence)
    if won is None or item.policy is None:
        return ()
    policy = policy_from_raw(item.model, item.policy, file=FILE)
    powers = policy_power(policy, won)
    warnings = tuple(f"warning: {power.warning}" for power in powers if power.warning)
    return (*sentences(powers, policy.challenge.worthwhile), *warnings)
