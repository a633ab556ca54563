"""What the server takes: the files that the ledger confirms, and no other."""

import pytest
from promotion.errors import PromotionError
from promotion.records import digest_files
from promotion.registry.ledger import LedgerEntry
from promotion.serving.loading import fetch
from promotion.serving.store import Store

from tests.support.serving_world import Models, constant


def entry(version, digest, reason="merge", height=1):
    """A pin that was confirmed."""
    return LedgerEntry(
        height=height, commit="a" * 40, before=None, version=version, digest=digest, reason=reason, at="t", by="test"
    )


@pytest.fixture
def world(tmp_path):
    """(models, store, the digest of version 1's files, a function that confirms a pin)."""
    models = Models(tmp_path)
    saved = models.save(constant(1))
    models.register("m", saved, digest="sha256:" + "0" * 64)

    def confirm(pin):
        models.registry.set_model_tag("m", pin.key, pin.text())

    return models, Store(tmp_path / "store"), digest_files(saved), confirm


def taken(world, **how):
    """Fetch version 1 as the server does."""
    models, store, _, _ = world
    return fetch(models.registry, models.registry.version("m", 1), store, **how)


def test_the_confirmed_pins_digest_counts_and_not_a_tag_beside_it(world):
    """The tag on the version says something else, which whoever may register can write."""
    _, _, digest, confirm = world
    confirm(entry(1, digest))

    assert taken(world).digest == digest


def test_other_files_than_the_confirmed_ones_are_not_loaded(world):
    """Also where the version's own tag fits."""
    confirm = world[3]
    confirm(entry(1, "sha256:" + "1" * 64))

    with pytest.raises(PromotionError, match=r"hash to .* that is pinned"):
        taken(world)


def test_a_version_that_no_pin_names_is_not_loaded(world):
    """Somebody moved the alias by hand."""
    world[3](entry(2, "sha256:" + "1" * 64))

    with pytest.raises(PromotionError, match="the ledger confirms no pin of it"):
        taken(world)


def test_no_digest_no_service_unless_it_was_adopted(world):
    """An adopted champion whose pin has no digest is served, and any other is not."""
    _, _, digest, confirm = world
    confirm(entry(1, None))
    with pytest.raises(PromotionError, match="without a digest"):
        taken(world)

    confirm(entry(1, None, reason="adopt", height=2))
    assert taken(world).digest == digest
