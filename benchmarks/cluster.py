"""Seeded clusters in realistic shapes whose secret readers are known beforehand. Nothing here knows how files look."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from random import Random
from typing import NamedTuple

from benchmarks.manifests import (
    POLICIES,
    RBAC,
    Object,
    Workload,
    deployment,
    metadata,
    namespace_object,
    node_object,
    pod,
    service,
    word,
)
from benchmarks.roles import (
    AGGREGATED,
    AGGREGATES,
    CLUSTER_ADMIN,
    LOCAL_ROLES,
    Role,
    dangling,
    operator_role,
    role_object,
    rule,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How much of everything a cluster has; what is not given follows from the rest (rbac.md §7.2)."""

    namespaces: int
    #: RoleBindings.
    bindings: int
    cluster_bindings: int
    cluster_roles: int
    roles: int
    pods: int = 0
    policies: int = 0
    seed: int = 1

    @classmethod
    def of(cls, *, namespaces: int, bindings: int, pods: int = 0, policies: int = 0, seed: int = 1) -> Shape:
        return cls(
            namespaces=namespaces,
            bindings=bindings,
            cluster_bindings=bindings // 25 + 20,
            cluster_roles=bindings // 33 + 30,
            roles=bindings // 5,
            pods=pods,
            policies=policies,
            seed=seed,
        )

    def scaled(self, factor: float) -> Shape:
        """The same cluster, smaller or larger in every respect."""
        counts = ("namespaces", "bindings", "cluster_bindings", "cluster_roles", "roles", "pods", "policies")
        return replace(self, **{name: round(getattr(self, name) * factor) for name in counts})


_MIDDLE = Shape.of(namespaces=200, bindings=1_500, pods=10_000, policies=500)
_WHOLE = Shape.of(namespaces=2_000, bindings=20_000, pods=150_000, policies=5_000)

_ATTACKED = Shape.of(namespaces=2_000, bindings=50_000, pods=150_000)

#: The bindings-only shapes are those of rbac.md §7.2; the others are named after their size as compact JSON.
SCENARIOS = {
    "tiny": Shape.of(namespaces=5, bindings=60, pods=40, policies=8),
    "small": Shape(namespaces=500, bindings=1_500, cluster_bindings=196, cluster_roles=219, roles=127),
    "medium": Shape(namespaces=2_000, bindings=4_491, cluster_bindings=676, cluster_roles=721, roles=1_374),
    "large": Shape(namespaces=10_000, bindings=50_000, cluster_bindings=2_000, cluster_roles=1_500, roles=10_000),
    "huge": Shape(namespaces=10_000, bindings=150_000, cluster_bindings=5_000, cluster_roles=3_000, roles=30_000),
    "1MB": Shape.of(namespaces=10, bindings=50, pods=200, policies=20),
    "4MB": _MIDDLE.scaled(0.1),
    "10MB": Shape.of(namespaces=50, bindings=500, pods=2_300, policies=150),
    "39MB": _MIDDLE,
    "58MB": _WHOLE.scaled(0.1),
    "100MB": Shape.of(namespaces=400, bindings=3_500, pods=25_500, policies=1_000),
    "585MB": _WHOLE,
    "attacks": _ATTACKED,
    "attacks-half": _ATTACKED.scaled(0.5),
    "attacks-small": _ATTACKED.scaled(0.01),
}


class Subject(NamedTuple):
    kind: str
    name: str
    namespace: str = ""

    def to_mapping(self) -> Object:
        if self.kind == "ServiceAccount":
            return {"kind": self.kind, "name": self.name, "namespace": self.namespace}
        return {"apiGroup": RBAC, "kind": self.kind, "name": self.name}


@dataclass(frozen=True, slots=True, kw_only=True)
class Readers:
    """Who may get, list or watch secrets without naming one, apart from ``system:masters``."""

    #: In every namespace, through a ClusterRoleBinding.
    cluster: frozenset[Subject]
    #: In at least one namespace.
    anywhere: frozenset[Subject]


class _Binding(NamedTuple):
    name: str
    namespace: str
    role_kind: str
    role: Role
    subjects: list[Subject]

    def to_object(self) -> Object:
        kind = "RoleBinding" if self.namespace else "ClusterRoleBinding"
        return {
            "apiVersion": f"{RBAC}/v1",
            "kind": kind,
            "metadata": metadata(self.name, self.namespace),
            "roleRef": {"apiGroup": RBAC, "kind": self.role_kind, "name": self.role.name},
            "subjects": [subject.to_mapping() for subject in self.subjects],
        }


def objects(shape: Shape) -> Iterator[Object]:
    """Every object of the cluster, kind by kind as ``kubectl get KIND,KIND`` lists them."""
    return _Cluster(shape).objects()


def namespaces(shape: Shape) -> list[str]:
    """The names of its namespaces, those that hold most first."""
    return _Cluster(shape).namespaces


def secret_readers(shape: Shape) -> Readers:
    """The answer to "who can read secrets" that the cluster was made to have."""
    cluster = _Cluster(shape)
    everywhere = _readers(cluster.cluster_role_bindings())
    return Readers(cluster=everywhere, anywhere=everywhere | _readers(cluster.role_bindings()))


def _readers(bindings: Iterator[_Binding]) -> frozenset[Subject]:
    return frozenset(subject for binding in bindings if binding.role.reads for subject in binding.subjects)


# -- the cluster ---------------------------------------------------------------------------------------------------

_TEAMS = [
    "accounts",
    "billing",
    "catalog",
    "checkout",
    "content",
    "data",
    "fraud",
    "identity",
    "orders",
    "payments",
    "search",
    "shipping",
]
_STAGES = ("dev", "prod", "staging")
_COMPONENTS = ("api", "cache", "frontend", "gateway", "jobs", "scheduler", "web", "worker")
_REPLICAS = (1, 2, 2, 3, 3, 5, 8, 12, 30, 60)
_PODS_PER_NODE = 60


@dataclass(frozen=True)
class _Cluster:
    """Draws every part from a random source of its own, so that one can be drawn again without the others."""

    shape: Shape

    def objects(self) -> Iterator[Object]:
        yield from map(role_object, self._cluster_roles)
        yield from self._aggregates()
        yield from (binding.to_object() for binding in self.cluster_role_bindings())
        yield from self._local_roles()
        yield from (binding.to_object() for binding in self.role_bindings())
        yield from map(namespace_object, self.namespaces)
        yield from (node_object(number) for number in range(self._nodes))
        yield from self._service_accounts()
        yield from self._network_policies()
        yield from map(service, self._workloads())
        yield from map(deployment, self._workloads())
        yield from self._pods()

    def cluster_role_bindings(self) -> Iterator[_Binding]:
        rng = self._random("ClusterRoleBinding")
        yield _Binding("cluster-admin", "", "ClusterRole", CLUSTER_ADMIN, [Subject("Group", "system:masters")])
        for number in range(self.shape.cluster_bindings - 1):
            role = CLUSTER_ADMIN if number % 100 == 0 else rng.choice(self._cluster_roles)
            role = dangling(rng) or role
            yield _Binding(f"{role.name}-{number}", "", "ClusterRole", role, self._subjects(rng))

    def role_bindings(self) -> Iterator[_Binding]:
        rng = self._random("RoleBinding")
        for number in range(self.shape.bindings):
            place = self._skewed(rng)
            kind, role = self._bound_role(rng, place)
            name = f"{role.name}-{number}".replace(":", "-")
            yield _Binding(name, self.namespaces[place], kind, role, self._subjects(rng, place))

    def _bound_role(self, rng: Random, place: int) -> tuple[str, Role]:
        if removed := dangling(rng):
            return "Role", removed
        in_place = range(place, self.shape.roles, self.shape.namespaces)
        if in_place and rng.random() < 0.6:
            return "Role", self._local_role(rng.choice(in_place))
        shared = AGGREGATED if rng.random() < 0.7 else self._cluster_roles
        return "ClusterRole", rng.choice(shared)

    def _subjects(self, rng: Random, place: int | None = None) -> list[Subject]:
        return [self._subject(rng, place) for _ in range(rng.choice((1, 1, 1, 1, 2, 3)))]

    def _subject(self, rng: Random, place: int | None) -> Subject:
        draw = rng.random()
        team = rng.choice(_TEAMS)
        if draw < 0.15:
            return Subject("User", f"{team}-{rng.randrange(400)}@example.com")
        if draw < 0.3:
            return Subject("Group", f"{team}-{rng.choice(('admins', 'developers', 'oncall', 'readers'))}")
        if place is None or draw < 0.35:
            place = self._skewed(rng)
        return Subject("ServiceAccount", rng.choice(_COMPONENTS), self.namespaces[place])

    def _skewed(self, rng: Random) -> int:
        """Early namespaces get most: in real clusters too a few hold much of what there is."""
        return int(self.shape.namespaces * rng.random() ** 2)

    def _local_role(self, number: int) -> Role:
        """The number-th Role. Every twentieth names objects of its own, so that it equals no other."""
        again, place = divmod(number, self.shape.namespaces)
        role = LOCAL_ROLES[(place + again) % len(LOCAL_ROLES)]
        extra = [] if number % 20 else [rule("core", "configmaps", "get", resourceNames=[f"settings-{number}"])]
        return Role(f"{role.name}-{again}", role.reads, [*role.rules, *extra])

    def _local_roles(self) -> Iterator[Object]:
        for number in range(self.shape.roles):
            namespace = self.namespaces[number % self.shape.namespaces]
            role = self._local_role(number)
            yield role_object(role, namespace)

    @cached_property
    def _cluster_roles(self) -> list[Role]:
        """All that bindings may name, without the aggregated ones."""
        count = max(1, self.shape.cluster_roles - len(AGGREGATED) - len(AGGREGATES) - 1)
        return [CLUSTER_ADMIN, *map(operator_role, range(count))]

    def _aggregates(self) -> Iterator[Object]:
        for role in AGGREGATED:
            label = f"rbac.authorization.k8s.io/aggregate-to-{role.name}"
            yield role_object(role) | {"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]}}
        # As upstream has it, the parts of `view` also flow into `edit`, and those of `edit` into `admin`.
        targets = (("admin",), ("edit", "admin"), ("view", "edit", "admin"))
        for role, names in zip(AGGREGATES, targets, strict=True):
            part = role_object(role)
            part["metadata"]["labels"] = {f"rbac.authorization.k8s.io/aggregate-to-{name}": "true" for name in names}
            yield part

    @cached_property
    def namespaces(self) -> list[str]:
        pairs = itertools.product(_TEAMS, _STAGES)
        names = [f"{team}-{stage}" for team, stage in pairs]
        return [f"{names[number % len(names)]}-{number // len(names)}" for number in range(self.shape.namespaces)]

    @property
    def _nodes(self) -> int:
        return self.shape.pods // _PODS_PER_NODE + bool(self.shape.pods)

    def _service_accounts(self) -> Iterator[Object]:
        for namespace in self.namespaces:
            for name in ("default", *_COMPONENTS[:: 1 if self.shape.pods else 4]):
                yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(name, namespace)}

    def _network_policies(self) -> Iterator[Object]:
        for number in range(self.shape.policies):
            namespace = self.namespaces[number % self.shape.namespaces]
            name, spec = POLICIES[number // self.shape.namespaces % len(POLICIES)]
            again = number // self.shape.namespaces // len(POLICIES)
            yield {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "NetworkPolicy",
                "metadata": metadata(f"{name}-{again}" if again else name, namespace),
                "spec": spec,
            }

    def _workloads(self) -> Iterator[Workload]:
        rng = self._random("Deployment")
        left = self.shape.pods
        for number in itertools.count():
            if not left:
                return
            replicas = min(left, rng.choice(_REPLICAS))
            left -= replicas
            place = number % self.shape.namespaces
            component = _COMPONENTS[number // self.shape.namespaces % len(_COMPONENTS)]
            yield Workload(
                namespace=self.namespaces[place],
                name=f"{rng.choice(_TEAMS)}-{component}-{number // self.shape.namespaces}",
                component=component,
                version=f"2.{rng.randrange(40)}.{rng.randrange(10)}",
                template_hash=word(rng, 10),
                replicas=replicas,
            )

    def _pods(self) -> Iterator[Object]:
        rng = self._random("Pod")
        numbers = itertools.count()
        for workload in self._workloads():
            for _ in range(workload.replicas):
                yield pod(workload, rng, number=next(numbers), node=rng.randrange(self._nodes))

    def _random(self, part: str) -> Random:
        return Random(f"{self.shape.seed}/{part}")
