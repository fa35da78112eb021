"""The add-ons that graphsec knows are told by what they ship; ``python tests/test_addons.py`` writes the table from the corpora."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from conftest import ROOT

import graphsec as gs
from graphsec.compile.addons import Addons, is_distinctive, signature_of
from graphsec.model.rbac import PolicyRule
from graphsec.query.overprivileged import Overprivileged

CORPORA = ROOT.parent / "shared" / "corpora"
INSTALLS = CORPORA / "installs"
DUMP = CORPORA / "dumps" / "real-cluster" / "cluster.json"
TABLE = ROOT / "graphsec" / "data" / "addons.tsv"
#: Namespaces of the dump whose accounts belong to one product, and in kube-system the beginnings of their names.
_OF_NAMESPACE = {
    "cattle-fleet-system": "fleet",
    "cattle-fleet-local-system": "fleet",
    "cattle-monitoring-system": "rancher-monitoring",
    "cattle-system": "rancher",
    "harvester-system": "harvester",
    "longhorn-system": "longhorn",
}
_OF_KUBE_SYSTEM = {
    "canal": "canal",
    "multus": "multus",
    "coredns": "coredns",
    "rke2-coredns-rke2-coredns": "coredns",
    "rke2-ingress-nginx": "ingress-nginx",
    "rke2-metrics-server": "metrics-server",
}


def rows() -> Iterator[tuple[str, str, str, str]]:
    """(add-on, account, signature, role) of everything that the corpora ship."""
    folders = sorted(folder.name for folder in INSTALLS.iterdir() if folder.is_dir())
    for name in folders:
        # Some installs bring others along.
        world = gs.load(INSTALLS / name, with_defaults=True)
        yield from _of(world, partial(_bundled, name, folders))
    yield from _of(gs.load(DUMP), _product)


def _bundled(name: str, folders: list[str], account: gs.Ref) -> str:
    return account.namespace if account.namespace in folders else name


def _product(account: gs.Ref) -> str:
    if account.namespace == "kube-system":
        return _OF_KUBE_SYSTEM.get(account.name, "")
    return _OF_NAMESPACE.get(account.namespace or "", "")


def _of(world: gs.World, addon_of: Callable[[gs.Ref], str]) -> Iterator[tuple[str, str, str, str]]:
    for binding in world.access.bindings:
        role = world.access.roles.get(binding.role)
        if role is None or world.provenance.is_builtin(binding.ref):
            continue
        for account in binding.subjects:
            addon = addon_of(account) if account.kind == "ServiceAccount" else ""
            if addon:
                yield addon, account.name, signature_of(role.rules), binding.role.name


def table() -> str:
    lines = ["\t".join(row) for row in sorted(set(rows()))]
    return "\n".join(["addon\taccount\tsignature\trole", *lines]) + "\n"


@pytest.mark.skipif(not INSTALLS.is_dir(), reason="the corpora are not here")
def test_the_table_is_what_the_corpora_ship() -> None:
    assert TABLE.read_text(encoding="utf-8") == table()


def test_a_signature_is_of_what_rules_say_not_of_how_they_are_written() -> None:
    one = PolicyRule(verbs=("get", "list"), groups=("",), resources=("pods",))
    two = PolicyRule(verbs=("list", "get", "get"), groups=("",), resources=("pods",))
    other = PolicyRule(verbs=("get",), groups=("",), resources=("pods",))
    assert signature_of([one, other]) == signature_of([other, two, one])
    assert len({signature_of([one]), signature_of([other]), signature_of([one, other])}) == 3


def test_what_anybody_might_write_is_no_content() -> None:
    """A role that grants everything says nothing about who ships it: the name of the account alone would decide."""
    assert not is_distinctive([PolicyRule(verbs=("*",), groups=("*",), resources=("*",))])
    assert not is_distinctive([PolicyRule(verbs=("get",), groups=("",), resources=("secrets",))])


@pytest.mark.skipif(not INSTALLS.is_dir(), reason="the corpora are not here")
def test_an_addon_is_one_row_and_nothing_of_it_is_lost() -> None:
    world = gs.load(INSTALLS / "kyverno", with_defaults=True)
    flat, folded = Overprivileged().answer(world), Overprivileged(fold=True).answer(world)
    assert {item.addon for item in flat if item.subject.name.startswith("kyverno")} == {"kyverno"}
    [row] = [item for item in folded if hasattr(item, "members")]
    assert set(row.members) == {item for item in flat if item.addon}
    question = Overprivileged(fold=True)
    assert [finding.fingerprint for finding in question.findings(folded)] == [
        finding.fingerprint for finding in Overprivileged().findings(flat)
    ]


@pytest.mark.skipif(not INSTALLS.is_dir(), reason="the corpora are not here")
def test_a_further_rule_makes_it_somebody_elses() -> None:
    """By content: the names stay, the role grants more than what is shipped."""
    account = gs.Ref("ServiceAccount", "metrics-server", "kube-system")
    world = gs.load(INSTALLS / "metrics-server", with_defaults=True)
    assert addon_of(world, account) == "metrics-server"
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1"}
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
    name = {"metadata": {"name": "system:metrics-server"}}
    more = gs.load(INSTALLS / "metrics-server", {**rbac, **name, "kind": "ClusterRole", "rules": [rule]})
    assert addon_of(more, account) == ""
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    subject = {"kind": "ServiceAccount", "name": account.name, "namespace": account.namespace}
    bound = {**rbac, "kind": "ClusterRoleBinding", "metadata": {"name": "x"}, "roleRef": ref, "subjects": [subject]}
    assert addon_of(gs.load(INSTALLS / "metrics-server", bound, with_defaults=True), account) == ""


def addon_of(world: gs.World, account: gs.Ref) -> str:
    held = [world.access.bindings[index] for index in world.access.all_held(account)]
    return Addons(world.access).of(account, [one for one in held if not world.provenance.is_builtin(one.ref)])


if __name__ == "__main__":
    Path(TABLE).write_text(table(), encoding="utf-8")
