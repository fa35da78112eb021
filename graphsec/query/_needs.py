"""Which kinds a question needs (hardening.md §2): refused without, warned about, or answered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from graphsec.compile import World
from graphsec.errors import InputError
from graphsec.model.coverage import RBAC_KINDS, Coverage, State

_FULL_LIST = (
    "clusterroles,clusterrolebindings,roles,rolebindings,serviceaccounts,namespaces,nodes,pods,"
    "deployments,statefulsets,daemonsets,replicasets,jobs,cronjobs,services,endpointslices,ingresses,"
    "networkpolicies,persistentvolumes,persistentvolumeclaims,configmaps,customresourcedefinitions,"
    "validatingwebhookconfigurations,mutatingwebhookconfigurations,validatingadmissionpolicies,"
    "validatingadmissionpolicybindings,certificatesigningrequests"
)
#: The command that collects everything that graphsec reads; read-only.
COLLECT = f"kubectl get {_FULL_LIST} -A -o json > cluster.json"
COLLECT_SECRETS = (
    "kubectl get secrets -A -o custom-columns=NS:.metadata.namespace,NAME:.metadata.name,TYPE:.type > secrets.txt"
)
COLLECT_RBAC = (
    "kubectl get clusterroles,clusterrolebindings,roles,rolebindings,serviceaccounts,namespaces,networkpolicies "
    "-A -o json > rbac.json"
)
_USABLE = ("Pod", "Deployment", "StatefulSet", "DaemonSet", "Service", "ServiceAccount", "NetworkPolicy", "Node")


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """``required``: refused (exit 3) if not one object of these is there. ``warned``: answered with a warning and
    ``complete=False`` if one is absent or partial. ``noted``: named in ``inspect`` only."""

    title: str
    required: tuple[str, ...]
    warned: tuple[str, ...]
    noted: tuple[str, ...] = ()


_WORKLOADS = ("Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob")
_RBAC = Needs(
    title="RBAC",
    required=RBAC_KINDS,
    warned=RBAC_KINDS,
    noted=("CustomResourceDefinition", "ServiceAccount"),
)
NEEDS = {
    "who-can": _RBAC,
    "can-i": _RBAC,
    "what-can": _RBAC,
    "matrix": _RBAC,
    "bindings": _RBAC,
}


def require(world: World, ask: str) -> tuple[bool, tuple[str, ...]]:
    """(complete, warnings) for a question. Raises InputError where the input cannot support any answer."""
    needs = NEEDS[ask]
    coverage = world.coverage
    if not any(coverage[kind].objects for kind in needs.required):
        raise InputError(_refusal(ask, needs, coverage), help=_completion(coverage))
    lacking = coverage.lacking(needs.warned)
    return not lacking, tuple(_warning(coverage, kind) for kind in lacking)


def _warning(coverage: Coverage, kind: str) -> str:
    entry = coverage[kind]
    if entry.state is State.ABSENT:
        return f"no {kind} in the input: what such objects would grant is unknown"
    return f"{kind} only in part ({'; '.join(entry.reasons)})"


def _refusal(ask: str, needs: Needs, coverage: Coverage) -> str:
    lines = [f"{ask} needs {needs.title}; this input has 0 of {len(needs.required)} {needs.title} kinds"]
    if not coverage.forms:
        lines.append("  the input holds no objects of theirs")
    lines.extend(f"  it is a {form.partition(' ')[2]}{_never(form)}" for form in coverage.forms)
    usable = [f"{coverage[kind].objects:,} {kind}s" for kind in _USABLE if coverage[kind].objects]
    lines.append(f"  usable: {', '.join(usable) or 'nothing'}")
    return "\n".join(lines)


def _never(form: str) -> str:
    return ", which never holds RBAC or NetworkPolicies" if form.startswith(("I9", "I10")) else ""


def _completion(coverage: Coverage) -> str:
    return f"complete it with\n    {COLLECT_RBAC}\n  and add `-f rbac.json`; `--with-defaults` adds the objects that every cluster has"


def questions(coverage: Coverage) -> Iterator[tuple[str, str, str]]:
    """(question, yes | in part | no, why) of everything that can be asked of this coverage."""
    for ask, needs in NEEDS.items():
        lacking = coverage.lacking(needs.warned)
        if not any(coverage[kind].objects for kind in needs.required):
            yield ask, "no", f"no {needs.title} object"
        elif lacking:
            yield ask, "in part", f"{', '.join(lacking)} absent or partial"
        else:
            yield ask, "yes", ""
