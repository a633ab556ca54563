"""What every attack shares: it says what happened, for the table."""

from collections.abc import Callable

import pytest


@pytest.fixture
def happened(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Say what came of the attack, as a person who tries it would see it; the table keeps the last sentence."""
    return lambda text: request.node.user_properties.append(("happened", " ".join(text.split())))
