"""What every answer about flows has in common: coverage, the profile, and what is in the input and not modelled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from graphsec.compile import World
from graphsec.model.policy_families import UNMODELLED
from graphsec.model.ref import Ref
from graphsec.model.text import counted
from graphsec.query._answer import Answer, Question
from graphsec.query._needs import require


def flow_answer(
    world: World, question: Question, ask: str, items: Callable[[], Sequence[Any]], notes: Sequence[str] = ()
) -> Answer[Any]:
    """The answer of a question about flows. Raises InputError where the input supports none (hardening.md §2)."""
    complete, warnings = require(world, ask)
    found = items()
    return Answer(
        question=question,
        items=found,
        complete=complete,
        coverage=world.coverage,
        diagnostics=world.diagnostics,
        notes=(*notes, *_notes(world)),
        warnings=(*warnings, *_warnings(world)),
    )


def _notes(world: World) -> Iterator[str]:
    profile = world.flows.profile
    inherited = (
        f"; {', '.join(profile.inherited)} are not established for it and read as for upstream"
        if profile.inherited
        else ""
    )
    yield f"CNI profile: {profile.name} (--cni){inherited}"
    idle = world.flows.endpoints.idle
    if idle:
        yield f"{counted(len(idle), 'workload')} without pods: {_some(sorted(idle))}"
    yield "Not modelled: what is no TCP, UDP or SCTP; NAT and firewalls outside the objects; connections that already exist (M-01 to M-04)"


def _some(refs: Sequence[Ref]) -> str:
    return ", ".join(map(str, refs[:3])) + (", …" if len(refs) > 3 else "")


def _warnings(world: World) -> Iterator[str]:
    flows = world.flows
    foreign = Counter(ref.kind for ref in flows.policies.foreign)
    for kind, count in sorted(foreign.items()):
        yield f"{counted(count, kind)} ignored: the CNI profile {flows.profile.name} does not read that kind"
    for placed, tier in flows.policies.unknown_tiers:
        yield f"{placed.ref} ({placed.source}) is left out: no Tier `{tier}` in the input"
    odd = flows.endpoints.with_odd_ports
    if odd:
        yield f"{counted(len(odd), 'pod')} with ports that the API server refuses, which are left out: {_some(odd)}"
    for kind, effect in sorted(UNMODELLED.items()):
        count = len(world.cluster.objects.get(kind, ()))
        if count:
            yield f"{counted(count, kind)} not modelled: {effect}"
    for placed in flows.policies.placed:
        yield from (f"{placed.ref} ({placed.source}) not modelled: {limit}" for limit in placed.body.limits)
    unlabelled = flows.universe.unlabelled
    if unlabelled and flows.policies.placed:
        shown = ", ".join(unlabelled[:5]) + (", …" if len(unlabelled) > 5 else "")
        yield (
            f"{counted(len(unlabelled), 'namespace')} without Namespace object ({shown}): only the label "
            "kubernetes.io/metadata.name is known of them (N-08b)"
        )
    for group in flows.policies.ties:
        names = ", ".join(str(flows.policies.placed[number].ref) for number in group)
        yield f"equal priority, so which is read first is undefined: {names}; every order was evaluated (A-04)"
