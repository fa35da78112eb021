"""The YAML reader against what kubectl's own parser (sigs.k8s.io/yaml, go-yaml v2.4.3) made of the same text."""

from __future__ import annotations

import base64
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from graphsec.loading.documents import Envelope, Event, Item, Limits, Lines, Problem
from graphsec.loading.yaml_reader import SKIPPED, read_yaml
from graphsec.loading.yaml_scalars import json_key, json_value, quote_if_needed, resolve_plain

FIXTURES = Path(__file__).parents[1] / "fixtures" / "yaml"
CORPORA = Path(__file__).parents[2] / "shared" / "corpora"


def rows(name: str) -> list[Any]:
    """One JSON object a line: a text, and what kubectl reads it as, or that it refuses it."""
    lines = (FIXTURES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [pytest.param(row := json.loads(line), id=ascii(row["text"])) for line in lines]


def read(text: str, **limits: int) -> list[Event]:
    return list(read_yaml(text, Limits(**limits)))


def bodies(text: str) -> list[Any]:
    return [event.body for event in read(text) if isinstance(event, Item)]


def problems(text: str, **limits: int) -> list[tuple[str, int]]:
    return [(event.code, event.line) for event in read(text, **limits) if isinstance(event, Problem)]


@pytest.mark.parametrize("row", rows("scalars"))
def test_plain_scalar_is_what_kubectl_reads(row: dict[str, Any]) -> None:
    if row.get("refused"):
        with pytest.raises(ValueError, match="no place in JSON"):
            json_value(resolve_plain(row["text"]))
        return
    value = resolve_plain(row["text"])
    # JSON cannot tell 1000.0 from 1000.
    assert value == (float(row["value"]) if isinstance(value, float) else row["value"])
    assert isinstance(value, bool) == isinstance(row["value"], bool)
    assert bodies(f"a: {row['text']}") == [{"a": value}]


def test_float_spellings_stay_floats() -> None:
    assert [type(resolve_plain(text)) for text in ("1e3", "1.", "089", "18446744073709551616")] == [float] * 4


@pytest.mark.parametrize("row", rows("keys"))
def test_key_is_the_json_key_of_kubectl(row: dict[str, Any]) -> None:
    if row.get("refused"):
        with pytest.raises(ValueError, match="mapping key"):
            json_key(resolve_plain(row["text"]))
        # libyaml has no empty key without its `?`.
        assert problems(f"{row['text']}: a") == [("GS-IN-020" if row["text"] else "GS-IN-001", 1)]
        return
    assert bodies(f"{row['text']}: a") == [{row["key"]: "a"}]


@pytest.mark.parametrize("row", rows("documents"))
def test_document_is_what_kubectl_reads(row: dict[str, Any]) -> None:
    if row.get("refused"):
        assert bodies(row["text"]) == []
        assert len(problems(row["text"])) == 1
        return
    assert bodies(row["text"]) == [row["value"]]


def test_documents_have_the_line_of_their_first_key_and_helms_comment() -> None:
    text = "---\n# Source: c/templates/a.yaml\na: 1\n---\n\n# nothing\n---\n--- # b\nb: 2\n...\n---\n- d\n---\ntext\n"
    assert read(text) == [
        Item({"a": 1}, 3, origin="c/templates/a.yaml"),
        Item({"b": 2}, 9),
        Problem("GS-IN-003", "the document is not a mapping", 12),
        Problem("GS-IN-003", "the document is not a mapping", 14),
    ]


def test_comment_above_the_first_separator_names_the_document_below() -> None:
    assert read("# Source: a.yaml\r\n---\r\na: 1\r\n---\r\nb: 1\r\n") == [
        Item({"a": 1}, 3, origin="a.yaml"),
        Item({"b": 1}, 5),
    ]


def test_directives_go_with_their_document() -> None:
    assert read("%YAML 1.1\n%TAG !e! tag:yaml.org,2002:\n---\na: !e!str 1\n...\n%YAML 1.1\n---\nb: 1\n") == [
        Item({"a": "1"}, 4),
        Item({"b": 1}, 8),
    ]


@pytest.mark.parametrize(
    "text", ["", "\n", "# only a comment", "---", "---\n---\n", "~", "--- null\n...\n", "%YAML 1.1\n---\n"]
)
def test_empty_documents_yield_nothing(text: str) -> None:
    assert read(text) == []


def test_separator_inside_a_block_scalar_is_text() -> None:
    assert bodies("a: |\n  x\n  ---\n  y\nb: 1\n") == [{"a": "x\n---\ny\n", "b": 1}]


def test_list_items_leave_before_the_envelope() -> None:
    text = "apiVersion: v1\nitems:\n- a: 1\n-\n  b: 2\n- 3\n- null\nkind: List\nmetadata: {}\n"
    assert read(text) == [
        Item({"a": 1}, 3, listed=True),
        Item({"b": 2}, 5, listed=True),
        Problem("GS-IN-020", "an item of the list is not a mapping", 6),
        Problem("GS-IN-020", "an item of the list is not a mapping", 7),
        Envelope("List", "v1", 1),
    ]


def test_items_leave_while_the_list_is_still_open() -> None:
    events = read_yaml("items:\n" + "- {a: 1}\n" * 3 + "- [", Limits())
    assert next(events) == Item({"a": 1}, 2, listed=True)


def test_kind_before_the_items_is_named_on_each() -> None:
    assert read("kind: RoleList\napiVersion: x/v1\nitems: [{a: 1}]") == [
        Item({"a": 1}, 3, listed=True, list_kind="RoleList"),
        Envelope("RoleList", "x/v1", 1),
    ]


@pytest.mark.parametrize("text", ["items: null", "items:", "items: []", "kind: List\nitems: ~"])
def test_list_without_items_is_its_envelope(text: str) -> None:
    assert [type(event) for event in read(text)] == [Envelope]


def test_items_of_another_kind_are_a_field() -> None:
    assert read("kind: Menu\nitems: [{a: 1}]") == [Item({"kind": "Menu", "items": [{"a": 1}]}, 1)]
    assert read("kind: Menu\nitems:") == [Item({"kind": "Menu", "items": None}, 1)]
    assert read("kind: List\nitems: soup") == [Item({"kind": "List", "items": "soup"}, 1)]


def test_items_may_come_through_an_alias() -> None:
    assert read("x: &x\n- a: 1\n- b: 2\nitems: *x") == [
        Item({"a": 1}, 2, listed=True),
        Item({"b": 2}, 3, listed=True),
        Envelope("", "", 1),
    ]


def test_kyaml() -> None:
    text = '---\n{\n  apiVersion: "v1",\n  kind: "List",\n  items: [{\n    # a note\n    kind: "Pod",\n    no: ["x", "y",],\n  }, {\n    kind: "Role",\n  }],\n}\n'
    assert read(text) == [
        Item({"kind": "Pod", "false": ["x", "y"]}, 5, listed=True, list_kind="List"),
        Item({"kind": "Role"}, 9, listed=True, list_kind="List"),
        Envelope("List", "v1", 2),
    ]


def test_sequences_know_the_lines_of_their_mappings() -> None:
    body = bodies("rules:\n- a: 1\n\n- b: 1\n- x\n- - c\n- &z {d: 1}\n- *z\nverbs: [get]\n")[0]
    assert isinstance(body["rules"], Lines)
    assert body["rules"].lines == [2, 4, 6, 6, 7, 8]
    assert body["verbs"].lines == []


def test_syntax_error_costs_its_document() -> None:
    text = "a: 1\n---\nb: [1\nb: 2\n---\nc: 1\n---\nd: {\n---\ne: 1\n"
    assert [event[:1] for event in read(text)] == [
        ({"a": 1},),
        ("GS-IN-001",),
        ({"c": 1},),
        ("GS-IN-001",),
        ({"e": 1},),
    ]
    assert [event.line for event in read(text)] == [1, 4, 6, 9, 10]


def test_list_that_breaks_off_is_ended_by_its_envelope() -> None:
    events = read("kind: RoleList\nitems:\n- a: 1\n- b: [\n---\nc: 1\n")
    assert [type(event) for event in events] == [Item, Problem, Envelope, Item]
    assert events[2] == Envelope("RoleList", "", 1)


def test_unrendered_template() -> None:
    assert problems("a: {{ .Values.x }}\n---\n{{- if x }}\na: 1\n{{- end }}\n---\na: [\n") == [
        ("GS-IN-002", 1),
        ("GS-IN-002", 3),
        ("GS-IN-001", 8),
    ]
    assert bodies('a: "{{ .Values.x }}"') == [{"a": "{{ .Values.x }}"}]


def test_duplicate_key_names_both_lines_and_the_last_wins() -> None:
    text = "---\na: 1\nb:\n  c: 1\n  d: 1\n  c: 2\na: 2\n"
    assert read(text) == [
        Problem("GS-IN-021", "key `c` stands twice in one mapping, first at line 4: the last one counts", 6),
        Problem("GS-IN-021", "key `a` stands twice in one mapping, first at line 2: the last one counts", 7),
        Item({"a": 2, "b": {"c": 2, "d": 1}}, 2),
    ]


def test_merged_keys_are_no_duplicates() -> None:
    assert problems("a: &a {k: 1}\nb: {<<: *a, k: 2}\nc: {<<: *a, <<: {m: 1}}") == []


@pytest.mark.parametrize("character", ["\0", "\x01", "\x1b", "\x7f", "\ufffe", "\ud800"])
def test_control_character_costs_its_document(character: str) -> None:
    assert problems(f"é: 1\n---\nä: 1\nb: {character}\n---\nc: 1\n") == [("GS-IN-031", 4)]
    assert bodies(f"é: 1\n---\nä: 1\nb: {character}\n---\nc: 1\n") == [{"é": 1}, {"c": 1}]


@pytest.mark.parametrize("tag", ["!Foo", "!!python/object/apply:os.system", "!!set", "!<x>"])
@pytest.mark.parametrize("value", ["x", "[x]", "{x: 1}"])
def test_custom_tag_costs_its_document(tag: str, value: str) -> None:
    assert problems(f"a: 1\n---\nb:\n  c: {tag} {value}\n---\nd: 1\n") == [("GS-IN-032", 4)]
    assert bodies(f"a: 1\n---\nb:\n  c: {tag} {value}\n---\nd: 1\n") == [{"a": 1}, {"d": 1}]


@pytest.mark.parametrize(
    "bad", ["!Foo {a: [1]}", "{a: {b: !Foo [1], c: {}}}", "{[a]: 1, b: {}}", "{a: [.inf, {}]}", "{a: *b}", "!Foo x"]
)
def test_refused_item_costs_only_itself(bad: str) -> None:
    events = read(f"items:\n- a: 1\n- {bad}\n- c: 1\nkind: List\n")
    assert [type(event) for event in events] == [Item, Problem, Item, Envelope]
    assert [event.line for event in events] == [2, 3, 4, 1]


def test_limits_end_their_document_and_name_their_flag() -> None:
    deep, wide, long = "a: " + "[" * 6 + "]" * 6, "a: [" + "1," * 50 + "]", "a: " + "x" * 200
    bomb = (
        "a: &a ["
        + "x," * 9
        + "]\n"
        + "".join(f"{k}: &{k} [{f'*{j},' * 9}]\n" for j, k in zip("abcdefgh", "bcdefghi", strict=True))
    )
    for text, code, flag in [
        (deep, "GS-LIM-001", "--max-depth"),
        (bomb, "GS-LIM-002", "kubectl"),
        (long, "GS-LIM-003", "--max-object-bytes"),
        (wide, "GS-LIM-004", "--max-nodes-per-object"),
    ]:
        limits = Limits(
            depth=5 if text is deep else 100,
            nodes=40 if text is wide else 10**6,
            object_bytes=150 if text is long else 10**6,
        )
        first, problem, last = read_yaml(f"b: 1\n---\n{text}\n---\nc: 1\n", limits)
        assert isinstance(problem, Problem)
        assert problem.code == code
        assert flag in problem.message
        assert (first.line, last) == (1, Item({"c": 1}, text.rstrip().count("\n") + 5 + text.endswith("\n")))


def test_limits_hold_for_items_not_for_the_list() -> None:
    text = "items:\n" + "- {a: 1, b: 2}\n" * 50
    assert problems(text, nodes=10, object_bytes=40, depth=2) == []
    assert problems(text + f"- {{a: {'x' * 40}}}\n- c: 1\n", object_bytes=40) == [("GS-LIM-003", 52)]


def test_depth_counts_in_every_position() -> None:
    for text in ("a: [[1]]", "? [[1]]\n: 1", "managedFields: [[1]]", "a: {b: {managedFields: 1}}", "[[[1]]]"):
        assert problems(text, depth=2)[0][0] == "GS-LIM-001", text
    assert problems("a: {b: 1}", depth=2) == []


def test_skip_set_is_passed_over() -> None:
    text = (
        "metadata:\n  managedFields:\n  - {a: 1}\n  name: x\n"
        "  annotations: {kubectl.kubernetes.io/last-applied-configuration: '{}', b: c}\n"
        "openAPIV3Schema: {a: [1, !x 2]}\nb: 1\n"
    )
    assert bodies(text) == [{"metadata": {"name": "x", "annotations": {"b": "c"}}, "b": 1}]


def test_anchor_in_the_skip_set_is_refused_aloud() -> None:
    assert problems("x: &a 1\nmanagedFields: [&a 2]\nb: *a") == [("GS-IN-001", 3)]
    assert bodies("x: &a 1\nmanagedFields: [*a]\nb: *a") == [{"x": 1, "b": 1}]


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: v1\nitems:\n- {a: &x [1, 'y'], b: *x}\n- ? k\n  : |\n    text\nkind: List\n---\n# c\nb: !!str é\n",
        '{\n  a: "\\u00e9\\n",\n  <<: {c: d},\n}\n--- >-\n  folded\n...\n%YAML 1.1\n---\na: -\n',
    ],
)
def test_truncation_never_raises(text: str) -> None:
    data = text.encode()
    for end in range(len(data)):
        read(data[:end].decode("utf-8", "surrogateescape"))


def test_garbage_never_raises() -> None:
    source = random.Random(1)
    alphabet = "ab:- \n[]{},&*!|>'\"#%?@`~<=.\t\r0\0\ufeff"
    for _ in range(3000):
        read("".join(source.choices(alphabet, k=source.randrange(40))))


HOSTILE = {
    "flow sequences": "'[' * 1_000_000",
    "flow mappings": "'{' * 1_000_000",
    "complex keys": "'? ' * 1_000_000",
    "block sequences": "'- ' * 1_000_000",
    "mixed flow": "'a: ' + '{a: [' * 200_000",
    "skipped": "'managedFields: ' + '[' * 1_000_000",
    "deep blocks": "''.join(' ' * i + 'a:\\n' for i in range(10_000))",
    "anchors": "''.join(f'k{i}: &a{i} v\\n' for i in range(200_000))",
    "aliases": "'a: &a v\\nb:\\n' + '- *a\\n' * 500_000",
    "bomb": "'a0: &a0 [x]\\n' + ''.join(f'a{i}: &a{i} [' + f'*a{i - 1},' * 9 + ']\\n' for i in range(1, 10))",
    "big scalar": "'a: ' + 'x' * 20_000_000",
    "big number": "'a: ' + '9' * 5_000_000",
    "errors": "'---\\n[\\n' * 100_000",
    "empty documents": "'---\\n' * 1_000_000",
    "comments": "'# x\\r\\n' * 1_000_000",
    "directives": "'%\\n' * 1_000_000",
    "tag directives": "''.join(f'%TAG !a{i}! b\\n' for i in range(300_000)) + '---\\na: 1'",
    "keys": "'a:\\n' + ''.join(f' k{i}: 1\\n' for i in range(1_000_000))",
}

MEASURE = """
import gc, resource, sys, time
from graphsec.loading.documents import Limits
from graphsec.loading.yaml_reader import read_yaml
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
gc.disable()
text = eval(sys.argv[1])
start, last = time.process_time(), None
for last in read_yaml(text, Limits()):
    pass
print(time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_cheap(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, HOSTILE[name]], capture_output=True, text=True, check=True, timeout=60
    )
    seconds, megabytes = map(float, done.stdout.split())
    # The figure is 2 s on a quiet machine; a million distinct keys cost libyaml alone 1.3 s.
    assert seconds < (8 if name == "keys" else 4)
    assert megabytes < 500


class PlainLoader(yaml.CSafeLoader):
    """PyYAML with our resolver in place of its own: what is left to compare is the building."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - as the base class declares it


def plain(_: PlainLoader, node: yaml.ScalarNode) -> object:
    return node.value if node.style else resolve_plain(node.value)


PlainLoader.add_constructor("tag:yaml.org,2002:str", plain)


def comparable(value: Any) -> Any:
    """``value`` as the reader yields it: keys are strings, skipped keys are gone."""
    if isinstance(value, dict):
        return {json_key(key): comparable(inner) for key, inner in value.items() if key not in SKIPPED}
    return [comparable(inner) for inner in value] if isinstance(value, list) else value


def objects(root: dict[str, Any]) -> list[Any]:
    return (root["items"] or []) if "items" in root and root.get("kind", "List").endswith("List") else [root]


def corpus() -> Iterator[Path]:
    for path in sorted(CORPORA.rglob("*.y*ml")):
        if path.stat().st_size < 30_000:
            yield path


@pytest.mark.skipif(not CORPORA.is_dir(), reason="the shared corpora are not here")
def test_real_manifests_are_built_as_pyyaml_builds_them() -> None:
    compared = 0
    for path in corpus():
        text = path.read_text(encoding="utf-8")
        try:
            expected = [comparable(value) for value in yaml.load_all(text, Loader=PlainLoader) if value is not None]
        except (yaml.YAMLError, TypeError):  # broken on purpose, or a template
            assert any(code in {"GS-IN-001", "GS-IN-002", "GS-IN-020"} for code, _ in problems(text)), path
            continue
        built = [event.body for event in read(text) if isinstance(event, Item)]
        assert built == [item for value in expected if isinstance(value, dict) for item in objects(value)], path
        compared += len(expected)
    assert compared > 1000


@pytest.mark.skipif(not CORPORA.is_dir(), reason="the shared corpora are not here")
def test_json_is_yaml() -> None:
    text = (CORPORA / "dumps" / "real-cluster" / "cluster.json").read_text(encoding="utf-8")
    events = read(text)
    assert [event.body for event in events[:-1] if isinstance(event, Item)] == [
        comparable(item) for item in json.loads(text)["items"]
    ]
    assert isinstance(events[-1], Envelope)
    assert events[-1].kind == "List"


WRITTEN = [
    *("", " ", "a ", " a", "a:", ":a", "a: b", "a #b", "a#b", "#a", "- a", "-", "---", "...", "?", "? a", "[a", "a]", "{a", "a,b", "&a", "*a", "*"),
    *("!a", "|", ">", "'", '"', "a'b", 'a"b', "%a", "@a", "`a", "<<", "=", "~", "a\nb", "a\tb", "a\\b", "\0", "\x1b", "\x7f", "\x85", "\xa0"),
    *("\u2028", "\ufeff", "\uffff", "é", "日本", "😀", "\u202e", "a/b", "system:masters", "rbac.authorization.k8s.io/v1", "a  b", "a b:c", "y", "N"),
    *("null", "NULL", "True", "oN", "nan", ".inf", "123e4567", "0o7", "1_000", "12:30", "2026-01-01", "0x1F", "1.", ".5", "+1", "0b1", "1e3", "089"),
]  # fmt: skip


@pytest.mark.parametrize("text", WRITTEN, ids=ascii)
def test_written_string_is_read_back(text: str) -> None:
    written = quote_if_needed(text)
    for document in (f"a: {written}\n", f"- {written}\n", f"{{a: {written}, b: [{written}]}}", f"{written}: a\n"):
        for loader in (yaml.SafeLoader, yaml.CSafeLoader):
            value = yaml.load(document, Loader=loader)  # noqa: S506
            assert text in (value if isinstance(value, list) else [*value, *value.values()]), document
    assert bodies(f"a: {written}") == [{"a": text}]


def test_plain_where_it_is_safe() -> None:
    for text in ("pods/exec", "system:masters", "rbac.authorization.k8s.io/v1", "kube-system", "hello world"):
        assert quote_if_needed(text) == text
    assert quote_if_needed("yes") == '"yes"'
    assert quote_if_needed("a\ud800") == '"a\\ufffd"'


def test_bytes_under_the_binary_tag() -> None:
    encoded = base64.b64encode("é".encode()).decode()
    assert bodies(f"a: !!binary {encoded}") == [{"a": "é"}]
