"""The input forms by layout: one table says how each is told apart, what it is called and what it never holds.

A new form is a row here, with a reader in ``sources`` where its bytes need one (hardening.md §1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from graphsec.model.coverage import RBAC_KINDS

_DUMP_LACKS = (*RBAC_KINDS, "NetworkPolicy", "ServiceAccount", "Namespace", "StatefulSet", "Job", "Secret")


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One layout. ``detect`` sees the relative paths of a folder or archive, and the first and last bytes of a single file."""

    id: str
    title: str
    detect: Callable[[Sequence[PurePosixPath], bytes], bool]
    #: Kinds that this form never holds, whatever the cluster had.
    never: tuple[str, ...] = ()
    #: True where the file name tells the kind of a list and the list is a full one.
    by_name: bool = False
    #: True where the user chose the namespaces: a list is full for those alone.
    chosen_namespaces: bool = False


def _is_cluster_info_dump(paths: Sequence[PurePosixPath], head: bytes) -> bool:
    names = {path.name.partition(".")[0] for path in paths if len(path.parts) == 1}
    return "nodes" in names and any(len(path.parts) == 2 and path.stem == "events" for path in paths)


def _is_kubehound_dump(paths: Sequence[PurePosixPath], head: bytes) -> bool:
    names = {path.name for path in paths}
    return any(name.endswith("roles.rbac.authorization.k8s.io.json") for name in names)


def _is_cluster_info_text(paths: Sequence[PurePosixPath], head: bytes) -> bool:
    return b"\n==== START logs for container " in head or b"\n==== END logs for container " in head


def _is_tree(paths: Sequence[PurePosixPath], head: bytes) -> bool:
    return bool(paths)


#: Objects that a program hands over.
PYTHON = Form(id="I0", title="mapping", detect=lambda paths, head: False)

#: The first bytes of a snapshot; as in PNG, they tell a transfer that turns line ends.
MAGIC = b"\x89GSX\r\n\x1a\n"
SUFFIX = ".gsx"
SNAPSHOT = Form(id="S1", title="snapshot", detect=lambda paths, head: head.startswith(MAGIC))

#: In order: the first that detects wins.
FORMS = (
    SNAPSHOT,
    Form(
        id="I9",
        title="kubectl cluster-info dump",
        detect=_is_cluster_info_dump,
        never=_DUMP_LACKS,
        by_name=True,
        chosen_namespaces=True,
    ),
    Form(
        id="I12",
        title="KubeHound dump",
        detect=_is_kubehound_dump,
        never=("NetworkPolicy", "ServiceAccount", "Namespace", "Secret"),
        by_name=True,
    ),
    Form(id="I7", title="directory tree", detect=_is_tree),
    Form(
        id="I10",
        title="kubectl cluster-info dump",
        detect=_is_cluster_info_text,
        never=_DUMP_LACKS,
        chosen_namespaces=True,
    ),
    Form(id="I1", title="file of manifests or kubectl output", detect=lambda paths, head: True),
)


def detect(paths: Sequence[PurePosixPath] = (), head: bytes = b"") -> Form:
    """The form of a folder (its relative file paths) or of a single file (its first and last bytes)."""
    return next(form for form in FORMS if form.detect(paths, head))
