"""Desired against current: what main pins, what the registry has, and the difference."""

from dataclasses import dataclass
from typing import Literal

from promotion.config import FILE, Entry, Promotion, parse
from promotion.errors import PromotionError
from promotion.ledger import LedgerEntry, read_ledger
from promotion.pins import PinChange, PinHistory
from promotion.records import PinRecord
from promotion.registry import CHAMPION, RegisteredModel
from promotion.source import Repo

Step = Literal["none", "move", "record", "drop"]


@dataclass(frozen=True)
class Desired:
    """What main says about one model. change: the commit that last changed its pin, with its height."""

    model: str
    entry: Entry | None
    pin: PinRecord | None
    change: PinChange | None
    height: int


@dataclass(frozen=True)
class Current:
    """What the registry says about one model."""

    champion: int | None
    ledger: tuple[LedgerEntry, ...]
    tags: dict[str, str]

    @property
    def newest(self) -> LedgerEntry | None:
        """The ledger's entry with the highest height."""
        return self.ledger[-1] if self.ledger else None


@dataclass(frozen=True)
class Difference:
    """One model's difference. step: none, move the alias, record only (it points right already), or drop it."""

    desired: Desired
    current: Current
    step: Step

    @property
    def model(self) -> str:
        """The model's name."""
        return self.desired.model

    @property
    def wanted(self) -> int | None:
        """The version that main pins."""
        return None if self.desired.pin is None else self.desired.pin.version

    def __str__(self) -> str:
        now = "nothing" if self.current.champion is None else str(self.current.champion)
        if self.step == "none":
            return f"{self.model}: @champion is {now}, as main pins"
        if self.step == "record":
            return f"{self.model}: @champion is {now}, as main pins; the ledger learns of it"
        if self.step == "drop":
            return f"{self.model}: @champion {now} -> dropped"
        return f"{self.model}: @champion {now} -> {self.wanted}"


def current_state(registered: RegisteredModel | None) -> Current:
    """Read one registered model's champion and ledger."""
    if registered is None:
        return Current(None, (), {})
    return Current(registered.aliases.get(CHAMPION), tuple(read_ledger(registered.tags)), registered.tags)


def read_promotion(repo: Repo, commit: str) -> Promotion:
    """Read promotion.yaml at a commit through the strict loader."""
    text = repo.file_at(commit, FILE)
    if text is None:
        raise PromotionError(f"missing at commit {commit[:12]}; there is nothing to promote", file=FILE)
    return parse(text)


def desired_states(repo: Repo, tip: str, registered: dict[str, RegisteredModel]) -> dict[str, Desired]:
    """Return what `tip` wants of every model it names, and of models of ours that it names no more."""
    promotion = read_promotion(repo, tip)
    history = PinHistory(repo, tip)
    heights = _Heights(repo, tip)
    found = {}
    for name, entry in promotion.models.items():
        change = history.last_change(name)
        height = 0 if change is None else heights.of(change.commit.sha)
        found[name] = Desired(name, entry, entry.champion, change, height)
    for name, model in registered.items():
        if name in promotion.models or not read_ledger(model.tags):
            continue
        change = history.last_change(name)
        folder_gone = repo.object_at(tip, f"models/{name}") is None
        if change is not None and change.after is None and folder_gone:  # ours once, removed with its folder
            found[name] = Desired(name, None, None, change, heights.of(change.commit.sha))
    return found


class _Heights:
    """First-parent heights of many commits for one walk of the chain."""

    def __init__(self, repo: Repo, tip: str) -> None:
        self.repo = repo
        self.tip = tip
        self._found: dict[str, int] | None = None

    def of(self, commit: str) -> int:
        if self._found is None:
            chain = self.repo.git("rev-list", "--first-parent", self.tip).split()
            self._found = {sha: len(chain) - index for index, sha in enumerate(chain)}
        return self._found[commit]


def difference(desired: Desired, current: Current) -> Difference:
    """Compare one model's desired and current state; pure."""
    newest = current.newest
    if desired.pin is None:
        if current.champion is None and (newest is None or newest.version is None):
            return Difference(desired, current, "none")
        return Difference(desired, current, "drop" if current.champion is not None else "record")
    recorded = newest is not None and desired.change is not None and newest.commit == desired.change.commit.sha
    if current.champion != desired.pin.version:
        return Difference(desired, current, "move")
    return Difference(desired, current, "none" if recorded else "record")
