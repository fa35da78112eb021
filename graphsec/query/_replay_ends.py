"""What the source and the target of a path stand for, told again for ``replay``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from graphsec.model.attack import ALL_SECRETS, CLUSTER, INTERNET, Fact, FactKind
from graphsec.model.ref import Ref
from graphsec.query._replay_case import NODE_USER, SOME_NODE
from graphsec.query._replay_requests import Identities
from graphsec.query._replay_view import Place, View, alike, parse_ref

K = FactKind


@dataclass
class Ends:
    """The starts of a path; ``narrowed`` are those that stand for one pod though their fact is that of all its like."""

    view: View
    identities: Identities
    narrowed: dict[Fact, Ref] = field(default_factory=dict)

    def is_start(self, text: str, fact: Fact) -> bool:
        """Whether a fact is part of what the source stands for."""
        if text in ("internet", "anonymous"):
            return fact == Fact(K.USER, "system:anonymous") or (text == "internet" and fact == INTERNET)
        source = parse_ref(text)
        find = _STARTS.get(source.kind, Ends.is_workload)
        return find(self, source, fact)

    def is_goal(self, text: str, fact: Fact) -> bool:
        """Whether a fact is what the target stands for."""
        if text in _SINKS:
            return fact == _SINKS[text]
        if text.startswith(_CLOUD):
            return fact == Fact(K.CLOUD, text.removeprefix(_CLOUD))
        target = parse_ref(text)
        find = _GOALS.get(target.kind, Ends.is_workload)
        return find(self, target, fact)

    # -- Starts -------------------------------------------------------------------------------------------------

    def starts_subject(self, source: Ref, fact: Fact) -> bool:
        own = _identity(source)
        if fact in (own, Fact(K.GROUP, fact.name)):
            return self.identities.includes(own, Ref(fact.kind.value, fact.name, fact.namespace or None))
        if fact.kind is K.NODE_IDENTITY:
            return own == Fact(K.USER, f"{NODE_USER}{fact.name}")
        if self.identities.is_kubelet(fact, source):
            return True
        return fact == Fact(K.COMPOUND, source.name) and source.name in self.view.world.memberships.groups

    def starts_node(self, source: Ref, fact: Fact) -> bool:
        return fact == Fact(K.NODE, source.name) and self.view.has_node(source.name)

    def starts_namespace(self, source: Ref, fact: Fact) -> bool:
        return fact.namespace == source.name and self._place(fact) is not None

    def starts_pod(self, source: Ref, fact: Fact) -> bool:
        """Where the fact is that of all its like, it is this one."""
        if fact.kind is K.PODS_LIKE:
            self.narrowed[fact] = source
        return self.is_pod(source, fact) and fact.kind is not K.NODE_PODS

    # -- Goals --------------------------------------------------------------------------------------------------

    def is_subject(self, target: Ref, fact: Fact) -> bool:
        """A kubelet is its user, and one of `system:nodes`."""
        if fact.kind is K.NODE_IDENTITY:
            return target == Ref("User", f"{NODE_USER}{fact.name}")
        as_kubelet = target.kind == "User" and self.identities.is_kubelet(fact, target) and fact.name != "a kubelet"
        any_kubelet = target == Ref("Group", "system:nodes") and fact == Fact(K.COMPOUND, "a kubelet")
        return as_kubelet or any_kubelet or fact == _identity(target)

    def is_secret(self, target: Ref, fact: Fact) -> bool:
        """Of one that the input cannot show: whoever reads every Secret of the namespace."""
        namespace = target.namespace or ""
        hub = fact == Fact(K.SECRETS, "", namespace) and not self.view.shows_all("Secret")
        return hub or fact == Fact(K.SECRET, target.name, namespace)

    # -- Both ---------------------------------------------------------------------------------------------------

    def is_pod(self, ref: Ref, fact: Fact) -> bool:
        """The pod, all its like, or every pod on its node."""
        pod, place = self.view.place(ref), self._place(fact)
        if pod is not None and fact.kind is K.NODE_PODS:
            return self.view.is_on(pod, fact.name)
        if pod is None or place is None:
            return False
        return place.ref == ref or (fact.kind is K.PODS_LIKE and alike(pod, place))

    def is_workload(self, ref: Ref, fact: Fact) -> bool:
        place = self._place(fact)
        return place is not None and self.view.is_of(place, ref)

    def _place(self, fact: Fact) -> Place | None:
        pods = fact.kind in (K.POD, K.PODS_LIKE)
        return self.view.place(Ref(fact.power or "Pod", fact.name, fact.namespace)) if pods else None


def _identity(ref: Ref) -> Fact:
    return Fact(FactKind(ref.kind), ref.name, ref.namespace or "")


_CLOUD = "CloudIdentity/"
_SINKS = {"cluster-admin": CLUSTER, "node": SOME_NODE, "secrets:all": ALL_SECRETS}
_SUBJECTS = ("User", "Group", "ServiceAccount")
_STARTS: dict[str, Callable[[Ends, Ref, Fact], bool]] = {
    **dict.fromkeys(_SUBJECTS, Ends.starts_subject),
    "Node": Ends.starts_node,
    "Namespace": Ends.starts_namespace,
    "Pod": Ends.starts_pod,
}
_GOALS: dict[str, Callable[[Ends, Ref, Fact], bool]] = {
    **dict.fromkeys((*_SUBJECTS, "Node"), Ends.is_subject),
    "Secret": Ends.is_secret,
    "Pod": Ends.is_pod,
}
