"""Looks after a merge, each one tag of the registered model: which days were used, and what was found.

A tag is keyed by its promotion's place in the ledger and the look's number, and never overwritten, so that one
listing of the registered models knows every look of every model.
"""

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from promotion.errors import PromotionError
from promotion.records.evaluation import Evaluation
from promotion.records.watched import Watched
from promotion.registry.client import Registry
from promotion.registry.evidence import store_evidence
from promotion.registry.ledger import PLACE
from promotion.timeline import Look

KEY = re.compile(rf"promotion\.watch\.({PLACE})\.(\d{{3,}})")


FOLDER = "watch"  # of the champion's run: a folder a look, with its score table and its record
RECORD = "watched.json"


def look_key(place: str, number: int) -> str:
    """The registered-model tag that holds a look."""
    return f"promotion.watch.{place}.{number:03d}"


def read_looks(tags: Mapping[str, str]) -> dict[str, tuple[Look, ...]]:
    """Return the looks among a registered model's tags by the place of their promotion, oldest first."""
    found: dict[str, list[Look]] = {}
    for key, value in sorted(tags.items()):
        match = KEY.fullmatch(key)
        look = None if match is None else Look.from_tag(value)
        if match is not None and look is not None:
            found.setdefault(match[1], []).append(look)
    return {place: tuple(sorted(looks, key=lambda look: look.number)) for place, looks in found.items()}


def _folder(place: str, number: int) -> str:
    return f"{FOLDER}/{place}.{number:03d}"


def keep_look(
    registry: Registry,
    model: str,
    run_id: str,
    place: str,
    look: Look,
    *,
    scores: Path,
    found: Watched,
    judged: Evaluation,
) -> None:
    """Keep a look: its table and records with the champion's run first, then the tag by which its days are used."""
    digest = store_evidence(registry, run_id, judged)
    folder = _folder(place, look.number)
    registry.log_files(run_id, scores, f"{folder}/scores")
    with tempfile.TemporaryDirectory() as scratch:
        registry.log_files(run_id, found.write(Path(scratch) / RECORD), folder)
    registry.set_model_tag(model, look_key(place, look.number), look.model_copy(update={"evidence": digest}).tag())


def fetch_tables(registry: Registry, run_id: str, place: str, looks: tuple[Look, ...], folder: Path) -> list[Path]:
    """Download the score tables of earlier looks; raise PromotionError where one is gone."""
    found = []
    for look in looks:
        path = registry.fetch(run_id, f"{_folder(place, look.number)}/scores", folder / str(look.number))
        if path is None:
            raise PromotionError(
                f"the score table of look {look.number} is gone from run {run_id}, and a look is judged on all days "
                "since the promotion; restore it, or set watch.looks to the number of looks so far"
            )
        found.append(path)
    return found


def read_watched(registry: Registry, run_id: str, place: str, look: Look) -> Watched | None:
    """What a look found, in full; None where it is gone."""
    with tempfile.TemporaryDirectory() as scratch:
        path = registry.fetch(run_id, f"{_folder(place, look.number)}/{RECORD}", Path(scratch))
        return None if path is None else Watched.read(path)
