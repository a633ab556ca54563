"""The three media of a report and their templates, each with one escaper that everything printed goes through.

A template prints `{{ value }}` and need not think: in Markdown it becomes inline Markdown, in HTML escaped
HTML, in a terminal one line that is no workflow command. Only text that is of the medium already (`Markdown`,
`Markup`, `Terminal`: made by an escaper, or by a template's own macro) is printed as it is. What a
filter or `~` makes of such text is plain text again, and escaped again: it looks odd, and harms nobody.
"""

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Undefined
from markupsafe import Markup
from markupsafe import escape as html_escape

from promotion.text import escape

NBSP = "\u00a0"
LONG = 20  # characters of a figure with its unit
TEMPLATES = Path(__file__).parent / "templates"


class _MarkdownEnvironment(Environment):
    """Templates of a comment. `concat` makes what macros and `{% set %}` blocks return Markdown."""

    @staticmethod
    def concat(parts: Iterable[str]) -> escape.Markdown:
        return escape.Markdown("".join(parts))


class _TerminalEnvironment(Environment):
    """Templates of a terminal's text."""

    @staticmethod
    def concat(parts: Iterable[str]) -> escape.Terminal:
        return escape.Terminal("".join(parts))


@cache
def markdown() -> Environment:
    """The environment of comment and job summary."""
    environment = _MarkdownEnvironment(autoescape=False, finalize=_only_known(escape.markdown), **_common())
    environment.filters["code"] = escape.code
    environment.filters["in_html"] = escape.summary
    environment.filters["fence"] = escape.fence
    return environment


@cache
def html() -> Environment:
    """The environment of the pages."""
    environment = Environment(autoescape=True, finalize=_clean, **_common())
    environment.filters["inline"] = inline
    environment.filters["log"] = log
    environment.filters["cell"] = cell
    return environment


@cache
def terminal() -> Environment:
    """The environment of a terminal's text."""
    return _TerminalEnvironment(autoescape=False, finalize=_only_known(escape.terminal), **_common())


def _common() -> dict[str, Any]:
    return {
        "loader": FileSystemLoader(TEMPLATES),
        "undefined": StrictUndefined,
        "trim_blocks": True,
        "lstrip_blocks": True,
    }


def _only_known(escaper: Callable[[object], str]) -> Callable[[object], object]:
    """`escaper`, but for a name that a template misspelt: that stays an error."""

    def printed(value: object) -> object:
        return value if isinstance(value, Undefined) else escaper(value)

    return printed


def _clean(value: object) -> object:
    """Text without control, invisible and direction characters; jinja2's own escaping follows."""
    if isinstance(value, Markup):
        return value
    return escape.clean(value) if isinstance(value, str) else value


def inline(text: object, limit: int = escape.INLINE_LIMIT) -> Markup:
    """`text` as safe HTML; what stands between backticks becomes `<code>`."""
    out = Markup()
    for kind, part in escape.pieces(text, limit):
        out += Markup("<code>{}</code>").format(part) if kind == "code" else html_escape(escape.unbroken(part))
    return out


def cell(text: object) -> Markup:
    """A table's figure: it breaks between the ends of an interval alone; what is long is words, and breaks anywhere."""
    words = escape.clean(text, 200)
    ends = words.split(" to ")
    if any(len(end) > LONG for end in ends):
        return Markup('<span class="long">{}</span>').format(inline(words))
    return html_escape(" to ".join(escape.unbroken(end).replace(" ", NBSP) for end in ends))


def log(text: str) -> Markup:
    """The end of a log as escaped text for inside `<pre>`."""
    return html_escape(escape.log(text, lines=4 * escape.LOG_LINES))
