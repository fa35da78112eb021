"""What leads traffic to pods: Services, EndpointSlices, Ingresses, the Gateway API, OpenShift's Routes (network.md §2.7).

As in ``objects``: in Kubernetes' own shape, only the fields that answers need, any list or map may be null. Of annotations
those are declared that change who may use an entry; all others are never built.
"""

from __future__ import annotations

import msgspec

from graphsec.algebra.selectors import LabelSelector
from graphsec.model.objects import Annotations, Metadata, Object

#: Label by which an EndpointSlice names its Service, and by which it says who writes it.
SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
#: The writer of the slices of Services with a selector.
SLICE_CONTROLLER = "endpointslice-controller.k8s.io"


# -- Services ---------------------------------------------------------------------------------------------------


class ServiceAnnotations(Annotations, frozen=True, gc=False):
    """Those by which the providers' load balancers become internal (Services, "Internal load balancer")."""

    gke: str | None = msgspec.field(name="networking.gke.io/load-balancer-type", default=None)
    google: str | None = msgspec.field(name="cloud.google.com/load-balancer-type", default=None)
    aws: str | None = msgspec.field(name="service.beta.kubernetes.io/aws-load-balancer-internal", default=None)
    aws_scheme: str | None = msgspec.field(name="service.beta.kubernetes.io/aws-load-balancer-scheme", default=None)
    azure: str | None = msgspec.field(name="service.beta.kubernetes.io/azure-load-balancer-internal", default=None)
    ibm: str | None = msgspec.field(name="service.kubernetes.io/ibm-load-balancer-cloud-provider-ip-type", default=None)
    openstack: str | None = msgspec.field(
        name="service.beta.kubernetes.io/openstack-internal-load-balancer", default=None
    )
    baidu: str | None = msgspec.field(name="service.beta.kubernetes.io/cce-load-balancer-internal-vpc", default=None)
    tencent: str | None = msgspec.field(
        name="service.kubernetes.io/qcloud-loadbalancer-internal-subnetid", default=None
    )
    alibaba: str | None = msgspec.field(
        name="service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type", default=None
    )
    oracle: str | None = msgspec.field(name="service.beta.kubernetes.io/oci-load-balancer-internal", default=None)

    @property
    def internal(self) -> str:
        """The annotation that makes the load balancer internal, "" if none does."""
        for field in msgspec.structs.fields(self):
            value = (getattr(self, field.name) or "").lower()
            if field.name in Annotations.__struct_fields__ or not value:
                continue
            # Tencent's names a subnet; an early form of AWS's is a block.
            if value in _INTERNAL or field.name == "tencent" or (field.name == "aws" and value == "0.0.0.0/0"):
                return field.encode_name
        return ""


_INTERNAL = ("true", "internal", "private", "intranet")


class ServiceMetadata(Metadata, frozen=True, gc=False, rename="camel"):
    annotations: ServiceAnnotations | None = None


class ServicePort(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    port: int = 0
    name: str | None = None
    #: A number, or the name of a container port; null and absent are the Service's own port.
    target_port: int | str | None = None
    node_port: int | None = None
    #: Null and absent are TCP.
    protocol: str | None = None

    @property
    def target(self) -> int | str:
        return self.target_port or self.port


class ServiceSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    type: str | None = None
    selector: dict[str, str] | None = None
    ports: tuple[ServicePort, ...] | None = None
    cluster_ip: str | None = msgspec.field(name="clusterIP", default=None)
    cluster_ips: tuple[str, ...] | None = msgspec.field(name="clusterIPs", default=None)
    external_ips: tuple[str, ...] | None = msgspec.field(name="externalIPs", default=None)
    external_name: str | None = None
    external_traffic_policy: str | None = None
    load_balancer_ip: str | None = msgspec.field(name="loadBalancerIP", default=None)
    load_balancer_class: str | None = None
    load_balancer_source_ranges: tuple[str, ...] | None = None
    allocate_load_balancer_node_ports: bool | None = None


class LoadBalancerIngress(msgspec.Struct, frozen=True, gc=False):
    ip: str | None = None
    hostname: str | None = None


class LoadBalancerStatus(msgspec.Struct, frozen=True, gc=False):
    ingress: tuple[LoadBalancerIngress, ...] | None = None


class ServiceStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    load_balancer: LoadBalancerStatus | None = None


class Service(Object, frozen=True, gc=False):
    metadata: ServiceMetadata
    spec: ServiceSpec | None = None
    status: ServiceStatus | None = None

    def balancer_addresses(self) -> tuple[str, ...]:
        """Addresses and names that the provider has given to the load balancer."""
        balancer = self.status.load_balancer if self.status else None
        given = (balancer.ingress or ()) if balancer else ()
        return tuple(text for found in given for text in (found.ip, found.hostname) if text)


# -- EndpointSlices ---------------------------------------------------------------------------------------------


class TargetRef(msgspec.Struct, frozen=True, gc=False):
    kind: str | None = None
    name: str | None = None
    namespace: str | None = None


class EndpointConditions(msgspec.Struct, frozen=True, gc=False):
    ready: bool | None = None


class Endpoint(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    addresses: tuple[str, ...] | None = None
    conditions: EndpointConditions | None = None
    target_ref: TargetRef | None = None

    @property
    def ready(self) -> bool:
        """Null counts as ready."""
        return self.conditions is None or self.conditions.ready is not False


class EndpointPort(msgspec.Struct, frozen=True, gc=False):
    name: str | None = None
    port: int | None = None
    protocol: str | None = None


class EndpointSlice(Object, frozen=True, gc=False):
    endpoints: tuple[Endpoint, ...] | None = None
    ports: tuple[EndpointPort, ...] | None = None


# -- Ingresses --------------------------------------------------------------------------------------------------


class IngressAnnotations(Annotations, frozen=True, gc=False):
    #: The class before ``ingressClassName``.
    ingress_class: str | None = msgspec.field(name="kubernetes.io/ingress.class", default=None)
    alb_scheme: str | None = msgspec.field(name="alb.ingress.kubernetes.io/scheme", default=None)


class IngressMetadata(Metadata, frozen=True, gc=False, rename="camel"):
    annotations: IngressAnnotations | None = None


class BackendPort(msgspec.Struct, frozen=True, gc=False):
    number: int | None = None
    name: str | None = None


class BackendService(msgspec.Struct, frozen=True, gc=False):
    name: str | None = None
    port: BackendPort | None = None


class IngressBackend(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    service: BackendService | None = None
    #: Ingress before networking.k8s.io/v1.
    service_name: str | None = None
    service_port: int | str | None = None

    @property
    def name(self) -> str | None:
        return self.service.name if self.service else self.service_name

    @property
    def port(self) -> int | str | None:
        """Number or name of a port of the Service."""
        if self.service is None:
            return self.service_port
        port = self.service.port
        return (port.number or port.name) if port else None


class IngressPath(msgspec.Struct, frozen=True, gc=False):
    path: str | None = None
    backend: IngressBackend | None = None


class IngressHTTP(msgspec.Struct, frozen=True, gc=False):
    paths: tuple[IngressPath, ...] | None = None


class IngressRule(msgspec.Struct, frozen=True, gc=False):
    host: str | None = None
    #: Null where the rule leaves its host to the default backend (R-09).
    http: IngressHTTP | None = None


class IngressSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    ingress_class_name: str | None = None
    default_backend: IngressBackend | None = None
    #: The default backend before networking.k8s.io/v1.
    backend: IngressBackend | None = None
    rules: tuple[IngressRule, ...] | None = None


class Ingress(Object, frozen=True, gc=False):
    metadata: IngressMetadata
    spec: IngressSpec | None = None

    def places(self) -> list[tuple[str, IngressBackend]]:
        """(host, backend) of every path and of the default backend, whose host is ""."""
        if self.spec is None:
            return []
        default = self.spec.default_backend or self.spec.backend
        found = [("", default)] if default else []
        for rule in self.spec.rules or ():
            paths = (rule.http.paths or ()) if rule.http else ()
            found += [(rule.host or "*", path.backend) for path in paths if path.backend]
        return found

    def backends(self) -> list[str]:
        """Names of the services that this Ingress routes to, each once."""
        return sorted({backend.name for _, backend in self.places() if backend.name})


class ClassAnnotations(Annotations, frozen=True, gc=False):
    is_default: str | None = msgspec.field(name="ingressclass.kubernetes.io/is-default-class", default=None)


class ClassMetadata(Metadata, frozen=True, gc=False, rename="camel"):
    annotations: ClassAnnotations | None = None


class IngressClassSpec(msgspec.Struct, frozen=True, gc=False):
    controller: str | None = None


class IngressClass(Object, frozen=True, gc=False):
    metadata: ClassMetadata
    spec: IngressClassSpec | None = None

    @property
    def is_default(self) -> bool:
        return self.metadata.annotations is not None and self.metadata.annotations.is_default == "true"


# -- Gateway API ------------------------------------------------------------------------------------------------


class GroupKind(msgspec.Struct, frozen=True, gc=False):
    group: str | None = None
    kind: str | None = None


class RouteNamespaces(msgspec.Struct, frozen=True, gc=False):
    #: Same, All, Selector, None; null is Same.
    source: str | None = msgspec.field(name="from", default=None)
    selector: LabelSelector | None = None


class AllowedRoutes(msgspec.Struct, frozen=True, gc=False):
    namespaces: RouteNamespaces | None = None
    kinds: tuple[GroupKind, ...] | None = None


class Listener(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str = ""
    hostname: str | None = None
    port: int = 0
    protocol: str = ""
    allowed_routes: AllowedRoutes | None = None


class GatewayAddress(msgspec.Struct, frozen=True, gc=False):
    type: str | None = None
    value: str | None = None


class GatewaySpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    gateway_class_name: str | None = None
    listeners: tuple[Listener, ...] | None = None


class GatewayStatus(msgspec.Struct, frozen=True, gc=False):
    addresses: tuple[GatewayAddress, ...] | None = None


class Gateway(Object, frozen=True, gc=False):
    spec: GatewaySpec | None = None
    status: GatewayStatus | None = None


class GatewayClassSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    controller_name: str | None = None


class GatewayClass(Object, frozen=True, gc=False):
    spec: GatewayClassSpec | None = None


class ParentRef(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str = ""
    group: str | None = None
    kind: str | None = None
    namespace: str | None = None
    section_name: str | None = None
    port: int | None = None


class BackendRef(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    group: str | None = None
    kind: str | None = None
    namespace: str | None = None
    port: int | None = None
    #: Null is 1; 0 sends nothing.
    weight: int | None = None


class Mirror(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    backend_ref: BackendRef | None = None


class RouteFilter(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    request_mirror: Mirror | None = None


class GatewayRouteRule(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    backend_refs: tuple[BackendRef, ...] | None = None
    filters: tuple[RouteFilter, ...] | None = None

    def backends(self) -> list[BackendRef]:
        """Where requests go, and where copies of them go."""
        mirrors = [found.request_mirror for found in self.filters or ()]
        copies = [mirror.backend_ref for mirror in mirrors if mirror and mirror.backend_ref]
        return [*(found for found in self.backend_refs or () if found.weight != 0), *copies]


class GatewayRouteSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    parent_refs: tuple[ParentRef, ...] | None = None
    hostnames: tuple[str, ...] | None = None
    rules: tuple[GatewayRouteRule, ...] | None = None


class GatewayRoute(Object, frozen=True, gc=False):
    """HTTPRoute, GRPCRoute, TLSRoute, TCPRoute, UDPRoute: alike as far as answers need them."""

    spec: GatewayRouteSpec | None = None


class GrantFrom(msgspec.Struct, frozen=True, gc=False):
    group: str = ""
    kind: str = ""
    namespace: str = ""


class GrantTo(msgspec.Struct, frozen=True, gc=False):
    group: str = ""
    kind: str = ""
    name: str | None = None


class ReferenceGrantSpec(msgspec.Struct, frozen=True, gc=False):
    sources: tuple[GrantFrom, ...] | None = msgspec.field(name="from", default=None)
    targets: tuple[GrantTo, ...] | None = msgspec.field(name="to", default=None)


class ReferenceGrant(Object, frozen=True, gc=False):
    spec: ReferenceGrantSpec | None = None


# -- OpenShift --------------------------------------------------------------------------------------------------


class RouteTarget(msgspec.Struct, frozen=True, gc=False):
    kind: str | None = None
    name: str = ""
    #: Null is 100; 0 sends nothing.
    weight: int | None = None


class RoutePort(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    target_port: int | str | None = None


class RouteSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    host: str | None = None
    to: RouteTarget | None = None
    alternate_backends: tuple[RouteTarget, ...] | None = None
    port: RoutePort | None = None


class Route(Object, frozen=True, gc=False):
    """route.openshift.io (X-08)."""

    spec: RouteSpec | None = None

    def services(self) -> list[str]:
        """Names of the Services that it sends to."""
        if self.spec is None:
            return []
        targets = [*([self.spec.to] if self.spec.to else []), *(self.spec.alternate_backends or ())]
        names = [found.name for found in targets if found.kind in (None, "", "Service") and found.weight != 0]
        return list(dict.fromkeys(filter(None, names)))
