"""Which promotion is looked at next, on which days: from main, the ledger and the looks so far; pure apart from git.

A look never fights a person: of a champion that somebody went back to, and of a first one, its floors alone are
looked at, and what was found worse once is left alone.
"""

from dataclasses import dataclass
from datetime import date, timedelta

from promotion.champion.desired import Current, Main
from promotion.champion.pins import went_back
from promotion.config.pin import PinRecord
from promotion.config.promotion_yaml import Entry
from promotion.model import Window
from promotion.registry.ledger import place
from promotion.registry.watched import lost_look, read_looks
from promotion.timeline import Look, moment


@dataclass(frozen=True)
class Promotion:
    """The promotion that stands: what was promoted over what, and the looks at it so far, oldest first.

    before: the predecessor; None where the champion's floors alone are looked at. place: in the ledger. since: the day
    on which @champion was seen there; days after it count.
    """

    model: str
    entry: Entry
    pin: PinRecord
    before: PinRecord | None
    place: str
    since: date
    looks: tuple[Look, ...]

    @property
    def number(self) -> int:
        """Which look is next."""
        return len(self.looks) + 1

    @property
    def worse(self) -> bool:
        """Whether a look found the predecessor better."""
        return any(look.verdict == "worse" for look in self.looks)

    @property
    def window(self) -> Window:
        """The days of the next look: the first whole ones after the merge that no look used."""
        used = [date.fromisoformat(look.last) for look in self.looks]
        return Window(max([self.since, *used]) + timedelta(days=1), self.entry.watch.days)

    @property
    def known_on(self) -> date:
        """The day on which all labels of the next look are known."""
        return self.window.last + timedelta(days=self.entry.policy.measure.delay_days + 1)


@dataclass(frozen=True)
class Standing:
    """One model. promotion: what stands and may be looked at. due: whether it is now. why: in a sentence.

    odd: somebody has to mend a tag before it can be looked at.
    """

    model: str
    promotion: Promotion | None
    due: bool
    why: str
    odd: bool = False


def standing(main: Main, entry: Entry, current: Current, model: str, today: date) -> Standing:
    """Say of a model whether its champion is to be looked at today, and why or why not."""

    def no(why: str, *, odd: bool = False) -> Standing:
        return Standing(model, None, False, why, odd)

    if entry.champion is None:
        return no("it has no champion")
    if current.trouble is not None:
        return no(f"its ledger cannot be read: {current.trouble}", odd=True)
    changes = list(main.history.changes(model))
    newest = current.newest
    if newest is None or not changes or not newest.stands or newest.commit != changes[0].commit.sha:
        return no("its pin is not applied yet")
    before, alone = changes[0].before, ""
    if went_back(changes):
        before, alone = None, f"somebody went back to it on {changes[0].commit.when[:10]}"
    elif before is None:
        alone = "it is the first champion"
    since, where = moment(newest.since), place(newest.era, newest.height)
    if since is None:
        return no(f"its ledger says {newest.since!r} where it should say when it became champion", odd=True)
    lost = lost_look(current.tags, where)
    if lost is not None:
        todo = "restore its value, or delete it and those of the looks after it, which are then made again"
        return no(f"the tag {lost} of the registered model is gone or is not what this project wrote; {todo}", odd=True)
    promotion = Promotion(
        model=model,
        entry=entry,
        pin=entry.champion,
        before=before,
        place=where,
        since=since.date(),
        looks=read_looks(current.tags).get(where, ()),
    )
    return _due(promotion, today, f", its floors alone, because {alone}" if alone else "")


def _due(found: Promotion, today: date, alone: str) -> Standing:
    looks, window = found.entry.watch.looks, found.window
    if found.worse:
        return Standing(
            found.model, found, False, f"version {found.pin.version} was found worse: {found.looks[-1].reason}"
        )
    if found.number > looks:
        return Standing(
            found.model, found, False, f"version {found.pin.version} was looked at {looks} times, which is all"
        )
    if today < found.known_on:
        why = f"no new labelled days: those of {window} are known on {found.known_on}"
        return Standing(found.model, found, False, f"look {found.number} of {looks} waits; {why}")
    return Standing(found.model, found, True, f"look {found.number} of {looks} on {window}{alone}")
