"""Create a workload that runs as another ServiceAccount.

What it is:
Whoever writes a pod, or an object that pods come of, chooses its ServiceAccount, its image and its command. No right
over the account is asked for.

Why it matters:
Creating pods in a namespace is as good as being each of its ServiceAccounts, those included that no pod uses yet. A pod
that the restricted level admits is enough: Pod Security does not look at the account.

Needs:
`create` on pods, replicationcontrollers, deployments, daemonsets, statefulsets, replicasets, jobs or cronjobs, each in
its own API group. A grant limited to names allows no POST; with `patch` on the same name a creating apply works. Other
admission could refuse the pod; where the input does not list its webhooks and policies, that is an assumption.

Fix:
Run strong accounts in namespaces of their own, and let nobody create workloads there who may not act as them.

References:
- https://kubernetes.io/docs/concepts/security/rbac-good-practices/
- rbac.md S-31, S-34; attacks.md §2.2, §3.2
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
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
- {apiGroups: ["batch"], resources: [cronjobs], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: helper, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
"""
_NO_ADMISSION = "".join(
    f"---\napiVersion: admissionregistration.k8s.io/v1\nkind: {kind}List\nitems: []\n"
    for kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "ValidatingAdmissionPolicy")
)

RULE = Rule(
    id="workload-create-as-sa",
    title="Create a workload that runs as another ServiceAccount",
    family="workloads",
    severity="high",
    confidence=Confidence.CERTAIN,
    needs="create pods or something that pods come of",
    gains="every ServiceAccount of the namespace",
    attack=("T1610", "T1528", "T1053.007"),
    microsoft=("MS-TA9008", "MS-TA9014"),
    assumes=("WEBHOOK",),
    core=True,
    examples=(
        Example(
            title="who creates CronJobs picks the account of their pods",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="ServiceAccount/shop/deployer",
            verdict="conditional",
            edit=('apiGroups: ["batch"]', 'apiGroups: ["apps"]'),
        ),
        Example(
            title="nothing is assumed where the input shows that no admission is set up",
            manifests=_MANIFESTS + _NO_ADMISSION,
            start="sa:shop/helper",
            goal="ServiceAccount/shop/deployer",
            verdict="proved",
            edit=("verbs: [create]", "verbs: [get]"),
        ),
        Example(
            title="a creating apply has a name",
            manifests=_MANIFESTS.replace("verbs: [create]", "verbs: [create, patch], resourceNames: [mine]"),
            start="sa:shop/helper",
            goal="ServiceAccount/shop/deployer",
            verdict="conditional",
            edit=("[create, patch]", "[create]"),
        ),
        Example(
            title="the core group has no CronJobs",
            manifests=_MANIFESTS.replace('["batch"]', '[""]'),
            start="sa:shop/helper",
            goal="ServiceAccount/shop/deployer",
            verdict="none",
        ),
    ),
)
