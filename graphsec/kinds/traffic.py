"""Services and what stands in front of and behind them."""

from graphsec.kinds._kind import Kind
from graphsec.model import objects

KINDS = (
    Kind(group="", kind="Service", body=objects.Service),
    Kind(group="discovery.k8s.io", kind="EndpointSlice", body=objects.Plain, old_versions=("v1beta1",)),
    Kind(
        group="networking.k8s.io",
        kind="Ingress",
        body=objects.Ingress,
        old_groups=("extensions",),
        old_versions=("v1beta1",),
    ),
)
