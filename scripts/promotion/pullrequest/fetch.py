"""A model's files, fetched into a work folder: a pinned version's, held against the pin, or one trained elsewhere."""

import shutil
from pathlib import Path

from promotion.config import FILE
from promotion.config.model_yaml import read_spec, registered
from promotion.config.pin import PinRecord
from promotion.errors import PromotionError
from promotion.pullrequest.candidate import candidate_record
from promotion.pullrequest.workdir import ModelWork
from promotion.records.files import digest_files
from promotion.records.plan import ModelPlan
from promotion.registry.client import Registry, Version
from promotion.sandbox.artifact import ANY_FORMAT, Allowed, accept
from promotion.text.progress import progress


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
    final, digest = _fetched(registry, version, folder)
    if pin.digest is not None and digest != pin.digest:
        raise PromotionError(
            f"{model} version {pin.version}: the files in the registry hash to {digest}, the pin says {pin.digest}; "
            "somebody changed them after the pin was made"
        )
    label = f"{model} version {pin.version}"
    if lands is None:
        note = accept(final, label, ANY_FORMAT, vouched=True)
        if note is not None:
            print(f"{model}: {note}")
    else:
        accept(final, label, Allowed.by(lands[0].policy), source=lands[1], vouched=False)
    return final


def fetch_elsewhere(item: ModelPlan, registry: Registry, files: ModelWork, lock: str) -> None:
    """Fetch the model that model.yaml's `run:` names, and write the candidate's record; no later job changes either."""
    assert item.elsewhere is not None
    side, file = files.side("candidate"), item.shown / "model.yaml"
    spec = read_spec(side.source, shown=item.shown)
    named = registered(item.elsewhere)
    if named is None:
        if registry.fetch_logged(item.elsewhere, "model", side.root) is None:
            raise PromotionError(
                f"run {item.elsewhere} has no artifact `model` in {registry.where}; log the model under that name, or "
                "correct the line `run:`",
                file=file,
            )
    else:
        version = registry.version(*named)
        if version is None:
            raise PromotionError(registry.lacks(*named, "correct the line `run:`"), file=file)
        _fetched(registry, version, side.root)
    record = candidate_record(item, spec, digest=digest_files(side.model), lock=lock)
    record.write(files.candidate_record)


def _fetched(registry: Registry, version: Version, folder: Path) -> tuple[Path, str]:
    """Download a version's files into `folder`/model; return that and their digest."""
    folder.mkdir(parents=True, exist_ok=True)
    with progress(f"{version.model} version {version.version}: downloading", unit="B") as step:
        path, digest = registry.fetch_version(version, folder / "download", step.reached)
    final = folder / "model"
    shutil.rmtree(final, ignore_errors=True)
    path.replace(final)
    assert digest_files(final) == digest
    return final, digest
