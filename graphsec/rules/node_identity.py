"""A node holds the credential of its kubelet.

What it is:
Root on a node reads the kubelet's client certificate and makes requests as `system:node:NAME` in group `system:nodes`. The
Node authorizer lets that identity act for the pods of the node, whatever RBAC says.

Why it matters:
It may read the Secrets and ConfigMaps that pods on the node use, and request tokens of their ServiceAccounts, also of pods
that mount none. Pods that have ended count while their objects stay.

Needs:
Control of the node. Its reach is the pods placed there, and what RBAC grants to the user or to `system:nodes` besides. No
account comes with a mirror pod. NodeRestriction is taken to be on: with it RBAC gives a kubelet no pod but mirror pods, no
token or eviction beyond its own pods, no other node, no certificate in another node's name.

Fix:
Keep workloads of different value on different nodes. Keep the admission plugin NodeRestriction on, and bind nothing to
`system:nodes`.

References:
- https://kubernetes.io/docs/reference/access-authn-authz/node/
- rbac.md S-80, S-81; attacks.md §3.1, §4.2
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
kind: ServiceAccount
metadata: {name: web, namespace: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  nodeName: worker-1
  serviceAccountName: web
  automountServiceAccountToken: false
  containers:
  - name: web
    image: web
    env: [{name: PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}]
"""

_GRANTED = """
apiVersion: v1
kind: Node
metadata: {name: worker-1}
---
apiVersion: v1
kind: Secret
metadata: {name: vault, namespace: bank}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: kubelets}
rules: [{apiGroups: [""], resources: [pods], verbs: [create]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: kubelets}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: kubelets}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: system:nodes}]
"""

RULE = Rule(
    id="node-identity",
    title="A node holds the credential of its kubelet",
    family="nodes",
    severity="medium",
    confidence=Confidence.CERTAIN,
    needs="control of a node",
    gains="user system:node:NAME: Secrets that pods there use, tokens of their ServiceAccounts",
    attack=("T1552.004", "T1078"),
    core=True,
    examples=(
        Example(
            title="the kubelet reads a Secret that a pod of its node uses",
            manifests=_MANIFESTS,
            start="Node/worker-1",
            goal="Secret/shop/db",
            verdict="proved",
            edit=("nodeName: worker-1", "nodeName: worker-2"),
        ),
        Example(
            title="it requests a token of the pod's account, though the pod mounts none",
            manifests=_MANIFESTS,
            start="Node/worker-1",
            goal="ServiceAccount/shop/web",
            verdict="proved",
            edit=("  serviceAccountName: web\n", ""),
        ),
        Example(
            title="a Secret that no pod of the node uses stays out of reach",
            manifests=_MANIFESTS.replace("secretKeyRef: {name: db", "secretKeyRef: {name: other"),
            start="Node/worker-1",
            goal="Secret/shop/db",
            verdict="none",
        ),
        Example(
            title="what is granted to all kubelets counts",
            manifests=_GRANTED.replace("resources: [pods]", "resources: [secrets]").replace("create", "get"),
            start="Node/worker-1",
            goal="Secret/bank/vault",
            verdict="proved",
            edit=("name: system:nodes", "name: others"),
        ),
        Example(
            title="a pod of its own making NodeRestriction keeps from it",
            manifests=_GRANTED,
            start="Node/worker-1",
            goal="Secret/bank/vault",
            verdict="none",
        ),
    ),
)
