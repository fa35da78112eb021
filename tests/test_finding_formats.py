"""Formats of findings: valid by the schemas of those who read them, within their limits, and all telling one set."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, cast
from urllib.parse import unquote

import jsonschema
import pytest
import xmlschema
from conftest import ROOT, Graphsec
from hostile_names import HOSTILE
from test_outputs import assert_nothing_unseen, manifests

import graphsec as gs
from graphsec.model.diagnostic import Diagnostic
from graphsec.model.ref import Source
from graphsec.model.text import safe
from graphsec.query._baseline import baseline_of
from graphsec.query._exceptions import Exception_, Exceptions
from graphsec.query._finding import Exemption, Finding, FindingRule, Hop
from graphsec.query.check import Check, Checked
from graphsec.render import Options, renderers, sarif
from graphsec.render._findings import GATED, place, sentence
from graphsec.render._findings_markdown import MAX_CHARACTERS
from graphsec.render._schemas import schema

FORMATS = ("sarif", "junit", "github", "gitlab", "prometheus", "html")
STATES = ("new", "unchanged", "suppressed")
SCHEMAS = ROOT / "fixtures" / "schemas"
WORLDS = sorted(path for path in (ROOT / "fixtures" / "worlds").glob("*/*.yaml") if path.name != "answers.yaml")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def write(answer: gs.Answer[Any], name: str) -> str:
    text = renderers()[name].render(answer, Options())
    assert isinstance(text, str)
    text.encode()
    return text


def in_all_states(world: gs.World, packs: Sequence[str] = ("reviewer",)) -> Checked:
    """Of three findings one is new, one is known and one excepted."""
    first = gs.check(world, packs)
    question = cast("Check", first.question)
    known = baseline_of(first.items[1::3], "baseline.json")
    excepted = tuple(
        Exception_(
            found.id,
            (("subject", found.subject.replace("[", "[[]")),),
            Exemption(reason="reviewed | <b>*", owner="platform", expires="2027-03-31"),
        )
        for found in first.items[2::3]
    )
    return Check(
        queries=question.queries,
        packs=question.packs,
        exceptions=Exceptions(excepted),
        baseline=known,
        as_of=date(2026, 1, 1),
    ).answer(world)


@cache
def demo() -> Checked:
    answer = in_all_states(gs.load(ROOT / "fixtures" / "demo", with_defaults=True))
    assert {finding.state for finding in answer} == set(STATES)
    return answer


#: Readers refuse names with line breaks and NUL in some places; what a world can hold, a report must.
NAMES = [name for name in HOSTILE if name and not re.search("[\ud800-\udfff]", name)]


@cache
def hostile() -> Checked:
    return in_all_states(gs.load(*manifests(NAMES)))


@dataclass(frozen=True)
class Big:
    """Findings without end, which no small world has."""

    ask: ClassVar[str] = "check"
    listed: tuple[FindingRule, ...]
    found: tuple[Finding, ...] = field(repr=False)

    def command(self) -> str:
        return "check"

    def to_dict(self) -> dict[str, Any]:
        return {}

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        return ()

    def rules(self) -> Sequence[FindingRule]:
        return self.listed

    def findings(self, _: gs.Answer[Any]) -> Sequence[Finding]:
        return self.found

    def answer(self, **more: Any) -> gs.Answer[Any]:
        return gs.Answer(question=self, items=self.found, **more)


class Ground(NamedTuple):
    text: str
    source: Source | None

    def __str__(self) -> str:
        return self.text

    def to_dict(self) -> dict[str, Any]:
        return {"text": self.text}


def rule(name: str = "X-1", **more: Any) -> FindingRule:
    texts = {"title": "Title", "description": "Bad.", "remediation": "Mend."}
    return FindingRule(id=name, severity="high", **(texts | more))


def finding(number: int, name: str = "X-1", **more: Any) -> Finding:
    fields: dict[str, Any] = {
        "id": name,
        "title": "Title",
        "severity": "high",
        "confidence": "high",
        "subject": f"User/u{number}",
        "message": "can do it",
        "fingerprint": hashlib.sha256(str(number).encode()).hexdigest()[:32],
        "source": Source("k8s/rbac.yaml", number + 1),
    }
    return Finding(**{**fields, **more})


@pytest.mark.parametrize("name", FORMATS)
def test_other_answers_are_refused(graphsec: Graphsec, name: str) -> None:
    assert renderers()[name].only == GATED
    run = graphsec(f"who-can get secrets -f {ROOT / 'fixtures' / 'demo'} -o {name}")
    assert run.code == 2
    assert f"{name} is a format of findings, and who-can has none" in run.err


# -- JSON ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [demo, hostile], ids=lambda answer: answer.__name__)
def test_json_is_what_the_schema_of_findings_says(answer: Any) -> None:
    document = json.loads(schema("findings"))
    jsonschema.Draft202012Validator.check_schema(document)
    log = json.loads(write(answer(), "json"))
    assert log == answer().envelope()
    assert [error.message for error in jsonschema.Draft202012Validator(document).iter_errors(log)] == []
    assert {item["id"] for item in log["items"]} <= {item["id"] for item in log["rules"]}


# -- SARIF ---------------------------------------------------------------------------------------------------------


@cache
def sarif_schema() -> Any:
    return jsonschema.Draft4Validator(json.loads((SCHEMAS / "sarif-2.1.0-rtm.5.json").read_text(encoding="utf-8")))


def read_sarif(answer: gs.Answer[Any]) -> dict[str, Any]:
    """The only run, held to the schema, to the specification and to what GitHub's code scanning takes."""
    text = write(answer, "sarif")
    assert_nothing_unseen(text)
    log = json.loads(text)
    assert [f"{error.json_path}: {error.message[:200]}" for error in sarif_schema().iter_errors(log)] == []
    (run,) = log["runs"]
    driver, results = run["tool"]["driver"], run["results"]
    assert len(results) <= 25_000
    assert len(driver["rules"]) <= 25_000
    assert [each["id"] for each in driver["rules"]] == sorted({each["id"] for each in driver["rules"]})
    for each in (*driver["rules"], *driver["notifications"]):
        assert each["shortDescription"]["text"]
        assert len(each["fullDescription"]["text"]) <= 1024
        assert each["help"]["text"]
        assert len(each.get("properties", {}).get("tags", ())) <= 20
    for result in results:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert 1 <= len(result["locations"]) + len(result.get("relatedLocations", ())) <= 1_000
        assert result["partialFingerprints"]["primaryLocationLineHash"]
        for location in locations(result):
            assert location["physicalLocation"]["region"]["startLine"] >= 1
            assert_uri(location["physicalLocation"]["artifactLocation"])
        steps = [
            step
            for flow in result.get("codeFlows", ())
            for thread in flow["threadFlows"]
            for step in thread["locations"]
        ]
        assert len(steps) <= 10_000
    for key in ("suppressions", "baselineState"):
        assert {key in result for result in results} in ({True}, {False}, set())
    prints = Counter(result["partialFingerprints"]["graphsec/v1"] for result in results)
    assert set(prints.values()) <= {1}
    for notice in run["invocations"][0]["toolExecutionNotifications"]:
        assert driver["notifications"][notice["descriptor"]["index"]]["id"] == notice["descriptor"]["id"]
        assert notice["message"]["text"]
    return cast("dict[str, Any]", run)


def locations(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from result["locations"]
    yield from result.get("relatedLocations", ())
    for flow in result.get("codeFlows", ()):
        for thread in flow["threadFlows"]:
            yield from (step["location"] for step in thread["locations"])


def assert_uri(artifact: dict[str, Any]) -> None:
    """A relative reference that needs no guessing, below the root where it says so."""
    assert re.fullmatch(r"(?:[A-Za-z0-9._~/-]|%[0-9A-F]{2})+", artifact["uri"])
    if "uriBaseId" in artifact:
        assert artifact["uriBaseId"] == "%SRCROOT%"
        assert not artifact["uri"].startswith(("/", "../"))
        assert "/../" not in artifact["uri"]


def notices(run: dict[str, Any]) -> list[str]:
    return [notice["message"]["text"] for notice in run["invocations"][0]["toolExecutionNotifications"]]


def plain(message: dict[str, str]) -> str:
    """As a viewer shows it (SARIF 3.11.5, 3.11.6); a link or placeholder would be an error here."""
    text = re.sub(
        r"\\[\\\[\]]|\{\{|\}\}",
        lambda match: {"{{": "\0", "}}": "\1"}.get(match[0], f"\2{ord(match[0][1]):04x}"),
        message["text"],
    )
    assert not set(text) & set("[]{}")
    return re.sub("\2([0-9a-f]{4})", lambda match: chr(int(match[1], 16)), text.replace("\0", "{").replace("\1", "}"))


def test_sarif_shows_each_finding_at_its_line() -> None:
    run = read_sarif(demo())
    by_print = {result["partialFingerprints"]["graphsec/v1"]: result for result in run["results"]}
    levels = {"critical": "error", "high": "error", "medium": "warning", "low": "note"}
    order = [list(levels).index(result["properties"]["severity"]) for result in run["results"]]
    assert order == sorted(order)
    for found in demo():
        result = by_print.pop(found.fingerprint)
        assert plain(result["message"]) == sentence(found)
        assert result["level"] == levels[found.severity]
        assert result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] == found.subject
        if found.source is None:
            kind, _, name = found.subject.partition("/")
            assert place(None, found.subject).path.startswith("cluster/")
            assert place(None, found.subject).path.endswith(f"{kind}/{name.rpartition('/')[2]}.yaml")
            continue
        where = result["locations"][0]["physicalLocation"]
        assert where["artifactLocation"]["uriBaseId"] == "%SRCROOT%"
        lines = (ROOT / unquote(where["artifactLocation"]["uri"])).read_text(encoding="utf-8").splitlines()
        assert lines[where["region"]["startLine"] - 1].strip()
        steps = [
            step["location"] for flow in result.get("codeFlows", ()) for step in flow["threadFlows"][0]["locations"]
        ]
        assert [plain(step["message"]) for step in steps] == [hop.text for hop in found.steps]
    assert by_print == {}


def test_sarif_keeps_what_is_known_and_says_why() -> None:
    run = read_sarif(demo())
    for result in run["results"]:
        state = state_of(result)
        if state == "suppressed":
            (suppression,) = result["suppressions"]
            assert suppression["justification"] == "reviewed | <b>*"
            assert suppression["properties"] == {"owner": "platform", "expires": "2027-03-31"}
    assert Counter(map(state_of, run["results"])) == Counter(found.state for found in demo())


def state_of(result: dict[str, Any]) -> str:
    return "suppressed" if result.get("suppressions") else result.get("baselineState", "new")


def test_sarif_says_what_the_input_lacks() -> None:
    # One kind of RBAC is missing, and so are pods.
    objects = [each for each in manifests(["a"]) if each["kind"] != "ClusterRoleBinding"]
    answer = gs.check(
        gs.load(
            *objects,
            {"kind": "Role", "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "r"}, "rules": "all"},
        )
    )
    run = read_sarif(answer)
    kinds = Counter(notice["descriptor"]["id"] for notice in run["invocations"][0]["toolExecutionNotifications"])
    assert kinds["GRAPHSEC-INCOMPLETE"] == 1
    assert kinds["GRAPHSEC-UNANSWERED"] == len(answer.unanswered) > 0
    assert kinds["GRAPHSEC-COVERAGE"] == 1
    assert kinds["GS-IN-020"] == 1
    assert any("no ClusterRoleBinding in the input" in text for text in notices(run))
    named = {
        notice["associatedRule"]["id"]
        for notice in run["invocations"][0]["toolExecutionNotifications"]
        if "associatedRule" in notice
    }
    assert named == {query.id for query in answer.unanswered}


def test_sarif_cuts_by_severity_and_counts_what_it_leaves_out() -> None:
    tail = tuple(finding(number, severity="low") for number in range(100))
    many = tuple(finding(number) for number in range(1_000, sarif.MAX_RESULTS + 990))
    run = read_sarif(Big((rule(tags=tuple(map(str, range(30)))),), tail + many).answer())
    assert len(run["results"]) == 25_000
    assert Counter(result["properties"]["severity"] for result in run["results"]) == {"high": 24_990, "low": 10}
    assert any(text.startswith("90 findings of the least severity left out") for text in notices(run))
    assert any(text.startswith("11 tags left out") for text in notices(run))


def test_sarif_cuts_places_and_steps_and_counts_them() -> None:
    proofs = tuple(Ground(f"proof {number}", Source("a.yaml", number)) for number in range(1_200))
    steps = tuple(Hop(text=f"step {number}") for number in range(10_050))
    run = read_sarif(Big((rule(),), (finding(0, because=proofs, steps=steps),)).answer())
    assert any(text.startswith("201 related locations left out") for text in notices(run))
    assert any(text.startswith("50 steps of paths left out") for text in notices(run))


def test_sarif_keeps_to_its_size_and_to_its_number_of_rules() -> None:
    """Noise does not compress: 26 MB of hexadecimal digits are 13 MB."""
    noise = tuple(finding(number, message=_noise(number)) for number in range(400))
    answer = Big(tuple(rule(f"X-{number}") for number in range(1, 25_010)), noise).answer()
    text = write(answer, "sarif")
    import gzip

    assert 5_000_000 < len(gzip.compress(text.encode())) < 10_000_000
    run = json.loads(text)["runs"][0]
    left = next(int(found[1]) for text in notices(run) if (found := re.match(r"(\d+) findings of the least", text)))
    assert left + len(run["results"]) == 400
    assert len(run["tool"]["driver"]["rules"]) == 25_000
    assert run["tool"]["driver"]["rules"][run["results"][0]["ruleIndex"]]["id"] == "X-1"


def _noise(number: int) -> str:
    return "".join(hashlib.sha256(f"{number}.{part}".encode()).hexdigest() for part in range(1_000))


def test_sarif_caps_diagnostics() -> None:
    problems = tuple(
        Diagnostic(code="GS-IN-012", message="m", source=Source("x.yaml", number)) for number in range(1_500)
    )
    run = read_sarif(Big((rule(),), ()).answer(diagnostics=problems))
    assert len(notices(run)) == 1_001
    assert notices(run)[-1].startswith("500 more diagnostics")


@pytest.mark.parametrize(
    ("file", "uri", "inside"),
    [
        ("k8s/rbac.yaml", "k8s/rbac.yaml", True),
        ("./k8s//a b.yaml", "k8s/a%20b.yaml", True),
        ("ümlaut/#1?.yaml", "%C3%BCmlaut/%231%3F.yaml", True),
        ("a:b.yaml", "a%3Ab.yaml", True),
        ("\udcff.yaml", "%FF.yaml", True),
        ("../other/x.yaml", "../other/x.yaml", False),
        ("/etc/x.yaml", "/etc/x.yaml", False),
        (str(Path.cwd() / "k8s" / "x.yaml"), "k8s/x.yaml", True),
        ("<stdin>", "cluster/ci/ServiceAccount/x.yaml", False),
        ("<python>", "cluster/ci/ServiceAccount/x.yaml", False),
    ],
)
def test_files_are_relative_references(file: str, uri: str, inside: bool) -> None:
    found = place(Source(file, 3), "ServiceAccount/ci/x")
    assert (found.uri, found.is_inside) == (uri, inside)


@pytest.mark.parametrize("subject", HOSTILE, ids=ascii)
def test_a_place_without_a_file_stays_below_the_root(subject: str) -> None:
    found = place(None, f"User/{subject}")
    assert_uri({"uri": found.uri, "uriBaseId": "%SRCROOT%"})
    assert ".." not in found.path.split("/")


# -- JUnit ---------------------------------------------------------------------------------------------------------


@cache
def junit_schema() -> Any:
    return xmlschema.XMLSchema(str(SCHEMAS / "junit-10.xsd"))


@pytest.mark.parametrize("answer", [demo, hostile], ids=lambda answer: answer.__name__)
def test_junit_has_a_case_for_each_query(answer: Any) -> None:
    text = write(answer(), "junit")
    assert_nothing_unseen(text)
    junit_schema().validate(text)
    suite = ET.fromstring(text).find("testsuite")  # noqa: S314 - our own
    assert suite is not None
    cases = suite.findall("testcase")
    rules = answer().question.rules()
    assert [case.get("name") for case in cases] == [f"{each.id} {each.title}" for each in rules]
    new = Counter(found.id for found in answer() if found.state == "new")
    for case, each in zip(cases, rules, strict=True):
        failure = case.find("failure")
        assert (failure is not None) == (new[each.id] > 0)
        if failure is not None:
            assert str(failure.get("message")).startswith(f"{new[each.id]:,} new finding")
            told = {safe(sentence(found)) for found in answer() if found.id == each.id and found.state == "new"}
            lines = str(failure.text).splitlines()
            assert all(any(line.endswith(sentence) for line in lines) for sentence in told)
    assert suite.get("failures") == str(len([each for each in rules if new[each.id]]))


def test_junit_skips_what_was_not_answered() -> None:
    answer = gs.check(gs.load(*manifests(["a"])))
    assert answer.unanswered
    text = write(answer, "junit")
    junit_schema().validate(text)
    suite = ET.fromstring(text).find("testsuite")  # noqa: S314
    assert suite is not None
    skipped = {str(case.get("name")).split()[0]: case.find("skipped") for case in suite.findall("testcase")}
    reasons = {name: mark.get("message") for name, mark in skipped.items() if mark is not None}
    assert reasons == {query.id: query.reason for query in answer.unanswered}
    assert suite.get("skipped") == str(len(reasons))
    assert "incomplete" in str(suite.findtext("system-err"))


# -- GitHub and GitLab ---------------------------------------------------------------------------------------------

_COMMAND = re.compile(r"::(error|warning|notice) ([^:]*)::(.*)")


def commands(text: str) -> Iterator[tuple[str, dict[str, str], str]]:
    """As the runner reads workflow commands."""

    def plain(text: str) -> str:
        return re.sub("%(25|0D|0A|3A|2C)", lambda match: chr(int(match[1], 16)), text)

    for line in text.splitlines():
        match = _COMMAND.fullmatch(line)
        assert match, line
        properties = dict(pair.split("=", 1) for pair in match[2].split(","))
        yield match[1], {key: plain(value) for key, value in properties.items()}, plain(match[3])


def test_github_annotates_what_is_new() -> None:
    told = list(commands(write(demo(), "github")))
    new = [found for found in demo() if found.state == "new"]
    shown = [entry for entry in told if entry[1]["title"] != "graphsec"]
    assert max(Counter(level for level, _, _ in told).values()) <= 10
    assert {text for _, _, text in shown} <= {sentence(found) for found in new}
    for _, properties, text in shown:
        found = next(found for found in new if sentence(found) == text and properties["title"].startswith(found.id))
        assert properties.get("file") == (place(found.source, "").path if found.source else None)
        assert properties.get("line") == (str(found.source.line) if found.source else None)
    assert told[-1][2].startswith(f"{len(new) - len(shown)} more new findings")


@pytest.mark.parametrize(("number", "shown"), [(9, 9), (10, 10), (11, 9), (40, 9)])
def test_github_counts_its_own_notice(number: int, shown: int) -> None:
    found = tuple(finding(each, severity="info") for each in range(number))
    told = list(commands(write(Big((rule(),), found).answer(), "github")))
    assert sum(properties["title"] != "graphsec" for _, properties, _ in told) == shown
    assert len(told) <= 10
    assert (number == shown) or told[-1][2].startswith(f"{number - shown} more new finding")


def test_github_breaks_out_of_no_command() -> None:
    for name in HOSTILE:
        found = finding(0, subject=f"User/{name}", message=f"can {name}", source=Source(f"{name}.yaml", 1))
        ((level, properties, text),) = commands(write(Big((rule(),), (found,)).answer(), "github"))
        assert (level, text) == ("error", safe(sentence(found)))
        assert set(properties) <= {"file", "line", "title"}


@pytest.mark.parametrize("answer", [demo, hostile], ids=lambda answer: answer.__name__)
def test_gitlab_reads_its_report(answer: Any) -> None:
    text = write(answer(), "gitlab")
    assert_nothing_unseen(text)
    issues = json.loads(text)
    document = json.loads((SCHEMAS / "gitlab-code-quality.json").read_text(encoding="utf-8"))
    assert [error.message for error in jsonschema.Draft202012Validator(document).iter_errors(issues)] == []
    active = [found for found in answer() if found.state != "suppressed"]
    assert {issue["fingerprint"] for issue in issues} == {found.fingerprint for found in active}
    assert len(issues) == len(active)


# -- Prometheus and CSV --------------------------------------------------------------------------------------------

_SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (\d+)')


def test_prometheus_counts() -> None:
    for answer in (demo(), hostile()):
        text = write(answer, "prometheus")
        samples = {}
        for line in text.splitlines():
            if not line.startswith("# "):
                match = _SAMPLE.fullmatch(line)
                assert match, line
                samples[match[1], match[2]] = int(match[3])
        for state in STATES:
            for severity in ("critical", "high", "medium", "low", "info"):
                number = sum((found.severity, found.state) == (severity, state) for found in answer)
                assert samples["graphsec_findings", f'severity="{severity}",state="{state}"'] == number
        assert samples["graphsec_complete", None] == int(answer.complete)
        assert [line for line in text.splitlines() if line.startswith("# TYPE")] == [
            f"# TYPE graphsec_{name} gauge" for name in ("findings", "queries", "complete", "objects")
        ]


def test_csv_has_a_row_for_each_finding() -> None:
    head, *rows = csv.reader(io.StringIO(write(hostile(), "csv"), newline=""), strict=True)
    assert Counter(row[head.index("FINGERPRINT")] for row in rows) == Counter(found.fingerprint for found in hostile())


# -- Markdown ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [demo, hostile], ids=lambda answer: answer.__name__)
def test_markdown_fits_into_a_comment_and_counts_the_rest(answer: Any) -> None:
    text = write(answer(), "markdown")
    assert_nothing_unseen(text)
    body = text.partition("\n- **Warning")[0]
    assert len(body) < MAX_CHARACTERS + 2_000
    assert not re.search(r"<(?!/?(code|details|summary)>)", text)
    rows = re.findall(r"^\| (?:critical|high|medium|low|info) \|", text, re.MULTILINE)
    left = re.findall(r"^([\d,]+) more (?:does|do) not fit", text, re.MULTILINE)
    assert len(rows) + sum(int(number.replace(",", "")) for number in left) == len(answer())
    assert text.count("<details>") == text.count("</details>")


# -- HTML ----------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """A strict reader: tags close in order, and every attribute is one that a report may have."""

    ATTRIBUTES = frozenset(
        [
            "lang",
            "charset",
            "http-equiv",
            "content",
            "name",
            "class",
            "href",
            "id",
            "type",
            "value",
            "checked",
            "hidden",
            "placeholder",
            "aria-label",
            "data-of",
            "data-state",
            "role",
            "scope",
            "viewbox",
            "preserveaspectratio",
            "x",
            "y",
            "width",
            "height",
            "cx",
            "cy",
            "rx",
            "ry",
            "points",
            "fill",
            "stroke",
            "d",
            "transform",
            "stroke-width",
            "stroke-dasharray",
            "text-anchor",
            "font-family",
            "font-size",
            "font-weight",
            "font-style",
            "xmlns",
            "xmlns:xlink",
            "stroke-opacity",
            "fill-opacity",
        ]
    )
    VOID = frozenset(("meta", "input", "br", "wbr"))

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert {name for name, _ in attrs} <= self.ATTRIBUTES, attrs
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert {name for name, _ in attrs} <= self.ATTRIBUTES, attrs
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in self.raw:
            self.raw[self.open[-1]].append(data)
        else:
            self.texts.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def findings(self) -> list[dict[str, str]]:
        return cast("list[dict[str, str]]", json.loads(self.raw["script"][0]))


@pytest.mark.parametrize("answer", [demo, hostile], ids=lambda answer: answer.__name__)
def test_html_is_closed_to_the_outside(answer: Any) -> None:
    text = write(answer(), "html")
    assert_nothing_unseen(text)
    page = Page(text)
    island, script = page.raw["script"]
    (style,) = page.raw["style"]
    policy = next(str(each["content"]) for each in page.of("meta") if each.get("http-equiv"))
    digests = {"script-src": script, "style-src": style}
    for directive, content in digests.items():
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")
    assert not re.search("[<>&\u2028\u2029]", island)
    assert "url(" not in style
    assert "http" not in style + script
    assert all(str(each["href"]).startswith("#") for each in page.of("a"))
    targets = {attributes.get("id") for _, attributes in page.tags}
    assert {str(each["href"])[1:] for each in page.of("a")} <= targets
    ids = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    assert not {tag for tag, _ in page.tags} & {
        "img",
        "iframe",
        "link",
        "base",
        "object",
        "embed",
        "form",
        "use",
        "image",
    }


def test_html_is_accessible() -> None:
    page = Page(write(demo(), "html"))
    assert len(page.of("caption")) == len(page.of("table")) > 0
    assert all(each.get("scope") in ("col", "row") for each in page.of("th"))
    assert all(each.get("aria-label") for each in page.of("input") if each.get("type") == "search")
    assert [each["lang"] for each in page.of("html")] == ["en"]
    assert len(page.of("h1")) == 1
    assert all(each.get("hidden", "") is None for each in page.of("div") if each.get("class") == "filter")


def test_html_says_when_there_is_nothing_and_nobody_to_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = "".join(Page(write(Big((rule(),), ()).answer(), "html")).texts)
    assert "0 new findings" in shown
    assert "Nothing was found; 1 query looked for something." in shown
    assert "There is nothing to draw." in shown
    monkeypatch.setenv("PATH", "")
    page = Page(write(demo(), "html"))
    assert "`dot` of Graphviz was not found" in "".join(page.texts)
    assert page.of("figure") == []


def test_html_tells_names_as_they_are() -> None:
    shown = "".join(Page(write(hostile(), "html")).texts)
    missing = [found.subject for found in hostile() if safe(found.subject) not in shown]
    assert missing == []


def test_html_of_a_thousand_findings_is_small() -> None:
    found = [
        finding(
            number,
            subject=f"ServiceAccount/team-{number % 40}/deployer-{number}",
            message="can get, list, watch secrets in the whole cluster through ClusterRoleBinding/x → ClusterRole/admin",
            because=(
                Ground(
                    f"ClusterRoleBinding/binding-{number} → ClusterRole/admin", Source("k8s/team/rbac.yaml", number)
                ),
            ),
            steps=tuple(
                Hop(text=f"step {each} of a path to a node", source=Source("k8s/x.yaml", each)) for each in range(4)
            ),
        )
        for number in range(1_000)
    ]
    assert len(write(Big((rule(),), tuple(found)).answer(), "html").encode()) <= 2_000_000


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_no_name_runs_as_script(tmp_path: Path) -> None:
    """A browser reads the page; every name that could act would change its title."""
    act = "document.title=&#39;acted&#39;"
    names = [
        "<script>document.title='acted'</script>", "</script><script>document.title='acted'</script>",
        "<img src=x onerror=document.title='acted'>", f'<svg onload="{act}">', "\" autofocus onfocus=\"document.title='acted'",
        "'><iframe srcdoc='<script>parent.document.title=1</script>'>", "javascript:document.title='acted'",
    ]  # fmt: skip
    found = tuple(
        finding(
            number,
            subject=f"User/{name}",
            message=name,
            because=(Ground(name, Source(name, 1)),),
            steps=(Hop(text=name),) * 3,
        )
        for number, name in enumerate(names)
    )
    file = tmp_path / "report.html"
    file.write_text(write(Big((rule(description="<script>document.title='acted'</script>"),), found).answer(), "html"))
    # Outside of the test's own process, which may open no socket.
    done = subprocess.run(
        [str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", file.as_uri()],
        capture_output=True, timeout=120, check=True, text=True,
    )  # fmt: skip
    assert "<title>graphsec check</title>" in done.stdout
    # The script of the page itself has run: it shows the filters.
    assert f"{len(names)} of {len(names)} shown" in done.stdout
    assert done.stdout.count("<script") == 2


# -- one set -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", WORLDS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_format_tells_the_same_findings(graphsec: Graphsec, path: Path, tmp_path: Path) -> None:
    """Console, JSON, SARIF, HTML, CSV, GitLab and metrics agree on ids and counts, state by state (hardening.md D4)."""
    flags = f"-f {path} --as-of 2026-01-01 --persona pedantic"
    first = json.loads(graphsec(f"check {flags} -o json -q").out or '{"items": []}')["items"]
    baseline, exceptions = tmp_path / "baseline.json", tmp_path / "exceptions.yaml"
    known = {"schema": "graphsec.baseline/v1", "findings": [_known(item) for item in first[1::3]]}
    baseline.write_text(json.dumps(known), encoding="utf-8")
    entries = [{"id": item["id"], "subject": item["subject"], "reason": "r", "permanent": True} for item in first[2::3]]
    exceptions.write_text(json.dumps(entries), encoding="utf-8")
    if entries:
        flags += f" --exceptions {exceptions}"
    names = ("json", "sarif", "html", "csv", "gitlab", "prometheus", "junit")
    out = " ".join(f"--out {name}={tmp_path / name}" for name in names)
    run = graphsec(f"check {flags} --baseline {baseline} -o wide --no-headers {out}")
    if run.code == 3:
        assert first == []
        return
    text = {name: (tmp_path / name).read_text(encoding="utf-8") for name in names}
    told = sorted((item["id"], item["fingerprint"], item["state"]) for item in json.loads(text["json"])["items"])
    results = json.loads(text["sarif"])["runs"][0]["results"]
    assert (
        sorted((each["ruleId"], each["partialFingerprints"]["graphsec/v1"], state_of(each)) for each in results) == told
    )
    assert sorted((each["id"], each["fingerprint"], each["state"]) for each in Page(text["html"]).findings()) == told
    rows = [re.split(" {3,}", line) for line in run.out.splitlines()]
    assert sorted((row[3].split()[0], row[-1], row[2].split(":")[0]) for row in rows) == told
    table = list(csv.DictReader(io.StringIO(text["csv"], newline="")))
    assert sorted((row["ID"].split()[0], row["FINGERPRINT"], row["STATE"].split(":")[0]) for row in table) == told
    assert sorted(issue["fingerprint"] for issue in json.loads(text["gitlab"])) == sorted(
        mark for _, mark, state in told if state != "suppressed"
    )
    counts = Counter(state for _, _, state in told)
    for state in STATES:
        numbers = re.findall(rf'^graphsec_findings{{.*state="{state}"}} (\d+)$', text["prometheus"], re.MULTILINE)
        assert sum(map(int, numbers)) == counts[state]
    failed = sum(int(number) for number in re.findall(r'message="(\d+) new finding', text["junit"]))
    assert failed == counts["new"]


def _known(item: dict[str, Any]) -> dict[str, str]:
    return {key: item[key] for key in ("id", "subject", "message", "fingerprint")}


# -- determinism ---------------------------------------------------------------------------------------------------


def _digest() -> str:
    answer = in_all_states(gs.load(*manifests(NAMES[::12])))
    return hashlib.sha256("".join(write(answer, name) for name in (*FORMATS, "json", "markdown")).encode()).hexdigest()


def test_bytes_depend_on_the_input_alone() -> None:
    paths = os.pathsep.join([str(ROOT / "tests"), str(ROOT)])
    code = "import test_finding_formats; print(test_finding_formats._digest())"
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join([paths, *sys.path])},
            capture_output=True,
            check=True,
            text=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert digests == {_digest()}
