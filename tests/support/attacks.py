"""What every attack shares: who could try it, what came of it once, and what comes of it now, for the table."""

from collections.abc import Callable

import pytest


def attack(who: str, before: str) -> pytest.MarkDecorator:
    """Mark a test as an attack. who: who could try it, with what. before: what came of it at d8a954a."""
    return pytest.mark.attack(who=who, before=before)


@pytest.fixture
def happened(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Say what came of the attack, as a person who tries it would see it; the table keeps the last sentence."""
    return lambda text: request.node.user_properties.append(("happened", " ".join(text.split())))
