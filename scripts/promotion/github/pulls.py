"""Open a pull request from a pushed branch, or say how: with a token through the API, else by an address."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from promotion.errors import PromotionError
from promotion.git.commits import push_branch
from promotion.git.repo import Commit, Repo
from promotion.github.client import GitHub, PullRequest, fitting, same_repo
from promotion.github.errors import GitHubError

ORIGIN = re.compile(
    r"(?:https://(?:[^@/]+@)?|ssh://git@|git@)(?P<host>[^/:]+)(?::\d+)?[/:]"
    r"(?P<repo>[A-Za-z0-9-]+/[A-Za-z0-9._-]+?)(?:\.git)?/?"
)
MAX_URL = 6_000  # browsers and GitHub take a little more


@dataclass(frozen=True)
class Host:
    """Where a repository is hosted. repo: OWNER/NAME; web: its address; github: the API, None without a token."""

    repo: str | None
    web: str | None
    github: GitHub | None


@dataclass(frozen=True)
class Proposal:
    """A pull request to be: the commit, its branch and base, title and body.

    Raise PromotionError where both are one branch, which nobody should be told to delete.
    """

    commit: str
    branch: str
    base: str
    title: str
    body: str

    def __post_init__(self) -> None:
        if self.branch == self.base:
            raise PromotionError(f"--head names the pull request's own branch, and {self.base} is what it goes into")


def host_of(repo: Repo, env: Mapping[str, str] = os.environ, *, name: str | None = None) -> Host:
    """Find out where `origin` is hosted, from GITHUB_* or its address; a token alone never picks the server.

    name: OWNER/NAME of the repository, where it is not the one that GITHUB_REPOSITORY or origin names.
    """
    found = ORIGIN.fullmatch(repo.origin or "")
    name = name or env.get("GITHUB_REPOSITORY") or (found["repo"] if found else None)
    server = env.get("GITHUB_SERVER_URL") or (f"https://{found['host']}" if found else None)
    api = env.get("GITHUB_API_URL")
    if api is None and found is not None:
        api = "https://api.github.com" if found["host"] == "github.com" else f"https://{found['host']}/api/v3"
    github = None
    if name and api and (env.get("GITHUB_TOKEN") or env.get("GH_TOKEN")):
        github = GitHub.from_environment({**env, "GITHUB_API_URL": api}, repo=name)
    return Host(name, f"{server}/{name}" if server and name else None, github)


def merged_by(host: Host, branch: str) -> Callable[[Commit], tuple[str, ...]]:
    """Return who a commit of the production branch is by: the author of the pull request that was merged as it.

    A commit that came by no pull request (an override's dispatch), or a host that cannot be asked: git's author.
    """

    def names(commit: Commit) -> tuple[str, ...]:
        if host.github is None:
            return (commit.author,)
        pulls = host.github.pulls_of_commit(commit.sha)
        return tuple(pull.author for pull in pulls if pull.merged and pull.base_ref == branch) or (commit.author,)

    return names


def propose(repo: Repo, host: Host, proposal: Proposal, say: Callable[[str], None] = print) -> PullRequest | None:
    """Push the branch and open its pull request, or bring the open one up to date; None without a token.

    Raise PromotionError when the branch is not taken, or, with the address to open it by hand, when
    GitHub does not take the pull request.
    """
    push_branch(repo, proposal.commit, proposal.branch)
    if host.github is None:
        say(f"pushed the branch {proposal.branch}; there is no GITHUB_TOKEN, so open the pull request yourself:")
        say(by_hand(host, proposal))
        return None
    try:
        pull = host.github.create_pull(
            title=proposal.title, head=proposal.branch, base=proposal.base, body=proposal.body
        )
        return refreshed(host.github, pull, proposal)
    except GitHubError as error:
        raise PromotionError(
            f"the branch {proposal.branch} is pushed, but {error}; to open it by hand: {by_hand(host, proposal)}"
        ) from None


def refreshed(github: GitHub, pull: PullRequest, proposal: Proposal) -> PullRequest:
    """Give a pull request the proposal's title and body where they differ."""
    same = (pull.title, _lines(pull.body)) == (proposal.title, _lines(fitting(proposal.body)))
    return pull if same else github.update_pull(pull.number, title=proposal.title, body=proposal.body)


def by_hand(host: Host, proposal: Proposal) -> str:
    """The address that opens the pull request in a browser with everything filled in, or a sentence."""
    if host.web is None:
        return f"open one from {proposal.branch} into {proposal.base}, titled `{proposal.title}`"
    compare = f"{host.web}/compare/{quote(proposal.base)}...{quote(proposal.branch)}"
    filled = f"{compare}?{urlencode({'quick_pull': '1', 'title': proposal.title, 'body': proposal.body})}"
    return filled if len(filled) <= MAX_URL else f"{compare}?{urlencode({'quick_pull': '1', 'title': proposal.title})}"


def marker(model: str) -> str:
    """The hidden first line that makes a pull request ours."""
    return f"<!-- promotion-retrain {model} -->"


def own_pull(github: GitHub, model: str, base: str) -> PullRequest | None:
    """Return the open retrain pull request of a model that this project opened, the oldest, or None."""
    for pull in github.open_pulls(base=base):
        if same_repo(pull.head_repo, github.repo) and pull.body.lstrip().startswith(marker(model)):
            return pull
    return None


def _lines(body: str) -> str:
    return body.replace("\r\n", "\n").rstrip("\n")
