"""What a diagram is made of: vertices, arrows, and one table of how each kind looks."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import msgspec


class DrawnKind(enum.Enum):
    """Kinds of drawn nodes, in the order in which pictures and legends list them."""

    INTERNET = "Internet"
    USER = "User"
    GROUP = "Group"
    SERVICE_ACCOUNT = "ServiceAccount"
    NAMESPACE = "Namespace"
    WORKLOAD = "Workload"
    POD = "Pod"
    NODE = "Node"
    ROLE_BINDING = "RoleBinding"
    CLUSTER_ROLE_BINDING = "ClusterRoleBinding"
    ROLE = "Role"
    CLUSTER_ROLE = "ClusterRole"
    PERMISSION = "Permission"
    SECRET = "Secret"
    SINK = "Sink"
    OTHER = "Other"

    #: Enum's own hashes the name in Python, which shows in the time that a large fold takes.
    __hash__ = object.__hash__

    def count(self, number: int) -> str:
        """``1 Pod``, ``14 Pods``."""
        return f"{number:,} {self.value}" if number == 1 else f"{number:,} {_PLURALS.get(self, self.value + 's')}"


_PLURALS = {DrawnKind.INTERNET: "Internet", DrawnKind.OTHER: "others"}

#: The columns of a picture, and of its legend.
COLUMNS = (
    (DrawnKind.INTERNET, DrawnKind.USER, DrawnKind.GROUP, DrawnKind.SERVICE_ACCOUNT),
    (DrawnKind.NAMESPACE, DrawnKind.WORKLOAD, DrawnKind.POD, DrawnKind.NODE),
    (DrawnKind.ROLE_BINDING, DrawnKind.CLUSTER_ROLE_BINDING),
    (DrawnKind.ROLE, DrawnKind.CLUSTER_ROLE),
    (DrawnKind.PERMISSION, DrawnKind.SECRET, DrawnKind.SINK, DrawnKind.OTHER),
)

BINDINGS = frozenset({DrawnKind.ROLE_BINDING, DrawnKind.CLUSTER_ROLE_BINDING})


class Line(enum.Enum):
    """How an arrow is drawn; the value is its text in the legend."""

    __hash__ = object.__hash__  # as above

    SOLID = ""
    DASHED = "dashed: inert, dangling or conditional"
    BOLD = "bold: the path asked for"


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


class Arrow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One relation to draw, between the keys of two vertices."""

    tail: str
    head: str
    label: str = ""
    style: Line = Line.SOLID


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


_SUBJECT, _BINDING, _ROLE, _RUNS, _PRIZE, _PLAIN = "#CDE7F7", "#FBF3B4", "#BFE6DA", "#F3D9E8", "#F8D2B8", "#FFFFFF"

STYLES = {
    DrawnKind.INTERNET: Style(shape="tripleoctagon", mermaid=("(((", ")))"), fill=_PRIZE, legend="Internet"),
    DrawnKind.USER: Style(shape="ellipse", mermaid=("([", "])"), fill=_SUBJECT, legend="User"),
    DrawnKind.GROUP: Style(shape="octagon", mermaid=("{{", "}}"), fill=_SUBJECT, legend="Group"),
    DrawnKind.SERVICE_ACCOUNT: Style(shape="rounded", mermaid=("(", ")"), fill=_SUBJECT, legend="ServiceAccount"),
    DrawnKind.NAMESPACE: Style(shape="folder", mermaid=("[\\", "/]"), fill=_PLAIN, legend="Namespace"),
    DrawnKind.WORKLOAD: Style(shape="box3d", mermaid=("[[", "]]"), fill=_RUNS, legend="Workload"),
    DrawnKind.POD: Style(shape="component", mermaid=("[\\", "\\]"), fill=_RUNS, legend="Pod"),
    DrawnKind.NODE: Style(shape="house", mermaid=("[/", "\\]"), fill=_RUNS, legend="Node"),
    DrawnKind.ROLE_BINDING: Style(shape="cds", mermaid=("[/", "/]"), fill=_BINDING, legend="RoleBinding"),
    DrawnKind.CLUSTER_ROLE_BINDING: Style(
        shape="cds", mermaid=("[/", "/]"), fill=_BINDING, legend="ClusterRoleBinding", bold=True
    ),
    DrawnKind.ROLE: Style(shape="box", mermaid=("[", "]"), fill=_ROLE, legend="Role"),
    DrawnKind.CLUSTER_ROLE: Style(shape="box", mermaid=("[", "]"), fill=_ROLE, legend="ClusterRole", bold=True),
    DrawnKind.PERMISSION: Style(shape="note", mermaid=(">", "]"), fill=_PRIZE, legend="Permission"),
    DrawnKind.SECRET: Style(shape="cylinder", mermaid=("[(", ")]"), fill=_PRIZE, legend="Secret"),
    DrawnKind.SINK: Style(shape="hexagon", mermaid=("((", "))"), fill=_PRIZE, legend="Target"),
    DrawnKind.OTHER: Style(shape="parallelogram", mermaid=("{", "}"), fill=_PLAIN, legend="Other"),
}
