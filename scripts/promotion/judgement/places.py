"""Where tables lie: a path, or the URL of an object store (s3://, gs://, or fsspec+NAME:// for what fsspec knows)."""

import contextlib
import fnmatch
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from promotion.errors import PromotionError

Place = Path | str  # a str is a URL
LOGIN = re.compile(r"secret|token|passw|credential|signature|key=|\b(sig|sas)=", re.IGNORECASE)  # in a query


def place(text: str) -> Place:
    """A path or a URL as a person gives it; raise PromotionError for a URL with a login in it."""
    if "://" not in text:
        return Path(text)
    if "@" in urlsplit(text).netloc or LOGIN.search(urlsplit(text).query):
        raise PromotionError(
            "a URL with a login in it would be shown and sent on; give the login to the environment of whoever reads it"
        )
    return text


def below(where: Place, pattern: str) -> tuple[Place, ...]:
    """The files of a folder by the pattern of their names, in order; a file itself; () where there is neither."""
    if isinstance(where, Path):
        if where.is_dir():
            return tuple(sorted(where.glob(pattern)))
        return (where,) if where.is_file() else ()
    system, path = _system(where)
    from pyarrow import fs

    if system.get_file_info(path).type == fs.FileType.File:
        return (where,)
    head, mark, query = where.partition("?")
    found = system.get_file_info(fs.FileSelector(path, allow_not_found=True))
    names = sorted(one.base_name for one in found if one.is_file and fnmatch.fnmatch(one.base_name, pattern))
    return tuple(f"{head.rstrip('/')}/{name}{mark}{query}" for name in names)


def inside(where: Place, name: str) -> Place:
    """A place below another."""
    if isinstance(where, Path):
        return where / name
    head, mark, query = where.partition("?")
    return f"{head.rstrip('/')}/{name}{mark}{query}"


def absolute(where: Place) -> Place:
    """The same place for who works in another folder."""
    return where.absolute() if isinstance(where, Path) else where


def name(file: Place) -> str:
    """The last part of where a file lies."""
    return str(file).partition("?")[0].rstrip("/").rsplit("/", 1)[-1]


def copied(source: Place, target: Place) -> None:
    """Copy a file, or a folder with all below it, to a place that is not there yet; PromotionError where it fails."""
    from pyarrow import fs

    ends = [(fs.LocalFileSystem(), str(one)) if isinstance(one, Path) else _system(one) for one in (source, target)]
    (here, what), (there, where) = ends
    try:
        there.create_dir(where if here.get_file_info(what).type == fs.FileType.Directory else where.rpartition("/")[0])
        fs.copy_files(what, where, source_filesystem=here, destination_filesystem=there)
    except (pa.ArrowException, OSError) as error:
        text = str(error).splitlines()[0][:200]
        if isinstance(error, FileNotFoundError) and error.errno is None:  # fsspec's, which says no more than the path
            text = f"no such file: {text}"
        raise PromotionError(f"it cannot be copied to {target} ({text})", file=str(source)) from None


def removed(folder: Place) -> None:
    """Remove a folder with all below it, where it is there."""
    from pyarrow import fs

    system, path = (fs.LocalFileSystem(), str(folder)) if isinstance(folder, Path) else _system(folder)
    with contextlib.suppress(pa.ArrowException, OSError):
        system.delete_dir(path)


@contextlib.contextmanager
def opened(file: Place) -> Iterator[Any]:
    """What pyarrow reads a file from."""
    if isinstance(file, Path):
        yield file
        return
    system, path = _system(file)
    with system.open_input_file(path) as source:
        yield source


def stamp(file: Place) -> tuple[int, int]:
    """Size and time of a file; raise OSError where it is gone."""
    if isinstance(file, Path):
        found = file.stat()
        return found.st_size, found.st_mtime_ns
    system, path = _system(file)
    info = system.get_file_info(path)
    if not info.is_file:
        raise FileNotFoundError(f"there is no {path}")
    return info.size, info.mtime_ns or 0


def _system(url: str) -> tuple[Any, str]:
    from pyarrow import fs

    try:
        system, path = fs.FileSystem.from_uri(url)
        return system, str(path)
    except (pa.ArrowException, OSError, ImportError, ValueError) as error:
        text = str(error).splitlines()[0][:200]
        raise PromotionError(
            f"this URL cannot be opened ({text}); give a path, s3://…, or fsspec+NAME://…", file=url
        ) from None
