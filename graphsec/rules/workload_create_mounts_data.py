"""Create a workload that mounts Secrets and other data.

What it is:
A new pod may mount any Secret, ConfigMap or claim of its namespace, or read it into its environment. The kubelet
fetches the content; the writer of the pod needs no right to read it.

Why it matters:
Creating pods in a namespace reads all its Secrets, whether or not some pod uses them.

Needs:
The same as for creating a workload as another account. `patch` on pods is not enough, as the volumes of a pod do not
change.

Fix:
Keep Secrets of different owners in different namespaces. Do not grant the creation of workloads where `get secrets`
would be too much.

References:
- https://kubernetes.io/docs/concepts/security/secrets-good-practices/
- attacks.md §3.2
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: v1
kind: Secret
metadata: {name: db, namespace: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: helper, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: helper, namespace: shop}
rules:
- {apiGroups: ["batch"], resources: [jobs], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: helper, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
"""

RULE = Rule(
    id="workload-create-mounts-data",
    title="Create a workload that mounts Secrets and other data",
    family="workloads",
    severity="high",
    confidence=Confidence.CERTAIN,
    needs="create pods or something that pods come of",
    gains="every Secret, ConfigMap and claim of the namespace",
    attack=("T1610", "T1552"),
    microsoft=("MS-TA9008",),
    assumes=("WEBHOOK",),
    core=True,
    examples=(
        Example(
            title="a Job mounts a Secret that its writer may not read",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="Secret/shop/db",
            verdict="conditional",
            edit=("verbs: [create]", "verbs: [get, list]"),
        ),
        Example(
            title="a template of a Deployment that is changed does the same",
            manifests=_MANIFESTS.replace('["batch"], resources: [jobs]', '["apps"], resources: [deployments]'),
            start="sa:shop/helper",
            goal="Secret/shop/db",
            verdict="conditional",
            edit=("resources: [deployments]", "resources: [controllerrevisions]"),
        ),
        Example(
            title="a running pod takes no further volume",
            manifests=_MANIFESTS.replace(
                '["batch"], resources: [jobs], verbs: [create]', '[""], resources: [pods], verbs: [patch, update]'
            ),
            start="sa:shop/helper",
            goal="Secret/shop/db",
            verdict="none",
        ),
        Example(
            title="a grant limited to names creates nothing",
            manifests=_MANIFESTS.replace("verbs: [create]", "verbs: [create], resourceNames: [mine]"),
            start="sa:shop/helper",
            goal="Secret/shop/db",
            verdict="none",
        ),
    ),
)
