"""Create a workload that opens its node.

What it is:
A pod may ask for what breaks it out of its container: `privileged`, a host path, host namespaces, capabilities. Whoever
writes the pod also says where it runs, so that tolerations and selectors keep nobody off a node.

Why it matters:
Root on a node is all its pods, their tokens and Secrets, and the kubelet's credential. A pod on a node of the control
plane is the cluster.

Needs:
The right to create a workload, in a namespace whose Pod Security level admits such a field. Pods are judged, not the
objects that they come of: a Deployment is accepted and its pods are refused. Without a label the level is the cluster's
default, which the input does not show: assumed to be privileged.

Fix:
Label namespaces `pod-security.kubernetes.io/enforce: restricted`, or `baseline` at least. Keep privileged workloads in
namespaces in which nobody else creates pods.

References:
- https://kubernetes.io/docs/concepts/security/pod-security-standards/
- https://kubernetes.io/docs/concepts/security/pod-security-admission/
- attacks.md §3.2, §4.1, §4.2
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {pod-security.kubernetes.io/enforce: privileged}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: helper, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: helper, namespace: shop}
rules:
- {apiGroups: ["apps"], resources: [daemonsets], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: helper, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
"""

RULE = Rule(
    id="workload-create-to-node",
    title="Create a workload that opens its node",
    family="workloads",
    severity="high",
    confidence=Confidence.CERTAIN,
    needs="create pods, in a namespace whose Pod Security level admits a field that opens the node",
    gains="root on nodes of choice",
    attack=("T1610", "T1611"),
    microsoft=("MS-TA9018", "MS-TA9013"),
    assumes=("PSA", "WEBHOOK", "SCHED"),
    core=True,
    examples=(
        Example(
            title="the namespace is labelled privileged",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="node",
            verdict="conditional",
            edit=("enforce: privileged", "enforce: baseline"),
        ),
        Example(
            title="a namespace without a label takes the default of the cluster",
            manifests=_MANIFESTS.replace(", labels: {pod-security.kubernetes.io/enforce: privileged}", ""),
            start="sa:shop/helper",
            goal="node",
            verdict="conditional",
            edit=("verbs: [create]", "verbs: [get]"),
        ),
        Example(
            title="the object is let in at baseline, its pods are not",
            manifests=_MANIFESTS.replace("privileged", "baseline"),
            start="sa:shop/helper",
            goal="node",
            verdict="none",
        ),
        Example(
            title="a level that is none counts as restricted",
            manifests=_MANIFESTS.replace("privileged", "privilged"),
            start="sa:shop/helper",
            goal="node",
            verdict="none",
        ),
    ),
)
