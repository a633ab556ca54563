"""A comment as GitHub shows it: rendered by a library for GitHub-flavoured Markdown, in a page with GitHub's measures."""

from functools import cache

from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.gfm import gfm_plugin

WIDTH = 830  # pixels that a comment's text has on a wide screen

CSS = """
body { margin: 0; padding: 24px; background: #fff; color: #1f2328;
  font: 14px/1.5 -apple-system, BlinkMacSystemFont, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif; }
main { width: 830px; margin: 0 auto; overflow-wrap: break-word; }
h2 { font-size: 1.5em; line-height: 1.25; margin: 24px 0 16px; padding-bottom: .3em; border-bottom: 1px solid #d1d9e0b3; }
p, ul, table, pre, details, blockquote, .markdown-alert { margin: 0 0 16px; }
ul { padding-left: 2em; } li + li { margin-top: .25em; }
a { color: #0969da; } code { font: 85% ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
  padding: .2em .4em; background: #818b981f; border-radius: 6px; }
pre { padding: 16px; background: #f6f8fa; border-radius: 6px; overflow: auto; line-height: 1.45; font-size: 85%; }
pre code { padding: 0; background: none; font-size: 100%; }
table { display: block; width: max-content; max-width: 100%; overflow: auto; border-collapse: collapse; }
th, td { padding: 6px 13px; border: 1px solid #d1d9e0; } th { font-weight: 600; }
tr:nth-child(2n) td { background: #f6f8fa; } sub { font-size: 75%; }
.markdown-alert { padding: .5rem 1rem; border-left: .25em solid #9a6700; }
.markdown-alert > :last-child { margin: 0; } .markdown-alert-caution { border-color: #cf222e; }
.markdown-alert-title { font-weight: 500; margin: 0 0 8px; }
"""


@cache
def _renderer() -> MarkdownIt:
    renderer = MarkdownIt("commonmark", {"html": True})
    gfm_plugin(renderer)
    # as GitHub: a dollar before a digit closes no formula, nor does one after a space
    return renderer.use(dollarmath_plugin, allow_digits=False, allow_space=False)


def rendered(markdown: str) -> str:
    """The comment's HTML, as a library for GitHub-flavoured Markdown makes it."""
    return str(_renderer().render(markdown))


def page(markdown: str) -> str:
    """The comment as a page for looking at."""
    body = rendered(markdown)
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><title>comment</title><style>{CSS}</style>\n<main>{body}</main>'
