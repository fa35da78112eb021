"""What a condition or message of a saved query may name: the columns of the items of each ``ask``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphsec.algebra.ports import ALL_PORTS
from graphsec.compile import World
from graphsec.model.ref import Ref
from graphsec.query._grants import is_builtin
from graphsec.query.lang import Column, Schema, Table, Type

if TYPE_CHECKING:
    from graphsec.query.reach import FlowEnd

#: The value of a column for an item; None where it has none.
Read = Callable[[World, Any], Any]


@dataclass(frozen=True, slots=True)
class Columns:
    """Of one ``ask``."""

    schema: Schema
    reads: Mapping[str, Read]

    def table(self, world: World, items: Sequence[Any]) -> Table:
        def values(column: Column) -> list[Any]:
            read = self.reads[column.name]
            return [read(world, item) for item in items]

        return Table(len(items), values)

    def value(self, world: World, item: Any, column: Column) -> object:
        return self.reads[column.name](world, item)


Declared = tuple[Column, Read]


def _column(name: str, kind: Type, help: str, read: Callable[[Any], Any], *, optional: bool = False) -> Declared:  # noqa: A002
    return Column(name, kind, help, optional), lambda world, item: read(item)


def _strings(name: str, help: str, read: Callable[[Any], Any], *, optional: bool = False) -> Declared:  # noqa: A002
    return _column(name, Type.STRING, help, read, optional=optional)


def _of_ref(prefix: str, what: str, read: Callable[[Any], Ref], namespaces: str) -> Iterator[Declared]:
    yield from _parts(prefix, what, read, namespaces)
    yield _strings(f"{prefix}.ref", "canonical: `KIND/NAMESPACE/NAME`", lambda item: str(read(item)))


def _parts(prefix: str, what: str, read: Callable[[Any], Ref], namespaces: str) -> Iterator[Declared]:
    yield _strings(f"{prefix}.kind", f"kind of {what}", lambda item: read(item).kind)
    yield _strings(f"{prefix}.name", f"name of {what}", lambda item: read(item).name)
    yield _strings(
        f"{prefix}.namespace", f"its namespace; {namespaces}", lambda item: read(item).namespace, optional=True
    )


def _subject() -> Iterator[Declared]:
    yield from _of_ref("subject", "the subject", lambda item: item.subject, "absent for users and groups")


def _grants() -> Iterator[Declared]:
    """Of what is granted by bindings: the first one as `grant`, which is the one that a row shows, and all."""

    def first(item: Any) -> Any:
        return item.because[0] if item.because else None

    def ref(name: str) -> Callable[[Any], Any]:
        def read(item: Any) -> str | None:
            found = getattr(first(item), name, None)
            return None if found is None else str(found)

        return read

    def every(name: str) -> Callable[[Any], Any]:
        return lambda item: tuple(
            dict.fromkeys(str(found) for proof in item.because if (found := getattr(proof, name)) is not None)
        )

    masters = "absent for members of system:masters, who need none"
    yield _strings("grant.binding", f"the first binding that gives it; {masters}", ref("binding"), optional=True)
    yield _strings("grant.role", f"the role of that binding; {masters}", ref("role"), optional=True)
    yield Column("grant.builtin", Type.BOOL, "whether nothing but what every cluster has gives it"), _builtin
    yield _column("bindings", Type.STRINGS, "every binding that gives it", every("binding"))
    yield _column("roles", Type.STRINGS, "their roles", every("role"))


def _builtin(world: World, item: Any) -> bool:
    return is_builtin(world, item.because)


def _reality() -> Iterator[Declared]:
    yield _strings("inert", 'why no real request can use it, or ""', lambda item: item.inert)
    yield _strings("unmet", 'the further request that is needed and not allowed, or ""', lambda item: item.unmet)


def _who_can() -> Iterator[Declared]:
    yield from _subject()
    yield _strings("scope", '"cluster", or the namespace in which it holds', lambda item: item.scope)
    yield _column("verbs", Type.STRINGS, "those of the verbs asked for that are held", lambda item: item.verbs)
    yield _column("names", Type.STRINGS, "resourceNames it is limited to, empty for all", lambda item: item.names)
    yield _strings("target", "what was asked for, without the verb", lambda item: item.target)
    yield from _grants()
    yield from _reality()
    yield _column("members", Type.STRINGS, "of a group, where a membership file lists them", lambda item: item.members)


def _what_can() -> Iterator[Declared]:
    yield from _subject()
    yield _strings("scope", '"cluster", or the namespace in which it holds', lambda item: item.scope)
    yield _column("rule.verbs", Type.STRINGS, "verbs of the rule", lambda item: item.rule.verbs)
    yield _column("rule.groups", Type.STRINGS, 'its API groups, "" is core', lambda item: item.rule.groups)
    yield _column("rule.resources", Type.STRINGS, "its resources", lambda item: item.rule.resources)
    yield _column("rule.names", Type.STRINGS, "its resourceNames, empty for all", lambda item: item.rule.names)
    yield _column("rule.urls", Type.STRINGS, "its nonResourceURLs", lambda item: item.rule.urls)
    yield from _grants()
    yield from _reality()


def _can_i() -> Iterator[Declared]:
    yield from _subject()
    yield _strings("verb", "the verb", lambda item: item.request.verb)
    yield _strings("word", "yes, or conditional", lambda item: item.word)
    yield _strings("reason", "why, in words", lambda item: item.reason)
    yield from _grants()
    yield _strings("unmet", 'the further request that is needed and not allowed, or ""', lambda item: item.unmet)


def _end(prefix: str, read: Callable[[Any], FlowEnd]) -> Iterator[Declared]:
    from graphsec.query._saved_flows import namespace_of

    def kind(item: Any) -> str:
        end = read(item)
        return end.ref.kind if end.ref else "Addresses" if end.addresses is not None else "Outside"

    def name(item: Any) -> str:
        end = read(item)
        return end.ref.name if end.ref else str(end)

    yield _strings(
        f"{prefix}.kind", f"kind of the {prefix}; `Addresses`, or `Outside` for `{{ingress-controller}}`", kind
    )
    yield _strings(f"{prefix}.name", "its name, or the addresses", name)
    yield _strings(
        f"{prefix}.namespace",
        "its namespace, a namespace's own name; absent for addresses and nodes",
        lambda item: namespace_of(read(item).ref),
        optional=True,
    )
    yield _strings(f"{prefix}.ref", "canonical: `Deployment/shop/web`", lambda item: str(read(item).ref or read(item)))


def _policies(item: Any) -> tuple[str, ...]:
    found = (getattr(proof, "policy", None) for proof in item.because)
    return tuple(dict.fromkeys(str(policy) for policy in found if policy is not None))


def _ports() -> Iterator[Declared]:
    yield _strings("ports", "as answers print them: `TCP 80,443`", lambda item: str(item.ports))
    yield _column(
        "protocols",
        Type.STRINGS,
        "protocols of the ports",
        lambda item: tuple(dict.fromkeys(protocol for protocol, _, _ in item.ports.ranges())),
    )
    yield _column("port_count", Type.INT, "how many ports of all protocols", lambda item: len(item.ports))
    yield _column("all_ports", Type.BOOL, "every port of every protocol", lambda item: item.ports == ALL_PORTS)


def _reach() -> Iterator[Declared]:
    yield from _end("source", lambda item: item.source)
    yield from _end("destination", lambda item: item.destination)
    yield from _ports()
    yield _strings("possible", "further ports that the input leaves open", lambda item: str(item.possible))
    yield _column("partial", Type.BOOL, "only some pods of an end have all of this", lambda item: item.partial)
    yield _column("policies", Type.STRINGS, "policies whose rules allow it", _policies)


def _exposed() -> Iterator[Declared]:
    yield from _of_ref("workload", "the workload", lambda item: item.workload, "absent for what is in none")
    yield _strings("origin", "internet, namespaces or new-pods", lambda item: item.origin)
    yield _strings("from", "who can open it, in words", lambda item: item.source)
    yield _strings("verdict", "yes, possible or no", lambda item: item.verdict)
    yield _strings("reason", "why, in words", lambda item: item.reason)
    yield _strings("route", 'what opens the way: LoadBalancer, Ingress, hostPort, …, or ""', lambda item: item.route)
    yield _strings("internal", 'why only a private network can use it, or ""', lambda item: item.internal)
    yield from _ports()
    yield _column("namespaces", Type.STRINGS, "with origin namespaces: which can open it", lambda item: item.namespaces)
    yield _column("policies", Type.STRINGS, "policies whose rules decide", _policies)


def _policy_lint() -> Iterator[Declared]:
    yield from _of_ref("object", "the policy, workload or namespace", lambda item: item.ref, "absent for namespaces")
    yield _strings("id", "NP-L01 and so on", lambda item: item.id)
    yield _strings("title", "what the check looks for", lambda item: item.title)
    yield _strings("severity", "info, low, medium, high or critical", lambda item: item.severity)
    yield _strings("text", "the finding in words", lambda item: item.message)
    yield _strings("direction", 'ingress, egress or ""', lambda item: item.direction)
    yield _strings("place", "the rule and peer: `ingress[0].from[1]`", lambda item: item.place)


#: Kinds whose refs have no namespace.
_WIDE = frozenset({"User", "Group", "Node", "Namespace", "CloudIdentity"})


def start_ref(text: str) -> Ref:
    """The start of an attack path as a ref; of a word such as `internet` it is kind and name."""
    kind, slash, rest = text.partition("/")
    if not slash:
        return Ref(kind, "")
    if kind in _WIDE:
        return Ref(kind, rest)
    namespace, _, name = rest.partition("/")
    return Ref(kind, name, namespace)


def _paths() -> Iterator[Declared]:
    yield from _parts("source", "the start", lambda item: start_ref(item.source), "absent for users, groups and nodes")
    yield _strings("source.ref", "canonical, or a word: internet, anonymous", lambda item: item.source)
    yield _strings("target", "cluster-admin, node, secrets:all, or an object", lambda item: item.target)
    yield _strings("verdict", "proved or conditional", lambda item: item.verdict)
    yield _column("hops", Type.INT, "its steps without mere structure", lambda item: item.hops)
    yield _column("assumptions", Type.STRINGS, "what it rests on: PSA, WEBHOOK, …", lambda item: item.assumptions)
    yield _column("rules", Type.STRINGS, "ids of its rules, in order", lambda item: item.rules)
    yield _column("bindings", Type.STRINGS, "bindings that its steps rest on", _path_bindings)


def _path_bindings(item: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(ground.binding) for ground in item.because if ground.binding is not None))


def _rbac_lint() -> Iterator[Declared]:
    yield from _of_ref(
        "object", "the role, binding, subject or workload", lambda item: item.ref, "absent in the cluster"
    )
    yield _strings("check", "name of the check", lambda item: item.check)
    yield _strings("severity", "info, low, medium, high or critical", lambda item: item.severity)
    yield _strings("text", "what is wrong, in words", lambda item: item.message)


def _objects() -> Iterator[Declared]:
    yield from _of_ref("object", "the object", lambda item: item.ref, "absent for namespaces, nodes and volumes")
    yield _strings("condition", "id of the condition that it has", lambda item: item.condition)
    yield _strings("field", "where in the object", lambda item: item.field)
    yield _strings("value", 'what stands there, "" for nothing', lambda item: item.value)


_GRANTED = {"subject": "subject.ref", "binding": "grant.binding", "role": "grant.role"}
_FLOWING = {"source": "source.ref", "destination": "destination.ref"}
_DECLARED: Mapping[str, tuple[Callable[[], Iterator[Declared]], Mapping[str, str]]] = {
    "who_can": (_who_can, _GRANTED),
    "what_can": (_what_can, _GRANTED),
    "can_i": (_can_i, _GRANTED),
    "reach": (_reach, _FLOWING),
    "exposed": (_exposed, {"workload": "workload.ref"}),
    "policy_lint": (_policy_lint, {"object": "object.ref"}),
    "paths": (_paths, {"source": "source.ref"}),
    "rbac_lint": (_rbac_lint, {"object": "object.ref"}),
    "objects": (_objects, {"object": "object.ref"}),
}
ASKS = tuple(_DECLARED)


def columns_of(ask: str) -> Columns:
    declared, shorthand = _DECLARED[ask]
    found = list(declared())
    schema = Schema.of(ask, [column for column, _ in found], shorthand)
    return Columns(schema, {column.name: read for column, read in found})


__all__ = ["ASKS", "Columns", "columns_of", "start_ref"]
