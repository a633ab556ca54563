"""What a pull request changes in a model's folder: settings of model.yaml, and files by their lines."""

from collections.abc import Iterator
from itertools import islice

from promotion.config.strict import Node, compose
from promotion.errors import PromotionError
from promotion.git.repo import Repo
from promotion.records.plan import Changed, FileChange

SPEC = "model.yaml"
MOST = 30  # of settings and of files; a report names the first few
MOST_KEYS = 500  # of a model.yaml, whose aliases may stand for millions
LONGEST = 120  # characters of one value
DEEPEST = 6


def changed(repo: Repo, before: str | None, after: str | None) -> Changed | None:
    """Return how the tree `after` differs from `before` (None: there was no folder); None where `after` is gone."""
    if after is None:
        return None
    settings = _settings(_spec(repo, before), _spec(repo, after))
    files = [
        FileChange(path=_text(path), added=added, removed=removed)
        for path, added, removed in repo.changed_files(before, after)
    ]
    return Changed(
        settings=settings[:MOST],
        files=tuple(files[:MOST]),
        more_settings=max(0, len(settings) - MOST),
        more_files=max(0, len(files) - MOST),
        new=before is None,
    )


def _settings(before: dict[str, str], after: dict[str, str]) -> tuple[tuple[str, str | None, str | None], ...]:
    keys = dict.fromkeys([*after, *before])  # in the order of the new file, so that what belongs together stays so
    return tuple((key, before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key))


def _spec(repo: Repo, tree: str | None) -> dict[str, str]:
    """model.yaml of a tree as dotted keys and short texts; one that cannot be read is empty (train.py says why)."""
    try:
        text = None if tree is None else repo.top.file_at(tree, SPEC)
        root = None if text is None else compose(text, SPEC).root
    except PromotionError:
        return {}
    return {} if root is None else dict(islice(_flat(root, ""), MOST_KEYS))


def _flat(node: Node, name: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    """("parameters.settings.max_depth", "2"), …; a list is one text."""
    if node.mapping is not None and depth < DEEPEST:  # an empty one says nothing
        for key, value in node.mapping:
            yield from _flat(value, f"{name}.{''.join(_words(key))}"[: 2 * LONGEST], depth + 1)
    else:
        yield _text(name.removeprefix(".")), _text("".join(_words(node)))


def _words(node: Node) -> Iterator[str]:
    """A value as its file has it, on one line, and no more of it than is shown."""
    return islice(_all_words(node), LONGEST + 1)


def _all_words(node: Node, depth: int = 0) -> Iterator[str]:
    if node.items is None:
        yield node.text[: LONGEST + 1]
        return
    if depth == DEEPEST:
        yield "…"
        return
    mapping = node.mapping is not None
    yield "{" if mapping else "["
    for i, item in enumerate(node.items):
        yield ", " if i else ""
        if mapping:
            yield from _all_words(item[0], depth + 1)
            yield ": "
        yield from _all_words(item[1] if mapping else item, depth + 1)
    yield "}" if mapping else "]"


def _text(text: str) -> str:
    """At most LONGEST characters that UTF-8 can carry."""
    whole = text.encode("utf-8", "replace").decode("utf-8", "replace")
    return whole if len(whole) <= LONGEST else whole[: LONGEST - 1] + "…"
