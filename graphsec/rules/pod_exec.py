"""Run a command in a container that already runs.

What it is:
`kubectl exec` opens a process in a container. The request is `create` on `pods/exec` (POST), or `get` where a WebSocket is
opened; from Kubernetes 1.35 on a WebSocket needs `create` as well.

Why it matters:
The process is the pod: it reads the token of the pod's ServiceAccount, its mounted Secrets, and has its access to the node.
Pod Security does not judge an exec, so even a privileged pod in a restricted namespace can be entered.

Needs:
`create` on `pods/exec` in the pod's namespace (names of pods may limit it). `get` alone works below 1.35, or where the
feature gate AuthorizePodWebsocketUpgradeCreatePermission is off. `get pods` is not needed. `pods/*` grants nothing.

Fix:
Bind exec to people, for a short time, and limit it to names. Give debugging its own namespace.

References:
- https://kubernetes.io/docs/concepts/security/rbac-good-practices/
- rbac.md S-37, S-93; attacks.md §3.5
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  serviceAccountName: web
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
kind: Role
metadata: {name: helper, namespace: shop}
rules:
- {apiGroups: [""], resources: [pods/exec], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: helper, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
"""

RULE = Rule(
    id="pod-exec",
    title="Run a command in a container that already runs",
    family="execution",
    severity="high",
    confidence=Confidence.CERTAIN,
    needs="create pods/exec (below 1.35 get is enough)",
    assumes=("GATE-OFF",),
    gains="the pod: its ServiceAccount's token, what it mounts, its access to the node",
    attack=("T1609",),
    microsoft=("MS-TA9006",),
    core=True,
    examples=(
        Example(
            title="an account that may exec takes over the pod's account",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="ServiceAccount/shop/web",
            verdict="proved",
            edit=("pods/exec", "pods/*"),
        ),
        Example(
            title="get alone opens no WebSocket from 1.35 on",
            manifests=_MANIFESTS.replace("verbs: [create]", "verbs: [get]"),
            start="sa:shop/helper",
            goal="ServiceAccount/shop/web",
            verdict="conditional",
            edit=("get", "list"),
        ),
        Example(
            title="get alone is enough before 1.35",
            manifests=_MANIFESTS.replace("verbs: [create]", "verbs: [get]"),
            start="sa:shop/helper",
            goal="ServiceAccount/shop/web",
            verdict="proved",
            edit=("get", "list"),
            k8s_version="1.34",
        ),
        Example(
            title="a pod that mounts no token gives no account",
            manifests=_MANIFESTS.replace("spec:\n", "spec:\n  automountServiceAccountToken: false\n"),
            start="sa:shop/helper",
            goal="ServiceAccount/shop/web",
            verdict="none",
        ),
    ),
)
