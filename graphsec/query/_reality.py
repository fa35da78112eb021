"""Where what the authorizer says and what a real request can do come apart (rbac.md S-15, S-33, S-35 to S-37)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from msgspec.structs import replace

from graphsec.compile import CLUSTER, World
from graphsec.model.rbac import ALL, RBAC_GROUP, PolicyRule, Request, breakdown
from graphsec.model.ref import Ref

#: From this minor on, WebSocket exec, attach and port-forward also ask for `create` (S-37).
_UPGRADE_MINOR = 35
#: Atoms of a rule that are looked at before it is taken for real.
_ATOMS = 500
_UPGRADES = ("exec", "attach", "portforward")
#: Verbs that the API server asks in a binding's namespace although the resource is cluster-scoped (S-43, S-83).
_NAMESPACED_VERBS = {("bind", RBAC_GROUP, "clusterroles")}
#: Often written for the core group.
_NO_GROUP = "core"
_OWN_NAMESPACE_VERBS = ("get", "update", "patch", "delete")


def inert_because(world: World, request: Request, scope: str) -> str:
    """Why a grant in ``scope`` serves no real request with these attributes, "" if it does."""
    if request.url:
        return "URLs are asked at cluster scope only (S-43)" if scope != CLUSTER else ""
    if (request.subresource == ALL or "/" in request.resource) and request.resource != "userextras":
        return "no real request asks for this literal subresource (S-15)"
    if request.verb == "deletecollection" and request.name:
        return "deletecollection never has a name (S-33)"
    if request.group == _NO_GROUP:
        return 'the core group is written "", a group `core` has no resource (S-11)'
    if request.verb != request.verb.lower():
        return f"verbs of requests are lower-case: nobody asks for {request.verb} (S-05)"
    if not _serves(world, request):
        return f"no real request has the verb {request.verb} on {request.resource}/{request.subresource}"
    if scope == CLUSTER or world.discovery.namespaced(request.group, request.resource) is not False:
        return ""
    if _asked_in_namespace(request, scope):
        return ""
    return f"{request.resource} are cluster-scoped: a RoleBinding does not reach them (S-36)"


def inert_rule(world: World, rule: PolicyRule, scope: str) -> str:
    """Why no atom of a rule serves a real request in ``scope``, "" if one does; a wildcard always may."""
    reason = "it grants nothing (S-45)"
    for atom in islice(breakdown(rule), _ATOMS):
        words = (*atom.verbs, *atom.groups, *atom.resources)
        if ALL in words or any(resource.startswith(f"{ALL}/") for resource in atom.resources):
            return ""
        reason = inert_because(world, atom_request(atom), scope)
        if not reason:
            return ""
    return reason


def unmet_rule(world: World, principals: Sequence[Ref], rule: PolicyRule, scope: str) -> str:
    """A further request that some atom of a rule needs and its holder may not make (S-34, S-37), "" if none does."""
    for atom in islice(breakdown(rule), _ATOMS):
        if atom.urls or atom.verbs[0] not in ("get", "create"):
            continue
        request = replace(atom_request(atom), namespace=scope)
        if reason := unmet_condition(world, principals, request):
            return f"{request.verb} {atom.resources[0]}: {reason}"
    return ""


def atom_request(atom: PolicyRule) -> Request:
    """The request of the words of an atom (``breakdown``), without a namespace."""
    if atom.urls:
        return Request(verb=atom.verbs[0], url=atom.urls[0])
    resource, _, subresource = atom.resources[0].partition("/")
    name = atom.names[0] if atom.names else ""
    return Request(verb=atom.verbs[0], group=atom.groups[0], resource=resource, subresource=subresource, name=name)


def _asked_in_namespace(request: Request, scope: str) -> bool:
    if request.verb == "use" or (request.verb, request.group, request.resource) in _NAMESPACED_VERBS:
        return True
    # S-35: requests on a namespace itself carry that namespace.
    return (
        (request.group, request.resource) == ("", "namespaces")
        and request.verb in _OWN_NAMESPACE_VERBS
        and request.name in ("", scope)
    )


def assumed_version(world: World) -> str:
    """`Kubernetes 1.36 is assumed`, and what the nodes of the input say."""
    seen = sorted({version for node in world.cluster.of("Node") if (version := node.body.minor)})
    nodes = f"; nodes of the input run {', '.join(seen)}" if seen else ""
    return f"Kubernetes 1.{world.minor} is assumed (--k8s-version){nodes}"


def scope_unknown(world: World, request: Request) -> bool:
    """True for a resource that neither the discovery table nor the input's CRDs know."""
    return (
        not request.url
        and request.resource != ALL
        and world.discovery.namespaced(request.group, request.resource) is None
    )


def _serves(world: World, request: Request) -> bool:
    """False for a verb that a subresource of the discovery table does not serve, such as list on pods/exec."""
    resource = world.discovery.get(request.group, request.resource)
    verbs = resource.subresources.get(request.subresource, ()) if resource and not resource.custom else ()
    return not verbs or request.verb in (*verbs, ALL)


def unmet_condition(world: World, principals: Sequence[Ref], request: Request) -> str:
    """What else a request must be allowed before it does anything, "" if nothing or if it is."""
    first_allowing = world.access.first_allowing
    if needs_create(world, request) and not first_allowing(principals, replace(request, verb="create")):
        create = f"create {request.resource}/{request.subresource}"
        return f"from 1.{_UPGRADE_MINOR} on also needs {create}, which is not granted (S-37)"
    if request.verb == "create" and request.name and not request.subresource:
        plain, apply = replace(request, name=""), replace(request, verb="patch")
        if not first_allowing(principals, plain) and not first_allowing(principals, apply):
            return "a create has no name (S-31); an apply has, and needs patch, which is not granted (S-34)"
    return ""


def needs_create(world: World, request: Request) -> bool:
    return (
        world.minor >= _UPGRADE_MINOR
        and request.verb == "get"
        and (request.group, request.resource) == ("", "pods")
        and request.subresource in _UPGRADES
    )
