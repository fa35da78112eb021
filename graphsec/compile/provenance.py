"""Which bindings every cluster has: told by content, never by name, prefix or label (rbac.md §4)."""

from __future__ import annotations

from collections.abc import Container, Iterable

from graphsec.compile.access import AccessIndex
from graphsec.model.rbac import Binding, PolicyRule, covers
from graphsec.model.ref import Ref


class Provenance:
    """Compares bindings with those that Kubernetes ships, over all minors that the package knows."""

    def __init__(self, access: AccessIndex, defaults: Iterable[AccessIndex]) -> None:
        self._access = access
        self._subjects: dict[tuple[Ref, Ref], set[Ref]] = {}
        self._rules: dict[Ref, dict[PolicyRule, None]] = {}
        self._bindings = {binding.ref: binding for binding in access.bindings}
        self._known: dict[Ref, bool] = {}
        self._shipped: dict[Ref, set[PolicyRule]] = {}
        for default in defaults:
            for ref, role in default.roles.items():
                self._shipped.setdefault(ref, set()).update(role.rules)
            for binding in default.bindings:
                self._subjects.setdefault((binding.ref, binding.role), set()).update(binding.subjects)
                self._rules.setdefault(binding.role, {}).update(dict.fromkeys(default.roles[binding.role].rules))

    @property
    def shipped_roles(self) -> Container[Ref]:
        """Every role that Kubernetes ships in some minor."""
        return self._shipped

    def ships(self, role: Ref, rule: PolicyRule | None) -> bool:
        """Whether Kubernetes ships a role of this name with this rule."""
        return rule in self._shipped.get(role, ())

    def is_builtin(self, binding: Ref) -> bool:
        """Whether a binding of this name, role and no further subjects is shipped, with a role that grants no more."""
        if binding not in self._known:
            self._known[binding] = self._is_shipped(self._bindings[binding])
        return self._known[binding]

    def added_rules(self, role: Ref) -> tuple[PolicyRule, ...]:
        """The atoms that a role of a shipped name grants beyond what any minor ships; () for every other role."""
        rules = self._rules.get(role)
        found = self._access.roles.get(role)
        return covers(rules, found.rules).uncovered if rules is not None and found is not None else ()

    def added_subjects(self, binding: Binding) -> tuple[Ref, ...]:
        """Subjects of a binding of a shipped name and role that no minor ships with it; () for every other binding."""
        shipped = self._subjects.get((binding.ref, binding.role))
        return () if shipped is None else tuple(subject for subject in binding.subjects if subject not in shipped)

    def _is_shipped(self, binding: Binding) -> bool:
        shipped = self._subjects.get((binding.ref, binding.role))
        role = self._access.roles.get(binding.role)
        if shipped is None or role is None or not shipped.issuperset(binding.subjects):
            return False
        return bool(covers(self._rules[binding.role], role.rules))
