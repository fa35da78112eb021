"""One small cluster in every input form (hardening.md §1): the answers are the same, and what a form lacks is known."""

from __future__ import annotations

import io
import json
import os
import random
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Graphsec

import graphsec as gs
from graphsec.model.coverage import RBAC_KINDS, State
from graphsec.query.inspect import Inspect

FORMS = ROOT / "fixtures" / "forms"
CORPORA = ROOT.parent / "shared" / "corpora"

#: Forms that hold every kind of the cluster.
WHOLE = (
    "list-compact.json",
    "list-indented.json",
    "list.yaml",
    "list.kyaml",
    "documents.yaml",
    "typed-kind-first",
    "typed-kind-last",
    "typed-items-with-kind",
    "typed-yaml",
    "kindless",
    "tree",
)
#: Forms without RBAC, and one that lacks accounts.
DUMPS = ("cluster-info", "cluster-info-yaml", "cluster-info.txt")


def placeless(value: Any) -> Any:
    """An answer without the places of its evidence."""
    if isinstance(value, dict):
        return {key: placeless(part) for key, part in value.items() if key not in ("source", "ruleSource")}
    return [placeless(part) for part in value] if isinstance(value, list) else value


def answers(world: gs.World) -> Any:
    asked = (
        gs.who_can(world, "get", "secrets", any_namespace=True, any_name=True),
        gs.who_can(world, "get", url="/metrics"),
        gs.what_can(world, "sa:prod/api"),
        gs.what_can(world, "sa:dev/bot"),
    )
    return [placeless(json.loads(answer.to_json())["items"]) for answer in asked]


def inventory(world: gs.World) -> set[str]:
    return {str(ref) for ref in world.cluster.inventory}


@pytest.fixture(scope="module")
def reference() -> gs.World:
    return gs.load(json.loads((FORMS / "list-compact.json").read_text(encoding="utf-8")))


def codes(world: gs.World) -> list[str]:
    return [diagnostic.code for diagnostic in world.diagnostics]


class TestSameAnswers:
    @pytest.mark.parametrize("form", WHOLE)
    def test_in_every_form(self, reference: gs.World, form: str) -> None:
        world = gs.load(FORMS / form)
        assert answers(world) == answers(reference)
        assert inventory(world) == inventory(reference)
        assert all(answers(world))

    @pytest.mark.parametrize("form", sorted({*WHOLE} - {"tree"}))
    def test_without_a_word_of_complaint(self, form: str) -> None:
        assert codes(gs.load(FORMS / form)) == []

    @pytest.mark.parametrize("form", DUMPS)
    def test_dumps_with_the_rest(self, reference: gs.World, form: str) -> None:
        world = gs.load(FORMS / form, FORMS / "rbac.json")
        assert answers(world) == answers(reference)
        assert inventory(world) == inventory(reference)
        assert codes(world) == []

    def test_kubehound(self, reference: gs.World) -> None:
        assert answers(gs.load(FORMS / "kubehound")) == answers(reference)

    def test_kubehound_archive(self, reference: gs.World, tmp_path: Path) -> None:
        path = tmp_path / "prod-eu.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            archive.add(FORMS / "kubehound", arcname=".")
        world, folder = gs.load(path), gs.load(FORMS / "kubehound")
        assert answers(world) == answers(reference)
        assert inventory(world) == inventory(folder)
        assert [entry.state for entry in world.coverage] == [entry.state for entry in folder.coverage]

    @pytest.mark.parametrize("name", ["list-compact.json", "list.yaml", "list.kyaml", "documents.yaml"])
    def test_standard_input(self, reference: gs.World, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((FORMS / name).read_bytes())))
        world = gs.load("-")
        assert answers(world) == answers(reference)
        assert {loaded.source.file for loaded in world.cluster.of("Role")} == {"<stdin>"}

    def test_mappings(self, reference: gs.World) -> None:
        whole = json.loads((FORMS / "list-compact.json").read_text(encoding="utf-8"))
        items = whole["items"]
        nested = {"apiVersion": "v1", "kind": "List", "items": [{**whole, "items": items[:5]}, *items[5:]]}
        typed = [
            json.loads(path.read_text(encoding="utf-8")) for path in sorted((FORMS / "typed-kind-first").iterdir())
        ]
        nested_typed = {"apiVersion": "v1", "kind": "List", "items": typed}
        for inputs in (items, [nested], typed, [nested_typed], [{"items": items}], [tuple_of(whole)]):
            assert answers(gs.load(*inputs)) == answers(reference)

    @pytest.mark.parametrize("suffix", ["json", "yaml"])
    def test_nested_lists_in_files(self, reference: gs.World, tmp_path: Path, suffix: str) -> None:
        typed = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((FORMS / "typed-kind-last").iterdir())]
        path = tmp_path / f"nested.{suffix}"
        # JSON is YAML too, once its first line says so.
        text = json.dumps({"apiVersion": "v1", "items": typed, "kind": "List"}, indent=2)
        path.write_text(text if suffix == "json" else f"---\n{text}\n", encoding="utf-8")
        world = gs.load(path)
        assert answers(world) == answers(reference)
        assert codes(world) == []

    def test_byte_order_marks(self, reference: gs.World, tmp_path: Path) -> None:
        for name in ("list-indented.json", "list.yaml"):
            text = (FORMS / name).read_text(encoding="utf-8")
            for encoding, found in (("utf-8-sig", []), ("utf-16", ["GS-IN-030"]), ("utf-16-be", ["GS-IN-030"])):
                path = tmp_path / f"{encoding}-{name}"
                mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
                path.write_bytes(mark + text.encode(encoding))
                world = gs.load(path)
                assert answers(world) == answers(reference)
                assert codes(world) == found


def tuple_of(mapping: dict[str, Any]) -> dict[str, Any]:
    return {**mapping, "items": tuple(mapping["items"])}


class TestPlaces:
    @pytest.mark.parametrize(
        "form", ["list-indented.json", "list.yaml", "list.kyaml", "documents.yaml", "typed-kind-last", "tree"]
    )
    def test_the_line_is_that_of_the_object(self, form: str) -> None:
        for loaded in gs.load(FORMS / form).cluster.of(*RBAC_KINDS, "Pod"):
            lines = Path(loaded.source.file).read_text(encoding="utf-8").splitlines()
            near = "\n".join(lines[loaded.source.line - 1 :][:12])
            assert loaded.ref.name in near

    def test_the_lines_of_rules(self) -> None:
        for form in ("list-indented.json", "list.yaml", "list.kyaml", "documents.yaml"):
            lines = (FORMS / form).read_text(encoding="utf-8").splitlines()
            (role,) = (
                loaded for loaded in gs.load(FORMS / form).cluster.of("ClusterRole") if loaded.ref.name == "reader"
            )
            assert len(role.lines) == 2
            assert all(
                "apiGroups" in lines[line - 1] + lines[line] or "nonResourceURLs" in lines[line - 1] + lines[line]
                for line in role.lines
            )

    def test_helms_comment_is_provenance(self) -> None:
        found = {loaded.source.origin for loaded in gs.load(FORMS / "documents.yaml").cluster.of("Role", "Namespace")}
        assert found == {"shop/templates/role.yaml", "shop/templates/namespace.yaml"}


class TestStates:
    """The state of each kind in each form."""

    @pytest.mark.parametrize("form", ["list-compact.json", "list.yaml", "list.kyaml", "documents.yaml"])
    def test_a_mixed_list_proves_nothing(self, form: str) -> None:
        coverage = gs.load(FORMS / form).coverage
        assert {coverage[kind].state for kind in (*RBAC_KINDS, "Pod", "Node")} == {State.ASSUMED}
        assert coverage["NetworkPolicy"].state is State.ABSENT

    @pytest.mark.parametrize(
        "form", ["typed-kind-first", "typed-kind-last", "typed-items-with-kind", "typed-yaml", "kindless"]
    )
    def test_a_typed_list_is_complete(self, form: str) -> None:
        coverage = gs.load(FORMS / form).coverage
        assert {entry.state for entry in coverage if entry.objects} == {State.COMPLETE}

    def test_kubehound(self) -> None:
        coverage = gs.load(FORMS / "kubehound").coverage
        assert {coverage[kind].state for kind in (*RBAC_KINDS, "Pod", "Node")} == {State.COMPLETE}
        for kind in ("NetworkPolicy", "ServiceAccount", "Namespace", "Secret"):
            assert coverage[kind].state is State.ABSENT
            assert coverage[kind].reasons == ("never part of a KubeHound dump",)

    @pytest.mark.parametrize("form", DUMPS)
    def test_a_cluster_info_dump_holds_the_namespaces_asked_for(self, form: str) -> None:
        coverage = gs.load(FORMS / form).coverage
        assert coverage["Node"].state is State.COMPLETE
        assert coverage["Pod"].state is State.ASSUMED
        assert coverage["Deployment"].state is State.ABSENT
        for kind in (*RBAC_KINDS, "NetworkPolicy", "ServiceAccount"):
            assert coverage[kind].reasons == ("never part of a kubectl cluster-info dump",)

    @pytest.mark.parametrize("items", ["[]", "null"])
    def test_empty_is_not_absent(self, tmp_path: Path, items: str) -> None:
        (tmp_path / "a.json").write_text(
            f'{{"kind":"RoleList","apiVersion":"rbac.authorization.k8s.io/v1","items":{items}}}'
        )
        (tmp_path / "b.yaml").write_text(
            f"kind: RoleBindingList\napiVersion: rbac.authorization.k8s.io/v1\nitems: {items}\n"
        )
        coverage = gs.load(tmp_path).coverage
        assert coverage["Role"].state is coverage["RoleBinding"].state is State.EMPTY
        assert coverage["ClusterRole"].state is State.ABSENT

    @pytest.mark.parametrize("suffix", ["json", "yaml"])
    def test_one_page_of_a_listing_is_partial(self, tmp_path: Path, suffix: str) -> None:
        page = '"kind": "RoleList", "apiVersion": "rbac.authorization.k8s.io/v1", "items": []'
        first, last = tmp_path / f"1.{suffix}", tmp_path / f"2.{suffix}"
        start = "" if suffix == "json" else "---\n"
        first.write_text(f'{start}{{"metadata": {{"continue": "abc"}}, {page}}}', encoding="utf-8")
        last.write_text(f'{start}{{"metadata": {{}}, {page}}}', encoding="utf-8")
        entry = gs.load(first).coverage["Role"]
        assert entry.state is State.PARTIAL
        assert entry.reasons == (f"the listing goes on (metadata.continue) in {first}",)
        assert gs.load(first, last).coverage["Role"].state is State.EMPTY

    def test_a_list_of_another_kind_than_its_file_says(self, tmp_path: Path) -> None:
        (tmp_path / "roles.rbac.authorization.k8s.io.json").write_text('{"items": []}')
        (tmp_path / "services.json").write_text('{"kind":"PodList","apiVersion":"v1","items":[]}')
        coverage = gs.load(tmp_path).coverage
        assert coverage["Role"].state is coverage["Pod"].state is State.EMPTY
        assert coverage["Service"].state is State.ABSENT


class TestFolder:
    """I7: what is read of a tree, and what is not."""

    @pytest.fixture
    def tree(self, tmp_path: Path) -> Path:
        root = tmp_path / "tree"
        (root / "apps").mkdir(parents=True)
        for name in ("a.yaml", "apps/b.YML", "apps/c.json", "apps/d.txt"):
            stem = Path(name).stem
            text = f'{{"apiVersion": "v1", "kind": "Namespace", "metadata": {{"name": "{stem}"}}}}'
            (root / name).write_text(text, encoding="utf-8")
        return root

    def namespaces(self, *inputs: Path, **options: Any) -> list[str]:
        return [loaded.ref.name for loaded in gs.load(*inputs, **options).cluster.of("Namespace")]

    def test_suffixes(self, tree: Path) -> None:
        assert self.namespaces(tree) == ["a", "b", "c"]

    def test_git_is_left_out(self, tree: Path) -> None:
        (tree / ".git").mkdir()
        (tree / ".git" / "x.yaml").write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n")
        assert self.namespaces(tree) == ["a", "b", "c"]

    def test_exclude(self, tree: Path) -> None:
        assert self.namespaces(tree, exclude=["apps/*"]) == ["a"]
        assert self.namespaces(tree, exclude=["*.YML", "a.yaml"]) == ["c"]

    def test_links_inside_are_read_once(self, tree: Path) -> None:
        (tree / "again.yaml").symlink_to(tree / "a.yaml")
        (tree / "more").symlink_to(tree / "apps")
        (tree / "apps" / "up").symlink_to(tree)
        (tree / "loop.yaml").symlink_to(tree / "loop.yaml")
        world = gs.load(tree)
        assert [str(loaded.source) for loaded in world.cluster.of("Namespace")] == [
            f"{tree / name}:1" for name in ("a.yaml", "apps/b.YML", "apps/c.json")
        ]
        assert codes(world) == []

    def test_links_out_are_told_and_not_followed(self, tree: Path, tmp_path: Path) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "x.yaml").write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n", encoding="utf-8")
        (tree / "out.yaml").symlink_to(outside / "x.yaml")
        (tree / "away").symlink_to(outside)
        (tree / "note.txt").symlink_to(outside / "x.yaml")
        world = gs.load(tree)
        assert [loaded.ref.name for loaded in world.cluster.of("Namespace")] == ["a", "b", "c"]
        assert [str(d.source) for d in world.diagnostics] == [f"{tree / name}:1" for name in ("away", "out.yaml")]
        assert codes(world) == ["GS-IN-041", "GS-IN-041"]
        assert world.coverage["Namespace"].state is State.PARTIAL

    def test_the_folder_itself_may_be_a_link(self, tree: Path) -> None:
        link = tree.parent / "link"
        link.symlink_to(tree)
        assert self.namespaces(link) == ["a", "b", "c"]

    def test_a_pipe_is_not_waited_for(self, tree: Path) -> None:
        os.mkfifo(tree / "pipe.yaml")
        world = gs.load(tree)
        assert [(d.code, d.message) for d in world.diagnostics] == [("GS-IN-041", "not a regular file")]

    @pytest.mark.parametrize("what", ["file", "folder"])
    def test_what_cannot_be_read_is_told(self, tree: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
        if what == "file":
            monkeypatch.setattr(Path, "open", _refusing(Path.open, "c.json"))
        else:
            monkeypatch.setattr(os, "scandir", _refusing(os.scandir, "apps"))
        world = gs.load(tree)
        assert codes(world) == ["GS-IN-041"]
        assert "cannot be read: Permission denied" in world.diagnostics[0].message
        assert "a" in [loaded.ref.name for loaded in world.cluster.of("Namespace")]
        assert world.coverage["Namespace"].state is State.PARTIAL

    def test_what_is_no_object_is_counted(self) -> None:
        world = gs.load(FORMS / "tree")
        found = [(d.code, Path(d.source.file).name) for d in world.diagnostics if d.source]
        assert found == [
            ("GS-IN-003", "Chart.yaml"),
            ("GS-IN-002", "binding.yaml"),
            ("GS-IN-003", "values.yaml"),
            ("GS-IN-003", "kustomization.yaml"),
        ]

    def test_a_template_loses_the_kinds_that_it_names(self) -> None:
        coverage = gs.load(FORMS / "tree").coverage
        assert [coverage[kind].state for kind in RBAC_KINDS] == [
            State.ASSUMED,
            State.ASSUMED,
            State.PARTIAL,
            State.PARTIAL,
        ]


def _refusing(function: Any, name: str) -> Any:
    def refuse(path: Any, *arguments: Any, **options: Any) -> Any:
        if Path(str(path)).name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return function(path, *arguments, **options)

    return refuse


class TestClusterInfo:
    """I9 and I10: never RBAC."""

    def test_logs_are_not_input(self) -> None:
        world = gs.load(FORMS / "cluster-info.txt", FORMS / "rbac.json")
        assert "ClusterRoleBinding/forged" not in inventory(world)
        assert not gs.can_i(world, "get", "secrets", user="mallory")

    def test_cut_inside_a_log(self, tmp_path: Path) -> None:
        text = (FORMS / "cluster-info.txt").read_text(encoding="utf-8")
        path = tmp_path / "dump.txt"
        path.write_text(text.partition("==== START logs")[0] + "==== START logs for container a of pod b/c ====\n{")
        world = gs.load(path)
        assert codes(world) == ["GS-IN-040"]
        assert [loaded.ref.name for loaded in world.cluster.of("Pod")] == ["bot-0"]
        assert world.coverage["Pod"].state is State.PARTIAL

    def test_refusal_names_dump_counts_and_commands(self, graphsec: Graphsec, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(FORMS)
        run = graphsec("who-can get secrets -f cluster-info")
        assert (run.code, run.out) == (3, "")
        assert run.err == (
            "error: who-can needs RBAC; this input has 0 of 4 RBAC kinds\n"
            "  cluster-info is a kubectl cluster-info dump: never RBAC or NetworkPolicies\n"
            "  usable: 2 Pods, 1 Service, 1 Node\n"
            "help: complete it with\n"
            "    kubectl get clusterroles,clusterrolebindings,roles,rolebindings,serviceaccounts,namespaces,"
            "networkpolicies -A -o json > rbac.json\n"
            "    graphsec who-can ... -f cluster-info -f rbac.json\n"
        )

    def test_that_command_answers(self, graphsec: Graphsec, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(FORMS)
        assert graphsec("who-can get secrets -f cluster-info -f rbac.json").code == 0


class TestInspect:
    @pytest.fixture
    def half(self, tmp_path: Path) -> Path:
        """Roles complete, cluster roles partial, bindings absent or empty, and a kind that nobody knows."""
        group = "rbac.authorization.k8s.io/v1"
        texts = {
            "1.json": f'{{"kind":"RoleList","apiVersion":"{group}","items":[{{"metadata":{{"name":"a","namespace":"b"}},"rules":[]}}]}}',
            "2.json": f'{{"kind":"ClusterRoleList","apiVersion":"{group}","items":[{{"metadata":{{"name":"a"}},"rules":"x"}}]}}',
            "3.json": f'{{"kind":"RoleBindingList","apiVersion":"{group}","items":[]}}',
            "4.yaml": "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\n",
        }
        for name, text in texts.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path

    def test_states_reasons_questions_and_the_command(self, graphsec: Graphsec, half: Path) -> None:
        run = graphsec(f"inspect -f {half}")
        assert run.code == 0
        head, *rows = run.out.splitlines()
        assert head.split() == ["KIND", "OBJECTS", "STATE", "NEEDED", "FOR", "REASON"]
        assert [row.split()[:3] for row in rows] == [
            ["ClusterRole", "0", "partial"],
            ["ClusterRoleBinding", "0", "absent"],
            ["Role", "1", "complete"],
            ["RoleBinding", "0", "empty"],
            *(
                [kind, "0", "absent"]
                for kind in ("ServiceAccount", "Namespace", "Pod", "Node", "NetworkPolicy", "Secret")
            ),
            ["CustomResourceDefinition", "0", "absent"],
            ["Service", "1", "assumed"],
            ["Widget.example.com", "1", "assumed"],
        ]
        assert rows[0].endswith(f"GS-IN-020 at {half}/2.json:1")
        assert "who-can can-i what-can matrix bindings" in rows[0]
        assert (
            "in part: who-can, can-i, what-can, matrix, bindings, verify, rbac-lint (ClusterRole partial, "
            "ClusterRoleBinding absent)" in run.err
        )
        assert (
            "to complete it: kubectl get clusterroles,clusterrolebindings,serviceaccounts,namespaces,nodes,pods,"
            "networkpolicies,customresourcedefinitions -A -o json > rest.json, then add `-f rest.json`"
        ) in run.err

    def test_nothing_to_complete(self) -> None:
        world = gs.load(FORMS / "list-compact.json")
        notes = Inspect().answer(world).notes
        assert any(note.startswith("can be answered: who-can") for note in notes)
        assert not any("clusterroles" in note for note in notes)

    def test_without_rbac(self) -> None:
        answer = Inspect().answer(gs.load(FORMS / "cluster-info"))
        assert not answer.complete
        asked = (
            "who-can, can-i, what-can, matrix, bindings, verify, paths, blast, choke, fix, why-not, overprivileged, "
            "rbac-lint, access, graph"
        )
        assert f"cannot be answered: {asked} (not one RBAC object)" in answer.notes

    def test_warnings_clear_complete(self, half: Path) -> None:
        answer = gs.who_can(gs.load(half), "get", "pods", any_namespace=True)
        assert not answer.complete
        assert answer.warnings == (
            f"ClusterRole only in part (GS-IN-020 at {half}/2.json:1)",
            "no ClusterRoleBinding in the input: what such objects would grant is unknown",
        )


class TestOrder:
    """D1: neither the order of files nor of items matters, but for duplicates."""

    def test_of_files(self, tmp_path: Path) -> None:
        paths = sorted((FORMS / "typed-items-with-kind").iterdir())
        expected = _bytes(gs.load(*paths))
        for seed in range(5):
            shuffled = paths[:]
            random.Random(seed).shuffle(shuffled)
            assert _bytes(gs.load(*shuffled)) == expected

    def test_of_items(self) -> None:
        whole = json.loads((FORMS / "list-compact.json").read_text(encoding="utf-8"))
        broken = [{"apiVersion": "v1", "kind": kind, "metadata": {"name": 5}} for kind in ("Pod", "Secret", "Widget")]
        items = [
            *whole["items"],
            *broken,
            {"kind": "Role"},
            5,
            {"apiVersion": "example.com/v1", "kind": "X", "metadata": {"name": "x"}},
        ]
        expected = _bytes(gs.load({**whole, "items": items}))
        for seed in range(10):
            random.Random(seed).shuffle(items)
            assert _bytes(gs.load({**whole, "items": items})) == expected

    def test_of_what_the_file_system_lists(self, monkeypatch: pytest.MonkeyPatch) -> None:
        expected = _bytes(gs.load(FORMS / "tree"))
        walk = os.walk

        def shuffled(*arguments: Any, **options: Any) -> Any:
            for folder, subfolders, names in walk(*arguments, **options):
                subfolders.reverse()
                yield folder, subfolders, names[::-1]

        monkeypatch.setattr(os, "walk", shuffled)
        assert _bytes(gs.load(FORMS / "tree")) == expected


def _bytes(world: gs.World) -> str:
    found = (gs.who_can(world, "get", "secrets", any_namespace=True, any_name=True), Inspect().answer(world))
    inputs = {f"input: {given.path} is a {given.title}" for given in world.coverage.inputs}
    texts = [answer.to_json() for answer in found]
    # What was given is listed in the order in which it was given.
    return "\n".join(sorted(line for text in texts for line in text.splitlines() if not any(i in line for i in inputs)))


@pytest.mark.skipif(not CORPORA.exists(), reason="needs the shared corpora")
class TestRealDumps:
    def test_kubehound(self, tmp_path: Path) -> None:
        folder = CORPORA / "dumps" / "kubehound-dump"
        path = tmp_path / "dump.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            archive.add(folder, arcname="cluster/kubehound_cluster_01k9abcdefghjkmnpqrstvwxyz")
        worlds = gs.load(folder), gs.load(path)
        assert {entry.kind: entry.objects for entry in worlds[0].coverage} == {
            entry.kind: entry.objects for entry in worlds[1].coverage
        }
        for world in worlds:
            assert {world.coverage[kind].state for kind in RBAC_KINDS} == {State.COMPLETE}
            assert world.coverage["Role"].objects == 1

    def test_real_cluster_in_json_and_yaml(self, tmp_path: Path) -> None:
        path = CORPORA / "dumps" / "real-cluster" / "cluster.json"
        text = path.read_text(encoding="utf-8")
        (tmp_path / "indented.json").write_text(json.dumps(json.loads(text), indent=4), encoding="utf-8")
        first = gs.load(path)
        second = gs.load(tmp_path / "indented.json")
        assert inventory(first) == inventory(second)
        assert placeless(gs.who_can(first, "get", "secrets", any_namespace=True).to_dicts()) == placeless(
            gs.who_can(second, "get", "secrets", any_namespace=True).to_dicts()
        )
