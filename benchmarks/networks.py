"""Seeded networks in the shapes of network.md §5.3, whose flows follow from the recipe and are stated beside it.

Pods have what flows depend on and nothing else, some 450 bytes: reading whole pods is measured on the clusters.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from random import Random
from typing import NamedTuple, Self

from benchmarks.manifests import Object

HTTP, METRICS, TLS = 8080, 9090, 443
_TIERS = ("fe", "be", "db")
_POLICIES = "networking.k8s.io/v1"
#: Places whose sources are looked up one by one to count all flows.
_FEW = 50
_ADMIN = "policy.networking.k8s.io/v1alpha2"
#: Every address of IPv4, as the map shows it.
_OUTSIDE = "0.0.0.0-255.255.255.255[External]"


class Packet(NamedTuple):
    """The opening of a TCP connection."""

    source: str
    destination: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """What is known of the flows before anything is computed."""

    #: How the whole map is rolled up, and how many flows it has then; None where the recipe does not tell.
    fold: str = "workload"
    flows: int | None
    #: A pod, everything that reaches it, and how that is rolled up.
    target: str
    sources: Mapping[str, str]
    sources_fold: str = "workload"
    allowed: tuple[Packet, ...]
    denied: tuple[Packet, ...]


@dataclass(frozen=True, kw_only=True)
class Network:
    """Namespaces of deployments of pods."""

    namespaces: int
    deployments: int = 20
    replicas: int = 10
    #: Labels that namespaces bear in turn.
    teams: int = 50

    def objects(self) -> Iterator[Object]:
        yield from map(self._namespace, range(self.namespaces))
        yield from self._pods()
        yield from self._policies()

    def scaled(self, factor: float) -> Self:
        """The same network with fewer or more namespaces, in teams of the same size: a rule then means as many pods."""
        return replace(self, namespaces=round(self.namespaces * factor), teams=round(self.teams * factor))

    @abstractmethod
    def planted(self) -> Planted: ...

    @abstractmethod
    def _policies(self) -> Iterator[Object]: ...

    def _namespace(self, number: int) -> Object:
        labels = {"team": f"t{number % self.teams}"} | ({"env": "prod"} if number % 3 else {})
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace(number), "labels": labels}}

    def _pods(self) -> Iterator[Object]:
        address = int(IPv4Address("10.0.0.0"))
        for place in range(self.namespaces):
            for deployment in range(self.deployments):
                for replica in range(self.replicas):
                    address += 1
                    yield self._pod(place, deployment, replica, str(IPv4Address(address)), f"node{address % 500}")

    def _pod(self, place: int, deployment: int, replica: int, address: str, node: str) -> Object:
        owner = {"apiVersion": "apps/v1", "controller": True, "kind": "ReplicaSet", "name": owner_name(deployment)}
        ports = [{"containerPort": HTTP, "name": "http"}]
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "labels": self._labels(deployment, replica),
                "name": f"{owner_name(deployment)}-{replica}",
                "namespace": namespace(place),
                "ownerReferences": [owner],
            },
            "spec": {"containers": [{"name": "app", "ports": ports}], "nodeName": node},
            "status": {"phase": "Running", "podIP": address},
        }

    def _labels(self, deployment: int, replica: int) -> dict[str, str]:
        tier = _TIERS[deployment % len(_TIERS)]
        return {"app": f"a{deployment}", "pod-template-hash": f"h{deployment}", "tier": tier}


def namespace(number: int) -> str:
    return f"ns{number:05}"


def owner_name(deployment: int) -> str:
    return f"d{deployment}-h{deployment}"


def workload(place: int, deployment: int) -> str:
    return f"{namespace(place)}/{owner_name(deployment)}[ReplicaSet]"


def pod(place: int, deployment: int, replica: int = 0) -> str:
    return f"{namespace(place)}/{owner_name(deployment)}-{replica}"


def _app(deployment: int) -> Object:
    return {"podSelector": {"matchLabels": {"app": f"a{deployment}"}}}


def _policy(place: int, name: str, labels: dict[str, str], **rules: list[Object]) -> Object:
    """It isolates in the directions that are given."""
    spec: Object = {"podSelector": {"matchLabels": labels} if labels else {}}
    spec["policyTypes"] = [word.capitalize() for word in rules]
    return {
        "apiVersion": _POLICIES,
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace(place)},
        "spec": spec | {word: found for word, found in rules.items() if found},
    }


def _tcp(number: int) -> list[Object]:
    return [{"port": number, "protocol": "TCP"}]


# -- shapes --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Chain(Network):
    """G1: everything is denied but each deployment's way to the next, which both sides allow on TCP 8080.

    Rules that allow nothing come with it: a front end of another team is let in but not out, DNS let out but not in.
    The last deployment has no policy but the denial, so nothing reaches it.
    """

    def planted(self) -> Planted:
        place, deployment = self.namespaces // 2, self.deployments // 2
        target, before, front = (
            pod(place, deployment),
            pod(place, deployment - 1),
            pod((place + 1) % self.namespaces, 0),
        )
        return Planted(
            flows=self._links,
            target=target,
            sources={workload(place, deployment - 1): f"TCP {HTTP}"},
            allowed=(Packet(before, target, HTTP),),
            denied=(Packet(before, target, METRICS), Packet(front, target, HTTP), Packet(target, before, HTTP)),
        )

    @property
    def _links(self) -> int:
        return self.namespaces * (self.deployments - 2)

    def _policies(self) -> Iterator[Object]:
        for place in range(self.namespaces):
            yield _policy(place, "deny", {}, ingress=[], egress=[])
            for deployment in range(self.deployments - 1):
                yield self._link(place, deployment)

    def _link(self, place: int, deployment: int) -> Object:
        team = {"matchLabels": {"team": f"t{(place + 1) % self.teams}"}}
        front = {"namespaceSelector": team, "podSelector": {"matchLabels": {"tier": "fe"}}}
        prod = {"namespaceSelector": {"matchLabels": {"env": "prod"}}}
        return _policy(
            place,
            f"p{deployment}",
            self._selected(place, deployment),
            ingress=[{"from": [_app(deployment - 1), front], "ports": _tcp(HTTP)}],
            egress=[
                {"ports": [{"port": "http"}], "to": [_app(deployment + 1)]},
                {"ports": [{"port": 53, "protocol": "UDP"}], "to": [prod]},
            ],
        )

    def _selected(self, place: int, deployment: int) -> dict[str, str]:
        return {"app": f"a{deployment}"}


@dataclass(frozen=True, kw_only=True)
class Replicas(Chain):
    """G2: a chain whose replicas differ by a label that every fourth policy reads, so that it selects one of them."""

    def planted(self) -> Planted:
        place = self.namespaces // 2
        deployment = next(found for found in range(1, self.deployments) if self._chosen(place, found) is not None)
        chosen = self._chosen(place, deployment) or 0
        target, other = (pod(place, deployment, number % self.replicas) for number in (chosen, chosen + 1))
        before = [pod(place, deployment - 1, replica) for replica in range(self.replicas)]
        return Planted(
            flows=self._links,
            target=target,
            sources={f"{name}[Pod]": f"TCP {HTTP}" for name in before},
            sources_fold="none",
            allowed=(Packet(before[-1], target, HTTP),),
            denied=(Packet(before[-1], other, HTTP),),
        )

    def _chosen(self, place: int, deployment: int) -> int | None:
        """The one replica that the policy of a deployment selects, None for all."""
        count = place * (self.deployments - 1) + deployment + 1
        return None if count % 4 else count % self.replicas

    def _selected(self, place: int, deployment: int) -> dict[str, str]:
        chosen = self._chosen(place, deployment)
        return super()._selected(place, deployment) | ({} if chosen is None else {"replica": f"r{chosen}"})

    def _labels(self, deployment: int, replica: int) -> dict[str, str]:
        return super()._labels(deployment, replica) | {"replica": f"r{replica}"}


@dataclass(frozen=True, kw_only=True)
class Pairs(Network):
    """G3: in each of very many namespaces two deployments that let in each other on TCP 8080; the way out is open."""

    deployments: int = 2
    replicas: int = 2

    def planted(self) -> Planted:
        place, target = self.namespaces // 2, pod(self.namespaces // 2, 0)
        return Planted(
            # Each deployment: the other one, and everything outside.
            flows=self.namespaces * 4,
            target=target,
            sources={workload(place, 1): f"TCP {HTTP}"},
            allowed=(Packet(pod(place, 1), target, HTTP), Packet(target, "203.0.113.7", TLS)),
            denied=(Packet(pod(place - 1, 1), target, HTTP), Packet("203.0.113.7", target, HTTP)),
        )

    def _policies(self) -> Iterator[Object]:
        for place in range(self.namespaces):
            yield _policy(place, "deny", {}, ingress=[])
            for deployment in range(2):
                rule = {"from": [_app(1 - deployment)], "ports": _tcp(HTTP)}
                yield _policy(place, f"p{deployment}", {"app": f"a{deployment}"}, ingress=[rule])


@dataclass(frozen=True, kw_only=True)
class Blocks(Chain):
    """A chain in which so many deployments may each open TCP 443 to a block of its own outside the cluster."""

    blocks: int

    def scaled(self, factor: float) -> Self:
        return replace(super().scaled(factor), blocks=round(self.blocks * factor))

    def planted(self) -> Planted:
        chain, first = super().planted(), self._drawn[0]
        inside, behind = str(first[0]), str(first[-1] + 1)
        return replace(
            chain,
            # A block is one range of the map, whatever it shares with others.
            flows=self._links + self.blocks,
            allowed=(*chain.allowed, Packet(pod(0, 0), inside, TLS)),
            denied=(*chain.denied, Packet(pod(0, 0), behind, TLS), Packet(inside, pod(0, 0), TLS)),
        )

    @cached_property
    def _drawn(self) -> list[IPv4Network]:
        """Distinct, of lengths 8 to 30, and none with the address of a pod or the last of all addresses."""
        rng = Random("blocks")
        found: dict[IPv4Network, None] = {}
        while len(found) < self.blocks:
            address = rng.randrange(11 << 24, 255 << 24)
            found[IPv4Network((address, rng.randint(8, 30)), strict=False)] = None
        return list(found)

    def _policies(self) -> Iterator[Object]:
        yield from super()._policies()
        for number, block in enumerate(self._drawn):
            deployment, place = divmod(number, self.namespaces)
            rule = {"ports": _tcp(TLS), "to": [{"ipBlock": {"cidr": str(block)}}]}
            yield _policy(place, f"b{number}", {"app": f"a{deployment}"}, egress=[rule])


@dataclass(frozen=True, kw_only=True)
class Hubs(Chain):
    """A chain in whose namespaces TCP 9090 is open in both directions for every namespace but the own."""

    def planted(self) -> Planted:
        chain, place, deployment = super().planted(), self.namespaces // 2, self.deployments // 2
        others = [number for number in range(self.namespaces) if number != place]
        everyone = {workload(other, each): f"TCP {METRICS}" for other in others for each in range(self.deployments)}
        outer = pod(others[0], self.deployments - 1)
        return replace(
            chain,
            fold="namespace",
            # Each namespace reaches the others by the hubs, and itself by its chain.
            flows=self.namespaces**2,
            sources={**everyone, **chain.sources},
            allowed=(*chain.allowed, Packet(outer, chain.target, METRICS)),
            denied=(*chain.denied, Packet(pod(place, deployment - 1), chain.target, METRICS)),
        )

    def _policies(self) -> Iterator[Object]:
        yield from super()._policies()
        for place in range(self.namespaces):
            own = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [namespace(place)]}
            others = [{"namespaceSelector": {"matchExpressions": [own]}}]
            ingress, egress = ([{word: others, "ports": _tcp(METRICS)}] for word in ("from", "to"))
            yield _policy(place, "hub", {}, ingress=ingress, egress=egress)


# -- admin policies ------------------------------------------------------------------------------------------------


class _AdminRule(NamedTuple):
    action: str
    #: Of the peer's namespace.
    team: int
    port: int


class _AdminPolicy(NamedTuple):
    number: int
    tier: str
    #: Pods of the team's namespaces, or those of one app in all namespaces.
    team: int | None
    app: int | None
    ingress: list[_AdminRule]
    egress: list[_AdminRule]

    def to_object(self) -> Object:
        pods = {"namespaceSelector": {}, **_app(self.app or 0)}
        subject = {"pods": pods} if self.team is None else {"namespaces": _team(self.team)}
        return {
            "apiVersion": _ADMIN,
            "kind": "ClusterNetworkPolicy",
            "metadata": {"name": f"cnp{self.number}"},
            "spec": {
                "egress": [_admin_object(rule, "to") for rule in self.egress],
                "ingress": [_admin_object(rule, "from") for rule in self.ingress],
                "priority": self.number,
                "subject": subject,
                "tier": self.tier,
            },
        }


def _team(number: int) -> Object:
    return {"matchLabels": {"team": f"t{number}"}}


def _admin_object(rule: _AdminRule, peers: str) -> Object:
    return {
        "action": rule.action,
        peers: [{"namespaces": _team(rule.team)}],
        "protocols": [{"tcp": {"destinationPort": {"number": rule.port}}}],
    }


class _Place(NamedTuple):
    namespace: int
    deployment: int


@dataclass(frozen=True, kw_only=True)
class Admin(Chain):
    """A chain under ClusterNetworkPolicies of both tiers, drawn from a seed; one in four is of the Baseline tier."""

    policies: int

    def planted(self) -> Planted:
        """The sources of one pod, by the first rule that decides on each side (C-01, C-02)."""
        target, sources = self._busiest()
        name, (source, ports) = pod(*target), next(item for item in sources.items() if item[0] != workload(*target))
        port = int(ports.removeprefix("TCP ").partition(",")[0])
        silent = next(found for found in self._places if found != target and workload(*found) not in sources)
        return Planted(
            flows=sum(map(len, map(self._sources, self._places))) if len(self._places) <= _FEW else None,
            target=name,
            sources=sources,
            allowed=(Packet(f"{source.partition('[')[0]}-0", name, port),),
            denied=tuple(Packet(pod(*silent), name, port) for port in (HTTP, METRICS, TLS)),
        )

    @property
    def _places(self) -> list[_Place]:
        return [_Place(place, each) for place in range(self.namespaces) for each in range(self.deployments)]

    def _busiest(self) -> tuple[_Place, dict[str, str]]:
        """Of some pods the one with the most sources."""
        asked = Random("targets").sample(self._places, 8)
        return max(((place, self._sources(place)) for place in asked), key=lambda found: len(found[1]))

    def _sources(self, target: _Place) -> dict[str, str]:
        found = {}
        for source in self._places:
            ports = [port for port in (TLS, HTTP, METRICS) if self._lets_through(source, target, port)]
            if ports:
                found[workload(*source)] = f"TCP {','.join(map(str, ports))}"
        return found

    def _lets_through(self, source: _Place, target: _Place, port: int) -> bool:
        return self._lets_out(source, target, port) and self._lets_in(target, source, port)

    def _lets_out(self, subject: _Place, peer: _Place, port: int) -> bool:
        above = _decided((found.egress for found in self._above(subject)), self._team_of(peer), port)
        return self._is_link(subject, peer, port) if above is None else above

    def _lets_in(self, subject: _Place, peer: _Place, port: int) -> bool:
        above = _decided((found.ingress for found in self._above(subject)), self._team_of(peer), port)
        return self._is_let_in(subject, peer, port) if above is None else above

    def _is_link(self, subject: _Place, peer: _Place, port: int) -> bool:
        following = peer == _Place(subject.namespace, subject.deployment + 1)
        return subject.deployment < self.deployments - 1 and following and port == HTTP

    def _is_let_in(self, subject: _Place, peer: _Place, port: int) -> bool:
        before = subject == _Place(peer.namespace, peer.deployment + 1)
        next_team = self._team_of(peer) == (subject.namespace + 1) % self.teams
        front = next_team and peer.deployment % len(_TIERS) == 0
        return subject.deployment < self.deployments - 1 and (before or front) and port == HTTP

    def _team_of(self, place: _Place) -> int:
        return place.namespace % self.teams

    def _above(self, subject: _Place) -> list[_AdminPolicy]:
        return self._by_subject[self._team_of(subject), subject.deployment]

    @cached_property
    def _by_subject(self) -> dict[tuple[int, int], list[_AdminPolicy]]:
        """The policies before NetworkPolicy by the pods' team and app. Baseline ones never apply: all is isolated (C-07)."""
        first = [policy for policy in self._drawn if policy.tier == "Admin"]
        return {
            (team, app): [policy for policy in first if app == policy.app or team == policy.team]
            for team in range(self.teams)
            for app in range(self.deployments)
        }

    @cached_property
    def _drawn(self) -> list[_AdminPolicy]:
        """In the order of their priorities."""
        rng = Random("admin")
        return [self._draw(rng, number) for number in range(self.policies)]

    def _draw(self, rng: Random, number: int) -> _AdminPolicy:
        ingress, egress = ([self._draw_rule(rng) for _ in range(3)] for _ in range(2))
        return _AdminPolicy(
            number=number,
            tier="Admin" if number % 4 else "Baseline",
            team=number % self.teams if number % 2 else None,
            app=None if number % 2 else number % self.deployments,
            ingress=ingress,
            egress=egress,
        )

    def _draw_rule(self, rng: Random) -> _AdminRule:
        action = rng.choice(("Accept", "Deny", "Pass"))
        return _AdminRule(action, rng.randrange(self.teams), rng.choice((HTTP, METRICS, TLS)))

    def _policies(self) -> Iterator[Object]:
        yield from super()._policies()
        yield from (policy.to_object() for policy in self._drawn)


def _decided(policies: Iterable[list[_AdminRule]], team: int, port: int) -> bool | None:
    """What the first rule that fits says; None where none does, or where it passes on."""
    for rules in policies:
        for rule in rules:
            if rule.team == team and rule.port == port:
                return None if rule.action == "Pass" else rule.action == "Accept"
    return None


# -- scenarios -----------------------------------------------------------------------------------------------------

#: The shapes of network.md §5.3 and those of its text: blocks, admin tiers.
SHAPES: dict[str, Network] = {
    "G1": Chain(namespaces=500),
    "G2": Replicas(namespaces=500),
    "G3": Pairs(namespaces=25_000),
    "blocks": Blocks(namespaces=500, blocks=4_000),
    "admin": Admin(namespaces=500, policies=200),
    "hubs": Hubs(namespaces=500),
    "1M": Chain(namespaces=1_000, replicas=50),
}
#: As small as they can be and still hold what was planted.
TINY: dict[str, Network] = {
    "G1-tiny": Chain(namespaces=3, deployments=5, replicas=2),
    "G2-tiny": Replicas(namespaces=3, deployments=6, replicas=3),
    "G3-tiny": Pairs(namespaces=4),
    "blocks-tiny": Blocks(namespaces=3, deployments=5, replicas=2, blocks=9),
    "admin-tiny": Admin(namespaces=4, deployments=6, replicas=2, policies=24, teams=4),
    "hubs-tiny": Hubs(namespaces=3, deployments=5, replicas=2),
}
#: Namespaces of the chains that another tool is asked about, until one takes it too long.
LADDER = range(4, 64, 4)
NETWORKS: dict[str, Network] = {
    **SHAPES,
    **TINY,
    **{f"{name}-half": network.scaled(0.5) for name, network in SHAPES.items()},
    **{f"{name}-double": network.scaled(2) for name, network in SHAPES.items()},
    **{f"chain-{count}": Chain(namespaces=count) for count in LADDER},
}
