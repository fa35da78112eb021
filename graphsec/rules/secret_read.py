"""Read Secrets by get, list or watch.

What it is:
Each of the three verbs returns whole objects, values included. `list` and `watch` need no name; with a field selector
`metadata.name=NAME` they are asked for that name.

Why it matters:
Secrets hold tokens of ServiceAccounts, keys and passwords. `watch` alone shows every Secret that is there and every one to
come.

Needs:
`get`, `list` or `watch` on `secrets` in the namespace of the Secret. Names are compared exactly: a star in `resourceNames` is
a literal. A name that no Secret bears yet counts if somebody under control can create it.

Fix:
Mount what a workload needs instead of letting it read the API. Otherwise grant `get` on names, in one namespace.

References:
- https://kubernetes.io/docs/concepts/security/secrets-good-practices/
- rbac.md S-18, S-32, S-94; attacks.md §3.3
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
- {apiGroups: [""], resources: [secrets], verbs: [watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: helper, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
"""

RULE = Rule(
    id="secret-read",
    title="Read Secrets by get, list or watch",
    family="credentials",
    severity="high",
    confidence=Confidence.CERTAIN,
    needs="get, list or watch secrets",
    gains="the content of the Secrets",
    attack=("T1552.007",),
    microsoft=("MS-TA9025",),
    assumes=("BOOTSTRAP-RBAC",),
    core=True,
    examples=(
        Example(
            title="watch alone reads every Secret of the namespace",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="Secret/shop/db",
            verdict="proved",
            edit=("resources: [secrets]", "resources: [configmaps]"),
        ),
        Example(
            title="list limited to a name works with a field selector",
            manifests=_MANIFESTS.replace("verbs: [watch]", "verbs: [list], resourceNames: [db]"),
            start="sa:shop/helper",
            goal="Secret/shop/db",
            verdict="proved",
            edit=("resourceNames: [db]", "resourceNames: [mail]"),
        ),
        Example(
            title="names are no patterns",
            manifests=_MANIFESTS.replace("verbs: [watch]", 'verbs: [get], resourceNames: ["d*", "*"]'),
            start="sa:shop/helper",
            goal="Secret/shop/db",
            verdict="none",
        ),
        Example(
            title="creating Secrets shows none",
            manifests=_MANIFESTS.replace("verbs: [watch]", "verbs: [create]"),
            start="sa:shop/helper",
            goal="Secret/shop/db",
            verdict="none",
        ),
    ),
)
