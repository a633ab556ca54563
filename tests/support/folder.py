"""Load the modules of a model folder as the verbs do, but under names that do not meet."""

import importlib.util
from pathlib import Path
from types import ModuleType

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDERS = REPOSITORY / "models"


def module(model: str, name: str, *, file: Path | None = None) -> ModuleType:
    """Return a fresh copy of models/<model>/<name>.py, or of `file` in its place."""
    path = file or FOLDERS / model / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{model.replace('-', '_')}_{name}", path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded
