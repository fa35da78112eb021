"""Saved queries: YAML files that hold one question each, why it matters, and expectations that prove it.

This is tier 1 of interface.md §7, ``ask:`` with parameters. What a file may hold is what the Structs below declare.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, get_args

import msgspec

from graphsec.algebra.ports import ALL_PORTS, PortSet
from graphsec.compile import World, compile_world
from graphsec.errors import InputError, UsageError
from graphsec.loading import Limits, LoadOptions, all_default_objects, default_objects, load_cluster
from graphsec.loading.documents import Event, Item, Lines, Problem
from graphsec.loading.text import decode_text
from graphsec.loading.yaml_reader import read_yaml
from graphsec.model.discovery import DEFAULT_MINOR, Discovery
from graphsec.model.rbac import ALL, MASTERS_GROUP, Target, username
from graphsec.model.ref import Ref, Source, ref_order
from graphsec.query import can_i, who_can
from graphsec.query._answer import Answer
from graphsec.query._flow_needs import flow_answer
from graphsec.query._grants import is_builtin
from graphsec.query._needs import require
from graphsec.query._severities import SEVERITIES, Severity
from graphsec.query._subjects import parse_subject
from graphsec.query._words import VERB_GROUPS, target_words
from graphsec.query.can_i import CanI, Decision
from graphsec.query.what_can import Grant, WhatCan
from graphsec.query.who_can import Access, WhoCan

if TYPE_CHECKING:
    from graphsec.query.exposed import Exposure
    from graphsec.query.paths import AttackPath
    from graphsec.query.policy_lint import PolicyFinding
    from graphsec.query.rbac_lint import RbacFinding
    from graphsec.query.reach import Flow, Reach

Confidence = Literal["low", "medium", "high"]
_CHOICES = {
    "severity": SEVERITIES,
    "confidence": get_args(Confidence),
    "ask": ("who_can", "what_can", "can_i", "reach", "exposed", "policy_lint", "rbac_lint", "paths"),
    "scope": ("any", "cluster"),
    "fold": ("workload", "namespace"),
    "find": ("source", "destination"),
    "verdicts": ("proved", "conditional"),
    "falls": ("namespace",),
    "apiVersion": ("graphsec/v1",),
}
#: Keys of tiers 2 and 3, which are refused by name rather than as misspellings.
_LATER = {
    "where": "a condition in CEL (tier 2)",
    "params": "parameters of a condition (tier 2)",
    "match": "a path pattern (tier 3)",
}
_ID = r"^[A-Z][A-Z0-9]*(-[A-Z0-9]+)+$"
#: CIS benchmark, MITRE ATT&CK, and the ids of kubescape, trivy and kubesplaining.
_TAG = re.compile(r"(CIS-\d+(\.\d+)+|T\d{4}(\.\d{3})?|C-\d{4}|KSV-\d{4,5}|KP-\d{3}|[a-z][a-z0-9]*(-[a-z0-9]+)*)$")
_TITLE_LENGTH = 100


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Part of a query file: a key that is not declared here is a misspelling."""


class TargetKeys(_Strict, frozen=True, kw_only=True):
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


class WhatCanParameters(_Strict, frozen=True, kw_only=True, tag_field="ask", tag="what_can"):
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


class ReachParameters(_Strict, frozen=True, kw_only=True, tag_field="ask", tag="reach"):
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


class ExposedParameters(_Strict, frozen=True, kw_only=True, tag_field="ask", tag="exposed"):
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

        return [Exposed().answer(world)]

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


class PolicyLintParameters(_Strict, frozen=True, kw_only=True, tag_field="ask", tag="policy_lint"):
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

        return [PolicyLint().answer(world)]

    def kept(self, _: World, items: Iterable[PolicyFinding]) -> list[PolicyFinding]:
        least = SEVERITIES.index(self.at_least)
        return [item for item in items if item.id in self.findings and SEVERITIES.index(item.severity) >= least]

    def finding(self, item: PolicyFinding) -> str:
        return str(item.ref)


class RbacLintParameters(_Strict, frozen=True, kw_only=True, tag_field="ask", tag="rbac_lint"):
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


class PathsParameters(_Strict, frozen=True, kw_only=True, tag_field="ask", tag="paths"):
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

    def all_targets(self) -> tuple[str, ...]:
        return ((self.target,) if isinstance(self.target, str) else self.target) or ("cluster-admin",)

    def targets(self) -> tuple[TargetKeys, ...]:
        return ()

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        from graphsec.query.paths import Paths

        return Paths(source=self.source).columns(wide=wide)

    def answers(self, world: World) -> list[Answer[Any]]:
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
        return [_saved_paths.to_target(world, question, self.names, self.verdicts) for question in questions]

    def kept(self, _: World, items: Iterable[AttackPath]) -> list[AttackPath]:
        from graphsec.query._saved_paths import namesake

        return [
            item
            for item in items
            if item.verdict in self.verdicts and (not self.names or namesake(item.source) in self.names)
        ]

    def finding(self, item: AttackPath) -> str:
        return item.source


Parameters = (
    WhoCanParameters
    | WhatCanParameters
    | CanIParameters
    | ReachParameters
    | ExposedParameters
    | PolicyLintParameters
    | RbacLintParameters
    | PathsParameters
)


class Expectation(_Strict, frozen=True, kw_only=True):
    """On this world the query finds exactly these, written as canonical refs: subjects, workloads, namespaces, policies; of
    paths their sources."""

    world: str
    find: tuple[str, ...]


class SavedQuery(_Strict, frozen=True, kw_only=True):
    """One query file."""

    api_version: Literal["graphsec/v1"] = msgspec.field(name="apiVersion")
    #: Stable and unique; exceptions and reports refer to it.
    id: Annotated[str, msgspec.Meta(pattern=_ID)]
    title: str
    severity: Severity
    description: str
    remediation: str
    confidence: Confidence = "high"
    references: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    expect: tuple[Expectation, ...] = ()
    #: The keys that belong to ``ask``.
    parameters: Parameters
    source: Source
    #: The file as it is written, for `query show` and `query copy`.
    text: str

    @property
    def ask(self) -> str:
        return str(self.parameters.__struct_config__.tag)


_OWN_KEYS = {field.encode_name for field in msgspec.structs.fields(SavedQuery)} - {"parameters", "source", "text"}


# -- asking ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedQuestion:
    """A saved query as the question of its answer: only `query run` leaves out what the query leaves out."""

    ask: ClassVar[str] = "query"
    query: SavedQuery

    def command(self) -> str:
        return f"query run {self.query.id}"

    def to_dict(self) -> dict[str, Any]:
        query = self.query
        return {
            "id": query.id,
            "title": query.title,
            "severity": query.severity,
            "confidence": query.confidence,
            "parameters": msgspec.to_builtins(query.parameters),
        }

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        return self.query.parameters.columns(wide=wide)


def run(query: SavedQuery, world: World) -> Answer[Any]:
    """The answer, with those items of the question that the query keeps. Raises what the question raises."""
    answers = query.parameters.answers(world)
    found = [item for answer in answers for item in answer]
    items: Sequence[Any] = query.parameters.kept(world, found)
    return Answer(
        question=SavedQuestion(query=query),
        items=tuple(items),
        complete=all(answer.complete for answer in answers),
        coverage=world.coverage,
        diagnostics=world.diagnostics,
        notes=_union(answer.notes for answer in answers),
        warnings=_union(answer.warnings for answer in answers),
    )


def _union(sequences: Iterable[Sequence[Any]]) -> tuple[Any, ...]:
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
        verbs=_union((first.verbs, second.verbs)),
        names=tuple(sorted({*first.names, *second.names})),
        because=_union((first.because, second.because)),
        target=", ".join(_union((first.target.split(", "), second.target.split(", ")))),
    )


# -- reading -----------------------------------------------------------------------------------------------------


def builtin_directory() -> Traversable:
    """The queries that come with the package: inside an installed one, beside the package in a checkout."""
    installed = files("graphsec").joinpath("data", "queries")
    return installed if installed.is_dir() else Path(__file__).parents[2] / "queries"


def load_queries(directories: Sequence[Traversable]) -> list[SavedQuery]:
    """The queries of all files, directory by directory in order of their ids.

    Raises one UsageError that names file and line of everything wrong: a set of queries loads whole or not at all.
    """
    complaints: list[str] = []
    queries: list[SavedQuery] = []
    places: dict[str, Source] = {}
    for directory in directories:
        loaded = []
        for name, file in _query_files(directory):
            try:
                loaded.append(_read(name, file.read_bytes()))
            except UsageError as error:
                complaints.append(error.message)
        for query in sorted(loaded, key=lambda query: query.id):
            first = places.setdefault(query.id, query.source)
            if first is not query.source:
                complaints.append(f"{query.source}: `id`: `{query.id}` is the id of {first} already")
        queries += sorted(loaded, key=lambda query: query.id)
    if complaints:
        raise UsageError("\n  ".join(complaints), help="`graphsec query show GS-Q-001` prints a query that works")
    return queries


def _query_files(directory: Traversable) -> Iterator[tuple[str, Traversable]]:
    """(name to show, file), in path order."""
    if not directory.is_dir():
        raise UsageError(f"no folder of queries: `{directory}`")
    # Where the package is installed is nobody's business in a report.
    yield from _walk("queries" if directory == builtin_directory() else str(directory), directory)


def _walk(name: str, directory: Traversable) -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(directory.iterdir(), key=lambda entry: entry.name):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(f"{name}/{entry.name}", entry)
        elif entry.name.endswith((".yaml", ".yml")):
            yield f"{name}/{entry.name}", entry


class _Document(NamedTuple):
    """The one mapping of a file, and where its keys stand."""

    file: str
    text: str
    body: dict[str, Any]
    line: int

    def complaint(self, message: str, key: str = "", index: int = -1) -> UsageError:
        place = Source(self.file, self._line_of(key, index))
        named = f"`{key}`"
        return UsageError(f"{place}: {message}" if not key or named in message else f"{place}: {named}: {message}")

    def _line_of(self, key: str, index: int) -> int:
        entries = self.body.get(key)
        if isinstance(entries, Lines) and 0 <= index < len(entries.lines):
            return entries.lines[index]
        # The reader keeps the lines of list items; a top-level key of a block mapping is found by its spelling.
        for number, line in enumerate(self.text.splitlines(), start=1):
            if key and number >= self.line and re.match(rf"[\"']?{re.escape(key)}[\"']?\s*:", line):
                return number
        return self.line


def _read(name: str, data: bytes) -> SavedQuery:
    document = _parse(name, data)
    body = document.body
    for key, meaning in _LATER.items():
        if key in body or body.get("ask") == key:
            where = key if key in body else "ask"
            raise document.complaint(f"{meaning} is not supported yet: `ask` takes {', '.join(_CHOICES['ask'])}", where)
    own = {key: value for key, value in body.items() if key in _OWN_KEYS}
    asked = {key: value for key, value in body.items() if key not in _OWN_KEYS}
    source = {"file": name, "line": document.line}
    try:
        return msgspec.convert({**own, "parameters": asked, "source": source, "text": document.text}, SavedQuery)
    except msgspec.ValidationError as error:
        raise _explained(document, str(error)) from None


def _parse(name: str, data: bytes) -> _Document:
    text, problems = decode_text(data)
    events: Iterable[Event] = (*problems, *read_yaml(text or "", Limits()))
    documents: list[Item] = []
    for event in events:
        if isinstance(event, Problem):
            raise UsageError(f"{Source(name, event.line)}: {event.message}")
        if isinstance(event, Item):
            documents.append(event)
    if len(documents) != 1:
        line = documents[1].line if documents else 1
        raise UsageError(f"{Source(name, line)}: a file holds one query, not {len(documents)}")
    return _Document(name, text or "", documents[0].body, documents[0].line)


_UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`")
_MISSING = re.compile(r"Object missing required field `(.*?)`")
_PATH = re.compile(r" - at `\$\.?(?:parameters\b\.?)?(\w*)(?:\[(\d+|\.\.\.)\])?.*`$")


def _explained(document: _Document, error: str) -> UsageError:
    """msgspec's complaint in the words of the file."""
    path = _PATH.search(error)
    key, index = (path[1], path[2]) if path else ("", None)
    message = _PATH.sub("", error)
    if unknown := _UNKNOWN.search(error):
        message, key = f"unknown key `{unknown[1]}`", key or unknown[1]
    elif missing := _MISSING.search(error):
        message = f"required key `{missing[1]}` is missing"
    elif key == "id":
        message = "ids look like `ORG-SEC-001`"
    elif message.startswith("Invalid") and key in _CHOICES:
        message = f"{message.split()[-1]} is none of {', '.join(_CHOICES[key])}"
    else:
        message = message[:1].lower() + message[1:]
    return document.complaint(message, key, int(index) if index and index.isdigit() else -1)


# -- checking ----------------------------------------------------------------------------------------------------


def lint(query: SavedQuery) -> list[str]:
    """What a reviewer of the file would ask to change, each with its place; [] if nothing."""
    discovery = Discovery(DEFAULT_MINOR)
    return [f"{query.source}: {remark}" for remark in (*_text_remarks(query), *_target_remarks(query, discovery))]


def _text_remarks(query: SavedQuery) -> Iterator[str]:
    title = query.title
    if not title[:1].isupper() or title.endswith(".") or len(title) > _TITLE_LENGTH:
        yield f"title: begins with a capital, ends without a period, at most {_TITLE_LENGTH} characters"
    for key in ("description", "remediation"):
        if not getattr(query, key).strip().endswith("."):
            yield f"{key}: whole sentences"
    if not query.references:
        yield "references: name a page that explains the risk"
    yield from (f"references: no https address: `{page}`" for page in query.references if page[:8] != "https://")
    for tag in query.tags:
        if not _TAG.match(tag):
            yield f"tags: `{tag}` is neither like CIS-5.1.2, nor like T1552.007, nor a lower-case word"
    finds = [bool(expectation.find) for expectation in query.expect]
    if True not in finds or False not in finds:
        yield "expect: a world where something is found and one where nothing is"


def _target_remarks(query: SavedQuery, discovery: Discovery) -> Iterator[str]:
    for target in query.parameters.targets():
        yield from (
            f"verbs: `{verb}` matches no request, verbs are lower case"
            for verb in target.all_verbs()
            if verb != verb.lower()
        )
        if not target.resource or "*" in target.resource:
            continue
        name, group = resolve_resource(target.resource, discovery)
        known = discovery.get(group, name)
        if known is None and "." in group and group not in {resource.group for resource in discovery}:
            # Of a CustomResourceDefinition, which alone has a group of its own with a dot.
            continue
        if known is None:
            yield f"resource: `{target.resource}` is not one of Kubernetes 1.{discovery.minor}, it is taken literally"
        elif target.subresource and target.subresource not in known.subresources:
            yield f"subresource: {known.full_name} has no `{target.subresource}`"


def test(query: SavedQuery, base: Path) -> list[str]:
    """Where the query finds something else than it expects, [] if nowhere.

    A world is a folder or a YAML file, below ``base``, the folder of the query, or in `fixtures` beside that.
    """
    return [failure for expectation in query.expect if (failure := _failure(query, expectation, base))]


def _failure(query: SavedQuery, expectation: Expectation, base: Path) -> str:
    path = _world_path(expectation.world, base)
    if path is None:
        return f"{query.source}: {expectation.world}: no such folder or YAML file"
    cluster = load_cluster([str(path)], LoadOptions())
    world = compile_world(cluster, baseline=all_default_objects, defaults=partial(default_objects, DEFAULT_MINOR))
    try:
        found = {query.parameters.finding(item) for item in run(query, world)}
    except InputError as error:
        return f"{query.source}: {expectation.world}: {error.message}"
    expected = set(expectation.find)
    parts = [
        f"{word} {', '.join(sorted(refs))}"
        for word, refs in (("does not find", expected - found), ("also finds", found - expected))
        if refs
    ]
    return f"{query.source}: {expectation.world}: {'; '.join(parts)}" if parts else ""


def _world_path(world: str, base: Path) -> Path | None:
    for folder in (base, base.parent / "fixtures"):
        for path in (folder / world, folder / f"{world}.yaml"):
            if path.exists():
                return path
    return None
