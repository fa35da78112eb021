"""Did you mean: what a selector that finds nothing comes closest to, among the labels, names and ports of the input."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from graphsec.algebra.expressions import (
    EVERYTHING,
    AllOf,
    Expression,
    Field,
    LabelTest,
    Operator,
    matches,
)
from graphsec.compile.endpoints import TEMPLATES, VIRTUAL
from graphsec.compile.flows import Flows
from graphsec.compile.policies import Placed
from graphsec.model import policy as model
from graphsec.model.cluster import Cluster
from graphsec.model.policy import NAME_LABEL
from graphsec.model.ref import Ref

#: Values that a hint lists where none is near.
_SHOWN = 4
#: How alike words must be that more than one letter tells apart.
_ALIKE = 0.78
_SHORTEST = 3


@dataclass(frozen=True, slots=True)
class Labelled:
    """Something with labels: a pod, a template, a namespace."""

    name: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Hint:
    """Why nothing is found, in words. ``elsewhere``: what is meant may well lie outside the input."""

    text: str
    elsewhere: bool = False


class Hints:
    """Indexes labels when the first hint is asked for."""

    def __init__(self, cluster: Cluster, flows: Flows) -> None:
        self._cluster = cluster
        self._flows = flows
        self._known: dict[tuple[model.Endpoints, str | None], Hint] = {}

    def of(self, term: model.Endpoints, policy: Placed) -> Hint:
        """Of a term that means no pod."""
        key = (term, policy.ref.namespace if term.own else None)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._hint(term, policy)
        return known

    def _hint(self, term: model.Endpoints, policy: Placed) -> Hint:
        names = self._names(term, policy)
        if not names:
            return self._no_namespace(term, policy)
        pods = [pod for name in names for pod in self._pods.get(name, ())]
        where = f"namespace {names[0]}" if len(names) == 1 else f"the {len(names):,} namespaces it means"
        if not pods:
            return Hint(f"no pod of the input is in {where}", elsewhere=True)
        return Hint(f"{_missed(term.labels, pods, 'pod', where)}{self._other_namespace(term, policy)}")

    def _names(self, term: model.Endpoints, policy: Placed) -> list[str]:
        """The namespaces that a term means."""
        universe = self._flows.universe
        own = policy.ref.namespace or ""
        candidates = [own] if term.own else [name for name in universe.namespaces if name not in self._virtual]
        return [
            name
            for name in candidates
            if (not term.own or name in universe.namespaces)
            and matches(term.namespaces, {Field.NAMESPACE: universe.namespace_labels(name)})
        ]

    def _no_namespace(self, term: model.Endpoints, policy: Placed) -> Hint:
        universe = self._flows.universe
        namespaces = [
            Labelled(name, universe.namespace_labels(name)) for name in universe.namespaces if name not in self._virtual
        ]
        if term.own:
            near = _near(policy.ref.namespace or "", [found.name for found in namespaces])
            return Hint(f"no pod of the input is in namespace {policy.ref.namespace}{_meant(near)}", elsewhere=not near)
        text = _missed(term.namespaces, namespaces, "namespace", "the input")
        return Hint(text, elsewhere="did you mean" not in text)

    def _other_namespace(self, term: model.Endpoints, policy: Placed) -> str:
        """The pods that are meant may be in another namespace (N-06c)."""
        if not term.own or term.labels == EVERYTHING:
            return ""
        others = [
            name
            for name in sorted(self._candidates(term.labels))
            if name != policy.ref.namespace
            and any(matches(term.labels, {Field.OWN: pod.labels}) for pod in self._pods[name])
        ]
        if not others:
            return ""
        return f"; such pods are in {_some(others)}, a podSelector alone means the policy's own namespace (N-06c)"

    def _candidates(self, expression: Expression) -> Iterable[str]:
        """Namespaces with a pod that has a label which the expression demands."""
        demanded = expression.terms if isinstance(expression, AllOf) else (expression,)
        for term in demanded:
            if isinstance(term, LabelTest) and term.operator is Operator.IN:
                return {name for value in term.values for name in self._holders.get((term.key, value), ())}
        return self._pods

    @cached_property
    def _holders(self) -> dict[tuple[str, str], set[str]]:
        """Namespaces by the labels of their pods."""
        found: dict[tuple[str, str], set[str]] = defaultdict(set)
        for name, pods in self._pods.items():
            for pod in pods:
                for label in pod.labels.items():
                    found[label].add(name)
        return found

    @cached_property
    def _virtual(self) -> frozenset[str]:
        return frozenset(self._flows.endpoints.virtual)

    @cached_property
    def _pods(self) -> dict[str, list[Labelled]]:
        """One pod for each distinct set of labels of a namespace."""
        endpoints = self._flows.endpoints
        found: dict[str, dict[tuple[tuple[str, str], ...], Labelled]] = defaultdict(dict)
        for ref, labels in zip(endpoints.refs, endpoints.labels, strict=True):
            if ref.kind != VIRTUAL:
                key = tuple(sorted(labels.items()))
                found[ref.namespace or ""].setdefault(key, Labelled(f"{ref.namespace}/{ref.name}", labels))
        return {name: list(pods.values()) for name, pods in found.items()}

    # -- pods that do not run -----------------------------------------------------------------------------------

    def dormant(self, policy: Placed) -> list[Ref]:
        """Workloads and finished pods that a policy selects and that have no running pod."""
        selects = policy.body.selects
        return [
            ref
            for ref, labels in self._dormant
            if (not selects.own or ref.namespace == policy.ref.namespace)
            and matches(
                selects.namespaces, {Field.NAMESPACE: self._flows.universe.namespace_labels(ref.namespace or "")}
            )
            and matches(selects.labels, {Field.OWN: labels})
        ]

    @cached_property
    def _dormant(self) -> list[tuple[Ref, Mapping[str, str]]]:
        endpoints = self._flows.endpoints
        running = set(endpoints.workloads)
        finished = set(endpoints.finished)
        templates = [
            (loaded.ref, dict(template.metadata.labels or {}) if template.metadata else {})
            for loaded in self._cluster.of(*TEMPLATES)
            if loaded.ref not in running and (template := loaded.body.template) is not None
        ]
        pods = [
            (loaded.ref, loaded.body.metadata.labels or {})
            for loaded in self._cluster.of("Pod")
            if loaded.ref in finished
        ]
        return [*templates, *pods]

    # -- ports --------------------------------------------------------------------------------------------------

    def port(self, name: str, protocol: str, pods: Iterable[int]) -> str:
        """Of a port name that none of the pods has."""
        specs = self._flows.endpoints.specs
        declared = {
            (port.name, port.protocol or "TCP")
            for pod in pods
            for port in specs[pod].ports()
            if port.name and port.container_port
        }
        others = sorted(kind for found, kind in declared if found == name and kind != protocol)
        if others:
            return f": `{name}` is a {others[0]} port there"
        names = sorted({found for found, _ in declared})
        near = _near(name, names)
        if near:
            return _meant(near)
        return f": their port names are {_some(names)}" if names else ": they name no ports"


def _missed(expression: Expression, candidates: Sequence[Labelled], noun: str, where: str) -> str:
    """What of an expression no candidate fulfils."""
    demanded = expression.terms if isinstance(expression, AllOf) else (expression,)
    for term in demanded:
        field = Field.NAMESPACE if noun == "namespace" else Field.OWN
        if not any(matches(term, {field: found.labels}) for found in candidates):
            if isinstance(term, LabelTest):
                return f"no {noun} in {where} has {_words(term)}{_nearest(term, candidates)}"
            return f"no {noun} in {where} fulfils {term}"
    best, lacking = min(
        ((found, list(_failing(demanded, found.labels, noun))) for found in candidates), key=lambda pair: len(pair[1])
    )
    return (
        f"no {noun} in {where} has all of {expression}; {best.name} comes closest and fails {', '.join(map(str, lacking))}"
        if lacking
        # Labels that pods do have and selectors do not find.
        else f"those in {where} with {expression} are on the host network, where selectors find no pod (N-14)"
    )


def _words(test: LabelTest) -> str:
    """Without saying whose label, which the sentence says."""
    return str(LabelTest(test.key, test.operator, test.values))


def _failing(terms: Sequence[Expression], labels: Mapping[str, str], noun: str) -> Iterator[Expression]:
    field = Field.NAMESPACE if noun == "namespace" else Field.OWN
    return (term for term in terms if not matches(term, {field: labels}))


def _nearest(test: LabelTest, candidates: Sequence[Labelled]) -> str:
    """The value, key or label that is probably meant."""
    values: dict[str, set[str]] = defaultdict(set)
    for found in candidates:
        for key, value in found.labels.items():
            values[key].add(value)
    if test.operator is not Operator.IN:
        return _meant(_near(test.key, sorted(values))) if test.key not in values else ""
    if test.key in values:
        near = next(filter(None, (_near(value, sorted(values[test.key])) for value in test.values)), "")
        if near:
            return _meant(f"{test.key}={near}")
        # A namespace's name is like no other label: all names are candidates and most of them are beside the point.
        return "" if test.key == NAME_LABEL else f"; the values of {test.key} are {_some(sorted(values[test.key]))}"
    keys = [key for key in sorted(values) if values[key] & set(test.values)]
    near = _near(test.key, keys) or next(iter(keys), "")
    if near:
        value = next(value for value in test.values if value in values[near])
        return _meant(f"{near}={value}")
    near = _near(test.key, sorted(values))
    return _meant(near) if near else f", nor the label {test.key} at all"


def _near(word: str, known: Sequence[str]) -> str:
    """The known word that one slip of the finger or a likeness leads to, letter case apart; "" if none does."""
    by_lower: dict[str, str] = {}
    for text in known:
        by_lower.setdefault(text.lower(), text)
    slips = [text for text in by_lower if _is_slip(word.lower(), text)]
    near = slips or difflib.get_close_matches(word.lower(), list(by_lower), n=1, cutoff=_ALIKE)
    return by_lower[near[0]] if near else ""


def _is_slip(one: str, other: str) -> bool:
    """One letter more, less or wrong, or two letters swapped; shorter words are like everything."""
    if min(len(one), len(other)) < _SHORTEST or abs(len(one) - len(other)) > 1:
        return False
    start = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    one, other = one[start:], other[start:]
    return one[1:] == other[1:] or one[1:] == other or one == other[1:] or one == other[1::-1] + other[2:]


def _meant(near: str) -> str:
    return f" (did you mean `{near}`?)" if near else ""


def _some(words: Sequence[str]) -> str:
    more = len(words) - _SHOWN
    return ", ".join(words[:_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


__all__ = ["Hint", "Hints"]
