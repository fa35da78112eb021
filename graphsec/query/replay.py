"""An independent checker of attack paths: every step is shown again from the objects and the one RBAC matcher.

It shares nothing with the search that found the path (attacks.md §6, Proofs) and believes no text of it: what each rule
demands stands in a table of its own. A path that does not replay is a bug, not a finding.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from graphsec.compile import World
from graphsec.model.attack import ALL_SECRETS, CLUSTER, INTERNET, Fact, FactKind
from graphsec.model.ref import Ref
from graphsec.query._replay_requests import Identities
from graphsec.query._replay_rules import RULES, SOME_NODE, Case, shape
from graphsec.query._replay_view import Place, View, alike, parse_ref

if TYPE_CHECKING:
    from graphsec.query.paths import AttackPath, Step

K = FactKind
#: Faults of the path as a whole.
WHOLE = -1
#: Under which a view is kept with its world, as the other parts that are made late.
_KEPT = "_view_of_replay"
_SHIPPED = "BOOTSTRAP-RBAC"
_PLACES = (K.POD, K.PODS_LIKE)


@dataclass(frozen=True, slots=True)
class Fault:
    """What a step (by index, -1 for the whole path) does not show."""

    step: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"step {self.step + 1} [{self.rule}]: {self.message}" if self.step >= 0 else self.message


@dataclass(frozen=True, slots=True)
class Replay:
    """Whether a path is a proof; true if it is."""

    ok: bool
    faults: tuple[Fault, ...] = ()

    def __bool__(self) -> bool:
        return self.ok


def replay(world: World, path: AttackPath, *, assume: Collection[str] = ()) -> Replay:
    """Checks a path against a world; ``assume`` are the assumptions that its question took as facts."""
    faults = tuple(_Run(_view(world), path, frozenset(assume)).faults())
    return Replay(not faults, faults)


def _view(world: World) -> View:
    kept = vars(world)
    if _KEPT not in kept:
        kept[_KEPT] = View(world)
    view: View = kept[_KEPT]
    return view


@dataclass
class _Run:
    """One path: what is known grows with each step."""

    view: View
    path: AttackPath
    granted: frozenset[str]
    identities: Identities = field(init=False)
    narrowed: dict[Fact, Ref] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.identities = Identities(self.view)

    def faults(self) -> Iterator[Fault]:
        yield from (Fault(WHOLE, "", message) for message in self._start())
        known = set(self.path.starts)
        claimed: set[str] = set()
        for index, step in enumerate(self.path.steps):
            claimed.update(step.assumptions)
            messages = [f"nothing gives {fact}" for fact in step.premises if fact not in known]
            messages += self._step(step, claimed)
            yield from (Fault(index, step.rule, message) for message in messages)
            known.add(step.after)
        last = self.path.steps[-1].after if self.path.steps else None
        reached = [last] if last else list(self.path.starts)
        if not any(fact in self._goals() for fact in reached):
            yield Fault(WHOLE, "", f"it does not end at {self.path.target}")

    def _step(self, step: Step, claimed: set[str]) -> Iterator[str]:
        checks = RULES.get(step.rule)
        if checks is None:
            yield "unknown rule"
            return
        check = checks.get(shape(step)) if step.premises else None
        if check is None:
            yield f"the rule makes nothing of {shape(step) if step.premises else 'no premise'}"
            return
        case = Case(self.view, step, self.identities, self.narrowed)
        yield from check(case)
        yield from self._grounds(step)
        yield from self._assumptions(step, case.needs - self.granted, claimed)

    def _grounds(self, step: Step) -> Iterator[str]:
        """Where the objects are said to stand."""
        inventory = self.view.cluster.inventory
        for ground in step.because:
            if ground.object is not None and ground.place != inventory.get(ground.object):
                yield f"{ground.object} does not stand at {ground.place}"
            grant = ground.grant
            binding = self.view.bindings.get(grant.binding) if grant and grant.binding else None
            if grant and grant.binding and (binding is None or binding.source != grant.source):
                yield f"{grant.binding} does not stand at {grant.source}"

    def _assumptions(self, step: Step, needs: set[str], claimed: set[str]) -> Iterator[str]:
        """What is said is what is needed; that the shipped objects are there is said once for all steps that follow."""
        for name in sorted(needs - set(step.assumptions)):
            if name != _SHIPPED or name not in claimed:
                yield f"it rests on {name}, and does not say so"
        for name in sorted(set(step.assumptions) - needs):
            yield f"it does not rest on {name}"

    # -- Ends ---------------------------------------------------------------------------------------------------

    def _start(self) -> Iterator[str]:
        """Each fact that the path begins with is what its source stands for."""
        for fact in self.path.starts:
            if not self._is_start(self.path.source, fact):
                yield f"{self.path.source} does not stand for {fact}"

    def _is_start(self, text: str, fact: Fact) -> bool:
        if text in ("internet", "anonymous"):
            return fact == Fact(K.USER, "system:anonymous") or (text == "internet" and fact == INTERNET)
        source = parse_ref(text)
        find = _STARTS.get(source.kind, _Run._starts_workload)
        return find(self, source, fact)

    def _starts_subject(self, source: Ref, fact: Fact) -> bool:
        own = Fact(FactKind(source.kind), source.name, source.namespace or "")
        if fact == own:
            return True
        if source.kind == "User" and fact in (Fact(K.COMPOUND, source.name), _credential(source)):
            return fact.kind is K.NODE_IDENTITY or source.name in self.view.world.memberships.groups
        group = Ref("Group", fact.name)
        return fact.kind is K.GROUP and self.identities.includes(own, group)

    def _starts_node(self, source: Ref, fact: Fact) -> bool:
        return fact == Fact(K.NODE, source.name) and self.view.has_node(source.name)

    def _starts_namespace(self, source: Ref, fact: Fact) -> bool:
        return fact.kind in _PLACES and fact.namespace == source.name and self._place(fact) is not None

    def _starts_pod(self, source: Ref, fact: Fact) -> bool:
        """Where the fact is that of all its like, it is this one."""
        pod, place = self.view.place(source), self._place(fact)
        if pod is None or place is None:
            return False
        if fact.kind is K.PODS_LIKE:
            self.narrowed[fact] = source
            return alike(pod, place)
        return fact.kind is K.POD and place.ref == source

    def _starts_workload(self, source: Ref, fact: Fact) -> bool:
        place = self._place(fact)
        if place is None or fact.kind not in _PLACES or fact.namespace != (source.namespace or ""):
            return False
        return place.ref == source or place.ref.name.startswith(f"{source.name}-")

    def _place(self, fact: Fact) -> Place | None:
        return self.view.place(Ref(fact.power or "Pod", fact.name, fact.namespace))

    def _goals(self) -> Collection[Fact]:
        text = self.path.target
        if text in _SINKS:
            return (_SINKS[text],)
        ref = parse_ref(text)
        make = _GOALS.get(ref.kind)
        return make(self, ref) if make else [fact for fact in self._ends() if self._starts_workload(ref, fact)]

    def _ends(self) -> list[Fact]:
        return [step.after for step in self.path.steps[-1:]]

    def _goal_subject(self, ref: Ref) -> Collection[Fact]:
        return (Fact(FactKind(ref.kind), ref.name, ref.namespace or ""),)

    def _goal_cloud(self, ref: Ref) -> Collection[Fact]:
        return (Fact(K.CLOUD, self.path.target.removeprefix("CloudIdentity/")),)

    def _goal_secret(self, ref: Ref) -> Collection[Fact]:
        """Of one that the input cannot show: whoever reads every Secret of the namespace."""
        namespace = ref.namespace or ""
        single = (Fact(K.SECRET, ref.name, namespace),)
        return single if self.view.shows_all("Secret") else (*single, Fact(K.SECRETS, "", namespace))

    def _goal_pod(self, ref: Ref) -> Collection[Fact]:
        return [fact for fact in self._ends() if self._is_like(ref, fact)]

    def _is_like(self, ref: Ref, fact: Fact) -> bool:
        pod, place = self.view.place(ref), self._place(fact) if fact.kind in _PLACES else None
        if pod is not None and fact.kind is K.NODE_PODS:
            return self.view.is_on(pod, fact.name)
        if pod is None or place is None:
            return False
        return place.ref == ref or (fact.kind is K.PODS_LIKE and alike(pod, place))


def _credential(user: Ref) -> Fact:
    return Fact(K.NODE_IDENTITY, user.name.removeprefix("system:node:"))


_SINKS = {"cluster-admin": CLUSTER, "node": SOME_NODE, "secrets:all": ALL_SECRETS}
_SUBJECTS = ("User", "Group", "ServiceAccount")
_STARTS: dict[str, Callable[[_Run, Ref, Fact], bool]] = {
    **dict.fromkeys(_SUBJECTS, _Run._starts_subject),
    "Node": _Run._starts_node,
    "Namespace": _Run._starts_namespace,
    "Pod": _Run._starts_pod,
}
_GOALS: dict[str, Callable[[_Run, Ref], Collection[Fact]]] = {
    **dict.fromkeys(_SUBJECTS, _Run._goal_subject),
    "Node": _Run._goal_subject,
    "Secret": _Run._goal_secret,
    "Pod": _Run._goal_pod,
    "CloudIdentity": _Run._goal_cloud,
}
__all__ = ["Fault", "Replay", "replay"]
