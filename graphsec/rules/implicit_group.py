"""Every identity is in groups that no object lists.

What it is:
The API server puts each request into groups by itself. A ServiceAccount is in `system:serviceaccounts`, in
`system:serviceaccounts:NAMESPACE` and in `system:authenticated`. Whoever has proved a name is in `system:authenticated`,
whoever has not is `system:anonymous` in `system:unauthenticated`.

Why it matters:
A grant to one of these groups reaches everybody in it, also those who come later. On some providers
`system:authenticated` is anybody with an account there.

Needs:
Nothing. Groups of a certificate or a token of an identity provider stand in no object: a membership file may name them.

Fix:
Bind the accounts that need the right, by name. Leave only the shipped discovery roles on the groups of everybody.

References:
- https://kubernetes.io/docs/concepts/security/rbac-good-practices/
- rbac.md S-46, S-48, X1 to X3; attacks.md §2.4, §3.1 (landmines)
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
metadata: {name: build, namespace: ci}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: secrets, namespace: shop}
rules:
- {apiGroups: [""], resources: [secrets], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: secrets, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: secrets}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:serviceaccounts:ci"}]
"""

RULE = Rule(
    id="implicit-group",
    title="Every identity is in groups that no object lists",
    family="identity",
    severity="info",
    confidence=Confidence.CERTAIN,
    needs="an identity",
    gains="the grants of the groups that the API server puts it into",
    attack=("T1078",),
    core=True,
    examples=(
        Example(
            title="a grant to the accounts of a namespace reaches each of them",
            manifests=_MANIFESTS,
            start="sa:ci/build",
            goal="Secret/shop/db",
            verdict="proved",
            edit=("system:serviceaccounts:ci", "system:serviceaccounts:cd"),
        ),
        Example(
            title="a grant to whoever has proved a name reaches accounts too",
            manifests=_MANIFESTS.replace("system:serviceaccounts:ci", "system:authenticated"),
            start="sa:ci/build",
            goal="Secret/shop/db",
            verdict="proved",
            edit=("system:authenticated", "authenticated"),
        ),
        Example(
            title="a request without a name is in system:unauthenticated",
            manifests=_MANIFESTS.replace("system:serviceaccounts:ci", "system:unauthenticated"),
            start="anonymous",
            goal="Secret/shop/db",
            verdict="proved",
            edit=("system:unauthenticated", "system:serviceaccounts"),
        ),
        Example(
            title="a request without a name is not in system:authenticated",
            manifests=_MANIFESTS.replace("system:serviceaccounts:ci", "system:authenticated"),
            start="anonymous",
            goal="Secret/shop/db",
            verdict="none",
        ),
    ),
)
