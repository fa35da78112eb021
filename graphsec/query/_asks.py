"""What saved queries ask: the keys of each ``ask``, and how it is answered and narrowed to what counts as a finding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec

from graphsec.algebra.ports import ALL_PORTS, PortSet
from graphsec.compile import World
from graphsec.errors import UsageError
from graphsec.model.discovery import Discovery
from graphsec.model.rbac import ALL, MASTERS_GROUP, Target, username
from graphsec.model.ref import Ref, ref_order
from graphsec.query import can_i, who_can
from graphsec.query._answer import Answer
from graphsec.query._flow_needs import flow_answer
from graphsec.query._grants import is_builtin
from graphsec.query._needs import require
from graphsec.query._severities import SEVERITIES, Severity
from graphsec.query._shared import shared
from graphsec.query._subjects import parse_subject
from graphsec.query._words import VERB_GROUPS, target_words
from graphsec.query.can_i import CanI, Decision
from graphsec.query.lang import ArrowPattern, Column, Condition, Given, MisreadError, Schema, Type, compile_pattern
from graphsec.query.lang.pattern import PATH
from graphsec.query.lang.schema import suggestion
from graphsec.query.what_can import Grant, WhatCan
from graphsec.query.who_can import Access, WhoCan

if TYPE_CHECKING:
    from graphsec.query._match import Match, MatchQuestion
    from graphsec.query.exposed import Exposure
    from graphsec.query.objects import ObjectFinding
    from graphsec.query.paths import AttackPath
    from graphsec.query.policy_lint import PolicyFinding
    from graphsec.query.rbac_lint import RbacFinding
    from graphsec.query.reach import Flow, Reach
#: Ways that are kept of one finding of a pattern, at most.
_MOST_WAYS = 10_000


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Part of a query file: a key that is not declared here is a misspelling."""


class TargetKeys(Strict, frozen=True, kw_only=True):
    """Verbs on a resource as kubectl spells it, or on a URL. A verb group stands for its verbs: `[read, patch]`."""

    verbs: tuple[str, ...] | str = ()
    resource: str = ""
    subresource: str = ""
    name: str = ""
    url: str = ""

    def __post_init__(self) -> None:
        if not self.verbs:
            raise ValueError("`verbs` is missing or empty")
        if bool(self.resource) is bool(self.url):
            raise ValueError("one of `resource` and `url` is needed")
        if self.url and (self.subresource or self.name):
            raise ValueError("`url` goes with `verbs` alone")

    def all_verbs(self) -> tuple[str, ...]:
        words = (self.verbs,) if isinstance(self.verbs, str) else self.verbs
        return tuple(dict.fromkeys(verb for word in words for verb in VERB_GROUPS.get(word, (word,))))

    def target(self, discovery: Discovery, namespace: str) -> Target:
        """In the authorizer's words."""
        resource, group = resolve_resource(self.resource, discovery)
        return Target(
            resource=resource,
            group=group,
            subresource=self.subresource,
            name=self.name,
            namespace=namespace,
            url=self.url,
        )


def resolve_resource(word: str, discovery: Discovery) -> tuple[str, str]:
    """(resource, group) of kubectl's spelling; a word that is not in the table is literal: ``RESOURCE.GROUP``.

    ``*`` is every resource of every group, as on the command line.
    """
    if word == ALL:
        return ALL, ALL
    found = discovery.find(word)
    if found:
        return found[0].name, found[0].group
    resource, _, group = word.partition(".")
    return resource, group


class WhoCanParameters(TargetKeys, frozen=True, kw_only=True, tag_field="ask", tag="who_can"):
    """Everyone who may do this, or any of ``any_of``: in any namespace unless ``scope`` or ``namespace`` says less."""

    any_of: tuple[TargetKeys, ...] = ()
    #: Only who may do all of these in one scope, by its own grants.
    all_of: tuple[TargetKeys, ...] = ()
    scope: Literal["any", "cluster"] = "any"
    namespace: str = ""
    any_name: bool = True
    #: Keep the holders that every cluster has, and system:masters.
    builtin: bool = False
    effective_only: bool = True

    def __post_init__(self) -> None:
        if self.namespace and self.scope == "cluster":
            raise ValueError("`namespace` and `scope: cluster` exclude each other")
        key = "any_of" if self.any_of else "all_of"
        if self.any_of and self.all_of:
            raise ValueError("`any_of` and `all_of` exclude each other")
        if not self.any_of and not self.all_of:
            super().__post_init__()
        elif self.verbs or self.resource or self.url or self.subresource or self.name:
            raise ValueError(f"`{key}` holds verbs, resource and url itself; none may stand beside it")

    def targets(self) -> tuple[TargetKeys, ...]:
        return self.any_of or self.all_of or (self,)

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        return who_can.WIDE_COLUMNS if wide else who_can.COLUMNS

    def answers(self, world: World) -> list[Answer[Any]]:
        return [
            WhoCan(
                verbs=target.all_verbs(),
                target=target.target(world.discovery, self.namespace),
                any_namespace=self.scope == "any" and not self.namespace,
                any_name=self.any_name and not target.name,
            ).answer(world)
            for target in self.targets()
        ]

    def kept(self, world: World, items: Iterable[Access]) -> list[Access]:
        """The items of all requests without those left out: one per subject and scope, as who-can lists them."""
        wanted = [item for item in items if self.builtin or not is_builtin(world, item.because)]
        if self.effective_only:
            wanted = [item for item in wanted if item.effective and not item.unmet]
        if self.all_of:
            asked = [(target.target(world.discovery, ""), frozenset(target.all_verbs())) for target in self.all_of]
            wanted = _in_one_hand(wanted, [(target_words(target), verbs) for target, verbs in asked])
        merged: dict[tuple[Any, ...], Access] = {}
        for item in wanted:
            key = _place(item)
            merged[key] = _merged(merged[key], item) if key in merged else item
        return [merged[key] for key in sorted(merged)]

    def finding(self, item: Access) -> str:
        return str(item.subject)


class WhatCanParameters(Strict, frozen=True, kw_only=True, tag_field="ask", tag="what_can"):
    """Everything that these subjects may do, also through their groups."""

    subjects: tuple[str, ...]
    builtin: bool = False

    def __post_init__(self) -> None:
        if not self.subjects:
            raise ValueError("`subjects` is empty")

    def targets(self) -> tuple[TargetKeys, ...]:
        return ()

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        return WhatCan(subject=MASTERS_GROUP).columns(wide=wide)

    def answers(self, world: World) -> list[Answer[Any]]:
        return [WhatCan(subject=parse_subject(subject, world)).answer(world) for subject in self.subjects]

    def kept(self, world: World, items: Iterable[Grant]) -> list[Grant]:
        return [item for item in items if self.builtin or not is_builtin(world, item.because)]

    def finding(self, item: Grant) -> str:
        return str(item.subject)


class CanIParameters(TargetKeys, frozen=True, kw_only=True, tag_field="ask", tag="can_i"):
    """Whether this subject may do this, asked in ``namespace`` or at cluster scope: an item per verb that it may."""

    subject: str
    namespace: str = ""
    effective_only: bool = True

    def targets(self) -> tuple[TargetKeys, ...]:
        return (self,)

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        return can_i.COLUMNS

    def answers(self, world: World) -> list[Answer[Any]]:
        subject = parse_subject(self.subject, world)
        is_group = subject.kind == "Group"
        return [
            CanI(
                verbs=(verb,),
                target=self.target(world.discovery, self.namespace),
                user="" if is_group else username(subject),
                groups=(subject.name,) if is_group else None,
            ).answer(world)
            for verb in self.all_verbs()
        ]

    def kept(self, _: World, items: Iterable[Decision]) -> list[Decision]:
        return [item for item in items if item and (item.word == "yes" or not self.effective_only)]

    def finding(self, item: Decision) -> str:
        return str(item.subject)


class ReachParameters(Strict, frozen=True, kw_only=True, tag_field="ask", tag="reach"):
    """Flows between ends as `graphsec reach` takes them, "" for any, on the ports asked for."""

    source: str = msgspec.field(name="from", default="")
    destination: str = msgspec.field(name="to", default="")
    #: Only to workloads that serve one of these TCP ports, and on them.
    to_ports: tuple[int, ...] = ()
    #: Only to workloads that mount a PersistentVolumeClaim.
    to_claims: bool = False
    port: int = 0
    protocol: str = ""
    #: Ports that do not count, as answers print them: `TCP 53,UDP 53`.
    except_ports: str = ""
    fold: Literal["workload", "namespace"] = "workload"
    #: Only from one namespace to another, and not from these.
    between_namespaces: bool = False
    except_from: tuple[str, ...] = ()
    #: Only from pods that policies apply to, to such pods or to addresses: not nodes and host-network pods (N-14).
    pod_network: bool = False
    #: Flows that the input leaves open count too.
    possible: bool = False
    find: Literal["source", "destination"] = "source"

    def __post_init__(self) -> None:
        PortSet.parse(self.except_ports)
        PortSet.of("TCP", *self.to_ports)
        if self.destination and (self.to_ports or self.to_claims):
            raise ValueError("`to` excludes `to_ports` and `to_claims`")
        try:
            self._question()
        except UsageError as error:
            raise ValueError(error.message) from None

    def _question(self) -> Reach:
        from graphsec.query.reach import Reach

        return Reach(
            source=self.source, destination=self.destination, port=self.port, protocol=self.protocol, fold=self.fold
        )

    def targets(self) -> tuple[TargetKeys, ...]:
        return ()

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        return self._question().columns(wide=wide)

    def answers(self, world: World) -> list[Answer[Any]]:
        from graphsec.query import _saved_flows

        question = self._question()
        if self.to_ports or self.to_claims:
            require(world, "reach")
            chosen = _saved_flows.destinations(world, self.to_ports, claims=self.to_claims)
            return _saved_flows.to_each(world, question, chosen) or [_nothing(world, question)]
        try:
            return [question.answer(world)]
        except UsageError as error:
            # An end that is not in this input.
            nothing = _nothing(world, question)
            return [replace(nothing, complete=False, warnings=(*nothing.warnings, error.message))]

    def kept(self, world: World, items: Iterable[Flow]) -> list[Flow]:
        from graphsec.query import _saved_flows

        served = _saved_flows.destinations(world, self.to_ports, claims=self.to_claims) if self.to_ports else {}
        excepted = PortSet.parse(self.except_ports)
        pods = _saved_flows.on_pod_network(world) if self.pod_network else None
        found = (
            _saved_flows.narrowed(item, _served(served, item) - excepted)
            for item in items
            if pods is None
            or (item.source.ref in pods and (item.destination.ref is None or item.destination.ref in pods))
        )
        return [flow for flow in found if flow and (flow.ports or self.possible) and self._counts(flow)]

    def _counts(self, flow: Flow) -> bool:
        """What the replicas of one workload do among themselves is no finding about who else does."""
        if flow.source.ref == flow.destination.ref and self.fold == "workload":
            return False
        from graphsec.query import _saved_flows

        start, end = (_saved_flows.namespace_of(side.ref) for side in (flow.source, flow.destination))
        return start not in self.except_from and (not self.between_namespaces or start != end)

    def finding(self, item: Flow) -> str:
        end = item.source if self.find == "source" else item.destination
        return str(end.ref or end)


def _served(served: Mapping[Ref, PortSet], flow: Flow) -> PortSet:
    return served.get(flow.destination.ref, ALL_PORTS) if flow.destination.ref else ALL_PORTS


def _nothing(world: World, question: Reach) -> Answer[Any]:
    return flow_answer(world, question, "reach", tuple)


class ExposedParameters(Strict, frozen=True, kw_only=True, tag_field="ask", tag="exposed"):
    """Workloads that can be opened from these origins, as `graphsec exposed` lists them."""

    origins: tuple[Literal["internet", "namespaces", "new-pods"], ...]
    #: What is only possible (X-02) counts too; YAML reads the words of verdicts as booleans.
    possible: bool = True
    #: Kinds of route that do not count, e.g. hostNetwork.
    except_routes: tuple[str, ...] = ()
    #: Namespaces whose workloads do not count.
    except_namespaces: tuple[str, ...] = ()
    #: Routes that only a private network can use count too.
    internal: bool = False

    def __post_init__(self) -> None:
        if not self.origins:
            raise ValueError("`origins` is empty")

    def targets(self) -> tuple[TargetKeys, ...]:
        return ()

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        from graphsec.query.exposed import Exposed

        return Exposed().columns(wide=wide)

    def answers(self, world: World) -> list[Answer[Any]]:
        from graphsec.query.exposed import Exposed

        return [shared(Exposed(), world)]

    def kept(self, _: World, items: Iterable[Exposure]) -> list[Exposure]:
        from graphsec.query._admitted import POSSIBLE, YES

        return [
            item
            for item in items
            if item.origin in self.origins
            and (item.verdict == YES or (self.possible and item.verdict == POSSIBLE))
            and item.route not in self.except_routes
            and item.workload.namespace not in self.except_namespaces
            and (self.internal or not item.internal)
        ]

    def finding(self, item: Exposure) -> str:
        return str(item.workload)


class PolicyLintParameters(Strict, frozen=True, kw_only=True, tag_field="ask", tag="policy_lint"):
    """Findings of `graphsec policy lint` by their ids, of this severity or worse."""

    findings: tuple[str, ...]
    at_least: Severity = "info"

    def __post_init__(self) -> None:
        from graphsec.query.policy_lint import CHECKS

        unknown = sorted(set(self.findings) - {check.id for check in CHECKS})
        if unknown or not self.findings:
            raise ValueError(f"`{unknown[0]}` is no finding of lint" if unknown else "`findings` is empty")

    def targets(self) -> tuple[TargetKeys, ...]:
        return ()

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        from graphsec.query.policy_lint import PolicyLint

        return PolicyLint().columns(wide=wide)

    def answers(self, world: World) -> list[Answer[Any]]:
        from graphsec.query.policy_lint import PolicyLint

        return [shared(PolicyLint(), world)]

    def kept(self, _: World, items: Iterable[PolicyFinding]) -> list[PolicyFinding]:
        least = SEVERITIES.index(self.at_least)
        return [item for item in items if item.id in self.findings and SEVERITIES.index(item.severity) >= least]

    def finding(self, item: PolicyFinding) -> str:
        return str(item.ref)


class RbacLintParameters(Strict, frozen=True, kw_only=True, tag_field="ask", tag="rbac_lint"):
    """Findings of `graphsec rbac lint` by the names of its checks."""

    checks: tuple[str, ...]

    def __post_init__(self) -> None:
        from graphsec.query.rbac_lint import CHECKS

        unknown = sorted(set(self.checks) - {check.id for check in CHECKS})
        if unknown or not self.checks:
            raise ValueError(f"`{unknown[0]}` is no check of lint" if unknown else "`checks` is empty")

    def targets(self) -> tuple[TargetKeys, ...]:
        return ()

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        from graphsec.query.rbac_lint import RbacLint

        return RbacLint().columns(wide=wide)

    def answers(self, world: World) -> list[Answer[Any]]:
        from graphsec.query.rbac_lint import RbacLint

        return [RbacLint(checks=self.checks).answer(world)]

    def kept(self, _: World, items: Iterable[RbacFinding]) -> list[RbacFinding]:
        return list(items)

    def finding(self, item: RbacFinding) -> str:
        return str(item.ref)


class PathsParameters(Strict, frozen=True, kw_only=True, tag_field="ask", tag="paths"):
    """Attack paths as `graphsec paths` finds them, the shortest of each source; source "exposed" is what the internet opens."""

    source: str = "all"
    #: One or several; cluster-admin unless ``crossing`` or ``falls`` names the target.
    target: tuple[str, ...] | str = ()
    verdicts: tuple[Literal["proved", "conditional"], ...] = ("proved", "conditional")
    #: Only from ServiceAccounts of these names.
    names: tuple[str, ...] = ()
    #: From the subjects that every cluster has, too.
    builtin: bool = False
    #: From ServiceAccounts to an identity, Secret or pod of a namespace that they have no grant in.
    crossing: bool = False
    #: To every ServiceAccount or every Secret of the source's own namespace.
    falls: Literal["namespace"] | None = None
    #: Routes by which "exposed" does not count, e.g. hostNetwork.
    except_routes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        from graphsec.query._saved_paths import check_targets

        if not self.verdicts:
            raise ValueError("`verdicts` is empty")
        if sum((bool(self.target), self.crossing, self.falls is not None)) > 1:
            raise ValueError("`target`, `crossing` and `falls` exclude each other")
        if self.crossing and self.source != "all":
            raise ValueError("`crossing` goes with `source: all`")
        if self.falls and self.source not in ("all", "pods"):
            raise ValueError("`falls` goes with `source: pods` or `all`")
        if self.except_routes and self.source != "exposed":
            raise ValueError("`except_routes` goes with `source: exposed`")
        check_targets(self.all_targets(), sinks=self.source == "exposed")

    @property
    def nearest(self) -> bool:
        """Whether a path leads to whatever of many is nearest, so that its target is no part of what it finds."""
        return self.crossing or self.falls is not None

    def all_targets(self) -> tuple[str, ...]:
        return ((self.target,) if isinstance(self.target, str) else self.target) or ("cluster-admin",)

    def targets(self) -> tuple[TargetKeys, ...]:
        return ()

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        from graphsec.query.paths import Paths

        return Paths(source=self.source).columns(wide=wide)

    def answers(self, world: World, *, counted: bool = False) -> list[Answer[Any]]:
        """With ``counted`` paths may be ``FoundPath``, which are made when they are looked at."""
        from graphsec.query import _saved_paths
        from graphsec.query.paths import Paths

        if self.crossing:
            return [_saved_paths.crossing(world, builtin=self.builtin)]
        if self.falls:
            return [_saved_paths.whole_namespaces(world, self.source, builtin=self.builtin)]
        if self.source == "exposed":
            return [_saved_paths.from_exposed(world, self.all_targets(), self.except_routes)]
        questions = [
            Paths(source=self.source, target=target, include_builtin=self.builtin) for target in self.all_targets()
        ]
        ask = _saved_paths.reached if counted else _saved_paths.to_target
        return [ask(world, question, self.names, self.verdicts) for question in questions]

    def kept(self, _: World, items: Iterable[AttackPath]) -> list[AttackPath]:
        from graphsec.query._saved_paths import namesake

        return [
            item
            for item in items
            if item.verdict in self.verdicts and (not self.names or namesake(item.source) in self.names)
        ]

    def finding(self, item: AttackPath) -> str:
        return item.source


class ObjectsParameters(Strict, frozen=True, kw_only=True, tag_field="ask", tag="objects"):
    """Workloads, namespaces, nodes, claims or volumes with one of these conditions."""

    conditions: tuple[str, ...]
    #: Namespaces that do not count, nor what is in them.
    except_namespaces: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        from graphsec.query.objects import CONDITIONS

        unknown = sorted(set(self.conditions) - CONDITIONS.keys())
        if unknown or not self.conditions:
            raise ValueError(f"`{unknown[0]}` is no condition" if unknown else "`conditions` is empty")

    def targets(self) -> tuple[TargetKeys, ...]:
        return ()

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        from graphsec.query.objects import Objects

        return Objects(conditions=self.conditions).columns(wide=wide)

    def answers(self, world: World) -> list[Answer[Any]]:
        from graphsec.query.objects import Objects

        return [Objects(conditions=self.conditions).answer(world)]

    def kept(self, _: World, items: Iterable[ObjectFinding]) -> list[ObjectFinding]:
        left_out = set(self.except_namespaces)
        return [
            item
            for item in items
            if (item.ref.name if item.ref.kind == "Namespace" else item.ref.namespace) not in left_out
        ]

    def finding(self, item: ObjectFinding) -> str:
        return str(item.ref)


class MatchParameters(Strict, frozen=True, kw_only=True, tag_field="ask", tag="match"):
    """Paths of the typed graph that a pattern fits (tier 3)."""

    match: str
    #: Variables that a row shows, and `path`; all that are named without it.
    returned: tuple[str, ...] = msgspec.field(name="return", default=())
    #: What makes one finding: a variable, or a column of one; the first of ``return`` without it.
    group_by: str = ""
    #: Ways that are kept of each finding.
    limit: int = 200
    verdicts: tuple[Literal["proved", "conditional"], ...] = ("proved", "conditional")

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= _MOST_WAYS:
            raise ValueError(f"`limit` is from 1 up to {_MOST_WAYS:,}")
        if not self.verdicts:
            raise ValueError("`verdicts` is empty")

    @property
    def pattern(self) -> ArrowPattern:
        """Raises MisreadError."""
        from graphsec.query._match_graph import ATTACK, KINDS, LABELS

        pattern = compile_pattern(self.match, LABELS, KINDS)
        for edge in pattern.edges:
            if ATTACK in edge.kinds and len(edge.kinds) > 1:
                raise MisreadError("`ATTACK` stands alone in its arrow", edge.offset)
            if ATTACK in edge.kinds and edge.least > 1:
                raise MisreadError("`ATTACK` counts from 1: whoever needs fewer steps needs no more", edge.offset)
        if not pattern.variables:
            raise MisreadError("no node has a variable: `(w:Pod)`", 0)
        return pattern

    def schema(self) -> Schema:
        """The columns of each variable. Raises MisreadError."""
        from graphsec.query._match_graph import attribute_columns

        names = self.pattern.variables
        return Schema.of("match", [column for name in names for column in attribute_columns(name)])

    def told(self) -> Schema:
        """What a message may name."""
        own = [Column(name, Type.STRING, "") for name in ("finding", "verdict", PATH)]
        columns = [*own, *self.schema().columns.values()]
        return Schema.of("match", columns, {name: f"{name}.ref" for name in self.pattern.variables})

    def checks(self) -> Iterator[tuple[tuple[str | int, ...], Callable[[], object]]]:
        """(path in the file, what raises MisreadError for what stands there)."""
        yield ("match",), lambda: self.pattern
        names = self.pattern.variables
        for place, name in enumerate(self.returned):
            yield ("return", place), partial(_check_variable, name, (*names, PATH))
        if self.group_by:
            yield ("group_by",), partial(self._check_group, self.group_by)

    def _check_group(self, name: str) -> None:
        if name not in self.pattern.variables:
            column = self.schema().columns.get(name)
            if column is None:
                raise MisreadError(self.schema().unknown(name), 0)
            if column.type is not Type.STRING:
                raise MisreadError(f"findings are grouped by a string, not by {column.type.a}", 0)

    def question(self, condition: Condition | None = None, given: Given | None = None) -> MatchQuestion:
        from graphsec.query._match import MatchQuestion

        pattern = self.pattern
        shown = tuple(name for name in dict.fromkeys(self.returned or pattern.variables) if name != PATH)
        group_by = self.group_by or (*shown, *pattern.variables)[0]
        return MatchQuestion(
            pattern=pattern,
            group_by=group_by,
            shown=tuple(name for name in shown if name != group_by),
            limit=self.limit,
            verdicts=self.verdicts,
            condition=condition,
            given=given or {},
        )

    def targets(self) -> tuple[TargetKeys, ...]:
        return ()

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        return self.question().columns(wide=wide)

    def answers(self, world: World) -> list[Answer[Any]]:
        return [self.question().answer(world)]

    def kept(self, _: World, items: Iterable[Match]) -> list[Match]:
        return list(items)

    def finding(self, item: Match) -> str:
        return item.key


def _check_variable(name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise MisreadError(f"`{name}` is no variable of the pattern{suggestion(name, known)}", 0)


Parameters = (
    WhoCanParameters
    | WhatCanParameters
    | CanIParameters
    | ReachParameters
    | ExposedParameters
    | PolicyLintParameters
    | RbacLintParameters
    | PathsParameters
    | ObjectsParameters
    | MatchParameters
)
ASKS: tuple[str, ...] = tuple(str(found.__struct_config__.tag) for found in get_args(Parameters))


def union(sequences: Iterable[Sequence[Any]]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(value for sequence in sequences for value in sequence))


def _place(item: Access) -> tuple[Any, ...]:
    """What tells findings apart, in canonical order; a namespace may be called "cluster" too."""
    binding = item.because[0].binding
    namespace = binding.namespace or "" if binding else ""
    return item.subject != MASTERS_GROUP, namespace, ref_order(item.subject), bool(item.names)


def _in_one_hand(items: Sequence[Access], wanted: Sequence[tuple[str, frozenset[str]]]) -> list[Access]:
    """The items of subjects that hold all that is wanted, targets each with any of its verbs, in one scope; what holds in the
    cluster holds in each namespace."""
    held: dict[tuple[Ref, str], set[int]] = {}
    for item in items:
        own = held.setdefault((item.subject, _place(item)[1]), set())
        own.update(at for at, (target, verbs) in enumerate(wanted) if item.target == target and verbs & {*item.verbs})
    everything = set(range(len(wanted)))
    whole = {subject for (subject, _), own in held.items() if own | held.get((subject, ""), set()) == everything}
    return [item for item in items if item.subject in whole]


def _merged(first: Access, second: Access) -> Access:
    """One finding for what a subject holds in one scope through several requests."""
    return msgspec.structs.replace(
        first,
        verbs=union((first.verbs, second.verbs)),
        names=tuple(sorted({*first.names, *second.names})),
        because=union((first.because, second.because)),
        target=", ".join(union((first.target.split(", "), second.target.split(", ")))),
    )
