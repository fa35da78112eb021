"""Request the certificate of any kubelet.

What it is:
The controller manager approves a certificate request for a kubelet by itself where the requester may `create`
`certificatesigningrequests/nodeclient`. The requester chooses the name of the node.

Why it matters:
The certificate is that of any node: it reads the Secrets of the pods there and requests tokens of their accounts. Bootstrap
tokens have this right where kubeadm set up the cluster.

Needs:
`create` on `certificatesigningrequests` and on `certificatesigningrequests/nodeclient` by one identity, and a way to read the
request back. `selfnodeclient` renews the certificate of the requester's own name alone. A node may request only its own name
where NodeRestriction is on. That the approving controller runs is an assumption.

Fix:
Unbind the role for `nodeclient` while no node joins. Give it to no ServiceAccount.

References:
- https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/
- rbac.md S-80, S-81; attacks.md §3.3
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: v1
kind: Secret
metadata: {name: db, namespace: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  nodeName: worker-1
  containers: [{name: web, image: web, envFrom: [{secretRef: {name: db}}]}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: helper, namespace: tools}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: helper}
rules:
- {apiGroups: [certificates.k8s.io], resources: [certificatesigningrequests], verbs: [create, get]}
- {apiGroups: [certificates.k8s.io], resources: [certificatesigningrequests/nodeclient], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: helper}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: tools}]
"""

RULE = Rule(
    id="kubelet-client-csr",
    title="Request the certificate of any kubelet",
    family="credentials",
    severity="high",
    confidence=Confidence.CONDITIONAL,
    needs="create and read certificatesigningrequests, create certificatesigningrequests/nodeclient",
    gains="user system:node:NAME of any node",
    attack=("T1649",),
    assumes=("BOOTSTRAP-AUTH",),
    examples=(
        Example(
            title="the certificate of a pod's node reads the pod's Secret",
            manifests=_MANIFESTS,
            start="sa:tools/helper",
            goal="Secret/shop/db",
            verdict="conditional",
            edit=("certificatesigningrequests/nodeclient", "certificatesigningrequests/selfnodeclient"),
        ),
        Example(
            title="the answer to a patch holds the certificate too",
            manifests=_MANIFESTS.replace("[create, get]", "[create, patch]"),
            start="sa:tools/helper",
            goal="Secret/shop/db",
            verdict="conditional",
            edit=("[create, patch]", "[create]"),
        ),
        Example(
            title="a request that cannot be read back is of no use",
            manifests=_MANIFESTS.replace("[create, get]", "[create]"),
            start="sa:tools/helper",
            goal="Secret/shop/db",
            verdict="none",
        ),
    ),
)
