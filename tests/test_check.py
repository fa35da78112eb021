"""The gate: fingerprints, baselines, exceptions, exit codes; what is shown never changes what is gated."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from conftest import ROOT, Graphsec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import graphsec as gs
from graphsec.query._baseline import Baseline, baseline_of
from graphsec.query._exceptions import Exception_, Exceptions, read_exceptions
from graphsec.query._finding import Exemption
from graphsec.query._packs import load_library
from graphsec.query._severities import SEVERITIES
from graphsec.query.check import Check, Checked
from graphsec.render import schema

DEMO, SHOP = ROOT / "fixtures" / "demo", ROOT / "fixtures" / "shop"
LIBRARY = load_library(plugins=False)
REVIEWER = LIBRARY.chosen(["reviewer"])
NOW = date(2027, 1, 1)


WORLD = gs.load(str(DEMO), str(SHOP), with_defaults=True)


def demo(**options: Any) -> Checked:
    return Check(queries=REVIEWER, packs=("reviewer",), **{"as_of": NOW, **options}).answer(WORLD)


ALL = demo()


def prints(answer: Checked, state: str = "") -> set[str]:
    return {finding.fingerprint for finding in answer if state in ("", finding.state)}


# -- findings ------------------------------------------------------------------------------------------------------


def test_findings_are_worst_first_and_tell_where() -> None:
    ranks = [SEVERITIES.index(finding.severity) for finding in ALL]
    assert ranks == sorted(ranks, reverse=True)
    assert len(prints(ALL)) == len(ALL)
    assert all(finding.source is not None for finding in ALL)
    assert all(finding.because for finding in ALL)
    assert {finding.id for finding in ALL} <= {rule.id for rule in Check(queries=REVIEWER).rules()}
    assert all(
        len(finding.row(wide=wide)) == len(ALL.question.columns(wide=wide)) for finding in ALL for wide in (False, True)
    )


def test_the_question_of_the_answer_gives_rules_and_findings() -> None:
    question = ALL.question
    assert isinstance(question, Check)
    wanted = {query.id for query in REVIEWER if query.severity != "info" and query.confidence != "low"}
    assert [rule.id for rule in question.rules()] == sorted(wanted) != sorted(query.id for query in REVIEWER)
    assert list(question.findings(ALL)) == list(ALL)


def test_the_report_is_what_the_schema_says() -> None:
    validator = jsonschema.Draft202012Validator(json.loads(schema("findings")))

    def errors(report: Any) -> list[str]:
        return [error.message for error in validator.iter_errors(report)]

    assert errors(json.loads(ALL.to_json())) == []
    assert errors(json.loads(gs.check(gs.load(str(SHOP)), packs=("cis-5", "best-practices")).to_json())) == []


def test_a_finding_is_what_query_run_finds() -> None:
    """The same subjects as `query run` lists, query by query."""
    from graphsec.query._saved import run

    everything = demo(persona="pedantic")
    for query in REVIEWER:
        expected = {query.parameters.finding(item) for item in run(query, WORLD)}
        assert {finding.subject for finding in everything if finding.id == query.id} == expected, query.id


def test_fingerprints_do_not_depend_on_files_order_or_names_of_roles(tmp_path: Path) -> None:
    rbac = "rbac.authorization.k8s.io"
    text = (ROOT / "fixtures/worlds/secrets-read/bad.yaml").read_text()
    documents = [part.strip() for part in text.split("\n---\n")]
    (tmp_path / "moved.yaml").write_text("\n\n---\n".join(reversed(documents)))
    before, after = (
        gs.check(gs.load(str(path))) for path in (ROOT / "fixtures/worlds/secrets-read/bad.yaml", tmp_path)
    )
    assert prints(before) == prints(after) != set()
    assert rbac in text
    assert [str(finding.source) for finding in before] != [str(finding.source) for finding in after]


def test_what_the_input_cannot_answer_is_named_and_the_rest_is_run(graphsec: Graphsec) -> None:
    run = graphsec(f"check -f {SHOP} -o json")
    found = json.loads(run.out)
    assert run.code == 1
    assert "GS-Q-034" in {item["id"] for item in found["items"]}
    assert "GS-Q-001" in {query["id"] for query in found["unanswered"]}
    assert "not answered: GS-Q-001" in run.err
    assert graphsec(f"check -f {SHOP} --fail-on-incomplete").code == 3


# -- exceptions ----------------------------------------------------------------------------------------------------


def exceptions(folder: Path, *entries: str) -> str:
    path = folder / "exceptions.yaml"
    path.write_text("".join(f"- {{{entry}}}\n" for entry in entries))
    return str(path)


def read(path: str) -> Any:
    return read_exceptions(path, [query.id for query in LIBRARY.queries])


@pytest.mark.parametrize(
    ("glob", "covered"),
    [
        ("subject: User/auditor@example.com", {"User/auditor@example.com"}),
        ("subject: 'User/*'", {"User/auditor@example.com", "User/break-glass@example.com"}),
        ("subject: 'User/A*'", set()),
        ("edge: ClusterRoleBinding/auditor", {"User/auditor@example.com"}),
        ("edge: 'RoleBinding/*'", set()),
        ("resource: secrets, subject: '*auditor*'", {"User/auditor@example.com"}),
        ("resource: pods", set()),
        ("namespace: prod", set()),
        ("namespace: '*', subject: '*glass*'", {"User/break-glass@example.com"}),
    ],
)
def test_an_exception_covers_what_all_its_globs_match(tmp_path: Path, glob: str, covered: set[str]) -> None:
    path = exceptions(tmp_path, f"id: GS-Q-002, {glob}, reason: known, permanent: true")
    answer = demo(exceptions=read(path))
    assert {finding.subject for finding in answer if finding.state == "suppressed"} == covered
    assert all(finding.exemption.reason == "known" for finding in answer if finding.exemption)
    assert prints(answer) == prints(ALL)
    unused = f"{path}:1: exception of GS-Q-002 covers no finding"
    assert (unused in answer.warnings) is (not covered)


def test_a_grant_by_another_binding_is_not_excepted_with_the_first() -> None:
    """Who holds the same through two bindings is excepted by edge only if both are."""
    text = CLUSTER + "---\n" + PARTS.replace("pods", "secrets")
    again = CLUSTER.split("---\n")[1].replace("name: team, namespace", "name: again, namespace")
    globs = (("edge", "RoleBinding/prod/team"),)
    entry = Exceptions((Exception_("GS-Q-001", globs, Exemption(reason="known")),))
    for written, expected in ((text, "suppressed"), (f"{text}---\n{again}", "new")):
        world = gs.load(*yaml.safe_load_all(written))
        answer = Check(queries=REVIEWER, exceptions=entry, as_of=NOW).answer(world)
        assert {finding.state for finding in answer if finding.id == "GS-Q-001"} == {expected}


def test_an_expired_exception_covers_nothing_and_is_named(tmp_path: Path, graphsec: Graphsec) -> None:
    path = exceptions(tmp_path, "id: GS-Q-002, subject: 'User/*', reason: known, owner: sec, expires: 2027-03-31")
    base = f"check -f {DEMO} --with-defaults --exceptions {path}"
    held = graphsec(f"{base} --as-of 2027-03-31")
    assert "2 excepted (next expiry 2027-03-31)" in held.err
    run = graphsec(f"{base} --as-of 2027-04-01")
    assert "excepted" not in run.err.replace("exceptions", "")
    assert f"{path}:1: exception of GS-Q-002 expired on 2027-03-31: what it covered counts again" in run.err
    assert run.code == 1


def test_the_day_is_that_of_the_epoch(tmp_path: Path, graphsec: Graphsec, monkeypatch: pytest.MonkeyPatch) -> None:
    path = exceptions(tmp_path, "id: GS-Q-002, subject: 'User/*', reason: known, expires: 2001-09-09")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")  # 2001-09-09
    assert "2 excepted" in graphsec(f"check -f {DEMO} --with-defaults --exceptions {path}").err
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000080000")
    assert "expired on 2001-09-09" in graphsec(f"check -f {DEMO} --with-defaults --exceptions {path}").err
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "soon")
    assert graphsec(f"check -f {DEMO} --with-defaults --exceptions {path}").code == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- id: GS-Q-001\n  reason: x\n", "1:3: `expires` is missing"),
        ("- id: GS-Q-001\n  expires: 2027-01-01\n", "1:3: required key `reason` is missing"),
        ("- id: GS-Q-001\n  reason: ' '\n  permanent: true\n", "2:3: `reason` is empty"),
        ("- id: GS-Q-001\n  reason: x\n  permanent: true\n  expires: 2027-01-01\n", "3:3: `expires` and `permanent"),
        ("- id: GS-Q-001\n  reason: x\n  expires: 2027-13-01\n", "3:3: `expires`: invalid RFC3339"),
        ("- id: GS-Q-001\n  reason: x\n  expires: soon\n", "3:3: `expires`: invalid RFC3339"),
        ("- id: GS-Q-001\n  reason: x\n  permanent: yess\n", "3:3: `permanent`: expected `bool`, got `str`"),
        (
            "- id: GS-Q-0001\n  reason: x\n  permanent: true\n",
            "1:3: `id`: no query `GS-Q-0001` (did you mean `GS-Q-001`?)",
        ),
        ("- id: GS-Q-001\n  subjet: x\n  reason: x\n  permanent: true\n", "2:3: unknown key `subjet`"),
        ("- id: GS-Q-001\n  subject: ''\n  reason: x\n  permanent: true\n", "2:3: `subject` is empty"),
        ("# ours\nid: GS-Q-001\n", "2:1: expected `array`, got `object`"),
        ("- id: GS-Q-001\n  id: GS-Q-002\n", "2:3: key `id` stands twice"),
        ("- id: [\n", "syntax error"),
        ("- &a {id: GS-Q-001, reason: x, permanent: true}\n- *a\n", "2:3: no aliases here"),
    ],
)
def test_a_bad_exception_is_refused_at_line_and_column(
    tmp_path: Path, graphsec: Graphsec, text: str, message: str
) -> None:
    (tmp_path / "e.yaml").write_text(text)
    run = graphsec(f"check -f {DEMO} --exceptions {tmp_path}/e.yaml")
    assert (run.code, run.out) == (2, "")
    assert f"{tmp_path}/e.yaml:" in run.err
    assert message in run.err


def test_no_exceptions_at_all(tmp_path: Path) -> None:
    (tmp_path / "e.yaml").write_text("# none yet\n")
    assert read(str(tmp_path / "e.yaml")).entries == ()
    with pytest.raises(gs.UsageError, match="cannot read exceptions"):
        read(str(tmp_path / "none.yaml"))


# -- laws ----------------------------------------------------------------------------------------------------------

_GLOBS = st.sampled_from(["*", "User/*", "ServiceAccount/ci/*", "*admin*", "ServiceAccount/*/a?*", "prod", "secrets"])
_ENTRIES = st.lists(
    st.fixed_dictionaries(
        {"id": st.sampled_from([query.id for query in REVIEWER])},
        optional=dict.fromkeys(("subject", "resource", "namespace", "edge"), _GLOBS),
    ),
    max_size=6,
)
_BASELINES = st.sets(st.sampled_from(sorted(prints(ALL))))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=_ENTRIES, more=_ENTRIES, known=_BASELINES)
def test_exceptions_and_baselines_only_take_away(
    tmp_path: Path, entries: list[dict[str, str]], more: list[dict[str, str]], known: set[str]
) -> None:
    def states(written: list[dict[str, str]], baseline: Baseline) -> dict[str, str]:
        path = tmp_path / "laws.yaml"
        path.write_text(json.dumps([{**entry, "reason": "known", "permanent": True} for entry in written]))
        answer = demo(exceptions=read(str(path)), baseline=baseline)
        return {finding.fingerprint: finding.state for finding in answer}

    baseline = Baseline(baseline_of((finding for finding in ALL if finding.fingerprint in known), "b").entries, "b")
    plain, some, all_ = states(entries, Baseline()), states(entries, baseline), states([*entries, *more], baseline)
    assert plain.keys() == some.keys() == all_.keys() == prints(ALL)

    def new(found: dict[str, str]) -> set[str]:
        return {one for one, state in found.items() if state == "new"}

    assert new(some) == new(plain) - known
    assert new(all_) <= new(some)
    assert {one for one, state in some.items() if state == "suppressed"} <= {
        one for one, state in all_.items() if state == "suppressed"
    }


# -- baselines -----------------------------------------------------------------------------------------------------


def test_a_baseline_of_all_is_green_and_only_shrinks(tmp_path: Path, graphsec: Graphsec) -> None:
    base, path = f"check -f {tmp_path}/k8s --with-defaults", tmp_path / "base.json"
    shutil.copytree(DEMO, tmp_path / "k8s")
    assert graphsec(base).code == 1
    created = graphsec(f"{base} --create-baseline {path}")
    assert created.code == 0
    first = path.read_bytes()
    assert graphsec(f"{base} --create-baseline {path}").code == 2
    assert graphsec(f"{base} --baseline {path} --fail-on info").code == 0
    assert "in baseline" in graphsec(f"{base} --baseline {path}").err
    # Something goes: it is named, and leaves only when asked.
    (tmp_path / "k8s" / "platform" / "helm-operator.yaml").unlink()
    run = graphsec(f"{base} --baseline {path}")
    assert run.code == 0
    assert "of the baseline are gone: --prune-baseline" in run.err
    assert path.read_bytes() == first
    assert graphsec(f"{base} --baseline {path} --prune-baseline").code == 0
    pruned = json.loads(path.read_text())["findings"]
    assert 0 < len(pruned) < len(json.loads(first)["findings"])
    assert not any("helm-operator" in finding["subject"] for finding in pruned)
    # It comes back: new, whatever the old baseline knew.
    shutil.copytree(DEMO, tmp_path / "k8s", dirs_exist_ok=True)
    assert graphsec(f"{base} --baseline {path}").code == 1


def test_pruning_keeps_what_was_not_asked(tmp_path: Path, graphsec: Graphsec) -> None:
    path = tmp_path / "base.json"
    assert graphsec(f"check -f {DEMO} -f {SHOP} --with-defaults --create-baseline {path}").code == 0
    before = json.loads(path.read_text())["findings"]
    # Without RBAC nothing is known of who may do what.
    graphsec(f"check -f {SHOP} --baseline {path} --prune-baseline")
    after = {finding["fingerprint"] for finding in json.loads(path.read_text())["findings"]}
    assert {finding["fingerprint"] for finding in before if finding["id"] == "GS-Q-001"} <= after
    assert len(after) < len(before)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "damaged baseline"),
        ("{", "damaged baseline"),
        ("[]", "damaged baseline"),
        ("{}", "no baseline of this version: its schema is ``"),
        ('{"schema": "graphsec.baseline/v2", "findings": []}', "its schema is `graphsec.baseline/v2`"),
        ('{"schema": "graphsec.baseline/v1"}', "damaged baseline: Object missing required field `findings`"),
        ('{"schema": "graphsec.baseline/v1", "findings": [{"id": "a"}]}', "damaged baseline"),
        ('{"schema": "graphsec.baseline/v1", "findings": [], "more": 1}', "damaged baseline"),
        ("[" * 5000, "damaged baseline"),
    ],
)
def test_a_damaged_baseline_is_refused(tmp_path: Path, graphsec: Graphsec, text: str, message: str) -> None:
    (tmp_path / "b.json").write_text(text)
    run = graphsec(f"check -f {DEMO} --baseline {tmp_path}/b.json")
    assert (run.code, run.out) == (2, "")
    assert message in run.err


# -- the gate ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ("", 1),
        ("--fail-on critical", 1),
        ("--max CRIT=0", 1),
        ("--max CRITICAL=1000,high=1000", 0),
        ("--max crit=1000 --max HIGH=0", 1),
        ("--max CRIT=1000 --fail-on high", 1),
        ("--max info=0", 0),
        ("-n nowhere", 0),
        ("--exit-zero", 0),
        ("--fail-on-incomplete --exit-zero", 3),
    ],
)
def test_exit_codes(graphsec: Graphsec, options: str, code: int) -> None:
    assert graphsec(f"check -f {DEMO} --with-defaults {options}").code == code


@pytest.mark.parametrize(
    "command",
    [
        "check --fail-on severe",
        "check --severity severe",
        "check --max HIGH",
        "check --max HIGH=-1",
        "check --max =1",
        "check --max H=1,HIGH=2",
        "check --max HIGHEST=1",
        "check --persona boss",
        "check --as-of yesterday",
        "check --prune-baseline",
        "check --baseline a --create-baseline b",
        "check --baseline none.json",
        "check --exceptions none.yaml",
        "check --format sariff",
        "check reviewer nobody",
    ],
)
def test_usage(graphsec: Graphsec, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setenv("GRAPHSEC_INPUT", str(DEMO))
    run = graphsec(command)
    assert (run.code, run.out) == (2, "")


def test_no_input_and_none_that_answers(graphsec: Graphsec, tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("")
    assert graphsec("check").code == 3
    assert graphsec(f"check -f {tmp_path}/empty.yaml").code == 3


def test_limits_come_before_findings(graphsec: Graphsec, tmp_path: Path) -> None:
    deep = f"---\napiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec: {'[' * 150}{']' * 150}\n"
    (tmp_path / "deep.yaml").write_text((DEMO / "platform" / "people.yaml").read_text() + deep)
    assert graphsec(f"check -f {tmp_path}/deep.yaml --fail-on-incomplete").code == 4


@pytest.mark.parametrize("view", ["--severity critical", "--limit 1", "--no-headers", "-q", "-o wide", "-v", "-o json"])
@pytest.mark.parametrize("gate", ["--fail-on low", "--max high=1000"])
def test_view_options_change_neither_gate_nor_files(graphsec: Graphsec, tmp_path: Path, view: str, gate: str) -> None:
    base = f"check -f {DEMO} --with-defaults {gate} --out json={tmp_path}/r.json"
    plain = graphsec(base)
    report = (tmp_path / "r.json").read_bytes()
    seen = graphsec(f"{base} {view}")
    assert seen.code == plain.code
    assert (tmp_path / "r.json").read_bytes() == report


def test_the_screen_and_the_report_show_one_set(graphsec: Graphsec, tmp_path: Path) -> None:
    path = exceptions(tmp_path, "id: GS-Q-002, subject: 'User/*', reason: known, permanent: true")
    run = graphsec(f"check -f {DEMO} --with-defaults --exceptions {path} --out json={tmp_path}/r.json -o wide")
    items = json.loads((tmp_path / "r.json").read_text())["items"]
    assert len(items) == len(run.out.splitlines()) - 1
    assert sorted(item["fingerprint"] for item in items) == sorted(
        line.split()[-1] for line in run.out.splitlines()[1:]
    )
    table = graphsec(f"check -f {DEMO} --with-defaults --exceptions {path}")
    assert len(table.out.splitlines()) - 1 == sum(item["state"] == "new" for item in items)


def test_personas() -> None:
    by_persona = {persona: demo(persona=persona) for persona in ("reviewer", "pedantic", "auditor")}
    reviewer, pedantic, auditor = (prints(answer) for answer in by_persona.values())
    assert reviewer <= pedantic <= auditor
    assert reviewer < auditor
    assert auditor == prints(demo(persona="pedantic", include_builtin=True))
    assert by_persona["auditor"].left_out == 0 < by_persona["reviewer"].left_out


def test_a_namespace_keeps_what_is_about_it() -> None:
    chosen = demo(namespace="prod")
    assert {finding.fingerprint for finding in chosen} < prints(ALL)
    assert all(
        finding.scope == "prod" or "/prod/" in finding.subject or finding.subject == "Namespace/prod"
        for finding in chosen
    )


# -- what a reviewer will try --------------------------------------------------------------------------------------

CLUSTER = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: team}
aggregationRule:
  clusterRoleSelectors:
    - matchLabels: {team: "yes"}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: team, namespace: prod}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: team}
subjects: [{kind: ServiceAccount, name: app, namespace: prod}]
"""
PARTS = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: team-pods
  labels: {team: "yes"}
rules:
  - {apiGroups: [""], resources: [pods], verbs: [get, list]}
"""


@pytest.fixture
def gated(tmp_path: Path, graphsec: Graphsec) -> str:
    """A repository with a baseline; the command that gates it."""
    manifests = tmp_path / "k8s"
    manifests.mkdir()
    (manifests / "cluster.yaml").write_text(CLUSTER)
    (manifests / "parts.yaml").write_text(PARTS)
    for name in ("shop.yaml", "policies.yaml", "namespaces.yaml"):
        shutil.copy(SHOP / name, manifests / name)
    assert graphsec(f"check -f {manifests} --create-baseline {tmp_path}/base.json").code == 0
    return f"check -f {manifests} --baseline {tmp_path}/base.json --fail-on low"


def test_a_grant_through_an_aggregated_role_is_red_at_its_line(gated: str, tmp_path: Path, graphsec: Graphsec) -> None:
    parts = tmp_path / "k8s" / "parts.yaml"
    parts.write_text(PARTS + '  - {apiGroups: [""], resources: [secrets], verbs: [get]}\n')
    run = graphsec(f"{gated} -o json")
    assert run.code == 1
    new = [item for item in json.loads(run.out)["items"] if item["state"] == "new"]
    assert {item["subject"] for item in new} == {"ServiceAccount/prod/app"}
    assert "GS-Q-001" in {item["id"] for item in new}
    found = next(item for item in new if item["id"] == "GS-Q-001")
    assert found["source"] == {"file": str(parts), "line": 8}


def test_a_flow_that_a_label_opens_is_red(gated: str, tmp_path: Path, graphsec: Graphsec) -> None:
    policies = tmp_path / "k8s" / "policies.yaml"
    policies.write_text(policies.read_text().replace("promethius", "prometheus"))
    run = graphsec(f"{gated} -o json")
    new = [item for item in json.loads(run.out)["items"] if item["state"] == "new"]
    assert run.code == (1 if new else 0)
    assert all(item["source"]["file"].startswith(str(tmp_path)) for item in new)


def test_a_refactoring_is_green(gated: str, tmp_path: Path, graphsec: Graphsec) -> None:
    """Split rules, a role of another name, keys in another order, another file."""
    (tmp_path / "k8s" / "parts.yaml").unlink()
    (tmp_path / "k8s" / "roles.yaml").write_text(
        PARTS.replace("team-pods", "team-get").replace("[get, list]", "[get]")
        + "---\n"
        + PARTS.replace("team-pods", "team-list").replace("[get, list]", "[list]")
    )
    run = graphsec(gated)
    assert run.code == 0
    assert "gone" not in run.err


def test_the_same_gate_with_a_kind_missing(gated: str, tmp_path: Path, graphsec: Graphsec) -> None:
    (tmp_path / "k8s" / "policies.yaml").unlink()
    assert graphsec(f"{gated} --fail-on-incomplete").code == 3
    run = graphsec(gated)
    assert "no NetworkPolicy in the input" in run.err
