"""Fetch one registered version, and check that its files are what they should be, before any of them is used.

This runs in the server, which never loads a model: workers do, from the folder that was checked here.
"""

from promotion.errors import PromotionError
from promotion.registry.client import Registry, Version
from promotion.serving.store import Local, Store


def fetch(registry: Registry, version: Version, store: Store) -> Local:
    """Return the files of `version`, from the store where they are there, else downloaded into it.

    Raises PromotionError when it is not READY, or when its files do not hash to its tag `promotion.digest`.
    """
    label = f"{version.model} version {version.version}"
    if not version.ready:
        raise PromotionError(f"{label} is not READY in the registry")
    wanted = version.tags.get("digest")
    folder = store.find(wanted)
    digest = wanted
    if folder is None or digest is None:
        with store.incoming() as incoming:
            path, digest = registry.fetch_version(version, incoming)
            if wanted is not None and wanted != digest:
                raise PromotionError(
                    f"the files of {label} hash to {digest}, not to the {wanted} they were registered with"
                )
            folder = store.keep(path, digest)
    return Local(version.model, version.version, version.run_id, digest, folder)
