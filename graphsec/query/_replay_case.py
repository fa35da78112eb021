"""One step of a path under ``replay``: what it may lean on, and the parts that checks are made of.

A check yields what is wrong. What the step rests on it adds to ``needs``; that is compared with what the step says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from graphsec.model.attack import Fact, FactKind
from graphsec.model.ref import Ref
from graphsec.query._replay_requests import FREE, Demand, Identities, Requests, Way
from graphsec.query._replay_view import (
    Place,
    View,
    secrets_of,
)

if TYPE_CHECKING:
    from graphsec.query.paths import Step


K = FactKind
Faults = Iterator[str]
SOMEWHERE, SOME_NODE, FEED = "somewhere", Fact(K.NODE), "feed aggregated clusterroles"
NODE_USER = "system:node:"
#: To read a Secret under a name that is free.
READ_FREE = "read a secret that does not exist yet"


@dataclass
class Case:
    """One step, with what those before it have shown."""

    view: View
    step: Step
    known: Identities
    #: A pod that a start names, where its fact is that of all its like.
    narrowed: Mapping[Fact, Ref]
    needs: set[str] = field(default_factory=set)

    @property
    def after(self) -> Fact:
        return self.step.after

    @property
    def one(self) -> Fact:
        return self.step.premises[0]

    def premise(self, *kinds: FactKind) -> Fact:
        return next(fact for fact in self.step.premises if fact.kind in kinds)

    def power(self, *words: str) -> Fact | None:
        return next((fact for fact in self.step.premises if fact.kind is K.POWER and fact.power in words), None)

    def demand(self, *demands: Demand) -> Faults:
        """RQ: the principal of the step makes all of the requests."""
        requests = Requests(self.known, self.one, self.step.because, self.view.minor)
        yield from requests.faults
        for demand in demands:
            assumes = requests.show(demand)
            if assumes is None:
                first = " and ".join(f"{need.verb} {need.resource}" for need in demand.ways[0].needs)
                yield f"nothing shows that {self.one} may {first} or the like in {demand.namespace or 'the cluster'}"
            else:
                self.needs.update(assumes)
        if requests.rests_on_shipped:
            self.needs.add("BOOTSTRAP-RBAC")

    def rest(self, needs: tuple[str, ...] | None, fault: str) -> Faults:
        """``needs`` None: it is not so."""
        if needs is None:
            yield fault
        else:
            self.needs.update(needs)

    def place(self, fact: Fact) -> Place | None:
        return self.view.place(Ref(fact.power or "Pod", fact.name, fact.namespace))


Check = Callable[[Case], Faults]


def unless(holds: object, fault: str) -> Faults:
    if not holds:
        yield fault


def same_scope(case: Case) -> Faults:
    yield from unless(case.one.namespace == case.after.namespace, "the namespaces differ")


def lends(place: Place, fact: Fact) -> bool:
    """What a node holds through a pod (S-80); mirror pods have no account."""
    if fact.kind is K.SECRET:
        return fact.name in secrets_of(place.spec)
    return place.spec.account == fact.name and not place.mirror


# -- Checks from parts ---------------------------------------------------------------------------------------------


def asks(
    ways: tuple[Way, ...], *needs: str, free: bool = False, admitted: bool = False, cluster: bool = False
) -> Check:
    """The principal makes one request about the fact gained, or about whatever name is ``free``."""

    def check(case: Case) -> Faults:
        case.needs.update(needs, case.view.admission if admitted else ())
        namespace = "" if cluster else case.after.namespace
        yield from case.demand(Demand(ways, namespace, FREE if free else case.after.name))

    return check


def both(*checks: Check) -> Check:
    def check(case: Case) -> Faults:
        for each in checks:
            yield from each(case)

    return check


def rests(*needs: str) -> Check:
    def check(case: Case) -> Faults:
        case.needs.update(needs)
        yield from ()

    return check


def admitted(case: Case) -> Faults:
    case.needs.update(case.view.admission)
    yield from ()


def to_pod(case: Case) -> Faults:
    yield from unless(case.place(case.after), f"no {case.after} in which code runs")


def to_account(case: Case) -> Faults:
    needs = case.view.account(case.after.name, case.after.namespace)
    yield from case.rest(needs, f"no {case.after}")


def to_secret(case: Case) -> Faults:
    yield from unless(case.view.has_secret(case.after.name, case.after.namespace), f"no {case.after}")


def to_node(case: Case) -> Faults:
    yield from unless(case.view.has_node(case.after.name), f"no {case.after}")


def absent_account(case: Case) -> Faults:
    needs = case.view.account(case.after.name, case.after.namespace)
    yield from unless(needs is None or needs == ("ACCOUNT-EXISTS",), f"{case.after} is there already")
