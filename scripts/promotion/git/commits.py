"""Commits made beside the work tree, and their plain pushes: no file of the checkout is touched.

A commit is built in a temporary index on a commit of the hosted branch, so a dirty checkout does no
harm, and what is pushed is exactly what was checked. Nothing is ever pushed with force.
"""

import base64
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from promotion.errors import PromotionError
from promotion.git.repo import Repo
from promotion.text.escape import without_secrets

REMOTE = "origin"
BOT = ("github-actions[bot]", "41898282+github-actions[bot]@users.noreply.github.com")


@dataclass(frozen=True)
class Change:
    """What a commit changes. trees: folder -> git tree that it becomes; files: path -> text, None removes it.

    Paths count from the folder of the repository that is promoted.
    """

    trees: dict[str, str] = field(default_factory=dict)
    files: dict[str, str | None] = field(default_factory=dict)


class Tip(NamedTuple):
    """A branch as it was read. ref: `origin/main`, or `main` in a checkout without an origin."""

    ref: str
    commit: str

    def __str__(self) -> str:
        return f"{self.ref} at {self.commit[:12]}"


def hosted_tip(repo: Repo, branch: str) -> Tip:
    """Fetch a branch from origin and return its tip; raise PromotionError where it cannot be had."""
    repo.need_full_history()
    if repo.origin is None:
        raise PromotionError(
            f"{repo.path} has no remote `{REMOTE}`, so there is nowhere to push to; "
            f"run this in a clone of your repository, or `git remote add {REMOTE} URL`"
        )
    tip = fetch_branch(repo, branch)
    if tip is None:
        raise PromotionError(
            f"{REMOTE} has no branch `{branch}`; --branch names the production branch, --head a pull request's own"
        )
    return Tip(f"{REMOTE}/{branch}", tip)


def read_tip(repo: Repo, branch: str) -> Tip:
    """Return the tip of the branch, fetched from origin first where there is one.

    A re-run of an old workflow run holds an old checkout; what counts is the branch as it is now. It is named
    in full, because a tag called `main` or `origin/main` would come before it.
    """
    repo.need_full_history()
    if repo.origin is not None:
        return hosted_tip(repo, branch)
    code, commit, _ = repo.attempt("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}^{{commit}}")
    if code != 0:
        raise PromotionError(
            f"{repo.path} has no branch `{branch}` and no remote `{REMOTE}`; name the production branch with --branch"
        )
    return Tip(branch, commit.strip())


def commit_to_apply(repo: Repo, branch: str, commit: str | None, *, rewritten_history: bool = False) -> Tip:
    """Return the branch's tip, or `commit` where it is one of the branch's own first-parent commits."""
    repo.need_full_history()
    tip = read_tip(repo, branch)
    if commit is None:
        return tip
    chosen = repo.resolve(commit)
    if not repo.on_first_parent(chosen, tip.commit):
        raise PromotionError(
            f"commit {chosen[:12]} is not on the first-parent history of {tip}; only what was merged there is promoted"
        )
    if rewritten_history and chosen != tip.commit:
        raise PromotionError(f"--rewritten-history takes the tip of {branch}; leave --commit out")
    return tip if chosen == tip.commit else Tip(f"a commit of {tip.ref}", chosen)


def fetch_branch(repo: Repo, branch: str) -> str | None:
    """Fetch one branch from origin and return its tip, or None where origin has no such branch."""
    refs = f"+refs/heads/{branch}:refs/remotes/{REMOTE}/{branch}"
    code, out, complaint = repo.attempt("fetch", "--quiet", REMOTE, refs, env=login(repo))
    if code != 0 and "couldn't find remote ref" in complaint:
        return None
    if code != 0:
        raise PromotionError(_failure(f"fetch {branch}", f"{out}\n{complaint}", "read it"))
    return repo.resolve(f"refs/remotes/{REMOTE}/{branch}")


def default_branch(repo: Repo) -> str | None:
    """Return the name of origin's default branch, or None where it does not say."""
    for line in _talk(repo, "read the default branch", "ls-remote", "--symref", REMOTE, "HEAD").splitlines():
        if line.startswith("ref: refs/heads/"):
            return line.removeprefix("ref: refs/heads/").split("\t")[0]
    return None


def remote_branches(repo: Repo, pattern: str) -> dict[str, str]:
    """Return the branches of origin that match a pattern (`retrain/x-*`), with their tips."""
    lines = _talk(repo, "list branches", "ls-remote", "--heads", REMOTE, f"refs/heads/{pattern}").splitlines()
    pairs = (line.split("\t", 1) for line in lines if "\t" in line)
    return {ref.removeprefix("refs/heads/"): sha for sha, ref in pairs}


def fetch_refs(repo: Repo, refs: str) -> bool:
    """Fetch references from origin (`+refs/heads/*:refs/remotes/origin/*`); return whether that worked."""
    return repo.attempt("fetch", "--quiet", REMOTE, refs, env=login(repo))[0] == 0


def commit_on(
    repo: Repo,
    base: str,
    change: Change,
    message: str,
    *,
    parents: tuple[str, ...] = (),
    author: str | None = None,
) -> str:
    """Return a new commit, on no branch yet: the files of `base` with `change`.

    parents: others than `base`. author: in Actions, the person that the bot commits for; elsewhere git knows.
    """
    top = repo.top
    if top.attempt("rev-parse", "--is-bare-repository")[1].strip() == "true":
        raise PromotionError(f"{repo.path} is a bare repository; run this in a clone that has its files")
    who = identity(top)
    if author is not None and os.environ.get("GITHUB_ACTIONS"):
        who |= {"GIT_AUTHOR_NAME": author, "GIT_AUTHOR_EMAIL": f"{author}@users.noreply.github.com"}
    with tempfile.TemporaryDirectory() as scratch:
        env = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        top.git("read-tree", base, env=env)
        for path, tree in ((repo.at(path), tree) for path, tree in change.trees.items()):
            top.git("rm", "-r", "-f", "--cached", "--quiet", "--ignore-unmatch", "--", path, env=env)
            top.git("read-tree", f"--prefix={path}/", tree, env=env)
        for path, text in ((repo.at(path), text) for path, text in change.files.items()):
            if text is None:
                top.git("rm", "-f", "--cached", "--quiet", "--ignore-unmatch", "--", path, env=env)
                continue
            blob = top.git("hash-object", "-w", "--stdin", stdin=text).strip()
            mode = (top.git("ls-files", "--stage", "--", path, env=env).split() or ["100644"])[0]
            top.git("update-index", "--add", "--cacheinfo", f"{mode},{blob},{path}", env=env)
        tree = top.git("write-tree", env=env).strip()
    on = [arg for parent in parents or (base,) for arg in ("-p", parent)]
    return top.git("commit-tree", tree, *on, "-F", "-", stdin=message.rstrip("\n") + "\n", env=who).strip()


def person(repo: Repo, env: Mapping[str, str] = os.environ) -> str:
    """Return who a commit made here is by: in Actions the actor, elsewhere the name that git has for its author."""
    actor = env.get("GITHUB_ACTOR", "").strip()
    if actor and env.get("GITHUB_ACTIONS"):
        return actor
    identity(repo, env)
    return repo.git("var", "GIT_AUTHOR_IDENT").rsplit(" <", 1)[0].strip()


def identity(repo: Repo, env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return git's environment for the committer: the person's own configuration, in Actions else the bot."""
    code, mail, _ = repo.attempt("config", "user.email")
    if code == 0 and mail.strip():
        return {}
    roles = [role for role in ("AUTHOR", "COMMITTER") if not env.get(f"GIT_{role}_EMAIL")]
    if not roles:
        return {}
    if not env.get("GITHUB_ACTIONS"):
        raise PromotionError(
            "git does not know who you are, so nothing can be committed; "
            'run `git config user.name "Your Name"` and `git config user.email you@example.com`'
        )
    return {f"GIT_{role}_{part}": value for role in roles for part, value in zip(("NAME", "EMAIL"), BOT, strict=True)}


def push(repo: Repo, commit: str, branch: str) -> None:
    """Push a commit to a branch of origin as a plain fast-forward; raise PromotionError when it is not taken."""
    refs = f"{commit}:refs/heads/{branch}"
    code, out, complaint = repo.attempt("push", "--porcelain", REMOTE, refs, env=login(repo))
    if code != 0:
        raise PromotionError(_not_pushed(branch, f"{out}\n{complaint}"))


def push_branch(repo: Repo, commit: str, branch: str) -> bool:
    """Push a new branch; return False where origin has it already with the same files on the same parent."""
    there = fetch_branch(repo, branch)
    if there is None:
        push(repo, commit, branch)
        return True
    same = (repo.top.object_at(there, "") == repo.top.object_at(commit, "")) and repo.parents(there) == repo.parents(
        commit
    )
    if not same:
        raise PromotionError(
            f"{REMOTE} has a branch {branch} with other content; "
            f"delete it (`git push {REMOTE} --delete {branch}`) or choose another with --head"
        )
    return False


def _talk(repo: Repo, what: str, *args: str) -> str:
    """Run a git command that talks to origin; its failures become sentences without addresses' passwords."""
    code, out, complaint = repo.attempt(*args, env=login(repo))
    if code != 0:
        raise PromotionError(_failure(what, f"{out}\n{complaint}", "read it"))
    return out


def _failure(what: str, said: str, right: str) -> str:
    denied = ("permission", "403", "401", "could not read username", "authentication failed", "denied", "not found")
    lines = [line for line in without_secrets(said).splitlines() if line.strip() and not line.startswith("To ")]
    first = lines[0].strip() if lines else "no message"
    if any(word in said.lower() for word in denied):
        return f"could not {what}: {REMOTE} refused ({first}); check that your credentials may {right}"
    return f"could not {what}: {first}"


def _not_pushed(branch: str, said: str) -> str:
    low = said.lower()
    if any(word in low for word in ("gh006", "gh013", "protected branch", "rule violations", "hook declined")):
        return (
            f"{REMOTE} does not let these credentials push to {branch} (its rules ask for a pull request); "
            "nothing was pushed: open a pull request instead, or let this user or app bypass the rule"
        )
    if "[rejected]" in low or "non-fast-forward" in low or "fetch first" in low or "cannot lock ref" in low:
        return f"{branch} moved meanwhile, so nothing was pushed; run this again"
    return _failure(f"push to {branch}", said, "write there")


def login(repo: Repo, env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return git's environment that carries a workflow's token to its https origin; {} outside Actions.

    The token travels as a header from the environment: never in an address, a file or an argument.
    The empty value drops a header that actions/checkout may have left in the configuration.
    """
    token = (env.get("GITHUB_TOKEN") or env.get("GH_TOKEN") or "").strip()
    url = repo.origin or ""
    if not (token and env.get("GITHUB_ACTIONS") and url.startswith("https://")):
        return {}
    host = url.split("/")[2].rsplit("@", 1)[-1]
    first = int(env.get("GIT_CONFIG_COUNT") or 0)
    header = "AUTHORIZATION: basic " + base64.b64encode(f"x-access-token:{token}".encode()).decode()
    found = {"GIT_CONFIG_COUNT": str(first + 2)}
    for number, value in enumerate(("", header), start=first):
        found[f"GIT_CONFIG_KEY_{number}"] = f"http.https://{host}/.extraheader"
        found[f"GIT_CONFIG_VALUE_{number}"] = value
    return found
