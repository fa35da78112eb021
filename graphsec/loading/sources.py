"""From what the user names (path, folder, archive, stdin) to buffers of bytes in input order; never writes, never follows
a link out of the folder it was given, never extracts an archive."""

from __future__ import annotations

import fnmatch
import mmap
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from graphsec.errors import InputError
from graphsec.loading.archives import ARCHIVES, members
from graphsec.loading.documents import Limits, Problem
from graphsec.loading.forms import SNAPSHOT, SUFFIX, Form, detect
from graphsec.loading.json_cursor import Buffer

_SUFFIXES = (".json", ".yaml", ".yml")
#: Files from here on are memory-mapped instead of read.
_MAP_FROM = 4 << 20
_HEAD = 1 << 16


@dataclass(frozen=True, slots=True)
class Blob:
    """The bytes of one file, or the problem why there are none. ``name`` is the path as the user would write it."""

    name: str
    data: Buffer
    form: Form
    problem: Problem | None = None


def blobs(given: str, limits: Limits, exclude: tuple[str, ...] = ()) -> Iterator[Blob]:
    """The files behind one ``-f`` argument in path order. Raises InputError if it does not exist."""
    path = Path(given)
    if given == "-":
        yield _blob("<stdin>", *_read(sys.stdin.buffer, limits))
    elif not path.exists():
        raise InputError(
            f"no such file or folder: `{given}`", help="`-f` takes a file, a folder, or `-` for standard input"
        )
    elif path.is_dir():
        yield from _folder(path, limits, exclude)
    elif given.lower().endswith(ARCHIVES):
        yield from _archive(given, limits, exclude)
    else:
        with _opened(path, limits) as (data, problem):
            yield _blob(given, data, problem)


def _blob(name: str, data: Buffer, problem: Problem | None) -> Blob:
    if name.lower().endswith(SUFFIX):
        # Whatever it holds, it was meant to be one.
        return Blob(name, data, SNAPSHOT, problem)
    # Both ends tell the form: I10 begins as JSON and ends in container logs.
    return Blob(name, data, detect(head=bytes(data[:_HEAD]) + b"\n" + bytes(data[-_HEAD:])), problem)


# -- files ----------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path, limits: Limits) -> Iterator[tuple[Buffer, Problem | None]]:
    """The bytes of a file while it is open, or the problem why there are none."""
    try:
        file = path.open("rb")
    except OSError as error:
        yield b"", _unreadable(error)
        return
    with file:
        data, problem = _mapped_or_read(file, limits)
        try:
            yield data, problem
        finally:
            if isinstance(data, mmap.mmap):
                data.close()


def _mapped_or_read(file: BinaryIO, limits: Limits) -> tuple[Buffer, Problem | None]:
    try:
        size = os.fstat(file.fileno()).st_size
        if _MAP_FROM <= size <= limits.file_bytes:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), None
        return (b"", _too_large(size, limits)) if size > limits.file_bytes else _read(file, limits)
    except OSError as error:
        return b"", _unreadable(error)


def _read(file: BinaryIO, limits: Limits) -> tuple[bytes, Problem | None]:
    """All of a file or pipe whose size is not known beforehand."""
    pieces, size = [], 0
    while piece := file.read(_MAP_FROM):
        pieces.append(piece)
        size += len(piece)
        if size > limits.file_bytes:
            return b"", _too_large(size, limits)
    return b"".join(pieces), None


def _too_large(size: int, limits: Limits) -> Problem:
    return Problem(
        "GS-LIM-005", f"file of {size:,} bytes or more, the limit of --max-file-bytes is {limits.file_bytes:,}", 1
    )


def _unreadable(error: OSError) -> Problem:
    return Problem("GS-IN-041", f"cannot be read: {error.strerror}", 1)


# -- folders --------------------------------------------------------------------------------------------------------


def _folder(root: Path, limits: Limits, exclude: tuple[str, ...]) -> Iterator[Blob]:
    """The files that can hold objects. A link adds nothing: what it points to inside the folder is met there."""
    found = sorted(_walk(root, exclude), key=lambda pair: pair[0].parts)
    form = detect([path for path, problem in found if problem is None])
    for path, problem in found:
        name = str(root / path)
        if problem:
            yield Blob(name, b"", form, problem)
            continue
        with _opened(root / path, limits) as (data, unread):
            yield Blob(name, data, form, unread)


def _walk(root: Path, exclude: tuple[str, ...]) -> Iterator[tuple[PurePosixPath, Problem | None]]:
    """Relative paths in any order, each with the problem why it is not read."""
    unreadable: list[OSError] = []
    real = root.resolve()
    for folder, subfolders, names in os.walk(root, onerror=unreadable.append):
        here = Path(folder)
        subfolders[:] = [name for name in subfolders if name != ".git" or (here / name).is_symlink()]
        for name in (*subfolders, *names):
            relative = PurePosixPath((here / name).relative_to(root).as_posix())
            if _excluded(relative, exclude):
                continue
            wanted = name in subfolders or name.lower().endswith(_SUFFIXES)
            if (here / name).is_symlink():
                if wanted and _leaves(here / name, real):
                    yield relative, Problem("GS-IN-041", "a link out of the folder is not followed", 1)
            elif wanted and name in names:
                yield relative, None if _is_regular(here / name) else Problem("GS-IN-041", "not a regular file", 1)
    for error in unreadable:
        relative = PurePosixPath(Path(os.fsdecode(error.filename)).relative_to(root).as_posix())
        yield relative, _unreadable(error)


def _leaves(link: Path, root: Path) -> bool:
    try:
        return not link.resolve().is_relative_to(root)
    except (OSError, RuntimeError):
        return False  # a loop of links leads nowhere


def _is_regular(file: Path) -> bool:
    try:
        return stat.S_ISREG(file.stat().st_mode)
    except OSError:
        return True  # opening it tells what is wrong


def _excluded(path: PurePosixPath, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatch(str(path), pattern) or fnmatch.fnmatch(path.name, pattern) for pattern in patterns)


# -- archives -------------------------------------------------------------------------------------------------------


def _archive(given: str, limits: Limits, exclude: tuple[str, ...]) -> Iterator[Blob]:
    """The members that can hold objects, in path order; of two with one name the later comes later."""
    found, problem = members(given, limits)
    kept = [
        (name, data)
        for name, data in found
        if name.lower().endswith(_SUFFIXES) and not _excluded(PurePosixPath(name), exclude)
    ]
    form = detect(_without_common_root([PurePosixPath(name) for name, _ in kept]) or [PurePosixPath("empty")])
    for name, data in sorted(kept, key=lambda pair: pair[0]):
        yield Blob(f"{given}:{name}", data, form)
    if problem:
        yield Blob(given, b"", form, problem)


def _without_common_root(paths: list[PurePosixPath]) -> list[PurePosixPath]:
    """KubeHound archives wrap everything in `<cluster>/<run>/`: the layout begins below."""
    while paths and all(len(path.parts) > 1 for path in paths) and len({path.parts[0] for path in paths}) == 1:
        paths = [PurePosixPath(*path.parts[1:]) for path in paths]
    return paths
