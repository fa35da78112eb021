"""Drive pods to a node under control.

What it is:
Pods that are removed come back on a node that takes them. Whoever has a node, cordons all others and removes pods gets
them on his own.

Why it matters:
Node by node an attacker would have to look for the pods of value. This way they come to him, and with them their tokens
and Secrets.

Needs:
Root on some node; `delete` on `pods` or on `nodes`, or `create` on `pods/eviction`; and `update` or `patch` on `nodes`
or `nodes/status`, to keep the other nodes from taking pods. They may belong to different identities under control.
Without the node it is a nuisance and no gain. Pods must have a controller, and the scheduler no other place: an
assumption.

Fix:
Grant changes of nodes to the operators only. Tie pods of high value to nodes of their own, by required affinity.

References:
- https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/
- https://kubernetes.io/docs/reference/access-authn-authz/node/
- attacks.md §2.9, §3.7
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: v1
kind: Pod
metadata: {name: agent, namespace: shop}
spec: {nodeName: worker-1, serviceAccountName: agent, containers: [{name: agent, image: agent}]}
---
apiVersion: v1
kind: Pod
metadata: {name: api, namespace: mail}
spec: {nodeName: worker-2, serviceAccountName: api, containers: [{name: api, image: api}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: agent}
rules:
- {apiGroups: [""], resources: [pods/eviction], verbs: [create]}
- {apiGroups: [""], resources: [nodes], verbs: [patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: agent}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: agent}
subjects: [{kind: ServiceAccount, name: agent, namespace: shop}]
"""

RULE = Rule(
    id="steal-pods",
    title="Drive pods to a node under control",
    family="nodes",
    severity="high",
    confidence=Confidence.CERTAIN,
    needs="a node under control, remove pods, change nodes",
    gains="the pods that can be removed",
    attack=("T1528",),
    assumes=("SCHED",),
    examples=(
        Example(
            title="a pod on another node is driven to this one",
            manifests=_MANIFESTS,
            start="Node/worker-1",
            goal="ServiceAccount/mail/api",
            verdict="conditional",
            edit=("resources: [nodes]", "resources: [leases]"),
        ),
        Example(
            title="without a node there is no place to drive them to",
            manifests=_MANIFESTS,
            start="sa:shop/agent",
            goal="ServiceAccount/mail/api",
            verdict="none",
        ),
        Example(
            title="the pods of a node that is deleted are removed",
            manifests=_MANIFESTS.replace("pods/eviction], verbs: [create]", "nodes], verbs: [delete]"),
            start="Node/worker-1",
            goal="ServiceAccount/mail/api",
            verdict="conditional",
            edit=("verbs: [patch]", "verbs: [get]"),
        ),
        Example(
            title="cordoning the own node keeps the others open",
            manifests=_MANIFESTS.replace("verbs: [patch]", "verbs: [patch], resourceNames: [worker-1]"),
            start="Node/worker-1",
            goal="ServiceAccount/mail/api",
            verdict="none",
        ),
    ),
)
