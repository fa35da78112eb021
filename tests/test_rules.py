"""Every rule of the catalogue: its page, its ids, and its examples, each with the minimal edit that makes it vanish."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import graphsec as gs
from graphsec.model.attack import ASSUMPTIONS, Confidence, Example, Rule
from graphsec.query._severities import SEVERITIES
from graphsec.rules import page, rules

RULES = rules()
HEADINGS = ("What it is:", "Why it matters:", "Needs:", "Fix:", "References:")
FAMILIES = (
    "identity",
    "workloads",
    "credentials",
    "rbac",
    "execution",
    "escape",
    "nodes",
    "admission",
    "cloud",
    "traffic",
)
#: attacks.md §3, the rules of the first version.
CORE = {
    "rbac-grant", "implicit-group", "pod-assumes-sa", "containment", "node-identity", "cluster-admin-equivalent",
    "workload-create-as-sa", "workload-create-mounts-data", "workload-create-to-node", "workload-update", "pod-image-replace",
    "ephemeral-container", "psa-label-relax", "secret-read", "secret-read-by-write", "token-secret-read", "token-request",
    "token-secret-mint", "role-bind", "binding-update", "role-escalate", "impersonate", "csr-client-cert", "pod-exec",
    "nodes-proxy-exec", "escape-privileged", "escape-kernel-module", "escape-nsenter", "runtime-socket", "hostpath-read",
    "hostpath-write", "hostpath-kubelet-pods", "control-plane-node", "pv-hostpath",
}  # fmt: skip
PAIRS = [(rule, example) for rule in RULES.values() for example in rule.examples]
EXAMPLES = [pytest.param(rule, example, id=f"{rule.id}: {example.title}") for rule, example in PAIRS]
EDITED = [pytest.param(rule, example, id=f"{rule.id}: {example.title}") for rule, example in PAIRS if example.edit]


def test_the_core_rules_are_those_of_the_reference() -> None:
    assert {rule.id for rule in RULES.values() if rule.core} == CORE
    assert len(CORE) == 34


def test_a_file_is_a_rule() -> None:
    files = {path.stem for path in (Path(gs.__file__).parent / "rules").glob("[!_]*.py")}
    assert files == {rule_id.replace("-", "_") for rule_id in RULES}


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.id)
def test_page(rule: Rule) -> None:
    text = page(rule)
    places = [text.index(f"\n{heading}") for heading in HEADINGS]
    assert places == sorted(places)
    assert rule.family in FAMILIES
    assert rule.severity in SEVERITIES
    assert rule.confidence in Confidence
    assert set(rule.assumes) <= ASSUMPTIONS.keys()
    assert all(re.fullmatch(r"T\d{4}(\.\d{3})?", technique) for technique in rule.attack)
    assert all(re.fullmatch(r"MS-TA9\d{3}", technique) for technique in rule.microsoft)


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.id)
def test_every_rule_has_an_example_and_a_near_miss(rule: Rule) -> None:
    found = [example for example in rule.examples if example.verdict != "none"]
    assert found
    assert all(example.edit for example in found)
    assert len(found) < len(rule.examples) or any(example.edit for example in found)


def uses(rule: Rule, example: Example, manifests: str) -> tuple[str, bool]:
    """(verdict, whether a proof uses the rule)."""
    objects: list[dict[str, Any]] = [found for found in yaml.safe_load_all(manifests) if found]
    entries = yaml.safe_load(example.entries) if example.entries else None
    world = gs.load(*objects, k8s_version=example.k8s_version, with_defaults=True, entries=entries)
    try:
        paths = list(gs.paths(world, example.start, example.goal, k=6))
    except gs.UsageError:
        return "none", False
    if not paths:
        return "none", False
    by_rule = [path for path in paths if rule.id in {step.rule for step in path.steps}]
    return (by_rule or paths)[0].verdict, bool(by_rule)


@pytest.mark.parametrize(("rule", "example"), EXAMPLES)
def test_example(rule: Rule, example: Example) -> None:
    verdict, used = uses(rule, example, example.manifests)
    assert verdict == example.verdict if example.verdict != "none" else not used
    assert used == (example.verdict != "none")


@pytest.mark.parametrize(("rule", "example"), EDITED)
def test_edit_makes_it_vanish(rule: Rule, example: Example) -> None:
    assert example.edit is not None
    old, new = example.edit
    assert example.manifests.count(old) == 1
    _, used = uses(rule, example, example.manifests.replace(old, new))
    assert not used
