"""Map one's own AWS role to system:masters.

What it is:
On EKS with the authentication mode of the config map, `aws-auth` in kube-system says which AWS roles and users are which
users and groups of the cluster. Whoever changes it adds a line.

Why it matters:
The line may name any group, `system:masters` too: cluster-admin for an AWS identity outside the cluster. No RBAC guard looks
at it, for to the API server it is a plain ConfigMap.

Needs:
`update` or `patch` on the ConfigMap `aws-auth` in kube-system, by name or for all; or `create` where it is absent. graphsec
follows it where the input shows the ConfigMap. That the cluster reads it, and that the attacker has some AWS identity, is an
assumption.

Fix:
Change the authentication mode to access entries. Until then let nobody change ConfigMaps of kube-system.

References:
- https://docs.aws.amazon.com/eks/latest/userguide/auth-configmap.html
- rbac.md E23; attacks.md §3.3
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: aws-auth, namespace: kube-system}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: helper, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: helper, namespace: kube-system}
rules:
- {apiGroups: [""], resources: [configmaps], verbs: [patch], resourceNames: [aws-auth]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: helper, namespace: kube-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
"""

RULE = Rule(
    id="aws-auth-edit",
    title="Map one's own AWS role to system:masters",
    family="cloud",
    severity="critical",
    confidence=Confidence.CONDITIONAL,
    needs="update or patch the ConfigMap aws-auth in kube-system",
    gains="the cluster, from outside",
    attack=("T1098.006", "T1098.003"),
    microsoft=("MS-TA9019",),
    assumes=("CLOUD-TRUST",),
    examples=(
        Example(
            title="the right over this one ConfigMap is the cluster",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="cluster-admin",
            verdict="conditional",
            edit=("resourceNames: [aws-auth]", "resourceNames: [coredns]"),
        ),
        Example(
            title="reading it gives nothing",
            manifests=_MANIFESTS.replace("verbs: [patch]", "verbs: [get]"),
            start="sa:shop/helper",
            goal="cluster-admin",
            verdict="none",
        ),
        Example(
            title="a ConfigMap of that name in another namespace is none",
            manifests=_MANIFESTS.replace("namespace: kube-system", "namespace: shop"),
            start="sa:shop/helper",
            goal="cluster-admin",
            verdict="none",
        ),
    ),
)
