"""Evidence: the evaluation.json that won a pin, kept with the version's run and named by its digest."""

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from promotion.config.pin import PinRecord
from promotion.errors import PromotionError
from promotion.frozen import MAX_RECORD_BYTES
from promotion.registry.client import Registry

if TYPE_CHECKING:
    from promotion.records.evaluation import Evaluation

FOLDER = "evidence"


def artifact_path(digest: str) -> str:
    """Where a run keeps the evidence with this digest."""
    return f"{FOLDER}/{digest.removeprefix('sha256:')}.json"


def store_evidence(registry: Registry, run_id: str, evaluation: "Evaluation") -> str:
    """Keep an evaluation with its run, unless it is there; return its digest."""
    digest = evaluation.sha256
    with tempfile.TemporaryDirectory() as scratch:
        if registry.fetch(run_id, artifact_path(digest), Path(scratch)) is None:
            path = Path(scratch) / "new" / Path(artifact_path(digest)).name
            evaluation.write(path)
            registry.log_files(run_id, path, FOLDER)
    return digest


def read_evidence(registry: Registry, run_id: str, digest: str) -> "Evaluation | None":
    """Return the evaluation with this digest from a run, or None; raise PromotionError if its bytes are others."""
    with tempfile.TemporaryDirectory() as scratch:
        path = registry.fetch(run_id, artifact_path(digest), Path(scratch))
        if path is None:
            return None
        content = path.read_bytes() if path.is_file() and path.stat().st_size <= MAX_RECORD_BYTES else b""
    if "sha256:" + hashlib.sha256(content).hexdigest() != digest:
        raise PromotionError(f"the evidence of run {run_id} does not hash to its pin {digest}; it was changed")
    from promotion.records.evaluation import Evaluation  # which another thread may have imported while this one waited

    return Evaluation.parse(content.decode("utf-8"), where=artifact_path(digest))


def check_evidence(
    registry: Registry, model: str, pin: PinRecord, *, champion: PinRecord | None, policy_digest: str
) -> list[str]:
    """Return what is wrong with a pin's evidence, in sentences; [] when it was won as the base demands."""
    who = f"{model} version {pin.version}"
    version = registry.version(model, pin.version)
    if version is None:
        return [f"{who} does not exist in {registry.where}"]
    if pin.evidence is None or version.run_id is None:
        return [f"{who} has no evidence"]
    try:
        found = read_evidence(registry, version.run_id, pin.evidence)
    except PromotionError as error:
        return [f"{who}: {error.brief}"]
    if found is None:
        return [f"{who}: the evidence {pin.evidence[:19]} is not kept with its run"]
    return judge_evidence(who, pin, found, model=model, champion=champion, policy_digest=policy_digest)


def judge_evidence(
    who: str, pin: PinRecord, found: "Evaluation", *, model: str, champion: PinRecord | None, policy_digest: str
) -> list[str]:
    """Compare a pin with its evaluation; pure. Return what is wrong, in sentences."""
    from promotion.records.evaluation import WINNING

    problems = []
    if found.model != model:
        problems.append(f"{who}: its evidence is about {found.model}")
    if found.verdict not in WINNING:
        problems.append(f"{who}: its evidence says {found.verdict}, which does not promote")
    if found.candidate.digest != pin.digest or found.candidate.source_tree != pin.source_tree:
        problems.append(f"{who}: its evidence is about other files or another source tree than the pin")
    beaten = None if found.champion is None else (found.champion.version, found.champion.digest)
    base = None if champion is None else (champion.version, champion.digest)
    if beaten != base and not (champion is not None and champion.adopted and beaten and beaten[0] == champion.version):
        won = "no champion" if beaten is None else f"version {beaten[0]}"
        now = "no champion" if base is None else f"version {base[0]}"
        problems.append(f"{who}: its evidence was won against {won}, but the base pins {now}")
    if found.policy_digest != policy_digest:
        problems.append(f"{who}: its evidence was won under another policy than the base's")
    return problems
