"""Change what others write by a mutating admission policy.

What it is:
A MutatingAdmissionPolicy changes objects before they are stored, by expressions in the policy itself. A binding puts it
to work.

Why it matters:
It is a mutating webhook without a server: two objects are enough to change every pod that is made later.

Needs:
`create` on `mutatingadmissionpolicies` and on `mutatingadmissionpolicybindings` by ClusterRoleBindings, by one
identity; and somebody who writes afterwards: an assumption. A policy with parameters also asks for `get` on their kind.
The API is on from 1.36; as a beta it was off.

Fix:
Grant the two kinds to the operators only. Policies that the API server reads from files cannot be changed through the
API.

References:
- https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/
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
- {apiGroups: [admissionregistration.k8s.io], verbs: [create],
   resources: [mutatingadmissionpolicies, mutatingadmissionpolicybindings]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: helper}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
"""

RULE = Rule(
    id="mutating-admission-policy",
    title="Change what others write by a mutating admission policy",
    family="admission",
    severity="critical",
    confidence=Confidence.CERTAIN,
    needs="create mutatingadmissionpolicies and mutatingadmissionpolicybindings",
    gains="the pods that are written later, in every namespace",
    attack=("T1546",),
    microsoft=("MS-TA9015",),
    since=36,
    assumes=("WRITER",),
    examples=(
        Example(
            title="a policy and its binding",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="ServiceAccount/mail/deployer",
            verdict="conditional",
            edit=("mutatingadmissionpolicybindings", "validatingadmissionpolicybindings"),
        ),
        Example(
            title="a policy without a binding does nothing",
            manifests=_MANIFESTS.replace(", mutatingadmissionpolicybindings", ""),
            start="sa:shop/helper",
            goal="ServiceAccount/mail/deployer",
            verdict="none",
        ),
        Example(
            title="the API is off before 1.36",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="ServiceAccount/mail/deployer",
            verdict="none",
            k8s_version="1.35",
        ),
    ),
)
