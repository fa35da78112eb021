"""Change what others write by a mutating webhook.

What it is:
A mutating webhook sees objects before they are stored and may change them. Whoever writes its configuration names the
address, which may lie outside the cluster, and the kinds of objects.

Why it matters:
Every pod that a controller makes next runs another image, as another account, in any namespace. The attacker writes no
pod himself.

Needs:
`create`, `update` or `patch` on `mutatingwebhookconfigurations` by a ClusterRoleBinding, and somebody who writes
afterwards: an assumption. The checks on roles and bindings judge the changed object as its writer's: rights beyond pods
wait for a writer who has them. Pod Security still judges the changed pod.

Fix:
Grant the kind to installers only, limited to names. Watch the objects: few clusters change them often.

References:
- https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
- attacks.md §3.8
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: deployer, namespace: mail}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: helper, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: helper}
rules:
- {apiGroups: [admissionregistration.k8s.io], resources: [mutatingwebhookconfigurations], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: helper}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
"""
_BOUND_IN_SHOP = _MANIFESTS.replace(
    "ClusterRoleBinding\nmetadata: {name: helper}", "RoleBinding\nmetadata: {name: helper, namespace: shop}"
)

RULE = Rule(
    id="mutating-webhook-control",
    title="Change what others write by a mutating webhook",
    family="admission",
    severity="critical",
    confidence=Confidence.CERTAIN,
    needs="write mutatingwebhookconfigurations at cluster scope",
    gains="the pods that are written later, in every namespace",
    attack=("T1546",),
    microsoft=("MS-TA9015",),
    assumes=("WRITER",),
    examples=(
        Example(
            title="the next pod of another namespace runs as an account of choice",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="ServiceAccount/mail/deployer",
            verdict="conditional",
            edit=("mutatingwebhookconfigurations", "validatingwebhookconfigurations"),
        ),
        Example(
            title="patch limited to the name of a configuration",
            manifests=_MANIFESTS.replace("verbs: [create]", "verbs: [patch], resourceNames: [istio]"),
            start="sa:shop/helper",
            goal="ServiceAccount/mail/deployer",
            verdict="conditional",
            edit=("verbs: [patch]", "verbs: [delete]"),
        ),
        Example(
            title="a RoleBinding grants nothing here",
            manifests=_BOUND_IN_SHOP,
            start="sa:shop/helper",
            goal="ServiceAccount/mail/deployer",
            verdict="none",
        ),
        Example(
            title="the kind is not of the core group",
            manifests=_MANIFESTS.replace("[admissionregistration.k8s.io]", '[""]'),
            start="sa:shop/helper",
            goal="ServiceAccount/mail/deployer",
            verdict="none",
        ),
    ),
)
