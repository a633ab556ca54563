"""A comment as GitHub shows it: rendered by a library for GitHub's Markdown, in a page with GitHub's measures."""

from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.gfm import gfm_plugin

CSS = Path(__file__).with_suffix(".css")


@cache
def _renderer() -> MarkdownIt:
    renderer = MarkdownIt("commonmark", {"html": True})
    gfm_plugin(renderer)
    # as GitHub: a dollar before a digit closes no formula, nor does one after a space
    return renderer.use(dollarmath_plugin, allow_digits=False, allow_space=False)


def rendered(markdown: str) -> str:
    """The comment's HTML; `<span>$</span>` is GitHub's own way to write a dollar that is no formula."""
    return str(_renderer().render(markdown.replace("<span>$</span>", "<span>&#36;</span>")))


def page(markdown: str) -> str:
    """The comment as a page for looking at."""
    style = CSS.read_text(encoding="utf-8")
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>comment</title><style>{style}</style>'
    return f"{head}\n<main>{rendered(markdown)}</main>"
