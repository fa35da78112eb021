"""Hostile JSON and archives (H3, H4): each is read or refused in little time and memory, and nothing is ever written."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import graphsec as gs
from graphsec.loading import Limits, load_cluster
from graphsec.model.coverage import State

_SECONDS, _MEGABYTES = 2, 500

MEASURE = """
import json, resource, sys, time
from graphsec.loading import load_cluster
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
start = time.process_time()
cluster = load_cluster([sys.argv[1]])
spent = time.process_time() - start
codes = sorted({diagnostic.code for diagnostic in cluster.diagnostics})
objects = sum(map(len, cluster.objects.values())) + len(cluster.others)
print(json.dumps([spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, codes, objects]))
"""


class Measured(NamedTuple):
    seconds: float
    megabytes: float
    codes: list[str]
    objects: int


def measured(path: Path) -> Measured:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return Measured(*json.loads(done.stdout))


def _pod(name: str, more: str = "") -> str:
    return f'{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{name}","namespace":"a"}}{more}}}'


def _listed(*items: str) -> str:
    return f'{{"apiVersion":"v1","kind":"List","items":[{",".join(items)}]}}'


#: Text, codes that are told, objects that are kept (rejected ones too).
HOSTILE: dict[str, tuple[Callable[[], str], list[str], int]] = {
    "deep object": (lambda: '{"a":' * 100_000 + "1" + "}" * 100_000, ["GS-LIM-001"], 0),
    "deep object, cut": (lambda: '{"a":' * 100_000, ["GS-LIM-001"], 0),
    "deep array": (lambda: "[" * 1_000_000, ["GS-LIM-001"], 0),
    "deep array on lines": (lambda: "[\n" * 500_000, ["GS-LIM-001"], 0),
    "deep objects on lines": (lambda: "{\n" * 300_000, ["GS-IN-001"], 0),
    "deep undeclared field": (lambda: _listed(_pod("a"), _pod("x", f',"x":{"[" * 150}{"]" * 150}'), _pod("b")), ["GS-LIM-001"], 2),
    "very deep undeclared field": (lambda: _listed(_pod("a"), _pod("x", f',"x":{"[" * 90_000}{"]" * 90_000}'), _pod("b")), ["GS-LIM-001"], 2),
    "brackets in a string": (lambda: _listed(_pod("a", f',"x":"{"[" * 5_000_000}"')), [], 1),
    "keys in an object": (lambda: _listed(_pod("a", f',"x":{{{",".join(f"{chr(34)}k{i}{chr(34)}:1" for i in range(1_000_000))}}}')), [], 1),
    "keys at top level": (lambda: "{" + ",".join(f'"k{i}":1' for i in range(1_000_000)) + "}", ["GS-IN-003"], 0),
    "keys at top level, cut": (lambda: "{" + ",".join(f'"k{i}":1' for i in range(1_000_000)), ["GS-IN-040"], 0),
    "keys before items": (lambda: "{" + ",".join(f'"k{i}":1' for i in range(1_000_000)) + ',"items":[]}', ["GS-IN-003"], 0),
    "duplicate keys": (lambda: _listed("{" + '"kind":"Pod",' * 500_000 + '"apiVersion":"v1","metadata":{"name":"a","namespace":"b"}}'), [], 1),
    "long string": (lambda: _listed(_pod("a", f',"x":"{"x" * 20_000_000}"')), [], 1),
    "long escapes": (lambda: _listed(_pod("a", f',"x":"{chr(92)}{chr(92)}{chr(34)}[[[["'.replace(chr(34) + "[", "[")), _pod("b", ',"x":"' + "\\u0041" * 2_000_000 + '"')), [], 2),
    "long name": (lambda: _listed(_pod("x" * 5_000_000)), [], 1),
    "huge numbers": (lambda: _listed(_pod("a", f',"x":1e999,"y":{"9" * 400},"z":-{"9" * 100_000}')), [], 1),
    "huge number in a field": (lambda: '{"apiVersion":"v1","kind":"Pod","metadata":{"name":1e999}}', ["GS-IN-020"], 1),
    "items of another kind": (lambda: '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"b"},"items":[1,2]}', [], 1),
    "kind after items": (lambda: '{"items":[{"metadata":{"name":"a","namespace":"b"}}],"kind":"RoleList","apiVersion":"rbac.authorization.k8s.io/v1"}', [], 1),
    "kind after items is no list": (lambda: '{"items":[{"metadata":{"name":"a"}}],"kind":"X","apiVersion":"e.com/v1","metadata":{"name":"x"}}', ["GS-IN-010"], 1),
    "two items": (lambda: '{"items":[' + _pod("a") + '],"items":[' + _pod("b") + "]}", ["GS-IN-021"], 2),
    "tiny items": (lambda: _listed(*(_pod(str(i)) for i in range(100_000))), [], 100_000),
    "scalar items": (lambda: _listed(*("1" for _ in range(500_000))), ["GS-IN-001", "GS-IN-020"], 0),
    "empty items": (lambda: _listed(*("{}" for _ in range(20_000))), ["GS-IN-003"], 0),
    "broken items": (lambda: _listed(*('{"kind":x' for _ in range(100_000))), ["GS-IN-001"], 0),
    "broken items on lines": (lambda: '{"items":[\n' + '  {"kind":\n' * 100_000, ["GS-LIM-001", "GS-IN-001"], 0),
    "every other item broken": (lambda: _listed(*(_pod(str(i)) if i % 2 else '{"kind":x}' for i in range(20_000))), ["GS-IN-001"], -1),
    "nested candidates": (lambda: '{"items":[' + '{"kind":{"kind":' * 450 + "[" + "1," * 4_000_000, ["GS-IN-040"], 0),
    "nested candidates again": (lambda: '{"items":[x,' + '[[{"kind":"a", "metadata": {"kind":1}}, ' * 40_000, ["GS-IN-001", "GS-IN-040", "GS-LIM-001"], -1),
    "nested lists": (lambda: _nested(40), [], 1),
    "nested lists, deep": (lambda: _nested(200), ["GS-LIM-001"], 0),
    "documents": (lambda: "{}" * 100_000, ["GS-IN-003"], 0),
    "scalars": (lambda: "1 " * 100_000, ["GS-IN-003"], 0),
    "log sections": (lambda: _pod("a") + "\n==== START logs for container c of pod a/b ====\n" * 100_000, ["GS-IN-040"], 1),
    "log section ends": (lambda: _pod("a") + "\n==== START logs for container c of pod a/b ====" + "\n==== END logs for container c of pod a/b ====" * 100_000, [], 1),
}  # fmt: skip


def _nested(levels: int) -> str:
    return '{"apiVersion":"v1","kind":"List","items":[' * levels + _pod("a") + "]}" * levels


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_json_is_cheap(tmp_path: Path, name: str) -> None:
    make, codes, objects = HOSTILE[name]
    path = tmp_path / "a.json"
    path.write_text(make(), encoding="utf-8")
    result = measured(path)
    assert result.seconds < _SECONDS
    assert result.megabytes < _MEGABYTES
    assert set(result.codes) <= {*codes}
    assert bool(result.codes) == bool(codes)
    assert objects in (-1, result.objects)


YAML = {
    "broken items": "items:\n" + "- [\n" * 200_000,
    "every other item broken": "items:\n" + "- a: 1\n- [\n" * 50_000,
    "control characters": "items:\n" + "- a: \x01\n" * 100_000,
    "broken items in flow": "items:\n" + "- {\n  a: {{x\n" * 50_000,
}


@pytest.mark.parametrize("name", YAML)
def test_broken_yaml_lists_are_cheap(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(YAML[name], encoding="utf-8")
    result = measured(path)
    assert result.seconds < 2 * _SECONDS
    assert result.megabytes < _MEGABYTES
    assert result.codes


def test_gigabyte_of_brackets(tmp_path: Path) -> None:
    """Sparse on disk it cannot be; 64 MB show that the time does not grow with the size."""
    path = tmp_path / "a.json"
    path.write_bytes(b"[" * (64 << 20))
    result = measured(path)
    assert (result.codes, result.objects) == (["GS-LIM-001"], 0)
    assert result.seconds < _SECONDS
    assert result.megabytes < _MEGABYTES


# -- archives -------------------------------------------------------------------------------------------------------


def _member(name: str, data: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def _archive(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return path


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


POD = _pod("a").encode()


class TestArchives:
    def test_names_and_links_are_only_names(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        inside = tmp_path / "inside"
        inside.mkdir()
        monkeypatch.chdir(inside)
        outside = tmp_path / "outside.json"
        outside.write_text(_pod("outside"), encoding="utf-8")
        path = _archive(
            inside / "a.tar.gz",
            _member("../up.json", _pod("up").encode()),
            _member(f"{tmp_path}/absolute.json", _pod("absolute").encode()),
            _member("link.json", type=tarfile.SYMTYPE, linkname=str(outside)),
            _member("hard.json", type=tarfile.LNKTYPE, linkname="../outside.json"),
            _member("device.json", type=tarfile.CHRTYPE, devmajor=1, devminor=5),
            _member("pipe.json", type=tarfile.FIFOTYPE),
            _member("folder.json", type=tarfile.DIRTYPE),
            _member("a\x1b[2J\n.json", _pod("escape").encode()),
            _member("bin.exe", b"x" * 100),
        )
        before = _files(tmp_path)
        world = gs.load(path)
        assert _files(tmp_path) == before
        assert [loaded.ref.name for loaded in world.cluster.of("Pod")] == ["absolute", "escape", "up"]

    def test_last_of_two_members_with_one_name_counts(self, tmp_path: Path) -> None:
        first, second = (_pod("a").replace('"a"', f'"a","labels":{{"n":"{number}"}}', 1) for number in (9, 1))
        world = gs.load(
            _archive(tmp_path / "a.tgz", _member("a.json", first.encode()), _member("a.json", second.encode()))
        )
        assert [d.code for d in world.diagnostics] == ["GS-IN-022"]
        assert next(world.cluster.of("Pod")).body.metadata.labels == {"n": "1"}

    def test_members_come_in_path_order(self, tmp_path: Path) -> None:
        members = [_member(f"{name}.json", _pod(name).encode()) for name in "bca"]
        one = gs.load(_archive(tmp_path / "1.tar.gz", *members))
        two = gs.load(_archive(tmp_path / "2.tar.gz", *members[::-1]))
        assert [loaded.ref for loaded in one.cluster.of("Pod")] == [loaded.ref for loaded in two.cluster.of("Pod")]

    def test_nested_archives_are_not_entered(self, tmp_path: Path) -> None:
        inner = _archive(tmp_path / "inner.tar.gz", _member("x.json", _pod("x").encode()))
        outer = _archive(tmp_path / "outer.tar.gz", _member("inner.tar.gz", inner.read_bytes()), _member("a.json", POD))
        assert [loaded.ref.name for loaded in gs.load(outer).cluster.of("Pod")] == ["a"]

    @pytest.mark.parametrize("end", ["header", "member", "nothing", "empty", "text"])
    def test_damage_keeps_what_came_before(self, tmp_path: Path, end: str) -> None:
        members = [_member("a.json", POD), _member("b.json", _listed(*(_pod(f"b{i}") for i in range(2000))).encode())]
        path = _archive(tmp_path / "a.tar.gz", *members)
        plain = gzip.decompress(path.read_bytes())
        cuts = {"header": 1024 + 100, "member": 40_000, "nothing": 0}
        data = {"empty": b"", "text": b"kind: Pod\n" * 1000}.get(end)
        path.write_bytes(gzip.compress(plain[: cuts[end]], mtime=0) if data is None else data)
        world = gs.load(path)
        kept = [loaded.ref.name for loaded in world.cluster.of("Pod")]
        assert kept[:1] == (["a"] if end in ("header", "member") else [])
        assert ("b0" in kept) == (end == "member")
        assert "GS-IN-040" in {d.code for d in world.diagnostics}
        if kept:
            assert world.coverage["Pod"].state is State.PARTIAL

    def test_cut_gzip(self, tmp_path: Path) -> None:
        path = _archive(tmp_path / "a.tar.gz", _member("a.json", POD), _member("b.json", bytes(range(256)) * 4000))
        path.write_bytes(path.read_bytes()[:-3000])
        world = gs.load(path)
        assert "GS-IN-040" in {d.code for d in world.diagnostics}
        assert world.coverage["Pod"].state is State.PARTIAL

    def test_every_cut_of_a_small_archive(self, tmp_path: Path) -> None:
        data = _archive(tmp_path / "a.tar.gz", _member("a.json", POD), _member("b.yaml", b"kind: Pod\n")).read_bytes()
        path = tmp_path / "b.tar.gz"
        for end in range(len(data)):
            path.write_bytes(data[:end])
            assert load_cluster([str(path)]).diagnostics

    @pytest.mark.parametrize("where", ["member", "unread member", "pax header", "long name"])
    def test_bombs_stop_at_the_budget(self, tmp_path: Path, where: str) -> None:
        path = tmp_path / "bomb.tar.gz"
        _bomb(path, where)
        result = measured(path)
        assert "GS-LIM-006" in result.codes
        assert result.seconds < _SECONDS
        assert result.megabytes < _MEGABYTES
        assert result.objects == 1

    def test_budget_has_a_flag(self, tmp_path: Path) -> None:
        path = _archive(tmp_path / "a.tar.gz", _member("a.json", POD), _member("b.json", b" " * 100_000))
        (diagnostic,) = gs.load(path, limits=Limits(inflated_bytes=50_000)).diagnostics
        assert diagnostic.code == "GS-LIM-006"
        assert "--max-inflated-bytes" in diagnostic.message


def _bomb(path: Path, where: str) -> None:
    """A pod, then 10 GB of zeros that gzip packs to 10 MB: one compressed piece, written over and over."""
    size = 10 << 30
    infos = {
        "member": _member("zeros.json"),
        "unread member": _member("zeros.bin"),
        "pax header": _member("x", type=tarfile.XHDTYPE),
        "long name": _member("x", type=tarfile.GNUTYPE_LONGNAME),
    }
    head = io.BytesIO()
    with tarfile.open(fileobj=head, mode="w") as archive:
        info, data = _member("a.json", POD)
        archive.addfile(info, io.BytesIO(data))
    start = head.getvalue()[:1024]
    info = infos[where][0]
    info.size = size
    start += info.tobuf(tarfile.GNU_FORMAT)
    piece = gzip.compress(bytes(64 << 20), mtime=0)
    with path.open("wb") as file:
        file.write(gzip.compress(start, mtime=0))
        for _ in range(size // (64 << 20)):
            file.write(piece)
