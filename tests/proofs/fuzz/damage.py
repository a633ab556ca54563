"""Damage for honest files: values set to something else, text cut, doubled, swapped and spoiled."""

import copy
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

EXAMPLES = (15, 1500)  # of each property: in `make test`, and in `make test-slow`

HOSTILE = [
    *("", "\0", "\ufeff", "\x1b[2J", "::error::x", "a\nb", "../../etc/passwd", "/etc/passwd", "$(id)", "{{x}}"),
    *("os.system", "builtins.eval", "posix", "__class__", "NaN", "1e999", "9" * 30, "x" * 3000, "null", "sha256:0"),
    *(0, -1, 2**31, 2**63, 10**18, 1.5, True, None, [], {}, [[]], {"a": {}}, [None] * 50),
]
FRAGMENTS = [
    *(
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        '"',
        "'",
        "\\",
        "\n",
        "\t",
        "#",
        "- ",
        "&a ",
        "*a",
        "!!python/object:os.system ",
        "<<: ",
    ),
    *("NaN", "-Infinity", "1e999", "\\ud800", "[" * 2000, "{" * 2000, '{"a":1,"a":2}', "---\n", "\0", "\r", "\u2028"),
]

values = st.sampled_from(HOSTILE).map(copy.deepcopy) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=4,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of every part of a nested value."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


@st.composite
def damaged(draw: st.DrawFn, honest: Any) -> Any:
    """The value with one to three parts set, taken away, put in the place of another, or added."""
    changed = copy.deepcopy(honest)
    for _ in range(draw(st.integers(1, 3))):
        paths = places(changed)
        if not paths:
            break
        *above, last = draw(st.sampled_from(paths))
        parent = changed
        for key in above:
            parent = parent[key]
        how = draw(st.sampled_from(["set", "remove", "move", "add"]))
        if how == "remove":
            del parent[last]
        elif how == "move":
            other = changed
            for key in draw(st.sampled_from(paths)):
                other = other[key]
            parent[last] = copy.deepcopy(other)
        elif how == "add" and isinstance(parent, dict):
            parent[draw(st.text(max_size=10) | st.sampled_from(["code", "config", "data", "<<"]))] = draw(values)
        else:
            parent[last] = draw(values)
    return changed


@st.composite
def spoiled(draw: st.DrawFn, honest: str) -> str:
    """The text with one to four parts cut out, doubled, put elsewhere, or spoiled by a fragment."""
    text = honest
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 60)))
        how = draw(st.sampled_from(["cut", "double", "insert", "replace"]))
        piece = draw(st.sampled_from(FRAGMENTS) | st.text(max_size=6))
        if how == "cut":
            text = text[:start] + text[end:]
        elif how == "double":
            text = text[:end] + text[start:]
        elif how == "insert":
            text = text[:start] + piece + text[start:]
        else:
            text = text[:start] + piece + text[end:]
    return text


def every(strategy: st.SearchStrategy[Any], examples: int, check: Callable[[Any], None]) -> None:
    """Hold `check` to so many examples, the same ones each time."""
    settings(max_examples=examples, derandomize=True, deadline=None, database=None)(given(strategy)(check))()
