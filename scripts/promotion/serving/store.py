"""Local copies of what served, by digest: a restart needs no registry, a rollback no download.

Below the folder: `models/DIGEST/` holds a version's files, `NAME.json` what served last under a name. It is
no temporary folder, so what empties those leaves it alone; if files vanish all the same, the follower says so
and fetches them again.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from promotion.errors import PromotionError
from promotion.records.files import digest_files

LEFT_SECONDS = 3600.0  # what nothing was written to for so long is no download any more
KEPT = 3  # versions of a model whose files stay: what serves, what served before, what is being loaded


@dataclass(frozen=True)
class Local:
    """A version whose files are here. digest: of the files, computed. note: what /health should say about it.

    unread: that was computed before, for what is in memory: who loads it again looks first.
    """

    model: str
    version: int
    run_id: str | None
    digest: str
    folder: Path
    note: str | None = None
    unread: bool = False

    @property
    def label(self) -> str:
        """The version in sentences."""
        return f"{self.model} version {self.version}"

    def whole(self) -> bool:
        """Whether the files are those of the digest, computed again now."""
        return _whole(self.folder, self.digest)

    def sizes(self) -> dict[str, int]:
        """Size by name of the files that are there: what a poll can look at."""
        found = {}
        for path in self.folder.rglob("*"):
            with contextlib.suppress(OSError):
                found[str(path)] = path.stat().st_size
        return found


class Store:
    """The folder of local copies; PromotionError when it cannot be written, and holds none that could serve."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        try:
            self.prepare()
        except PromotionError:
            if not self._served():  # else a disk that became read-only is no reason not to start
                raise

    def prepare(self) -> None:
        """Make the folder, also when somebody removed it meanwhile."""
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            (self.root / "models").mkdir(exist_ok=True, mode=0o700)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            reason = error.strerror or error
            raise PromotionError(
                f"cannot write into {self.root} ({reason}), where the server keeps model files; choose another --store"
            ) from None

    @contextlib.contextmanager
    def incoming(self) -> Iterator[Path]:
        """A private folder to download into, removed at the end."""
        self.prepare()
        self._tidy()
        folder = Path(tempfile.mkdtemp(prefix="incoming-", dir=self.root))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def find(self, digest: str | None) -> Path | None:
        """Return the folder with the files of `digest`, computed again now; None where they are not, or not whole."""
        if digest is None:
            return None
        folder = self._folder(digest)
        return folder if _whole(folder, digest) else None

    def keep(self, path: Path, digest: str) -> Path:
        """Move downloaded files to where they are found by their digest; return that folder."""
        folder = self._folder(digest)
        for _ in range(2):
            with contextlib.suppress(OSError):  # another server was quicker, and maybe loads them by now
                os.rename(path, folder)
            if self.find(digest) is not None:
                return folder
            shutil.rmtree(folder, ignore_errors=True)
        raise PromotionError(f"the files in {folder} do not stay what they are; choose another --store")

    def remember(self, registry: str, alias: str, local: Local) -> None:
        """Note what serves, and remove the files of what served long ago."""
        file = self._record(registry, local.model, alias)
        recent = [local.digest, *(d for d in _read(file).get("recent", []) if d != local.digest)]
        fields = {**asdict(local), "folder": None, "note": None, "recent": recent[:KEPT]}
        del fields["unread"]
        if fields == _read(file):
            return
        part = file.with_suffix(f".{os.getpid()}.part")  # several servers may have one store
        part.write_text(json.dumps(fields), encoding="utf-8")
        part.replace(file)
        used = self._served()
        for digest in recent[KEPT:]:
            if digest not in used:
                shutil.rmtree(self._folder(digest), ignore_errors=True)

    def _tidy(self) -> None:
        """Remove what a server that was killed left of a download, and files that never served."""
        served = {self._folder(digest) for digest in self._served()}
        for left in (*self.root.glob("incoming-*"), *self.root.glob("*.part"), *(self.root / "models").iterdir()):
            if left not in served and _age(left) > LEFT_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
                with contextlib.suppress(OSError):  # it was no folder
                    left.unlink()

    def _served(self) -> set[str]:
        return {digest for file in self.root.glob("*.json") for digest in _read(file).get("recent", [])}

    def recall(self, registry: str, model: str, alias: str) -> Local | None:
        """Return what served last, if its files are here and whole."""
        fields = _read(self._record(registry, model, alias))
        folder = self.find(fields.get("digest"))
        if folder is None:
            return None
        return Local(model, fields["version"], fields.get("run_id"), fields["digest"], folder)

    def _folder(self, digest: str) -> Path:
        return self.root / "models" / hashlib.sha256(digest.encode()).hexdigest()[:40]

    def _record(self, registry: str, model: str, alias: str) -> Path:
        key = json.dumps([registry, model, alias]).encode()
        return self.root / f"{hashlib.sha256(key).hexdigest()[:40]}.json"


def _whole(folder: Path, digest: str) -> bool:
    try:
        return folder.is_dir() and digest_files(folder) == digest
    except (OSError, PromotionError):
        return False


def _age(folder: Path) -> float:
    """Seconds since anything was written below `folder`."""
    newest = 0.0
    for path in (folder, *folder.rglob("*")):
        with contextlib.suppress(OSError):
            newest = max(newest, path.stat().st_mtime)
    return time.time() - newest


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    fine = isinstance(found, dict) and isinstance(found.get("digest"), str) and type(found.get("version")) is int
    recent = found.get("recent") if fine else None
    return found if isinstance(recent, list) and all(isinstance(digest, str) for digest in recent) else {}


def default_store() -> Path:
    """Where local copies are kept unless --store says otherwise: the user's state, which no cleaner empties."""
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "promotion" / "serve"
