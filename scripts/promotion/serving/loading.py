"""Fetch one registered version, and check that its files are what they should be, before any of them is used.

This runs in the server, which never loads a model: workers do, from the folder that was checked here.
"""

from promotion.errors import PromotionError
from promotion.registry.client import CHAMPION, Registry, Version
from promotion.registry.ledger import read_ledger
from promotion.serving.store import Local, Store


def fetch(registry: Registry, version: Version, store: Store, alias: str = CHAMPION) -> Local:
    """Return the files of `version`, from the store where they are there, else downloaded into it.

    Raises PromotionError when it is not READY, when the ledger confirms no pin of it, or when its files do not hash
    to what that pin says.
    """
    label = f"{version.model} version {version.version}"
    if not version.ready:
        raise PromotionError(f"{label} is not READY in the registry")
    wanted = confirmed(registry, version, alias)
    folder = store.find(wanted)
    digest = wanted
    if folder is None or digest is None:
        with store.incoming() as incoming:
            path, digest = registry.fetch_version(version, incoming)
            if wanted is not None and wanted != digest:
                raise PromotionError(f"the files of {label} hash to {digest}, not to the {wanted} that is pinned")
            folder = store.keep(path, digest)
    return Local(version.model, version.version, version.run_id, digest, folder)


def confirmed(registry: Registry, version: Version, alias: str) -> str | None:
    """Return the digest that the ledger confirms for a version; None for an adopted one of which none is known.

    A model that this project never promoted has no ledger: then its own tag counts, as it does for other aliases
    than @champion. Raises PromotionError where the ledger has no pin of this version, or one without a digest.
    """
    found = registry.model(version.model)
    entries = read_ledger(found.tags) if found is not None else []
    pins = [entry for entry in entries if entry.version == version.version]
    label = f"{version.model} version {version.version}"
    if not entries or (alias != CHAMPION and not pins):
        return version.tags.get("digest")
    if not pins:
        raise PromotionError(
            f"{label} is @{alias} in the registry, but the ledger confirms no pin of it; "
            "`promote.py plan` says what main pins"
        )
    newest = pins[-1]
    if newest.digest is None and newest.reason != "adopt":
        raise PromotionError(f"{label} was pinned without a digest, so nothing says which files were judged")
    return newest.digest
