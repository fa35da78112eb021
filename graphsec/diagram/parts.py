"""What a diagram is made of: vertices, arrows, and one table of how each kind looks."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import msgspec

from graphsec.algebra.ports import NO_PORTS, PortSet


class DrawnKind(enum.Enum):
    """Kinds of drawn nodes, in the order in which pictures and legends list them."""

    INTERNET = "Internet"
    EXTERNAL = "Address range"
    ENTRY = "Entry"
    USER = "User"
    GROUP = "Group"
    SERVICE_ACCOUNT = "ServiceAccount"
    NAMESPACE = "Namespace"
    WORKLOAD = "Workload"
    POD = "Pod"
    NODE = "Node"
    SET = "Set"
    FOOTHOLD = "Foothold"
    ROLE_BINDING = "RoleBinding"
    CLUSTER_ROLE_BINDING = "ClusterRoleBinding"
    ROLE = "Role"
    CLUSTER_ROLE = "ClusterRole"
    TOGETHER = "AND"
    PERMISSION = "Permission"
    POLICY = "Policy"
    SECRET = "Secret"
    SINK = "Sink"
    OTHER = "Other"

    #: Enum's own hashes the name in Python, which shows in the time that a large fold takes.
    __hash__ = object.__hash__

    def count(self, number: int) -> str:
        """``1 Pod``, ``14 Pods``."""
        return f"{number:,} {self.value}" if number == 1 else f"{number:,} {_PLURALS.get(self, self.value + 's')}"


_PLURALS = {
    DrawnKind.INTERNET: "Internet",
    DrawnKind.ENTRY: "Entries",
    DrawnKind.POLICY: "Policies",
    DrawnKind.OTHER: "others",
    DrawnKind.FOOTHOLD: "Footholds",
}

#: The columns of a picture, and of its legend.
COLUMNS = (
    (DrawnKind.INTERNET, DrawnKind.EXTERNAL, DrawnKind.USER, DrawnKind.GROUP, DrawnKind.SERVICE_ACCOUNT),
    (
        DrawnKind.ENTRY, DrawnKind.NAMESPACE, DrawnKind.WORKLOAD, DrawnKind.POD, DrawnKind.NODE, DrawnKind.SET,
        DrawnKind.FOOTHOLD,
    ),
    (DrawnKind.ROLE_BINDING, DrawnKind.CLUSTER_ROLE_BINDING),
    (DrawnKind.ROLE, DrawnKind.CLUSTER_ROLE),
    (
        DrawnKind.TOGETHER, DrawnKind.PERMISSION, DrawnKind.POLICY, DrawnKind.SECRET, DrawnKind.SINK, DrawnKind.OTHER,
    ),
)  # fmt: skip

BINDINGS = frozenset({DrawnKind.ROLE_BINDING, DrawnKind.CLUSTER_ROLE_BINDING})


class Line(enum.Enum):
    """How an arrow is drawn; the value is its text in the legend."""

    __hash__ = object.__hash__  # as above

    SOLID = ""
    DASHED = "dashed: inert, dangling or conditional"
    BOLD = "bold: the path asked for"
    POSSIBLE = "dashed: possible, the input leaves it open"
    LOST = "dashed: no longer allowed"
    DENIED = "dotted, blocked at its end: denied"
    ASSUMED = "dashed: only under the assumption named at it"
    PART = "thin, circle at its end: contains it, stands for it or is a member"


class Share(enum.Enum):
    """How much of something a statement holds for."""

    NONE = "none"
    SOME = "some"
    ALL = "all"

    __hash__ = object.__hash__  # as above


class Isolation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """For which share of the pods policies decide a direction: what no rule allows is then denied (N-01)."""

    ingress: Share
    egress: Share


class Vertex(msgspec.Struct, frozen=True, kw_only=True, gc=False, cache_hash=True):
    """One object to draw."""

    #: Canonical and unique, e.g. ``ServiceAccount/ci/deployer``; equal input draws equal pictures by it.
    key: str
    label: str
    kind: DrawnKind
    #: The namespace; "" at cluster scope.
    group: str = ""
    #: Equivalence class that ``fold="class"`` keeps apart, and the workload of a pod for ``fold="workload"``.
    cls: str = ""
    #: Always in a frame: ``group`` is where something holds of the object, not where it lives.
    framed: bool = False
    #: None where policies do not apply.
    isolation: Isolation | None = None
    #: Workloads that a drawn namespace stands for; 0 where that is not told.
    workloads: int = 0
    #: What its members may do among themselves.
    inner: PortSet = NO_PORTS
    #: What the picture is about: never folded, and seen at once.
    marked: bool = False
    #: Characters of a line of its label; 0 for any.
    width: int = 0


class Arrow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One relation to draw, between the keys of two vertices."""

    tail: str
    head: str
    label: str = ""
    style: Line = Line.SOLID
    #: Parallel arrows of a folded picture are one with all their ports.
    ports: PortSet = NO_PORTS
    #: Lines of text that stay together, in front of all others.
    step: tuple[str, ...] = ()
    #: Bindings that are never nodes of their own.
    via: tuple[Vertex, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """Looks of a kind. No two kinds share shape and outline, so that no distinction rests on colour."""

    shape: str
    #: Brackets of the Mermaid shape.
    mermaid: tuple[str, str]
    #: Tints of the palette by Okabe and Ito, which people with any colour blindness can tell apart.
    fill: str
    legend: str
    bold: bool = False
    #: A fine dotted outline in Mermaid, which has fewer shapes than there are kinds.
    dotted: bool = False


_SUBJECT, _BINDING, _ROLE, _RUNS, _PRIZE, _PLAIN = "#CDE7F7", "#FBF3B4", "#BFE6DA", "#F3D9E8", "#F8D2B8", "#FFFFFF"

STYLES = {
    DrawnKind.INTERNET: Style(shape="tripleoctagon", mermaid=("(((", ")))"), fill=_PRIZE, legend="Internet"),
    DrawnKind.EXTERNAL: Style(
        shape="invhouse", mermaid=("([", "])"), fill=_PRIZE, legend="Addresses outside the cluster", dotted=True
    ),
    DrawnKind.ENTRY: Style(
        shape="rarrow",
        mermaid=("[/", "/]"),
        fill=_BINDING,
        legend="Way in: Service, Ingress, route, host",
        dotted=True,
    ),
    DrawnKind.USER: Style(shape="ellipse", mermaid=("([", "])"), fill=_SUBJECT, legend="User"),
    DrawnKind.GROUP: Style(shape="octagon", mermaid=("{{", "}}"), fill=_SUBJECT, legend="Group"),
    DrawnKind.SERVICE_ACCOUNT: Style(shape="rounded", mermaid=("(", ")"), fill=_SUBJECT, legend="ServiceAccount"),
    DrawnKind.NAMESPACE: Style(shape="folder", mermaid=("[\\", "/]"), fill=_PLAIN, legend="Namespace"),
    DrawnKind.WORKLOAD: Style(shape="box3d", mermaid=("[[", "]]"), fill=_RUNS, legend="Workload"),
    DrawnKind.POD: Style(shape="component", mermaid=("[\\", "\\]"), fill=_RUNS, legend="Pod"),
    DrawnKind.NODE: Style(shape="house", mermaid=("[/", "\\]"), fill=_RUNS, legend="Node"),
    DrawnKind.SET: Style(
        shape="diagonals", mermaid=("[[", "]]"), fill=_RUNS, legend="Every object of a kind", dotted=True
    ),
    DrawnKind.FOOTHOLD: Style(
        shape="underline", mermaid=("[\\", "\\]"), fill=_RUNS, legend="Attacker's code", dotted=True
    ),
    DrawnKind.ROLE_BINDING: Style(shape="cds", mermaid=("[/", "/]"), fill=_BINDING, legend="RoleBinding"),
    DrawnKind.CLUSTER_ROLE_BINDING: Style(
        shape="cds", mermaid=("[/", "/]"), fill=_BINDING, legend="ClusterRoleBinding", bold=True
    ),
    DrawnKind.ROLE: Style(shape="box", mermaid=("[", "]"), fill=_ROLE, legend="Role"),
    DrawnKind.CLUSTER_ROLE: Style(shape="box", mermaid=("[", "]"), fill=_ROLE, legend="ClusterRole", bold=True),
    DrawnKind.TOGETHER: Style(shape="circle", mermaid=("((", "))"), fill=_PLAIN, legend="AND", dotted=True),
    DrawnKind.PERMISSION: Style(shape="note", mermaid=(">", "]"), fill=_PRIZE, legend="Permission"),
    DrawnKind.POLICY: Style(shape="tab", mermaid=(">", "]"), fill=_BINDING, legend="Policy", dotted=True),
    DrawnKind.SECRET: Style(shape="cylinder", mermaid=("[(", ")]"), fill=_PRIZE, legend="Secret"),
    DrawnKind.SINK: Style(shape="hexagon", mermaid=("((", "))"), fill=_PRIZE, legend="Target"),
    DrawnKind.OTHER: Style(shape="parallelogram", mermaid=("{", "}"), fill=_PLAIN, legend="Other"),
}
