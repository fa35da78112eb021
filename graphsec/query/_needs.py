"""Which kinds a question needs (hardening.md §2): refused without, warned about, or answered."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from graphsec.compile import World
from graphsec.compile.endpoints import TEMPLATES
from graphsec.errors import InputError, LimitError
from graphsec.model.coverage import RBAC_KINDS, Coverage, InputForm, State
from graphsec.model.diagnostic import Severity
from graphsec.model.policy_families import POLICY_KINDS, TRAFFIC_KINDS
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
#: What a refused question asks for: little to collect, and the half that is small serves the other questions as well.
_ACCESS = (*RBAC_KINDS, "ServiceAccount", "Namespace", "NetworkPolicy")
_FLOWS = ("Namespace", "Node", "Pod", "Service", "EndpointSlice", "Ingress", "NetworkPolicy")
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
    """``required``: refused (exit 3) if not one object of these is there, or if one of ``decisive`` is absent and the form
    of the input never holds it. ``warned``: answered with a warning and ``complete=False`` if one is absent or partial;
    those of ``whole`` only if partial. ``noted``: named in ``inspect`` only. ``collected``: what a refusal asks for."""

    title: str
    required: tuple[str, ...]
    warned: tuple[str, ...]
    collected: tuple[str, ...]
    #: The file that the advice of a refusal names.
    file: str
    #: What absent objects would do, for the warning.
    effect: str
    decisive: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    noted: tuple[str, ...] = ()
    #: Whether the objects that every cluster is born with (``with_defaults``) are enough of ``required``.
    shipped_suffice: bool = False

    def lacking(self, coverage: Coverage) -> list[str]:
        partial = [kind for kind in self.whole if coverage[kind].state is State.PARTIAL]
        return [*coverage.lacking(self.warned), *partial]


_RBAC = Needs(
    title="RBAC",
    required=RBAC_KINDS,
    warned=RBAC_KINDS,
    collected=_ACCESS,
    file="rbac.json",
    effect="grant",
    noted=("CustomResourceDefinition", "ServiceAccount"),
)
_ATTACK = replace(
    _RBAC,
    warned=(*RBAC_KINDS, "Pod", "Node"),
    collected=(*_ACCESS, "Node", "Pod", "Secret"),
    effect="add or take away",
    noted=("ServiceAccount", "Secret", "Namespace", "PersistentVolume", "ValidatingWebhookConfiguration"),
    shipped_suffice=True,
)
_NETWORK = Needs(
    title="pod or workload",
    required=("Pod", *TEMPLATES),
    warned=("NetworkPolicy", "Namespace"),
    collected=_FLOWS,
    file="network.json",
    effect="change",
    decisive=("NetworkPolicy",),
    whole=("Pod", *TEMPLATES, "Node", *POLICY_KINDS),
    noted=("Service", "EndpointSlice", "Ingress", "Node"),
)
NEEDS = {
    "who-can": _RBAC,
    "can-i": _RBAC,
    "what-can": _RBAC,
    "matrix": _RBAC,
    "bindings": _RBAC,
    "verify": _RBAC,
    "paths": _ATTACK,
    "blast": _ATTACK,
    "choke": _ATTACK,
    "fix": _ATTACK,
    "why-not": _ATTACK,
    "overprivileged": _ATTACK,
    "rbac-lint": _RBAC,
    "access": replace(_ATTACK, noted=("Secret", "PersistentVolumeClaim")),
    "graph": _ATTACK,
    "reach": _NETWORK,
    "exposed": replace(_NETWORK, warned=(*_NETWORK.warned, "Service"), whole=(*_NETWORK.whole, *TRAFFIC_KINDS)),
    "policy-lint": _NETWORK,
    "policy-synthesize": _NETWORK,
}

_ABOUT_FLOWS = frozenset(
    {*(ask for ask, needs in NEEDS.items() if needs.required == _NETWORK.required), "explain", "diff"}
)


def is_about_flows(ask: str) -> bool:
    """Whether a question is about the network; all others are about access."""
    return ask in _ABOUT_FLOWS


def require(world: World, ask: str) -> tuple[bool, tuple[str, ...]]:
    """(complete, warnings) for a question. Raises InputError where the input cannot support any answer."""
    needs = NEEDS[ask]
    coverage = world.coverage
    shipped = needs.shipped_suffice and any(world.cluster.objects.get(kind) for kind in needs.required)
    if not (shipped or _has_any(coverage, needs)) or _never_held(coverage, needs):
        limits = [str(diagnostic) for diagnostic in world.cluster.diagnostics if diagnostic.is_limit]
        errors = [
            str(found) for found in world.cluster.diagnostics if found.severity is Severity.ERROR and not found.is_limit
        ]
        error = LimitError if limits else InputError
        refusal = "\n  ".join([_refusal(ask, needs, coverage), *limits, *errors[:3]])
        raise error(refusal, help=_completion(ask, needs, coverage))
    lacking = needs.lacking(coverage)
    return not lacking, tuple(_warning(coverage, kind, needs) for kind in lacking)


def questions(coverage: Coverage) -> Iterator[tuple[str, str, str]]:
    """(question, yes | in part | no, why) of everything that can be asked of this coverage."""
    for ask, needs in NEEDS.items():
        lacking = needs.lacking(coverage)
        if not _has_any(coverage, needs):
            yield ask, "no", f"not one {needs.title} object"
        elif never := _never_held(coverage, needs):
            yield ask, "no", f"{', '.join(never)} not collected"
        elif lacking:
            yield ask, "in part", ", ".join(f"{kind} {coverage[kind].state}" for kind in lacking)
        else:
            yield ask, "yes", ""


def _has_any(coverage: Coverage, needs: Needs) -> bool:
    return any(coverage[kind].objects for kind in needs.required)


def _never_held(coverage: Coverage, needs: Needs) -> list[str]:
    """Decisive kinds that are absent because no input is of a form that could hold them."""
    return [
        kind
        for kind in needs.decisive
        if coverage[kind].state is State.ABSENT
        and coverage.inputs
        and all(kind in form.never for form in coverage.inputs)
    ]


def _warning(coverage: Coverage, kind: str, needs: Needs) -> str:
    entry = coverage[kind]
    reasons = f" ({'; '.join(entry.reasons)})" if entry.reasons else ""
    if entry.state is State.ABSENT:
        return f"no {kind} in the input{reasons}: what such objects would {needs.effect} is unknown"
    return f"{kind} only in part{reasons}"


def _refusal(ask: str, needs: Needs, coverage: Coverage) -> str:
    lost = [coverage[kind] for kind in needs.required if coverage[kind].state is State.PARTIAL]
    usable = [counted(coverage[kind].objects, kind) for kind in _USABLE if coverage[kind].objects]
    lines = [
        _lack(ask, needs, coverage),
        *(f"  {_described(given, needs)}" for given in coverage.inputs),
        *(f"  {entry.kind} was lost: {'; '.join(entry.reasons)}" for entry in lost),
        f"  usable: {', '.join(usable) or 'nothing'}",
    ]
    return "\n".join(lines)


def _lack(ask: str, needs: Needs, coverage: Coverage) -> str:
    if never := _never_held(coverage, needs):
        return f"{ask} needs {', '.join(never)}, which this form of input never holds: what is denied is not known"
    if len(needs.required) == len(RBAC_KINDS):
        return f"{ask} needs {needs.title}; this input has 0 of {len(needs.required)} {needs.title} kinds"
    return f"{ask} needs a {needs.title}; this input has none"


def _described(given: InputForm, needs: Needs) -> str:
    lacks_all = needs.required if {*needs.required} <= {*given.never} else ()
    lacks = [*([needs.title] if lacks_all else []), *(["NetworkPolicies"] if "NetworkPolicy" in given.never else [])]
    never = f": never {' or '.join(lacks)}" if lacks else ""
    return f"{_shown(given)} is a {given.title}{never}"


def _shown(given: InputForm) -> str:
    return "standard input" if given.path == "-" else given.path


def _completion(ask: str, needs: Needs, coverage: Coverage) -> str:
    missing = [kind for kind in needs.collected if kind in needs.required or not coverage[kind].objects]
    # A mapping from Python has no path that a command line could name.
    given = dict.fromkeys(form.given for form in coverage.inputs if not form.given.startswith("<"))
    files = " ".join(f"-f {shlex.quote(path)}" for path in (*given, needs.file))
    return "\n".join(
        (
            "complete it with",
            f"    {collect(missing, needs.file)}",
            f"    graphsec {ask.replace('policy-', 'policy ')} ... {files}",
        )
    )
