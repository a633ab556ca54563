"""Why a pull request is red whatever its models do: odd folders, and the bar lowered by who jumps it."""

from dataclasses import dataclass

from promotion.config import FILE
from promotion.config.pin import PinRecord
from promotion.config.promotion_yaml import Entry, Promotion
from promotion.git.objects import FOLDER
from promotion.git.repo import Repo
from promotion.git.tree import entries_of, problems, sentence, wrong
from promotion.records.plan import ModelPlan

OWN = ("scripts", ".github", "requirements")  # what judges, at the top of a repository that has it
CALLED = (".github",)  # ... and of one that only calls it
HERE = ("models", FILE)  # what is judged


@dataclass(frozen=True)
class State:
    """One model in base and merge result: T and its pins, as the table in scripts/README.md names them.

    odd: why its folder in the merge result is not one to train from (a link, a submodule, an odd name), or None.
    """

    model: str
    tree: str | None
    base_tree: str | None
    entry: Entry | None
    base_entry: Entry | None
    former: str | None = None
    odd: str | None = None

    @property
    def pin(self) -> PinRecord | None:
        """P: the merge result's pin."""
        return None if self.entry is None else self.entry.champion

    @property
    def champion(self) -> PinRecord | None:
        """B: the base's pin."""
        return None if self.base_entry is None else self.base_entry.champion


def odd_paths(repo: Repo, base: str, merge: str) -> list[tuple[str, str]]:
    """Return (path, sentence) of what a pull request brings that no model folder may hold.

    That is, everything in a model folder that it changes, whatever it adds directly below models/, and names
    beside models/ that some systems take for ours.
    """
    root = entries_of(repo, merge)
    odd = [*_alike(repo, base, merge, HERE), *_alike(repo.top, base, merge, OWN)]
    models = next((entry for entry in root if entry.name == b"models"), None)
    if models is None:
        return odd
    if models.mode != FOLDER:
        return [*odd, ("models", sentence(("models", f"its mode is {models.mode}, so it is no folder")))]
    old, new = (entries_of(repo, commit, "models") for commit in (base, merge))
    found = [(f"models/{name}", why) for name, why in wrong(new, old)]
    for entry in new:
        if entry.mode == FOLDER and entry not in old:
            found += problems(repo, entry.id, f"models/{entry.shown}")
    return [*odd, *((one[0], sentence(one)) for one in found)]


def _alike(repo: Repo, base: str, merge: str, names: tuple[str, ...]) -> list[tuple[str, str]]:
    """(path, sentence) of what a pull request brings beside `names` that some systems take for them."""
    new, old = (entries_of(repo, commit) for commit in (merge, base))
    return [
        (entry.shown, f"{entry.shown} is refused: some systems take it for {entry.folded}; give it another name")
        for entry in new
        if entry.folded in names and entry.name.decode() != entry.folded and entry not in old
    ]


def own(odd: list[tuple[str, str]], model: str) -> str | None:
    """The first sentence about a model's own folder."""
    folder = f"models/{model}"
    return next((why for path, why in odd if path == folder or path.startswith(f"{folder}/")), None)


def odd_elsewhere(odd: list[tuple[str, str]], states: list[State]) -> list[str]:
    """The sentences about what lies below models/ and is no model's."""
    told = {state.odd for state in states}
    return [
        why for path, why in odd if why not in told and not any(path.startswith(f"models/{s.model}/") for s in states)
    ]


@dataclass(frozen=True)
class Between:
    """A pull request as what lies between two commits, and what promotion.yaml says at each."""

    repo: Repo
    base: str
    merge: str
    before: Promotion
    after: Promotion


def refusals(
    between: Between, states: list[State], plans: tuple[ModelPlan, ...], guarded: tuple[str, ...]
) -> list[str]:
    """Return why the pull request is red whatever its models do: one sentence each.

    guarded: what at the repository's top judges, so that no model may come with it.
    """
    repo, before, after = between.repo, between.before, between.after
    found = [f"{plan.model}: {plan.reason}" for plan in plans if plan.action == "refuse"]
    judged = [plan.model for plan in plans if plan.action in ("train", "judge")]
    found += _unnamed(before, after, judged)
    found += _too_many(after, plans)
    if not judged:
        return found
    root, old_root = (
        set(entries_of(repo.top, commit)) for commit in (between.merge, between.base)
    )  # all paths could be billions
    mixed = sorted({f"{entry.shown}/" for entry in root ^ old_root if entry.folded in guarded})
    if mixed:
        found.append(
            f"it changes {', '.join(judged)} together with {', '.join(mixed)}; split it into two pull requests"
        )
    for state in states:
        old, new = state.base_entry, state.entry
        if old is not None and new is not None:
            same = (old.policy.digest, old.freeze, old.drift) == (new.policy.digest, new.freeze, new.drift)
            if not same:
                found.append(
                    f"it changes {', '.join(judged)} together with the policy of {state.model} "
                    f"({repo.at(FILE)}:{new.line}); nobody lowers the bar and jumps it in one pull request: split it"
                )
    if before.models and before.guard_moves != after.guard_moves:
        found.append(f"it changes {', '.join(judged)} together with `guard` in {repo.at(FILE)}; split it")
    return found


def _too_many(after: Promotion, plans: tuple[ModelPlan, ...]) -> list[str]:
    """More champions than one apply may move: merged, promote would move none of them."""
    moving = [plan.model for plan in plans if plan.action in ("train", "judge") or _moves(plan)]
    most = after.guard_moves
    if most is None or len(moving) <= most:
        return []
    return [
        f"it moves {len(moving)} champions ({', '.join(moving)}), and `guard.moves` in {FILE} allows {most} at once: "
        "merged, it would move none; split it, or raise `guard.moves` in a pull request of its own first"
    ]


def _moves(plan: ModelPlan) -> bool:
    """Whether merging moves or drops a champion that is pinned; an adopted one stays where it is."""
    adopted = plan.pin is not None and plan.pin.adopted
    return plan.action in ("verify", "none") and plan.pin != plan.champion and not adopted


def _unnamed(before: Promotion, after: Promotion, judged: list[str]) -> list[str]:
    """A new model beside one whose champion goes: without `renamed_from` a rename would escape the challenge."""
    found = []
    new = [name for name in judged if name not in before.models and name in after.models]
    gone = [name for name, old in before.models.items() if old.champion is not None and name not in after.models]
    for name in new:
        entry = after.models[name]
        if entry.renamed_from is not None and entry.renamed_from not in gone:
            found.append(
                f"{name} says `renamed_from: {entry.renamed_from}` ({FILE}:{entry.line}), but that is no model whose "
                "champion this pull request removes; correct the name or leave the line out"
            )
    claimed = {after.models[name].renamed_from for name in new}
    unclaimed = [name for name in gone if name not in claimed]
    plain = [name for name in new if after.models[name].renamed_from is None]
    if plain and unclaimed:
        found.append(
            f"it removes {', '.join(unclaimed)} and adds {', '.join(plain)}: say `renamed_from: {unclaimed[0]}` in the "
            "new entry, so that it challenges that champion, or use two pull requests"
        )
    return found
