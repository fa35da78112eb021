"""Steps that need no request, told again for ``replay``: what is inside falls with what is around it."""

from __future__ import annotations

from graphsec.model.attack import NODES
from graphsec.model.ref import Ref
from graphsec.query._replay_case import (
    FEED,
    READ_FREE,
    SOME_NODE,
    SOMEWHERE,
    Case,
    Check,
    Faults,
    both,
    rests,
    same_scope,
    to_account,
    to_node,
    to_pod,
    to_secret,
    unless,
)
from graphsec.query._replay_view import (
    UNKNOWN_NODE,
    alike,
    secrets_of,
)

# -- Structure: one table of its own -------------------------------------------------------------------------------


def within(case: Case) -> Faults:
    """A hub covers those of a namespace, and the objects of its kind there."""
    premise, after = case.one, case.after
    yield from unless(premise.namespace in ("", after.namespace), f"{premise} does not cover {after.namespace}")


def each_of(*checks: Check) -> Check:
    """From the hub of one namespace to an object in it."""
    return both(same_scope, *checks)


def pod_files(case: Case) -> Faults:
    """The pod itself or one that differs in nothing but name and node."""
    place, other = case.place(case.one), case.place(case.after)
    yield from unless(
        place and other and (place == other or alike(place, other)), f"{case.after} are not those of {case.one}"
    )


def files_hold_secret(case: Case) -> Faults:
    place = case.place(case.one)
    used = place and case.one.namespace == case.after.namespace and case.after.name in secrets_of(place.spec)
    yield from unless(used, f"{case.one} hold no {case.after}")


def node_holds_files(case: Case) -> Faults:
    place = case.place(case.after)
    yield from unless(
        place and any(place == other or alike(place, other) for other in case.view.on_node(case.one.name)),
        f"{case.after} are not on {case.one.name}",
    )


def node_holds_pod(case: Case) -> Faults:
    place = case.place(case.after)
    yield from unless(place and case.view.is_on(place, case.one.name), f"{case.after} is not on {case.one.name}")


def nodes_hold_files(case: Case) -> Faults:
    """Where a pod runs is not known: its node may be the one."""
    place = case.place(case.after)
    case.needs.add("SCHED")
    yield from unless(place and not place.node, f"the node of {case.after} is known")


def node_to_nodes(case: Case) -> Faults:
    case.needs.add("SCHED")
    yield from unless(case.one.name.startswith(UNKNOWN_NODE), f"{case.one} is a certain node")


def some_node(case: Case) -> Faults:
    yield from unless(case.after in (SOME_NODE, case.one) or case.one == NODES, "another node")
    if case.one == NODES and case.after != SOME_NODE:
        yield from to_node(case)


def same_name(case: Case) -> Faults:
    yield from unless(case.one.name == case.after.name, "another node")


def new_pod(case: Case) -> Faults:
    if case.after.name == SOMEWHERE:
        return
    yield from within(case)
    yield from unless(case.one.name == case.after.name == "", "another pod")


def wider_power(case: Case) -> Faults:
    """All names stand for each, all namespaces for each; roles that are written may carry a label that feeds others."""
    wide, narrow = case.one, case.after
    if narrow.power == FEED:
        yield from _feeds(case)
        return
    if narrow.power == READ_FREE:
        yield from _reads_free(case)
        return
    covers = wide.power == narrow.power and wide.namespace in ("", narrow.namespace) and wide.name in ("", narrow.name)
    yield from unless(covers, f"{wide} is not {narrow}")


def _reads_free(case: Case) -> Faults:
    """To read under a name that no Secret has in the namespace, or for all namespaces in none."""
    reading, scope = case.one, case.after.namespace
    spaces = [scope] if scope else case.view.namespaces
    fits = reading.power == "read secrets" and reading.name and reading.namespace in ("", scope)
    taken = any(case.view.exists(Ref("Secret", reading.name, space)) for space in spaces)
    yield from unless(fits and not taken and not case.after.name, f"{reading} reads no Secret to be made")


def _feeds(case: Case) -> Faults:
    power = case.one
    new = power.power == "write new clusterroles" and (
        not power.name or not case.view.role(Ref("ClusterRole", power.name))
    )
    yield from unless(new or power.power == "rewrite clusterroles", f"{power} feeds no role")


CONTAINMENT: dict[str, Check] = {
    "NewPod > NewPod": new_pod,
    "Pods > Pods": within,
    "Secrets > Secrets": within,
    "ServiceAccounts > ServiceAccounts": within,
    "NewImages > NewImages": within,
    "NewHostPod > NewHostPod": within,
    "Debug > Debug": within,
    "Pods > Pod": each_of(to_pod),
    "Pods > PodsLike": each_of(to_pod),
    "ServiceAccounts > ServiceAccount": each_of(to_account),
    "Secrets > Secret": each_of(to_secret),
    "Users > User": rests(),
    "Pod > PodFiles": pod_files,
    "PodsLike > PodFiles": pod_files,
    "PodFiles > Secret": files_hold_secret,
    "NodePods > PodFiles": node_holds_files,
    "NodePods > Pod": node_holds_pod,
    "Nodes > PodFiles": nodes_hold_files,
    "Nodes > Node": some_node,
    "Node > Node": some_node,
    "Node > Nodes": node_to_nodes,
    "Node > NodePods": same_name,
    "Power > Power": wider_power,
}
