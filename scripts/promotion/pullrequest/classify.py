"""Classify a pull request by state: what its merge result says about each model, against its base."""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from promotion.champion.agreed import unproven, was_champion
from promotion.champion.pins import PinHistory
from promotion.config import FILE
from promotion.config.model_yaml import LOCK, lock_digest, maker, run_of, training_key
from promotion.config.pin import PinRecord
from promotion.config.promotion_yaml import Promotion
from promotion.config.sections import MODEL_NAME, NAMES
from promotion.errors import PromotionError
from promotion.git.promotion_at import promotion_at
from promotion.git.repo import Repo
from promotion.git.tree import folder_at, folders_in
from promotion.git.whose import Scripts
from promotion.pullrequest.changed import changed
from promotion.pullrequest.foreseen import foreign, held, ledger_of
from promotion.pullrequest.refusals import CALLED, OWN, Between, State, odd_elsewhere, odd_paths, own, refusals
from promotion.pullrequest.runners import allowed_or_none, asked
from promotion.records.plan import Action, ModelPlan, Plan
from promotion.registry.client import CHAMPION, RegisteredModel, Registry
from promotion.registry.ledger import has_ledger
from promotion.registry.outcome import worth_of
from promotion.text.escape import clean

UNFIT = "this must not be merged as it is"
OVERRIDDEN = "an override names who and why"
WON_HERE = "its evidence was won against the base's champion under the base's policy"
THE_REPOSITORYS = Scripts(own=True, name="")


@dataclass(frozen=True)
class Change:
    """What is proposed: `merge` is the merge result of `head` into `base`, all three commits.

    author: of the pull request, whose name alone an override may give; None where there is no pull request. pull:
    its address. scripts: whose judge it.
    """

    base: str
    merge: str
    head: str
    author: str | None = None
    pull: str | None = None
    scripts: Scripts = THE_REPOSITORYS


def classify(repo: Repo, registry: Registry, change: Change, *, only: str | None = None) -> Plan:
    """Return what must happen to every model that the merge result or its base knows.

    only: plan this model alone, and judge it even where nothing differs from the base.
    """
    base, merge, author, scripts = change.base, change.merge, change.author, change.scripts
    between = Between(repo, base, merge, promotion_at(repo, base, base=True), promotion_at(repo, merge))
    # a first promotion.yaml says for itself what it allows
    runners = (between.after if repo.file_at(base, FILE) is None else between.before).runners
    lock = lock_digest(repo.top.file_at(merge, LOCK) if scripts.own else scripts.lock)
    history = PinHistory(repo, base)
    odd = odd_paths(repo, base, merge)
    states = [replace(state, odd=own(odd, state.model)) for state in _states(between)]
    if only is not None:
        states = [state for state in states if state.model == only]
    planned, failed = [], []
    for state in states:
        try:
            item = _plan(state, registry, history, lock, author, insist=only is not None)
        except PromotionError as error:  # its records cannot be had or read; the others are judged all the same
            failed.append(error)
            item = _as_planned(state, "refuse", error.brief)
        item = _on_its_runner(item, repo, merge, runners)
        planned.append(_of_the_branch(item, state, repo, base, merge))
    if failed and all(item.action in ("none", "refuse") for item in planned):
        raise failed[0]
    plans = tuple(planned)
    if repo.prefix:
        plans = tuple(plan.model_copy(update={"folder": repo.at(f"models/{plan.model}")}) for plan in plans)
    return Plan(
        base=base,
        head=change.head,
        merge=merge,
        lock=lock,
        scripts=scripts.name,
        own=scripts.own,
        models=plans,
        refusals=(
            *odd_elsewhere(odd, states),
            *refusals(between, states, plans, OWN if scripts.own else CALLED),
        ),
    )


def _states(between: Between) -> list[State]:
    before, after = between.before, between.after
    old, new = (folders_in(between.repo, commit, "models") for commit in (between.base, between.merge))
    names = sorted(old.keys() | new.keys() | before.models.keys() | after.models.keys())
    states = []
    for name in names:
        former = _former(name, before, after)
        state = State(
            model=name,
            tree=new.get(name),
            base_tree=old.get(name),
            entry=after.models.get(name),
            base_entry=before.models.get(name if former is None else former),
            former=former,
        )
        if state.entry is not None or state.base_entry is not None or state.tree != state.base_tree:
            states.append(state)
    return states


def _former(name: str, before: Promotion, after: Promotion) -> str | None:
    """The old name of a model that the pull request renames: its entry in the base is the one to hold it against."""
    entry = after.models.get(name)
    if entry is None or entry.renamed_from is None or name in before.models or entry.renamed_from in after.models:
        return None
    return entry.renamed_from if entry.renamed_from in before.models else None


def decide(state: State, history: PinHistory) -> tuple[Action, str]:
    """Return (action, reason) for one model; a pure function of the state and main's history."""
    if state.odd is not None:
        return "refuse", state.odd
    if state.entry is None:
        return _without_entry(state)
    changed = state.tree != state.base_tree
    moved = state.pin != state.champion
    unproven = state.pin is not None and state.pin.adopted and state.pin.source_tree is None
    if state.tree is None and not (unproven and (moved or not changed)):
        return (
            "refuse",
            f"{FILE} has an entry for it but models/{state.model}/ is gone; remove both together or neither",
        )
    if state.former is not None and state.pin is not None and state.pin == state.champion:
        return "refuse", (
            f"its pin is the one of {state.former}, whose version numbers mean nothing under another name; "
            "set `champion: null`, and the candidate is trained and pinned here"
        )
    if not changed and not moved:
        return "none", "neither its folder nor its pin differs from the base"
    if state.pin is None and moved:
        return _dropped(state, history, changed)
    if state.pin is not None and state.pin.source_tree == state.tree:
        return "verify", "its pin names this very tree"
    if unproven and not changed:
        return "verify", "it is adopted: what it was made from is not known here"
    if not changed:
        return "refuse", (
            f"its pin moves to version {state.pin.version if state.pin else None} without the code that it was made "
            f"from; use `python scripts/rollback.py {state.model} --to VERSION`, which moves both"
        )
    return "train", "its folder has a tree that no pin names"


def _without_entry(state: State) -> tuple[Action, str]:
    if re.fullmatch(MODEL_NAME, state.model) is None:
        return (
            "refuse",
            f"models/{state.model}/ is no name of a model: {NAMES}; rename the folder, or move it elsewhere",
        )
    if state.base_entry is None:
        return "refuse", f"models/{state.model}/ has no entry in {FILE}; add one (see models/README.md)"
    if state.tree is None:
        return "none", "removed together with its folder"
    return "refuse", f"its entry in {FILE} is removed but models/{state.model}/ stays; remove both together or neither"


def _dropped(state: State, history: PinHistory, changed: bool) -> tuple[Action, str]:
    """A pin that becomes null: the revert of the first promotion, or a retired champion."""
    if not changed:
        return "verify", "its champion is retired"
    for commit in history.repo.first_parent_log(history.tip, f"models/{state.model}"):
        same = folder_at(history.repo, commit.sha, f"models/{state.model}") == state.tree
        if same and history.pins(commit.sha).get(state.model) is None:
            return "verify", "back to before its first champion"
    return "train", "its folder has a tree that no pin names"


def _on_its_runner(plan: ModelPlan, repo: Repo, merge: str, runners: tuple[str, ...]) -> ModelPlan:
    """Add which machine the model's jobs ask for; what is trained may ask for no other than is allowed."""
    if plan.action == "verify":  # no label stops a rollback
        return plan.model_copy(update={"runner": allowed_or_none(repo, merge, plan.model, runners)})
    if plan.action not in ("train", "judge"):
        return plan
    try:
        return plan.model_copy(update={"runner": asked(repo, merge, plan.model, runners)})
    except PromotionError as error:
        return plan.model_copy(update={"action": "refuse", "reason": error.brief, "merge_effect": UNFIT})


def _of_the_branch(plan: ModelPlan, state: State, repo: Repo, base: str, merge: str) -> ModelPlan:
    """Add what the pull request changes and, for `confirm: fresh`, the day on which a tree was first committed."""
    if plan.action == "none" or state.odd is not None:
        return plan
    plan = plan.model_copy(update={"changed": changed(repo, state.base_tree, state.tree)})
    if plan.action not in ("train", "judge") or plan.source_tree is None:
        return plan
    first = repo.first_with(base, merge, f"models/{plan.model}", plan.source_tree) or repo.describe(merge)
    day = datetime.fromisoformat(first.when).astimezone(UTC).date()
    plan = plan.model_copy(update={"committed_on": str(day)})
    run = run_of(repo.file_at(merge, f"models/{plan.model}/model.yaml"))
    return plan if run is None else _elsewhere(plan, run)


def _elsewhere(plan: ModelPlan, run: str) -> ModelPlan:
    """A model that a run outside of this project trained: its files are fetched and judged, and nothing is trained."""
    first = (f"Its model was trained elsewhere ({maker(run)} in MLflow); this repository does not say how.",)
    if plan.action == "judge":  # judged before: its files are with our own run
        return plan.model_copy(update={"says_first": (*first, *plan.says_first)})
    what = {"action": "judge", "reason": f"its model is the one of {maker(run)}", "elsewhere": run}
    return plan.model_copy(update={**what, "says_first": (*first, *plan.says_first)})


def _plan(
    state: State, registry: Registry, history: PinHistory, lock: str, author: str | None, *, insist: bool = False
) -> ModelPlan:
    action, reason = decide(state, history)
    rolled = history.rolled_back(state.model).get(state.tree or "") if action != "none" else None
    if insist and action == "none" and state.tree is not None:
        action, reason = "train", "a trial was asked for"
    effect, first = "nothing changes", []
    run_id = version = None
    key = training_key(state.model, state.tree, lock) if state.tree is not None else None
    if state.base_entry is None and state.entry is not None:
        first.append("This pull request brings the model's own policy; it is judged by what it brings.")
    if state.former is not None:
        first.append(
            f"This renames {state.former}: the candidate challenges its champion under its policy, merging drops "
            f"@champion of {state.former}, and the count of looks begins again."
        )
    if rolled is not None and (action == "train" or (action == "verify" and state.pin != state.champion)):
        first.append(
            f"This tree was champion as version {rolled.before.version if rolled.before else '?'} and was rolled back "
            f"on {rolled.commit.when[:10]} ({rolled.commit.subject})."
        )
    listed = registry.model(state.model) if action in ("train", "verify") else None
    if action == "verify":
        action, reason, effect = _verify(state, registry, history, author, listed)
        if state.pin is not None and state.pin.override and state.pin != state.champion:
            first.append(f"Override by {_by(state.pin, author)}: {state.pin.override.reason}")
    stranger = foreign(state, history, listed)
    if stranger is not None and not insist and (action == "train" or reason in (WON_HERE, OVERRIDDEN)):
        action, reason = "refuse", stranger
    frozen = held(state, action, history, listed)
    if action == "train" and key is not None:
        run_id, version = _known(registry, state.model, key)
        if run_id is not None:
            action, reason = "judge", "this tree was trained before; its model is judged again under today's policy"
    if state.entry is None and action == "none":
        effect = "@champion is dropped" if state.champion else "nothing changes"
    if action == "refuse":
        effect = UNFIT
    plan = _as_planned(state, action, reason)
    found = {"key": key, "says_first": tuple(first), "merge_effect": effect, "run_id": run_id, "version": version}
    return plan.model_copy(update={**found, "held": frozen})


def _as_planned(state: State, action: Action, reason: str) -> ModelPlan:
    """What the state alone says about a plan."""
    owner = state.base_entry or state.entry
    return ModelPlan(
        model=state.model,
        action=action,
        reason=reason,
        source_tree=state.tree,
        key=None,
        champion=state.champion,
        pin=state.pin,
        policy=None if owner is None else owner.policy,
        policy_digest=None if owner is None else owner.policy.digest,
        policy_place=None if owner is None else owner.policy.place,
        merge_effect=UNFIT,
        champion_model=None if state.champion is None else state.former,
    )


def _known(registry: Registry, model: str, key: str) -> tuple[str | None, int | None]:
    """Return the run (and version) that was trained under `key`, if one was finished."""
    for run in registry.runs(model, key=key):
        if run.tags.get("complete") == "true":
            version = registry.version_of_run(model, run.run_id)
            return run.run_id, None if version is None else version.version
    return None, None


def _by(pin: PinRecord, author: str | None) -> str:
    """Who an override is by."""
    return (pin.override.by if pin.override is not None else None) or author or "the author"


def _verify(
    state: State, registry: Registry, history: PinHistory, author: str | None, listed: RegisteredModel | None
) -> tuple[Action, str, str]:
    """Check a pin against the base: the evidence was won against it, or the version was champion before."""
    old, new = state.champion, state.pin
    before = "nothing" if old is None else str(old.version)
    if new is None:
        return "verify", "no champion is left", f"@champion is dropped (was version {before})"
    if new == old:
        return "verify", "its folder comes back to the tree that is pinned", "nothing changes"
    move = f"@champion {before} -> {new.version}"
    by = "" if new.override is None else f", override by {_by(new, author)}"
    entry = was_champion(history, state.model, ledger_of(listed), new)
    wrong = _unfit(state.model, new, registry, history, author)
    if wrong is not None:
        return "refuse", wrong, "nothing"
    if entry is not None:
        origin = "" if entry.pr is None else f", merged in #{entry.pr}"
        return (
            "verify",
            f"this version was champion before{_goes(registry, state.model, old, listed)}",
            f"{move}, rollback to the champion of {entry.at[:10]}{origin}{by}",
        )
    if new.override is not None:
        return "verify", OVERRIDDEN, f"{move}{by}"
    if new.adopted:
        return _adopted(state.model, new, listed, history)
    from promotion.registry.evidence import check_evidence

    owner = state.base_entry or state.entry
    assert owner is not None
    problems = check_evidence(registry, state.model, new, champion=old, policy_digest=owner.policy.digest)
    if problems:
        return (
            "refuse",
            problems[0] + f"; run `python scripts/retrain.py update {state.model}` on this branch",
            "nothing",
        )
    return "verify", WON_HERE, move


def _goes(registry: Registry, model: str, old: PinRecord | None, listed: RegisteredModel | None) -> str:
    """What the version that a rollback takes back was to bring and has brought, as far as it is known."""
    if old is None or listed is None:
        return ""
    told = worth_of(registry, model, old, listed.tags)
    return f"; version {old.version} goes, {told}" if told else ""


def _unfit(model: str, pin: PinRecord, registry: Registry, history: PinHistory, author: str | None) -> str | None:
    """Why promote would refuse a pin whatever it won: its version was made from another tree, or its name is free text.

    An override that main pinned before was proven then.
    """
    version = registry.version(model, pin.version)
    tree = None if version is None else version.tags.get("source_tree")
    if version is not None and pin.source_tree is not None and not pin.adopted and tree != pin.source_tree:
        return (
            f"the registry says that version {pin.version} was trained from tree {clean(str(tree), 12)}, the pin says "
            f"{pin.source_tree[:12]}; take code and pin together, as rollback.py does"
        )
    if pin.override is None or author is None:
        return None
    before = any(
        change.after is not None and change.after.override == pin.override for change in history.changes(model)
    )
    return None if before else unproven(pin.override.by, [author], "the pull request")


def _adopted(
    model: str, pin: PinRecord, listed: RegisteredModel | None, history: PinHistory
) -> tuple[Action, str, str]:
    """`adopted: true` names the champion that the registry has; it is no way around the challenge."""
    champion = None if listed is None else listed.aliases.get(CHAMPION)
    ours = (listed is not None and has_ledger(listed.tags)) or history.last_change(model) is not None
    if champion == pin.version and not ours:
        return "verify", "the registry's own champion is adopted", f"nothing moves: @champion stays {champion}"
    now = "none" if champion is None else f"version {champion}"
    return (
        "refuse",
        f"version {pin.version} is marked `adopted: true`, but the registry's @champion is {now}, or was set by this "
        f"project; challenge it with `python scripts/retrain.py open {model}`",
        "nothing",
    )
