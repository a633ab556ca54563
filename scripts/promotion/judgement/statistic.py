"""What is asked of a score table: a metric on a slice, of one model or as a difference of two."""

from dataclasses import dataclass

from promotion.judgement.metrics import Metric

Slice = tuple[str, str] | None  # (column, value); None: all rows


@dataclass(frozen=True)
class Statistic:
    """A metric on a slice, or on all rows."""

    metric: Metric
    slice: Slice = None

    @property
    def label(self) -> str | None:
        """`weekend=1`, None for all rows."""
        return None if self.slice is None else f"{self.slice[0]}={self.slice[1]}"


@dataclass(frozen=True)
class Contrast:
    """candidate - factor * champion, or a level when one side is left out (None)."""

    candidate: float | None = 1.0
    champion: float | None = None

    def weights(self) -> dict[str, float]:
        """Side -> factor."""
        both = {"candidate": self.candidate, "champion": self.champion}
        return {side: factor for side, factor in both.items() if factor is not None}


CANDIDATE, CHAMPION, DIFFERENCE = Contrast(1.0), Contrast(None, 1.0), Contrast(1.0, -1.0)
