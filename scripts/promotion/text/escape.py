"""Hostile text made harmless, in one place: for Markdown, for HTML and for the log of a workflow.

Names, slice values, reasons, tracebacks and logs come from a pull request. In Markdown they must not
break a table, start a list or a heading, mention anybody, refer to an issue, link, become an emoji or HTML;
GitHub resolves mentions and references after Markdown, on the text, so escapes do not stop them: a
zero-width space does. In a log a line must not be a workflow command.

Text in records may carry `code` between single backticks; nothing else in it has a meaning.

One escaper a medium: `markdown` and `terminal` here, HTML's in rendering/media.py. What they return has a
type of its own, and a template prints everything else through them, so nobody has to remember to escape.
"""

import re
import unicodedata

INLINE_LIMIT = 600
CODE_LIMIT = 120
LOG_LINES = 40
LOG_COLUMNS = 300
ZWSP = "\u200b"
JOINER = "\u2060"


class Markdown(str):
    """Text that is Markdown: escaped here, or made of such text by a template of ours."""

    __slots__ = ()


class Terminal(str):
    """Text that a terminal or a job's log may show as it is."""

    __slots__ = ()


_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
_MINUS = re.compile("−(?=[$€£0-9])")
_MARKS = re.compile(r"`([^`]+)`|(@[A-Za-z0-9][A-Za-z0-9-]*)")
_PLAIN_CODE = re.compile(r"(?:[^`|\\<]|<(?![!/?A-Za-z]))+")
_EMOJI = re.compile(r":(?=(?:[\w+-]*[A-Za-z][\w+-]*|100|1234|[+-]1):)")  # :tada: but no 12:30:00
_ENTITIES = {c: f"&#{ord(c)};" for c in "\\`*[]|~^{}!"} | {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def clean(text: object, limit: int = INLINE_LIMIT) -> str:
    """`text` on one line: no control, zero-width or direction characters, no piled-up accents, at most `limit` long."""
    line = " ".join(_visible(str(text)[: 4 * limit + 64]).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def pieces(text: object, limit: int = INLINE_LIMIT) -> list[tuple[str, str]]:
    """Split clean text into ("text", …) and ("code", …): what stands between backticks, and every @name."""
    line, found, at = clean(text, limit), [], 0
    for match in _MARKS.finditer(line):
        if match.start() > at:
            found.append(("text", line[at : match.start()]))
        found.append(("code", (match[1] or match[2]).strip()))
        at = match.end()
    if at < len(line):
        found.append(("text", line[at:]))
    return [(kind, part) for kind, part in found if part]


def markdown(text: object, limit: int = INLINE_LIMIT) -> Markdown:
    """`text` as inline Markdown, safe in a paragraph, a list item, a heading, a table cell and between `**`."""
    if isinstance(text, Markdown):
        return text
    out: list[str] = []
    for kind, part in pieces(text, limit):
        if kind == "text":
            out.append(_prose(part, start=not out))
            continue
        # beside a backtick or another code span the delimiters would run together
        touches = bool(out) and out[-1].endswith(("`", "</code>"))
        out.append((ZWSP if touches else "") + code(part))
    return Markdown("".join(out).strip() or "—")  # nothing between ** would be a rule


def unbroken(text: str) -> str:
    """Clean text in which no line breaks between a minus and its figure."""
    return _MINUS.sub("−" + JOINER, text)


def code(text: object, limit: int = CODE_LIMIT) -> Markdown:
    """`text` as inline code for Markdown: a code span where that is safe, else `<code>` with entities."""
    line = clean(text, limit) or "(empty)"
    if _PLAIN_CODE.fullmatch(line):
        return Markdown(f"`{line}`")
    return Markdown(f"<code>{_entities(line)}</code>")


def summary(text: object, limit: int = INLINE_LIMIT) -> Markdown:
    """`text` for inside an HTML block of Markdown (`<summary>`), where Markdown is not read."""
    parts = pieces(text, limit)
    return Markdown("".join(f"<code>{_entities(p)}</code>" if kind == "code" else _in_html(p) for kind, p in parts))


def fence(text: str, *, lines: int = LOG_LINES, language: str = "text") -> Markdown:
    """The last `lines` lines of a log as a fenced block that nothing in them can close."""
    return _fenced(log(text, lines=lines), language)


def picture(text: str) -> Markdown:
    """A drawing of this project's own characters as a fenced block, every space kept."""
    return _fenced(text)


def _fenced(body: str, language: str = "text") -> Markdown:
    longest = max((len(run) for run in re.findall(r"`+", body)), default=0)
    marks = "`" * max(3, longest + 1)
    return Markdown(f"{marks}{language}\n{body}\n{marks}")


def log(text: str, *, lines: int = LOG_LINES) -> str:
    """The last `lines` lines of a log, each cleaned but for its indent and cut at 300 characters."""
    tail = re.split(r"\r\n|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", text[-200_000:])
    while tail and not tail[-1].strip():
        tail.pop()
    kept = [_log_line(line) for line in tail[-lines:]]
    return "\n".join(kept) or "(empty)"


def terminal(text: object, limit: int = INLINE_LIMIT) -> Terminal:
    """`text` on one line of a log in which no workflow command can start."""
    if isinstance(text, Terminal):
        return text
    line = clean(text, limit).replace("`", "")
    return Terminal(re.sub(":(?=:)", ": ", line).replace("##[", "## ["))


def log_text(text: str) -> str:
    """Return text that the runner's log shows and never obeys.

    A command is `::name::` at the start of a line, or the older `##[name]` anywhere in one
    (actions/runner, ActionCommand.cs).
    """
    lines = re.split(r"\r\n|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", text)
    return "\n".join(_harmless(line) for line in lines)


def without_secrets(text: str) -> str:
    """Return `text` with the user and password of any URL in it left out."""
    return re.sub(r"(\w+://)[^/\s]+@", r"\1", text)


def link(url: str | None) -> str | None:
    """`url` if it is a plain http(s) address that can stand inside `<…>` or an attribute, else None."""
    if url is None or not re.fullmatch(r"https?://[A-Za-z0-9._~:/?#@!$&'*+,;=%-]{1,1000}", url):
        return None
    return url


def _log_line(line: str) -> str:
    seen = _visible(line[: 4 * LOG_COLUMNS].expandtabs(4)).rstrip()
    return seen if len(seen) <= LOG_COLUMNS else seen[: LOG_COLUMNS - 1] + "…"


def _visible(text: str) -> str:
    """`text` with blanks for control characters and without what is invisible or piles up."""
    kept = []
    marks = 0
    for char in _ANSI.sub("", text):
        kind = unicodedata.category(char)
        marks = marks + 1 if kind in ("Mn", "Me") else 0
        if kind in ("Cc", "Zl", "Zp", "Zs"):
            kept.append(" ")
        elif kind not in ("Cf", "Cs", "Co", "Cn") and marks <= 2:
            kept.append(char)
    return "".join(kept)


def _entities(line: str) -> str:
    return "".join(c if c.isalnum() or c == " " else f"&#{ord(c)};" for c in line)


def _in_html(part: str) -> str:
    return _no_references(part.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def _no_references(part: str) -> str:
    """Break mentions, issue references, emoji and bare links, which GitHub finds in the text after Markdown."""
    part = _EMOJI.sub(":" + ZWSP, part.replace("@", "@" + ZWSP))
    part = re.sub(r"(#|(?i:gh-))(?=\w)", rf"\1{ZWSP}", part)
    part = re.sub(r"(?i)(www)\.", rf"\1{ZWSP}.", part)
    return part.replace("://", f":{ZWSP}//")


def _prose(part: str, *, start: bool) -> str:
    text = "".join(_ENTITIES.get(c, c) for c in _no_references(unbroken(part)))
    text = re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", "&#95;", text)
    # GitHub reads $x$ as mathematics and honours no backslash; an amount ($5) never closes a formula
    text = re.sub(r"\$(?!\d)", "<span>$</span>", text)
    if start:
        text = re.sub(r"^#", "&#35;", text)
        text = re.sub(r"^([-+=])(?=\s|$|\1)", lambda m: f"&#{ord(m[1])};", text)
        text = re.sub(r"^(\d{1,9})([.)])(?=\s|$)", lambda m: f"{m[1]}&#{ord(m[2])};", text)
    return text


def _harmless(line: str) -> str:
    line = line.replace("##[", "## [")
    return "| " + line.lstrip() if line.lstrip().startswith("::") else line
