"""Code in a pod holds the token of the pod's ServiceAccount.

What it is:
When a pod is created, a token of its ServiceAccount is mounted into its containers. Whoever runs code there reads the file
and makes requests as that account.

Why it matters:
Every way into a container becomes a way to the API. An account named `default` is mounted as well as any other.

Needs:
Automount: the pod's `automountServiceAccountToken` if set, else that of the ServiceAccount, else yes; ephemeral containers
and those with a mount of their own at the token's path take none. Or a projected `serviceAccountToken` volume, mounted in
some container, for the audience of the API server. A mirror pod has no token.

Fix:
Set `automountServiceAccountToken: false` on the ServiceAccount and on pods that do not call the API. Give the others an
account of their own with few rights.

References:
- https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/
- rbac.md S-92, S-93; attacks.md §3.1
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  serviceAccountName: web
  containers: [{name: web, image: web}]
"""
_PROJECTED = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop}
automountServiceAccountToken: false
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  serviceAccountName: web
  containers:
  - {name: web, image: web, volumeMounts: [{name: token, mountPath: /token}]}
  volumes:
  - {name: token, projected: {sources: [{serviceAccountToken: {path: token}}]}}
"""

RULE = Rule(
    id="pod-assumes-sa",
    title="Code in a pod holds the token of the pod's ServiceAccount",
    family="identity",
    severity="info",
    confidence=Confidence.CERTAIN,
    needs="code in a pod that mounts a token for the API server",
    gains="the pod's ServiceAccount",
    attack=("T1528",),
    microsoft=("MS-TA9016",),
    core=True,
    examples=(
        Example(
            title="the token is mounted unless somebody says no",
            manifests=_MANIFESTS,
            start="Pod/shop/web",
            goal="ServiceAccount/shop/web",
            verdict="proved",
            edit=("  serviceAccountName: web", "  serviceAccountName: web\n  automountServiceAccountToken: false"),
        ),
        Example(
            title="a projected token serves as well, though automount is off",
            manifests=_PROJECTED,
            start="Pod/shop/web",
            goal="ServiceAccount/shop/web",
            verdict="proved",
            edit=("{path: token}", "{path: token, audience: vault}"),
        ),
        Example(
            title="the ServiceAccount can say no for its pods",
            manifests=_PROJECTED.replace(", volumeMounts: [{name: token, mountPath: /token}]", ""),
            start="Pod/shop/web",
            goal="ServiceAccount/shop/web",
            verdict="none",
        ),
    ),
)
