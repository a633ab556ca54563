"""promotion.yaml at a commit: one way to read it, and one sentence where it is missing."""

from promotion.config import FILE
from promotion.config.promotion_yaml import Promotion, parse
from promotion.errors import PromotionError
from promotion.git.repo import Repo


def promotion_text(repo: Repo, commit: str) -> str:
    """Return the text at a commit (or in a tree); raise PromotionError where there is none."""
    text = repo.file_at(commit, FILE)
    if text is None:
        raise PromotionError(
            f"missing at {commit[:12]}; every commit of a promoted model needs one", file=repo.at(FILE)
        )
    return text


def promotion_at(repo: Repo, commit: str, *, base: bool = False) -> Promotion:
    """Read promotion.yaml at a commit (or in a tree); raise PromotionError with every mistake.

    base: of what a pull request is judged against, where none is an empty one and yesterday's style is no mistake,
    so that a pull request can bring the first one, or mend it.
    """
    if base and repo.file_at(commit, FILE) is None:
        return Promotion(models={})
    text = promotion_text(repo, commit)
    file = repo.at(FILE)
    return parse(text, file=f"{file} of the base ({commit[:12]})", past=True) if base else parse(text, file=file)
