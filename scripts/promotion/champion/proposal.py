"""A rollback as a pull request: its text and its branch; and the one that a look after the merge opens."""

import re
from dataclasses import dataclass

from promotion.champion.landing import Mandate
from promotion.champion.rollback import Rollback, prepare_rollback
from promotion.champion.watching import Promotion
from promotion.config import FILE
from promotion.git.commits import fetch_branch, person
from promotion.git.repo import Repo
from promotion.github.client import BOT, GitHub, PullRequest
from promotion.github.pulls import Host, Proposal, propose, refreshed
from promotion.records.watched import Watched
from promotion.registry.client import Registry
from promotion.text.escape import code, markdown
from promotion.timeline import Claim, Look

WORKFLOW = "retrain.yml"


def body_of(found: Rollback, mandate: Mandate) -> str:
    """Return the pull request's text: what merging does, why, and what it undoes; pure."""
    before = "nothing" if found.now is None else str(found.now.version)
    lines = []
    if found.to is None:
        lines.append(f"**Merging drops `@champion` of {code(found.model)}** (was version {before}). Servers keep what")
        lines.append("they have loaded, and a server that starts finds no model.")
    else:
        merged = "" if found.merged_in is None else f", merged in #{found.merged_in}"
        lines.append(
            f"**Merging moves `@champion` of {code(found.model)}: {before} -> {found.to.version}**, back to the"
        )
        lines.append(f"champion of {found.since}{merged}. Nothing is retrained; servers swap within seconds.")
        lines.append("")
        lines.append(f"The commit restores `models/{found.model}/` and the pin in `{FILE}` as they were.")
    why = f"Reason: {markdown(mandate.reason)}" if mandate.reason else "No reason was given."
    lines += ["", why, f"Asked for by {code(mandate.by)}.", ""]
    if found.to is not None and found.to.override is not None:
        lines += ["The model is frozen; the pin carries the reason, so that promote lets this rollback through.", ""]
    if found.undone:
        lines.append("What it takes back:")
        for change in found.undone:
            pin = "no champion" if change.after is None else f"version {change.after.version}"
            lines.append(f"- {change.commit.when[:10]} {pin}: {_subject(change.commit.subject)}")
        lines.append("")
    lines.append("Until a person opens a retrain pull request, the scheduled one stays quiet.")
    return "\n".join(lines) + "\n"


def _subject(subject: str) -> str:
    """A commit's subject as Markdown; a pull request number at its end stays a link."""
    match = re.fullmatch(r"(.*?)( \(#\d+\))?", subject)
    assert match is not None
    return markdown(match[1]) + (match[2] or "")


def branch_of(found: Rollback, base: str) -> str:
    """The rollback's branch: the same question of the same main has the same name, so asking twice is harmless."""
    versions = ["none" if pin is None else str(pin.version) for pin in (found.now, found.to)]
    return f"rollback/{found.model}-{versions[0]}-to-{versions[1]}-{base[:7]}"


@dataclass(frozen=True)
class Seen:
    """The newest look at the promotion that stands, and what its judgement promised. fresh: made just now."""

    promotion: Promotion
    look: Look
    found: Watched
    promised: Claim | None
    fresh: bool


def propose_rollback(
    repo: Repo, host: Host, registry: Registry, tip: str, branch: str, seen: Seen
) -> tuple[str, PullRequest | None]:
    """Open the rollback's pull request with the report, or bring the open one up to date; say what was done.

    Quiet during a freeze, over an override, and once a person closed it.
    """
    from promotion.rendering.watch import watch_markdown

    found, github, before = seen.promotion, host.github, seen.promotion.before
    assert before is not None  # who is worse is worse than somebody
    command = f"`python scripts/rollback.py {found.model}`"
    if found.entry.freeze is not None:
        return f"frozen ({found.entry.freeze}), so no pull request is opened; {command} with --reason passes", None
    if found.pin.override is not None:
        why = f"an override put it there ({found.pin.override.reason})"
        return f"{why}, so no pull request is opened; {command} does it", None
    head = f"watch/{found.model}-{found.pin.version}-to-{before.version}-{found.place}"
    known = [] if github is None else github.pulls(state="all", head=head, base=branch)
    if any(pull.state != "open" for pull in known):
        return f"#{known[-1].number} was closed, so nothing more is proposed; {command} does it", None
    mandate = Mandate(person(repo), seen.found.reason, proposed=True)
    made = prepare_rollback(repo, registry, found.model, base=tip, to=before.version, mandate=mandate)
    if made is None:
        return "main pins the predecessor already", None
    there = fetch_branch(repo, head)  # pushed by a run that was cut off, or while main was another
    body = f"{watch_markdown(seen.found, seen.look, seen.promised)}\n---\n\n{body_of(made, mandate)}"
    proposal = Proposal(there or made.commit, head, branch, made.subject, body)
    pull = refreshed(github, known[0], proposal) if known and github is not None else propose(repo, host, proposal)
    if pull is None or github is None:
        return f"the rollback is on the branch {head}", None
    _start(github, pull)
    return f"#{pull.number} is open: {pull.url}" if known else f"opened #{pull.number}: {pull.url}", pull


def _start(github: GitHub, pull: PullRequest) -> None:
    """Start the run of a pull request's check where its opener's token starts none, once for each head."""
    if pull.author.lower() not in (BOT, github.login.lower()):
        return
    if not github.runs(WORKFLOW, most=1, event="workflow_dispatch", head_sha=pull.head_sha):
        github.dispatch(WORKFLOW, pull.head_ref, {"pull_request": str(pull.number)})
