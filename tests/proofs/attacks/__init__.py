"""Attacks: each succeeded once and fails now. One file a kind; table.py makes the table of tests/README.md."""

import pytest


def attack(who: str, before: str) -> pytest.MarkDecorator:
    """Mark a test as an attack. who: who could try it, with what. before: what came of it at d8a954a."""
    return pytest.mark.attack(who=who, before=before)
