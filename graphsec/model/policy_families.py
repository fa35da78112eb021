"""Kinds of policy that are recognised and not modelled: what each may change about an answer (M-06, M-08 to M-10)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_EITHER = "may deny what is shown as allowed, and allow what is shown as denied by another policy"
_FEWER = "may deny what is shown as allowed; it never allows what is shown as denied"
_PRIMARY = "with the role Primary takes pods off the cluster network, and what is shown is the cluster network (M-08)"
_STAGED = "is not enforced: it changes nothing until it becomes a policy (CA-13)"

#: A sentence for each kind, as refs spell the kind.
UNMODELLED: Mapping[str, str] = MappingProxyType(
    {
        "MultiNetworkPolicy": "MultiNetworkPolicy limits secondary networks of pods, which are not modelled; "
        "what is shown is the cluster network",
        "NetworkAttachmentDefinition": "NetworkAttachmentDefinition gives pods further networks; what is shown is the "
        "cluster network (M-08)",
        "UserDefinedNetwork": f"UserDefinedNetwork {_PRIMARY}",
        "ClusterUserDefinedNetwork": f"ClusterUserDefinedNetwork {_PRIMARY}",
        "CiliumNetworkPolicy": f"CiliumNetworkPolicy {_EITHER}",
        "CiliumClusterwideNetworkPolicy": f"CiliumClusterwideNetworkPolicy {_EITHER}",
        "NetworkPolicy.crd.antrea.io": f"Antrea's NetworkPolicy {_EITHER}",
        "ClusterNetworkPolicy.crd.antrea.io": f"Antrea's ClusterNetworkPolicy {_EITHER}",
        "AuthorizationPolicy": f"AuthorizationPolicy of Istio {_FEWER}",
        "PeerAuthentication": f"PeerAuthentication of Istio {_FEWER}: STRICT refuses clients without mutual TLS",
        "Sidecar": f"Sidecar of Istio {_FEWER}: with REGISTRY_ONLY it blocks hosts that it does not list",
        "StagedNetworkPolicy.projectcalico.org": f"Calico's StagedNetworkPolicy {_STAGED}",
        "StagedGlobalNetworkPolicy.projectcalico.org": f"Calico's StagedGlobalNetworkPolicy {_STAGED}",
        "StagedKubernetesNetworkPolicy.projectcalico.org": f"Calico's StagedKubernetesNetworkPolicy {_STAGED}",
    }
)

#: Kinds that are compiled into flows, by ref kind; NetworkPolicy itself apart.
POLICY_KINDS = (
    "AdminNetworkPolicy",
    "BaselineAdminNetworkPolicy",
    "ClusterNetworkPolicy",
    "NetworkPolicy.projectcalico.org",
    "GlobalNetworkPolicy.projectcalico.org",
    "NetworkSet.projectcalico.org",
    "GlobalNetworkSet.projectcalico.org",
)
#: What leads traffic from outside to pods.
TRAFFIC_KINDS = (
    "Service", "EndpointSlice", "Ingress", "Gateway", "HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute",
    "ReferenceGrant", "Route",
)  # fmt: skip
