"""The language of saved queries: conditions agree with their meaning row by row, mistakes are told by line and column, and
nothing that a file holds makes it fail otherwise or run long."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from condition_reference import holds
from hypothesis import given, settings
from hypothesis import strategies as st

import graphsec as gs
from graphsec.loading.yaml_places import YamlPlaces
from graphsec.query import _columns, _saved
from graphsec.query._asks import ASKS
from graphsec.query.lang import Column, MisreadError, Schema, Table, Type, compile_condition, compile_pattern
from graphsec.query.lang.regex import compile_regex

SCHEMA = Schema.of(
    "things",
    [
        Column("s.kind", Type.STRING, "always there"),
        Column("s.ns", Type.STRING, "sometimes absent", optional=True),
        Column("n", Type.INT, ""),
        Column("b", Type.BOOL, ""),
        Column("verbs", Type.STRINGS, ""),
        Column("ports", Type.INTS, ""),
        Column("w.labels", Type.MAP, ""),
    ],
)
PARAMS = {"names": Type.STRINGS, "word": Type.STRING, "most": Type.INT, "on": Type.BOOL}
WORDS = st.sampled_from(["", "a", "b", "ab", "ba", "kube-system", "A", "ä", "a\nb"])
NUMBERS = st.integers(-3, 3)
ROW = st.fixed_dictionaries(
    {
        "s.kind": WORDS,
        "s.ns": st.none() | WORDS,
        "n": NUMBERS,
        "b": st.booleans(),
        "verbs": st.lists(WORDS, max_size=4).map(tuple),
        "ports": st.lists(NUMBERS, max_size=4).map(tuple),
        "w.labels": st.dictionaries(st.sampled_from(["app", "x/y"]), WORDS),
    }
)
GIVEN = st.fixed_dictionaries(
    {"names": st.lists(WORDS, max_size=3).map(tuple), "word": WORDS, "most": NUMBERS, "on": st.booleans()}
)


def literal(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def strings(variables: tuple[str, ...]) -> st.SearchStrategy[str]:
    names = ["s.kind", "s.ns", "w.labels.app", 'w.labels["x/y"]', "params.word", *variables]
    return st.sampled_from(names) | WORDS.map(literal)


def ints(number_variables: tuple[str, ...]) -> st.SearchStrategy[str]:
    names = ["n", "params.most", "size(verbs)", "ports.size()", "s.ns.size()", *number_variables]
    return st.sampled_from(names) | NUMBERS.map(str)


LISTS = st.sampled_from(["verbs", "params.names"]) | st.lists(WORDS, max_size=3).map(
    lambda words: f"[{', '.join(map(literal, words))}]"
)
INT_LISTS = st.just("ports") | st.lists(NUMBERS, min_size=1, max_size=3).map(str)
PATTERNS = ["^a$", "^(a|b)+$", "^[^a-y]*$", "^.*b.?$", "^\\\\w{1,2}$", "^kube-.*$", "^$"]


def leaves(variables: tuple[str, ...], numbers: tuple[str, ...]) -> st.SearchStrategy[str]:
    text, number = strings(variables), ints(numbers)
    comparison = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
    method = st.sampled_from(["startsWith", "endsWith", "contains"])
    return st.one_of(
        st.builds("{} {} {}".format, text, comparison, text),
        st.builds("{} {} {}".format, number, comparison, number),
        st.builds("{} in {}".format, text, LISTS),
        st.builds("{} in {}".format, number, INT_LISTS),
        st.builds("{}.{}({})".format, text, method, text),
        st.builds('{}.matches("{}")'.format, text, st.sampled_from(PATTERNS)),
        st.sampled_from(["b", "params.on", "true", "has(s.ns)", "has(w.labels.app)", "has(s.kind)"]),
    )


def conditions(
    depth: int = 2, variables: tuple[str, ...] = (), numbers: tuple[str, ...] = ()
) -> st.SearchStrategy[str]:
    leaf = leaves(variables, numbers)
    if depth == 0:
        return leaf
    inner = st.deferred(lambda: conditions(depth - 1, variables, numbers))
    word, number = f"v{depth}", f"i{depth}"
    macro = st.sampled_from(["exists", "all"])
    options = [
        leaf,
        st.builds("!({})".format, inner),
        st.builds("({}) && ({})".format, inner, inner),
        st.builds("({}) || ({}) || {}".format, inner, inner, leaf),
        st.builds("({}) == ({})".format, inner, inner),
    ]
    if len(variables) + len(numbers) < 2:
        with_word = st.deferred(lambda: conditions(depth - 1, (*variables, word), numbers))
        with_number = st.deferred(lambda: conditions(depth - 1, variables, (*numbers, number)))
        options += [
            st.builds("{}.{}({}, {})".format, LISTS, macro, st.just(word), with_word),
            st.builds("{}.{}({}, {})".format, INT_LISTS, macro, st.just(number), with_number),
        ]
    return st.one_of(options)


def table(rows: list[dict[str, Any]]) -> Table:
    return Table(len(rows), lambda column: [row[column.name] for row in rows])


@settings(max_examples=400, deadline=None)
@given(conditions(), st.lists(ROW, max_size=6), GIVEN)
def test_a_condition_means_row_by_row_what_it_means_for_all(
    text: str, rows: list[dict[str, Any]], values: dict[str, Any]
) -> None:
    condition = compile_condition(text, SCHEMA, PARAMS)
    expected = [holds(text, row, values) for row in rows]
    assert condition.mask(table(rows), values).tolist() == expected
    parts = [part.mask(table(rows), values) for part in condition.parts]
    assert np.logical_and.reduce(parts).tolist() == expected


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "(a|b)", "(?:ab)", "\\d", "c"]), max_size=5), st.data())
def test_patterns_match_as_those_of_python(atoms: list[str], data: st.DataObject) -> None:
    quantified = [atom + data.draw(st.sampled_from(["", "*", "+", "?", "{2}", "{1,}", "{0,2}"])) for atom in atoms]
    pattern = f"^{''.join(quantified)}$"
    text = data.draw(st.text("ab1c\n", max_size=8))
    assert compile_regex(pattern).matches(text) is (re.fullmatch(pattern[1:-1], text, re.ASCII) is not None)


# -- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ('s.kin == "a"', 0, "`s.kin` is no column of things (did you mean `s.kind`?)"),
        ('b && s == "a"', 5, "`s` has members: `s.kind`, `s.ns`"),
        ("n < s.kind", 2, "`<` compares an int with a string"),
        ("verbs == verbs", 6, "`==` does not compare a list of strings"),
        ("b < b", 2, "`<` does not compare a bool"),
        ("n", 0, "a condition expected, not an int"),
        ('"a" in s.kind', 7, "`in` looks into a list, not into a string"),
        ("n in verbs", 2, "`in` looks for an int in a list of strings"),
        ("n in params.name", 5, "`params.name` is no parameter (did you mean `names`?)"),
        ("w.labels == 1", 0, "`w.labels` is a map: name a key"),
        ('n["x"] == "a"', 0, "`n` is an int: it has no keys"),
        ("n + 1 == 2", 2, "a condition has no arithmetic"),
        ("b ? b : b", 2, "a condition has no `? :`"),
        ("n == n == b", 7, "comparisons do not chain"),
        ("b &&", 4, "a value expected, not the end"),
        ("(b", 2, "`)` expected, not the end"),
        ("s.kind == 'a", 10, "a string without its end"),
        ("s.kind == '\\q'", 11, "unknown escape `\\q`"),
        ("b # b", 2, "unexpected '#'"),
        ("n == 9223372036854775808", 5, "a number of more than 64 bits"),
        ("foo(b)", 0, "no function `foo`"),
        ("startsWith(s.kind, 'a')", 0, "it is a method: `x.startsWith(...)`"),
        ("s.kind.startWith('a')", 7, "no method `startWith` (did you mean `startsWith`?)"),
        ("s.kind.startsWith(n)", 18, "`startsWith` takes a string, not an int"),
        ("verbs.contains('a')", 6, "`contains` is a method of strings, not of a list of strings"),
        ("has(b)", 4, "`has` takes a member"),
        ("has(params.word)", 0, "`has` takes one column"),
        ("verbs.exists(n, b)", 13, "`n` is taken"),
        ("verbs.exists(v, v)", 16, "a condition expected, not a string"),
        ("verbs.exists(v, v == 'a') && v == 'a'", 29, "`v` is no column"),
        ("s.kind.exists(v, b)", 7, "`exists` is a method of lists, not of a string"),
        ("s.kind.matches('a')", 15, "both of its ends"),
        ("s.kind.matches('^a|b$')", 15, "alternatives between the ends need parentheses"),
        ("s.kind.matches('^(a+)+$')", 15, "a repetition within a repetition"),
        ("s.kind.matches('^(a|b?)*$')", 15, "a repetition within a repetition"),
        ("s.kind.matches('^a**$')", 15, "two quantifiers in a row"),
        ("s.kind.matches('^(?=a)$')", 15, "no look-around"),
        ("s.kind.matches('^(?i)a$')", 15, "no look-around, flags"),
        (r"s.kind.matches(r'^(a)\1$')", 15, "no back-references"),
        ("s.kind.matches('^(a{100}b{100}){100}$')", 15, "a repetition within a repetition"),
        ("s.kind.matches('^(abcdefghij(a|b)(c|d)(e|f)){100}(abcdefghij(a|b)(c|d)(e|f)){100}$')", 15, "2,000 states"),
        (f"s.kind.matches('^{'a' * 200}$')", 15, "more than 200 characters"),
        ("s.kind.matches(s.kind)", 15, "`matches` takes a string literal"),
        ("(" * 10_000, 4_000, "longer than 4,000 characters"),
        ("(" * 3_000, 32, "nested deeper than 32"),
        ("!" * 3_000 + "b", 32, "nested deeper than 32"),
        ("b == (" * 600, 96, "nested deeper than 32"),
        ("n" + ".a" * 1_000, 17, "more than 8 members in a row"),
        ("n == " + "9" * 3_000, 5, "a number of more than 64 bits"),
        ("verbs.all(x, verbs.all(y, verbs.all(z, x == y)))", 32, "more than 2 of `exists` and `all`"),
        (f"verbs.all(x, verbs.all(y, x in verbs{' || x.contains(y)' * 8}))", 6, "operations for each row"),
    ],
)
def test_a_condition_is_refused_at_its_offset(text: str, offset: int, message: str) -> None:
    with pytest.raises(MisreadError) as caught:
        compile_condition(text, SCHEMA, PARAMS)
    assert message in caught.value.message
    assert caught.value.offset == offset


@settings(max_examples=500, deadline=None)
@given(
    st.text(max_size=60)
    | st.lists(
        st.sampled_from(
            [*"()[]!<>.,|&:*-+", "&&", "||", "==", "in", "n", "b", "s.kind", "verbs", "exists", "has", "'a'", "1", "->"]
        ),
        max_size=30,
    ).map(" ".join)
)
def test_no_text_fails_otherwise(text: str) -> None:
    for read in (
        lambda: compile_condition(text, SCHEMA, PARAMS),
        lambda: compile_pattern(text, ("Pod",), ("RUNS_AS",)),
        lambda: compile_regex(text),
    ):
        assert offset_of(read) in range(len(text) + 1)


def offset_of(read: Callable[[], object]) -> int:
    """Of the mistake, 0 without any."""
    try:
        read()
    except MisreadError as error:
        return error.offset
    return 0


def test_a_pattern_that_backtracks_elsewhere_takes_its_length() -> None:
    """Alternatives that overlap are exponential for engines that backtrack; 100,000 characters are a moment here."""
    regex = compile_regex("^(a|a|aa)*(b|.*b.*b.*b)$")
    assert not regex.matches("a" * 100_000)
    assert regex.matches("a" * 100_000 + "b")


def test_a_long_chain_is_flat() -> None:
    text = " || ".join(["b"] * 700)
    assert compile_condition(text, SCHEMA, PARAMS).cost < 2_000


# -- where a mistake stands --------------------------------------------------------------------------------------

FILE = """\
apiVersion: graphsec/v1
id: ORG-SEC-001
title: Who can read secrets
severity: high
description: They are secret.
remediation: Name them.
params:
  namespaces: {type: list, default: [kube-system], help: Trusted}
ask: who_can
verbs: [read]
resource: secrets
"""


def refusal(folder: Path, text: str) -> str:
    (folder / "q.yaml").write_text(text)
    with pytest.raises(gs.UsageError) as caught:
        _saved.load_queries([folder])
    assert caught.value.exit_code == 2
    return caught.value.message.replace(f"{folder}/", "")


@pytest.mark.parametrize(
    ("style", "place"),
    [
        ('where: scope == "x" && subjct.kind == "User"\n', "12:24"),
        ("where: 'scope == ''x'' && subjct.kind == ''User'''\n", "12:27"),
        ('where: "scope == \\"x\\" && \\x73ubjct.kind == \\"User\\""\n', "12:27"),
        ('where: >-\n  scope == "x"\n  && subjct.kind == "User"\n', "14:6"),
        ('where: |   # a comment\n    scope == "x"\n\n      && subjct.kind == "User"\n', "15:10"),
        ('where:\n  scope == "x"\n  && subjct.kind == "User"\n', "14:6"),
    ],
)
def test_a_mistake_is_told_by_line_and_column_however_the_condition_is_written(
    tmp_path: Path, style: str, place: str
) -> None:
    assert refusal(tmp_path, FILE + style).startswith(f"q.yaml:{place}: `where`: `subjct.kind` is no column of who_can")


@settings(max_examples=200, deadline=None)
@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], include_characters="\n\t "), min_size=1),
    st.sampled_from([None, "'", '"', "|", ">"]),
    st.data(),
)
def test_every_character_of_a_scalar_is_found_in_the_file(value: str, style: str | None, data: st.DataObject) -> None:
    text = yaml.dump({"x": 1, "where": value}, default_style=style, allow_unicode=True, width=20)
    read = yaml.safe_load(text)["where"]
    visible = [offset for offset, character in enumerate(read) if not character.isspace()]
    if visible and read.isprintable():
        offset = data.draw(st.sampled_from(visible))
        line, column = YamlPlaces(text).value(("where",), offset)
        lines = re.split(r"\r\n|\r|\n", text)
        written = lines[line - 1][column - 1]
        assert written in (read[offset], "\\")


@pytest.mark.parametrize(
    ("added", "message"),
    [
        (
            "where: subject.namespace in params.namespace\n",
            "12:29: `where`: `params.namespace` is no parameter (did you",
        ),
        ("message: '{subject} {verb}'\n", "12:22: `message`: `verb` is no column of who_can (did you mean `verbs`?)"),
        ("message: '{subject!r}'\n", "12:11: `message`: braces hold the name of a column and nothing else"),
        ("message: '{subject.__class__}'\n", "12:12: `message`: `subject.__class__` is no column"),
        ("message: '{0}'\n", "12:11: `message`: braces hold"),
        ("only: User/ann\n", "12:1: `only`: expected `array`, got `str`"),
        ("limit: 5\n", "12:1: unknown key `limit`"),
    ],
)
def test_keys_are_checked_when_a_file_loads(tmp_path: Path, added: str, message: str) -> None:
    assert refusal(tmp_path, FILE + added).startswith(f"q.yaml:{message}")


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ("{type: list, default: kube-system}", "8:15: `params`: the default of `namespaces` is no list"),
        ("{type: int, default: true}", "8:15: `params`: the default of `namespaces` is no int"),
        ("{type: bool, default: 1}", "8:15: `params`: the default of `namespaces` is no bool"),
        ("{type: list, default: [1]}", "8:38: `params`: expected `str`, got `int`"),
        ("{type: float, default: 1}", "8:16: `params`: 'float' is none of list, string, int, bool"),
        ("{type: list}", "8:3: `params`: required key `default` is missing"),
        ("{type: list, default: [], hlp: x}", "8:41: `params`: unknown key `hlp`"),
        ("5", "8:3: `params`: expected `object`, got `int`"),
    ],
)
def test_parameters_are_checked_when_a_file_loads(tmp_path: Path, declared: str, message: str) -> None:
    text = FILE.replace("{type: list, default: [kube-system], help: Trusted}", declared)
    assert refusal(tmp_path, text).startswith(f"q.yaml:{message}")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_file_loads_or_is_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    whole = (
        FILE + "where: subject.kind.matches('^U.*$') && scope in params.namespaces\nmessage: '{subject}'\nonly: [a]\n"
    )
    text = data.draw(st.sampled_from([whole, MATCH]))
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, min(len(text), begin + 12)))
    damaged = (
        text[:begin]
        + data.draw(st.text(st.sampled_from("ab:{}[]()'\"|>-&*!\n .,0#%@\t\x00é"), max_size=6))
        + text[end:]
    )
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "q.yaml").write_text(damaged)
    assert re.match(r".*q\.yaml:\d+(:\d+)?: |$", complaint(folder))


def complaint(folder: Path) -> str:
    try:
        _saved.load_queries([folder])
    except gs.UsageError as error:
        return error.message
    return ""


# -- parameters, messages, assertions ----------------------------------------------------------------------------

RBAC = "rbac.authorization.k8s.io"


def readers(*accounts: str) -> dict[str, Any]:
    """A ClusterRole that reads Secrets, bound to ServiceAccounts `NAMESPACE/NAME`."""
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
    role = {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": "reader"}, "rules": [rule]}
    bound = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "readers"},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "reader"},
        "subjects": [
            {"kind": "ServiceAccount", "namespace": namespace, "name": name}
            for namespace, _, name in (account.partition("/") for account in accounts)
        ],
    }
    return {"apiVersion": "v1", "kind": "List", "items": [role, bound]}


def load_one(folder: Path, text: str) -> _saved.SavedQuery:
    (folder / "q.yaml").write_text(text)
    return _saved.load_queries([folder])[0]


def test_a_query_with_a_condition_parameters_and_a_message(tmp_path: Path) -> None:
    text = FILE + (
        'where: subject.kind == "ServiceAccount" && !(subject.namespace in params.namespaces) && !grant.builtin\n'
        'message: "{subject} can {verbs} secrets {names} via {binding}"\n'
    )
    query = load_one(tmp_path, text)
    world = gs.load(readers("ci/deployer", "kube-system/x"))
    answer = _saved.run(query, world)
    assert [query.told(world, item) for item in answer] == [
        "ServiceAccount/ci/deployer can get secrets - via ClusterRoleBinding/readers"
    ]
    other = query.with_params(["namespaces=ci, ops"])
    assert [query.finding(item) for item in _saved.run(other, world)] == ["ServiceAccount/kube-system/x"]
    assert _saved.run(other, world).question.command() == "query run ORG-SEC-001 --param namespaces=ci,ops"
    none = query.with_params(["namespaces="])
    assert len(_saved.run(none, world)) == 2
    for word, message in (
        ("namespace=ci", "no parameter `namespace` (did you mean `namespaces`?)"),
        ("namespaces", "no value"),
    ):
        with pytest.raises(gs.UsageError, match=re.escape(message)):
            query.with_params([word])
    with pytest.raises(gs.UsageError, match="given twice"):
        query.with_params(["namespaces=a", "namespaces=b"])


def test_parameters_of_other_types_are_checked(tmp_path: Path) -> None:
    declared = "params: {most: {type: int, default: 1}, all: {type: bool, default: false}}\n"
    text = re.sub(r"params:\n.*\n", declared, FILE) + "where: params.all || size(bindings) > params.most\n"
    query = load_one(tmp_path, text)
    world = gs.load(readers("ci/deployer"))
    found = {word: len(_saved.run(query.with_params([word]), world)) for word in ("most=0", "most=1", "all=true")}
    assert found == {"most=0": 1, "most=1": 0, "all=true": 1}
    for word in ("most=x", "most=9223372036854775808", "all=yes", f"most={'9' * 5000}"):
        with pytest.raises(gs.UsageError, match="takes a"):
            query.with_params([word])


def test_nobody_but_these_may_do_this(tmp_path: Path) -> None:
    query = load_one(tmp_path, FILE + "only: [ServiceAccount/vault/*, User/ann]\n")
    world = gs.load(readers("vault/agent", "ci/deployer", "vault2/x"))
    answer = _saved.run(query, world)
    assert [query.finding(item) for item in answer] == ["ServiceAccount/ci/deployer", "ServiceAccount/vault2/x"]
    assert "`only` lists `User/ann`, which is not found" in answer.notes
    assert not _saved.run(query, gs.load(readers("vault/agent")))


def test_every_column_of_every_ask_can_be_read(tmp_path: Path) -> None:
    """Of everything that the built-in queries find in their bad worlds."""
    root = Path(__file__).parents[1]
    read = set()
    for query in _saved.load_queries([_saved.builtin_directory()]):
        if query.ask == "match":
            continue
        columns = _columns.columns_of(query.ask)
        world = gs.load(str(root / "fixtures" / f"{query.expect[0].world}.yaml"), with_defaults=True)
        items = _saved.run(query, world).items
        for column in columns.schema.columns.values():
            values = [columns.value(world, item, column) for item in items]
            fitting: dict[Type, Any] = {Type.STRING: str, Type.BOOL: bool, Type.INT: int, Type.STRINGS: (tuple, list)}
            assert all(
                isinstance(value, fitting[column.type]) or (value is None and column.optional) for value in values
            )
            columns.table(world, items).column(column)
        read.add(query.ask)
    assert read >= set(_columns.ASKS) - {"can_i"}


def test_every_ask_has_columns() -> None:
    assert set(ASKS) == {*_columns.ASKS, "match"}
    for ask in _columns.ASKS:
        schema = _columns.columns_of(ask).schema
        # What may be absent is a member, so that `has` can ask for it as in CEL.
        assert all("." in column.name for column in schema.columns.values() if column.optional)
        assert {"params", "in", "true", "false"}.isdisjoint(name.partition(".")[0] for name in schema.columns)
        assert set(schema.shorthand.values()) <= set(schema.columns)


MATCH = """\
apiVersion: graphsec/v1
id: ORG-PATH-001
title: Pods that become cluster-admin
severity: high
description: They are the cluster.
remediation: Take it away.
ask: match
match: (w:Pod)-[:RUNS_AS]->(s:ServiceAccount)-[:ATTACK*1..6]->(t:Sink)
where: t.name == "cluster-admin" && !s.builtin
return: [s, path]
group_by: w.workload
message: "{w} becomes {t}: {path}"
"""
