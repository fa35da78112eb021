"""Change the pod template of a controller.

What it is:
Changing the template of a Deployment, DaemonSet, StatefulSet, ReplicaSet, ReplicationController or CronJob makes new
pods. The writer chooses their account, image, volumes and fields, as in a new workload.

Why it matters:
`patch deployments` is worth as much as `create deployments`: not the account of the pods that are there counts, but any
one of the namespace, and the node where Pod Security lets the field pass.

Needs:
`update` or `patch` on a controller that exists; names may limit the grant. Where the input does not list the kind, that
one exists is assumed. The template of a Job cannot be changed, and a PodTemplate makes no pod. `status` and `scale` do
not touch it.

Fix:
Grant changes of workloads only where their creation would be granted. For restarts and scaling grant
`deployments/scale` alone.

References:
- https://kubernetes.io/docs/concepts/security/rbac-good-practices/
- https://kubernetes.io/docs/concepts/workloads/controllers/
- attacks.md §3.2
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    spec:
      containers: [{name: web, image: web}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: deployer, namespace: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: helper, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: helper, namespace: shop}
rules:
- {apiGroups: ["apps"], resources: [deployments], verbs: [patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: helper, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
"""

RULE = Rule(
    id="workload-update",
    title="Change the pod template of a controller",
    family="workloads",
    severity="high",
    confidence=Confidence.CERTAIN,
    needs="update or patch an existing controller with a pod template",
    gains="what creating a workload gives: accounts, data, nodes",
    attack=("T1610",),
    microsoft=("MS-TA9011",),
    assumes=("WEBHOOK", "WORKLOAD-EXISTS"),
    core=True,
    examples=(
        Example(
            title="a patch moves the Deployment to another account",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="ServiceAccount/shop/deployer",
            verdict="conditional",
            edit=("resources: [deployments]", "resources: [deployments/status]"),
        ),
        Example(
            title="limited to the name of a Deployment that is there",
            manifests=_MANIFESTS.replace("verbs: [patch]", "verbs: [update], resourceNames: [web]"),
            start="sa:shop/helper",
            goal="ServiceAccount/shop/deployer",
            verdict="conditional",
            edit=("resourceNames: [web]", "resourceNames: [mail]"),
        ),
        Example(
            title="the template of a Job is immutable",
            manifests=_MANIFESTS.replace('["apps"], resources: [deployments]', '["batch"], resources: [jobs]'),
            start="sa:shop/helper",
            goal="ServiceAccount/shop/deployer",
            verdict="none",
        ),
        Example(
            title="the group is apps, not the core group",
            manifests=_MANIFESTS.replace('["apps"]', '[""]'),
            start="sa:shop/helper",
            goal="ServiceAccount/shop/deployer",
            verdict="none",
        ),
    ),
)
