"""The checks of RBAC lint: what is dangling, unused, overgrown or odd about roles and bindings (rbac.md §4, tables X and H)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from graphsec.compile import World
from graphsec.compile.access import principal
from graphsec.model.objects import Loaded, WireBinding
from graphsec.model.rbac import ALL, MASTERS, MASTERS_GROUP, Binding, PolicyRule, covers, subject_ref
from graphsec.model.ref import Ref, Source, ref_order
from graphsec.query._answer import Evidence, subject_text
from graphsec.query._excess_grants import Grants, evidence_of
from graphsec.query._excess_reach import Reaches
from graphsec.query._grants import rule_text
from graphsec.query._holdings import Holdings
from graphsec.query._severities import Severity

#: From as many on a subject has many roles, a namespace many subjects (rbac.md H8).
_MANY_ROLES, _MANY_SUBJECTS = 4, 5
_DASHBOARD = "kubernetes-dashboard"


@dataclass(frozen=True, slots=True)
class Remark:
    """What a check says of one object or subject. ``severity`` None is that of the check."""

    ref: Ref
    message: str
    source: Source | None = None
    proofs: tuple[Evidence, ...] = ()
    severity: Severity | None = None


class View:
    """A world as the checks look at it: without what every cluster has."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.access = world.access
        self.holdings = Holdings(world)
        self.grants = Grants(world, self.holdings)

    @cached_property
    def bindings(self) -> list[tuple[Binding, WireBinding]]:
        """Those that Kubernetes does not ship, with what they say."""
        loaded = self.world.cluster.of("ClusterRoleBinding", "RoleBinding")
        return [
            (binding, found.body)
            for binding, found in zip(self.access.bindings, loaded, strict=True)
            if not self.world.provenance.is_builtin(binding.ref)
        ]

    @cached_property
    def roles(self) -> list[Loaded]:
        shipped = self.world.provenance.shipped_roles
        return [loaded for loaded in self.world.cluster.of("ClusterRole", "Role") if loaded.ref not in shipped]

    @cached_property
    def bindings_of(self) -> dict[Ref, list[Binding]]:
        """Those of each subject, in order of subjects."""
        found: dict[Ref, list[Binding]] = defaultdict(list)
        for binding, _ in self.bindings:
            for subject in dict.fromkeys(binding.subjects):
                found[subject].append(binding)
        return {subject: found[subject] for subject in sorted(found, key=ref_order)}

    @cached_property
    def bound_roles(self) -> frozenset[Ref]:
        return frozenset(binding.role for binding in self.access.bindings)


def _of_subject(subject: Ref, bindings: list[Binding], message: str, severity: Severity | None = None) -> Remark:
    proofs = tuple(map(evidence_of, bindings))
    return Remark(subject, message, bindings[0].source, proofs, severity)


def _of_binding(binding: Binding, message: str, severity: Severity | None = None) -> Remark:
    return Remark(binding.ref, message, binding.source, (evidence_of(binding),), severity)


# -- bindings ----------------------------------------------------------------------------------------------------


def dangling_role(view: View) -> Iterator[Remark]:
    for binding, _ in view.bindings:
        if binding.role not in view.access.roles and binding.role not in view.world.attacks.supplied:
            yield _of_binding(binding, f"{binding.role} is missing: whoever creates it decides what this grants")


def missing_account(view: View) -> Iterator[Remark]:
    for binding, _ in view.bindings:
        gone = [subject for subject in binding.subjects if view.grants.missing_account(subject)]
        if gone:
            words = ", ".join(map(subject_text, gone))
            yield _of_binding(binding, f"no ServiceAccount {words}: whoever creates it gets what this grants")


def no_subjects(view: View) -> Iterator[Remark]:
    for binding, wire in view.bindings:
        if not wire.subjects:
            yield _of_binding(binding, "names no subject")


def unmatched_subject(view: View) -> Iterator[Remark]:
    for binding, wire in view.bindings:
        for subject in wire.subjects or ():
            if principal(subject, binding.ref.namespace) is None:
                yield _of_binding(binding, f"subject {subject.kind} `{subject.name}` matches nobody (S-41, S-42)")
            elif subject.name == ALL:
                yield _of_binding(binding, f"`*` is no wildcard in a subject, but the name of a {subject.kind} (S-40)")


def masters_bound(view: View) -> Iterator[Remark]:
    for binding in view.bindings_of.get(MASTERS_GROUP, ()):
        yield _of_binding(
            binding, "adds nothing: system:masters is allowed everything before any binding is read (S-47)"
        )
    for member in view.world.memberships.members.get(MASTERS, ()):
        yield Remark(
            subject_ref(member), "is in system:masters, which no binding can revoke (S-47)", severity="critical"
        )


# -- subjects ----------------------------------------------------------------------------------------------------


def default_account_bound(view: View) -> Iterator[Remark]:
    for subject, bindings in view.bindings_of.items():
        if subject.kind == "ServiceAccount" and subject.name == "default":
            words = f"every pod of {subject.namespace} that names no account holds {_roles(bindings)}"
            yield _of_subject(subject, bindings, words)


def user_bound(view: View) -> Iterator[Remark]:
    for subject, bindings in view.bindings_of.items():
        if subject.kind == "User" and not subject.name.startswith("system:"):
            yield _of_subject(subject, bindings, f"bound by name to {_roles(bindings)}, not through a group")


def foreign_account(view: View) -> Iterator[Remark]:
    for subject, bindings in view.bindings_of.items():
        foreign = [binding for binding in bindings if binding.scope not in ("", subject.namespace)]
        if subject.kind == "ServiceAccount" and foreign:
            places = ", ".join(sorted({binding.scope for binding in foreign}))
            yield _of_subject(subject, foreign, f"of {subject.namespace}, bound in {places}")


def dashboard_bound(view: View) -> Iterator[Remark]:
    for subject, bindings in view.bindings_of.items():
        wide = [binding for binding in bindings if not binding.scope]
        if subject.kind == "ServiceAccount" and subject.name == _DASHBOARD and wide:
            yield _of_subject(subject, wide, f"whoever opens the dashboard acts with {_roles(wide)} in every namespace")


def many_subjects(view: View) -> Iterator[Remark]:
    by_namespace: dict[str, dict[Ref, Binding]] = defaultdict(dict)
    for subject, bindings in view.bindings_of.items():
        roles = {binding.role for binding in bindings}
        if len(roles) >= _MANY_ROLES:
            yield _of_subject(subject, bindings, f"holds {len(roles)} roles")
        for binding in bindings:
            if binding.scope:
                by_namespace[binding.scope].setdefault(subject, binding)
    for namespace, found in sorted(by_namespace.items()):
        if len(found) >= _MANY_SUBJECTS:
            bindings = list(dict.fromkeys(found.values()))
            yield _of_subject(Ref("Namespace", namespace), bindings, f"{len(found)} subjects are bound in it")


def _roles(bindings: list[Binding]) -> str:
    return ", ".join(dict.fromkeys(str(binding.role) for binding in bindings))


# -- roles -------------------------------------------------------------------------------------------------------


def unbound_role(view: View) -> Iterator[Remark]:
    fed = {feeder for feeders in view.access.aggregation.feeders.values() for feeder in feeders}
    for loaded in view.roles:
        aggregated = loaded.ref.kind == "ClusterRole" and (loaded.ref.name in fed or _is_labelled(loaded))
        if loaded.ref not in view.bound_roles and not aggregated:
            yield Remark(loaded.ref, "no binding refers to it", loaded.source)


def _is_labelled(loaded: Loaded) -> bool:
    """Whether it is meant for a role that the input may not show, such as `view`."""
    return any(label.startswith("rbac.authorization.k8s.io/aggregate-to-") for label in loaded.body.labels)


def redundant_rule(view: View) -> Iterator[Remark]:
    for loaded in view.roles:
        role = view.access.roles[loaded.ref]
        if loaded.body.selectors is not None:
            continue
        left = list(enumerate(role.rules))
        for position, rule in enumerate(role.rules):
            rest = [other for place, other in left if place != position]
            if rule.verbs and covers(rest, [rule]):
                left = [pair for pair in left if pair[0] != position]
                words = f"rule {position + 1}, {rule_text(rule)}: other rules of the role grant all of it"
                yield Remark(loaded.ref, words, role.rule_sources[position])


def inert_rule(view: View) -> Iterator[Remark]:
    scopes: dict[Ref, set[str]] = defaultdict(set)
    for binding in view.access.bindings:
        scopes[binding.role].add(binding.scope)
    for loaded in view.roles:
        role = view.access.roles[loaded.ref]
        # A ClusterRole that no binding refers to may be meant for either.
        places = sorted(scopes[loaded.ref]) or [loaded.ref.namespace or ""]
        for position, rule in enumerate(role.rules):
            reasons = [view.grants.inert_because(rule, scope) for scope in places]
            if all(reasons):
                words = f"rule {position + 1}, {rule_text(rule)}: {reasons[0]}"
                yield Remark(loaded.ref, words, role.rule_sources[position])


def bootstrap_modified(view: View) -> Iterator[Remark]:
    access, provenance = view.access, view.world.provenance
    for ref in sorted(access.roles, key=ref_order):
        extra = provenance.added_rules(ref)
        if extra:
            more = f" and {len(extra) - 1} more" if len(extra) > 1 else ""
            role = access.roles[ref]
            yield Remark(ref, f"grants more than Kubernetes ships: {_atom(extra[0])}{more}", role.source)
    for binding in access.bindings:
        added = provenance.added_subjects(binding)
        if added:
            words = ", ".join(map(subject_text, added))
            yield _of_binding(binding, f"names {words}, which the binding that Kubernetes ships does not")


def _atom(atom: PolicyRule) -> str:
    return rule_text(atom)


def aggregation_drift(view: View) -> Iterator[Remark]:
    for name in view.access.aggregation.drifted:
        role = view.access.roles[Ref("ClusterRole", name)]
        yield Remark(role.ref, "stored rules are not those of the roles that it aggregates (S-50)", role.source)
    for loaded in view.world.cluster.of("ClusterRole"):
        feeders = view.access.aggregation.feeders.get(loaded.ref.name)
        kept = set(view.access.roles[loaded.ref].rules)
        if feeders and not loaded.body.live and not kept.issuperset(loaded.body.rules):
            words = "rules written by hand: the controller overwrites them with those that it aggregates (S-50)"
            yield Remark(loaded.ref, words, loaded.source)


# -- workloads ---------------------------------------------------------------------------------------------------


def idle_token(view: View) -> Iterator[Remark]:
    for kind in view.world.attacks.inventory.kinds:
        if kind.token and not view.holdings.own(kind.account):
            words = f"mounts the token of {subject_text(kind.account)}, which holds nothing"
            yield Remark(kind.ref, words, kind.source)


def powerful_on_every_node(view: View) -> Iterator[Remark]:
    sets = [
        (loaded, Ref("ServiceAccount", loaded.body.pod_spec.account, loaded.ref.namespace))
        for loaded in view.world.cluster.of("DaemonSet")
        if loaded.body.pod_spec is not None
    ]
    held = [account for account in dict.fromkeys(account for _, account in sets) if account in view.bindings_of]
    if not held:
        return
    reaches = Reaches(view.world, view.holdings, held)
    for loaded, account in sets:
        sink = reaches.sink(account) if account in held else None
        if sink is not None:
            words = f"runs {subject_text(account)} on every node, which reaches {sink.text} ({sink.verdict})"
            proofs = tuple(map(evidence_of, view.bindings_of[account]))
            yield Remark(loaded.ref, words, loaded.source, proofs, sink.severity)
