"""Read Secrets by the answers to writes.

What it is:
The answer to a patch holds the whole object, and an empty patch changes nothing. `delete` returns the object where its end
is postponed (propagation policy Foreground or Orphan), `deletecollection` returns the list. With `dryRun=All` none of them
changes anything and all answer alike.

Why it matters:
Roles without `get` look as if they hid the content. They do not, and no harm betrays the reader.

Needs:
`patch` or `delete` on `secrets`, with the name known; or `deletecollection`, which has no name, so a rule limited to names
does not allow it. `update` does not disclose: its answer holds what was sent.

Fix:
Take these verbs as reading. Give a controller the names of its own Secrets.

References:
- https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run
- rbac.md S-33, S-94; attacks.md §2.7, §3.3
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
- {apiGroups: [""], resources: [secrets], verbs: [patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: helper, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
"""

RULE = Rule(
    id="secret-read-by-write",
    title="Read Secrets by the answers to writes",
    family="credentials",
    severity="high",
    confidence=Confidence.CERTAIN,
    needs="patch, delete or deletecollection secrets",
    gains="the content of the Secrets",
    attack=("T1552.007",),
    microsoft=("MS-TA9025",),
    assumes=("BOOTSTRAP-RBAC",),
    core=True,
    examples=(
        Example(
            title="the answer to an empty patch is the Secret",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="Secret/shop/db",
            verdict="proved",
            edit=("verbs: [patch]", "verbs: [update]"),
        ),
        Example(
            title="delete of one name shows that Secret",
            manifests=_MANIFESTS.replace("verbs: [patch]", "verbs: [delete], resourceNames: [db]"),
            start="sa:shop/helper",
            goal="Secret/shop/db",
            verdict="proved",
            edit=("resourceNames: [db]", "resourceNames: [mail]"),
        ),
        Example(
            title="update answers with what was sent",
            manifests=_MANIFESTS.replace("verbs: [patch]", "verbs: [create, update]"),
            start="sa:shop/helper",
            goal="Secret/shop/db",
            verdict="none",
        ),
        Example(
            title="deletecollection has no name, so a rule with names does not allow it",
            manifests=_MANIFESTS.replace("verbs: [patch]", "verbs: [deletecollection], resourceNames: [db]"),
            start="sa:shop/helper",
            goal="Secret/shop/db",
            verdict="none",
        ),
    ),
)
