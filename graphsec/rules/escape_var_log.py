"""Read files of the node through links in its log directory.

What it is:
The kubelet serves logs from `/var/log` as root and follows links there. A pod that can write into the directory puts a
link to any file in it, and whoever may read logs gets the file.

Why it matters:
Log shippers mount `/var/log`, and reading logs is handed out freely. Together they read the kubelet's credential and
the tokens of every pod on the node.

Needs:
A writable mount of `/var/log` or `/var/log/pods`, and `get` on `pods/log` in that pod's namespace or on `nodes/log` at
cluster scope. The two may belong to different identities under control. Newer kubelets refuse some links: an
assumption.

Fix:
Mount the directory with `readOnly: true`. Limit `pods/log` to the namespaces that a team owns.

References:
- https://kubernetes.io/docs/concepts/cluster-administration/system-logs/
- https://kubernetes.io/docs/concepts/storage/volumes/#hostpath
- attacks.md §3.6, §8
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  serviceAccountName: web
  nodeName: worker-1
  containers:
  - name: web
    image: web
    volumeMounts: [{name: host, mountPath: /host, readOnly: false}]
  volumes: [{name: host, hostPath: {path: /var/log}}]
---
apiVersion: v1
kind: Pod
metadata: {name: api, namespace: mail}
spec: {nodeName: worker-1, serviceAccountName: api, containers: [{name: api, image: api}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: logs, namespace: shop}
rules:
- {apiGroups: [""], resources: [pods/log], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: logs, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: logs}
subjects: [{kind: ServiceAccount, name: web, namespace: shop}]
"""

RULE = Rule(
    id="escape-var-log",
    title="Read files of the node through links in its log directory",
    family="escape",
    severity="high",
    confidence=Confidence.CONDITIONAL,
    needs="a writable mount of /var/log, and get pods/log there or nodes/log",
    gains="reading as root on the node: the kubelet's credential, the files of its pods",
    attack=("T1005", "T1552.001"),
    assumes=("NODE-OS",),
    examples=(
        Example(
            title="a log shipper that may read logs",
            manifests=_MANIFESTS,
            start="Pod/shop/web",
            goal="ServiceAccount/mail/api",
            verdict="conditional",
            edit=("readOnly: false", "readOnly: true"),
        ),
        Example(
            title="the right to logs of another namespace does not help",
            manifests=_MANIFESTS.replace("{name: logs, namespace: shop}", "{name: logs, namespace: mail}"),
            start="Pod/shop/web",
            goal="ServiceAccount/mail/api",
            verdict="none",
        ),
        Example(
            title="nodes/log by RoleBinding grants nothing",
            manifests=_MANIFESTS.replace("pods/log", "nodes/log"),
            start="Pod/shop/web",
            goal="ServiceAccount/mail/api",
            verdict="none",
        ),
    ),
)
