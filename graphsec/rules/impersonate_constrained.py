"""Do certain actions as somebody else.

What it is:
Constrained impersonation asks two things: `impersonate:MODE` on the identity, and `impersonate-on:MODE:VERB` on the target of
the request. What may be done is what both the second rule and the other identity's own rights allow. The modes are
`user-info`, `serviceaccount`, `arbitrary-node` and `associated-node`.

Why it matters:
Halves are not paired: each identity that may be impersonated can be used for each action.

Needs:
One identity with both halves, verb and mode equal, from 1.36 on (the feature gate can be off). `impersonate:MODE` is asked on
`users`, `serviceaccounts` or `nodes` in the group `authentication.k8s.io`. `associated-node` asks the literal name `*` and a
token bound to the node. `system:masters` is out of reach. Where these checks fail, plain `impersonate` is asked.

Fix:
Name identities and targets in both rules. Never grant reading Secrets or requesting tokens as somebody else.

References:
- https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation
- KEP-5284; rbac.md S-72; attacks.md §3.4
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
metadata: {name: reader, namespace: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: helper, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: helper, namespace: shop}
rules:
- {apiGroups: [authentication.k8s.io], resources: [serviceaccounts], verbs: ["impersonate:serviceaccount"]}
- {apiGroups: [""], resources: [secrets], verbs: ["impersonate-on:serviceaccount:list"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: helper, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: shop}
rules:
- {apiGroups: [""], resources: [secrets], verbs: [list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: reader, namespace: shop}]
"""

RULE = Rule(
    id="impersonate-constrained",
    title="Do certain actions as somebody else",
    family="rbac",
    severity="medium",
    confidence=Confidence.CONDITIONAL,
    needs="impersonate:MODE on an identity and impersonate-on:MODE:VERB on a target",
    gains="those actions as that identity, as far as its own rights go",
    attack=("T1548", "T1078"),
    since=36,
    assumes=("FEATURE-GATES",),
    examples=(
        Example(
            title="both halves list Secrets as an account that may",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="Secret/shop/db",
            verdict="conditional",
            edit=("impersonate-on:serviceaccount:list", "impersonate-on:user-info:list"),
        ),
        Example(
            title="one action is not the whole account",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="ServiceAccount/shop/reader",
            verdict="none",
        ),
        Example(
            title="the action must be one that the account may do itself",
            manifests=_MANIFESTS.replace("verbs: [list]", "verbs: [create]"),
            start="sa:shop/helper",
            goal="Secret/shop/db",
            verdict="none",
        ),
        Example(
            title="before 1.36 the feature is off",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="Secret/shop/db",
            verdict="none",
            k8s_version="1.35",
        ),
    ),
)
