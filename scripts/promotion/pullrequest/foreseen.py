"""What promote will refuse once a pull request is merged, and can be said before: a freeze, a champion of others."""

from promotion.champion.agreed import agrees, was_champion
from promotion.champion.pins import PinHistory
from promotion.config import FILE
from promotion.pullrequest.refusals import State
from promotion.records.plan import Action
from promotion.registry.client import CHAMPION, RegisteredModel
from promotion.registry.ledger import LedgerEntry, read_ledger


def ledger_of(listed: RegisteredModel | None) -> list[LedgerEntry]:
    """The ledger of a model as the registry lists it; empty where it does not know the model."""
    return [] if listed is None else read_ledger(listed.tags)


def held(state: State, action: Action, history: PinHistory, listed: RegisteredModel | None) -> str | None:
    """Say why no champion moves when this is merged, as promote's check of the freeze decides; None where one does."""
    entry, pin = state.entry, state.pin
    if entry is None or entry.freeze is None or action not in ("train", "verify"):
        return None
    how = ""
    if action == "verify" and pin is not None:
        back = was_champion(history, state.model, ledger_of(listed), pin) is not None
        if pin == state.champion or (pin.adopted and not back):  # nothing is to move
            return None
        if back and pin.override is not None and all(change.after != pin for change in history.changes(state.model)):
            return None
        if back:
            undo = f"python scripts/rollback.py {state.model} --to {pin.version} --reason TEXT"
            how = f"; a rollback passes with `{undo}`"
    return (
        f"{state.model} is frozen ({entry.freeze}), so merging this moves no champion; take `freeze` out of {FILE} "
        f"first{how}"
    )


def foreign(state: State, history: PinHistory, listed: RegisteredModel | None) -> str | None:
    """Say so where the registry has a champion that this project never set: promote puts no other in its place."""
    champion = None if listed is None else listed.aliases.get(CHAMPION)
    ours = [pin.version for pin in (state.pin, state.champion) if pin is not None]
    if champion is None or champion in ours or any(agrees(history, state.model, one) for one in ledger_of(listed)):
        return None
    return (
        f"the registry has version {champion} as @champion, which this project never set; run "
        "`python scripts/promote.py adopt` to take it over, then let the candidate challenge it"
    )
