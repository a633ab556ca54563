"""Floors that only warn: judged as the gate's are, and nothing hangs on them, whatever a table lacks."""

from collections.abc import Callable

from promotion.config.policy import Policy
from promotion.errors import PromotionError
from promotion.judgement.rules import floor_name
from promotion.records.figures import RuleResult


def warnings(policy: Policy, floors: Callable[[Policy], tuple[RuleResult, ...]]) -> tuple[RuleResult, ...] | None:
    """Return how the policy's warnings came out; None where it has none.

    floors: judges the gate of a policy on the table at hand. Where it raises, every warning fails with the sentence.
    """
    if not policy.warn:
        return None
    try:
        return floors(policy.warned)
    except PromotionError as error:
        return tuple(
            RuleResult(
                rule=floor_name(floor),
                kind="floor",
                metric=floor.target.metric,
                bound=floor.bound,
                ok=False,
                reason=f"cannot be judged: {error.message}",
            )
            for floor in policy.warn
        )
