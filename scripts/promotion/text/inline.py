"""A few words of somebody else's inside our own Markdown, with nothing but the standard library.

The promote job installs neither jinja2 nor markupsafe, which promotion.rendering needs; what it writes (an
issue, a pull request's text) is a handful of lines.
"""

import re

from promotion.github.errors import one_line

ZWSP = "\u200b"


def words(text: str, most: int = 300) -> str:
    """`text` on one line of Markdown: no markup, HTML, mention, reference, link or mathematics comes of it.

    GitHub resolves mentions and references after Markdown, on the text, so a zero-width space stops them.
    """
    line = one_line(text, most)
    line = re.sub(r"@|#(?=\w)|(?i:\bgh-)(?=\d)", lambda match: match[0] + ZWSP, line)
    line = re.sub(r"(?i)\bwww\.", lambda match: match[0][:-1] + ZWSP + ".", line).replace("://", f":{ZWSP}//")
    line = re.sub(r"[\\`*_{}\[\]()#+\-.!|~^=:<>&\"']", _escaped, line)
    return line.replace("$", "<span>$</span>") or "—"


def code(text: str, most: int = 120) -> str:
    """`text` as inline code; backticks and bars, which could end it or a table's cell, become quotes and slashes."""
    line = one_line(text, most).replace("`", "'").replace("|", "/").replace("\\", "/")
    return f"`{line}`" if line else "`(empty)`"


def block(text: str, most: int = 4_000) -> str:
    """Lines of `text` as a fenced block that nothing in them can close."""
    lines = [one_line(line, 600) for line in text[:most].splitlines()]
    body = "\n".join(line for line in lines if line)
    longest = max((len(run) for run in re.findall(r"`+", body)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{body or '(empty)'}\n{fence}"


def _escaped(match: re.Match[str]) -> str:
    char = match[0]
    return {"<": "&lt;", ">": "&gt;", "&": "&amp;", '"': '"', "'": "'", ":": ":"}.get(char, "\\" + char)
