"""A template prints a value without a thought, and the medium's one escaper has been at it."""

import pytest
from hypothesis import example, given, settings
from jinja2 import UndefinedError
from promotion.rendering import media
from promotion.text import escape

from tests.support.hostile import EVERYTHING, HOSTILE, outside_code

FEW = settings(max_examples=60, deadline=None)
WAYS = (
    "{{ value }}",
    "{{ value ~ value }}",
    "{{ [value, value] | join(' ') }}",
    "{{ value | safe }}",
    "{{ value | upper }}",
    "{% macro said(it) %}- {{ it }}{% endmacro %}{{ said(value) }}",
    "{% macro fold() %}- {{ caller() }}{% endmacro %}{% call fold() %}{{ value }}{% endcall %}",
    "{% set it %}- {{ value }}{% endset %}{{ it }}",
    "{% for it in [value] %}{{ it }}{% endfor %}",
    "{% if true %}{{ {'it': value}.it }}{% endif %}",
)


@pytest.mark.parametrize("way", WAYS)
@FEW
@given(value=HOSTILE)
def test_what_a_markdown_template_prints_is_escaped(way: str, value: str) -> None:
    """Whichever way a value reaches the page: no line break, tag, pipe, link or emphasis of its own."""
    shown = media.markdown().from_string(way).render(value=value)

    assert "\n" not in shown and "|" not in shown
    assert not set("<>*[]~`\\") & set(outside_code(shown).replace("<span>$</span>", "").replace("<SPAN>$</SPAN>", ""))


def test_what_is_markdown_already_stays_as_it_is() -> None:
    """What an escaper or a template's own macro returned is not escaped again."""
    template = "{% macro strong(it) %}**{{ it }}**{% endmacro %}{{ strong(value) }} {{ value | code }}"

    assert media.markdown().from_string(template).render(value="a_b*") == "**a_b&#42;** `a_b*`"


@pytest.mark.parametrize("way", WAYS)
@FEW
@given(value=HOSTILE)
@example(value=":::")
def test_what_a_terminal_template_prints_is_one_line_and_no_command(way: str, value: str) -> None:
    """Neither form of a runner's command, and no line of its own."""
    shown = media.terminal().from_string(way).render(value=value)

    assert "\n" not in shown and "::" not in shown and "##[" not in shown


def test_what_a_page_prints_is_escaped() -> None:
    """Autoescape is on, and what is invisible is gone."""
    shown = media.html().from_string("{{ value }}{{ value | inline }}").render(value=EVERYTHING + "<b>\u202e")

    assert "<script" not in shown and "<b>" not in shown and "\u202e" not in shown


@pytest.mark.parametrize("medium", [media.markdown, media.html, media.terminal])
def test_a_misspelt_name_is_an_error(medium) -> None:
    """Nothing is left out of a report silently."""
    with pytest.raises(UndefinedError):
        medium().from_string("{{ verdikt }}").render()


def test_the_types_of_two_media_are_not_mixed() -> None:
    """What is safe in a terminal is not Markdown."""
    assert media.markdown().from_string("{{ value }}").render(value=escape.Terminal("*")) == "&#42;"
