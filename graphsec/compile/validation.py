"""What admission would refuse about RBAC objects; they are reported and evaluated literally all the same (S-45).

Source: `pkg/apis/rbac/validation/validation.go`. Fields that the API server defaults (apiGroup) may be empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from graphsec.model.objects import Loaded, WireBinding, WireSubject
from graphsec.model.rbac import RBAC_GROUP, PolicyRule

#: The pattern of a DNS-1123 subdomain, which a ServiceAccount's name must have.
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_ROLE_KINDS = {"ClusterRoleBinding": ("ClusterRole",), "RoleBinding": ("Role", "ClusterRole")}


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


def binding_complaints(loaded: Loaded) -> Iterator[str]:
    """`subjects[0].name: ...` and `roleRef.kind: ...` for each field that validation refuses."""
    binding: WireBinding = loaded.body
    if binding.role_ref.api_group not in (None, "", RBAC_GROUP):
        yield f"roleRef.apiGroup: must be {RBAC_GROUP}"
    if binding.role_ref.kind not in _ROLE_KINDS[loaded.ref.kind]:
        yield f"roleRef.kind: must be {' or '.join(_ROLE_KINDS[loaded.ref.kind])}"
    if not is_path_segment(binding.role_ref.name):
        yield "roleRef.name: must be the name of a role"
    for index, subject in enumerate(binding.subjects or ()):
        for complaint in _subject_complaints(subject, namespaced=loaded.ref.kind == "RoleBinding"):
            yield f"subjects[{index}].{complaint}"


def _subject_complaints(subject: WireSubject, *, namespaced: bool) -> Iterator[str]:
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
