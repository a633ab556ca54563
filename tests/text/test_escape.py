"""Hostile text stays text: in Markdown, in HTML and in a log."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from promotion.rendering import comment_markdown, report_html, summary_line, terminal_text
from promotion.text import escape

from tests.support import samples
from tests.support.hostile import EVERYTHING, HOSTILE, TRICKS, hostile_model, outside_code

FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
OURS = {"details", "summary", "code", "sub", "span"}


def mentions(markdown: str) -> list[str]:
    """Everything outside code that GitHub would turn into a mention, a reference or a link."""
    text = re.sub(r"\]\(<https://github\.com/[^>]*>\)", "]", outside_code(markdown, " "))
    found = r"@\w+|#\w+|:(?:\w*[a-z]\w*|[+-]1|100|1234):|(?i:\bgh-\d+)|://|(?i:www\.)"
    return re.findall(found, re.sub(r"&#\d+;", " ", text))


@FEW
@given(HOSTILE)
def test_inline_markdown_is_one_line_without_structure(text: str) -> None:
    """Escaped text has no line break, pipe, tag, mention, reference or emphasis of its own."""
    safe = escape.markdown(text)
    bare = outside_code(safe).replace("<span>$</span>", "")

    assert "\n" not in safe and "|" not in safe
    assert not set("<>*[]~`\\") & set(bare)
    assert mentions(safe) == []


@FEW
@given(HOSTILE)
def test_code_is_one_unbroken_code_span(text: str) -> None:
    """Text as code is a single span or element and nothing remains outside it."""
    safe = escape.code(text)

    assert "\n" not in safe and "|" not in safe
    assert outside_code(safe) == ""


@FEW
@given(HOSTILE)
def test_nothing_in_a_log_closes_its_fence(text: str) -> None:
    """The only line of a fenced log that could close it is its last."""
    first, *body, last = escape.fence(text).split("\n")

    assert first == last + "text"
    assert not any(line.strip().startswith(last) and set(line.strip()) == {"`"} for line in body)


@pytest.mark.parametrize("trick", TRICKS)
def test_a_comment_keeps_its_structure_around_each_trick(trick: str) -> None:
    """Tables keep their columns, folds close, only our tags appear and nobody is mentioned."""
    assert_intact(comment_markdown([hostile_model(trick)], plan=samples.PLAN, refusals=[trick]))


@FEW
@given(HOSTILE)
def test_a_comment_keeps_its_structure_around_hostile_text(text: str) -> None:
    """The same for any mixture of tricks, with several models."""
    models = [hostile_model(text), samples.keep()]

    assert_intact(comment_markdown(models, plan=samples.PLAN, refusals=[text]))


def assert_intact(comment: str) -> None:
    """Check a comment's structure as GitHub would read it."""
    text = outside_code(comment)
    tags = set(re.findall(r"</?([A-Za-z][\w-]*)", text))

    assert comment.startswith("<!-- promotion-report -->\n") and text.count("<!--") == 1
    assert tags <= OURS
    assert len(re.findall("<details( open)?>", text)) == text.count("</details>")
    assert mentions(comment) == []
    for block in re.findall(r"(?:^\|.*\|$\n?)+", comment, flags=re.MULTILINE):
        assert len({line.count("|") for line in block.strip().split("\n")}) == 1


class Tags(HTMLParser):
    """Collects every tag with its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict]] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        """Remember the tag."""
        self.seen.append((tag, dict(attrs)))


@FEW
@given(HOSTILE)
def test_a_page_has_the_same_tags_whatever_the_text(text: str) -> None:
    """Hostile text adds no element or attribute to report.html, and nothing is loaded from outside."""
    page = report_html([hostile_model(text)], plan=samples.PLAN, refusals=[text])
    parser = Tags()
    parser.feed(page)
    tags = {tag for tag, _ in parser.seen}
    attributes = {name for _, attrs in parser.seen for name in attrs}

    assert [tag for tag, _ in parser.seen].count("script") == 1  # ours, which the page's policy knows by its digest
    assert not tags & {"img", "iframe", "link", "object", "embed", "b", "form"}
    assert not any(name.startswith("on") or name == "src" for name in attributes)
    assert {attrs["href"][0] for _, attrs in parser.seen if "href" in attrs} <= {"#"}
    assert "\u202e" not in page and "\x1b" not in page


@FEW
@given(HOSTILE)
def test_no_line_of_a_terminal_is_a_workflow_command(text: str) -> None:
    """Neither form of a runner's command survives in what is printed in a job."""
    printed = terminal_text([hostile_model(text)], refusals=[text], trial=False) + summary_line([hostile_model(text)])

    assert not any(line.lstrip().startswith("::") for line in re.split(r"[\n\r]", printed))
    assert "##[" not in printed


@FEW
@given(HOSTILE)
def test_a_status_line_fits_on_one_line_of_140(text: str) -> None:
    """GitHub refuses a longer status description."""
    line = summary_line([hostile_model(text)])

    assert 0 < len(line) <= 140 and "\n" not in line


def test_everything_at_once_with_a_tiny_limit() -> None:
    """All tricks together, many models, cut hard: still intact."""
    models = [hostile_model(EVERYTHING + str(i)) for i in range(12)]
    comment = comment_markdown(models, plan=samples.PLAN, limit=12_000)

    assert_intact(comment)
    assert "Shortened" in comment


def test_a_time_is_left_alone_and_an_emoji_is_none() -> None:
    """A verdict's sign in a comment is ours: no name of an emoji becomes one, also beside another."""
    assert escape.markdown("at 12:30:00") == "at 12:30:00"
    assert escape.markdown(":x::tada:") == escape.summary(":x::tada:") == ":\u200bx::\u200btada:"


def test_money_is_left_alone_and_a_formula_is_not_one() -> None:
    """Dollars before digits stay; a dollar that could close a formula is wrapped."""
    assert escape.markdown("$47,124 to $50,184") == "$47,124 to $50,184"
    assert escape.markdown("$x$") == "<span>$</span>x<span>$</span>"


@pytest.mark.parametrize("url", ["javascript:alert(1)", "https://a b", "https://a>b", "https://a)b", "", None])
def test_only_plain_addresses_are_linked(url: str | None) -> None:
    """An address that could leave its brackets is dropped."""
    assert escape.link(url) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:pw@host:5000/a, then https://host/b@c", "http://host:5000/a, then https://host/b@c"),
        ("https://me:p@ss@host", "https://host"),  # the last one ends the login, for Python's parser and requests
        ("models:/churn@champion on http://host", "models:/churn@champion on http://host"),
    ],
)
def test_a_login_in_an_address_is_not_shown(text: str, shown: str) -> None:
    """All of it, whatever the password has in it that an address can hold."""
    assert escape.without_secrets(text) == shown
