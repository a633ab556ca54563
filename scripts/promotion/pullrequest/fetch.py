"""A pinned version's files, fetched into a work folder and held against the pin."""

import shutil
from pathlib import Path

from promotion.config.pin import PinRecord
from promotion.config.policy import FILE
from promotion.errors import PromotionError
from promotion.records.files import digest_files
from promotion.records.plan import ModelPlan
from promotion.registry.client import Registry
from promotion.sandbox.artifact import ANY_FORMAT, Allowed, accept


def fetch_pinned(
    model: str, pin: PinRecord, registry: Registry, folder: Path, *, lands: tuple[ModelPlan, Path] | None = None
) -> Path:
    """Download a pinned version into `folder`/model; check that its files are the pinned ones and what a model may be.

    lands: (plan, reviewed source) where merging makes it champion for the first time: then today's limits hold.
    """
    version = registry.version(model, pin.version)
    if version is None:
        todo = f"go back to one that exists with `python scripts/rollback.py {model}`"
        raise PromotionError(f"{FILE} pins it, but {registry.lacks(model, pin.version, todo)}")
    folder.mkdir(parents=True, exist_ok=True)
    path, digest = registry.fetch_version(version, folder / "download")
    if pin.digest is not None and digest != pin.digest:
        raise PromotionError(
            f"{model} version {pin.version}: the files in the registry hash to {digest}, the pin says {pin.digest}; "
            "somebody changed them after the pin was made"
        )
    final = folder / "model"
    shutil.rmtree(final, ignore_errors=True)
    path.replace(final)
    assert digest_files(final) == digest
    label = f"{model} version {pin.version}"
    if lands is None:
        note = accept(final, label, ANY_FORMAT, vouched=True)
        if note is not None:
            print(f"{model}: {note}")
    else:
        accept(final, label, Allowed.by(lands[0].policy), source=lands[1], vouched=False)
    return final
