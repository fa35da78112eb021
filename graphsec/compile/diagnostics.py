"""What is odd about the RBAC objects: only meaning reveals it, and answers do not wait for it."""

from __future__ import annotations

from collections.abc import Iterator

from graphsec.compile.access import AccessIndex, principal
from graphsec.compile.validation import role_complaints, role_ref_complaints, subject_complaints
from graphsec.model.cluster import Cluster
from graphsec.model.diagnostic import Diagnostic
from graphsec.model.objects import Loaded, RoleRef, WireBinding, WireSubject


def rbac_diagnostics(cluster: Cluster, access: AccessIndex) -> Iterator[Diagnostic]:
    """Drift and cycles of aggregation, what admission refuses (S-45), subjects and roles that match nothing."""
    aggregated = {loaded.ref.name: loaded for loaded in cluster.of("ClusterRole")}
    for name in access.aggregation.drifted:
        yield _diagnostic("GS-GR-003", "stored rules differ from what its aggregationRule selects", aggregated[name])
    for name in access.aggregation.unsettled:
        yield _diagnostic("GS-GR-004", "aggregation never settles: its selectors form a cycle", aggregated[name])
    for loaded in cluster.of("ClusterRole", "Role"):
        yield from (_diagnostic("GS-IN-023", complaint, loaded) for complaint in role_complaints(loaded))
    look = _Look()
    for loaded, binding in zip(cluster.of("ClusterRoleBinding", "RoleBinding"), access.bindings, strict=True):
        yield from (_diagnostic(code, message, loaded) for code, message in look.at(loaded))
        if binding.role not in access.roles:
            yield _diagnostic("GS-GR-001", f"refers to {binding.role}, which is not in the input", loaded)


class _Look:
    """What is odd about bindings; a subject or roleRef that many of them name is looked at once."""

    def __init__(self) -> None:
        #: By subject and whether the binding has a namespace: what validation refuses, and whether it matches nobody.
        self._subjects: dict[tuple[WireSubject, bool], tuple[tuple[str, ...], bool]] = {}
        self._role_refs: dict[tuple[RoleRef, bool], tuple[str, ...]] = {}

    def at(self, loaded: Loaded) -> Iterator[tuple[str, str]]:
        """(code, message) of one binding."""
        binding: WireBinding = loaded.body
        namespaced = loaded.ref.namespace is not None
        for position, subject in enumerate(binding.subjects or ()):
            odd = self._subjects.get((subject, namespaced))
            if odd is None:
                complaints = tuple(subject_complaints(subject, namespaced=namespaced))
                odd = complaints, principal(subject, loaded.ref.namespace) is None
                self._subjects[subject, namespaced] = odd
            for complaint in odd[0]:
                yield "GS-IN-023", f"subjects[{position}].{complaint}"
            if odd[1]:
                yield "GS-GR-002", f"subject {subject.kind} `{subject.name}` matches nobody"
        role = binding.role_ref
        complaints_of_role = self._role_refs.get((role, namespaced))
        if complaints_of_role is None:
            complaints_of_role = tuple(role_ref_complaints(role, namespaced=namespaced))
            self._role_refs[role, namespaced] = complaints_of_role
        for complaint in complaints_of_role:
            yield "GS-IN-023", f"roleRef.{complaint}"


def _diagnostic(code: str, message: str, loaded: Loaded) -> Diagnostic:
    return Diagnostic.of(code, message, loaded.source, loaded.ref)
