"""Every format shows every answer as text: hostile names break out of none, and equal input gives equal bytes."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hostile_names import HOSTILE

import graphsec as gs
from graphsec.loading.documents import Item, Limits
from graphsec.loading.yaml_reader import read_yaml
from graphsec.model.rbac import Target
from graphsec.model.text import safe
from graphsec.model.yaml_text import document
from graphsec.query.bindings import Bindings
from graphsec.query.can_i import CanI
from graphsec.query.inspect import Inspect
from graphsec.query.matrix import Column, Matrix
from graphsec.query.what_can import equivalent_roles
from graphsec.render import Options, renderers
from graphsec.render.markdown import escaped
from graphsec.render.table import columns

TEXT = ("table", "wide", "json", "json-v1", "yaml", "ndjson", "csv", "name", "markdown", "dot", "mermaid")
RBAC = "rbac.authorization.k8s.io"

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")


def manifests(names: Iterable[str]) -> list[dict[str, Any]]:
    """Each name is a role, a binding, a namespace, three subjects and a resourceName."""
    objects: list[dict[str, Any]] = []
    for name in names:
        rules = [
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": [name]},
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]},
        ]
        subjects = [
            {"kind": "User", "name": name, "apiGroup": RBAC},
            {"kind": "Group", "name": name, "apiGroup": RBAC},
            {"kind": "ServiceAccount", "name": name, "namespace": name},
        ]
        role = {"apiGroup": RBAC, "kind": "ClusterRole", "name": name}
        objects += [
            {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules},
            {
                "apiVersion": f"{RBAC}/v1",
                "kind": "RoleBinding",
                "metadata": {"name": name, "namespace": name},
                "roleRef": role,
                "subjects": subjects,
            },
        ]
    return objects


def who_can(names: Iterable[str], *, seed: int | None = None) -> gs.Answer[Any]:
    objects = manifests(names)
    if seed is not None:
        random.Random(seed).shuffle(objects)
    world = gs.load(*objects)
    return gs.who_can(world, ("get", "list", "watch"), "secrets", any_namespace=True, any_name=True)


def write(answer: gs.Answer[Any], name: str, **options: Any) -> str:
    text = renderers()[name].render(answer, Options(**options))
    assert isinstance(text, str)
    assert not text or text.endswith("\n")
    text.encode()
    return text


#: msgspec refuses lone surrogates on the way in, so they only come from questions and file names.
LOADED = [name for name in HOSTILE if name and not re.search("[\ud800-\udfff]", name)]


@pytest.fixture(scope="module")
def hostile() -> gs.Answer[Any]:
    answer = who_can(LOADED)
    found = {item.subject.name for item in answer if item.subject.kind == "Group"}
    assert found >= set(LOADED)
    return answer


@pytest.fixture(scope="module")
def grants() -> gs.Answer[Any]:
    objects = manifests(LOADED)
    for item in objects:
        for subject in item.get("subjects", ()):
            subject["name"] = "mallory" if subject["kind"] == "User" else subject["name"]
    return gs.what_can(gs.load(*objects), "user:mallory")


def surrogates() -> gs.Answer[Any]:
    world = gs.load(*manifests(["a"]))
    return CanI(
        verbs=("get",), target=Target(resource="secrets", namespace="\ud800"), user="\udc80x", groups=()
    ).answer(world)


def assert_nothing_unseen(text: str, *, line_end: str = "\n") -> None:
    assert safe(text.replace(line_end, "")) == text.replace(line_end, "")


def test_every_format_is_found_once() -> None:
    of_findings = {"sarif", "junit", "github", "gitlab", "prometheus", "html"}
    assert set(renderers()) == {*TEXT, *of_findings, "connlist", "svg", "png"}
    assert all(renderer.help and renderer.suffix.startswith(".") for renderer in renderers().values())


# Terminal


@pytest.mark.parametrize("name", ["table", "wide"])
def test_hostile_names_keep_to_their_row(hostile: gs.Answer[Any], name: str) -> None:
    text = write(hostile, name)
    assert_nothing_unseen(text)
    head, *rows = text.removesuffix("\n").split("\n")
    assert head.split() == list(" ".join(hostile.question.columns(wide=name == "wide")).split())
    assert len(rows) == len(hostile)
    assert not any(line.endswith(" ") for line in rows)
    assert all(row.startswith(safe(item.row(wide=False)[0])) for row, item in zip(rows, hostile, strict=True))


def test_table_is_kubectl_columns() -> None:
    lines = write(who_can(["a"]), "table").splitlines()
    assert lines[:3] == [
        "SUBJECT                KIND             SCOPE     VIA",
        "group:system:masters   Group            cluster   S-47: system:masters is allowed everything before any authorizer runs",
        "group:a                Group            a         RoleBinding/a/a → ClusterRole/a",
    ]


def test_empty_cells_and_answers() -> None:
    assert columns(("A", "B", "C"), [("", "x", ""), ("long", "", "y")]) == (
        "A        B        C\n<none>   x        <none>\nlong     <none>   y\n"
    )
    assert columns(("A",), [], headers=False) == ""
    world = gs.load(*manifests(["a"]))
    nothing = gs.what_can(world, "user:nobody")
    assert [write(nothing, name) for name in ("table", "wide", "name", "ndjson", "yaml")] == [""] * 5
    assert write(nothing, "csv").splitlines() == ["RESOURCES,NAMES,VERBS,SCOPE,VIA,BINDING AT,RULE AT"]
    assert "Nothing found." in write(nothing, "markdown")
    for name in ("json", "dot", "mermaid"):
        assert write(nothing, name)


def test_view_options_shape_the_terminal_only(hostile: gs.Answer[Any]) -> None:
    assert len(write(hostile, "table", limit=5).splitlines()) == 6
    assert write(hostile, "wide", headers=False, limit=1).startswith("group:system:masters ")
    for name in set(TEXT) - {"table", "wide"}:
        assert write(hostile, name, limit=1, headers=False) == write(hostile, name)


# Formats for tools: read back, they hold the names as they were


def test_json_reads_back(hostile: gs.Answer[Any]) -> None:
    text = write(hostile, "json")
    assert json.loads(text) == hostile.envelope()
    assert_nothing_unseen(text)
    assert write(hostile, "json-v1") == text
    plain = who_can(["a", "日本", "é"])
    assert write(plain, "json") == plain.to_json() + "\n"


def test_ndjson_is_one_item_a_line(hostile: gs.Answer[Any]) -> None:
    text = write(hostile, "ndjson")
    assert [json.loads(line) for line in text.splitlines()] == hostile.to_dicts()
    assert_nothing_unseen(text)


def test_yaml_reads_back(hostile: gs.Answer[Any]) -> None:
    text = write(hostile, "yaml")
    assert yaml.load(text, Loader=yaml.CSafeLoader) == hostile.envelope()
    # With a kind, or our reader takes `items` for those of a List.
    (event,) = read_yaml(f"kind: Answer\n{text}", Limits())
    assert isinstance(event, Item)
    assert event.body == {"kind": "Answer", **hostile.envelope()}
    assert_nothing_unseen(text)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"a": {}, "b": [], "c": None, "d": True, "e": 7, "f": ""},
        {"a": [[], {}, [["x", 1], [{"y": {"z": []}, "k": "v"}]], "- a"], "b: c": {"d": {"e": "f"}}},
    ],
)
def test_yaml_of_any_shape(value: dict[str, Any]) -> None:
    assert yaml.safe_load(document(value)) == value
    (event,) = read_yaml(document({"kind": "X", **value}), Limits())
    assert isinstance(event, Item)
    assert event.body == {"kind": "X", **value}


def test_yaml_of_what_can_are_roles(grants: gs.Answer[Any]) -> None:
    text = write(grants, "yaml")
    roles = list(yaml.load_all(text, Loader=yaml.CSafeLoader))
    assert roles == equivalent_roles(grants)
    assert [event.body for event in read_yaml(text, Limits()) if isinstance(event, Item)] == roles
    assert text.count("\n---\n") + 1 == len(roles) == len(LOADED)


def test_csv_reads_back_without_formulas(hostile: gs.Answer[Any]) -> None:
    text = write(hostile, "csv")
    head, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert tuple(head) == hostile.question.columns(wide=True)
    raw = [[safe(cell) for cell in item.row(wide=True)] for item in hostile]
    assert [[cell.removeprefix("'") for cell in row] for row in rows] == [
        [cell.removeprefix("'") for cell in row] for row in raw
    ]
    assert not any(cell.startswith(tuple("=+-@\t\r＝")) for row in rows for cell in row)
    assert_nothing_unseen(text, line_end="\r\n")
    assert list(csv.reader(io.StringIO(write(hostile, "csv", raw_csv=True), newline="")))[1:] == raw


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1"], ids=ascii)
def test_formula_guard(name: str) -> None:
    row = next(row for row in csv.reader(io.StringIO(write(who_can([name]), "csv"))) if row[4] not in ("*", "NAMES"))
    assert row[4] == f"'{safe(name)}"


def test_names_are_lines_without_repeats(hostile: gs.Answer[Any]) -> None:
    text = write(hostile, "name")
    lines = text.removesuffix("\n").split("\n")
    assert lines == list(dict.fromkeys(safe(ref) for item in hostile for ref in item.refs()))
    assert len(lines) < len(hostile)
    assert_nothing_unseen(text)


# Documents and pictures


def test_markdown_is_one_table(hostile: gs.Answer[Any]) -> None:
    text = write(hostile, "markdown")
    assert_nothing_unseen(text)
    table = [line for line in text.splitlines() if line.startswith("|")]
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table]
    assert len(rows) == len(hostile) + 2
    assert {len(row) for row in rows} == {len(hostile.question.columns(wide=False))}
    assert re.sub("</?(?:code|details|summary)>", "", text).count("<") == 0
    assert text.startswith("### `who-can get,list,watch secrets -A`\n\n<details>\n")
    assert text.splitlines()[-1].startswith("- ")


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_markdown_cell_is_inert_and_readable(name: str) -> None:
    cell = escaped(f"user:{name}")
    assert "|" not in cell
    assert "\n" not in cell
    if cell.startswith("<code>"):
        inside = cell.removeprefix("<code>").removesuffix("</code>")
        assert not set(inside) & set("<>`[]*_\\@:$~!\"'")
        shown = re.sub("&#([0-9]+);", lambda match: chr(int(match[1])), inside)
    else:
        shown = cell.removeprefix("`").removesuffix("`")
        assert not set(shown) & set("<>&`[]\\")
        assert cell.startswith("`") or not set(shown) & set('@$~!"*_')
        assert cell.startswith("`") or not re.search(r"[:.]\S", shown)
    assert shown == safe(f"user:{name}")


def test_markdown_of_a_small_answer() -> None:
    assert write(who_can(["a"]), "markdown").splitlines()[:6] == [
        "### `who-can get,list,watch secrets -A`",
        "",
        "| SUBJECT | KIND | SCOPE | VIA |",
        "| --- | --- | --- | --- |",
        "| `group:system:masters` | Group | cluster | `S-47: system:masters is allowed everything before any authorizer runs` |",
        "| `group:a` | Group | a | `RoleBinding/a/a → ClusterRole/a` |",
    ]


@pytest.mark.parametrize("fold", ["namespace", "none"])
@needs_dot
def test_dot_parses(hostile: gs.Answer[Any], fold: str) -> None:
    text = write(hostile, "dot", fold=fold, max_nodes=5000)
    assert text.startswith("digraph")
    assert_nothing_unseen(text)
    done = subprocess.run(["dot", "-Tcanon"], input=text.encode(), capture_output=True, check=True, timeout=60)
    assert not done.stderr
    assert len(re.findall(r"^\s*n\d+\s*\[", done.stdout.decode(), re.MULTILINE)) == hostile.diagram(fold, 5000).nodes  # type: ignore[arg-type]


_MERMAID_LINE = re.compile(
    r"flowchart LR|  subgraph (?:g\d+|legend)\[\"[^\"\n]*\"\]|  end|  classDef [a-z_]+ [a-zA-Z0-9#:,\- ]+"
    r"|  n\d+ (?:-->|-\.->|==>)(?:\|\"[^\"\n]*\"\|)? n\d+"
    r"|    about\[\"[^\"\n]*\"\]:::about|(?:  ){1,2}[nk]\d+[^\s\"]{1,3}\"[^\"\n]*\"[^\s\"]{1,3}:::[a-z_]+"
)


def test_mermaid_lines_are_well_formed() -> None:
    for start in range(0, len(LOADED), 10):
        answer = who_can(LOADED[start : start + 10])
        assert not answer.diagram("none").overflow
        text = write(answer, "mermaid", fold="none")
        assert_nothing_unseen(text)
        assert [line for line in text.splitlines() if not _MERMAID_LINE.fullmatch(line)] == []


def test_above_the_cap_pictures_say_so(hostile: gs.Answer[Any]) -> None:
    for name in ("dot", "mermaid"):
        text = write(hostile, name, fold="none", max_nodes=5)
        assert_nothing_unseen(text)
        assert "nodes and" in text
        assert "--max-nodes" in text.replace("#45;", "-")


@needs_dot
def test_svg_and_png_are_pictures() -> None:
    answer = who_can(LOADED[:20])
    assert "<script" not in write(answer, "svg")
    picture = renderers()["png"].render(answer, Options())
    assert isinstance(picture, bytes)
    assert picture.startswith(b"\x89PNG")


# All


@pytest.mark.parametrize("name", TEXT)
def test_every_question_in_every_format(hostile: gs.Answer[Any], grants: gs.Answer[Any], name: str) -> None:
    world = gs.load(*manifests(LOADED[:60]))
    extra: list[Any] = [
        Matrix(resources=(Column(resource="x|y\n<b>"), Column(resource="secrets"))),
        Bindings(),
        Inspect(),
    ]
    for answer in (hostile, grants, surrogates(), *(question.answer(world) for question in extra)):
        text = write(answer, name)
        assert_nothing_unseen(text, line_end="\r\n" if name == "csv" else "\n")
        if name == "ndjson":
            assert [json.loads(line) for line in text.splitlines()] == answer.to_dicts()
        if name == "json":
            assert json.loads(text) == answer.envelope()


@pytest.mark.parametrize("name", TEXT)
def test_order_of_input_does_not_matter(name: str) -> None:
    names = LOADED[:40]
    assert len({write(who_can(names, seed=seed), name) for seed in range(5)}) == 1


def _digest() -> str:
    world = gs.load(*manifests(LOADED[::8]))
    answers: list[gs.Answer[Any]] = [
        gs.who_can(world, ("get", "list"), "secrets", any_namespace=True, any_name=True),
        gs.what_can(world, f"group:{LOADED[0]}"),
        Matrix().answer(world),
        Bindings().answer(world),
        Inspect().answer(world),
    ]
    return hashlib.sha256("".join(write(answer, name) for answer in answers for name in TEXT).encode()).hexdigest()


def test_hash_seed_does_not_matter() -> None:
    here = Path(__file__).parent
    code = "import test_outputs; print(test_outputs._digest())"
    paths = os.pathsep.join([str(here), str(here.parent)])
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": paths},
            capture_output=True,
            check=True,
            text=True,
        ).stdout.strip()
        for seed in ("1", "2", "3")
    }
    assert digests == {_digest()}
