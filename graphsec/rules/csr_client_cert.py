"""Approve a certificate for whatever name one likes.

What it is:
A certificate request states a user name and groups. Once it is approved for the signer `kubernetes.io/kube-apiserver-client`,
the cluster signs it, and the API server takes the certificate for that identity.

Why it matters:
Any user, any ServiceAccount and any group that a binding names can be written into it, all at once, and a certificate cannot
be revoked. Group `system:masters` alone is refused.

Needs:
At cluster scope, for the same name of request: `create` on `certificatesigningrequests`; a way to read the certificate (get,
list, watch, or the answer to a change); and by one identity `update` or `patch` on `certificatesigningrequests/approval` with
`approve` on the signer. The signer is named exactly or as `kubernetes.io/*`; a name `*` matches none. No request is asked
whether its maker holds the name that it states.

Fix:
Remove `approve` for this signer, or the right to change approvals. Limit automatic approvers to signers of their own.

References:
- https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/
- rbac.md S-82, R-26; attacks.md §2.7, §3.4
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: helper, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: helper}
rules:
- {apiGroups: [certificates.k8s.io], resources: [certificatesigningrequests], verbs: [create, get]}
- {apiGroups: [certificates.k8s.io], resources: [certificatesigningrequests/approval], verbs: [update]}
- {apiGroups: [certificates.k8s.io], resources: [signers], verbs: [approve], resourceNames: [kubernetes.io/kube-apiserver-client]}
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
_SIGNER = "kubernetes.io/kube-apiserver-client"

RULE = Rule(
    id="csr-client-cert",
    title="Approve a certificate for whatever name one likes",
    family="rbac",
    severity="critical",
    confidence=Confidence.CERTAIN,
    needs="create and read certificatesigningrequests, change their approval, approve for kube-apiserver-client",
    gains="any user, ServiceAccount, node and group but system:masters",
    attack=("T1649",),
    core=True,
    examples=(
        Example(
            title="a certificate for a group that is bound to cluster-admin",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="cluster-admin",
            verdict="proved",
            edit=(_SIGNER, "kubernetes.io/kubelet-serving"),
        ),
        Example(
            title="the answer to the approval holds the certificate, and the domain serves for the signer",
            manifests=_MANIFESTS.replace("[create, get]", "[create]").replace(_SIGNER, '"kubernetes.io/*"'),
            start="sa:shop/helper",
            goal="cluster-admin",
            verdict="proved",
            edit=("verbs: [approve]", "verbs: [attest]"),
        ),
        Example(
            title="approve without the right to change approvals",
            manifests=_MANIFESTS.replace("certificatesigningrequests/approval", "certificatesigningrequests/status"),
            start="sa:shop/helper",
            goal="cluster-admin",
            verdict="none",
        ),
        Example(
            title="a star as name of the signer is a literal",
            manifests=_MANIFESTS.replace(_SIGNER, '"*"'),
            start="sa:shop/helper",
            goal="cluster-admin",
            verdict="none",
        ),
    ),
)
