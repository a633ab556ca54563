"""Cutting a report to a limit between its blocks, so that no table, fence or fold is left open."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Block:
    """A piece of Markdown that is complete in itself. importance: 0 is the last to be left out."""

    text: str
    importance: int = 0


def size(text: str) -> int:
    """Length in UTF-16 units: never less than GitHub counts, whichever way it counts characters."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def fit(blocks: Sequence[Block], limit: int, *, footer: str, shortened: str) -> str:
    """Join blocks and footer in at most `limit` units.

    Least important blocks go first, the later one first among equals; then `shortened` (which links
    the full report) is added. The first block and the footer always stay.
    """
    kept = list(blocks)
    if _length([*kept, Block(footer)]) <= limit:
        return _join([*kept, Block(footer)])
    ends = [Block(shortened), Block(footer)]
    total = _length([*kept, *ends])
    order = sorted(range(1, len(kept)), key=lambda i: (-kept[i].importance, -i))
    gone: set[int] = set()
    for index in order:
        if total <= limit:
            break
        gone.add(index)
        total -= size(kept[index].text) + 2
    return _join([*(b for i, b in enumerate(kept) if i not in gone), *ends])


def _join(blocks: Sequence[Block]) -> str:
    return "\n\n".join(block.text for block in blocks if block.text) + "\n"


def _length(blocks: Sequence[Block]) -> int:
    return sum(size(block.text) + 2 for block in blocks) + 1
