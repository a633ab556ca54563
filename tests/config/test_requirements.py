"""requirements.txt of a model folder: pinned and hashed, beside a base that wins."""

from pathlib import Path

import pytest
from promotion.config.requirements import base_lock, beyond, conflicts, parse_requirements
from promotion.errors import PromotionError

FILE = "models/churn/requirements.txt"
HASH = "--hash=sha256:" + "a" * 64


def test_a_lock_as_uv_and_pip_tools_write_it() -> None:
    """Continued lines, several hashes, markers, extras, comments; a name as indexes compare it."""
    text = f"# made by uv\nLight_GBM==4.6.0 \\\n    {HASH} \\\n    {HASH}\n    # via -r x.in\n\n"
    text += f"b[c]==1!2.0+cpu ; sys_platform == 'win32' {HASH}"

    found = parse_requirements(text, FILE)

    assert [(pin.name, pin.version, pin.line) for pin in found] == [("light-gbm", "4.6.0", 2), ("b", "1!2.0+cpu", 7)]
    assert found[0].text == f"Light_GBM==4.6.0 {HASH} {HASH}"


@pytest.mark.parametrize(
    "line",
    ["lightgbm", "lightgbm>=4", "-r other.txt", "--index-url https://x", "-e .", "https://x/y.whl", "a @ file:///y",
     f"a==1 ; python_version > '3' --find-links https://x {HASH}", f"a==1 --hash=md5:{'a' * 32}", "a==*"],
)  # fmt: skip
def test_what_is_no_pin_is_refused_with_its_line(line: str) -> None:
    """Ranges, addresses, options that fetch from elsewhere; the sentence says which command writes the file."""
    with pytest.raises(PromotionError) as caught:
        parse_requirements(f"good==1 {HASH}\n{line}\n", FILE)

    assert str(caught.value).startswith(f"{FILE}:2: ")
    assert "`python scripts/retrain.py lock churn PACKAGE...` writes the file" in str(caught.value)


def test_a_pin_without_a_hash_is_refused() -> None:
    """One sentence for each, all at once."""
    with pytest.raises(PromotionError) as caught:
        parse_requirements("a==1\nb==2\n", FILE)

    assert [one.line for one in caught.value.each] == [1, 2]
    assert "a==1 has no --hash=sha256:" in str(caught.value)


def test_the_base_wins() -> None:
    """What the base's lock has is the base's; another version of it is one sentence with its line."""
    numpy = sorted(base_lock()["numpy"])
    text = f"new==1 {HASH}\nnumpy=={numpy[0]} {HASH}\nscipy==0.1 ; x == 'y' {HASH}\nSciPy==0.2 {HASH}\n"
    pins = parse_requirements(text, FILE)

    assert [pin.name for pin in beyond(pins)] == ["new"]
    ((sentence, line),) = conflicts(pins)
    assert line == 3
    assert sentence.startswith("scipy 0.1 is asked for, but the base's lock has ")


def test_a_repository_without_such_a_file_asks_for_nothing(tmp_path: Path) -> None:
    """Every model folder of today."""
    from promotion.config.requirements import read_requirements

    assert read_requirements(tmp_path, Path("models/churn")) == ()
