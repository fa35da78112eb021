"""The four RBAC kinds; their meaning is in ``graphsec.model.rbac`` and ``graphsec.compile.access``."""

from __future__ import annotations

import msgspec

from graphsec.kinds._kind import Kind
from graphsec.model import objects
from graphsec.model.rbac import RBAC_GROUP, PolicyRule, decode_rule

_OLD = ("v1alpha1", "v1beta1")


class _RuleReader:
    """Decodes each distinct spelling of a rule once: roles repeat over namespaces."""

    def __init__(self) -> None:
        self._by_text: dict[bytes, PolicyRule] = {}
        self._interned: dict[PolicyRule, PolicyRule] = {}

    def __call__(self, wire: objects.WireRole) -> objects.StoredRole:
        aggregation = wire.aggregation_rule
        return objects.StoredRole(
            rules=tuple(self._rule(bytes(raw), index) for index, raw in enumerate(wire.rules or ())),
            labels=wire.metadata.labels or {},
            selectors=(aggregation.cluster_role_selectors or ()) if aggregation else None,
            live=wire.metadata.uid is not None,
        )

    def _rule(self, text: bytes, index: int) -> PolicyRule:
        known = self._by_text.get(text)
        return self._decode(text, index) if known is None else known

    def _decode(self, text: bytes, index: int) -> PolicyRule:
        try:
            rule = decode_rule(text)
        except msgspec.ValidationError as error:
            raise msgspec.ValidationError(str(error).replace("`$", f"`$.rules[{index}]")) from None
        self._by_text[text] = rule = self._interned.setdefault(rule, rule)
        return rule


KINDS = (
    Kind(
        group=RBAC_GROUP,
        kind="ClusterRole",
        body=objects.WireRole,
        old_versions=_OLD,
        reader=_RuleReader,
        read_as=objects.StoredRole,
        rules=("rules",),
    ),
    Kind(
        group=RBAC_GROUP,
        kind="Role",
        body=objects.WireRole,
        old_versions=_OLD,
        reader=_RuleReader,
        read_as=objects.StoredRole,
        rules=("rules",),
    ),
    Kind(group=RBAC_GROUP, kind="ClusterRoleBinding", body=objects.WireBinding, old_versions=_OLD),
    Kind(group=RBAC_GROUP, kind="RoleBinding", body=objects.WireBinding, old_versions=_OLD),
)
