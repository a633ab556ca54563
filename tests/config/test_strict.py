"""Files that no editor of this project would write: each is one clear sentence with its line, and none takes long."""

import os
from pathlib import Path

import pytest
from promotion.config.model_yaml import parse_spec, read_spec
from promotion.config.promotion_yaml import load, parse
from promotion.config.strict import MAX_BYTES, compose
from promotion.errors import PromotionError

TEXT = """\
models:
  tiny:
    measure:
      test_days: 7
      delay_days: 7
      cluster: [customer_id]
      slices: [weekend]
    gate:
      f1: "> 0.20"
    challenge:
      looks: 5
      f1: superior
    champion: null
"""
DEEP, GIANT = 100_000, "9" * 100_000
BOMB = "a: &a [1, 1]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)

ODD = [
    # (what is replaced, by what, the line, what the sentence says)
    ("looks: 5", "looks: 010", 11, "YAML reads `010` as the octal number 8; write 10 or 8"),
    ("looks: 5", "looks: 1:30", 11, "YAML reads `1:30` as 90, to base 60"),
    ("looks: 5", "looks: 08", 11, "`looks` must be a whole number between 1 and 1000, not `08`"),
    ("looks: 5", f"looks: {GIANT}", 11, "`looks` must be a whole number between 1 and 1000, not `9999"),
    ("looks: 5", "looks: 99999999999999999999", 11, "`looks` must be a whole number"),
    ("looks: 5", f"confidence: 1{'0' * 400}", 11, "`confidence` must be a number between 0.5 and 0.9999"),
    ("looks: 5", "worthwhile: .inf", 11, "`worthwhile` must be a number above 0, not .inf"),
    ("looks: 5", "worthwhile: 1e3", 11, "`worthwhile` must be a number above 0, not `1e3`; write 1000"),
    ("looks: 5", 'looks: "5"', 11, "not `5` in quotes"),
    ("looks: 5", "looks:", 11, "`looks` must be a whole number between 1 and 1000, not empty"),
    ("looks: 5", "worthwhile:", 11, "`worthwhile` is empty; give it a value"),
    ("looks: 5", "looks: !!int 5", 11, "`!!int` is a tag; leave it out"),
    ("looks: 5", "looks: !!python/object/apply:os.getcwd []", 11, "is a tag; leave it out"),
    ("looks: 5", "? [looks]\n      : 5", 11, "a key must be plain text"),
    ("    gate:", "    <<: {freeze: now}\n    gate:", 8, "`<<` merges other keys in; write them out"),
    ("[weekend]", "&days [weekend]", 7, "`&days` is an anchor; write values out"),
    ("[weekend]", "*days", 7, "`*days` names no value"),
    ("[weekend]", "&days [*days]", 7, "`*days` names no value"),
    ("[weekend]", "[" * DEEP, 7, "nested more than 32 deep"),
    ("[weekend]", "{a: " * DEEP, 7, "nested more than 32 deep"),
    ("[weekend]", "- " * DEEP, 7, ""),
    ("[weekend]", "[wochenende\udcfc]", 7, "not UTF-8 (byte 0xfc); save it as UTF-8"),
    ("[weekend]", "[week\0end]", 7, "contains a NUL byte"),
    ("[weekend]", "[week\x1bend]", 7, "contains the control character U+001B"),
    ("[weekend]", "[weekend", 8, "not valid YAML: did not find expected ',' or ']' (it began on line 7)"),
    ("      slices", "\tslices", 7, "indented with a tab"),
    ("      slices", "    \tslices", 7, "indented with a tab"),
    ("superior", '"\\e[31msuper\\n::error::x"', 12, "not `super ::error::x`"),
    ("    champion:", "    freeze: yes\n    champion:", 13, "`freeze` must be text, not yes; put text in quotes"),
    ("    champion:", "    gate: {f1: '> 0'}\n    champion:", 13, "duplicate key `gate` (first on line 8)"),
    ("    champion: null\n", "    champion: null\n---\nmodels: {}\n", 14, "a second document begins here"),
    ("models:", "\ufeffmodels:", 1, "begins with a byte order mark"),
    ("models:", BOMB + "models:", 6, "its aliases stand for too many values"),
    ("models:", "#" + "x" * MAX_BYTES + "\nmodels:", 1, "larger than 5,000,000 bytes"),
]


@pytest.mark.parametrize(("old", "new", "line", "says"), ODD, ids=lambda value: ascii(value)[:30])
def test_what_is_hidden_or_ambiguous_is_one_sentence(old: str, new: str, line: int, says: str) -> None:
    """With its line, on one line, short, and with nothing of the file that a terminal would obey."""
    text = TEXT.replace(old, new, 1)
    assert text != TEXT

    with pytest.raises(PromotionError) as caught:
        parse(text)

    said = str(caught.value)
    assert said.startswith(f"promotion.yaml:{line}: ")
    assert says in said
    assert said.isprintable() and len(said) < 300


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "utf-8-sig"])
def test_files_in_another_encoding(tmp_path: Path, encoding: str) -> None:
    """Both files, from the disk: one sentence that says what to save it as."""
    (tmp_path / "promotion.yaml").write_bytes(("# für dich\n" + TEXT).encode(encoding))
    for name in ("model.yaml", "data.py", "train.py"):
        text = "# für dich\nas_of: 2018-08-08\ntrain_days: 7\nvalidation_days: 7\nseed: 0\n"
        (tmp_path / name).write_bytes(text.encode(encoding))

    for read in (lambda: load(tmp_path / "promotion.yaml"), lambda: read_spec(tmp_path)):
        with pytest.raises(PromotionError, match=r"yaml:1: [^\n]*save it as UTF-8[^\n]*$"):
            read()


def test_a_file_that_is_none(tmp_path: Path) -> None:
    """A folder, a pipe that nobody writes, or a file of ten megabytes, is said before it is read."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"# " + b"x" * 10_000_000)

    with pytest.raises(PromotionError, match="folder: cannot be read \\(is a directory\\)"):
        load(tmp_path / "folder")
    with pytest.raises(PromotionError, match="pipe: not a plain file"):
        load(tmp_path / "pipe")
    with pytest.raises(PromotionError, match="large:1: larger than 5,000,000 bytes"):
        load(tmp_path / "large")


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_lines_are_those_of_an_editor(newline: str) -> None:
    """Whatever the line ends, and with letters of more than one byte above."""
    text = ("# größer\n" + TEXT.replace("looks: 5", "looks: 0")).replace("\n", newline)

    with pytest.raises(PromotionError, match=r"^promotion.yaml:12: `looks`"):
        parse(text)


MODEL = "as_of: 2018-08-15\ntrain_days: 7\nvalidation_days: 7\nseed: 0\nparameters:\n  depth: {max: [1, 2]}\n"


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (MODEL.replace("2018-08-15", "2018-02-31"), 1, "must be a date such as 2018-08-08, not `2018-02-31`"),
        (MODEL.replace("2018-08-15", '"2018-08-15"'), 1, "not `2018-08-15` in quotes"),
        (MODEL.replace("2018-08-15", "2018-08-15 10:00:00"), 1, "must be a date such as 2018-08-08"),
        (MODEL.replace("2018-08-15", "0001-01-01"), 1, "of the years 1000 to 9000"),
        (MODEL.replace("train_days: 7", "train_days: 99999999"), 2, "between 1 and 36600"),
        (MODEL.replace("seed: 0", "seed:"), 4, "`seed` must be a whole number between 0 and 4294967295, not empty"),
        (MODEL + "  zip: 010\n", 7, "YAML reads `010` as the octal number 8"),
        (MODEL + "  since: 2020-01-01\n", 7, "`parameters.since` is a date to YAML; put it in quotes"),
        (MODEL + "  rate: .nan\n", 7, "`parameters.rate` is .nan, which is no finite number"),
        (MODEL + "  id: 123456789012345678901\n", 7, "`parameters.id` is too large a number"),
        (MODEL + "  deep: {x: 1, x: 2}\n", 7, "duplicate key `x`"),
        (MODEL + "trusted_types: a.b\n", 7, "`trusted_types` must be a list of type names, not `a.b`"),
        (MODEL + "trusted_type: []\n", 7, "did you mean `trusted_types`?"),
    ],
)
def test_a_model_yaml_that_nothing_can_be_made_of(text: str, line: int, says: str) -> None:
    """What a window, a record or a random generator could not hold is said where it is written."""
    with pytest.raises(PromotionError) as caught:
        parse_spec(text, "models/m/model.yaml")

    assert str(caught.value).startswith(f"models/m/model.yaml:{line}: ")
    assert says in str(caught.value)
    assert len(caught.value.each) == 1


def test_parameters_are_what_the_file_says() -> None:
    """Numbers, lists, nothing and truth are kept; a key is its text."""
    found = parse_spec(MODEL + "  weight: {0: 1, 1: 10.5}\n  none: null\n  on: [yes, a]\n", "model.yaml").parameters

    expected = {"depth": {"max": [1, 2]}, "weight": {"0": 1, "1": 10.5}, "none": None, "on": [True, "a"]}
    assert found == expected


def test_every_value_knows_where_it_is() -> None:
    """Positions count characters, so that a file can be edited by them."""
    text = 'a: "größer"\r\nb: [1, {c: x}]\n'
    tree = compose(text, "f")
    node = tree.node(("b", 1, "c"))

    assert node is not None
    assert text[node.start.index : node.end.index] == "x"
    assert tree.line(node.start.index) == 2
    assert tree.node(("b", 2)) is tree.node(("a", "c")) is tree.node(("z",)) is None
