"""Remove a namespace's Pod Security label, then open a node.

What it is:
The level that Pod Security enforces is a label of the Namespace. Whoever may change the label lifts the level, and then
the right to create a workload there opens the node.

Why it matters:
Neither right looks dangerous by itself. They may belong to two identities under control.

Needs:
`update` or `patch` on that Namespace or on its `status`, or `update` of its `finalize`, which all write labels; and a
way to make pods in it. A Role in the namespace itself can grant the first; a Role in another namespace grants nothing
on it.

Fix:
Let no workload change Namespaces. Protect the label by an admission policy, for all but the administrators.

References:
- https://kubernetes.io/docs/concepts/security/pod-security-admission/
- rbac.md S-35, E22; attacks.md §2.9, §3.2
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: helper, namespace: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: builder, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: helper, namespace: shop}
rules:
- {apiGroups: [""], resources: [namespaces], verbs: [patch]}
- {apiGroups: [""], resources: [serviceaccounts/token], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: helper, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: builder, namespace: shop}
rules:
- {apiGroups: [""], resources: [pods], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: builder, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: builder}
subjects: [{kind: ServiceAccount, name: builder, namespace: shop}]
"""

_POD = """---
apiVersion: v1
kind: Node
metadata: {name: worker-1}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  nodeName: worker-1
  containers: [{name: web, image: web}]
"""

RULE = Rule(
    id="psa-label-relax",
    title="Remove a namespace's Pod Security label, then open a node",
    family="workloads",
    severity="high",
    confidence=Confidence.CERTAIN,
    needs="change the Namespace, and create or change a workload in it",
    gains="pods with host access in that namespace, so nodes",
    attack=("T1562.001", "T1611"),
    core=True,
    examples=(
        Example(
            title="one account relabels, the other creates the pod",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="node",
            verdict="conditional",
            edit=("resources: [namespaces]", "resources: [namespaces/finalize]"),
        ),
        Example(
            title="the status of a Namespace carries its labels too",
            manifests=_MANIFESTS.replace("resources: [namespaces]", "resources: [namespaces/status]"),
            start="sa:shop/helper",
            goal="node",
            verdict="conditional",
            edit=("[namespaces/status]", "[resourcequotas/status]"),
        ),
        Example(
            title="an ephemeral container in a pod that is there opens its node, too",
            manifests=_MANIFESTS.replace(
                "resources: [pods], verbs: [create]", "resources: [pods/ephemeralcontainers], verbs: [patch]"
            )
            + _POD,
            start="sa:shop/helper",
            goal="Node/worker-1",
            verdict="conditional",
            edit=("resources: [namespaces]", "resources: [namespaces/finalize]"),
        ),
        Example(
            title="so does one in a pod of a certain name",
            manifests=_MANIFESTS.replace(
                "resources: [pods], verbs: [create]",
                "resources: [pods/ephemeralcontainers], verbs: [patch], resourceNames: [web]",
            )
            + _POD,
            start="sa:shop/helper",
            goal="Node/worker-1",
            verdict="conditional",
            edit=("resourceNames: [web]", "resourceNames: [mail]"),
        ),
        Example(
            title="relabelling without a way to make pods",
            manifests=_MANIFESTS.replace("resources: [pods]", "resources: [configmaps]"),
            start="sa:shop/helper",
            goal="node",
            verdict="none",
        ),
        Example(
            title="the grant names another namespace",
            manifests=_MANIFESTS.replace("verbs: [patch]", "verbs: [patch], resourceNames: [mail]"),
            start="sa:shop/helper",
            goal="node",
            verdict="none",
        ),
    ),
)
