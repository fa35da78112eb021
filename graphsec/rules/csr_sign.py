"""Sign a certificate oneself.

What it is:
A signer writes the finished certificate into the status of a request. The API server checks that the writer may `sign` for
that signer, and takes any certificate later that its client CA has signed.

Why it matters:
With the CA's key any name and any group can be signed, `system:masters` included, for years.

Needs:
`create` on `certificatesigningrequests` and a way to read them; by one identity `update` or `patch` on
`certificatesigningrequests/status` with `sign` on `kubernetes.io/kube-apiserver-client`. The rights alone sign nothing: that
the CA's key is in reach is an assumption. graphsec follows the names that bindings use, without `system:masters`.

Fix:
Give `sign` to the controller that holds the key, for its own signer. Keep the CA's key off the nodes that run workloads.

References:
- https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/
- rbac.md S-82; attacks.md §3.4
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
- {apiGroups: [certificates.k8s.io], resources: [certificatesigningrequests], verbs: [create]}
- {apiGroups: [certificates.k8s.io], resources: [certificatesigningrequests/status], verbs: [patch]}
- {apiGroups: [certificates.k8s.io], resources: [signers], verbs: [sign], resourceNames: ["kubernetes.io/*"]}
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

RULE = Rule(
    id="csr-sign",
    title="Sign a certificate oneself",
    family="rbac",
    severity="high",
    confidence=Confidence.CONDITIONAL,
    needs="create and read certificatesigningrequests, change their status, sign for kube-apiserver-client, the CA's key",
    gains="any user, ServiceAccount, node and group",
    attack=("T1649", "T1552.004"),
    assumes=("CA-KEY",),
    examples=(
        Example(
            title="who may sign for the client CA, and has its key, is anybody",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="cluster-admin",
            verdict="conditional",
            edit=("verbs: [sign]", "verbs: [attest]"),
        ),
        Example(
            title="sign without the right to write the status",
            manifests=_MANIFESTS.replace("certificatesigningrequests/status", "certificatesigningrequests/approval"),
            start="sa:shop/helper",
            goal="cluster-admin",
            verdict="none",
        ),
        Example(
            title="a signer of another domain is not taken by the API server",
            manifests=_MANIFESTS.replace("kubernetes.io/*", "example.com/*"),
            start="sa:shop/helper",
            goal="cluster-admin",
            verdict="none",
        ),
    ),
)
