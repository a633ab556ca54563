"""Looks after a merge, each one tag of the registered model: which days were used, and what was found.

A tag is keyed by its promotion's place in the ledger and the look's number, and never overwritten, so that one
listing of the registered models knows every look of every model.
"""

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    """Return the looks among a registered model's tags by the place of their promotion, oldest first.

    What is not a look, or not the one that its key says, is passed over.
    """
    found: dict[str, list[Look]] = {}
    for key, value in sorted(tags.items()):
        match = KEY.fullmatch(key)
        look = None if match is None else Look.from_tag(value)
        if match is not None and look is not None and look_key(match[1], look.number) == key:
            found.setdefault(match[1], []).append(look)
    return {place: tuple(sorted(looks, key=lambda look: look.number)) for place, looks in found.items()}


def lost_look(tags: Mapping[str, str], place: str) -> str | None:
    """The first tag of a promotion's looks that cannot be read, or is gone before a later one; None: all well."""
    there = {key for key in tags if (match := KEY.fullmatch(key)) is not None and match[1] == place}
    known = {look_key(place, look.number) for look in read_looks(tags).get(place, ())}
    expected = [look_key(place, number) for number in range(1, len(known) + 1)]
    return min((there - known) | (set(expected) - known), default=None)


@dataclass(frozen=True)
class Shelf:
    """Where the looks at one promotion are kept: tables and records with its champion's run, a tag a look.

    place: the promotion's in the ledger.
    """

    registry: Registry
    model: str
    run_id: str
    place: str

    def keep(self, look: Look, scores: Path, found: Watched, judged: Evaluation) -> None:
        """Keep a look: its table and records first, then the tag by which its days are used."""
        digest = store_evidence(self.registry, self.run_id, judged)
        folder = self._folder(look)
        self.registry.log_files(self.run_id, scores, f"{folder}/scores")
        with tempfile.TemporaryDirectory() as scratch:
            self.registry.log_files(self.run_id, found.write(Path(scratch) / RECORD), folder)
        tag = look.model_copy(update={"evidence": digest}).tag()
        self.registry.set_model_tag(self.model, look_key(self.place, look.number), tag)

    def tables(self, looks: Sequence[Look], folder: Path) -> list[Path]:
        """Download the score tables of earlier looks; raise PromotionError where one is gone."""
        found = []
        for look in looks:
            path = self.registry.fetch(self.run_id, f"{self._folder(look)}/scores", folder / str(look.number))
            if path is None:
                raise PromotionError(
                    f"the score table of look {look.number} is gone from run {self.run_id}, and a look is judged on "
                    "all days since the promotion; restore it, or set watch.looks to the number of looks so far"
                )
            found.append(path)
        return found

    def read(self, look: Look) -> Watched | None:
        """What a look found, in full; None where it is gone."""
        with tempfile.TemporaryDirectory() as scratch:
            path = self.registry.fetch(self.run_id, f"{self._folder(look)}/{RECORD}", Path(scratch))
            return None if path is None else Watched.read(path)

    def _folder(self, look: Look) -> str:
        return f"{FOLDER}/{self.place}.{look.number:03d}"
