"""Open a retrain pull request, or bring the open one to newer data: one open pull request a model, never two."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from promotion.champion.pins import PinHistory
from promotion.champion.rollback import last_change_is_rollback
from promotion.config import FILE
from promotion.config.model_yaml import (
    Windows,
    maker,
    move_as_of,
    move_run,
    newest_as_of,
    parse_spec,
    read_as_of,
    run_of,
    windows,
)
from promotion.config.promotion_yaml import Entry, parse
from promotion.config.strict import read_text
from promotion.errors import PromotionError
from promotion.git.commits import Change, commit_on, fetch_branch, push
from promotion.git.promotion_at import promotion_at, promotion_text
from promotion.git.repo import Repo, pull_request
from promotion.git.tree import folders_in
from promotion.github.client import PullRequest
from promotion.github.comments import marked
from promotion.github.pulls import Host, Proposal, marker, own_pull, propose, refreshed
from promotion.retrain.trial import no_folder
from promotion.retrain.update import without_pins
from promotion.text.escape import code

TEMPLATE = ".github/PULL_REQUEST_TEMPLATE/retrain.md"
FIELD = re.compile(r"\{\{([a-z ]+)\}\}")
PLAIN_BODY = "{{headline}}\n\n{{windows}}\n\n{{champion}}\n"


@dataclass(frozen=True)
class Retrain:
    """A retrain to propose. as_of: before and after; edited: it carries more than as_of. run: the new `run:`."""

    model: str
    base: str
    change: Change
    before: date
    as_of: date
    edited: bool
    entry: Entry
    windows: Windows
    champion_since: str
    run: str | None = None

    @property
    def title(self) -> str:
        """The pull request's title and the commit's subject."""
        if self.run is not None:
            return f"Retrain {self.model} by {maker(self.run, digits=8)} (as of {self.as_of})"
        if self.edited:
            return f"Retrain {self.model} (edited, as of {self.as_of})"
        return f"Retrain {self.model} as of {self.as_of}"

    @property
    def branch(self) -> str:
        """The branch where none is asked for."""
        return f"retrain/{self.model}-{self.as_of}"


@dataclass(frozen=True)
class Opened:
    """A retrain's open pull request. pushed: its branch got a commit just now."""

    pull: PullRequest
    pushed: bool


def plan_retrain(
    repo: Repo,
    base: str,
    model: str,
    *,
    as_of: date | None,
    today: date,
    take_edit: bool = True,
    run: str | None = None,
) -> Retrain:
    """Decide what a retrain pull request changes on `base`: the caller's uncommitted edit, else as_of alone.

    run: the MLflow run, or version, of a model that is trained elsewhere; its line moves too, and as_of may stay.

    as_of: the first test day (default: the newest one whose labels are known today). Raise PromotionError
    when the model is unknown, the labels of as_of are not known yet, as_of would not move, or the edit
    was made on an older folder than main's.
    """
    edit = _edit(repo, base, model) if take_edit else None
    file = f"models/{model}/model.yaml"
    path = repo.at(file)
    entry, entry_text = _entry(repo, base, model, edited=edit is not None)
    on_main = repo.file_at(base, file)
    source = on_main if edit is None else repo.top.file_at(edit, "model.yaml")
    if source is None:
        raise PromotionError("missing; every model folder needs one (see models/README.md)", file=path)
    before = read_as_of(on_main if on_main is not None else source, path)
    newest = newest_as_of(today, entry.policy.measure)
    wanted = as_of or (read_as_of(source, path) if edit is not None else newest)
    if run is not None and edit is None and as_of is None:
        wanted = max(wanted, before)
    _known(model, wanted, entry, today)
    if edit is None and wanted == before and run in (None, run_of(source)):
        raise PromotionError(f"{model} is at as_of {before} already; give another --as-of, or edit models/{model}/")
    if edit is None and as_of is None and wanted < before:
        raise PromotionError(
            f"{model} is at as_of {before}, and labels are known today only up to as_of {newest}; "
            "wait for more days, or give --as-of"
        )
    files: dict[str, str | None] = {} if entry_text is None else {FILE: entry_text}
    if read_as_of(source, path) != wanted:
        files[file] = move_as_of(source, wanted, path)
    if run is not None:
        files[file] = move_run(files.get(file) or source, run, path)
    return Retrain(
        model=model,
        base=base,
        change=Change(trees={} if edit is None else {f"models/{model}": edit}, files=files),
        before=before,
        as_of=wanted,
        edited=edit is not None or run is not None,
        run=run,
        entry=entry,
        windows=_windows(files.get(file) or source, entry, path),
        champion_since=_champion_line(repo, base, model, entry),
    )


def _edit(repo: Repo, base: str, model: str) -> str | None:
    """Return the tree of the caller's uncommitted edit of the model folder, or None where there is none."""
    repo.check()
    folder = f"models/{model}"
    now = repo.working_tree(folder) if (repo.here / folder).is_dir() else None
    committed = repo.object_at("HEAD", folder)
    if now is None or now == committed:
        if committed is None and repo.object_at(base, folder) is None:
            raise no_folder(repo, model, folders_in(repo, base, "models"))
        return None
    if committed != repo.object_at(base, folder):
        raise PromotionError(
            f"your edit of {folder}/ was made on another folder than main's, so a pull request would undo the "
            "difference; bring your checkout up to date (`git pull`) and run this again"
        )
    return now


def _entry(repo: Repo, base: str, model: str, *, edited: bool) -> tuple[Entry, str | None]:
    """Return the model's entry, and promotion.yaml's text where the pull request brings a new model's entry."""
    models = promotion_at(repo, base, base=True).models
    if model in models:
        return models[model], None
    path = repo.here / FILE
    text = read_text(path, missing="every repository needs one") if edited and path.is_file() else None
    own = {} if text is None else parse(text, file=str(path)).models
    if model not in own:
        raise PromotionError(f"no entry for the model `{model}`; add one (see models/README.md)", file=repo.at(FILE))
    return own[model], text


def _known(model: str, as_of: date, entry: Entry, today: date) -> None:
    measure = entry.policy.measure
    ready = as_of + timedelta(days=measure.test_days + measure.delay_days)
    if ready > today:
        raise PromotionError(
            f"{model}: the labels of the test window from {as_of} on are known on {ready} "
            f"(test_days {measure.test_days} + delay_days {measure.delay_days}); "
            f"the newest as_of today is {newest_as_of(today, measure)}"
        )


def _windows(text: str, entry: Entry, path: str) -> Windows:
    measure = entry.policy.measure
    return windows(parse_spec(text, path), test_days=measure.test_days, delay_days=measure.delay_days)


def _champion_line(repo: Repo, base: str, model: str, entry: Entry) -> str:
    """Say who the candidate has to beat, and first of all that the last one was rolled back."""
    pin = entry.champion
    if pin is None:
        return "There is no champion yet: the gate decides alone."
    history = PinHistory(repo, base)
    last = history.last_change(model)
    since = "" if last is None else f", champion since {last.commit.when[:10]}"
    number = None if last is None else pull_request(last.commit)
    merged = "" if number is None else f" (#{number})"
    line = f"It has to beat version {pin.version}{since}{merged}."
    back = last_change_is_rollback(history, model)
    if back is not None and back.before is not None:
        line = f"**Version {back.before.version} was rolled back on {back.commit.when[:10]}.** {line}"
    return line


def body_of(found: Retrain, template: str | None) -> str:
    """Fill the pull request template; pure. A field that is not known stays as it is for the person."""
    spans = found.windows
    days = "\n".join(
        f"- {name}: {window}"
        for name, window in (("train", spans.train), ("validation", spans.validation), ("test", spans.test))
    )
    moved = f"{found.before} -> {found.as_of}" if found.before != found.as_of else f"{found.as_of}, not moved"
    fields = {
        "model": code(found.model),
        "headline": f"{'An edit of' if found.edited else 'New data for'} {code(found.model)}, `as_of` {moved}.",
        "as of": moved,
        "windows": f"{days}\n- labels known by {spans.labels_known_by}, before the first test day",
        "champion": found.champion_since,
    }
    text = FIELD.sub(lambda match: fields.get(match[1], match[0]), template or PLAIN_BODY)
    return marked(marker(found.model), text.rstrip("\n") + "\n")


def open_retrain(
    repo: Repo,
    host: Host,
    found: Retrain,
    *,
    into: str,
    branch: str | None,
    say: Callable[[str], None] = print,
) -> Opened | None:
    """Push the retrain's commit and open its pull request, or add it to the open one; None without a token.

    The open one is the same model's, by hidden marker: its branch gets one more commit, and its title and
    body are brought up to date.
    """
    body = body_of(found, repo.top.file_at(found.base, TEMPLATE))
    own = None if host.github is None else own_pull(host.github, found.model, into)
    if own is not None and host.github is not None:
        if branch not in (None, own.head_ref):
            raise PromotionError(f"#{own.number} is open for {found.model} from {own.head_ref}; update that one")
        pushed = _add_to(repo, own, found)
        done = refreshed(host.github, own, Proposal(own.head_sha, own.head_ref, into, found.title, body))
        say(f"#{own.number} {'was moved to' if pushed else 'is at'} as_of {found.as_of}: {own.url}")
        return Opened(done, pushed)
    message = f"{found.title}\n\nMade by scripts/retrain.py."
    commit = commit_on(repo, found.base, found.change, message)
    pull = propose(repo, host, Proposal(commit, branch or found.branch, into, found.title, body), say)
    if pull is None:
        return None
    say(f"opened #{pull.number} for as_of {found.as_of}: {pull.url}")
    return Opened(pull, True)


def _add_to(repo: Repo, own: PullRequest, found: Retrain) -> bool:
    """Put the retrain's change on top of the pull request's branch; False where it is there already."""
    tip = fetch_branch(repo, own.head_ref)
    if tip is None:
        raise PromotionError(f"the branch {own.head_ref} of #{own.number} is gone; close it and run this again")
    file = f"models/{found.model}/model.yaml"
    path, there = repo.at(file), repo.file_at(tip, file)
    if not found.edited:
        if there is None:
            raise PromotionError("missing on the branch of the open pull request; close it and run again", file=path)
        ahead = repo.is_ancestor(found.base, tip)
        if read_as_of(there, path) == found.as_of and ahead:
            return False
        if not ahead and moves_only_as_of(repo, tip, found.base, found.model):
            # nothing of a person's is on it, so the base's files with the new as_of are the whole merge
            message = f"{found.title}\n\nMade by scripts/retrain.py, on the base as it is now."
            push(repo, commit_on(repo, found.base, found.change, message, parents=(tip, found.base)), own.head_ref)
            return True
        if read_as_of(there, path) == found.as_of:
            return False
        change = Change(files={file: move_as_of(there, found.as_of, path)})
    else:
        change = found.change
        if _same(repo, tip, change):
            return False
    push(repo, commit_on(repo, tip, change, f"{found.title}\n\nMade by scripts/retrain.py."), own.head_ref)
    return True


def moves_only_as_of(repo: Repo, tip: str, base: str, model: str) -> bool:
    """Whether a branch changes as_of, and perhaps pins, and nothing else."""
    file = f"models/{model}/model.yaml"
    path = repo.at(file)
    older = repo.git("merge-base", tip, base).split()[0]
    if not set(repo.changed_paths(older, tip)) <= {path, repo.at(FILE)}:
        return False
    before, after = repo.file_at(older, file), repo.file_at(tip, file)
    if before is None or after is None or move_as_of(before, read_as_of(after, path), path) != after:
        return False
    return without_pins(promotion_text(repo, older)) == without_pins(promotion_text(repo, tip))


def _same(repo: Repo, tip: str, change: Change) -> bool:
    trees = all(repo.object_at(tip, path) == tree for path, tree in change.trees.items())
    return trees and all(repo.file_at(tip, path) == text for path, text in change.files.items())
