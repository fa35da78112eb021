"""Which pods of the input are the controllers that carry out Ingresses, Gateways and OpenShift Routes (X-05).

Nothing in Kubernetes says so, therefore a table of what the projects' own manifests and charts install. Where none of its
rows finds a pod, the controller is the virtual pod `{ingress-controller}`, of which no label is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from graphsec.compile.endpoints import INGRESS_CONTROLLER, VIRTUAL, Endpoints
from graphsec.model.cluster import Cluster
from graphsec.model.objects import Loaded

_NAME, _COMPONENT = "app.kubernetes.io/name", "app.kubernetes.io/component"
#: Label of the pods that a Gateway's implementation starts for it, with the Gateway's name (GEP-1762).
_OWN_GATEWAY = "gateway.networking.k8s.io/gateway-name"
#: Envoy Gateway starts them in its own namespace.
_ENVOY_NAME, _ENVOY_NAMESPACE = (
    "gateway.envoyproxy.io/owning-gateway-name",
    "gateway.envoyproxy.io/owning-gateway-namespace",
)
#: What the namespace of OpenShift's routers is labelled (X-08), and its name.
ROUTER_NAMESPACE = {
    "network.openshift.io/policy-group": "ingress",
    "policy-group.network.openshift.io/ingress": "",
    "kubernetes.io/metadata.name": "openshift-ingress",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """``names``: `spec.controller` of an IngressClass, `controllerName` of a GatewayClass; ``classes``: the class that is
    usual where the class object is not in the input; ``pods``: labels of the pods that take the traffic, any of them."""

    names: tuple[str, ...]
    classes: tuple[str, ...]
    pods: tuple[Mapping[str, str], ...]


CONTROLLERS = (
    Controller(
        names=("k8s.io/ingress-nginx",),
        classes=("nginx",),
        pods=(
            {_NAME: "ingress-nginx", _COMPONENT: "controller"},
            {"app": "nginx-ingress", "component": "controller"},
        ),
    ),
    Controller(
        names=("nginx.org/ingress-controller", "gateway.nginx.org/nginx-gateway-controller"),
        classes=("nginx",),
        pods=({_NAME: "nginx-ingress"}, {"app": "nginx-ingress"}, {_NAME: "nginx-gateway-fabric"}),
    ),
    Controller(
        names=("traefik.io/ingress-controller", "traefik.io/gateway-controller"),
        classes=("traefik",),
        pods=({_NAME: "traefik"}, {"app": "traefik"}),
    ),
    Controller(
        names=("haproxy.org/ingress-controller", "haproxy.org/ingress-controller/haproxy"),
        classes=("haproxy",),
        pods=({_NAME: "kubernetes-ingress"}, {"run": "haproxy-ingress"}),
    ),
    Controller(
        names=("haproxy-ingress.github.io/controller",), classes=("haproxy",), pods=({_NAME: "haproxy-ingress"},)
    ),
    Controller(
        names=("ingress-controllers.konghq.com/kong", "konghq.com/kic-gateway-controller"),
        classes=("kong",),
        pods=({"app": "proxy-kong"}, {"app": "ingress-kong"}, {_NAME: "kong"}, {_NAME: "gateway"}),
    ),
    Controller(
        names=("projectcontour.io/ingress-controller", "projectcontour.io/gateway-controller"),
        classes=("contour",),
        pods=({"app": "envoy"}, {_NAME: "contour", _COMPONENT: "envoy"}),
    ),
    Controller(
        names=("istio.io/ingress-controller", "istio.io/gateway-controller"),
        classes=("istio",),
        pods=({"istio": "ingressgateway"}, {"istio": "ingress"}),
    ),
    Controller(
        names=("cilium.io/ingress-controller", "io.cilium/gateway-controller"),
        classes=("cilium",),
        pods=({"k8s-app": "cilium-envoy"},),
    ),
    Controller(
        names=("openshift.io/ingress-to-route",),
        classes=("openshift-default",),
        pods=({"ingresscontroller.operator.openshift.io/deployment-ingresscontroller": "default"},),
    ),
)
#: The controller of OpenShift Routes.
_ROUTER = "openshift.io/ingress-to-route"


class Controllers:
    """Finds the pods that stand behind a class."""

    def __init__(self, cluster: Cluster, endpoints: Endpoints) -> None:
        self._cluster = cluster
        self._endpoints = endpoints
        self._virtual = (endpoints.virtual[INGRESS_CONTROLLER],)

    def is_virtual(self, senders: tuple[int, ...]) -> bool:
        return senders == self._virtual

    def of_ingress(self, wanted: str | None) -> tuple[int, ...]:
        """Of an Ingress with this class; without one, of the default class."""
        known = self._ingress_classes
        loaded = (
            known.get(wanted) if wanted else next((found for found in known.values() if found.body.is_default), None)
        )
        name = loaded.body.spec.controller if loaded and loaded.body.spec else None
        return self._pods(name, wanted)

    def of_router(self) -> tuple[int, ...]:
        return self._pods(_ROUTER, None)

    def of_gateway(self, gateway: Loaded) -> tuple[int, ...]:
        """Pods that were started for the Gateway, else those of its class."""
        own = tuple(self._of_one_gateway(gateway))
        if own:
            return own
        wanted = gateway.body.spec.gateway_class_name if gateway.body.spec else None
        loaded = self._gateway_classes.get(wanted or "")
        name = loaded.body.spec.controller_name if loaded and loaded.body.spec else None
        return self._pods(name, wanted)

    def _of_one_gateway(self, gateway: Loaded) -> Iterator[int]:
        name, namespace = gateway.ref.name, gateway.ref.namespace
        for pod, labels in enumerate(self._endpoints.labels):
            inside = self._endpoints.refs[pod].namespace == namespace
            of_envoy = labels.get(_ENVOY_NAME) == name and labels.get(_ENVOY_NAMESPACE) == namespace
            if of_envoy or (inside and labels.get(_OWN_GATEWAY) == name):
                yield pod

    def _pods(self, name: str | None, usual: str | None) -> tuple[int, ...]:
        """By the controller's name, where that is not known by the usual class; any controller where neither is given."""
        rows = [row for row in CONTROLLERS if (name in row.names if name else usual in row.classes if usual else True)]
        wanted = [labels for row in rows for labels in row.pods]
        found = tuple(pod for pod in self._candidates if any(self._has(pod, labels) for labels in wanted))
        return found or self._virtual

    def _has(self, pod: int, labels: Mapping[str, str]) -> bool:
        return labels.items() <= self._endpoints.labels[pod].items()

    @cached_property
    def _candidates(self) -> list[int]:
        """Pods with the labels of some row."""
        rows = [labels for row in CONTROLLERS for labels in row.pods]
        keys = {key for labels in rows for key in labels}
        return [
            pod
            for pod, labels in enumerate(self._endpoints.labels)
            if self._endpoints.refs[pod].kind != VIRTUAL
            and not keys.isdisjoint(labels)
            and any(self._has(pod, row) for row in rows)
        ]

    @cached_property
    def _ingress_classes(self) -> dict[str, Loaded]:
        return {loaded.ref.name: loaded for loaded in self._cluster.of("IngressClass")}

    @cached_property
    def _gateway_classes(self) -> dict[str, Loaded]:
        return {loaded.ref.name: loaded for loaded in self._cluster.of("GatewayClass")}


__all__ = ["CONTROLLERS", "ROUTER_NAMESPACE", "Controller", "Controllers"]
