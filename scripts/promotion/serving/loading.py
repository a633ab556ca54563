"""Load one registered version beside the one that serves, warm it, and check that it answers."""

import contextlib
import importlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from promotion.errors import PromotionError
from promotion.registry.client import Registry, Version
from promotion.serving.scoring import Scorer

WARM_ROWS = 16


@dataclass(frozen=True)
class Served:
    """A version that is loaded, warm and known to answer. digest: of its files, where it was tagged with one."""

    name: str
    version: int
    run_id: str | None
    digest: str | None
    loaded_at: str
    scorer: Scorer
    folder: Path
    notes: tuple[str, ...] = ()

    def close(self) -> None:
        """Remove its files; the model is in memory."""
        shutil.rmtree(self.folder, ignore_errors=True)


def now() -> str:
    """The time as UTC in ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def load(registry: Registry, version: Version, root: Path) -> Served:
    """Download `version` into a folder of its own below `root`, check, load and warm it.

    Raises PromotionError when it is not READY, when its files do not hash to its tag
    `promotion.digest`, or when it does not answer its own input example; what MLflow raises passes.
    The types that a skops file may contain come from its MLmodel file (`skops_trusted_types`).
    """
    import mlflow.pyfunc

    label = f"{version.model} version {version.version}"
    if not version.ready:
        raise PromotionError(f"{label} is not READY in the registry")
    folder = Path(tempfile.mkdtemp(prefix=f"version-{version.version}-", dir=root))
    try:
        path, digest = registry.fetch_version(version, folder)
        tagged = version.tags.get("digest")
        if tagged is not None and tagged != digest:
            raise PromotionError(
                f"the files of {label} hash to {digest}, not to the {tagged} they were registered with"
            )
        with fresh_modules(root):
            model = mlflow.pyfunc.load_model(str(path))
            row_wise, notes = warm(model, label)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    trusted = row_wise if row_wise is not None else "sklearn" in (model.metadata.flavors or {})
    scorer = Scorer(model, batching=trusted)
    return Served(version.model, version.version, version.run_id, tagged, now(), scorer, folder, notes)


def warm(model: Any, label: str) -> tuple[bool | None, tuple[str, ...]]:
    """Ask `model` for its own input example, and check length and finiteness.

    Returns whether it predicts row by row (None: not known), and notes for /health. Raises
    PromotionError when an answer is not one finite value a row.
    """
    import numpy as np
    import pandas as pd

    example = model.input_example
    if example is None:
        return None, ("the model has no input example, so it was not warmed before it took over",)
    answer = model.predict(example)
    if not isinstance(example, pd.DataFrame):
        _finite(answer, label)
        return None, ()
    _answers(answer, len(example), label)
    few = example.head(WARM_ROWS)
    times = 4
    once, often = model.predict(few), model.predict(pd.concat([few] * times, ignore_index=True))
    _answers(often, len(few) * times, label)
    once, often = np.asarray(once), np.asarray(often)
    tiled = np.concatenate([once] * times)
    numbers = once.dtype.kind in "fc" and often.dtype.kind in "fc"
    # A sum over a longer table may differ in its last bits; a model that looks at other rows differs in the first.
    same = np.allclose(tiled, often, rtol=1e-9, atol=0) if numbers else np.array_equal(tiled, often)
    note = "its answer to a row depends on the other rows, so requests are not put together"
    return bool(same), () if same else (note,)


def _answers(answer: Any, rows: int, label: str) -> None:
    if not hasattr(answer, "__len__") or len(answer) != rows:
        found = len(answer) if hasattr(answer, "__len__") else "no"
        raise PromotionError(f"{label} gave {found} answers to the {rows} rows of its input example")
    _finite(answer, label)


def _finite(answer: Any, label: str) -> None:
    import numpy as np
    import pandas as pd

    frame = pd.DataFrame(answer) if isinstance(answer, pd.DataFrame | pd.Series | np.ndarray | list) else None
    if frame is None:
        return
    numbers = frame.select_dtypes("number").to_numpy()
    if not np.isfinite(numbers.astype(float)).all():
        raise PromotionError(f"{label} gave an answer that is not a finite number to its own input example")


@contextlib.contextmanager
def fresh_modules(root: Path) -> Iterator[None]:
    """Let a version that carries its own code import it, and not the module of that name of the one before.

    Modules and paths of older versions (below `root`) are set aside, and put back if loading fails.
    """
    inside = str(root)
    old_path = list(sys.path)
    old = {
        name: module
        for name, module in list(sys.modules.items())
        if str(getattr(module, "__file__", None) or "").startswith(inside)
    }
    for name in old:
        del sys.modules[name]
    sys.path[:] = [entry for entry in sys.path if not entry.startswith(inside)]
    importlib.invalidate_caches()
    try:
        yield
    except BaseException:
        sys.path[:] = old_path
        sys.modules.update(old)
        raise
