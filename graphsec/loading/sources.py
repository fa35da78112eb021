"""From what the user names (path, folder, archive, stdin) to buffers of bytes in input order; never writes, never follows
a link out of the folder it was given, never extracts an archive."""

from __future__ import annotations

import fnmatch
import mmap
import os
import sys
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from graphsec.errors import InputError
from graphsec.loading.documents import Limits, Problem
from graphsec.loading.forms import Form, detect
from graphsec.loading.json_reader import Buffer

_SUFFIXES = (".json", ".yaml", ".yml")
_ARCHIVES = (".tar", ".tar.gz", ".tgz")
#: Files from here on are memory-mapped instead of read.
_MAP_FROM = 4 << 20
_HEAD = 1 << 16
#: Inflated over packed bytes, looked at once this much has been inflated (hardening.md §5).
_RATIO, _RATIO_FROM = 200, 64 << 20


@dataclass(frozen=True, slots=True)
class Blob:
    """The bytes of one file, or the problem why there are none. ``name`` is the path as the user would write it."""

    name: str
    data: Buffer
    form: Form
    problem: Problem | None = None


def blobs(path: str, limits: Limits, exclude: tuple[str, ...] = ()) -> Iterator[Blob]:
    """The files behind one ``-f`` argument in path order. Raises InputError if it does not exist."""
    if path == "-":
        data = sys.stdin.buffer.read()
        yield Blob("<stdin>", data, detect(head=_ends(data)))
        return
    if not os.path.exists(path):
        raise InputError(f"no such file or folder: `{path}`", help="`-f` takes a file, a folder, or `-` for standard input")
    if os.path.isdir(path):
        yield from _folder(Path(path), limits, exclude)
    elif path.endswith(_ARCHIVES):
        yield from _archive(path, limits)
    else:
        with _opened(path, limits) as (data, problem):
            yield Blob(path, data, detect(head=_ends(data)), problem)


def _ends(data: Buffer) -> bytes:
    """Enough of a file to tell its form: I10 begins as JSON and ends in container logs."""
    return bytes(data[:_HEAD]) + b"\n" + bytes(data[-_HEAD:])


@contextmanager
def _opened(path: str, limits: Limits) -> Iterator[tuple[Buffer, Problem | None]]:
    try:
        size = os.stat(path).st_size
        if size > limits.file_bytes:
            yield b"", Problem("GS-LIM-005", f"file of {size:,} bytes, more than --max-file-bytes {limits.file_bytes:,}", 1)
            return
        with open(path, "rb") as file:
            if size < _MAP_FROM:
                yield file.read(), None
                return
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                yield mapped, None
    except OSError as error:
        yield b"", Problem("GS-IN-041", f"cannot be read: {error.strerror}", 1)


def _folder(root: Path, limits: Limits, exclude: tuple[str, ...]) -> Iterator[Blob]:
    files = sorted(_walk(root, exclude), key=lambda path: path.parts)
    form = detect(files)
    for file in files:
        name = str(root / file)
        with _opened(name, limits) as (data, problem):
            yield Blob(name, data, form, problem)


def _walk(root: Path, exclude: tuple[str, ...]) -> Iterator[PurePosixPath]:
    """Relative paths of the files that can hold objects, each real folder once."""
    real_root = root.resolve()
    seen = {real_root}
    for folder, subfolders, names in os.walk(root, followlinks=True):
        here = Path(folder)
        subfolders[:] = [
            name for name in subfolders if name != ".git" and _enter(here / name, real_root, seen)
        ]
        for name in names:
            relative = PurePosixPath((here / name).relative_to(root).as_posix())
            if name.lower().endswith(_SUFFIXES) and not _excluded(relative, exclude) and _inside(here / name, real_root):
                yield relative


def _enter(folder: Path, root: Path, seen: set[Path]) -> bool:
    real = folder.resolve()
    if real in seen or not real.is_relative_to(root):
        return False
    seen.add(real)
    return True


def _inside(file: Path, root: Path) -> bool:
    return not file.is_symlink() or file.resolve().is_relative_to(root)


def _excluded(path: PurePosixPath, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatch(str(path), pattern) or fnmatch.fnmatch(path.name, pattern) for pattern in patterns)


def _archive(path: str, limits: Limits) -> Iterator[Blob]:
    """The regular members of a tar, read one after the other; the form is told by the member names read so far."""
    members: list[tuple[str, bytes]] = []
    problem: Problem | None = None
    packed, inflated = os.stat(path).st_size, 0
    try:
        with tarfile.open(path, mode="r|*") as archive:
            for member in archive:
                if not member.isreg():
                    continue
                inflated += member.size
                if inflated > limits.inflated_bytes or (inflated > _RATIO_FROM and inflated > _RATIO * packed):
                    problem = Problem("GS-LIM-006", f"inflates beyond --max-inflated-bytes {limits.inflated_bytes:,} or {_RATIO}:1", 1)
                    break
                file = archive.extractfile(member)
                if file and member.name.lower().endswith(_SUFFIXES):
                    members.append((member.name, file.read()))
    except (tarfile.TarError, EOFError, OSError) as error:
        problem = Problem("GS-IN-040", f"the archive is damaged: {error}", 1)
    form = detect(_without_common_root([PurePosixPath(name) for name, _ in members]) or [PurePosixPath("empty")])
    for name, data in sorted(members):
        yield Blob(f"{path}:{name}", data, form)
    if problem:
        yield Blob(path, b"", form, problem)


def _without_common_root(paths: list[PurePosixPath]) -> list[PurePosixPath]:
    """KubeHound archives wrap everything in `<cluster>/<run>/`: the layout begins below."""
    while paths and all(len(path.parts) > 1 for path in paths) and len({path.parts[0] for path in paths}) == 1:
        paths = [PurePosixPath(*path.parts[1:]) for path in paths]
    return paths
