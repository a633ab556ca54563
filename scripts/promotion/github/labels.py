"""The labels of a pull request that are ours: exactly the wanted ones, everybody else's left alone."""

from promotion.github.client import GitHub


def keep_labels(github: GitHub, number: int, wanted: tuple[str, ...], *, ours: tuple[str, ...]) -> None:
    """Leave the labels `wanted` of all that are `ours` on a pull request. GitHub makes a label that does not exist.

    Raises GitHubError (a permission, for example).
    """
    there = set(github.pull(number).labels)
    for label in ours:
        if label in there and label not in wanted:
            github.remove_label(number, label)
    missing = tuple(label for label in wanted if label not in there)
    if missing:
        github.add_labels(number, missing)
