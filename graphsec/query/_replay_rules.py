"""The table of ``replay``: for each rule and the kinds of facts that it joins, what the step must show (attacks.md §3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from graphsec.query import _replay_requests as q
from graphsec.query._replay_case import (
    Check,
    admitted,
    asks,
    both,
    rests,
    same_scope,
    to_account,
    to_pod,
    to_secret,
)
from graphsec.query._replay_escapes import ESCAPES
from graphsec.query._replay_pods import (
    annotated,
    as_kubelet,
    aws_auth,
    by_port,
    changes_any_controller,
    changes_controller,
    claims_free_volume,
    claims_host_volume,
    creates_pod,
    debug_reads,
    debugs_node,
    deputy,
    escapes,
    holds_token_of,
    host_pod,
    judged,
    kubelet_lends,
    logs,
    machine,
    maybe_control_plane,
    maybe_token_secret,
    minted_bootstrap,
    mints,
    mints_alone,
    on_control_plane,
    pod_token,
    power_to_read,
    proxied_node,
    read_bootstrap,
    relaxed,
    relaxed_change,
    squats,
    steals,
    to_port,
    with_power,
)
from graphsec.query._replay_rbac import (
    acts_as,
    acts_as_node,
    becomes_account,
    becomes_member,
    becomes_node,
    becomes_user,
    binds,
    bound,
    by_certificate,
    certificate,
    everything,
    feeds_held,
    from_cluster,
    grant_of_everything,
    membership,
    power,
    rewrites_all,
    rewrites_held,
    updates_binding,
    whole_namespace,
    writes_missing,
)
from graphsec.query._replay_structure import CONTAINMENT, each_of, same_name

if TYPE_CHECKING:
    from graphsec.query.paths import Step


# -- The table: kinds of premises and what they give; `id` is a User, ServiceAccount, Group, Identity or Grant ------

_DEPLOYERS = (
    ("kustomize.toolkit.fluxcd.io", "kustomizations"),
    ("helm.toolkit.fluxcd.io", "helmreleases"),
    ("argoproj.io", "applications"),
)
_POD_MAKERS = (
    *(("argoproj.io", name) for name in ("workflows", "cronworkflows", "rollouts")),
    *(("tekton.dev", name) for name in ("taskruns", "pipelineruns")),
    *(("kubevirt.io", name) for name in ("virtualmachines", "virtualmachineinstances")),
    ("jobset.x-k8s.io", "jobsets"),
    ("serving.knative.dev", "services"),
    ("sparkoperator.k8s.io", "sparkapplications"),
    ("monitoring.coreos.com", "prometheuses"),
    ("opentelemetry.io", "opentelemetrycollectors"),
    ("actions.github.com", "autoscalingrunnersets"),
)
_READS = {
    "id > Secrets": asks(q.READ_SECRETS),
    "id > Secret": both(asks(q.READ_SECRETS), to_secret),
    "id > Power": power_to_read(q.READ_SECRETS),
}
_WRITES_OUT = {
    "id > Secrets": asks(q.WRITE_OUT_SECRETS),
    "id > Secret": both(asks(q.WRITE_OUT_SECRETS), to_secret),
    "id > Power": power_to_read(q.WRITE_OUT_SECRETS),
}


def _cloud(attribute: str) -> Mapping[str, Check]:
    return dict.fromkeys(
        (f"{kind} > CloudIdentity" for kind in ("ServiceAccounts", "Power", "PodFiles", "id")), annotated(attribute)
    )


_SQUAT = {
    "Power+ServiceAccounts > ServiceAccount": squats,
    "Power+Power > ServiceAccount": squats,
    "Power+Power+ServiceAccounts > ServiceAccount": squats,
    "Power+Power+Power > ServiceAccount": squats,
}
_ESCAPE = {
    f"{place} > {gain}": escapes
    for place in ("Pod", "PodsLike", "NodePods")
    for gain in ("Node", "NodeIdentity", "NodePods", "Cluster")
}
_LOGS = {f"{place}+Power > {gain}": logs for place in ("Pod", "PodsLike") for gain in ("NodeIdentity", "NodePods")}

RULES: dict[str, Mapping[str, Check]] = {
    "containment": CONTAINMENT,
    "implicit-group": {"id > Group": membership, "id > User": membership},
    "cluster-admin-equivalent": {
        "id > Cluster": everything,
        **{
            f"Cluster > {kind}": from_cluster
            for kind in ("Pods", "Secrets", "ServiceAccounts", "Users", "Nodes", "User", "Group", "ServiceAccount")
        },
    },
    "rbac-grant": {
        "id > Grant": grant_of_everything,
        "id > Power": power,
        "id > Held": bound,
        **{f"id > {kind}": whole_namespace for kind in ("Pods", "Secrets", "ServiceAccounts")},
    },
    "workload-create-as-sa": {
        "id > NewPod": creates_pod,
        "NewPod > ServiceAccounts": same_scope,
    },
    "workload-create-mounts-data": {"NewPod > Secrets": same_scope},
    "workload-create-to-node": {
        "NewPod > NewHostPod": host_pod,
        "NewHostPod > Nodes": rests("SCHED"),
    },
    "workload-update": {"id > NewPod": changes_controller, "Power > NewPod": changes_any_controller},
    "pod-exec": {"id > Pods": asks(q.EXEC), "id > Pod": both(asks(q.EXEC), to_pod)},
    "pod-attach": {"id > Pods": asks(q.ATTACH, "RUNTIME"), "id > Pod": both(asks(q.ATTACH, "RUNTIME"), to_pod)},
    "pod-image-replace": {
        "id > NewImages": asks(q.CHANGE_PODS, admitted=True),
        "id > Pod": both(asks(q.CHANGE_PODS, admitted=True), judged),
        "NewImages > Pod": each_of(judged),
        "NewImages > PodsLike": each_of(judged),
    },
    "ephemeral-container": {
        "id > Debug": asks(q.DEBUG, admitted=True),
        "id > Pod": both(asks(q.DEBUG, admitted=True), judged),
        "id > Node": debugs_node,
        "id > Nodes": debugs_node,
        "id > Secrets": debug_reads,
        "Debug > Pod": each_of(judged),
        "Debug > PodsLike": each_of(judged),
        "Debug > Secrets": debug_reads,
        "Debug > Node": debugs_node,
        "Debug > Nodes": debugs_node,
    },
    "nodes-proxy-exec": {"id > Pods": asks(q.PROXY, cluster=True), "id > NodePods": proxied_node},
    "secret-read": _READS,
    "secret-read-by-write": _WRITES_OUT,
    "token-secret-read": {"Secret > ServiceAccount": holds_token_of, "Secrets > ServiceAccounts": maybe_token_secret},
    "token-secret-mint": {
        "Power+Secrets > ServiceAccounts": mints,
        "Power+Power > ServiceAccounts": mints,
        "Power > ServiceAccounts": mints,
        "Power+Secret > ServiceAccounts": mints,
        "id > ServiceAccounts": mints_alone,
    },
    "bootstrap-token": {"Power > Group": minted_bootstrap, "Secret > Group": read_bootstrap},
    "token-request": {
        "id > ServiceAccounts": asks(q.REQUEST_TOKENS),
        "id > ServiceAccount": both(asks(q.REQUEST_TOKENS), to_account),
    },
    "sa-squat": _SQUAT,
    "namespace-squat": _SQUAT,
    "pod-assumes-sa": {"PodFiles > ServiceAccount": pod_token},
    "role-bind": {"id > Grant": binds, "Grant+Power > Cluster": writes_missing, "Grant+Power > Grant": writes_missing},
    "binding-update": {"id > Grant": updates_binding},
    "role-escalate": {
        "id > Cluster": rewrites_all,
        "Held+Power > Cluster": rewrites_held,
        "Held+Power > Grant": rewrites_held,
    },
    "dangling-role-ref": {"Held+Power > Cluster": writes_missing, "Held+Power > Grant": writes_missing},
    "aggregation-label": {"Held+Power > Cluster": feeds_held, "Held+Power > Grant": feeds_held},
    "impersonate": {
        "id > ServiceAccounts": becomes_account,
        "id > ServiceAccount": becomes_account,
        "id > Users": becomes_user,
        "id > User": becomes_user,
        "id > NodeIdentity": becomes_node,
        "id > Identity": becomes_member,
    },
    "impersonate-constrained": {
        "id > Identity": acts_as,
        "id > Secret": acts_as_node(("get", "list", "watch"), "secrets"),
        "id > ServiceAccount": acts_as_node(("create",), "serviceaccounts", "token"),
    },
    "csr-client-cert": {
        "Power+Power+Power > Identity": certificate(
            "request client certificates", "read issued certificates", "approve client certificates", certifies=True
        ),
        **{
            f"id > {kind}": by_certificate
            for kind in ("Users", "User", "ServiceAccounts", "ServiceAccount", "NodeIdentity")
        },
    },
    "csr-sign": {
        "Power+Power+Power > Identity": certificate(
            "request client certificates",
            "read issued certificates",
            "sign client certificates",
            certifies=True,
            needs=("CA-KEY",),
        )
    },
    "kubelet-client-csr": {
        "Power+Power > NodeIdentity": certificate(
            "have kubelet certificates approved",
            "read issued certificates",
            certifies=False,
            needs=("BOOTSTRAP-AUTH",),
        ),
        "Power+Power+Power > NodeIdentity": certificate(
            "request kubelet certificates", "read issued certificates", "approve kubelet certificates", certifies=False
        ),
    },
    "node-identity": {
        "Node > NodeIdentity": same_name,
        "NodeIdentity > Identity": as_kubelet,
        "NodeIdentity > ServiceAccount": kubelet_lends,
        "NodeIdentity > Secret": kubelet_lends,
    },
    "control-plane-node": {"Node > Cluster": on_control_plane, "Nodes > Cluster": maybe_control_plane},
    "pv-hostpath": {"NewPod+Power > Nodes": with_power("create persistentvolumes", needs=("SCHED",))},
    "pv-claim-available": {"NewPod > Nodes": claims_free_volume},
    "pvc-existing-hostpath": {"NewPod > Nodes": claims_host_volume},
    "psa-label-relax": {
        "NewPod+Power > NewHostPod": relaxed,
        **{
            f"{change}+Power > {kind}": relaxed_change
            for change in ("Debug", "NewImages", "Power")
            for kind in ("Pod", "PodsLike", "Node", "Nodes", "Secrets")
        },
    },
    "mutating-webhook-control": {"Power > NewPod": with_power("write mutating webhooks", needs=("WRITER",), count=1)},
    "mutating-admission-policy": {
        "Power > NewPod": with_power("write mutating admission policies", needs=("WRITER",), count=1)
    },
    "steal-pods": dict.fromkeys((f"Node+Power+Power > {kind}" for kind in ("Pods", "Pod", "NodePods")), steals),
    "irsa-assume": _cloud("aws_role"),
    "gke-workload-identity": _cloud("google_account"),
    "aks-workload-identity": _cloud("azure_client"),
    "imds-credential": {"Pod > CloudIdentity": machine, "PodsLike > CloudIdentity": machine},
    "network-reach": {
        **dict.fromkeys(("Internet > Port", "Pod > Port", "PodsLike > Port"), to_port),
        **dict.fromkeys(("Port > Pod", "Port > PodsLike"), by_port),
    },
    "aws-auth-edit": {"id > Cluster": aws_auth},
    "confused-deputy": {
        "id > NewPod": both(deputy(*_POD_MAKERS), admitted),
        "id > ServiceAccount": deputy(*_DEPLOYERS, change=True),
        "id > Cluster": deputy(("velero.io", "restores")),
    },
    **{rule: _LOGS if rule == "escape-var-log" else _ESCAPE for rule in ESCAPES},
}


def shape(step: Step) -> str:
    """`Held+Power > Cluster`."""
    kinds = [fact.kind for fact in step.premises]
    before = ["id"] if len(kinds) == 1 and kinds[0].is_identity else sorted(kind.value for kind in kinds)
    return f"{'+'.join(before)} > {step.after.kind.value}"
