"""Every path that is found replays from the objects alone, and a path that is damaged does not."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

import graphsec as gs
from graphsec.model.attack import Example, Fact, FactKind
from graphsec.model.ref import Ref
from graphsec.query.paths import AttackPath, Paths, Step
from graphsec.query.replay import Replay, replay
from graphsec.rules import rules

SHARED = Path(__file__).parent.parent.parent / "shared"
CASES = SHARED / "oracle" / "attacks" / "cases.jsonl.gz"
KUBEHOUND = SHARED / "corpora" / "vulnerable" / "kubehound-cluster"
REAL = SHARED / "corpora" / "dumps" / "real-cluster"
GOALS = ("cluster-admin", "node", "secrets:all")
replace = msgspec.structs.replace
#: A path in its world.
Found = tuple[gs.World, AttackPath]
#: Steps whose grounds the search does not name yet.
WITHOUT_GROUNDS: frozenset[str] = frozenset()


def found(world: gs.World, source: str, target: str, k: int = 1) -> list[Found]:
    return [(world, path) for path in Paths(source=source, target=target, k=k).answer(world).items]


def objects(items: list[Any], version: str) -> gs.World:
    return gs.load({"apiVersion": "v1", "kind": "List", "items": items}, k8s_version=version, with_defaults=True)


def start_of(case: dict[str, Any]) -> str:
    attacker = case["attacker"]
    if attacker["kind"] == "ServiceAccount":
        return f"sa:{attacker['namespace']}/{attacker['name']}"
    return f"user:system:node:{attacker['name']}"


def goal_of(case: dict[str, Any]) -> str:
    """ "" where the gain is none that paths are asked for."""
    gain = case["gain"]
    identity = gain.get("identity", {})
    if "clusterAdmin" in gain:
        return "cluster-admin"
    if "secret" in gain:
        return f"Secret/{gain['secret']}"
    if not identity or identity.get("audience"):
        return "node" if "node" in gain else ""
    return "/".join(part for part in (identity["kind"], identity.get("namespace"), identity["name"]) if part)


@cache
def of_server() -> tuple[Found, ...]:
    """The proofs of what a real API server let an attacker do."""
    if not CASES.exists():
        return ()
    cases = [json.loads(line) for line in gzip.decompress(CASES.read_bytes()).splitlines()]
    pairs: list[Found] = []
    for case in cases:
        goal = goal_of(case)
        for version in (case["version"], *case.get("also", ())) if case["succeeds"] and goal else ():
            try:
                pairs += found(objects(case["objects"], version), start_of(case), goal)
            except gs.GraphsecError:
                continue
    return tuple(pairs)


@cache
def of_corpora() -> tuple[Found, ...]:
    pairs: list[Found] = []
    for place, version in ((REAL, "1.26"), (KUBEHOUND, "1.36")):
        for defaults in (False, True) if place.exists() else ():
            world = gs.load(place, k8s_version=version, with_defaults=defaults)
            for goal in GOALS:
                pairs += found(world, "all", goal)
    return tuple(pairs)


@cache
def good() -> tuple[Found, ...]:
    return tuple(pair for pair in (*of_server(), *of_corpora()) if len(pair[1].steps) > 0)


def told(result: Replay, path: AttackPath) -> str:
    return "\n".join([*map(str, result.faults), *path.explanation()])


# -- What is found replays -----------------------------------------------------------------------------------------


@pytest.mark.skipif(not CASES.exists(), reason="needs the shared oracle")
def test_proofs_of_what_a_real_server_allowed_replay() -> None:
    assert len(of_server()) > 100
    for world, path in of_server():
        result = replay(world, path)
        assert result, told(result, path)


@pytest.mark.skipif(not REAL.exists(), reason="needs the shared corpora")
def test_proofs_in_whole_clusters_replay() -> None:
    assert len(of_corpora()) > 100
    for world, path in of_corpora():
        result = replay(world, path)
        assert result, told(result, path)


EXAMPLES = [
    pytest.param(example, id=f"{rule.id}: {example.title}")
    for rule in rules().values()
    for example in rule.examples
    if example.verdict != "none"
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_of_rules_replay(example: Example) -> None:
    documents = [document for document in yaml.safe_load_all(example.manifests) if document]
    entries = yaml.safe_load(example.entries) if example.entries else None
    world = gs.load(
        {"apiVersion": "v1", "kind": "List", "items": documents},
        k8s_version=example.k8s_version,
        with_defaults=True,
        entries=entries,
    )
    for _, path in found(world, example.start, example.goal):
        if WITHOUT_GROUNDS.isdisjoint(path.rules):
            result = replay(world, path)
            assert result, told(result, path)


def test_steps_without_grounds_are_refused_for_that_alone() -> None:
    """They leave the list above as soon as the search names what grants them."""
    for rule in WITHOUT_GROUNDS & rules().keys():
        example = next(example for example in rules()[rule].examples if example.verdict != "none")
        documents = [document for document in yaml.safe_load_all(example.manifests) if document]
        world = objects(documents, example.k8s_version)
        for _, path in found(world, example.start, example.goal):
            faults = replay(world, path).faults
            assert {fault.rule for fault in faults} <= {rule}


def test_a_path_takes_less_than_five_milliseconds(benchmark_of: Callable[[Callable[[], object]], float]) -> None:
    pairs = good()[:200]
    if pairs:
        assert benchmark_of(lambda: [replay(*pair) for pair in pairs]) / len(pairs) < 0.005


@pytest.fixture
def benchmark_of() -> Callable[[Callable[[], object]], float]:
    from time import process_time

    def measure(run: Callable[[], object]) -> float:
        run()
        before = process_time()
        run()
        return process_time() - before

    return measure


def test_the_checker_shares_no_code_with_the_search() -> None:
    code = "import sys, graphsec.query.replay; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    forbidden = ("graphsec.compile.attacks", "graphsec.rules", "graphsec.graph.horn", "graphsec.query._attack_evidence")
    assert not [name for name in loaded if name.startswith(forbidden) and name != "graphsec.compile.attacks.none"]


def test_assumptions_that_a_question_took_as_facts_are_given_to_the_checker() -> None:
    for world, path in good():
        if path.assumptions:
            bare = replace(path, steps=tuple(replace(step, assumptions=()) for step in path.steps))
            assert not replay(world, bare)
            assert replay(world, bare, assume=path.assumptions)
            return


# -- What is damaged does not --------------------------------------------------------------------------------------

Damage = Callable[[gs.World, AttackPath], Iterator[Found]]
STRUCTURE = "containment"


def with_step(path: AttackPath, index: int, **changes: Any) -> AttackPath:
    steps = list(path.steps)
    steps[index] = replace(steps[index], **changes)
    return replace(path, steps=tuple(steps))


def other_rule(world: gs.World, path: AttackPath) -> Iterator[Found]:
    """The next rule of the list in place of the right one."""
    ids = [rule for rule in rules() if rule not in ("escape-kernel-module", "escape-core-pattern")]
    for index, step in enumerate(path.steps):
        if step.rule in ids:
            yield world, with_step(path, index, rule=ids[(ids.index(step.rule) + 1) % len(ids)])


def unknown_rule(world: gs.World, path: AttackPath) -> Iterator[Found]:
    for index in range(len(path.steps)):
        yield world, with_step(path, index, rule="no-such-rule")


NOBODY = Fact(FactKind.ACCOUNT, "nobody", "nowhere")


def other_principal(world: gs.World, path: AttackPath) -> Iterator[Found]:
    """Somebody without any grant, from the first step on."""
    first = path.steps[0]
    if first.rule in (STRUCTURE, "implicit-group") or first.premises != path.starts:
        return
    changed = with_step(path, 0, premises=(NOBODY,))
    yield world, replace(changed, source="ServiceAccount/nowhere/nobody", starts=(NOBODY,))
    yield world, replace(changed, starts=(NOBODY,))
    yield world, replace(path, source="ServiceAccount/nowhere/nobody")


def without_a_step(world: gs.World, path: AttackPath) -> Iterator[Found]:
    for index in range(len(path.steps)):
        yield world, replace(path, steps=(*path.steps[:index], *path.steps[index + 1 :]))


def other_binding(world: gs.World, path: AttackPath) -> Iterator[Found]:
    """Each grant said to come of another binding, of one that is not there, or of another rule."""
    for index, step in enumerate(path.steps):
        for place, ground in enumerate(step.because):
            grant = ground.grant
            if grant is None or grant.binding is None or grant.rule_index < 0:
                continue
            others = [binding for binding in world.access.bindings if binding.role != grant.role][:1]
            names = [*(binding.ref for binding in others), replace(grant.binding, name="no-such-binding")]
            changes: list[dict[str, Any]] = [{"binding": ref} for ref in names]
            changes.append({"rule_index": grant.rule_index + 1_000})
            for change in changes:
                because = list(step.because)
                because[place] = replace(ground, grant=replace(grant, **change))
                yield world, with_step(path, index, because=tuple(because))


def other_request(world: gs.World, path: AttackPath) -> Iterator[Found]:
    """Each request said to be a harmless one, and each left out."""
    for index, step in enumerate(path.steps):
        for place, ground in enumerate(step.because):
            if ground.request is not None and ground.grant is not None:
                harmless = replace(ground.request, verb="get", resource="events", subresource="", group="", name="")
                rest = (*step.because[:place], *step.because[place + 1 :])
                yield world, with_step(path, index, because=rest)
                yield world, with_step(path, index, because=(*rest, replace(ground, request=harmless)))


def fewer_assumptions(world: gs.World, path: AttackPath) -> Iterator[Found]:
    for name in path.assumptions:
        steps = [replace(step, assumptions=tuple(set(step.assumptions) - {name})) for step in path.steps]
        yield world, replace(path, steps=tuple(steps))


def more_assumptions(world: gs.World, path: AttackPath) -> Iterator[Found]:
    for index, step in enumerate(path.steps):
        yield (
            world,
            with_step(path, index, assumptions=(*step.assumptions, "CA-KEY" if step.rule != "csr-sign" else "LISTEN")),
        )


def other_target(world: gs.World, path: AttackPath) -> Iterator[Found]:
    for target in ("Secret/nowhere/nothing", "ServiceAccount/nowhere/nobody", "User/nobody", "Node/nowhere"):
        yield world, replace(path, target=target)


def other_gain(world: gs.World, path: AttackPath) -> Iterator[Found]:
    """The last step gives something else than it does."""
    for fact in (Fact(FactKind.SECRET, "nothing", "nowhere"), Fact(FactKind.NODE, "nowhere")):
        yield world, with_step(path, len(path.steps) - 1, after=fact)


def reordered(world: gs.World, path: AttackPath) -> Iterator[Found]:
    if len(path.steps) > 1:
        yield world, replace(path, steps=path.steps[::-1])
        yield world, replace(path, steps=(*path.steps[1:], path.steps[0]))


def binding_removed(world: gs.World, path: AttackPath) -> Iterator[Found]:
    """The old path in a world without a binding that it uses."""
    refs = {ground.binding for ground in path.because if ground.binding in world.cluster.inventory}
    for ref in sorted(filter(None, refs), key=str)[:2]:
        yield world.without({ref}), path


def object_removed(world: gs.World, path: AttackPath) -> Iterator[Found]:
    """The same without a pod that it uses."""
    pods = {ground.object for ground in path.because if ground.object is not None and ground.object.kind == "Pod"}
    for ref in sorted(filter(None, pods), key=str)[:2]:
        yield world.without({ref}), path


def from_more(world: gs.World, path: AttackPath) -> Iterator[Found]:
    """Premises that nothing gives, or a start that the source does not stand for."""
    for index, step in enumerate(path.steps):
        yield world, with_step(path, index, premises=(*step.premises, Fact(FactKind.POWER, "", "", "change nodes")))
    if path.steps[-1].premises[0] not in path.starts:
        last: Step = path.steps[-1]
        yield world, replace(path, starts=(*path.starts, *last.premises), steps=(last,))


DAMAGES: tuple[Damage, ...] = (
    other_rule,
    unknown_rule,
    other_principal,
    without_a_step,
    other_binding,
    other_request,
    fewer_assumptions,
    more_assumptions,
    other_target,
    other_gain,
    reordered,
    binding_removed,
    object_removed,
    from_more,
)


@pytest.mark.skipif(not CASES.exists(), reason="needs the shared oracle")
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_path_is_refused(damage: Damage) -> None:
    damaged = 0
    for world, path in good():
        harmed = [pair for pair in damage(world, path) if pair[1] != path or pair[0] is not world]
        damaged += bool(harmed)
        for other, changed in harmed:
            assert not replay(other, changed), f"{damage.__name__}\n" + "\n".join(changed.explanation())
    assert damaged >= 20


def test_faults_say_where_and_why() -> None:
    world = objects([], "1.36")
    step = Step(rule="no-such-rule", premises=(NOBODY,), after=Fact(FactKind.CLUSTER))
    path = AttackPath(source="ServiceAccount/nowhere/nobody", target="cluster-admin", starts=(NOBODY,), steps=(step,))
    result = replay(world, path)
    assert not result
    assert [(fault.step, fault.rule, fault.message) for fault in result.faults] == [(0, "no-such-rule", "unknown rule")]
    assert str(result.faults[0]) == "step 1 [no-such-rule]: unknown rule"
    assert Ref("ServiceAccount", "nobody", "nowhere") not in world.cluster.inventory
