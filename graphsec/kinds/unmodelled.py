"""Policies and networks that are recognised and not modelled; ``graphsec.model.policy_families`` says what they may change."""

from graphsec.kinds._kind import Kind
from graphsec.model import objects

_CALICO = "projectcalico.org"
_CALICO_STORE = ("crd.projectcalico.org",)
_ANTREA = "crd.antrea.io"
_ISTIO = "security.istio.io"
_OVN = "k8s.ovn.org"

KINDS = (
    Kind(group="k8s.cni.cncf.io", kind="MultiNetworkPolicy", body=objects.Plain, namespaced=True),
    Kind(group="k8s.cni.cncf.io", kind="NetworkAttachmentDefinition", body=objects.Plain, namespaced=True),
    Kind(group=_OVN, kind="UserDefinedNetwork", body=objects.Plain, namespaced=True),
    Kind(group=_OVN, kind="ClusterUserDefinedNetwork", body=objects.Plain, namespaced=False),
    Kind(group="cilium.io", kind="CiliumNetworkPolicy", body=objects.Plain, namespaced=True),
    Kind(group="cilium.io", kind="CiliumClusterwideNetworkPolicy", body=objects.Plain, namespaced=False),
    Kind(group=_ANTREA, kind="NetworkPolicy", body=objects.Plain, namespaced=True, qualified=True),
    Kind(group=_ANTREA, kind="ClusterNetworkPolicy", body=objects.Plain, namespaced=False, qualified=True),
    Kind(group=_ISTIO, kind="AuthorizationPolicy", body=objects.Plain, namespaced=True),
    Kind(group=_ISTIO, kind="PeerAuthentication", body=objects.Plain, namespaced=True),
    Kind(group="networking.istio.io", kind="Sidecar", body=objects.Plain, namespaced=True),
    *(
        Kind(
            group=_CALICO,
            kind=kind,
            body=objects.Plain,
            also_groups=_CALICO_STORE,
            namespaced=namespaced,
            qualified=True,
        )
        for kind, namespaced in (
            ("StagedNetworkPolicy", True),
            ("StagedGlobalNetworkPolicy", False),
            ("StagedKubernetesNetworkPolicy", True),
        )
    ),
)
