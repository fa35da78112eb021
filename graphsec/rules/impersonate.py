"""Make requests as somebody else.

What it is:
The headers `Impersonate-User`, `Impersonate-Group` and `Impersonate-Uid` let a request run as another identity; each is
checked with the verb `impersonate` on that name. What the request may do is then asked of the other identity alone.

Why it matters:
It is as good as the other's credential. With groups it reaches `system:masters`, to which everything is allowed.

Needs:
`impersonate` on `users` or `groups` at cluster scope, or on `serviceaccounts` in the account's namespace; names limit it. A
group comes only with a user or an account in the same request, by one identity. An account is asked as `serviceaccounts`, so
`users` never covers it; it need not exist. A user brings no groups but `system:authenticated`; that of a node needs
`system:nodes` too for the Node authorizer.

Fix:
Name the users and groups that may be impersonated, and never `system:masters`. From 1.36 on constrained impersonation can
limit the actions.

References:
- https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation
- rbac.md S-70, S-71; attacks.md §2.9, §3.4
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
kind: ClusterRole
metadata: {name: helper}
rules:
- {apiGroups: [""], resources: [users, groups], verbs: [impersonate], resourceNames: [ann, ops]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: helper}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: ops}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: ops}]
"""
_IN_SHOP = _MANIFESTS.replace(
    "ClusterRoleBinding\nmetadata: {name: helper}", "RoleBinding\nmetadata: {name: helper, namespace: shop}"
)
#: Its own right over groups, and that over accounts which every account of the namespace has.
_HALVES = (
    _MANIFESTS.replace("[users, groups]", "[groups]")
    + """---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: peers, namespace: shop}
rules:
- {apiGroups: [""], resources: [serviceaccounts], verbs: [impersonate], resourceNames: [helper]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: peers, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: peers}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:serviceaccounts:shop"}]
"""
)
_ACCOUNTS = _IN_SHOP.replace("[users, groups]", "[serviceaccounts]").replace("[ann, ops]", "[deployer]")

RULE = Rule(
    id="impersonate",
    title="Make requests as somebody else",
    family="rbac",
    severity="critical",
    confidence=Confidence.CERTAIN,
    needs="impersonate users (and groups) at cluster scope, or serviceaccounts in their namespace",
    gains="the user or ServiceAccount; with groups a user in all of these groups",
    attack=("T1548", "T1078"),
    assumes=("ACCOUNT-EXISTS", "BOOTSTRAP-RBAC"),
    core=True,
    examples=(
        Example(
            title="some user in a group of administrators",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="cluster-admin",
            verdict="proved",
            edit=("[users, groups]", "[groups]"),
        ),
        Example(
            title="an account of the namespace, by a RoleBinding",
            manifests=_ACCOUNTS,
            start="sa:shop/helper",
            goal="ServiceAccount/shop/deployer",
            verdict="proved",
            edit=("[serviceaccounts]", "[users]"),
        ),
        Example(
            title="the right over groups is the account's own, that over accounts its group's",
            manifests=_HALVES,
            start="sa:shop/helper",
            goal="cluster-admin",
            verdict="proved",
            edit=("system:serviceaccounts:shop", "system:serviceaccounts:bank"),
        ),
        Example(
            title="users and groups are asked at cluster scope, so a RoleBinding does nothing",
            manifests=_IN_SHOP,
            start="sa:shop/helper",
            goal="cluster-admin",
            verdict="none",
        ),
        Example(
            title="the right over users covers no account, not even by its user name",
            manifests=_MANIFESTS.replace("[ann, ops]", '["system:serviceaccount:shop:deployer"]'),
            start="sa:shop/helper",
            goal="ServiceAccount/shop/deployer",
            verdict="none",
        ),
    ),
)
