"""A database file that is not there: it holds nothing. To ask it makes no file, so a mistyped path stays a question."""

from collections.abc import Callable
from typing import Any

from promotion.registry.rest import Answered, Page


class Nothing:
    """What MLflow's client says of a registry in which nothing was ever kept."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("search_"):
            return lambda *args, **more: Page()
        if name == "get_experiment_by_name":
            return lambda *args: None
        return _lacking


def _lacking(*args: Any, **more: Any) -> Any:
    raise Answered("there is no such file; check MLFLOW_TRACKING_URI", "RESOURCE_DOES_NOT_EXIST")


NOTHING = Nothing()
