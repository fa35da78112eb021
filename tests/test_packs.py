"""Packs: those that come with graphsec, folders, and real wheels; all are read whole or not at all."""

from __future__ import annotations

import importlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT, Graphsec

import graphsec as gs
from graphsec.query import _packs, _saved
from graphsec.query._packs import load_library

LIBRARY = load_library(plugins=False)

QUERY = """\
apiVersion: graphsec/v1
id: {id}
title: Readers of secrets
severity: low
description: D.
remediation: R.
tags: [{tag}]
ask: who_can
verbs: [get]
resource: secrets
"""
PACK = """\
name: acme
version: 1.2.0
graphsec: ">=0.1,<1"
title: What acme looks for
description: Rules of a company.
"""


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def query(number: int, tag: str = "acme") -> str:
    return QUERY.format(id=f"ACME-{number:03}", tag=tag)


# -- those that come with graphsec ---------------------------------------------------------------------------------


def test_the_packs_that_there_are() -> None:
    names = [pack.name for pack in LIBRARY.packs]
    assert {"reviewer", "cis-5", "best-practices"} <= set(names)
    assert names == sorted(names)
    assert all(pack.version and pack.title and pack.description.endswith(".") for pack in LIBRARY.packs)


def test_every_query_is_in_a_pack_and_loaded_once() -> None:
    ids = [query.id for query in LIBRARY.queries]
    assert len(ids) == len(set(ids))
    assert set(ids) == {one for pack in LIBRARY.packs for one in pack.queries}


def test_cis_holds_every_query_with_a_tag_of_its_sections() -> None:
    tagged = {
        query.id
        for query in LIBRARY.queries
        if any(tag.startswith(("CIS-5.1.", "CIS-5.2.", "CIS-5.3.")) for tag in query.tags)
    }
    assert set(LIBRARY.pack("cis-5").queries) == tagged


def test_best_practices_has_a_query_for_each_of_the_eight() -> None:
    topics = {
        "network-access", "rbac", "persistent-volume-claims", "change-monitoring", "misconfiguration",
        "patch-state", "security-policies", "backups",
    }  # fmt: skip
    chosen = LIBRARY.chosen(["best-practices"])
    assert {topic for topic in topics if any(topic in query.tags for query in chosen)} == topics


# -- folders -------------------------------------------------------------------------------------------------------


def test_folders_come_first_and_belong_to_their_pack(tmp_path: Path) -> None:
    write(tmp_path / "loose", {"a.yaml": query(9), "inner/pack.yaml": PACK, "inner/deep/b.yaml": query(2)})
    library = load_library([str(tmp_path / "loose")], plugins=False)
    assert [query.id for query in library.queries[:3]] == ["ACME-002", "ACME-009", "GS-Q-001"]
    assert library.pack("acme").queries == ("ACME-002",)
    assert [one.id for one in library.chosen((), [str(tmp_path / "loose")])] == ["ACME-002", "ACME-009"]
    assert "ACME-009" not in {one for pack in library.packs for one in pack.queries}


def test_a_folder_that_is_given_twice_or_within_another_is_read_once(tmp_path: Path) -> None:
    write(tmp_path / "a", {"x.yaml": query(1), "b/y.yaml": query(2)})
    names = [str(tmp_path / "a" / "b"), str(tmp_path / "a"), f"{tmp_path}/a/../a/"]
    library = load_library(names, plugins=False)
    assert [one.id for one in library.chosen((), [names[0]])] == ["ACME-002"]
    assert [one.id for one in library.chosen((), [names[2]])] == ["ACME-001", "ACME-002"]


def test_a_folder_called_queries_is_not_taken_for_the_built_in_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "queries", {"pack.yaml": PACK, "x.yaml": query(1)})
    monkeypatch.chdir(tmp_path)
    library = load_library(["queries"], plugins=False)
    assert library.pack("acme").queries == ("ACME-001",)
    assert [one.id for one in library.chosen((), ["queries"])] == ["ACME-001"]
    assert len(library.queries) == len(LIBRARY.queries) + 1


def test_a_pack_may_include_by_id_and_by_tag(tmp_path: Path) -> None:
    included = "include: [GS-Q-020, acme, CIS-5.1.4]\n"
    write(tmp_path, {"pack.yaml": PACK + included, "x.yaml": query(1)})
    pack = load_library([str(tmp_path)], plugins=False).pack("acme")
    assert pack.queries[:3] == ("ACME-001", "GS-Q-020", "GS-Q-008")
    assert (pack.version, pack.source.line, pack.origin) == ("1.2.0", 1, f"folder {tmp_path}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PACK + "includes: [GS-Q-001]\n", "pack.yaml:6:1: unknown key `includes`"),
        (PACK.replace("title: What acme looks for\n", ""), "pack.yaml:1:1: required key `title` is missing"),
        (PACK.replace("acme\n", "Acme\n", 1), "pack.yaml:1:1: `name`: expected `str` matching regex"),
        (PACK.replace("1.2.0", "1.2"), "pack.yaml:2:1: `version`: expected `str`, got `float`"),
        (PACK.replace(">=0.1,<1", ">=1,<2"), "pack.yaml:3:1: the pack needs graphsec >=1,<2, this is "),
        (PACK.replace(">=0.1,<1", "~=0.1"), "pack.yaml:3:1: `graphsec`: `~=0.1` is no bound like `>=0.1`"),
        (PACK + "include:\n  - GS-Q-001\n  - GS-Q-01\n", "pack.yaml:8:5: `include`: `GS-Q-01` is no id and no tag"),
        (PACK + "include: GS-Q-001\n", "pack.yaml:6:1: `include`: expected `array`, got `str`"),
        (PACK + "name: other\n", "pack.yaml:6:1: key `name` stands twice, first at line 1"),
        (PACK + "title: [\n", "pack.yaml:"),
        (PACK + "---\n" + PACK, "pack.yaml:6:1: a second document in the file"),
        (PACK.replace("acme\n", "!!python/name:os.system acme\n", 1), "pack.yaml:1:7: no tags here"),
        (PACK.replace("acme\n", "reviewer\n", 1), "queries/reviewer/pack.yaml:1: pack `reviewer` is the name of "),
        ("", "pack.yaml:1:1: expected `object`, got `null`"),
    ],
)
def test_a_bad_pack_is_refused_at_line_and_column(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, {"pack.yaml": text, "x.yaml": query(1)})
    with pytest.raises(gs.UsageError) as caught:
        load_library([str(tmp_path)], plugins=False)
    assert caught.value.message.replace(f"{tmp_path}/", "").startswith(message)


def test_a_pack_without_queries_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"pack.yaml": PACK})
    with pytest.raises(gs.UsageError, match="pack `acme` has no query"):
        load_library([str(tmp_path)], plugins=False)


@pytest.mark.parametrize(
    ("bounds", "fits"),
    [
        (">=0.1", True), (">0.1", False), (">0.1.0", False), ("==0.1", True), ("==0.1.0", True), ("!=0.1", False),
        ("<0.1.1", True), ("<=0.1", True), (">=0.1, <0.10", True), (">=0.2", False), (">=0.0.9,<2", True), ("<0.1", False),
    ],
)  # fmt: skip
def test_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bounds: str, fits: bool) -> None:
    monkeypatch.setattr(_packs, "__version__", "0.1.0")
    write(tmp_path, {"pack.yaml": PACK.replace(">=0.1,<1", bounds), "x.yaml": query(1)})
    try:
        load_library([str(tmp_path)], plugins=False)
    except gs.UsageError:
        assert not fits
    else:
        assert fits


# -- wheels --------------------------------------------------------------------------------------------------------

PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "acme-graphsec-pack"
version = "3.1"

[project.entry-points."graphsec.packs"]
acme = "acme_pack.rules"

[tool.hatch.build.targets.wheel]
packages = ["acme_pack"]
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel as its author would build it. Importing any of it would fail."""
    pytest.importorskip("hatchling")
    project = write(
        tmp_path_factory.mktemp("project"),
        {
            "pyproject.toml": PROJECT,
            "acme_pack/__init__.py": "raise RuntimeError('imported')\n",
            "acme_pack/rules/__init__.py": "raise RuntimeError('imported')\n",
            "acme_pack/rules/pack.yaml": PACK + "include: [GS-Q-001]\n",
            "acme_pack/rules/secrets/readers.yaml": query(7),
        },
    )
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel"], cwd=project, check=True, capture_output=True
    )
    return next((project / "dist").glob("*.whl"))


@pytest.fixture
def installed(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()
    return site


@pytest.mark.usefixtures("installed")
def test_a_wheel_brings_its_pack_without_being_imported(graphsec: Graphsec, tmp_path: Path) -> None:
    pack = load_library().pack("acme")
    assert pack.queries == ("ACME-007", "GS-Q-001")
    assert pack.origin == "acme-graphsec-pack 3.1"
    assert load_library().query("ACME-007").source.file == "acme_pack.rules/secrets/readers.yaml"
    assert not any(name.startswith("acme_pack") for name in sys.modules)
    run = graphsec(f"check acme -f {ROOT}/fixtures/demo --with-defaults -o json")
    assert run.code == 1
    assert '"ACME-007"' in run.out
    assert str(tmp_path) not in run.out
    listed = graphsec("query list acme")
    assert [line.split()[0] for line in listed.out.splitlines()[1:]] == ["ACME-007", "GS-Q-001"]
    assert "acme 1.2.0: What acme looks for" in listed.err


@pytest.mark.usefixtures("installed")
def test_plugins_can_be_left_out(graphsec: Graphsec) -> None:
    assert "acme" not in [pack.name for pack in load_library(plugins=False).packs]
    assert graphsec("query show ACME-007").code == 0
    assert graphsec("query show ACME-007 --no-plugins").code == 2
    run = graphsec(f"check acme --no-plugins -f {ROOT}/fixtures/demo")
    assert run.code == 2
    assert "unknown pack `acme`" in run.err


def test_a_broken_wheel_stops_everything_and_says_how_to_go_on(installed: Path, graphsec: Graphsec) -> None:
    (installed / "acme_pack" / "rules" / "pack.yaml").unlink()
    run = graphsec("query list")
    assert run.code == 2
    assert "the entry point `acme` of acme-graphsec-pack 3.1 names no package with a pack.yaml" in run.err
    assert "--no-plugins" in run.err
    assert graphsec("query list --no-plugins").code == 0


def test_the_wheel_of_graphsec_has_the_packs() -> None:
    import tomllib

    hatch = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert hatch["force-include"] == {"queries": "graphsec/data/queries"}
    assert _saved.builtin_directory() == ROOT / "queries"


# -- the commands --------------------------------------------------------------------------------------------------


def test_copy_test_and_lint_a_query_of_ones_own(graphsec: Graphsec, tmp_path: Path) -> None:
    own = tmp_path / "mine"
    own.mkdir()
    assert graphsec(f"query copy GS-Q-001 {own}/secrets.yaml").code == 0
    text = (own / "secrets.yaml").read_text()
    (own / "secrets.yaml").write_text(f"{text}expect:\n  - {{world: w, find: [User/alice]}}\n")
    write(own, {"w.yaml": (ROOT / "fixtures/worlds/secrets-read/good.yaml").read_text()})
    run = graphsec(f"query test {own}/ ")
    # The world is a file among the queries, and no query.
    assert run.code == 2
    (own / "w.yaml").rename(tmp_path / "w.yaml")
    (tmp_path / "fixtures").mkdir()
    (tmp_path / "w.yaml").rename(tmp_path / "fixtures" / "w.yaml")
    failed = graphsec(f"query test {own}/")
    assert failed.code == 1
    assert "does not find User/alice" in failed.out
    (own / "secrets.yaml").write_text(f"{text}expect:\n  - {{world: w, find: []}}\n")
    assert graphsec(f"query test {own}/").code == 0
    assert graphsec(f"query lint MY-GS-Q-001 --queries {own}").code == 1


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("check reviewr -f x", "unknown pack `reviewr` (did you mean `reviewer`?)"),
        ("query list cis", "unknown pack `cis`"),
        ("query run reviewr -f x", "unknown pack `reviewr`"),
        ("query run GS-Q-1 -f x", "unknown query `GS-Q-1`"),
        ("check ./none -f x", "no such folder of queries: `./none`"),
        ("query list --queries none", "no such folder of queries: `none`"),
    ],
)
def test_what_is_not_there_is_named(graphsec: Graphsec, command: str, message: str) -> None:
    run = graphsec(command)
    assert (run.code, run.out) == (2, "")
    assert message in run.err
