"""What pages repeat of the code is what the code says, and their Python runs; as a script, this file rewrites the pages.

python tests/test_generated_docs.py
"""

from __future__ import annotations

import doctest
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import typer
from test_docs import terminal

import graphsec as gs
from graphsec.cli import _all
from graphsec.cli._arguments import COMMANDS
from graphsec.cli.app import app
from graphsec.model.attack import ASSUMPTIONS, Example, Rule
from graphsec.model.diagnostic import CODES, Code
from graphsec.model.vocabulary import EdgeKind, NodeKind
from graphsec.query._columns import ASKS, columns_of
from graphsec.query._match_graph import KINDS, LABELS, UNIONS, attribute_columns
from graphsec.query._saved import builtin_directory, load_queries
from graphsec.query.export import EXPORTS
from graphsec.query.lang import Column
from graphsec.render import renderers
from graphsec.rules import page as page_of
from graphsec.rules import rules

ROOT = Path(__file__).parents[1]
PAGES = sorted(path for path in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
_PYTHON = re.compile(r"^```pycon\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SESSION = re.compile(r"^(\$ (graphsec .*)\n)((?:(?!\$ |```).*\n)*)", re.MULTILINE)

Rows = Iterator[tuple[str, ...]]


def test_every_generated_part_is_what_the_code_says() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert text == generated(text), f"{page.name} is not up to date: python {Path(__file__).relative_to(ROOT)}"


def test_every_generator_has_its_place() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert {name for name in PARTS if f"<!-- begin {name} -->" not in pages} == set()


@pytest.mark.parametrize("name", sorted({kind.value for kind in (*NodeKind, *EdgeKind)}))
def test_every_kind_of_the_graph_has_its_row(name: str) -> None:
    assert f"| `{name}` |" in (ROOT / "docs" / "graph.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", gs.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    assert re.search(rf"\b{name}\b", (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "page", [page for page in PAGES if _PYTHON.search(page.read_text())], ids=lambda page: page.name
)
def test_python_runs(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    blocks = "\n".join(_PYTHON.findall(page.read_text(encoding="utf-8")))
    test = doctest.DocTestParser().get_doctest(blocks, {}, page.name, str(page), 0)
    failed = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE).run(test).failed
    assert failed == 0


# -- writing -----------------------------------------------------------------------------------------------------


def generated(page: str) -> str:
    """The page with every part between its markers written anew."""
    for name, lines in PARTS.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        if begin in page:
            before, _, rest = page.partition(begin)
            page = before + "\n".join((begin, *lines(), end)) + rest.partition(end)[2]
    return page


def _table(head: tuple[str, ...], rows: Rows) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def _diagnostics() -> Iterator[str]:
    for code in CODES.values():
        yield from (f"## {code.code}: {code.title}", "", f"{code.severity.capitalize()}; {_consequence(code)}.", "")
        yield from (code.meaning, "", f"**Remedy.** {code.remedy}", "")


def _consequence(code: Code) -> str:
    if code.limit:
        return "exit code 4"
    return "exit code 3 with `--strict`" if code.fails_strict else "no failure, with `--strict` neither"


def _saved_queries() -> Iterator[str]:
    queries = load_queries([builtin_directory()])
    rows = ((f"`{query.id}`", query.severity, query.title, " ".join(query.tags)) for query in queries)
    return _table(("Id", "Severity", "Title", "Tags"), rows)


def _query_columns() -> Iterator[str]:
    for ask in ASKS:
        yield from (f"`{ask}`:", "")
        rows = (_column_row(column) for column in columns_of(ask).schema.columns.values())
        yield from (*_table(("Column", "Type", "Is"), rows), "")


def _column_row(column: Column) -> tuple[str, ...]:
    absent = " (may be absent)" if column.optional and "absent" not in column.help else ""
    return f"`{column.name}`", column.type.value, f"{column.help}{absent}"


def _pattern_labels() -> Iterator[str]:
    rows = ((f"`{label}`", UNIONS.get(label, f"a {label} of the graph")) for label in LABELS)
    return _table(("Label", "Is"), rows)


def _pattern_edges() -> Iterator[str]:
    rows = ((f"`{name}`", f"`{kind.value}`") for name, kind in KINDS.items())
    return _table(("Kind", "Edge of the graph"), rows)


def _pattern_columns() -> Iterator[str]:
    return _table(("Column", "Type", "Is"), (_column_row(column) for column in attribute_columns("w")))


def _formats() -> Iterator[str]:
    rows = ((f"`{name}`", f"`{found.suffix}`", found.help) for name, found in sorted(renderers().items()))
    return _table(("Format", "Suffix", "For"), rows)


def _exports() -> Iterator[str]:
    rows = ((f"`{name}`", f"`{found.suffix}`", found.help) for name, found in sorted(EXPORTS.items()))
    return _table(("Format", "Suffix", "For"), rows)


def _commands() -> Iterator[str]:
    for name, command in _all_commands():
        arguments = " ".join(_usage(parameter) for parameter in command.params if not _flags(parameter))
        yield from (f"### {name}", "", f"`graphsec {f'{name} {arguments}'.rstrip()}`", "", command.help, "")
        own = [parameter for parameter in command.params if not _is_shared(parameter) or not _takes_input(command)]
        described = [*_rows(own)]
        if described:
            yield from (*_table(("Argument or flag", "Meaning"), iter(described)), "")
        if _takes_input(command):
            yield from ("Takes the [shared flags](#shared-flags).", "")


def _shared_flags() -> Iterator[str]:
    command = dict(_all_commands())["who-can"]
    shared = [parameter for parameter in command.params if _is_shared(parameter)]
    for panel in dict.fromkeys(parameter.rich_help_panel for parameter in shared):
        members = [parameter for parameter in shared if parameter.rich_help_panel == panel]
        yield from (f"**{panel}**", "", *_table(("Flag", "Meaning"), _rows(members)), "")


def _all_commands() -> Iterator[tuple[str, Any]]:
    assert _all.__name__
    root: Any = typer.main.get_command(app)
    # Groups come last: which was imported first must not matter.
    ordered = sorted(root.commands.items(), key=lambda pair: (hasattr(pair[1], "commands"), COMMANDS.index(pair[0])))
    for name, command in ordered:
        inner = getattr(command, "commands", {})
        yield from ((f"{name} {sub}", found) for sub, found in inner.items())
        if not inner:
            yield name, command


def _usage(argument: Any) -> str:
    word: str = argument.metavar or argument.name.upper()
    return word if argument.required or word.startswith("[") else f"[{word}]"


def _rows(parameters: list[Any]) -> Rows:
    for parameter in parameters:
        spelled = ", ".join(f"`{flag}`" for flag in _flags(parameter))
        default = parameter.default if isinstance(parameter.default, int | str) else ""
        stated = (
            f" Default: `{default}`." if default and default != -1 and not getattr(parameter, "is_flag", False) else ""
        )
        yield spelled or f"`{parameter.metavar or parameter.name.upper()}`", f"{parameter.help or ''}{stated}"


def _flags(parameter: Any) -> list[str]:
    return [flag for flag in parameter.opts if flag.startswith("-")]


def _is_shared(parameter: Any) -> bool:
    return getattr(parameter, "rich_help_panel", None) is not None


def _takes_input(command: Any) -> bool:
    return any("--filename" in parameter.opts for parameter in command.params)


_FAMILIES = sorted({rule.family for rule in rules().values()})
_VERDICTS = {"none": "no path"}


def _assumptions() -> Iterator[str]:
    rows = (
        (f"`{name}`", words, " ".join(_to_page(rule) for rule in rules().values() if name in rule.assumes) or "-")
        for name, words in ASSUMPTIONS.items()
    )
    return _table(("Assumption", "It is taken that", "By name in the rules"), rows)


def _to_page(rule: Rule, folder: str = "rules/") -> str:
    return f"[{rule.id}]({folder}{rule.family}.md#{rule.id})"


def _rule_index() -> Iterator[str]:
    rows = (
        (_to_page(rule, ""), rule.family, rule.severity, rule.confidence.value, rule.title)
        for rule in sorted(rules().values(), key=lambda rule: (rule.family, rule.id))
    )
    return _table(("Rule", "Family", "Severity", "Confidence", "Title"), rows)


def _rules_of(family: str) -> Iterator[str]:
    for rule in rules().values():
        if rule.family == family:
            yield from _rule(rule)


def _rule(rule: Rule) -> Iterator[str]:
    # An id is an anchor of its own; the title, which is the first line of the page, stands below it.
    _, _, rest = page_of(rule).partition("\n")
    facts = [rule.severity.capitalize(), rule.confidence.value]
    facts += [_minors(rule)] if rule.since or rule.until < 1_000 else []
    facts += [_tag(tag) for tag in (*rule.attack, *rule.microsoft)]
    yield from (f"## {rule.id}", "", f"{rule.title}.", "", f"{', '.join(facts)}.", "")
    yield f"- Needs: {rule.needs}"
    yield f"- Gains: {rule.gains}"
    if rule.assumes:
        yield f"- May rest on: {', '.join(f'`{name}`' for name in rule.assumes)} ([assumptions](../attacks.md#assumptions))"
    for section in re.split(r"\n(?=[A-Z][a-z ]+:\n)", rest.strip()):
        heading, _, text = section.strip().partition(":\n")
        yield from ("", f"**{heading}.**" + ("\n" if text.startswith("-") else ""), text.rstrip())
    yield from ("", *_table(("Example", "Asked", "Answer"), map(_example, rule.examples)), "")


def _minors(rule: Rule) -> str:
    return " ".join([f"from 1.{rule.since} on"] * bool(rule.since) + [f"below 1.{rule.until}"] * (rule.until < 1_000))


def _tag(tag: str) -> str:
    if tag.startswith("MS-"):
        return f"[{tag}](https://microsoft.github.io/Threat-Matrix-for-Kubernetes/)"
    return f"[{tag}](https://attack.mitre.org/techniques/{tag.replace('.', '/')}/)"


def _example(example: Example) -> tuple[str, ...]:
    version = "" if example.k8s_version == "1.36" else f" (Kubernetes {example.k8s_version})"
    asked = f"`{example.start}` to `{example.goal}`"
    return example.title + version, asked, _VERDICTS.get(example.verdict, example.verdict)


PARTS: dict[str, Callable[[], Iterator[str]]] = {
    "diagnostics": _diagnostics,
    "saved queries": _saved_queries,
    "query columns": _query_columns,
    "pattern labels": _pattern_labels,
    "pattern edges": _pattern_edges,
    "pattern columns": _pattern_columns,
    "formats": _formats,
    "exports": _exports,
    "commands": _commands,
    "shared flags": _shared_flags,
    "assumptions": _assumptions,
    "rule index": _rule_index,
    **{f"rules of {family}": partial(_rules_of, family) for family in _FAMILIES},
}


def _run_anew(session: re.Match[str]) -> str:
    """A command of a console block with what it prints now; `tests/test_docs.py` compares the same."""
    if re.search(r"^(?:\.\.\.|…)$", session[3], re.MULTILINE):
        return session[0]
    return session[1] + "\n".join(line.rstrip() for line in terminal(session[2]).strip("\n").splitlines()) + "\n"


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(_SESSION.sub(_run_anew, generated(path.read_text(encoding="utf-8"))), encoding="utf-8")
