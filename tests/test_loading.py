"""What the loader makes of bad input: every row of hardening.md §5, coverage, recovery, canaries and strictness."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT, Graphsec

import graphsec as gs
from graphsec.loading import Limits, LoadOptions, load_cluster
from graphsec.model.coverage import RBAC_KINDS, State
from graphsec.model.diagnostic import CODES
from graphsec.query.inspect import Inspect
from graphsec.render import Options, renderers

FORMS = ROOT / "fixtures" / "forms"
RBAC = "rbac.authorization.k8s.io"


def role(name: str, **fields: Any) -> dict[str, Any]:
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "Role",
        "metadata": {"name": name, "namespace": "prod"},
        "rules": rules,
    } | fields


def binding(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": "prod"},
        "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": "a"},
        "subjects": [{"kind": "User", "apiGroup": RBAC, "name": "alice"}],
    } | fields


def documents(*objects: dict[str, Any]) -> str:
    return "---\n".join(yaml.safe_dump(each, sort_keys=False) for each in objects)


def listed(*objects: Any, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": list(objects)} | fields


def found(world: gs.World) -> list[tuple[str, int]]:
    return [(d.code, d.source.line if d.source else 0) for d in world.diagnostics]


Load = Callable[[str, "str | bytes"], gs.World]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def loaded(name: str, content: str | bytes) -> gs.World:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return gs.load(path)

    return loaded


def pretty(value: Any) -> str:
    return json.dumps(value, indent=4)


GOOD = pretty(role("a"))

#: name, text, (code, line) of each diagnostic, names of the Roles that were kept.
ROWS: list[tuple[str, str | bytes, list[tuple[str, int]], list[str]]] = [
    # GS-IN-001: what stands before and behind is kept.
    ("syntax.yaml", f"{documents(role('a'))}---\nkind: Role\nx: [\n---\n{documents(role('b'))}", [("GS-IN-001", 16)], ["a", "b"]),
    ("syntax.json", f'{GOOD}\n{{"kind": Role}}\n{pretty(role("b"))}', [("GS-IN-001", 22)], ["a", "b"]),
    ("item.json", pretty(listed(role("a"), role("x"), role("b"))).replace('"name": "x"', '"name" "x"'), [("GS-IN-001", 26)], ["a", "b"]),
    ("item.yaml", yaml.safe_dump(listed(role("a"), role("x"), role("b"))).replace("name: x", "name: [x"), [("GS-IN-001", 19)], ["a", "b"]),
    ("comma.json", pretty(listed(role("a"), role("b"))).replace('        },\n        {\n            "apiVersion', '        }\n        {\n            "apiVersion'), [("GS-IN-001", 26)], ["a", "b"]),
    ("brace.json", pretty(listed(role("x"), role("b"))).replace('"prod"\n            },', '"prod"\n            }},', 1), [("GS-IN-001", 5)], ["b"]),
    # GS-IN-002
    ("chart/templates/t.yaml", "kind: Role\nmetadata: {name: {{ .Values.name }}}\n", [("GS-IN-002", 2)], []),
    # GS-IN-003
    ("values.yaml", "replicas: 2\n", [("GS-IN-003", 1)], []),
    ("values.json", '{"replicas": 2}', [("GS-IN-003", 1)], []),
    ("scalar.json", f"5\n{GOOD}", [("GS-IN-003", 1)], ["a"]),
    ("nameless.yaml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n", [("GS-IN-003", 1)], []),
    # GS-IN-010, once for each kind
    ("custom.yaml", documents(*({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": n}} for n in "ab")), [("GS-IN-010", 1)], []),
    ("core.yaml", "apiVersion: v1\nkind: Role\nmetadata: {name: a, namespace: b}\n", [("GS-IN-010", 1)], []),
    # GS-IN-011
    ("old.yaml", documents(role("a", apiVersion=f"{RBAC}/v1beta1")), [("GS-IN-011", 1)], ["a"]),
    ("old.json", pretty({"apiVersion": "extensions/v1beta1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "b"}}), [("GS-IN-011", 1)], []),
    # GS-IN-012
    ("homeless.yaml", documents(role("a", metadata={"name": "a"})), [("GS-IN-012", 1)], ["a"]),
    ("homeless.json", pretty(role("a", metadata={"name": "a"})), [("GS-IN-012", 1)], ["a"]),
    # null is an empty list
    ("null.json", pretty(role("a", rules=None)), [], ["a"]),
    ("null.yaml", documents(role("a", rules=None), binding("b", subjects=None)), [], ["a"]),
    ("nulls.json", '{"apiVersion":"v1","kind":"List","items":null}', [], []),
    ("nulls.yaml", "apiVersion: v1\nkind: List\nitems:\n", [], []),
    # GS-IN-020
    ("verbs.yaml", documents(role("a", rules=[{"verbs": "get"}]), role("b")), [("GS-IN-020", 1)], ["b"]),
    ("label.json", pretty(role("a", metadata={"name": "a", "namespace": "b", "labels": {"x": True}})), [("GS-IN-020", 1)], []),
    ("kind.json", '{"apiVersion": "v1", "kind": {"x": 1}, "metadata": {"name": "a"}}', [("GS-IN-020", 1)], []),
    ("name.json", pretty(role("a", metadata={"name": 5})), [("GS-IN-020", 1)], []),
    ("metadata.json", pretty(role("a", metadata=None)), [("GS-IN-020", 1)], []),
    ("none.json", pretty(role("a", metadata={"namespace": "b"})), [("GS-IN-020", 1)], []),
    ("scalars.json", pretty(listed(role("a"), 5, "x", None, [], role("b"))), [("GS-IN-020", line) for line in (26, 27, 28, 29)], ["a", "b"]),
    ("scalars.yaml", yaml.safe_dump(listed(role("a"), 5, role("b"))), [("GS-IN-020", 15)], ["a", "b"]),
    ("huge.json", pretty(role("a", metadata={"name": "a", "namespace": "b", "uid": "BIG"})).replace('"BIG"', "1e999"), [("GS-IN-020", 1)], []),
    # GS-IN-021
    ("twice.yaml", documents(role("a")) + "kind: Role\n", [("GS-IN-021", 13)], ["a"]),
    ("items.json", '{"items":[' + json.dumps(role("a")) + '],\n"items":[' + json.dumps(role("b")) + "]}", [("GS-IN-021", 2)], ["a", "b"]),
    # GS-IN-022
    ("again.yaml", documents(role("a", rules=[]), role("a")), [("GS-IN-022", 8)], ["a"]),
    # GS-IN-030
    ("utf16.json", GOOD.encode("utf-16"), [("GS-IN-030", 1)], ["a"]),
    ("utf16.yaml", b"\xfe\xff" + documents(role("a")).encode("utf-16-be"), [("GS-IN-030", 1)], ["a"]),
    ("latin.yaml", documents(role("a")).encode() + b"# caf\xe9\n", [("GS-IN-030", 13)], []),
    ("mark.json", b"\xef\xbb\xbf" + GOOD.encode(), [], ["a"]),
    ("mark.yaml", b"\xef\xbb\xbf" + documents(role("a")).encode(), [], ["a"]),
    ("item.json", pretty(listed(role("a"), role("x"), role("b"))).encode().replace(b'"x"', b'"\xff"'), [("GS-IN-030", 26)], ["a", "b"]),
    ("rule.json", json.dumps(listed(role("a"), role("x", rules=[{"verbs": ["VERB"]}]), role("b"))).encode().replace(b"VERB", b"\xff"), [("GS-IN-030", 1)], ["a", "b"]),
    ("surrogate.json", pretty(listed(role("a"), role("x"), role("b"))).replace('"x"', '"\\ud800"'), [("GS-IN-001", 26)], ["a", "b"]),
    ("key.json", b'{"kind": "Role", "\xff": 1, "items": []}', [("GS-IN-001", 1)], []),
    # GS-IN-031
    ("nul.yaml", f"{documents(role('a'))}---\nkind: Role\nx: a\0b\n---\n{documents(role('b'))}", [("GS-IN-031", 15)], ["a", "b"]),
    ("nul.json", pretty(listed(role("a"), role("x"), role("b"))).replace('"x"', '"\0"'), [("GS-IN-031", 26)], ["a", "b"]),
    ("control.yaml", yaml.safe_dump(listed(role("a"), role("x"), role("b"))).replace("name: x", "name: \x01x"), [("GS-IN-031", 18)], ["a", "b"]),
    # GS-IN-032
    ("tag.yaml", f"{documents(role('a'))}---\nkind: Role\nx: !!python/object:os.system a\n---\n{documents(role('b'))}", [("GS-IN-032", 15)], ["a", "b"]),
    # GS-IN-040
    ("cut.json", pretty(listed(role("a"), role("x")))[:-60], [("GS-IN-040", 43)], ["a"]),
    ("cut.yaml", yaml.safe_dump(listed(role("a"))).partition("kind: List")[0], [("GS-IN-040", 15)], ["a"]),
    ("flow.yaml", "apiVersion: v1\nkind: RoleList\nitems: [{metadata: {name: a, namespace: b}}, {", [("GS-IN-001", 4)], ["a"]),
]  # fmt: skip


class TestDiagnostics:
    @pytest.mark.parametrize(
        ("name", "text", "expected", "kept"), ROWS, ids=[f"{i}-{row[0]}" for i, row in enumerate(ROWS)]
    )
    def test_row(
        self, tmp_path: Path, name: str, text: str | bytes, expected: list[tuple[str, int]], kept: list[str]
    ) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        world = gs.load(path)
        told = [d for d in world.diagnostics if d.code.startswith("GS-IN")]
        assert [(d.code, d.source.line) for d in told if d.source] == expected
        assert {d.source.file for d in told if d.source} <= {str(path)}
        assert [loaded.ref.name for loaded in world.cluster.of("Role")] == kept
        assert all(d.hint == CODES[d.code].remedy and d.message for d in told)
        if any(CODES[code].fails_strict for code, _ in expected):
            with pytest.raises(gs.InputError, match=str(expected[0][0])):
                gs.load(path, strict=True)
        else:
            gs.load(path, strict=True)

    def test_every_code_of_input_is_met(self) -> None:
        met = {code for row in ROWS for code, _ in row[2]}
        assert {code for code in CODES if code.startswith("GS-IN")} - met == {"GS-IN-023", "GS-IN-024", "GS-IN-041"}

    def test_namespace_flag(self) -> None:
        world = gs.load(role("a", metadata={"name": "a"}), namespace="shop")
        assert [str(loaded.ref) for loaded in world.cluster.of("Role")] == ["Role/shop/a"]
        assert "`shop`" in world.diagnostics[0].message

    def test_duplicate_object_names_both_places_and_the_last_counts(self, load: Load) -> None:
        world = load("a.yaml", documents(role("a", rules=[]), role("a")))
        assert world.diagnostics[0].message.count("a.yaml:") == 2
        (kept,) = world.cluster.of("Role")
        assert kept.source.line == 8
        assert kept.body.rules

    def test_rejected_object_stays_in_the_inventory(self, load: Load) -> None:
        world = load("a.json", pretty(role("a", rules={})))
        (ref,) = world.cluster.inventory
        assert str(ref) == "Role/prod/a"
        assert world.diagnostics[0].object == "Role/prod/a"
        assert world.diagnostics[0].message == "rules: expected array | null, got object"

    def test_template_is_told_once_for_each_chart(self, tmp_path: Path) -> None:
        for chart in ("a", "b"):
            (tmp_path / chart / "templates").mkdir(parents=True)
            for name in ("1.yaml", "2.yaml"):
                (tmp_path / chart / "templates" / name).write_text("x: {{ y }}\n{{ z }}\n", encoding="utf-8")
        assert [Path(d.source.file).name for d in gs.load(tmp_path).diagnostics if d.source] == ["1.yaml", "1.yaml"]

    def test_known_custom_kind_takes_the_default_namespace(self) -> None:
        definition = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "widgets.example.com"},
            "spec": {"group": "example.com", "scope": "Namespaced", "names": {"kind": "Widget", "plural": "widgets"}},
        }
        widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}}
        world = gs.load(listed(widget, definition), namespace="shop")
        assert "Widget.example.com/shop/w" in map(str, world.cluster.inventory)

    @pytest.mark.parametrize("style", ["yaml", "json"])
    def test_graph_diagnostics_name_the_place(self, load: Load, style: str) -> None:
        """GS-GR-004 needs a cycle that the rows of test_oracle have."""
        rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
        cluster_role = {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "rules": rules}
        objects = (
            binding("lost"),
            binding(
                "nobody",
                kind="ClusterRoleBinding",
                metadata={"name": "nobody"},
                roleRef={"apiGroup": RBAC, "kind": "ClusterRole", "name": "part"},
                subjects=[{"kind": "ServiceAccount", "name": "homeless"}],
            ),
            {**cluster_role, "metadata": {"name": "part", "labels": {"to": "sum"}, "uid": "2"}},
            {
                **cluster_role,
                "metadata": {"name": "sum", "uid": "1"},
                "rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}],
                "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to": "sum"}}]},
            },
            role("invalid", rules=[{"verbs": ["get"]}]),
        )
        text = documents(*objects) if style == "yaml" else "\n".join(map(pretty, objects))
        world = load(f"a.{style}", text)
        assert {d.code for d in world.diagnostics} == {"GS-GR-001", "GS-GR-002", "GS-GR-003", "GS-IN-023"}
        for diagnostic in world.diagnostics:
            assert diagnostic.source
            near = "\n".join(text.splitlines()[diagnostic.source.line - 1 :][:20])
            assert diagnostic.object.rpartition("/")[2] in near

    def test_limits_are_told_with_their_flags(self, tmp_path: Path) -> None:
        deep = role("deep", x=json.loads("[" * 150 + "]" * 150))
        cases = {
            "GS-LIM-001": (Limits(), pretty(listed(role("a"), deep, role("b"))), "--max-depth"),
            "GS-LIM-003": (
                Limits(object_bytes=900),
                pretty(listed(role("a"), role("big", x="x" * 900), role("b"))),
                "--max-object-bytes",
            ),
            "GS-LIM-005": (Limits(file_bytes=100), pretty(role("a")), "--max-file-bytes"),
        }
        for code, (limits, text, flag) in cases.items():
            path = tmp_path / f"{code}.json"
            path.write_text(text, encoding="utf-8")
            world = gs.load(path, limits=limits)
            assert [(d.code, flag in d.message) for d in world.diagnostics] == [(code, True)]
            kept = [loaded.ref.name for loaded in world.cluster.of("Role")]
            assert kept == ([] if code == "GS-LIM-005" else ["a", "b"])
            if kept:
                assert world.coverage["Role"].state is State.PARTIAL

    def test_standard_input_has_a_limit(self, graphsec: Graphsec) -> None:
        assert graphsec("inspect -f - --max-file-bytes 10", stdin=GOOD.encode()).code == 4


class TestDuplicateKeys:
    """JSON: the typed decoder cannot tell them, so only strict looks."""

    TEXT = pretty(listed(role("a"), role("b"))).replace(
        '"kind": "Role"', '"kind": "Role",\n            "kind": "Role"', 1
    )

    def test_only_strict_looks(self, tmp_path: Path) -> None:
        path = tmp_path / "a.json"
        path.write_text(self.TEXT, encoding="utf-8")
        assert load_cluster([str(path)]).diagnostics == ()
        strict = load_cluster([str(path)], LoadOptions(strict=True))
        assert [(d.code, d.source.line) for d in strict.diagnostics if d.source] == [("GS-IN-021", 5)]
        assert "key `kind` stands twice" in strict.diagnostics[0].message
        assert [loaded.ref for loaded in strict.of("Role")] == [
            loaded.ref for loaded in load_cluster([str(path)]).of("Role")
        ]

    def test_anywhere_in_the_object(self, tmp_path: Path) -> None:
        path = tmp_path / "a.json"
        path.write_text(
            '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"b"},"x":[{"y":1,"y":1e999}]}'
        )
        assert [d.code for d in load_cluster([str(path)], LoadOptions(strict=True)).diagnostics] == ["GS-IN-021"]

    def test_same_objects_under_strict(self) -> None:
        for name in ("list-indented.json", "list-compact.json", "typed-kind-last", "kubehound", "cluster-info.txt"):
            plain, strict = (
                load_cluster([str(FORMS / name)]),
                load_cluster([str(FORMS / name)], LoadOptions(strict=True)),
            )
            assert plain.objects == strict.objects
            assert list(plain.coverage) == list(strict.coverage)


class TestCoverage:
    def test_null_lists(self) -> None:
        world = gs.load(role("a", rules=None), binding("b", subjects=None), listed(items=None))
        assert world.coverage["Role"].state is State.ASSUMED
        assert not world.diagnostics

    @pytest.mark.parametrize(
        "bad", [role("x", rules=5), {"kind": "Role", "apiVersion": f"{RBAC}/v1", "metadata": {"name": 1}}]
    )
    def test_rejected_object_makes_its_kind_partial(self, load: Load, bad: dict[str, Any]) -> None:
        entry = load("a.json", pretty(listed(role("a"), bad, binding("b")))).coverage
        assert (entry["Role"].objects, entry["Role"].rejected, entry["Role"].state) == (1, 1, State.PARTIAL)
        assert "GS-IN-020" in entry["Role"].reasons[0]
        assert entry["RoleBinding"].state is State.ASSUMED

    def test_broken_item_makes_the_kind_that_it_names_partial(self, load: Load) -> None:
        text = pretty(listed(binding("b"), role("x"), role("a")))
        for name, broken in {
            "a.json": text.replace('"x"', "x"),
            "a.yaml": yaml.safe_dump(json.loads(text)).replace("name: x", "name: [x"),
        }.items():
            coverage = load(name, broken).coverage
            assert coverage["Role"].state is State.PARTIAL
            assert coverage["RoleBinding"].state is State.ASSUMED

    def test_truncated_list_makes_every_kind_in_it_partial(self, load: Load) -> None:
        text = pretty(listed(role("a"), binding("b"), role("c")))
        coverage = load("a.json", text[:-80]).coverage
        assert coverage["Role"].state is coverage["RoleBinding"].state is State.PARTIAL
        assert coverage["Role"].reasons[0].startswith("GS-IN-040 at ")

    def test_kinds_behind_the_damage_are_partial_too(self, load: Load) -> None:
        coverage = load("a.json", pretty(listed(5, role("a")))).coverage
        assert coverage["Role"].state is State.PARTIAL

    def test_damage_stays_in_its_file(self, tmp_path: Path) -> None:
        (tmp_path / "a.json").write_text(pretty(listed(role("a"), 5)), encoding="utf-8")
        (tmp_path / "b.json").write_text(pretty(listed(binding("b"))), encoding="utf-8")
        coverage = gs.load(tmp_path).coverage
        assert (coverage["Role"].state, coverage["RoleBinding"].state) == (State.PARTIAL, State.ASSUMED)

    def test_typed_list_that_lost_something_is_not_complete(self, load: Load) -> None:
        text = pretty({"kind": "RoleList", "apiVersion": f"{RBAC}/v1", "items": [role("a"), role("x"), role("b")]})
        assert load("a.json", text).coverage["Role"].state is State.COMPLETE
        assert load("a.json", text.replace('"x"', "x")).coverage["Role"].state is State.PARTIAL
        assert load("a.json", text[:-200]).coverage["Role"].state is State.PARTIAL
        assert load("a.json", text.partition("[")[0] + "[").coverage["Role"].state is State.PARTIAL

    def test_many_losses_are_one_reason(self, load: Load) -> None:
        world = load("a.json", pretty(listed(*(role(str(i), rules=i) for i in range(50)))))
        (reason,) = world.coverage["Role"].reasons
        assert reason.startswith("50 times GS-IN-020, first at ")
        assert reason.endswith("a.json:5")

    def test_defaults_do_not_hide_a_loss(self, tmp_path: Path) -> None:
        path = tmp_path / "a.json"
        path.write_text(
            pretty({"kind": "ClusterRoleList", "apiVersion": f"{RBAC}/v1", "items": []})[:-4], encoding="utf-8"
        )
        entry = gs.load(path, role("a"), with_defaults=True).coverage["ClusterRole"]
        assert entry.state is State.PARTIAL
        assert entry.objects > 10

    def test_object_with_a_field_items_is_no_list(self, load: Load) -> None:
        widget = {
            "apiVersion": "example.com/v1",
            "items": [{"metadata": {"name": "x"}}, 5],
            "kind": "Widget",
            "metadata": {"name": "w"},
        }
        for name, text in {
            "a.json": pretty(widget),
            "a.yaml": f"---\n{documents({'kind': 'Widget', **widget})}",
        }.items():
            world = load(name, text)
            assert [str(ref) for ref in world.cluster.inventory] == ["Widget.example.com/w"]

    def test_coverage_travels_with_every_answer(self) -> None:
        answer = gs.who_can(gs.load(role("a")), "get", "secrets", any_namespace=True)
        envelope = json.loads(answer.to_json())
        assert envelope["complete"] is False
        assert {entry["kind"]: entry["state"] for entry in envelope["coverage"]} == {"Role": "assumed"}
        assert len(envelope["warnings"]) == 3


class TestMappings:
    def test_a_bad_item_costs_itself(self) -> None:
        world = gs.load(listed(role("a"), role("x", rules=[object()]), 5, {"kind": "Role", "x": float}, role("b")))
        assert [loaded.ref.name for loaded in world.cluster.of("Role")] == ["a", "b"]
        assert [d.code for d in world.diagnostics] == ["GS-IN-020"] * 3
        assert world.coverage["Role"].state is State.PARTIAL

    def test_shapes(self) -> None:
        loop: dict[str, Any] = role("x")
        loop["loop"] = loop
        for bad, code in (
            ({1: {2: 3}}, "GS-IN-003"),
            ({"kind": "Role", "x": "\ud800"}, "GS-IN-020"),
            (loop, "GS-LIM-001"),
            ({}, "GS-IN-003"),
        ):
            assert [d.code for d in gs.load(bad).diagnostics] == [code]  # type: ignore[arg-type]

    def test_depth(self) -> None:
        assert [d.code for d in gs.load(role("a", x=json.loads("[" * 200 + "]" * 200))).diagnostics] == ["GS-LIM-001"]


# -- truncation at every byte ---------------------------------------------------------------------------------------

_SMALL = [role("a"), binding("b"), role("c")]
_KY = '---\n{\n  apiVersion: "v1",\n  items: [{\n    kind: "Namespace",\n    apiVersion: "v1",\n    metadata: {name: "a"},\n  }, {\n    kind: "Node",\n    apiVersion: "v1",\n    metadata: {name: "b"},\n  }],\n  kind: "List",\n}\n'
CUT = {
    "compact.json": json.dumps(listed(*_SMALL), separators=(",", ":")),
    "indented.json": json.dumps(listed(*_SMALL), indent=1),
    "typed.json": json.dumps({"kind": "RoleList", "apiVersion": f"{RBAC}/v1", "metadata": {}, "items": [{k: v for k, v in role(n).items() if k not in ("kind", "apiVersion")} for n in "ab"]}),
    "kind-last.json": json.dumps({"apiVersion": f"{RBAC}/v1", "items": [{"metadata": {"name": n, "namespace": "x"}} for n in "ab"], "kind": "RoleList"}),
    "roles.json": json.dumps({"items": [{"metadata": {"name": n, "namespace": "x"}} for n in "ab"]}),
    "back-to-back.json": "".join(json.dumps(each) for each in _SMALL),
    "list.yaml": yaml.safe_dump(listed(*_SMALL)),
    "kyaml.yaml": _KY,
    "documents.yaml": documents(*_SMALL),
    "logs.json": json.dumps(role("a")) + "\n==== START logs for container c of pod a/b ====\n{}\n==== END logs for container c of pod a/b ====\n" + json.dumps(role("b")),
}  # fmt: skip


@pytest.mark.parametrize("name", CUT)
def test_truncation_at_every_byte(tmp_path: Path, name: str) -> None:
    data = CUT[name].encode()
    path = tmp_path / name
    path.write_bytes(data)
    whole = [loaded for found in load_cluster([str(path)]).objects.values() for loaded in found]
    assert whole
    kept_before = 0
    for end in range(len(data)):
        path.write_bytes(data[:end])
        cluster = load_cluster([str(path)])
        kept = [loaded for found in cluster.objects.values() for loaded in found]
        told = {diagnostic.code for diagnostic in cluster.diagnostics}
        assert len(kept) <= len(whole)
        if path.suffix == ".json" and data[end:].strip(b" \n]}"):
            # JSON tells its end: objects before the cut stay, and the cut is told.
            assert len(kept) >= kept_before or name == "logs.json"
            kept_before = len(kept)
            at_boundary = name in ("back-to-back.json", "logs.json")
            assert at_boundary or not data[:end].strip() or told & {"GS-IN-040", "GS-IN-001"}, end
        if name == "list.yaml" and b"items:\n-" in data[:end] and b"\nkind: L" not in data[:end]:
            assert told & {"GS-IN-040", "GS-IN-001", "GS-IN-020"}, end


# -- one percent garbage --------------------------------------------------------------------------------------------


def _dump(count: int) -> list[dict[str, Any]]:
    return [
        role(f"role-{i}", metadata={"name": f"role-{i}", "namespace": "prod", "labels": {"app": f"app-{i}"}})
        for i in range(count)
    ]


#: What happens to the text of an item, and whether the item is still whole.
GARBAGE: dict[str, Callable[[str, str], str]] = {
    "syntax": lambda text, name: text.replace(name, f'{name}" x', 1),
    "unclosed string": lambda text, name: text.replace(f'{name}"', name, 1),
    "unclosed bracket": lambda text, name: text.replace("]", "", 1),
    "unclosed brace": lambda text, name: text.replace("}", "", 1),
    "one brace more": lambda text, name: text.replace("}", "}}", 1),
    "one bracket more": lambda text, name: text.replace("]", "]]", 1),
    "missing colon": lambda text, name: text.replace('":', '"', 1),
    "missing comma": lambda text, name: text.replace('",', '"', 1),
    "duplicated bytes": lambda text, name: text[: len(text) // 2] + text[len(text) // 3 :],
    "control character": lambda text, name: text.replace(name, f"{name}\x02", 1),
    "wrong type": lambda text, name: text.replace(f'"{name}"', "5", 1),
    "scalar": lambda text, name: "5",
    "string": lambda text, name: '"x"',
    "null": lambda text, name: "null",
    "nothing": lambda text, name: "{",
    "lone surrogate": lambda text, name: text.replace(name, f"{name}\\ud800", 1),
}


@pytest.mark.parametrize("style", ["compact", "indented"])
@pytest.mark.parametrize("damage", GARBAGE)
def test_garbage_in_json(tmp_path: Path, damage: str, style: str) -> None:
    objects = _dump(600)
    bad = set(range(7, 600, 100))
    texts, line, lines = [], 5 if style == "indented" else 1, {}
    for index, each in enumerate(objects):
        text = json.dumps(each, separators=(",", ":")) if style == "compact" else _indented(each)
        if index in bad:
            text = GARBAGE[damage](text, f"role-{index}")
        lines[index] = line
        line += text.count("\n") + 1 if style == "indented" else 0
        texts.append(text)
    head, comma, tail = ('{"apiVersion":"v1","kind":"List","items":[', ",", "]}")
    if style == "indented":
        head, comma, tail = (
            '{\n    "apiVersion": "v1",\n    "kind": "List",\n    "items": [\n        ',
            ",\n        ",
            "\n    ]\n}\n",
        )
    path = tmp_path / "a.json"
    path.write_text(head + comma.join(texts) + tail, encoding="utf-8")
    world = gs.load(path)
    assert {loaded.ref.name for loaded in world.cluster.of("Role")} == {f"role-{i}" for i in range(600) if i not in bad}
    assert [d.source.line for d in world.diagnostics if d.source] == [lines[i] for i in sorted(bad)]
    assert world.coverage["Role"].state is State.PARTIAL


def _indented(value: Any) -> str:
    return json.dumps(value, indent=4).replace("\n", "\n        ")


YAML_GARBAGE: dict[str, Callable[[str, str], str]] = {
    "unclosed flow": lambda text, name: text.replace(f"name: {name}", f"name: [{name}"),
    "unclosed quote": lambda text, name: text.replace(f"name: {name}", f'name: "{name}'),
    "bad indent": lambda text, name: text.replace("  metadata:\n", "   metadata:\n"),
    "missing colon": lambda text, name: text.replace("  metadata:\n", "  metadata\n"),
    "tab": lambda text, name: text.replace("  kind", "\tkind"),
    "reserved": lambda text, name: text.replace(f"name: {name}", f"name: @{name}"),
    "control character": lambda text, name: text.replace(f"name: {name}", f"name: {name}\x02"),
    "tag": lambda text, name: text.replace(f"name: {name}", f"name: !Ref {name}"),
    "alias": lambda text, name: text.replace(f"name: {name}", f"name: *{name}"),
    "wrong type": lambda text, name: text.replace(f"name: {name}", "name: 5"),
    "scalar": lambda text, name: "- 5\n",
    "null": lambda text, name: "-\n",
    "duplicated bytes": lambda text, name: text.replace("  kind: Role\n", "  kind: Role: Role\n"),
}  # fmt: skip


@pytest.mark.parametrize("indent", ["", "  "])
@pytest.mark.parametrize("damage", YAML_GARBAGE)
def test_garbage_in_yaml(tmp_path: Path, damage: str, indent: str) -> None:
    bad = set(range(7, 300, 100))
    text, lines = "apiVersion: v1\nitems:\n", {}
    for index, each in enumerate(_dump(300)):
        item = yaml.safe_dump([each], sort_keys=False)
        if index in bad:
            item = YAML_GARBAGE[damage](item, f"role-{index}")
        lines[index] = text.count("\n") + 1, text.count("\n") + item.count("\n")
        text += "".join(f"{indent}{line}\n" for line in item.splitlines())
    path = tmp_path / "a.yaml"
    path.write_text(f"{text}kind: List\nmetadata:\n  resourceVersion: ''\n", encoding="utf-8")
    world = gs.load(path)
    assert {loaded.ref.name for loaded in world.cluster.of("Role")} == {f"role-{i}" for i in range(300) if i not in bad}
    told = [d.source.line for d in world.diagnostics if d.source]
    assert len(told) == len(bad)
    if damage != "unclosed quote":  # which ends where the next quote begins
        for line, index in zip(told, sorted(bad), strict=True):
            assert lines[index][0] <= line <= lines[index][1] + 1


def test_garbage_in_typed_list_without_kinds(tmp_path: Path) -> None:
    items = [{"metadata": {"name": f"r{i}", "namespace": "x"}, "rules": [{"verbs": ["get"]}]} for i in range(200)]
    text = json.dumps({"kind": "RoleList", "apiVersion": f"{RBAC}/v1", "items": items}, separators=(",", ":"))
    path = tmp_path / "a.json"
    path.write_text(text.replace('"r50"', "r50").replace('"r150"', '"r150'), encoding="utf-8")
    world = gs.load(path)
    assert {loaded.ref.name for loaded in world.cluster.of("Role")} == {f"r{i}" for i in range(200)} - {"r50", "r150"}


@pytest.mark.parametrize(
    "name", ["list-compact.json", "list-indented.json", "list.yaml", "list.kyaml", "documents.yaml", "cluster-info.txt"]
)
def test_random_damage_never_raises(tmp_path: Path, name: str) -> None:
    data = (FORMS / name).read_bytes()
    path = tmp_path / name
    for seed in range(60):
        source = random.Random(seed)
        damaged = bytearray(data)
        for _ in range(source.randrange(1, 8)):
            at = source.randrange(len(damaged))
            match source.randrange(4):
                case 0:
                    damaged[at] = source.randrange(256)
                case 1:
                    del damaged[at : at + source.randrange(30)]
                case 2:
                    damaged[at:at] = damaged[at : at + source.randrange(60)]
                case _:
                    damaged[at:at] = source.choice(
                        [b"{", b"}", b"[", b"]", b'"', b"\0", b"\xff", b"- ", b"&a *a", b"\\ud800"]
                    )
        path.write_bytes(bytes(damaged))
        load_cluster([str(path)])


# -- canaries -------------------------------------------------------------------------------------------------------

CANARY = "hunter2canary"


def _secretive() -> list[dict[str, Any]]:
    annotations = {
        "example.com/token": CANARY,
        "kubectl.kubernetes.io/last-applied-configuration": json.dumps({"data": CANARY}),
    }
    metadata = {"namespace": "prod", "annotations": annotations}
    container = {
        "name": "c",
        "image": "x",
        "env": [{"name": "PASSWORD", "value": CANARY}],
        "args": [CANARY],
        "command": [CANARY],
    }
    spec = {"containers": [container], "serviceAccountName": "api"}
    kubeconfig = f"users: [{{name: a, user: {{token: {CANARY}}}}}]"
    return [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", **metadata}, "type": "Opaque", "data": {"x": CANARY}, "stringData": {"y": CANARY}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", **metadata}, "data": {"config": kubeconfig}, "binaryData": {"x": CANARY}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", **metadata}, "spec": spec},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", **metadata}, "spec": {"template": {"spec": spec}}},
        role("a", metadata={"name": "a", **metadata}),
        binding("b", metadata={"name": "b", **metadata}, subjects=[{"kind": "ServiceAccount", "name": "api", "namespace": "prod"}]),
        {"apiVersion": "v1", "kind": "Config", "users": [{"name": "a", "user": {"token": CANARY}}]},
        {"apiVersion": "example.com/v1", "kind": "Vault", "metadata": {"name": "v", **metadata}, "spec": {"password": CANARY}},
    ]  # fmt: skip


def _wrong() -> list[Any]:
    """Values where they do not belong: the message may name the field, never what stands in it."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s2", "namespace": "prod"}}
    return [
        {**secret, "type": [CANARY]},
        {**secret, "metadata": {"name": [CANARY]}},
        {**secret, "metadata": CANARY},
        {**secret, "metadata": {"name": "x", "labels": {"a": [CANARY]}}},
        {**secret, "kind": {"x": CANARY}},
        {**secret, "kind": [CANARY]},
        {**secret, "apiVersion": {"x": CANARY}},
        role("w", rules=CANARY),
        role("w", rules=[{"verbs": CANARY}]),
        binding("w", subjects=CANARY),
        binding("w", roleRef=[CANARY]),
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "w"}, "spec": {"containers": CANARY}},
        CANARY,
        [CANARY],
    ]


def _canary_files(folder: Path) -> Iterator[Path]:
    objects = _secretive()
    texts = {
        "compact.json": json.dumps(listed(*objects, *_wrong())),
        "indented.json": pretty(listed(*objects, *_wrong())),
        "list.yaml": yaml.safe_dump(listed(*objects, *_wrong())),
        "kyaml.yaml": f"---\n{json.dumps(listed(*objects))}\n",
        "documents.yaml": documents(*objects, *(each for each in _wrong() if isinstance(each, dict))),
        "secrets.json": json.dumps({"items": [{"metadata": {"name": "k"}, "data": {"x": CANARY}}]}),
        "cut.json": pretty(listed(*objects))[:-40],
        "broken.json": pretty(listed(*objects)).replace(f'"{CANARY}"', CANARY),
        "broken.yaml": "".join(
            f"---\nkind: Secret\nmetadata: {{name: s}}\nstringData:\n  x: {value}\n"
            for value in (
                f"!{CANARY} x", f"!!int {CANARY}", f"!!timestamp {CANARY}", f"!!binary {CANARY}!", f"*{CANARY}", f"@{CANARY}",
                f"[{CANARY}", f'"{CANARY}', f"{CANARY}: {CANARY}: x", f"!<{CANARY}> x", f"%{CANARY}", f"{{{CANARY}}}\n  <<: {CANARY}",
            )
        ),
        "dump.txt": json.dumps(listed(*objects)) + f"\n==== START logs for container c of pod a/b ====\n{CANARY}\n==== END logs for container c of pod a/b ====\n",
    }  # fmt: skip
    for name, text in texts.items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        yield path


GATED_FORMATS = sorted(name for name, found in renderers().items() if "check" in found.only)


class TestCanaries:
    def test_nowhere_in_what_is_kept_or_told(self, tmp_path: Path) -> None:
        for path in _canary_files(tmp_path):
            world = gs.load(path)
            assert world.diagnostics or path.name in ("kyaml.yaml", "secrets.json", "dump.txt")
            graph = world.to_networkx()
            shown = [
                *map(repr, world.cluster.objects.items()),
                *map(str, world.cluster.inventory),
                *map(repr, world.diagnostics),
                *map(str, world.diagnostics),
                repr(list(world.coverage)),
                repr(world),
                repr(list(graph.nodes(data=True))),
                repr(list(graph.edges(data=True))),
            ]
            assert not [text for text in shown if CANARY in text], path.name

    @pytest.mark.parametrize(
        "output", sorted(name for name, found in renderers().items() if not found.only and name not in ("svg", "png"))
    )
    def test_in_no_output(self, tmp_path: Path, output: str) -> None:
        world = gs.load(*_canary_files(tmp_path))
        asked = (
            gs.who_can(world, "get", "secrets", any_namespace=True),
            gs.what_can(world, "sa:prod/api"),
            Inspect().answer(world),
        )
        for answer in asked:
            text = renderers()[output].render(answer, Options())
            assert CANARY not in (text if isinstance(text, str) else text.decode())
            assert CANARY not in repr(answer) + answer._repr_html_()

    def test_in_no_stream(self, graphsec: Graphsec, tmp_path: Path) -> None:
        files = " ".join(f"-f {path}" for path in _canary_files(tmp_path))
        for command in (
            "who-can get secrets",
            "inspect",
            "inspect --diagnostics",
            "matrix secrets",
            "bindings",
            "query run",
            *(f"check -o {name}" for name in ("json", "markdown", "csv", *GATED_FORMATS)),
        ):
            for flags in ("-v", "-v --strict"):
                run = graphsec(f"{command} {files} {flags}")
                assert CANARY not in run.out + run.err

    def test_in_no_crash_report(self, tmp_path: Path) -> None:
        (path,) = (path for path in _canary_files(tmp_path) if path.name == "compact.json")
        code = (
            "import sys, graphsec.loading.assemble as a; from graphsec.cli import main\n"
            "def crash(self, kind, decoded, body, *rest): raise RuntimeError(bytes(body) or repr(kind))\n"
            "a.Assembler._keep = crash\n"
            f"sys.exit(main(['who-can', 'get', 'secrets', '-f', {str(path)!r}]))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"TMPDIR": str(tmp_path)},
        )
        assert done.returncode == 5
        (report,) = tmp_path.glob("graphsec-crash-*")
        assert CANARY not in done.stdout + done.stderr + report.read_text(encoding="utf-8")


@pytest.mark.parametrize("seed", ["0", "1", "77"])
def test_hash_seed_does_not_matter(tmp_path: Path, seed: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    list(_canary_files(folder))
    command = [sys.executable, "-m", "graphsec", "inspect", "-o", "json", "-f", "in", "-f", str(FORMS / "tree")]

    def run(value: str) -> bytes:
        return subprocess.run(
            command, capture_output=True, check=True, cwd=tmp_path, env=os.environ | {"PYTHONHASHSEED": value}
        ).stdout

    assert run(seed) == run("5")


def test_rbac_kinds_are_in_the_tables() -> None:
    assert all(gs.load(listed(role("a"))).coverage[kind].kind == kind for kind in RBAC_KINDS)
