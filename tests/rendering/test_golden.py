"""Every form of the comment is a file to read and review, and GitHub's Markdown makes of it what we mean."""

import re
from collections import Counter
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from promotion.rendering import comment_markdown

from tests.rendering import golden
from tests.support import samples
from tests.support.github_page import rendered
from tests.support.hostile import HOSTILE, TRICKS, hostile_model

NAMES = sorted(path.stem for path in golden.FOLDER.glob("*.md"))
TAGS = {
    *("h2", "p", "ul", "li", "strong", "em", "code", "pre", "a", "sub", "span", "div", "svg", "path"),
    *("table", "thead", "tbody", "tr", "th", "td", "details", "summary"),
}
FORMS = {
    *("first", "promote", "keep", "inconclusive", "rejected", "same", "verified", "rollback", "broken", "fork"),
    *("refused", "mixed", "retired", "none", "pair", "watch", "floor"),
}


class Structure(HTMLParser):
    """The elements of a rendered comment, and whatever it says outside code."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.open: list[str] = []
        self.links: list[str] = []
        self.classes: set[str] = set()
        self.prose = ""
        self.rows: list[int] = []
        self.feed(rendered(markdown))
        assert self.open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Count an element."""
        found = {name: value or "" for name, value in attrs}
        self.tags[tag] += 1
        self.classes |= set(found.get("class", "").split())
        self.links += [found["href"]] if "href" in found else []
        assert set(found) <= {
            "href",
            "class",
            "style",
            "open",
            "viewbox",
            "width",
            "height",
            "aria-hidden",
            "d",
            "version",
        }
        if tag == "table":
            self.rows.append(0)
        if tag == "tr":
            self.rows[-1] += 1
        self.open.append(tag)
        self.prose += "`" if tag == "code" else ""

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element without an end."""
        self.tags[tag] += 1

    def handle_endtag(self, tag: str) -> None:
        """Leave an element."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Collect prose."""
        if not {"code", "pre", "a"} & set(self.open):
            self.prose += data


@pytest.mark.parametrize("name", NAMES)
def test_each_form_is_what_its_file_says(name: str) -> None:
    """A change of the comment shows in the diff of its file."""
    file = golden.FOLDER / f"{name}.md"

    assert file.is_file(), "run `python tests/rendering/golden.py`"
    assert file.read_text(encoding="utf-8") == golden.comments()[name], (
        "run `python tests/rendering/golden.py`, read the diff"
    )


def test_there_is_a_file_for_every_form_and_for_nothing_else() -> None:
    """No verdict or action is without one."""
    assert {path.stem for path in golden.FOLDER.iterdir()} == set(golden.comments())
    assert set(golden.comments()) >= FORMS


@pytest.mark.parametrize("name", NAMES)
def test_tables_are_tables_and_folds_are_folds(name: str) -> None:
    """Every table that was written is one, with all its rows; folds open and close; nothing is left as raw marks."""
    text = golden.comments()[name]
    found = Structure(text)
    heads = len(re.findall(r"^\| :?-", text, re.MULTILINE))
    rows = len(re.findall(r"^\|", text, re.MULTILINE)) - heads

    assert set(found.tags) <= TAGS
    assert found.tags["table"] == heads and sum(found.rows) == rows
    assert found.tags["details"] == found.tags["summary"] == text.count("<details")
    assert found.tags["h2"] == len(re.findall(r"^## ", text, re.MULTILINE))
    assert not re.search(r"\*\*|\|\s*:?--|^\s*[-#>] |\[!", found.prose, re.MULTILINE)
    assert not {"math", "eqno"} & found.classes, "no amount of dollars is a formula"
    assert all(link.startswith("https://github.com/octo/fraud/") for link in found.links)


def assert_harmless(markdown: str) -> None:
    """Check that GitHub's Markdown finds nothing in a comment that is not ours."""
    found = Structure(markdown)
    allowed = {"markdown-alert", "language-text", "language-sh", "octicon", "mr-2"}

    assert set(found.tags) <= TAGS
    assert found.links == []
    assert {c for c in found.classes if not c.startswith("markdown-alert")} <= allowed
    assert not re.search(r"@\w|#\w|://|:(?:\w*[a-z]\w*|[+-]1|100|1234):|(?i:www\.|\bgh-\d)", found.prose)


@pytest.mark.parametrize("trick", TRICKS)
def test_each_trick_is_text_to_githubs_markdown(trick: str) -> None:
    """A parser finds no element, link, formula, mention or reference that a record brought along."""
    assert_harmless(comment_markdown([hostile_model(trick)], plan=samples.PLAN, refusals=[trick]))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(HOSTILE)
def test_hostile_text_is_text_to_githubs_markdown(text: str) -> None:
    """The same for any mixture of tricks."""
    assert_harmless(comment_markdown([hostile_model(text), samples.keep()], plan=samples.PLAN, refusals=[text]))
