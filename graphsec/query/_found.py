"""Items of saved queries as a gate sees them: what tells two of them apart, what each says, and what it rests on.

The key of a finding holds no rule, verb or port, so that a role that is split or a port that is named otherwise is the same
finding: it is who may do it and where, from what to what, or which object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial, singledispatch
from typing import Any, NamedTuple

from graphsec.compile import World
from graphsec.model.ref import Ref, Source
from graphsec.query._admitted import POSSIBLE
from graphsec.query._answer import Evidence
from graphsec.query._finding import Hop, Proof, Told, first_place
from graphsec.query._grants import rule_text
from graphsec.query._match import Link, Match
from graphsec.query._saved_paths import FoundPath
from graphsec.query.can_i import Decision
from graphsec.query.exposed import Exposure
from graphsec.query.objects import ObjectFinding
from graphsec.query.paths import PROVED, AttackPath, Step
from graphsec.query.policy_lint import PolicyFinding
from graphsec.query.rbac_lint import RbacFinding
from graphsec.query.reach import Flow
from graphsec.query.what_can import Grant
from graphsec.query.who_can import Access


class Found(NamedTuple):
    """One item."""

    key: tuple[str, ...]
    subject: str
    #: "cluster", a namespace, or "" where neither says anything.
    scope: str
    #: None for what holds in the whole cluster; exceptions are about namespaces.
    namespace: str | None
    #: What follows the subject in a sentence.
    text: str
    tell: Callable[[], Told]
    #: What exceptions call resources: of access what may be done it to, of paths and flows where they end.
    resources: tuple[str, ...] = ()
    #: What exceptions call edges: bindings and roles, rules of steps, routes.
    edges: Callable[[], Iterable[str]] = tuple
    #: Whether it rests on an assumption.
    conditional: bool = False

    def values(self, field: str) -> Sequence[str]:
        """What the glob of an exception is held against."""
        match field:
            case "subject":
                return (self.subject,)
            case "namespace":
                return (self.namespace or "",)
            case "resource":
                return self.resources
            case _:
                return tuple(self.edges())


@singledispatch
def found(item: Any, ref: str, world: World) -> Found:
    """``ref`` is what the query calls the item in `expect`: all there is to say of a kind of item that has no rule here."""
    return Found(
        key=(ref,),
        subject=ref,
        scope="",
        namespace=namespace_in(ref),
        text=", ".join(cell for cell in item.row(wide=False) if cell and cell not in ref),
        tell=lambda: Told(first_place(item.because), item.because, (), item.drawing),
    )


def namespace_in(ref: str) -> str | None:
    """Of `KIND/NS/NAME`, and the namespace itself of `Namespace/NAME`."""
    parts = ref.split("/")
    return parts[1] if len(parts) == 3 else parts[1] if parts[0] == "Namespace" and len(parts) == 2 else None


# -- access ------------------------------------------------------------------------------------------------------


@found.register
def _(item: Access, _ref: str, world: World) -> Found:
    first = item.because[0]
    namespace = first.binding.namespace if first.binding else None
    subject = str(item.subject)
    # As rules spell it, not as the command line takes it.
    resources = tuple(item.target.replace(" --subresource ", "/").replace("'", "").split(", "))
    named = f" named {', '.join(item.names)}" if item.names else ""
    return Found(
        key=(subject, namespace or "", "named" if item.names else ""),
        subject=subject,
        scope=item.scope,
        namespace=namespace,
        text=f"can {', '.join(item.verbs)} {', '.join(resources)}{named}{_where(namespace)} through {first}",
        tell=partial(_granted, world, item, item.because),
        resources=resources,
        edges=partial(_grants, item.because),
    )


@found.register
def _(item: Grant, _ref: str, world: World) -> Found:
    first = item.because[0]
    namespace = first.binding.namespace if first.binding else None
    subject, rule = str(item.subject), rule_text(item.rule)
    return Found(
        key=(subject, namespace or "", rule),
        subject=subject,
        scope=item.scope,
        namespace=namespace,
        text=f"holds {rule}{_where(namespace)} through {first}",
        tell=partial(_granted, world, item, item.because),
        resources=item.rule.resources or item.rule.urls,
        edges=partial(_grants, item.because),
    )


@found.register
def _(item: Decision, _ref: str, world: World) -> Found:
    subject, request = str(item.subject), item.request
    return Found(
        key=(subject, str(request)),
        subject=subject,
        scope=request.namespace or "cluster",
        namespace=request.namespace or None,
        text=f"can {request}",
        tell=partial(_granted, world, item, item.because),
        resources=(request.resource or request.url,),
        edges=partial(_grants, item.because),
        conditional=item.word != "yes",
    )


def _where(namespace: str | None) -> str:
    return " in the whole cluster" if namespace is None else f" in {namespace}"


def _grants(proofs: Iterable[Evidence]) -> list[str]:
    return [str(proof.binding) for proof in proofs if proof.binding]


def _granted(world: World, item: Any, proofs: Sequence[Evidence]) -> Told:
    """What somebody has added to an aggregated role is to be looked at where it is written, any other grant at its binding."""
    first = proofs[0]
    origin = Ref("ClusterRole", first.aggregated_from)
    added = bool(first.aggregated_from) and not world.provenance.ships(origin, first.rule)
    place = (first.rule_source if added else first.source) or first.rule_source
    return Told(place or first_place(proofs), proofs, tuple(_chain(first)), item.drawing)


def _chain(proof: Evidence) -> Iterable[Hop]:
    if proof.binding is None or proof.role is None or proof.rule is None:
        yield Hop(text=proof.semantics)
        return
    who = f" {proof.subject}" if proof.subject else ""
    yield Hop(text=f"{proof.binding} binds{who} to {proof.role}", source=proof.source)
    origin = f", which it has from {proof.aggregated_from}" if proof.aggregated_from else ""
    yield Hop(text=f"{proof.role} allows {rule_text(proof.rule)}{origin}", source=proof.rule_source)


# -- flows -------------------------------------------------------------------------------------------------------


@found.register
def _(item: Flow, ref: str, _world: World) -> Found:
    source, destination = (str(end.ref or end) for end in (item.source, item.destination))
    other = item.destination if ref == source else item.source
    ports = str(item.ports) if item.ports else f"possible: {item.possible}"
    return Found(
        key=(source, destination),
        subject=ref,
        scope=namespace_in(ref) or "",
        namespace=namespace_in(ref),
        text=f"{'reaches' if ref == source else 'is reached by'} {other.ref or other} on {ports}",
        tell=lambda: Told(first_place(item.because), item.because, _hops(item.because), item.drawing),
        resources=(destination,),
        edges=lambda: (f"{source} => {destination}",),
        conditional=not item.ports,
    )


@found.register
def _(item: Exposure, _ref: str, _world: World) -> Found:
    workload = str(item.workload)
    return Found(
        key=(workload, item.origin, item.route),
        subject=workload,
        scope=item.workload.namespace or "",
        namespace=item.workload.namespace,
        text=f"is open to {item.source} on {item.ports}{f' by {item.route}' if item.route else ''}",
        tell=lambda: Told(first_place(item.because), item.because, _hops(item.because), item.drawing),
        resources=(str(item.ports),),
        edges=lambda: (item.route or item.source,),
        conditional=item.verdict == POSSIBLE,
    )


@found.register
def _(item: PolicyFinding, _ref: str, _world: World) -> Found:
    subject = str(item.ref)
    return Found(
        key=(item.id, subject, item.direction),
        subject=subject,
        scope=namespace_in(subject) or "",
        namespace=namespace_in(subject),
        text=item.message,
        tell=lambda: Told(item.source, (_Stated(item.message, item.source),)),
        resources=(subject,),
        edges=lambda: (item.id,),
    )


@found.register
def _(item: RbacFinding, _ref: str, _world: World) -> Found:
    subject = str(item.ref)
    proofs = item.because or (_Stated(item.message, item.source),)
    return Found(
        key=(item.check, subject),
        subject=subject,
        scope=namespace_in(subject) or "",
        namespace=namespace_in(subject),
        text=item.message,
        tell=lambda: Told(item.source or first_place(proofs), proofs, (), item.drawing),
        resources=(subject,),
        edges=lambda: (item.check,),
    )


@found.register
def _(item: ObjectFinding, _ref: str, _world: World) -> Found:
    subject = str(item.ref)
    return Found(
        key=(subject, item.condition),
        subject=subject,
        scope=namespace_in(subject) or "",
        namespace=namespace_in(subject),
        text=f"has {item.title}: {item.field}{f' = {item.value}' if item.value else ' is absent'}",
        tell=lambda: Told(item.source, (item,), (Hop(text=str(item), source=item.source),)),
        resources=(item.field,),
        edges=lambda: (item.condition,),
    )


def _hops(proofs: Iterable[Proof]) -> tuple[Hop, ...]:
    return tuple(Hop(text=str(proof), source=proof.source) for proof in proofs)


class _Stated(NamedTuple):
    """Evidence that is a sentence about an object."""

    text: str
    source: Source | None

    def __str__(self) -> str:
        return self.text

    def to_dict(self) -> dict[str, Any]:
        place = self.source
        where = {"source": {"file": place.file, "line": place.line}} if place else {}
        return {"text": self.text, **where}


# -- paths -------------------------------------------------------------------------------------------------------


@found.register
def _(item: AttackPath, _ref: str, _world: World) -> Found:
    return _path(item.source, item.target, lambda: item, proved=item.verdict == PROVED)


@found.register
def _(item: FoundPath, _ref: str, _world: World) -> Found:
    return _path(item.source, item.target, item.path, proved=item.proved)


def _path(source: str, target: str, make: Callable[[], AttackPath], *, proved: bool) -> Found:
    return Found(
        key=(source, target),
        subject=source,
        scope=namespace_in(source) or "",
        namespace=namespace_in(source),
        text=f"{'reaches' if proved else 'may reach'} {target}",
        tell=lambda: _walked(make()),
        resources=(target,),
        edges=lambda: make().rules,
        conditional=not proved,
    )


def _walked(path: AttackPath) -> Told:
    return Told(first_place(path.because), path.because, tuple(map(_step, path.steps)), path.drawing)


def _step(step: Step) -> Hop:
    premises = " and ".join(map(str, step.premises))
    return Hop(text=f"{premises} → {step.after} [{step.rule}]", source=first_place(step.because))


@found.register
def _(item: Match, ref: str, _world: World) -> Found:
    return Found(
        key=(ref,),
        subject=ref,
        scope=namespace_in(ref) or "",
        namespace=namespace_in(ref),
        text=f"matches: {item.first}",
        tell=lambda: Told(first_place(item.because), item.because, tuple(map(_link, item.steps)), item.drawing),
        edges=lambda: map(str, item.steps),
        conditional=item.verdict != PROVED,
    )


def _link(link: Link | Step) -> Hop:
    return _step(link) if isinstance(link, Step) else Hop(text=str(link), source=link.source)
