"""Desired against current: what main pins, what the registry has, and the difference."""

import functools
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from promotion.champion.agreed import need_git
from promotion.champion.pins import PinChange, PinHistory
from promotion.config import FILE
from promotion.config.pin import PinRecord
from promotion.config.promotion_yaml import Entry, model_entry
from promotion.errors import PromotionError
from promotion.git.commits import read_tip
from promotion.git.promotion_at import promotion_at
from promotion.git.repo import Repo
from promotion.registry.client import CHAMPION, RegisteredModel, Version
from promotion.registry.ledger import LedgerEntry, has_ledger, read_ledger

Step = Literal["none", "move", "record", "drop"]


class Main:
    """The production branch at one commit: its promotion.yaml (strictly read) and its first-parent history."""

    def __init__(self, repo: Repo, tip: str, branch: str = "main") -> None:
        repo.need_full_history()
        self.repo = repo
        self.branch = branch
        self.tip = repo.resolve(tip)
        self.promotion = promotion_at(repo, self.tip)

    @functools.cached_property
    def history(self) -> PinHistory:
        """Pins in time along the first-parent chain."""
        return PinHistory(self.repo, self.tip)

    def need_git(self, model: str, entry: LedgerEntry) -> None:
        """Raise PromotionError unless the branch, as it is now, pins what a ledger entry says."""
        history = self.history
        if entry.commit not in history.chain:
            history = PinHistory(self.repo, read_tip(self.repo, self.branch).commit)
        need_git(history, model, entry, self.branch)

    def base_policy(self, model: str, change: PinChange) -> str:
        """Return the digest of the policy in force at a pin change's base (a new model brings its own)."""
        entry = self._base_entry(model, change) or self._entry(change.commit.sha, model)
        if entry is None:
            raise PromotionError(f"{model} has no policy at {change.commit.sha[:12]}")
        return entry.policy.digest

    def base_champion(self, model: str, change: PinChange) -> PinRecord | None:
        """Return the pin that a pin change had to beat: the base's, for a renamed model the one of its old name."""
        if change.before is not None:
            return change.before
        entry = self._base_entry(model, change)
        return None if entry is None else entry.champion

    def _base_entry(self, model: str, change: PinChange) -> Entry | None:
        """The model's entry at the base, for a renamed model the one of its old name; None for a new model."""
        for parent in change.commit.parents[:1]:
            entry = self._entry(parent, model)
            if entry is None:
                own = self._entry(change.commit.sha, model)
                entry = self._entry(parent, own.renamed_from) if own is not None and own.renamed_from else None
            return entry
        return None

    def _entry(self, commit: str, model: str) -> Entry | None:
        text = self.repo.file_at(commit, FILE)
        return None if text is None else model_entry(text, model, file=f"{self.repo.at(FILE)} at {commit[:12]}")


class Desired(NamedTuple):
    """What main says about one model.

    change: the commit that last changed its pin; its `before` is not read where nothing differs.
    height: of that commit. era: of the ledger that an entry for it belongs to.
    """

    model: str
    entry: Entry | None
    pin: PinRecord | None
    change: PinChange | None
    height: int
    era: int = 0

    @property
    def order(self) -> tuple[int, int]:
        """Where an entry for this change stands in the ledger."""
        return self.era, self.height


class Current(NamedTuple):
    """What the registry says about one model. exists: it is registered. trouble: why its ledger cannot be read.

    latest: its newest versions, as far as they came along.
    """

    champion: int | None
    ledger: tuple[LedgerEntry, ...]
    tags: dict[str, str]
    latest: dict[int, Version]
    exists: bool = True
    trouble: str | None = None

    @property
    def newest(self) -> LedgerEntry | None:
        """The ledger's entry with the highest order."""
        return self.ledger[-1] if self.ledger else None


@dataclass(frozen=True)
class Difference:
    """One model's difference. step: none, move the alias, record only (it points right already), or drop it."""

    desired: Desired
    current: Current
    step: Step
    main: Main | None = field(default=None, repr=False, compare=False)

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
            return f"{self.model}: @champion is {now}, as main pins; would record it in the ledger"
        if self.step == "drop":
            return f"{self.model}: would drop @champion, which is {now}"
        return f"{self.model}: would move @champion {now} -> {self.wanted}"


def current_state(registered: RegisteredModel | None) -> Current:
    """Read one registered model's champion and ledger."""
    if registered is None:
        return Current(None, (), {}, {}, exists=False)
    champion = registered.aliases.get(CHAMPION)
    try:
        ledger, trouble = tuple(read_ledger(registered.tags)), None
    except PromotionError as error:
        ledger, trouble = (), str(error)
    return Current(champion, ledger, registered.tags, registered.latest, trouble=trouble)


def differences(main: Main, registered: dict[str, RegisteredModel]) -> list[Difference]:
    """Compare what main wants with what the registry has, by model name."""
    current = {name: current_state(registered.get(name)) for name in main.promotion.models}
    current |= {name: current_state(model) for name, model in registered.items() if has_ledger(model.tags)}
    desired = desired_states(main, current)
    return [replace(difference(desired[name], current[name]), main=main) for name in sorted(desired)]


def one_difference(main: Main, model: str, registered: RegisteredModel | None) -> Difference:
    """Compare one model that main names, or that is ours; raise PromotionError for any other."""
    current = current_state(registered)
    desired = desired_states(main, {model: current})
    if model not in desired:
        raise PromotionError(f"main does not name {model}, and this project never set its champion", file=FILE)
    return replace(difference(desired[model], current), main=main)


def desired_states(main: Main, current: dict[str, Current]) -> dict[str, Desired]:
    """Return what main wants of each model in `current` that it names, or that is ours and it names no more."""
    settled = _settled(main, current)
    found = {}
    for name, entry in main.promotion.models.items():
        if name not in current:
            continue
        known = settled.get(name)
        if known is not None:
            change = PinChange(main.history.by_sha[known.commit], None, entry.champion)
            found[name] = Desired(name, entry, entry.champion, change, known.height, known.era)
        else:
            found[name] = _read(main, name, entry, current[name])
    for name in current.keys() - main.promotion.models.keys():
        if _removed(main, name, current[name]):
            found[name] = _read(main, name, None, current[name])
    return found


def _removed(main: Main, name: str, current: Current) -> bool:
    """Whether a model that main does not name was pinned here once, and is to be retired now."""
    newest = current.newest
    if newest is None or (newest.version is None and newest.stands):
        return False  # its ledger cannot be read, or it is retired already
    if not any(entry.commit in main.history.chain for entry in current.ledger):
        return False  # another repository's, in the same registry
    if main.repo.object_at(main.tip, f"models/{name}") is not None:
        return False  # only its entry is gone
    change = main.history.last_change(name)
    return change is not None and change.after is None


def _read(main: Main, name: str, entry: Entry | None, current: Current) -> Desired:
    pin = None if entry is None else entry.champion
    change = main.history.last_change(name)
    newest = current.newest
    if change is None and newest is not None and newest.version is not None:
        # the ledger knows a champion that this history never had: only rewritten history explains it
        change = PinChange(main.repo.describe(main.tip), None, None)
    height = 0 if change is None else main.history.chain[change.commit.sha]
    era = 0 if newest is None else newest.era + (newest.commit not in main.history.chain)
    return Desired(name, entry, pin, change, height, era)


def _settled(main: Main, current: dict[str, Current]) -> dict[str, LedgerEntry]:
    """Return the models that need no look into history: confirmed, unmoved, and no pin change since.

    Pins change rarely and history is long, so a revision of promotion.yaml is read only when it is newer
    than the newest commit in any ledger, or when a model differs.
    """
    newest = {
        name: state.newest
        for name, state in current.items()
        if state.newest is not None and state.newest.commit in main.history.by_sha
    }
    if not newest:
        return {}
    changed = main.history.changed_above(max(main.history.chain[entry.commit] for entry in newest.values()))
    found = {}
    for name, entry in newest.items():
        pinned = main.promotion.models.get(name)
        pin = None if pinned is None else pinned.champion
        same = pin is not None and pin.version == entry.version and pin.digest in (None, entry.digest)
        if same and entry.stands and current[name].champion == entry.version and name not in changed:
            found[name] = entry
    return found


def difference(desired: Desired, current: Current) -> Difference:
    """Compare one model's desired and current state; pure."""
    newest, change = current.newest, desired.change
    pin = desired.pin
    recorded = newest is not None and newest.stands and change is not None and newest.commit == change.commit.sha
    if recorded and newest is not None:  # a tag that says anything else than the pin is no record of it
        same = pin is not None and pin.digest in (None, newest.digest)
        recorded = newest.version == (None if pin is None else pin.version) and (pin is None or same)
    if desired.pin is not None:
        if current.champion != desired.pin.version:
            return Difference(desired, current, "move")
        return Difference(desired, current, "none" if recorded else "record")
    if current.champion is not None:
        return Difference(desired, current, "drop")
    nothing_to_say = not current.exists or (change is None and current.trouble is None)
    return Difference(desired, current, "none" if recorded or nothing_to_say else "record")
