"""Policies from plain values, through the loader that reads promotion.yaml."""

from typing import Any

import yaml
from promotion.config.policy import Policy
from promotion.config.promotion_yaml import parse


def policy_from_raw(model: str, raw: dict[str, Any], *, file: str = "promotion.yaml") -> Policy:
    """The policy of a file whose entry says `raw`."""
    text = yaml.safe_dump({"models": {model: {**raw, "champion": None}}}, sort_keys=False)
    return parse(text, file=file).models[model].policy
