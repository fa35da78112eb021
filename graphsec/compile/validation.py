"""What admission would refuse about RBAC objects; they are reported and evaluated literally all the same (S-45).

Source: `pkg/apis/rbac/validation/validation.go`. Fields that the API server defaults (apiGroup) may be empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from graphsec.model.objects import Loaded, RoleRef, WireSubject
from graphsec.model.rbac import RBAC_GROUP, PolicyRule

#: The pattern of a DNS-1123 subdomain, which a ServiceAccount's name must have.
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def role_complaints(loaded: Loaded) -> Iterator[str]:
    """`rules[2]: no verbs` for each rule that validation refuses."""
    for index, rule in enumerate(loaded.body.rules):
        if complaint := _rule_complaint(rule, namespaced=loaded.ref.kind == "Role"):
            yield f"rules[{index}]: {complaint}"


def _rule_complaint(rule: PolicyRule, *, namespaced: bool) -> str:
    if not rule.verbs:
        return "no verbs"
    if rule.urls:
        if namespaced:
            return "nonResourceURLs in a Role"
        return "nonResourceURLs beside resources" if rule.groups or rule.resources or rule.names else ""
    if not rule.groups:
        return "no apiGroups"
    return "" if rule.resources else "no resources"


def role_ref_complaints(role: RoleRef, *, namespaced: bool) -> Iterator[str]:
    """`kind: ...` for each field of a roleRef that validation refuses."""
    if role.api_group not in (None, "", RBAC_GROUP):
        yield f"apiGroup: must be {RBAC_GROUP}"
    if role.kind != "ClusterRole" and not (namespaced and role.kind == "Role"):
        yield f"kind: must be {'Role or ' if namespaced else ''}ClusterRole"
    if not is_path_segment(role.name):
        yield "name: must be the name of a role"


def subject_complaints(subject: WireSubject, *, namespaced: bool) -> Iterator[str]:
    """`name: ...` for each field of a subject that validation refuses."""
    if not subject.name:
        yield "name: missing"
    match subject.kind:
        case "ServiceAccount":
            if subject.name and not _SUBDOMAIN.fullmatch(subject.name):
                yield "name: must be the name of a ServiceAccount"
            if subject.api_group:
                yield 'apiGroup: must be "" for a ServiceAccount'
            if not subject.namespace and not namespaced:
                yield "namespace: missing, so it matches nobody"
        case "User" | "Group":
            if subject.api_group not in (None, "", RBAC_GROUP):
                yield f"apiGroup: must be {RBAC_GROUP}"
        case _:
            yield "kind: must be User, Group or ServiceAccount"


def is_path_segment(name: str) -> bool:
    """RBAC object names need only be usable in a URL path (`ValidatePathSegmentName`)."""
    return bool(name) and name not in (".", "..") and "/" not in name and "%" not in name
