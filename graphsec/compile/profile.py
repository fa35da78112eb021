"""CNI profiles: the documented points in which implementations of NetworkPolicy differ (network.md §4)."""

from __future__ import annotations

from dataclasses import dataclass

#: Namespace labels by which OpenShift lets policies name host-network traffic (N-14c).
_OPENSHIFT_HOST = {
    "policy-group.network.openshift.io/host-network": "",
    "policy-group.network.openshift.io/ingress": "",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One set of switches; ids are those of network.md §4."""

    name: str
    #: S-01: ipBlock, `networks` and `nets` match pods by address.
    blocks_match_pods: bool = True
    #: S-02: they match nodes.
    blocks_match_nodes: bool = True
    #: S-03: labels of the namespace as whose pods host-network traffic counts; none where selectors never find it.
    host_namespace: tuple[tuple[str, str], ...] = ()
    #: hostNetwork pods are like any other pod: no implementation, only other tools (D-02).
    host_pods_ordinary: bool = False
    #: S-04, N-15: a node reaches the pods it hosts.
    own_node: bool = True
    #: S-05, N-18a.
    finished_pods: bool = False
    #: S-08: kinds of policies that this implementation does not read, by ref kind.
    foreign: tuple[str, ...] = ()
    #: Switches that are not established for it and are taken from `upstream`.
    inherited: tuple[str, ...] = ()


_ADMIN_V1ALPHA1 = ("AdminNetworkPolicy", "BaselineAdminNetworkPolicy")
CALICO_KINDS = ("NetworkPolicy.projectcalico.org", "GlobalNetworkPolicy.projectcalico.org")

PROFILES = {
    profile.name: profile
    for profile in (
        Profile(name="upstream"),
        Profile(name="calico", foreign=_ADMIN_V1ALPHA1),
        Profile(name="antrea", foreign=CALICO_KINDS, inherited=("S-05", "S-06")),
        Profile(
            name="ovn",
            host_namespace=tuple(sorted(_OPENSHIFT_HOST.items())),
            foreign=("ClusterNetworkPolicy", *CALICO_KINDS),
            inherited=("S-05", "S-06", "S-07"),
        ),
        Profile(
            name="cilium",
            blocks_match_pods=False,
            blocks_match_nodes=False,
            foreign=CALICO_KINDS,
            inherited=("S-05", "S-07", "S-08"),
        ),
    )
}
UPSTREAM = PROFILES["upstream"]
