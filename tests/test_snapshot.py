"""A snapshot answers as the input that it was made of, or is refused with its reason; nothing in between."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from conftest import ROOT, WORLD, Graphsec, Run
from hypothesis import HealthCheck, given, settings
from test_agreement import CLUSTERS
from test_flow_agreement import WORLDS
from test_loading import CANARY, _secretive, _wrong

import graphsec as gs
from graphsec.kinds import kinds
from graphsec.loading.columns import MisfitError, decode, encode
from graphsec.loading.forms import MAGIC
from graphsec.loading.snapshots import _PREFIX, FORMAT, _header_decoder, _header_digest
from graphsec.model.objects import Pod
from graphsec.model.policy import Action, TierOrder
from graphsec.version import __version__

CORPORA = ROOT.parent / "shared" / "corpora"
FIXTURES = ROOT / "fixtures"
INPUTS = [
    FIXTURES / "demo",
    FIXTURES / "shop",
    FIXTURES / "attacks" / "cluster.yaml",
    *sorted((FIXTURES / "forms").iterdir()),
    *sorted((FIXTURES / "worlds").glob("*/cluster.yaml")),
    *sorted(CORPORA.glob("dumps/*")),
    *sorted(CORPORA.glob("netpol/*")),
]
QUESTIONS = (
    "who-can get secrets -A -o json",
    "who-can list pods -o wide --include-builtin",
    "what-can group:system:authenticated",
    "bindings",
    "matrix -o csv",
    "reach -o json",
    "exposed -o json",
    "policy lint -o json",
    "paths all cluster-admin -o json",
    "blast group:system:authenticated",
    "inspect --diagnostics",
)


@pytest.fixture
def taken(tmp_path: Path) -> Callable[..., Path]:
    """The snapshot of inputs."""

    def take(*inputs: Any, **options: Any) -> Path:
        path = tmp_path / "world.gsx"
        gs.snapshot(gs.load(*inputs, **options), path)
        return path

    return take


# -- the same answers -------------------------------------------------------------------------------------------------


def everything(world: gs.World) -> dict[str, Any]:
    """All that a cluster holds, in order."""
    cluster = world.cluster
    return {
        "objects": [(kind, found) for kind, found in cluster.objects.items()],
        "inventory": list(cluster.inventory.items()),
        "others": list(cluster.others.items()),
        "custom": cluster.custom_resources,
        "coverage": cluster.coverage.to_dicts(),
        "inputs": [(form.path, form.title, form.never) for form in cluster.coverage.inputs],
        "diagnostics": world.diagnostics,
    }


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: str(Path(path).relative_to(ROOT.parent)))
def test_a_snapshot_holds_what_was_loaded(path: Path, taken: Callable[..., Path]) -> None:
    world = gs.load(path)
    copy = taken(path)
    assert everything(gs.load(copy)) == everything(world)
    gs.snapshot(gs.load(copy), copy.with_name("again.gsx"))
    assert copy.with_name("again.gsx").read_bytes() == copy.read_bytes()


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize(
    "path",
    [
        FIXTURES / "demo",
        FIXTURES / "shop",
        FIXTURES / "attacks" / "cluster.yaml",
        FIXTURES / "forms" / "kubehound",
        CORPORA / "dumps" / "real-cluster",
    ],
    ids=lambda path: path.name,
)
def test_answers_are_those_of_the_input(
    graphsec: Graphsec, taken: Callable[..., Path], path: Path, question: str
) -> None:
    if not path.exists():
        pytest.skip("needs the shared corpora")
    copy = taken(path)
    expected, run = graphsec(f"{question} -f {path}"), graphsec(f"{question} -f {copy}")
    # A refusal says how to complete what was given.
    assert run._replace(err=run.err.replace(f"-f {copy}", f"-f {path}")) == expected


def few(count: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    quiet = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
    return settings(max_examples=count, deadline=None, suppress_health_check=quiet)


@few(60)
@given(objects=st.one_of(CLUSTERS, WORLDS))
def test_a_snapshot_holds_any_roles_and_policies(objects: list[dict[str, Any]], tmp_path: Path) -> None:
    world = gs.load({"apiVersion": "v1", "kind": "List", "items": objects})
    gs.snapshot(world, tmp_path / "a.gsx")
    assert everything(gs.load(tmp_path / "a.gsx")) == everything(world)


def test_every_kind_can_be_stored() -> None:
    for kind in kinds().values():
        assert decode((kind.kept,), encode((kind.kept,), [[]])) == [[]]


def test_values_beyond_64_bits_and_equal_numbers_of_two_types_come_back_as_they_were() -> None:
    wide, narrow = gs.AddressSet.cidr("2001:db8::/32"), gs.AddressSet.cidr("10.0.0.0/8")
    assert decode((gs.AddressSet,), encode((gs.AddressSet,), [[wide, narrow, wide]])) == [[wide, narrow, wide]]
    orders = [TierOrder(order=order, default=Action.PASS) for order in (1, 1.0, 2.5, float("inf"))]
    assert repr(decode((TierOrder,), encode((TierOrder,), [orders]))) == repr([orders])


def test_names_of_files_that_are_no_utf_8(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / os.fsdecode(b"\xff\xe9.yaml")).write_text(WORLD, encoding="utf-8")
    (folder / "plain.yaml").write_text(_UNKNOWN, encoding="utf-8")
    gs.snapshot(gs.load(folder), tmp_path / "a.gsx")
    assert opened(tmp_path / "a.gsx") == everything(gs.load(folder))


def test_equal_values_are_stored_once() -> None:
    pod = gs.load(FIXTURES / "attacks" / "cluster.yaml").cluster.objects["Pod"][0].body
    once, often = (len(encode((Pod,), [[pod] * count])) for count in (1, 10_000))
    assert often < once + 40


# -- what belongs to a snapshot, and what to a question ---------------------------------------------------------------


def test_how_the_input_was_read_is_settled_and_how_it_is_asked_is_open(
    graphsec: Graphsec, taken: Callable[..., Path], world: Path
) -> None:
    world.write_text(WORLD.replace("name: secret-reader, namespace: prod", "name: secret-reader"), encoding="utf-8")
    copy = taken(world, namespace="prod")
    asked = "who-can get secrets -n prod --include-builtin -o json"
    expected = graphsec(f"{asked} --default-namespace prod -f {world}")
    assert "payments-api" in expected.out
    assert graphsec(f"{asked} -f {copy}") == expected
    assert graphsec(f"{asked} --default-namespace dev -f {copy}") == expected
    assert "`prod` was taken" in expected.err
    people = world.with_name("people.csv")
    people.write_text("olga,monitoring\n", encoding="utf-8")
    for flags in ("--k8s-version 1.30", f"--memberships {people}", "--with-defaults", "--strict"):
        assert graphsec(f"who-can read pods -A {flags} -f {copy}") == graphsec(
            f"who-can read pods -A {flags} --default-namespace prod -f {world}"
        )


def test_defaults_that_were_added_stay(graphsec: Graphsec, taken: Callable[..., Path]) -> None:
    copy = taken(FIXTURES / "demo", with_defaults=True)
    asked = "who-can get secrets -A"
    assert graphsec(f"{asked} -f {copy}").out == graphsec(f"{asked} --with-defaults -f {FIXTURES / 'demo'}").out


def test_only_what_a_question_needs_is_read(taken: Callable[..., Path]) -> None:
    """A damaged section is refused when it is asked for, and harms no other."""
    path = taken(FIXTURES / "attacks" / "cluster.yaml")
    edit(path, "Pod bodies", lambda data: bytes([data[0] ^ 1]) + data[1:], forged=False)
    world, whole = gs.load(path), gs.load(FIXTURES / "attacks" / "cluster.yaml")
    assert world.cluster.inventory == whole.cluster.inventory
    one, other = (gs.who_can(asked, "get", "secrets", any_namespace=True) for asked in (world, whole))
    assert one.to_json() == other.to_json()
    with pytest.raises(gs.InputError, match="`Pod bodies` does not have its checksum"):
        gs.reach(world)


# -- beside other inputs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", range(1, 7))
def test_with_other_inputs(graphsec: Graphsec, tmp_path: Path, at: int) -> None:
    """Whichever part of the input is a snapshot, and wherever it stands."""
    documents = (FIXTURES / "attacks" / "cluster.yaml").read_text(encoding="utf-8").split("---\n")
    cut = len(documents) * at // 7
    one, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
    one.write_text("---\n".join(documents[:cut]), encoding="utf-8")
    other.write_text("---\n".join(documents[cut:]), encoding="utf-8")
    for path in (one, other):
        gs.snapshot(gs.load(path), path.with_suffix(".gsx"))
    for question in ("who-can get secrets -A -o json", "paths all cluster-admin", "inspect --diagnostics"):
        expected = graphsec(f"{question} -f {one} -f {other}")
        for first, second in (("gsx", "yaml"), ("yaml", "gsx"), ("gsx", "gsx")):
            given_ = f"-f {one.with_suffix('.' + first)} -f {other.with_suffix('.' + second)}"
            assert graphsec(f"{question} {given_}") == expected


@pytest.mark.parametrize("forms", [("gsx", "yaml"), ("yaml", "gsx"), ("gsx", "gsx")])
def test_the_later_of_two_objects_counts(tmp_path: Path, forms: tuple[str, str]) -> None:
    paths = [tmp_path / "one.yaml", tmp_path / "other.yaml"]
    for path, name in zip(paths, ("olga", "anna"), strict=True):
        path.write_text(WORLD.replace("olga", name) + _UNKNOWN, encoding="utf-8")
        gs.snapshot(gs.load(path), path.with_suffix(".gsx"))
    together = gs.load(*paths)
    mixed = gs.load(*(path.with_suffix(f".{form}") for path, form in zip(paths, forms, strict=True)))
    assert {**everything(mixed), "diagnostics": ()} == {**everything(together), "diagnostics": ()}
    # An unknown kind is told once for each of two inputs that are read apart.
    assert set(mixed.diagnostics) >= set(together.diagnostics)
    assert {found.code for found in set(mixed.diagnostics) - set(together.diagnostics)} <= {"GS-IN-010"}


_UNKNOWN = "---\napiVersion: example.com/v1\nkind: Vault\nmetadata: {name: v}\n"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("typed-kind-first", "list.yaml"),
        ("cluster-info", "rbac.json"),
        ("kubehound", "tree"),
        ("cluster-info", "kubehound"),
    ],
)
def test_coverage_of_several_inputs(tmp_path: Path, one: str, other: str) -> None:
    paths = [FIXTURES / "forms" / name for name in (one, other)]
    copies = [tmp_path / f"{number}.gsx" for number in range(2)]
    for path, copy in zip(paths, copies, strict=True):
        gs.snapshot(gs.load(path), copy)
    assert gs.load(*copies).coverage.to_dicts() == gs.load(*paths).coverage.to_dicts()


# -- refused ----------------------------------------------------------------------------------------------------------


def opened(path: Path) -> dict[str, Any]:
    return everything(gs.load(path))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, dict[str, Any]]:
    path = tmp_path_factory.mktemp("whole") / "world.gsx"
    gs.snapshot(gs.load(FIXTURES / "attacks" / "cluster.yaml", FIXTURES / "shop"), path)
    return path.read_bytes(), opened(path)


@few(300)
@given(data=st.data())
def test_damage_is_refused(data: st.DataObject, whole: tuple[bytes, dict[str, Any]], tmp_path: Path) -> None:
    """Bits turned, ends cut off, pieces moved and added: refused where it is read, or nothing changed."""
    content, expected = whole
    path = tmp_path / "damaged.gsx"
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 3))):
        at, length = data.draw(st.integers(0, len(damaged))), data.draw(st.integers(1, 40))
        match data.draw(st.sampled_from(("turn", "cut", "remove", "add", "copy"))):
            case "turn" if at < len(damaged):
                damaged[at] ^= 1 << data.draw(st.integers(0, 7))
            case "cut":
                del damaged[at:]
            case "remove":
                del damaged[at : at + length]
            case "add":
                damaged[at:at] = data.draw(st.binary(min_size=1, max_size=length))
            case _:
                damaged[at:at] = damaged[:length]
    path.write_bytes(damaged)
    try:
        found = opened(path)
    except gs.InputError as error:
        refusal = error
    else:
        assert (bytes(damaged), found) == (content, expected)
        return
    assert str(path) in refusal.message
    assert refusal.exit_code == 3


@pytest.mark.parametrize("length", [0, 1, 7, 8, 20, 47, 48, 60, 500, -1])
def test_a_cut_off_snapshot_is_refused_at_once(
    whole: tuple[bytes, dict[str, Any]], tmp_path: Path, length: int
) -> None:
    path = tmp_path / "cut.gsx"
    path.write_bytes(whole[0][:length])
    with pytest.raises(
        gs.InputError, match=r"cut\.gsx: (no graphsec snapshot|damaged snapshot: it (ends inside|is cut off))"
    ):
        gs.load(path)


def edit(path: Path, section: str, change: Callable[[bytes], bytes], *, forged: bool = True) -> None:
    """The snapshot with other bytes in a section; ``forged`` with checksums that fit."""
    data = path.read_bytes()
    _, form, size, _ = _PREFIX.unpack_from(data)
    header = _header_decoder.decode(data[_PREFIX.size : _PREFIX.size + size])
    at, sections, pieces = _PREFIX.size + size, [], []
    for before in header.sections:
        piece, after = data[at : at + before.size], before
        at += before.size
        if before.name == section:
            piece = change(piece)
            digest = hashlib.sha256(piece).digest() if forged else before.digest
            after = msgspec.structs.replace(before, size=len(piece), digest=digest)
        pieces.append(piece)
        sections.append(after)
    told(path, form, msgspec.structs.replace(header, sections=sections), b"".join(pieces))


def told(path: Path, form: int, header: Any, rest: bytes) -> None:
    encoded = msgspec.msgpack.encode(header)
    path.write_bytes(_PREFIX.pack(MAGIC, form, len(encoded), _header_digest(form, encoded)) + encoded + rest)


@few(300)
@given(data=st.data())
def test_content_with_forged_checksums_raises_no_other_error(
    data: st.DataObject, whole: tuple[bytes, dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "forged.gsx"
    path.write_bytes(whole[0])
    _, _, size, _ = _PREFIX.unpack_from(whole[0])
    header = _header_decoder.decode(whole[0][_PREFIX.size : _PREFIX.size + size])
    section = data.draw(st.sampled_from([found.name for found in header.sections if found.size > 8]))

    def change(piece: bytes) -> bytes:
        changed = bytearray(piece)
        for _ in range(data.draw(st.integers(1, 4))):
            changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
        return bytes(changed)

    edit(path, section, change)
    with suppress(gs.InputError):
        opened(path)


@pytest.mark.parametrize(
    "table",
    [
        # [rows, batches [pool, type, rows, columns], roots]; a column is [0, constant], [1, values], [2, words, places], [3, start].
        [1 << 40, [[0, 0, 1, [[0, "Pod"], [0, "a"], [0, None]]]], [[0, 0], [0, 0]]],
        [1, [[0, 0, 1 << 40, [[0, "Pod"], [0, "a"], [0, None]]]], [[3, 0], [3, 0]]],
        [1, [[0, 0, 900, [[0, "Pod"], [0, "a"], [0, None]]]] * 900, [[3, 0], [3, 0]]],
    ],
)
def test_claims_beyond_the_size_of_the_file_are_a_limit(
    graphsec: Graphsec, taken: Callable[..., Path], table: list[Any]
) -> None:
    path = taken(FIXTURES / "attacks" / "cluster.yaml")
    edit(path, "Pod places", lambda _: msgspec.msgpack.encode(table))
    run = graphsec(f"reach -f {path}")
    assert (run.code, run.out) == (4, "")
    assert "claims more rows than its bytes can hold" in run.err


@pytest.mark.parametrize(
    "table",
    [
        [1, [[0, 0, 1, [[0, 7], [0, "a"], [0, None]]]], [[0, 0]]],
        [1, [[0, 0, 1, [[0, "Pod"], [0, "a"], [0, None]]]], [[0, 1]]],
        [1, [[0, 0, 1, [[0, "Pod"], [0, "a"], [0, None]]]], [[1, [-1]]]],
        [1, [[0, 0, 1, [[0, "Pod"], [0, "a"], [0, None]]]], [[0, None]]],
        [1, [[0, 0, 1, [[0, "Pod"], [0, "a"]]]], [[0, 0]]],
        [1, [[0, 0, 1, [[0, "Pod"], [1, ["a", "b"]], [0, None]]]], [[0, 0]]],
        [1, [[0, 0, 1, [[0, "Pod"], [2, ["a"], [1]], [0, None]]]], [[0, 0]]],
        [1, [[0, 1, 1, [[0, "Pod"], [0, "a"], [0, None]]]], [[0, 0]]],
        [1, [[-1, 0, 1, [[0, "Pod"], [0, "a"], [0, None]]]], [[0, 0]]],
        [1, [[0, 0, -1, [[0, "Pod"], [0, "a"], [0, None]]]], [[0, 0]]],
        [1, [[0, 0, 1, [[3, 0], [0, "a"], [0, None]]]], [[0, 0]]],
        [1, [], []],
        [[[]]],
        7,
    ],
)  # fmt: skip
def test_columns_take_only_what_is_declared(table: Any) -> None:
    with pytest.raises(MisfitError):
        decode((gs.Ref,), msgspec.msgpack.encode(table))


def test_other_versions_are_refused_with_their_name(taken: Callable[..., Path]) -> None:
    path = taken(FIXTURES / "demo")
    data = path.read_bytes()
    _, _, size, _ = _PREFIX.unpack_from(data)
    header, rest = _header_decoder.decode(data[_PREFIX.size : _PREFIX.size + size]), data[_PREFIX.size + size :]
    for form, version, reason in (
        (FORMAT + 1, __version__, "made by a newer graphsec, in format 2"),
        (FORMAT - 1, __version__, "made by an older graphsec, in format 0"),
        (FORMAT, "0.10.0", r"made by a newer graphsec \(0\.10\.0\)"),
        (FORMAT, "0.0.9", r"made by an older graphsec \(0\.0\.9\)"),
    ):
        told(path, form, msgspec.structs.replace(header, version=version), rest)
        with pytest.raises(gs.InputError, match=f"world.gsx: snapshot {reason}"):
            gs.load(path)
    sections = [msgspec.structs.replace(found, types="0" * 64) for found in header.sections]
    told(path, FORMAT, msgspec.structs.replace(header, sections=sections), rest)
    with pytest.raises(gs.InputError, match="written by another build of graphsec"):
        gs.load(path)


@pytest.mark.parametrize("content", [b"", b"\x80\x04\x95pickle", WORLD.encode(), b"\x89PNG\r\n\x1a\n" + bytes(100)])
def test_what_is_called_a_snapshot_must_be_one(graphsec: Graphsec, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "foreign.gsx"
    path.write_bytes(content)
    for question in ("who-can get secrets", "inspect", "reach"):
        run = graphsec(f"{question} -f {path}")
        assert (run.code, run.out) == (3, "")
        assert "foreign.gsx: no graphsec snapshot" in run.err


def test_by_its_bytes_under_any_name_and_from_standard_input(graphsec: Graphsec, taken: Callable[..., Path]) -> None:
    path = taken(FIXTURES / "demo")
    expected = graphsec(f"who-can get secrets -A -f {path}")
    other = path.rename(path.with_name("world.json"))
    assert graphsec(f"who-can get secrets -A -f {other}") == expected
    assert graphsec("who-can get secrets -A -f -", stdin=other.read_bytes()) == expected


# -- the file ---------------------------------------------------------------------------------------------------------


def test_only_the_owner_can_read_it_and_an_older_one_is_replaced_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, world = tmp_path / "world.gsx", gs.load(FIXTURES / "demo")
    path.write_text("before", encoding="utf-8")
    path.chmod(0o644)
    modes: list[int] = []
    replace = Path.replace

    def seen(source: Path, target: Any) -> Path:
        assert path.read_text(encoding="utf-8") == "before"
        modes.append(stat.S_IMODE(source.stat().st_mode))
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", seen)
    before = os.umask(0)
    try:
        gs.snapshot(world, path)
    finally:
        os.umask(before)
    assert [*modes, stat.S_IMODE(path.stat().st_mode)] == [0o600, 0o600]
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "world.gsx"
    path.write_text("before", encoding="utf-8")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(gs.UsageError, match="No space left on device"):
        gs.snapshot(gs.load(FIXTURES / "demo"), path)
    assert path.read_text(encoding="utf-8") == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_no_secret_is_in_it(tmp_path: Path) -> None:
    source = tmp_path / "secretive.json"
    source.write_text(
        json.dumps({"apiVersion": "v1", "kind": "List", "items": [*_secretive(), *_wrong()]}), encoding="utf-8"
    )
    gs.snapshot(gs.load(source), tmp_path / "a.gsx")
    assert CANARY.encode() in source.read_bytes()
    assert CANARY.encode() not in (tmp_path / "a.gsx").read_bytes()


# -- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("world")
class TestCommand:
    def test_0_written_and_named(self, graphsec: Graphsec) -> None:
        run = graphsec("snapshot -f world.yaml --out gsx=world.gsx")
        assert (run.code, run.out) == (0, "")
        assert "Wrote world.gsx" in run.err
        assert (
            graphsec("who-can get secrets -A -f world.gsx").out == graphsec("who-can get secrets -A -f world.yaml").out
        )
        described = graphsec("inspect -f world.gsx").err
        assert (
            "input: world.yaml is a file of manifests or kubectl output, read from the snapshot world.gsx" in described
        )

    def test_diff_takes_snapshots(self, graphsec: Graphsec) -> None:
        for name, text in (("old", _SHOP), ("new", _SHOP.replace("promethius", "prometheus"))):
            Path(f"{name}.yaml").write_text(text, encoding="utf-8")
            assert graphsec(f"snapshot -f {name}.yaml --out gsx={name}.gsx").code == 0
        expected = graphsec("diff old.yaml new.yaml")
        run = graphsec("diff old.gsx new.gsx")
        assert run.code == 1
        assert run == Run(1, expected.out, expected.err.replace(".yaml new.yaml", ".gsx new.gsx"))
        assert graphsec("diff old.gsx old.yaml").code == 0

    @pytest.mark.parametrize(
        "command",
        [
            "snapshot -f world.yaml",
            "snapshot -f world.yaml --out json=a.json",
            "snapshot -f world.yaml --out gsx=a.gsx --out gsx=b.gsx",
            "snapshot -f world.yaml --out gsx=",
            "snapshot -f world.yaml --out gsx=no/such/folder/a.gsx",
            "snapshot -f world.yaml --out gsx=.",
            "who-can get secrets -f world.yaml --out gsx=a.gsx",
            "who-can get secrets -f world.yaml -o gsx",
        ],
    )
    def test_2(self, graphsec: Graphsec, command: str) -> None:
        run = graphsec(command)
        assert (run.code, run.out) == (2, "")
        assert "graphsec snapshot -f INPUT --out gsx=FILE" in run.err
        assert not [path for path in Path().iterdir() if path.suffix != ".yaml"]

    def test_3(self, graphsec: Graphsec) -> None:
        Path("bad.yaml").write_text(WORLD + "---\napiVersion: v1\nkind: Pod\nmetadata: {name: [}\n", encoding="utf-8")
        Path("roles.yaml").write_text(WORLD.partition("---\n")[0], encoding="utf-8")
        for command in ("-f none.yaml", "-f bad.yaml --strict", "-f roles.yaml --fail-on-incomplete"):
            run = graphsec(f"snapshot {command} --out gsx=a.gsx")
            assert (run.code, run.out) == (3, "")
            assert not Path("a.gsx").exists()
        assert graphsec("snapshot -f bad.yaml --out gsx=a.gsx").code == 0
        assert graphsec("who-can get secrets -f a.gsx --strict").code == 3
        assert graphsec("snapshot -f roles.yaml --out gsx=a.gsx").code == 0
        assert graphsec("who-can get secrets -f a.gsx --fail-on-incomplete").code == 3

    def test_4(self, graphsec: Graphsec) -> None:
        """What a limit left out is said when the snapshot is made, and whenever it is asked."""
        deep = f"---\napiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec: {'[' * 150}{']' * 150}\n"
        Path("deep.yaml").write_text(WORLD + deep, encoding="utf-8")
        for command in ("snapshot -f deep.yaml --out gsx=a.gsx", "who-can get secrets -f a.gsx"):
            run = graphsec(command)
            assert run.code == 4
            assert "--max-depth" in run.err
        run = graphsec("who-can get secrets -f a.gsx --max-file-bytes 100")
        assert run.code == 4


_SHOP = "---\n".join(
    (FIXTURES / "shop" / name).read_text(encoding="utf-8") for name in ("shop.yaml", "namespaces.yaml", "policies.yaml")
)
