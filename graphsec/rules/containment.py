"""What is inside falls with what is around it.

What it is:
Steps that need no request. Code in a pod sees the files of the pod; root on a node sees the files of every pod there. A
right over all objects of a kind in a namespace is a right over each of them, and a node of choice is any node.

Why it matters:
These steps join the others: "any Secret of the namespace" becomes the one Secret that matters.

Needs:
That the object is there: in the namespace, on the node. Where the input does not say on which node a pod runs, that it is the
node that matters is an assumption.

Fix:
Keep what differs in value apart: one namespace for each team and purpose, separate nodes for pods of high value.

References:
- https://kubernetes.io/docs/concepts/security/multi-tenancy/
- attacks.md §3.1, §6 (hub vertices)
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: v1
kind: Node
metadata: {name: worker-1}
---
apiVersion: v1
kind: Secret
metadata: {name: db, namespace: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  nodeName: worker-1
  containers: [{name: web, image: web}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: helper, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: helper}
rules:
- {apiGroups: [""], resources: [secrets], verbs: [list]}
- {apiGroups: [""], resources: [nodes/proxy], verbs: [get], resourceNames: [worker-1]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: helper}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
"""
_BOUND_IN_SHOP = _MANIFESTS.replace(
    "Binding\nmetadata: {name: helper}", "Binding\nmetadata: {name: helper, namespace: shop}"
)

RULE = Rule(
    id="containment",
    title="What is inside falls with what is around it",
    family="identity",
    severity="info",
    confidence=Confidence.CERTAIN,
    needs="a node, a pod, or a right over all objects of a kind",
    gains="the pods of the node, the files of the pod, each object of the kind",
    assumes=("ACCOUNT-EXISTS", "SCHED"),
    core=True,
    examples=(
        Example(
            title="who may list Secrets in a namespace has each of them",
            manifests=_BOUND_IN_SHOP.replace("ClusterRoleBinding", "RoleBinding"),
            start="sa:shop/helper",
            goal="Secret/shop/db",
            verdict="proved",
            edit=("{name: db, namespace: shop}", "{name: db, namespace: bank}"),
        ),
        Example(
            title="the kubelet of a node runs commands in the pods of that node",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="ServiceAccount/shop/default",
            verdict="proved",
            edit=("nodeName: worker-1", "nodeName: worker-2"),
        ),
        Example(
            title="a node gives its pods",
            manifests=_MANIFESTS,
            start="Node/worker-1",
            goal="Pod/shop/web",
            verdict="proved",
            edit=("nodeName: worker-1", "nodeName: worker-2"),
        ),
        Example(
            title="a node gives no pod of another node",
            manifests=_MANIFESTS.replace("nodeName: worker-1", "nodeName: worker-2"),
            start="Node/worker-1",
            goal="ServiceAccount/shop/default",
            verdict="none",
        ),
    ),
)
