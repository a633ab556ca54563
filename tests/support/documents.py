"""The parts of a document that a command writes: between `<!-- NAME -->` and `<!-- /NAME -->`."""

import re
from pathlib import Path


def part(document: Path, name: str) -> str:
    """Return what stands between a name's marks."""
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", document.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None, f"{document} has no part {name}"
    return found[1]


def put(document: Path, name: str, text: str) -> None:
    """Write the part anew."""
    part(document, name)
    marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    whole = document.read_text(encoding="utf-8")
    document.write_text(marks.sub(lambda found: found[1] + text + found[2], whole, count=1), encoding="utf-8")
