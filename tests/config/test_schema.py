"""The JSON schemas for editors are what the sections say."""

import pytest
from promotion.config.schema import FILES, FOLDER, schema_text


@pytest.mark.parametrize("name", FILES)
def test_the_committed_schema_is_the_generated_one(name: str) -> None:
    """After a change of a section: `cd scripts && python -m promotion.config.schema`."""
    assert (FOLDER / name).read_text(encoding="utf-8") == schema_text(*FILES[name])
