"""A pin: which version is champion, what it was made from, and what won it."""

from typing import Annotated

from pydantic import Field

from promotion import OBJECT_ID
from promotion.config.sections import Section, Text
from promotion.frozen import DIGEST

Digest = Annotated[str, Field(pattern=f"^{DIGEST}$", title="sha256: and 64 hex digits")]
TreeId = Annotated[str, Field(pattern=f"^{OBJECT_ID}$", title="a git tree id of 40 hex digits")]


class Override(Section):
    """Who put this version here without a win, and why."""

    by: Text | None = None
    """The author of the pull request, or the dispatch's actor: checked with git and GitHub; may be left out."""
    reason: Text


class PinRecord(Section):
    """The champion; written by pin.py, moved by merging, moved back by reverting."""

    version: Annotated[int, Field(ge=1)]
    """Registered model version."""
    source_tree: TreeId | None = None
    """Git tree of the model's folder that it was trained from."""
    digest: Digest | None = None
    """Of the model's files."""
    evidence: Digest | None = None
    """Of the evaluation.json that won the merge."""
    override: Override | None = None
    """Who put this version here without a win, and why."""
    adopted: bool = False
    """It was champion before this project came; what is missing cannot be proven."""

    @property
    def identity(self) -> tuple[int, str | None]:
        """Version and digest: two pins of these are about one model, whatever else they say."""
        return self.version, self.digest
