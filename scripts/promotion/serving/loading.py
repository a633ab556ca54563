"""Fetch one registered version, and check that its files are what they should be, before any of them is used.

This runs in the server, which never loads a model: workers do, from the folder that was checked here.
"""

from dataclasses import replace

from promotion.errors import PromotionError
from promotion.registry.client import CHAMPION, Registry, Version
from promotion.registry.ledger import read_ledger
from promotion.sandbox.artifact import ANY_FORMAT, accept
from promotion.serving.store import Local, Store


def fetch(
    registry: Registry, version: Version, store: Store, alias: str = CHAMPION, known: Local | None = None
) -> Local:
    """Return the files of `version`, from the store where they are there, else downloaded into it.

    known: what a model that is loaded was loaded from; where these are the files, they are not read once more, which
    the result says (`unread`).
    Raises PromotionError when it is not READY, when the ledger confirms no pin of it, when its files do not hash
    to what that pin says, or, where no pin vouches for them, when they are not what a model may be.
    """
    label = f"{version.model} version {version.version}"
    if not version.ready:
        raise PromotionError(f"{label} is not READY in the registry")
    wanted, vouched = confirmed(registry, version, alias)
    if known is not None and known.digest == wanted:
        return replace(known, run_id=version.run_id, unread=True)
    folder = store.find(wanted)
    digest = wanted
    if folder is None or digest is None:
        with store.incoming() as incoming:
            path, digest = registry.fetch_version(version, incoming)
            if wanted is not None and wanted != digest:
                raise PromotionError(f"the files of {label} hash to {digest}, not to the {wanted} that is pinned")
            note = accept(path, label, ANY_FORMAT, vouched=vouched)
            folder = store.keep(path, digest)
    else:
        note = accept(folder, label, ANY_FORMAT, vouched=vouched)
    return Local(version.model, version.version, version.run_id, digest, folder, note)


def confirmed(registry: Registry, version: Version, alias: str) -> tuple[str | None, bool]:
    """Return the digest that the ledger confirms for a version, and whether the ledger does.

    None for an adopted version of which no digest is known. Under another alias than @champion a version without a
    pin has the digest with which gate.py registered it. Raises PromotionError where nothing says which files were
    judged.
    """
    found = registry.model(version.model)
    entries = read_ledger(found.tags) if found is not None else []
    pins = [entry for entry in entries if entry.version == version.version]
    label = f"{version.model} version {version.version}"
    if not pins and alias != CHAMPION:
        if version.tags.get("digest") is None:
            raise PromotionError(f"{label} was registered without a digest, so nothing says which files were judged")
        return version.tags["digest"], False
    if not pins:
        raise PromotionError(
            f"{label} is @{alias} in the registry, but the ledger confirms no pin of it; `promote.py plan` says what "
            "main pins, and `promote.py adopt` takes over a champion that was there before this project"
        )
    newest = pins[-1]
    if newest.digest is None and newest.reason != "adopt":
        raise PromotionError(f"{label} was pinned without a digest, so nothing says which files were judged")
    return newest.digest, True
