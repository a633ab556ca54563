"""The digest of a model's files, by which records, pins and the registry name them; files that are open at a time."""

import contextlib
import hashlib
import re
from pathlib import Path

from promotion.errors import PromotionError

META = "registered_model_meta"
META_TEXT = re.compile(rb"model_name: [^\r\n]{1,300}\nmodel_version: [^\r\n]{1,100}\n")


def is_meta(path: Path) -> bool:
    """Whether a file is the note (name and version) that MLflow writes into the top of some downloads, and no more."""
    return path.stat().st_size < 500 and META_TEXT.fullmatch(path.read_bytes()) is not None


def digest_files(folder: Path) -> str:
    """`sha256:<hex>` over the sorted relative paths, sizes and contents of all files below `folder`.

    Only MLflow's own note of a download, at the top, is left out. Raise PromotionError for a link or special file.
    """
    if not folder.is_dir():
        raise PromotionError("no such folder of model files", file=folder)
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise PromotionError("a link or special file; a model is plain files", file=path)
        if path.is_dir() or (path == folder / META and is_meta(path)):
            continue
        with path.open("rb") as handle:
            content = hashlib.file_digest(handle, "sha256").hexdigest()
        name = path.relative_to(folder).as_posix().encode("utf-8", "surrogateescape")
        total.update(name + f"\0{path.stat().st_size}\0{content}\n".encode())
    return "sha256:" + total.hexdigest()


def allow_files(wanted: int) -> int:
    """Let the process have as many open files as are wanted, as far as the system permits; return how many it may."""
    import resource  # promote needs the digest alone

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard < 0 else min(wanted, hard), hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if soft < 0 else min(wanted, soft)
