"""What is odd about the RBAC objects: only meaning reveals it, and answers do not wait for it."""

from __future__ import annotations

from collections.abc import Iterator

from graphsec.compile.access import AccessIndex, principal
from graphsec.compile.validation import role_complaints, role_ref_complaints, subject_complaints
from graphsec.model.cluster import Cluster
from graphsec.model.diagnostic import CODES, Diagnostic
from graphsec.model.objects import Loaded, WireBinding


def rbac_diagnostics(cluster: Cluster, access: AccessIndex) -> Iterator[Diagnostic]:
    """Drift and cycles of aggregation, what admission refuses (S-45), subjects and roles that match nothing."""
    aggregated = {loaded.ref.name: loaded for loaded in cluster.of("ClusterRole")}
    for name in access.aggregation.drifted:
        yield _diagnostic("GS-GR-003", "stored rules differ from what its aggregationRule selects", aggregated[name])
    for name in access.aggregation.unsettled:
        yield _diagnostic("GS-GR-004", "aggregation never settles: its selectors form a cycle", aggregated[name])
    for loaded in cluster.of("ClusterRole", "Role"):
        yield from (_diagnostic("GS-IN-023", complaint, loaded) for complaint in role_complaints(loaded))
    for loaded, binding in zip(cluster.of("ClusterRoleBinding", "RoleBinding"), access.bindings, strict=True):
        yield from _of_binding(loaded)
        if binding.role not in access.roles:
            yield _diagnostic("GS-GR-001", f"refers to {binding.role}, which is not in the input", loaded)


def _of_binding(loaded: Loaded) -> Iterator[Diagnostic]:
    binding: WireBinding = loaded.body
    namespaced = loaded.ref.namespace is not None
    for position, subject in enumerate(binding.subjects or ()):
        for complaint in subject_complaints(subject, namespaced=namespaced):
            yield _diagnostic("GS-IN-023", f"subjects[{position}].{complaint}", loaded)
        if principal(subject, loaded.ref.namespace) is None:
            yield _diagnostic("GS-GR-002", f"subject {subject.kind} `{subject.name}` matches nobody", loaded)
    for complaint in role_ref_complaints(binding.role_ref, namespaced=namespaced):
        yield _diagnostic("GS-IN-023", f"roleRef.{complaint}", loaded)


def _diagnostic(code: str, message: str, loaded: Loaded) -> Diagnostic:
    return Diagnostic(code=code, message=message, source=loaded.source, object=str(loaded.ref), hint=CODES[code].remedy)
