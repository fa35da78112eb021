"""The public functions (interface.md §6): the only place that wires the layers together."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from graphsec.compile import World, compile_world
from graphsec.compile.profile import PROFILES
from graphsec.errors import InputError, UsageError
from graphsec.loading import (
    Input,
    Limits,
    LoadOptions,
    all_default_objects,
    default_objects,
    load_cluster,
    load_entries,
    load_memberships,
    read_audit_logs,
    with_defaults,
    write_snapshot,
)
from graphsec.model.diagnostic import CODES, Diagnostic
from graphsec.model.discovery import DEFAULT_MINOR, MINORS
from graphsec.model.entries import Entry
from graphsec.model.rbac import RULE_KEYS, Covered, PolicyRule, Target
from graphsec.model.rbac import covers as _covers
from graphsec.model.ref import Ref
from graphsec.model.text import counted
from graphsec.query._answer import Answer
from graphsec.query._subjects import parse_subject
from graphsec.query.can_i import CanI, Decision
from graphsec.query.what_can import Grant, WhatCan
from graphsec.query.who_can import Access, WhoCan

if TYPE_CHECKING:
    from graphsec.query._excess import Excess
    from graphsec.query._flow_list import Given
    from graphsec.query.blast import Fallen
    from graphsec.query.can_reach import FlowDecision
    from graphsec.query.check import Checked
    from graphsec.query.choke import ChokePoint
    from graphsec.query.data_access import DataHolder
    from graphsec.query.diff import DiffAnswer
    from graphsec.query.exposed import Exposure
    from graphsec.query.fix import Fix
    from graphsec.query.paths import AttackPath
    from graphsec.query.policy_lint import PolicyFinding
    from graphsec.query.rbac_lint import RbacFinding
    from graphsec.query.reach import Flow
    from graphsec.query.replay import Replay
    from graphsec.query.synthesize import Synthesis

# Questions about flows are imported when asked: they bring numpy, which questions about access do without.

_VERSION = re.compile(r"v?1\.(\d+)(\..*)?$")


def load(
    *inputs: str | os.PathLike[str] | Mapping[str, Any],
    namespace: str = "default",
    memberships: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    k8s_version: str | None = None,
    with_defaults: bool = False,
    cni: str = "upstream",
    strict: bool = False,
    exclude: Iterable[str] = (),
    limits: Limits | None = None,
    entries: str | os.PathLike[str] | Mapping[str, Any] | None = None,
) -> World:
    """Read and compile paths (file, folder, archive, snapshot, ``"-"`` for standard input) and mappings (an object or a List).

    ``k8s_version`` such as ``"1.36"`` is the minor whose behaviour is assumed; ``with_defaults`` adds its default RBAC
    objects; ``namespace`` is taken by namespaced objects that name none. Bad objects become ``world.diagnostics``.
    ``entries`` marks workloads that can be taken over by their ports: a file of the operator or a Trivy report (JSON).
    Raises InputError for a missing path and a snapshot that cannot be read, and with ``strict`` for any diagnostic that
    hardening.md §5 marks.
    """
    minor = minor_of(k8s_version) if k8s_version else None
    if cni not in PROFILES:
        raise UsageError(f"unknown CNI profile `{cni}`", help=f"profiles: {', '.join(PROFILES)}")
    options = LoadOptions(namespace=namespace, limits=limits or Limits(), exclude=tuple(exclude), strict=strict)
    cluster = load_cluster([_given(item) for item in inputs], options)
    if with_defaults:
        cluster = _add_defaults(cluster, minor)
    people = None
    if memberships is not None:
        people = load_memberships(memberships if isinstance(memberships, Mapping) else os.fspath(memberships))
    world = compile_world(
        cluster,
        memberships=people,
        minor=minor,
        cni=PROFILES[cni],
        baseline=all_default_objects,
        entries=_entries(entries),
        defaults=lambda: default_objects(_shipped_minor(minor)),
    )
    if strict:
        _refuse_marked(world.diagnostics)
    return world


def snapshot(world: World, path: str | os.PathLike[str]) -> None:
    """Write what ``world`` was loaded from to one file that ``load`` opens at once, mode 0600, in place of an older one.

    Assumptions (``k8s_version``, ``cni``, ``memberships``, ``entries``) are no part of it: whoever loads it states them.
    Raises UsageError if the file cannot be written.
    """
    write_snapshot(world.cluster, os.fspath(path))


def _entries(given: str | os.PathLike[str] | Mapping[str, Any] | None) -> tuple[Entry, ...]:
    return () if given is None else load_entries(given if isinstance(given, Mapping) else os.fspath(given))


def _given(item: str | os.PathLike[str] | Mapping[str, Any]) -> Input:
    return item if isinstance(item, Mapping) else os.fspath(item)


def _add_defaults(cluster: Any, minor: int | None) -> Any:
    return with_defaults(cluster, default_objects(DEFAULT_MINOR if minor is None else minor))


def _shipped_minor(minor: int | None) -> int:
    """The nearest minor whose default objects the package has."""
    return max(DEFAULT_MINOR if minor is None else minor, MINORS[0])


def minor_of(version: str) -> int:
    """36 from ``1.36``, ``v1.36`` or ``1.36.2``. Raises UsageError."""
    match = _VERSION.match(version)
    if match is None:
        raise UsageError(f"no Kubernetes version: `{version}`", help="write it as `1.36`")
    minor = int(match[1])
    if minor > MINORS[-1]:
        raise UsageError(f"Kubernetes 1.{minor} is not known to this version", help=f"known up to 1.{MINORS[-1]}")
    return minor


def _refuse_marked(diagnostics: Iterable[Diagnostic]) -> None:
    marked = [diagnostic for diagnostic in diagnostics if CODES[diagnostic.code].fails_strict]
    if marked:
        shown = "\n  ".join(str(diagnostic) for diagnostic in marked[:20])
        more = f"\n  and {len(marked) - 20} more" if len(marked) > 20 else ""
        raise InputError(f"{counted(len(marked), 'diagnostic')} under strict:\n  {shown}{more}")


def can_i(
    world: World,
    verb: str | Iterable[str],
    resource: str = "",
    *,
    group: str = "",
    subresource: str = "",
    name: str = "",
    namespace: str = "",
    url: str = "",
    user: str,
    groups: Iterable[str] | None = None,
) -> Decision:
    """May ``user`` do ``verb`` (any of several)? Words are literal: ``group=""`` is core, ``namespace=""`` cluster scope.

    ``groups=None`` adds the implicit groups of the user and those of the membership file; an iterable is taken as it is.
    Raises InputError where the input holds no RBAC object (exit code 3), UsageError for neither or both of resource and URL.
    """
    question = CanI(
        verbs=_verbs(verb),
        target=Target(group=group, resource=resource, subresource=subresource, name=name, namespace=namespace, url=url),
        user=user,
        groups=None if groups is None else tuple(groups),
    )
    return question.decide(world)


def who_can(
    world: World,
    verb: str | Iterable[str],
    resource: str = "",
    *,
    group: str = "",
    subresource: str = "",
    name: str = "",
    namespace: str = "",
    url: str = "",
    any_namespace: bool = False,
    any_name: bool = False,
) -> Answer[Access]:
    """Everyone who may do ``verb`` (any of several), as bindings name them; ``Group system:masters`` always (S-47).

    Raises InputError where the input holds no RBAC object, UsageError for neither or both of resource and URL.
    """
    question = WhoCan(
        verbs=_verbs(verb),
        target=Target(group=group, resource=resource, subresource=subresource, name=name, namespace=namespace, url=url),
        any_namespace=any_namespace,
        any_name=any_name,
    )
    return question.answer(world)


def what_can(world: World, subject: Ref | str) -> Answer[Grant]:
    """Every rule that applies to a subject: a Ref, a user name, or any spelling of interface.md §3 (``sa:ns/name``)."""
    return WhatCan(subject=subject if isinstance(subject, Ref) else parse_subject(subject, world)).answer(world)


def can_reach(world: World, src: str, dst: str, *, protocol: str = "TCP", port: int) -> FlowDecision:
    """May ``src`` open a connection to this port of ``dst``, as far as policies go?

    An end is ``ns/pod``, ``ns/name[Kind]``, ``ns/*``, ``ns/key=value``, an IP address or CIDR, ``Node/name`` or ``internet``;
    an address that a pod or node holds means that pod or node at that address. The verdict is ``conditional`` where the
    answer differs between the pods or addresses that an end means. Raises UsageError for an unknown end, protocol or port,
    InputError where the input holds no pod or workload, or never holds NetworkPolicies (exit code 3).
    """
    from graphsec.query.can_reach import CanReach

    return CanReach(source=src, destination=dst, protocol=protocol, port=port).decide(world)


def reach(
    world: World,
    src: str | None = None,
    dst: str | None = None,
    *,
    protocol: str | None = None,
    port: int | None = None,
    fold: str = "workload",
) -> Answer[Flow]:
    """The allowed flows from ``src`` to ``dst`` (ends as in ``can_reach``; None is any), rolled up by ``fold``: workload,
    namespace, class or none. Addresses outside the cluster are ranges with equal ports.

    Raises UsageError for an unknown end or fold, LimitError for a map too large to list, InputError as ``can_reach``.
    """
    from graphsec.query.reach import Reach

    question = Reach(source=src or "", destination=dst or "", protocol=protocol or "", port=port or 0, fold=fold)
    return question.answer(world)


def diff(
    old: World,
    new: World,
    *,
    namespace: str = "",
    checks: Iterable[str] = (),
    verb: str | Iterable[str] = (),
    resource: str = "",
    group: str = "",
    subresource: str = "",
    name: str = "",
    url: str = "",
) -> DiffAnswer:
    """What ``new`` changes about ``old`` in effect: items with ``kind`` access, path, flow or latent, and ``change`` gained, lost or
    changed, each with the lines that make it so. Same objects in other words, orders or files differ in nothing.

    ``checks`` gives ``.checks`` their verdicts: ``no-new-access``, ``no-new-paths``, ``no-new-flows``, ``no-public-access``, and
    ``access-not-granted`` about ``verb`` and ``resource`` (words as in ``who_can``). ``.undecided`` names what only one of the
    inputs supports. Raises InputError where nothing can be compared, LimitError for more than a list is good for, UsageError for
    an unknown check.
    """
    from graphsec.query.diff import Diff

    target = None
    if resource or url:
        target = Target(
            group=group, resource=resource, subresource=subresource, name=name, namespace=namespace, url=url
        )
    question = Diff.between(
        old, new, namespace=namespace, checks=tuple(checks), verbs=_verbs(verb) if verb else (), target=target
    )
    return question.answer(old, new)


def access(world: World, target: str | None = None, *, namespace: str = "") -> Answer[DataHolder]:
    """Who can read, mount, change or restore Secrets, volume claims, snapshots and backups, and in which ways: all of the input,
    those of one namespace, or one object (`secret/NS/NAME`).

    Raises InputError where the input holds no RBAC object, UsageError for no object.
    """
    from graphsec.query.data_access import DataAccess, parse_object

    return DataAccess(target=parse_object(target) if target else None, namespace=namespace).answer(world)


def rbac_lint(world: World, *, namespace: str = "") -> Answer[RbacFinding]:
    """What is probably wrong with roles and bindings, worst first: what dangles, what nobody uses, what says something else than
    it means. Raises InputError where the input holds no RBAC object."""
    from graphsec.query.rbac_lint import RbacLint

    return RbacLint(namespace=namespace).answer(world)


def overprivileged(
    world: World,
    subject: Ref | str | None = None,
    *,
    include_builtin: bool = False,
    audit_log: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None = None,
) -> Answer[Excess]:
    """Who has more than it needs, in the seven senses of docs/overprivileged.md, worst first; of every subject that a binding
    names, or of one. ``audit_log`` names files that show what is used; without, O3 and O5 are not answered.

    Raises InputError where the input holds no RBAC object or a log cannot be read, UsageError for no subject.
    """
    from graphsec.query.overprivileged import Overprivileged
    from graphsec.query.usage import Usage

    usage = None
    if audit_log is not None:
        logs = [audit_log] if isinstance(audit_log, str | os.PathLike) else list(audit_log)
        usage = Usage.of(world, read_audit_logs([os.fspath(log) for log in logs], Limits()))

    asked = parse_subject(subject, world) if isinstance(subject, str) else subject
    return Overprivileged(subject=asked, include_builtin=include_builtin or asked is not None, usage=usage).answer(
        world
    )


def synthesize(world: World, flows: Given | None = None) -> Synthesis:
    """The least NetworkPolicies that keep ``flows`` and deny everything else: items with ``manifest``, an object to apply.

    ``flows`` is a path (lines of a connection list, or YAML), the items of ``reach``, or mappings with `from`, `to` and
    `ports`; None is today's reach restricted to what Services lead to, and DNS. The policies are compiled in place of those
    of ``world``: ``exact`` says whether exactly the wanted flows remain, ``differences`` which do not.

    Raises UsageError for flows without meaning, LimitError for too many of them, InputError as ``can_reach``.
    """
    from graphsec.query.synthesize import Synthesize

    return Synthesize.of(flows).answer(world)


def exposed(world: World) -> Answer[Exposure]:
    """What the internet opens by each route (load balancer, node port, Ingress, Gateway and the like), what other namespaces
    open, and what pods to come would; down to the ports of the pods and the rules that decide. Routes that policies keep
    shut are items with the verdict ``no``.

    Raises InputError as ``can_reach``.
    """
    from graphsec.query.exposed import Exposed

    return Exposed().answer(world)


def policy_lint(world: World, *, namespace: str = "") -> Answer[PolicyFinding]:
    """What is probably wrong with network policies, worst first: each finding with the rule, its file and line, and a remedy.

    ``namespace`` keeps findings on one namespace and what is in it. Raises InputError as ``can_reach``.
    """
    from graphsec.query.policy_lint import PolicyLint

    return PolicyLint(namespace=namespace).answer(world)


def paths(
    world: World,
    source: str | Ref,
    target: str | Ref = "cluster-admin",
    *,
    k: int = 1,
    assume: Iterable[str] = (),
    without: Iterable[str] = (),
) -> Answer[AttackPath]:
    """How ``source`` could become ``target``: up to ``k`` different proofs each, the shortest first; empty if there is none.

    ``source`` is a subject, "Pod/NS/NAME", "Node/NAME", "Namespace/NAME", "internet", "anonymous" or "all" (one item for
    every subject that has a path); ``target`` is "cluster-admin", "node" (any), "secrets:all" or one object. ``assume`` takes
    assumptions as facts, ``without`` leaves out bindings, rules or steps. Raises InputError where the input holds no RBAC
    object, UsageError for an end, assumption or object that is not known.
    """
    from graphsec.query.paths import Paths

    question = Paths(source=str(source), target=str(target), k=k, assume=tuple(assume), without=tuple(without))
    return question.answer(world)


def replay(world: World, path: AttackPath, *, assume: Iterable[str] = ()) -> Replay:
    """Whether a path is a proof: every step shown again from the objects and the RBAC matcher, by code that the search does not
    share. Falsy with ``.faults`` if not; ``assume`` as the path was asked for.
    """
    from graphsec.query.replay import replay as _replay

    return _replay(world, path, assume=tuple(assume))


def blast(world: World, source: str | Ref, *, assume: Iterable[str] = ()) -> Answer[Fallen]:
    """What falls with ``source`` (as in ``paths``, but "all"), each with a proof; hubs stand for what is taken as a whole.

    Raises InputError where the input holds no RBAC object, UsageError for a start that is not known.
    """
    from graphsec.query.blast import Blast

    return Blast(source=str(source), assume=tuple(assume)).answer(world)


def choke_points(world: World, target: str | Ref = "cluster-admin", *, top: int = 10) -> Answer[ChokePoint]:
    """The bindings and things without which the most starts no longer reach ``target``, each cut confirmed by closing the graph
    without it. Raises InputError where the input holds no RBAC object, UsageError for a target that is not known.
    """
    from graphsec.query.choke import Choke

    return Choke(target=str(target), top=top).answer(world)


def minimal_fix(
    world: World,
    source: str | Ref = "all",
    target: str | Ref = "cluster-admin",
    *,
    assume: Iterable[str] = (),
    unlock: bool = False,
) -> Fix:
    """The cheapest changes that cut every path from ``source`` to ``target``: items with ``manifest``, a strategic merge patch.

    ``world`` of the answer is the cluster after them, ``remaining`` are paths that no such change cuts. Bindings that every
    cluster has are locked unless ``unlock``. Raises InputError and UsageError as ``paths``.
    """
    from graphsec.query.fix import MinimalFix

    question = MinimalFix(source=str(source), target=str(target), assume=tuple(assume), unlock=unlock)
    return question.answer(world)


def covers(
    owner_rules: Iterable[PolicyRule | Mapping[str, Any]], servant_rules: Iterable[PolicyRule | Mapping[str, Any]]
) -> Covered:
    """Whether the owner's rules cover the servant's (S-63); falsy with ``.uncovered`` atoms if not.

    Raises UsageError for a mapping that is no rule.
    """
    return _covers(map(_rule, owner_rules), map(_rule, servant_rules))


def check(
    world: World, packs: Iterable[str] = ("reviewer",), queries: Iterable[str | os.PathLike[str]] = ()
) -> Checked:
    """What the queries of ``packs`` and of the folders ``queries`` find: findings with fingerprints, worst first. Queries that
    the input cannot answer are in ``unanswered``.

    Raises UsageError for an unknown pack or a bad file, InputError where the input answers none of the queries.
    """
    from graphsec.query._packs import load_library
    from graphsec.query.check import Check

    folders = tuple(os.fspath(folder) for folder in queries)
    names = (packs,) if isinstance(packs, str) else tuple(packs)
    chosen = load_library(folders).chosen(names, folders)
    return Check(queries=chosen, packs=names, folders=folders).answer(world)


def _rule(rule: PolicyRule | Mapping[str, Any]) -> PolicyRule:
    if isinstance(rule, PolicyRule):
        return rule
    unknown = sorted(set(rule) - RULE_KEYS)
    if unknown:
        raise UsageError(f"a rule has no key `{unknown[0]}`", help=f"keys: {', '.join(sorted(RULE_KEYS))}")
    try:
        return PolicyRule.from_mapping(rule)
    except msgspec.ValidationError as error:
        raise UsageError(f"no rule: {error}") from error


def _verbs(verb: str | Iterable[str]) -> tuple[str, ...]:
    verbs = (verb,) if isinstance(verb, str) else tuple(dict.fromkeys(verb))
    if not verbs or not all(verbs):
        raise UsageError("no verb given")
    return verbs


__all__ = [
    "access",
    "blast",
    "can_i",
    "can_reach",
    "check",
    "choke_points",
    "covers",
    "diff",
    "exposed",
    "load",
    "minimal_fix",
    "minor_of",
    "overprivileged",
    "paths",
    "policy_lint",
    "rbac_lint",
    "reach",
    "replay",
    "snapshot",
    "synthesize",
    "what_can",
    "who_can",
]
