"""Who can read, mount, change or restore Secrets, claims of volumes, snapshots and backups, and in which way."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from graphsec.compile import CLUSTER, World
from graphsec.compile.attacks.bundles import NOBODY, Names, Powers, request_of
from graphsec.errors import UsageError
from graphsec.model.attack import Power, Scope
from graphsec.model.rbac import MASTERS_GROUP
from graphsec.model.ref import Ref, ref_order
from graphsec.query._answer import Answer, Evidence, lower_name, subject_text
from graphsec.query._grants import draw_grant, evidence
from graphsec.query._needs import require
from graphsec.query._words import flag
from graphsec.rules import _powers as p

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Vertex

SECRET, CLAIM, SNAPSHOT = "Secret", "PersistentVolumeClaim", "VolumeSnapshot"
BACKUP, RESTORE = "Backup.velero.io", "Restore.velero.io"
KINDS = (SECRET, CLAIM, SNAPSHOT, BACKUP, RESTORE)
READ, MOUNT, CHANGE, RESTORES = "read", "mount", "change", "restore"
ACTIONS = (READ, MOUNT, CHANGE, RESTORES)
_SPELLED = {
    "secret": SECRET,
    "pvc": CLAIM,
    "persistentvolumeclaim": CLAIM,
    "volumesnapshot": SNAPSHOT,
    "backup": BACKUP,
    "backup.velero.io": BACKUP,
    "restore": RESTORE,
    "restore.velero.io": RESTORE,
}
COLUMNS = ("SUBJECT", "CAN", "SCOPE", "OBJECTS", "WAY")
WIDE_COLUMNS = (*COLUMNS, "VIA", "BINDING AT")
#: Objects of one item that a row names.
_NAMED = 3
_VELERO, _SNAPSHOTS = "velero.io", "snapshot.storage.k8s.io"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a power serves an action on objects of a kind. ``by_name``: the names that a grant is limited to are those of the
    objects; otherwise the power is about something else. ``in_pods``: only objects that a running pod uses."""

    kind: str
    action: str
    words: str
    power: Power
    by_name: bool = False
    in_pods: bool = False


def _change(resource: str, group: str = "") -> Power:
    """Of objects that are there; a collection is deleted without a name (S-33)."""
    ways = [*p.changing(resource, group), *p.doing("delete", resource=resource, group=group)]
    collection = p.doing("deletecollection", resource=resource, group=group)
    unnamed = [replace(way, needs=tuple(replace(need, name="") for need in way.needs)) for way in collection]
    return Power(f"change {resource}", (*ways, *unnamed))


def _both(words: str, first: Sequence[Any], second: Sequence[Any]) -> Power:
    """Two things in one hand."""
    return Power(words, tuple(replace(one, needs=(*one.needs, *other.needs)) for one in first for other in second))


_NEW_POD = (*p.CREATE.values(), p.CREATE_POD_TEMPLATES)
_NEW_PODS = Power("create pods", tuple(way for power in _NEW_POD for way in power.ways))
_OTHER_TEMPLATES = Power("change pod templates", tuple(way for power in p.CHANGE.values() for way in power.ways))
_NEW_CLAIM = p.creating("persistentvolumeclaims")
_FROM_SNAPSHOT = _both("create claims and pods", _NEW_CLAIM, _NEW_PODS.ways)
_SNAPSHOT_FIRST = _both("create snapshots and claims", p.creating("volumesnapshots", _SNAPSHOTS)[:1], _NEW_CLAIM[:1])
_CONTENT = Power("create volumesnapshotcontents", p.creating("volumesnapshotcontents", _SNAPSHOTS), Scope.CLUSTER)
_DOWNLOAD = Power("create downloadrequests", p.creating("downloadrequests", _VELERO))
_LOCATION = (
    *p.creating("backupstoragelocations", _VELERO)[:1],
    *p.changing("backupstoragelocations", _VELERO),
)
_OWN_LOCATION = _both("back up to a location of one's own", p.creating("backups", _VELERO)[:1], _LOCATION)
_DELETE_BACKUP = Power(
    "change backups",
    (*_change("backups", _VELERO).ways, *p.creating("deletebackuprequests", _VELERO)[:1]),
)


def _way(kind: str, action: str, words: str, power: Power, *, by_name: bool = False, in_pods: bool = False) -> Way:
    return Way(kind=kind, action=action, words=words, power=power, by_name=by_name, in_pods=in_pods)


WAYS = (
    _way(SECRET, READ, "get, list or watch", p.READ_SECRETS, by_name=True),
    _way(SECRET, READ, "the answer to a patch or delete holds it (S-94)", p.WRITE_OUT_SECRETS, by_name=True),
    _way(SECRET, CHANGE, "update, patch or delete", _change("secrets"), by_name=True),
    *(
        way
        for kind in (SECRET, CLAIM)
        for way in (
            _way(kind, MOUNT, "a new pod or workload that mounts it", _NEW_PODS),
            _way(kind, MOUNT, "another pod template of a workload", _OTHER_TEMPLATES),
            _way(kind, MOUNT, "exec into a pod that mounts it", p.EXEC, in_pods=True),
            _way(kind, MOUNT, "attach to a pod that mounts it", p.ATTACH, in_pods=True),
            _way(kind, MOUNT, "another image for a pod that mounts it", p.CHANGE_PODS, in_pods=True),
            _way(kind, MOUNT, "the kubelet of a pod that mounts it", p.PROXY_NODES, in_pods=True),
        )
    ),
    _way(SECRET, MOUNT, "an ephemeral container with it in its environment", p.CHANGE_EPHEMERAL),
    _way(CLAIM, CHANGE, "update, patch or delete", _change("persistentvolumeclaims"), by_name=True),
    _way(CLAIM, RESTORES, "a snapshot of it, and a claim of the snapshot", _SNAPSHOT_FIRST),
    _way(SNAPSHOT, RESTORES, "a new claim with its data", Power("create claims", _NEW_CLAIM)),
    _way(SNAPSHOT, MOUNT, "a new claim with its data, and a pod that mounts it", _FROM_SNAPSHOT),
    _way(SNAPSHOT, RESTORES, "a content that names its storage, in any namespace", _CONTENT),
    _way(SNAPSHOT, CHANGE, "update, patch or delete", _change("volumesnapshots", _SNAPSHOTS), by_name=True),
    _way(BACKUP, READ, "a DownloadRequest", _DOWNLOAD),
    _way(BACKUP, READ, "a backup to a location of one's own", _OWN_LOCATION),
    _way(BACKUP, RESTORES, "a Restore, into a namespace of choice", p.RESTORE_BACKUPS),
    _way(BACKUP, CHANGE, "update, patch, delete, or a DeleteBackupRequest", _DELETE_BACKUP),
    _way(RESTORE, CHANGE, "update, patch or delete", _change("restores", _VELERO), by_name=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataHolder:
    """One subject and one action in one scope, with all objects that it is about there and the ways that serve it. ``objects`` is
    empty where the input shows none of the kind: it is about whatever is there."""

    subject: Ref
    action: str
    kind: str
    #: "cluster" or a namespace.
    scope: str
    ways: tuple[str, ...]
    objects: tuple[Ref, ...]
    because: tuple[Evidence, ...]

    def row(self, *, wide: bool) -> tuple[str, ...]:
        names = [f"{ref.namespace}/{ref.name}" for ref in self.objects]
        shown = ", ".join(names[:_NAMED]) + (f" (+{len(names) - _NAMED:,})" if len(names) > _NAMED else "")
        kind = self.kind.partition(".")[0]
        ways = "; ".join(self.ways) if wide or len(self.ways) == 1 else f"{self.ways[0]} (+{len(self.ways) - 1} ways)"
        cells = (subject_text(self.subject), self.action, self.scope, f"{kind} {shown or '(any)'}", ways)
        if not wide:
            return cells
        return (*cells, str(self.because[0]), " ".join(dict.fromkeys(str(proof.source) for proof in self.because)))

    def to_dict(self) -> dict[str, Any]:
        return {
            "subject": str(self.subject),
            "action": self.action,
            "kind": self.kind,
            "scope": self.scope,
            "ways": list(self.ways),
            "objects": [str(ref) for ref in self.objects],
            "because": [proof.to_dict() for proof in self.because],
        }

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        vertices: list[Vertex] = []
        arrows: list[Arrow] = []
        where = "" if self.scope == "cluster" else f" of {self.scope}"
        for proof in self.because:
            nodes, edges = draw_grant(self.subject, proof, f"{self.action} {self.kind}{where}", dashed=False)
            vertices += nodes
            arrows += edges
        return vertices, arrows

    def refs(self) -> tuple[str, ...]:
        return (lower_name(self.subject),)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataAccess:
    """``target`` is one object, None for all; ``namespace`` keeps objects of one namespace."""

    ask: ClassVar[str] = "access"
    target: Ref | None = None
    namespace: str = ""
    include_builtin: bool = False

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        return WIDE_COLUMNS if wide else COLUMNS

    def command(self) -> str:
        return f"access{f' {shlex.quote(str(self.target))}' if self.target else ''}{flag('-n', self.namespace)}"

    def to_dict(self) -> dict[str, Any]:
        return {"target": str(self.target or ""), "namespace": self.namespace}

    def answer(self, world: World) -> Answer[DataHolder]:
        """Raises InputError without any RBAC object."""
        complete, warnings = require(world, self.ask)
        survey = _Survey(world, self)
        items = sorted(
            survey.items(),
            key=lambda item: (
                KINDS.index(item.kind),
                ACTIONS.index(item.action),
                item.scope != "cluster",
                item.scope,
                ref_order(item.subject),
                item.ways,
            ),
        )
        return Answer(
            question=self,
            items=tuple(items),
            complete=complete,
            coverage=world.coverage,
            diagnostics=world.diagnostics,
            notes=tuple(survey.notes()),
            warnings=warnings,
            left_out=survey.left_out,
        )


def parse_object(text: str) -> Ref:
    """`secret/NS/NAME` and the like. Raises UsageError."""
    kind, _, rest = text.partition("/")
    namespace, slash, name = rest.partition("/")
    found = _SPELLED.get(kind.lower())
    if found is None or not slash or not namespace or not name:
        raise UsageError(
            f"no object: `{text}`", help="KIND/NS/NAME with secret, pvc, volumesnapshot, backup or restore"
        )
    return Ref(found, name, namespace)


class _Survey:
    def __init__(self, world: World, question: DataAccess) -> None:
        self._world = world
        self._question = question
        self._inventory = world.attacks.inventory
        powers = list(dict.fromkeys(way.power for way in WAYS))
        self._powers = Powers(world.access, powers, world.minor, self._inventory.installed)
        self._objects = {kind: self._find(kind) for kind in KINDS}
        self._used = self._find_used()
        self._no_secrets = question.target is None and not [*world.cluster.of(SECRET)]
        self.left_out = 0

    def _find(self, kind: str) -> list[Ref]:
        question = self._question
        found = [loaded.ref for loaded in self._world.cluster.of(kind)]
        if question.target is not None:
            return [question.target] if question.target.kind == kind else []
        return sorted((ref for ref in found if question.namespace in ("", ref.namespace)), key=ref_order)

    def _find_used(self) -> dict[Ref, list[Ref]]:
        """The running pods that use each Secret or claim."""
        found: dict[Ref, list[Ref]] = {}
        for pod_kind in self._inventory.kinds:
            for kind, name in pod_kind.uses if pod_kind.live else ():
                if kind in (SECRET, CLAIM):
                    found.setdefault(Ref(kind, name, pod_kind.namespace), []).extend(pod_kind.members or [pod_kind.ref])
        return found

    def notes(self) -> Iterator[str]:
        counts = Counter({kind: len(found) for kind, found in self._objects.items() if found})
        if counts:
            yield ", ".join(f"{count:,} {kind}" for kind, count in sorted(counts.items()))
        if self._no_secrets:
            yield "no Secret in the input: rows are about whatever Secrets there are"
        yield "volumes of Secrets and claims pass every level of Pod Security; admission webhooks are not evaluated"
        yield "nodes read the Secrets of their pods through the Node authorizer (S-80); system:masters may do everything (S-47)"

    def items(self) -> Iterator[DataHolder]:
        access, provenance = self._world.access, self._world.provenance
        for subject in access.subjects:
            if subject == MASTERS_GROUP:
                continue
            roles: dict[str, set[Ref]] = {}
            for index in access.all_held(subject):
                binding = access.bindings[index]
                if self._question.include_builtin or not provenance.is_builtin(binding.ref):
                    roles.setdefault(binding.scope, set()).add(binding.role)
                else:
                    self.left_out += 1
            yield from self._held(subject, {scope: frozenset(found) for scope, found in roles.items()})

    def _held(self, subject: Ref, roles: Mapping[str, frozenset[Ref]]) -> Iterator[DataHolder]:
        wide = roles.get(CLUSTER, frozenset())
        everywhere = self._powers.of(wide) if wide else {}
        for scope in sorted(roles):
            held = everywhere if scope == CLUSTER else self._powers.of(wide, roles[scope])
            found: dict[Any, DataHolder] = {}
            for way in WAYS:
                names = _names(held.get(way.power, ()))
                # What holds in the cluster is said there.
                if names == NOBODY or (scope != CLUSTER and _names(everywhere.get(way.power, ())) is None):
                    continue
                item = self._item(subject, scope, way, names)
                if item is not None:
                    key = (item.kind, item.action, item.objects)
                    found[key] = _joined(found[key], item) if key in found else item
            yield from found.values()

    def _item(self, subject: Ref, scope: str, way: Way, names: Names) -> DataHolder | None:
        objects = [ref for ref in self._objects[way.kind] if scope in (CLUSTER, ref.namespace)]
        unseen = way.kind == SECRET and self._no_secrets and not way.in_pods
        if way.in_pods:
            objects = [ref for ref in objects if self._is_in_pods(ref, None if way.power is p.PROXY_NODES else names)]
        elif way.by_name and names is not None:
            objects = [ref for ref in objects if ref.name in names]
        proofs = self._proofs(subject, way.power, scope, names) if objects or unseen else ()
        if not proofs:
            return None
        return DataHolder(
            subject=subject,
            action=way.action,
            kind=way.kind,
            scope=scope or "cluster",
            ways=(way.words,),
            objects=tuple(objects),
            because=proofs,
        )

    def _is_in_pods(self, ref: Ref, names: Names) -> bool:
        return any(names is None or pod.name in names for pod in self._used.get(ref, ()))

    def _proofs(self, subject: Ref, power: Power, scope: str, names: Names) -> tuple[Evidence, ...]:
        """Grants that together give the power, the first way that works."""
        access = self._world.access
        for name in [""] if names is None else sorted(names):
            for way in power.ways:
                if not way.since <= self._world.minor < way.until:
                    continue
                requests = [request_of(need, scope, name) for need in way.needs]
                found = [access.first_allowing((subject,), request) for request in requests]
                if all(found):
                    return tuple(dict.fromkeys(evidence(access, *one) for one in found if one))
        return ()


def _joined(one: DataHolder, other: DataHolder) -> DataHolder:
    because = tuple(dict.fromkeys((*one.because, *other.because)))
    return replace(one, ways=(*one.ways, *other.ways), because=because)


def _names(reach: Iterable[tuple[Names, tuple[str, ...]]]) -> Names:
    """The names that a power reaches under whatever assumptions, None for all."""
    found: frozenset[str] = NOBODY
    for names, _ in reach:
        if names is None:
            return None
        found |= names
    return found


__all__ = ["DataAccess", "DataHolder", "parse_object"]
