"""Which kinds a question needs (hardening.md §2): refused without, warned about, or answered."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from graphsec.compile import World
from graphsec.errors import InputError, LimitError
from graphsec.model.coverage import RBAC_KINDS, Coverage, InputForm, State
from graphsec.model.text import counted

#: Everything that graphsec reads, as kubectl names it, in the order of the command that collects it.
RESOURCES = {
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "Role": "roles",
    "RoleBinding": "rolebindings",
    "ServiceAccount": "serviceaccounts",
    "Namespace": "namespaces",
    "Node": "nodes",
    "Pod": "pods",
    "Deployment": "deployments",
    "StatefulSet": "statefulsets",
    "DaemonSet": "daemonsets",
    "ReplicaSet": "replicasets",
    "Job": "jobs",
    "CronJob": "cronjobs",
    "Service": "services",
    "EndpointSlice": "endpointslices",
    "Ingress": "ingresses",
    "NetworkPolicy": "networkpolicies",
    "PersistentVolume": "persistentvolumes",
    "PersistentVolumeClaim": "persistentvolumeclaims",
    "ConfigMap": "configmaps",
    "CustomResourceDefinition": "customresourcedefinitions",
    "ValidatingWebhookConfiguration": "validatingwebhookconfigurations",
    "MutatingWebhookConfiguration": "mutatingwebhookconfigurations",
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
    "CertificateSigningRequest": "certificatesigningrequests",
}
#: What a refused question on access asks for: little to collect, and it serves the questions on flows as well.
_ACCESS = (*RBAC_KINDS, "ServiceAccount", "Namespace", "NetworkPolicy")
_USABLE = ("Pod", "Deployment", "StatefulSet", "DaemonSet", "Service", "ServiceAccount", "NetworkPolicy", "Node")


def collect(kinds: Iterable[str], file: str) -> str:
    """The read-only command that collects ``kinds`` into ``file``."""
    wanted = set(kinds)
    return f"kubectl get {','.join(name for kind, name in RESOURCES.items() if kind in wanted)} -A -o json > {file}"


COLLECT = collect(RESOURCES, "cluster.json")
COLLECT_SECRETS = (
    "kubectl get secrets -A -o custom-columns=NS:.metadata.namespace,NAME:.metadata.name,TYPE:.type > secrets.txt"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """``required``: refused (exit 3) if not one object of these is there. ``warned``: answered with a warning and
    ``complete=False`` if one is absent or partial. ``noted``: named in ``inspect`` only."""

    title: str
    required: tuple[str, ...]
    warned: tuple[str, ...]
    noted: tuple[str, ...] = ()


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
    if not _has_any(coverage, needs):
        limits = [str(diagnostic) for diagnostic in world.cluster.diagnostics if diagnostic.is_limit]
        error = LimitError if limits else InputError
        refusal = "\n  ".join([_refusal(ask, needs, coverage), *limits])
        raise error(refusal, help=_completion(ask, coverage))
    lacking = coverage.lacking(needs.warned)
    return not lacking, tuple(_warning(coverage, kind) for kind in lacking)


def questions(coverage: Coverage) -> Iterator[tuple[str, str, str]]:
    """(question, yes | in part | no, why) of everything that can be asked of this coverage."""
    for ask, needs in NEEDS.items():
        lacking = coverage.lacking(needs.warned)
        if not _has_any(coverage, needs):
            yield ask, "no", f"not one {needs.title} object"
        elif lacking:
            yield ask, "in part", ", ".join(f"{kind} {coverage[kind].state}" for kind in lacking)
        else:
            yield ask, "yes", ""


def _has_any(coverage: Coverage, needs: Needs) -> bool:
    return any(coverage[kind].objects for kind in needs.required)


def _warning(coverage: Coverage, kind: str) -> str:
    entry = coverage[kind]
    reasons = f" ({'; '.join(entry.reasons)})" if entry.reasons else ""
    if entry.state is State.ABSENT:
        return f"no {kind} in the input{reasons}: what such objects would grant is unknown"
    return f"{kind} only in part{reasons}"


def _refusal(ask: str, needs: Needs, coverage: Coverage) -> str:
    total = len(needs.required)
    lost = [coverage[kind] for kind in needs.required if coverage[kind].state is State.PARTIAL]
    usable = [counted(coverage[kind].objects, kind) for kind in _USABLE if coverage[kind].objects]
    lines = [
        f"{ask} needs {needs.title}; this input has 0 of {total} {needs.title} kinds",
        *(f"  {_described(given, needs)}" for given in coverage.inputs),
        *(f"  {entry.kind} was lost: {'; '.join(entry.reasons)}" for entry in lost),
        f"  usable: {', '.join(usable) or 'nothing'}",
    ]
    return "\n".join(lines)


def _described(given: InputForm, needs: Needs) -> str:
    never = f": never {needs.title} or NetworkPolicies" if {*needs.required} <= {*given.never} else ""
    return f"{_shown(given)} is a {given.title}{never}"


def _shown(given: InputForm) -> str:
    return "standard input" if given.path == "-" else given.path


def _completion(ask: str, coverage: Coverage) -> str:
    missing = [kind for kind in _ACCESS if kind in RBAC_KINDS or not coverage[kind].objects]
    # A mapping from Python has no path that a command line could name.
    given = [form.path for form in coverage.inputs if not form.path.startswith("<")]
    files = " ".join(f"-f {shlex.quote(path)}" for path in (*given, "rbac.json"))
    return "\n".join(
        (
            "complete it with",
            f"    {collect(missing, 'rbac.json')}",
            f"    graphsec {ask} ... {files}",
        )
    )
