"""Services and what stands in front of and behind them."""

from __future__ import annotations

from msgspec.structs import replace

from graphsec.kinds._kind import Kind
from graphsec.model import traffic
from graphsec.model.traffic import MANAGED_BY, SLICE_CONTROLLER, EndpointSlice

_GATEWAY = "gateway.networking.k8s.io"


def _read_slice(found: EndpointSlice) -> EndpointSlice:
    """Without the endpoints of a Service with a selector: the selector tells them, and they are as many as the pods."""
    if (found.metadata.labels or {}).get(MANAGED_BY) == SLICE_CONTROLLER:
        return replace(found, endpoints=None)
    return found


KINDS = (
    Kind(group="", kind="Service", body=traffic.Service),
    Kind(
        group="discovery.k8s.io",
        kind="EndpointSlice",
        body=traffic.EndpointSlice,
        old_versions=("v1beta1",),
        reader=lambda: _read_slice,
    ),
    Kind(
        group="networking.k8s.io",
        kind="Ingress",
        body=traffic.Ingress,
        old_groups=("extensions",),
        old_versions=("v1beta1",),
    ),
    Kind(group="networking.k8s.io", kind="IngressClass", body=traffic.IngressClass, old_versions=("v1beta1",)),
    Kind(group=_GATEWAY, kind="Gateway", body=traffic.Gateway, namespaced=True),
    Kind(group=_GATEWAY, kind="GatewayClass", body=traffic.GatewayClass, namespaced=False),
    *(
        Kind(group=_GATEWAY, kind=kind, body=traffic.GatewayRoute, namespaced=True)
        for kind in ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute")
    ),
    Kind(group=_GATEWAY, kind="ReferenceGrant", body=traffic.ReferenceGrant, namespaced=True),
    Kind(group="route.openshift.io", kind="Route", body=traffic.Route, namespaced=True),
)
