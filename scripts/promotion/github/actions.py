"""What a step tells the runner: job summary, annotations, outputs; nothing that a model says is taken as a command."""

import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from promotion.errors import PromotionError
from promotion.git.whose import told

MAX_SUMMARY_BYTES = 1024 * 1024  # of one step
FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")


@dataclass(frozen=True)
class Annotation:
    """A message that GitHub shows at a line of a file; level: error, warning or notice."""

    level: str
    message: str
    file: str | None = None
    line: int | None = None
    title: str | None = None


def beside(workflow: str, env: Mapping[str, str] = os.environ, *, top: Path | None = None) -> str:
    """Return the file name of another workflow of ours (`promote.yml`) in this repository.

    Where ours are called, it stands beside the caller that runs and is named as that is: `promotion-promote.yml`. On
    a person's machine nothing runs: there it is the file of the checkout at `top` that calls it.
    """
    running = re.fullmatch(
        r"[^@]*/\.github/workflows/([^/@]*?)(?:retrain|promote|drift|watch|schedule)(\.ya?ml)@.*",
        env.get("GITHUB_WORKFLOW_REF", ""),
    )
    if running is not None:
        return f"{running[1]}{workflow.removesuffix('.yml')}{running[2]}"
    calls = re.compile(rf"uses: +[\w.-]+/[\w.-]+/\.github/workflows/{re.escape(workflow)}@")
    files = () if top is None else sorted((top / ".github" / "workflows").glob("*.y*ml"))
    callers = (file.name for file in files if calls.search(file.read_text(encoding="utf-8", errors="replace")))
    return next(callers, workflow)


def command(annotation: Annotation) -> str:
    """Return `::error file=F,line=N::message` with everything escaped as the runner decodes it."""
    if annotation.level not in ("error", "warning", "notice"):
        raise ValueError(f"{annotation.level!r} is not a level")
    places = {"file": annotation.file, "line": annotation.line, "title": annotation.title}
    text = ",".join(f"{key}={_property(str(value))}" for key, value in places.items() if value is not None)
    return f"::{annotation.level}{' ' + text if text else ''}::{_data(annotation.message)}"


def _web(env: Mapping[str, str]) -> str | None:
    server, repo = env.get("GITHUB_SERVER_URL"), env.get("GITHUB_REPOSITORY")
    return f"{server}/{repo}" if server and repo else None


def run_url(env: Mapping[str, str] = os.environ) -> str | None:
    """The address of this workflow run; None outside Actions."""
    web, number = _web(env), env.get("GITHUB_RUN_ID")
    return f"{web}/actions/runs/{number}" if web and number else None


def pull_url(number: int | None, env: Mapping[str, str] = os.environ) -> str | None:
    """The address of a pull request of this workflow's repository; None outside Actions."""
    web = _web(env)
    return f"{web}/pull/{number}" if web and number is not None else None


def write_output(values: Mapping[str, str], env: Mapping[str, str] = os.environ) -> None:
    """Append step outputs to GITHUB_OUTPUT; a value can hold any text, also one that looks like an output."""
    path = env.get("GITHUB_OUTPUT")
    if not path:
        return
    text = ""
    for name, value in values.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", name):
            raise ValueError(f"{name!r} is not an output's name")
        end = f"end_{secrets.token_hex(16)}"
        text += f"{name}<<{end}\n{value}\n{end}\n"
    _append(Path(path), text)


def write_summary(markdown: str, env: Mapping[str, str] = os.environ, *, more: str = "") -> bool:
    """Append Markdown to the step's job summary; return False without one (a laptop).

    Over 1 MiB (what other commands of the step wrote counts) it is cut between blocks, what was open is
    closed, and `more` (where the rest is) follows.
    """
    path = env.get("GITHUB_STEP_SUMMARY")
    if not path:
        return False
    markdown = told(markdown, alone=True)
    there = Path(path).stat().st_size if Path(path).exists() else 0
    text = markdown.encode("utf-8", "replace").decode().rstrip("\n") + "\n"
    room = MAX_SUMMARY_BYTES - there
    if len(text.encode()) > room:
        note = f"_Cut: a job summary holds 1 MiB. {more}_\n" if more else "_Cut: a job summary holds 1 MiB._\n"
        text = cut(text, max(0, room - len(note.encode()) - 2))
        text = (text + "\n\n" + note) if len(note.encode()) + 2 <= room else ""
    _append(Path(path), text)
    return True


def cut(markdown: str, room: int) -> str:
    """Return the longest beginning of `markdown` within `room` bytes that ends between blocks.

    A block ends at a blank line outside code fences. Where not even the first block fits, it is cut
    between lines and its fence closed; open `<details>` are closed.
    """
    best, used, fence, depth = "", 0, "", 0
    partial = ""
    lines: list[str] = []
    for line in markdown.splitlines(keepends=True):
        used += len(line.encode())
        mark = FENCE.match(line)
        if mark and not fence:
            fence = mark.group(1)
        elif mark and fence and mark.group(1).startswith(fence) and not line.strip(" `~\n"):
            fence = ""
        if not fence:
            depth += line.count("<details") - line.count("</details>")
        lines.append(line)
        closing = ("\n" + fence if fence else "") + "\n\n</details>" * max(0, depth)
        if used + len(closing.encode()) > room:
            break
        if best == "":
            partial = "".join(lines).rstrip("\n") + closing
        if not fence and not line.strip():
            best = "".join(lines).rstrip("\n") + closing
    else:
        return markdown.rstrip("\n")
    return best or partial


def _append(path: Path, text: str) -> None:
    try:
        with path.open("a", encoding="utf-8", errors="replace", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise PromotionError(f"cannot be written ({error.strerror}); the runner sets this path", file=path) from None


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A").replace("##[", "## [")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
