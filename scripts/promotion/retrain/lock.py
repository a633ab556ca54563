"""Write a model folder's requirements.txt: packages by name, resolved beside the base's lock, pinned and hashed."""

import re
from collections.abc import Sequence
from pathlib import Path

from promotion.config.requirements import BASE, FILE, NAME, Pinned, beyond, parse_requirements
from promotion.errors import PromotionError
from promotion.sandbox.packages import run_uv, said
from promotion.text.escape import clean

WANTED = re.compile(rf"{NAME}(\[[A-Za-z0-9,._-]+\])?([=<>!~]=?[A-Za-z0-9.,*<>=!~]+)?")
HEAD = """\
# What this model needs beyond the base's lock, with what that needs; installed only where the model runs.
# Written by: python scripts/retrain.py lock {model} {packages}
"""


def write_lock(root: Path, model: str, packages: Sequence[str]) -> tuple[Pinned, ...]:
    """Resolve `packages` with the base's lock as it is and write models/MODEL/requirements.txt; return its pins.

    Raise PromotionError, with nothing written, where a name is none, or no versions fit beside the base's.
    """
    folder = root / "models" / model
    if not folder.is_dir():
        raise PromotionError(f"no model `{clean(model, 100)}`: there is no models/{clean(model, 100)}/")
    for package in packages:
        if not WANTED.fullmatch(package):
            raise PromotionError(f"`{clean(package, 80)}` is not a package such as lightgbm or lightgbm==4.6.0")
    options = ["--quiet", "--universal", "--python-version", "3.11", "--generate-hashes", "--only-binary", ":all:"]
    options += ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
    text = "".join(f"{package}\n" for package in packages)
    done = run_uv("pip", "compile", *options, "--constraints", str(BASE), "-", text=text)
    if done.returncode != 0:
        raise PromotionError(
            f"{', '.join(packages)} cannot be installed beside the base's lock ({said(done.stderr)})",
            file=folder / FILE,
        )
    pins = beyond(parse_requirements(done.stdout, str(folder / FILE)))
    if not pins:
        raise PromotionError(f"the base's lock has {', '.join(packages)} already; nothing was written")
    lines = [pin.text.replace(" --hash", " \\\n    --hash") for pin in pins]
    head = HEAD.format(model=model, packages=" ".join(packages))
    (folder / FILE).write_text(head + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    return pins
