"""What saved queries ask of attack paths beside `paths`: from what is exposed, out of a namespace, to the whole of one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

from graphsec.compile import World
from graphsec.compile.attacks.drawing import DEAR
from graphsec.errors import UsageError
from graphsec.graph.horn import FAR
from graphsec.model.attack import CLUSTER, Fact, FactKind
from graphsec.model.discovery import Discovery
from graphsec.model.rbac import PolicyRule
from graphsec.model.ref import Ref
from graphsec.query._answer import Answer
from graphsec.query._attack_ends import SINKS, End, goal, start
from graphsec.query._attack_reach import Reached, reaching
from graphsec.query._attack_starts import all_starts, pods
from graphsec.query._needs import require
from graphsec.query._shared import shared
from graphsec.query.entry_points import EntryPoints
from graphsec.query.paths import CONDITIONAL, PROVED, AttackPath, Paths, Search

K = FactKind
#: What an account leaves its namespace for.
_FOREIGN = frozenset({K.ACCOUNT, K.ACCOUNTS, K.SECRET, K.SECRETS, K.POD, K.PODS_LIKE, K.PODS})
_WHOLE = End("cluster-admin", (CLUSTER,))
_NOWHERE = End("", ())
Wanted = Callable[[Fact], bool]


@dataclass(frozen=True)
class FoundPath:
    """That there is a path; the path itself is made when looked at, since a gate counts thousands and shows some."""

    source: str
    target: str
    proved: bool
    _make: Callable[[], AttackPath]

    @property
    def verdict(self) -> str:
        return PROVED if self.proved else CONDITIONAL

    @cached_property
    def _path(self) -> AttackPath:
        return self._make()

    def path(self) -> AttackPath:
        return self._path


def check_targets(targets: Iterable[str], *, sinks: bool) -> None:
    """Raises ValueError for a target that no input holds, with ``sinks`` for any but those that have a name."""
    for target in targets:
        if target not in SINKS and (sinks or not ("/" in target or ":" in target)):
            raise ValueError(f"`{target}` is none of {', '.join(SINKS)}{'' if sinks else ', and no object'}")


def namesake(source: str) -> str:
    """The name of the ServiceAccount that a path starts from, "" for any other start."""
    kind, _, rest = source.partition("/")
    return rest.rpartition("/")[2] if kind == "ServiceAccount" else ""


def to_target(world: World, question: Paths, names: Collection[str], verdicts: Collection[str]) -> Answer[AttackPath]:
    """What the question finds of these verdicts, with ``names`` from those accounts alone; nothing where an end is not in
    this input."""
    answer = reached(world, question, names, verdicts)
    paths = sorted(
        (found.path() for found in answer), key=lambda path: (path.verdict != PROVED, path.hops, path.source)
    )
    search = Search(world, clouds=question.target.startswith("CloudIdentity/"))
    notes = (*answer.notes, *search.notes(paths, _NOWHERE))
    return replace(answer, items=tuple(paths), notes=tuple(dict.fromkeys(notes)))


def reached(world: World, question: Paths, names: Collection[str], verdicts: Collection[str]) -> Answer[Any]:
    """The same, with items that are ``FoundPath``, in order of their sources."""
    require(world, question.ask)
    search = Search(world, clouds=question.target.startswith("CloudIdentity/"))
    try:
        starts = _starts(search, question)
        end = goal(question.target, world, search.graph)
    except UsageError as error:
        nothing = _answer(search, question, [])
        return replace(nothing, complete=False, warnings=(*nothing.warnings, error.message))
    starts = [given for given in starts if not names or namesake(given.text) in names]
    paths = [
        FoundPath(found.start.text, end.text, found.proved, partial(_made, search, end, found))
        for found in reaching(search.graph, starts, end)
        if (PROVED if found.proved else CONDITIONAL) in verdicts
    ]
    return _answer(search, question, paths, end)


def _made(search: Search, end: End, found: Reached) -> AttackPath:
    return search.path(found.start, end, found.proof)


def _starts(search: Search, question: Paths) -> list[End]:
    if question.source == "all":
        return all_starts(search.world, search.graph, include_builtin=question.include_builtin)[0]
    if question.source == "pods":
        return pods(search.graph)
    return [start(question.source, search.world, search.graph)]


def from_exposed(world: World, targets: Iterable[str], except_routes: Iterable[str]) -> Answer[AttackPath]:
    """From the workloads that the internet opens by other routes than these."""
    question = Paths(source="exposed")
    require(world, question.ask)
    found = shared(EntryPoints(), world)
    excepted, wanted = set(except_routes), set(targets)
    open_ = [entry for entry in found if not excepted.issuperset(entry.routes)]
    paths = [path for entry in open_ for path in entry.paths if path.target in wanted]
    answer = _answer(Search(world), question, paths)
    return replace(answer, complete=answer.complete and found.complete, warnings=(*answer.warnings, *found.warnings))


def crossing(world: World, *, builtin: bool) -> Answer[AttackPath]:
    """From ServiceAccounts to something of a namespace that neither they nor their groups hold a grant in."""
    question = Paths(source="all")
    require(world, question.ask)
    search = Search(world)
    starts = [
        (given, partial(_is_foreign, own))
        for account, given in _accounts(search, builtin=builtin)
        if (own := _own_namespaces(search, account)) is not None
    ]
    return _answer(search, question, [*_nearest(search, starts)])


def whole_namespaces(world: World, source: str, *, builtin: bool) -> Answer[AttackPath]:
    """From pods or ServiceAccounts to every ServiceAccount or every Secret of their own namespace."""
    question = Paths(source=source)
    require(world, question.ask)
    search = Search(world)
    given = pods(search.graph) if source == "pods" else [end for _, end in _accounts(search, builtin=builtin)]
    starts = [(end, partial(_is_whole, end.facts[0].namespace)) for end in given]
    return _answer(search, question, [*_nearest(search, starts)])


def _answer(search: Search, question: Paths, items: Sequence[Any], end: End = _NOWHERE) -> Answer[Any]:
    complete, warnings = require(search.world, question.ask)
    return Answer(
        question=question,
        items=tuple(items),
        complete=complete,
        coverage=search.world.coverage,
        diagnostics=search.world.diagnostics,
        notes=tuple(search.notes([item for item in items if isinstance(item, AttackPath)], end)),
        warnings=warnings,
    )


# -- ends that depend on the start -------------------------------------------------------------------------------


def _nearest(search: Search, starts: Sequence[tuple[End, Wanted]]) -> Iterator[AttackPath]:
    """For each start a path to the nearest fact that it wants, to cluster-admin where that falls for certain, or where it
    falls and nothing wanted does for certain: without all that follows from it."""
    horn = search.graph.horn
    whole = {found.start: found for found in reaching(search.graph, [given for given, _ in starts], _WHOLE)}
    for given, wanted in starts:
        numbers = [number for fact in given.facts if (number := search.number(fact)) >= 0]
        fallen = whole.get(given)
        if fallen is None or not fallen.proved:
            costs = horn.closure(numbers, weight_below=FAR if fallen is None else DEAR)
            hits = [(cost, number) for number, cost in costs.items() if wanted(horn.facts[number])]
            if hits:
                nearest = horn.facts[min(hits)[1]]
                yield from search.paths(given, End(str(nearest), (nearest,)))
                continue
        if fallen is not None:
            yield search.path(given, _WHOLE, fallen.proof)


def _accounts(search: Search, *, builtin: bool) -> Iterator[tuple[Ref, End]]:
    for given in all_starts(search.world, search.graph, include_builtin=builtin)[0]:
        fact = given.facts[0]
        if fact.kind is K.ACCOUNT:
            yield Ref("ServiceAccount", fact.name, fact.namespace), given


def _own_namespaces(search: Search, account: Ref) -> frozenset[str] | None:
    """Its own, and those of its grants; None where it has a grant in each."""
    found = {account.namespace or ""}
    world = search.world
    access = world.access
    for holder in (account, *search.graph.drawing.principals.above(account)):
        for binding in map(access.bindings.__getitem__, access.all_held(holder)):
            if world.provenance.is_builtin(binding.ref):
                continue
            if binding.scope:
                found.add(binding.scope)
            elif any(_is_namespaced(rule, world.discovery) for rule in access.roles[binding.role].rules):
                return None
    return frozenset(found)


def _is_namespaced(rule: PolicyRule, discovery: Discovery) -> bool:
    """Whether a rule may be about objects in namespaces."""
    return any(
        discovery.namespaced(group, resource.partition("/")[0]) is not False
        for resource in rule.resources
        for group in rule.groups
    )


def _is_foreign(own: frozenset[str], fact: Fact) -> bool:
    return fact.kind in _FOREIGN and bool(fact.namespace) and fact.namespace not in own


def _is_whole(namespace: str, fact: Fact) -> bool:
    return fact.kind in (K.ACCOUNTS, K.SECRETS) and fact.namespace == namespace


__all__ = [
    "FoundPath",
    "check_targets",
    "crossing",
    "from_exposed",
    "namesake",
    "reached",
    "to_target",
    "whole_namespaces",
]
