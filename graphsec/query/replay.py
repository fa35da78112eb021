"""An independent checker of attack paths: every step is shown again from the objects and the one RBAC matcher.

It shares nothing with the search that found the path (attacks.md §6, Proofs) and believes no text of it: what each rule
demands stands in a table of its own. A path that does not replay is a bug, not a finding.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from graphsec.compile import World
from graphsec.query._replay_case import Case
from graphsec.query._replay_ends import Ends
from graphsec.query._replay_requests import Identities
from graphsec.query._replay_rules import RULES, shape
from graphsec.query._replay_view import View

if TYPE_CHECKING:
    from graphsec.query.paths import AttackPath, Step

#: Faults of the path as a whole.
WHOLE = -1
#: Under which a view is kept with its world, as the other parts that are made late.
_KEPT = "_view_of_replay"
_SHIPPED = "BOOTSTRAP-RBAC"


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
    ends: Ends = field(init=False)

    def __post_init__(self) -> None:
        self.identities = Identities(self.view)
        self.ends = Ends(self.view, self.identities)

    def faults(self) -> Iterator[Fault]:
        path = self.path
        for fact in path.starts:
            if not self.ends.is_start(path.source, fact):
                yield Fault(WHOLE, "", f"{path.source} does not stand for {fact}")
        known = set(path.starts)
        claimed: set[str] = set()
        for index, step in enumerate(path.steps):
            claimed.update(step.assumptions)
            messages = [f"nothing gives {fact}" for fact in step.premises if fact not in known]
            messages += self._step(step, claimed)
            yield from (Fault(index, step.rule, message) for message in messages)
            known.add(step.after)
        reached = (path.steps[-1].after,) if path.steps else path.starts
        if not any(self.ends.is_goal(path.target, fact) for fact in reached):
            yield Fault(WHOLE, "", f"it does not end at {path.target}")

    def _step(self, step: Step, claimed: set[str]) -> Iterator[str]:
        checks = RULES.get(step.rule)
        if checks is None:
            yield "unknown rule"
            return
        check = checks.get(shape(step)) if step.premises else None
        if check is None:
            yield f"the rule makes nothing of {shape(step) if step.premises else 'no premise'}"
            return
        case = Case(self.view, step, self.identities, self.ends.narrowed)
        self.identities.leans_on_shipped = False
        yield from check(case)
        if self.identities.leans_on_shipped:
            case.needs.add(_SHIPPED)
        yield from self._grounds(step)
        yield from self._assumptions(step, case.needs - self.granted, claimed)

    def _grounds(self, step: Step) -> Iterator[str]:
        """Where the objects are said to stand."""
        inventory = self.view.cluster.inventory
        marks = [entry.source for entry in self.view.world.entries]
        for ground in step.because:
            if ground.object is not None and ground.place not in (inventory.get(ground.object), *marks):
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


__all__ = ["Fault", "Replay", "replay"]
