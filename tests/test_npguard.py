"""netpol-analyzer's corpus: every connection list, difference, exposure and explanation is graphsec's answer too.

Those that are not stand in `fixtures/oracle/npguard-deviations.tsv` with what Kubernetes says; exactly these differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import npguard
import pytest
from npguard import COMPAT, CONTROLLER, CORPUS, ENTIRE_CLUSTER, PART, DiffOutput, Lines, Output, compat, world

import graphsec as gs
from graphsec.model.policy_families import UNMODELLED
from graphsec.model.text import counted

HERE = CORPUS if CORPUS.is_dir() else PART
DEVIATIONS = npguard.deviations()
NETWORK_KINDS = ("UserDefinedNetwork", "ClusterUserDefinedNetwork")

CONNECTIONS = npguard.outputs(HERE, "connlist", "txt")
DIFFERENCES = npguard.diffs(HERE)
EXPOSURES = npguard.outputs(HERE, "exposure", "json")
EXPLANATIONS = [*npguard.outputs(HERE, "explain", "txt"), *npguard.outputs(HERE, "explain_exposure", "txt")]


def files(found: Sequence[Output | DiffOutput]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("output", found, ids=[output.name for output in found])


def deviates(name: str, reading: str) -> bool:
    """What differs when read as that tool reads it differs under the default profile, too."""
    row = DEVIATIONS.get(name)
    return row is not None and (row.reading == "npa" or reading == "upstream")


def asked(found: gs.World, output: Output) -> Lines:
    """An input of which nothing can be read has no connections."""
    try:
        return npguard.connections(found, output.options)
    except gs.InputError:
        return {}


# -- the corpus ---------------------------------------------------------------------------------------------------


@files(CONNECTIONS)
def test_connections(output: Output) -> None:
    """§6.2, read as that tool reads its input (§6.3): hostNetwork, finished pods, ipBlock, names with `_`."""
    expected = npguard.read_text(output.path.read_text(encoding="utf-8"))
    assert (asked(compat(output.input), output) == expected) is not deviates(output.name, "npa")


@files(CONNECTIONS)
def test_connections_under_the_default_profile(output: Output) -> None:
    expected = npguard.read_text(output.path.read_text(encoding="utf-8"))
    assert (asked(world(output.input), output) == expected) is not deviates(output.name, "upstream")


@files([output for output in CONNECTIONS if "UserDefinedNetwork" in "".join(npguard.kinds(output.input))])
def test_networks(output: Output) -> None:
    """M-08: the answer is the cluster network and says so; what differs are lines between workloads of two networks."""
    plain = output.path.with_name(f"{output.input.name}_connlist_output.txt")
    networks = npguard.networks(plain.read_text(encoding="utf-8"))
    found = compat(output.input)
    expected = npguard.read_text(output.path.read_text(encoding="utf-8"))
    assert npguard.within_networks(asked(found, output), networks) == expected
    warnings = gs.reach(found).warnings
    counts = Counter(kind for kind in npguard.kinds(output.input) if kind in NETWORK_KINDS)
    assert counts
    for kind, count in counts.items():
        assert f"{counted(count, kind)} not modelled: {UNMODELLED[kind]}" in warnings


@files(DIFFERENCES)
def test_differences(output: DiffOutput) -> None:
    found = npguard.differences(compat(output.old), compat(output.new))
    assert (found == npguard.read_diff(output.path)) is not deviates(output.name, "npa")


@files(DIFFERENCES)
def test_differences_under_the_default_profile(output: DiffOutput) -> None:
    found = npguard.differences(world(output.old), world(output.new))
    assert (found == npguard.read_diff(output.path)) is not deviates(output.name, "upstream")


@files(EXPOSURES)
def test_exposure(output: Output) -> None:
    """Each peer that the output names is put into the input as a pod; `entire-cluster` is there whenever it may reach."""
    expected = npguard.read_exposure(output)
    found = npguard.exposure(output, {peer for _, _, peer in expected.inside})
    named = {key: found[key] for key in expected.inside}
    whole = {key: ports for key, ports in found.items() if key[2] == ENTIRE_CLUSTER and ports}
    same = {**whole, **named} == expected.inside
    lines = asked(compat(output.input), output)
    same = same and lines == expected.lines and npguard.with_addresses(lines) == expected.outside
    assert same is not deviates(output.name, "npa")


@files(EXPLANATIONS)
def test_explanations(output: Output) -> None:
    """For the ports of each fact: the verdict, that of each side, and the policies that decide, by name."""
    facts = npguard.read_explanations(output.path.read_text(encoding="utf-8"))
    found = compat(output.input)
    kept = [fact for fact in facts if not _is_no_matter_of_policies(fact)]
    assert [fact for fact in kept for explained in npguard.explained(found, fact) if explained != fact] == []


def _is_no_matter_of_policies(fact: npguard.Fact) -> bool:
    """Kept apart by networks (M-08), or no Ingress leads there (X-05)."""
    policies = fact.egress.policies | fact.ingress.policies
    if any(name.startswith(NETWORK_KINDS) for name in policies):
        return True
    return fact.source == CONTROLLER and not fact.allowed and not policies


# -- the table and the part that is always here --------------------------------------------------------------------


def test_the_table_names_outputs_that_are_there() -> None:
    names = {output.name for output in (*CONNECTIONS, *EXPOSURES)} | {output.name for output in DIFFERENCES}
    assert DEVIATIONS.keys() <= names if HERE is CORPUS else DEVIATIONS.keys() & names
    assert {row.reading for row in DEVIATIONS.values()} <= {COMPAT.name, "upstream"}
    assert all(row.ids and row.reason for row in DEVIATIONS.values())


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the shared corpora are not beside this checkout")
def test_the_part_is_unchanged() -> None:
    names = [path.relative_to(PART) for path in sorted(PART.rglob("*")) if path.is_file() and path.parent != PART]
    assert names
    assert [name for name in names if (PART / name).read_bytes() != (CORPUS / name).read_bytes()] == []


# -- the normaliser -----------------------------------------------------------------------------------------------


def test_lines_are_compared_as_values() -> None:
    """§6.2: the external tag, protocol groups, ranges cut at a global partition, united lines, headings."""
    one = """\
Permitted connectivity analyzed in Pod network:
0.0.0.0-9.255.255.255[External] => a/x[Pod] : TCP 80,443-445,UDP 53
10.0.0.0-255.255.255.255[External] => a/x[Pod] : TCP 80,443-445,UDP 53
a/x[Pod] => b/y[Job] : All Connections
a/x[Pod] => c/z[Job] : No Connections
"""
    other = """\
0.0.0.0-255.255.255.255 => a/x[Pod] : TCP 80,443-444,UDP 53
0.0.0.0-255.255.255.255 => a/x[Pod] : TCP 445
a/x[Pod] => b/y[Job] : SCTP 1-65535,TCP 1-65535,UDP 1-65535

Workload-to-Networks Mapping:
a/x[Pod]: \n\tPrimary Network: blue[UDN]
"""
    assert npguard.read_text(one) == npguard.read_text(other)
    assert npguard.read_text(one).keys() == {("0.0.0.0-255.255.255.255", "a/x[Pod]"), ("a/x[Pod]", "b/y[Job]")}
    assert npguard.networks(other) == {"a/x[Pod]": {"blue[UDN]"}}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("", npguard.Options()),
        ("_udp-52", npguard.Options(packet=("UDP", 52))),
        ("_udp-52_deny", npguard.Options(packet=("UDP", 52), only="deny")),
        ("_focus_workload_x_egress_tcp-80", npguard.Options(("x",), "egress", packet=("TCP", 80))),
        ("_focus_workload_ns_x_y_ingress_with_z", npguard.Options(("ns", "x", "y"), "ingress", ("z",))),
    ],
)
def test_options_stand_in_the_name(tmp_path: Path, name: str, options: npguard.Options) -> None:
    """§6.1: the longest name of an input that begins the stem."""
    for folder in ("tests/in", "tests/in_put", "test_outputs/connlist"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "test_outputs" / "connlist" / f"in_put{name}_connlist_output.txt").touch()
    [output] = npguard.outputs(tmp_path, "connlist", "txt")
    assert (output.input.name, output.options) == ("in_put", options)


def test_what_an_explanation_says() -> None:
    text = """\
Connections between a/x[Pod] => 1.0.0.0-1.0.0.255[External]:

Denied connections:
\tDenied TCP:[1-79,81-65535], SCTP due to the following policies and rules:
\t\tEgress (Denied)
\t\t\tNetworkPolicy list:
\t\t\t\t- NetworkPolicy 'a/one' selects a/x[Pod], but 1.0.0.0-1.0.0.255[External] is not allowed by any Egress rule
\t\t\t\t- NetworkPolicy 'a/two' selects a/x[Pod], but 1.0.0.0-1.0.0.255[External] is not allowed by any Egress rule
\t\tIngress (Allowed) due to the system default (Allow all)
Connections between a/x[Pod] => [all namespaces]/[pod with {a=b}]:
\tAllowed All Connections due to the system default (Allow all)
"""
    [fact] = npguard.read_explanations(text)
    assert (fact.source, fact.destination, fact.allowed) == ("a/x[Pod]", "1.0.0.0-1.0.0.255[External]", False)
    assert str(fact.ports) == "SCTP 1-65535,TCP 1-79,81-65535"
    assert fact.egress == npguard.Side(
        allowed=False, policies=frozenset({"NetworkPolicy/a/one", "NetworkPolicy/a/two"})
    )
    assert fact.ingress == npguard.Side()


# -- what the corpus taught ---------------------------------------------------------------------------------------


def _ports(found: gs.World, source: str, destination: str) -> list[tuple[str, str]]:
    return [(str(flow.ports), str(flow.possible)) for flow in gs.reach(found, source, destination)]


def _pods(*names: str, **spec: object) -> list[dict[str, object]]:
    containers = {"containers": [{"name": "c", "image": "i"}]}
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "a"},
            "spec": {**containers, **spec},
        }
        for name in names
    ]


def test_an_allow_that_may_not_match_leaves_what_a_later_rule_allows() -> None:
    """N-12d: the addresses are not known; whether the first rule matches or not, the second allows (A-01)."""
    policy = {
        "apiVersion": "policy.networking.k8s.io/v1alpha1",
        "kind": "AdminNetworkPolicy",
        "metadata": {"name": "p"},
        "spec": {
            "priority": 1,
            "subject": {"namespaces": {}},
            "egress": [
                {"action": "Allow", "to": [{"networks": ["10.0.0.0/8"]}]},
                {"action": "Allow", "to": [{"namespaces": {}}]},
            ],
        },
    }
    assert _ports(gs.load(policy, *_pods("x", "y")), "a/x", "a/y") == [("All Connections", "No Connections")]


@pytest.mark.parametrize(("cni", "expected"), [("upstream", [("All Connections", "No Connections")]), ("cilium", [])])
def test_a_pod_without_address_in_a_block_of_everything(cni: str, expected: list[tuple[str, str]]) -> None:
    """S-01, CI-06: where blocks never match pods, the address need not be known."""
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "p", "namespace": "a"},
        "spec": {
            "podSelector": {},
            "policyTypes": ["Egress"],
            "egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}],
        },
    }
    assert _ports(gs.load(policy, *_pods("x", "y"), cni=cni), "a/x", "a/y") == expected


@pytest.mark.parametrize("fold", ["workload", "none"])
def test_flows_of_a_pod_are_not_those_of_its_class(fold: str) -> None:
    """No policy tells the three pods apart; only what was asked about is listed."""
    found = gs.load(*_pods("x", "y", "z"))
    ends = [[(flow.source.ref, flow.destination.ref) for flow in gs.reach(found, *asked, fold=fold)]
            for asked in (("a/x", "a/y"), ("a/x", None), (None, "a/y"))]  # fmt: skip
    x, y, z = (gs.Ref("Pod", name, "a") for name in "xyz")
    assert ends == [[(x, y)], [(x, y), (x, z), (x, None)], [(x, y), (z, y), (None, y)]]


def test_the_pod_of_a_virtual_machine_belongs_to_it() -> None:
    """D-04: by way of the instance of the same name, which the input need not hold."""
    machine = {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {"name": "vm", "namespace": "a"},
        "spec": {"template": {"spec": {}}},
    }
    [pod] = _pods("virt-launcher-vm-abcde")
    owner = {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "name": "vm",
        "uid": "u",
        "controller": True,
    }
    pod["metadata"] = {"name": "virt-launcher-vm-abcde", "namespace": "a", "ownerReferences": [owner]}
    sources = {str(flow.source) for flow in gs.reach(gs.load(machine, pod)) if flow.source.ref}
    assert sources == {"a/vm[VirtualMachine]"}
