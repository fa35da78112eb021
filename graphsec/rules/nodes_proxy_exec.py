"""Run commands in pods through the kubelet.

What it is:
The kubelet serves exec, attach and logs itself, and takes `nodes/proxy` as the right to all of them. `get` is enough: a
WebSocket opens an exec with a GET. The way leads through the API server, or straight to port 10250 of the node.

Why it matters:
Rights meant for reading metrics run commands in every pod of a node, those of the control plane included. Admission and
the audit log of exec do not see it. It gives the pods, not the node itself.

Needs:
`get` or `create` on `nodes/proxy` by a ClusterRoleBinding; names of nodes may limit it. A RoleBinding grants nothing
here, and `nodes/*` is no pattern. `get pods/exec` is not needed.

Fix:
Grant the subresource that is meant: `nodes/metrics`, `nodes/stats`, `nodes/log`; from 1.33 on also `nodes/pods`,
`nodes/healthz`, `nodes/configz`.

References:
- https://kubernetes.io/docs/reference/access-authn-authz/kubelet-authn-authz/
- rbac.md S-38; attacks.md §3.5
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  serviceAccountName: web
  nodeName: worker-1
  containers: [{name: web, image: web}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: helper, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: helper}
rules:
- {apiGroups: [""], resources: [nodes/proxy], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: helper}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
"""
_BOUND_IN_SHOP = _MANIFESTS.replace(
    "kind: ClusterRoleBinding\nmetadata: {name: helper}", "kind: RoleBinding\nmetadata: {name: helper, namespace: shop}"
)

RULE = Rule(
    id="nodes-proxy-exec",
    title="Run commands in pods through the kubelet",
    family="execution",
    severity="high",
    confidence=Confidence.CERTAIN,
    needs="get or create nodes/proxy at cluster scope",
    gains="every pod on the nodes that the grant names",
    attack=("T1609",),
    microsoft=("MS-TA9006", "MS-TA9030"),
    core=True,
    examples=(
        Example(
            title="get is enough for an exec",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="ServiceAccount/shop/web",
            verdict="proved",
            edit=("nodes/proxy", "nodes/*"),
        ),
        Example(
            title="limited to the node of the pod",
            manifests=_MANIFESTS.replace("verbs: [get]", "verbs: [create], resourceNames: [worker-1]"),
            start="sa:shop/helper",
            goal="ServiceAccount/shop/web",
            verdict="proved",
            edit=("[worker-1]", "[worker-2]"),
        ),
        Example(
            title="a RoleBinding grants nothing on nodes",
            manifests=_BOUND_IN_SHOP,
            start="sa:shop/helper",
            goal="ServiceAccount/shop/web",
            verdict="none",
        ),
        Example(
            title="it is no root on the node",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="Node/worker-1",
            verdict="none",
        ),
    ),
)
