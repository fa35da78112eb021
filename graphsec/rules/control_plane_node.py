"""Take the keys of the cluster from a node of the control plane.

What it is:
On the disk of a control-plane node lie the keys that sign certificates and tokens, the data of etcd, and kubeconfigs of
administrators.

Why it matters:
Whoever has the node has the cluster for good: with the keys new identities can be made at any time, and no binding
shows them.

Needs:
Root on a node that bears the label or the taint of the control plane (also of etcd or master); a taint that has been
removed changes nothing, one that is there keeps nobody off. That the usual files are there is an assumption. A provider
that runs the control plane shows no such node: nothing follows. Where the input holds no Node at all, that there is one
among the nodes is assumed.

Fix:
Let no workload of users reach these nodes: enforce the level baseline, and forbid their tolerations and node names by
an admission policy.

References:
- https://kubernetes.io/docs/setup/best-practices/certificates/
- https://kubernetes.io/docs/reference/labels-annotations-taints/#node-role-kubernetes-io-control-plane
- attacks.md §3.7, §4.2
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: v1
kind: Node
metadata: {name: cp-1, labels: {node-role.kubernetes.io/control-plane: ''}}
---
apiVersion: v1
kind: Node
metadata: {name: worker-1}
"""

RULE = Rule(
    id="control-plane-node",
    title="Take the keys of the cluster from a node of the control plane",
    family="nodes",
    severity="critical",
    confidence=Confidence.CONDITIONAL,
    needs="root on a node of the control plane",
    gains="the cluster",
    attack=("T1552.004", "T1552.001"),
    assumes=("NODE-FILES", "CONTROL-PLANE"),
    core=True,
    examples=(
        Example(
            title="a node with the label",
            manifests=_MANIFESTS,
            start="Node/cp-1",
            goal="cluster-admin",
            verdict="conditional",
            edit=("control-plane: ''", "worker: ''"),
        ),
        Example(
            title="a node with the taint of old",
            manifests=_MANIFESTS.replace(
                "labels: {node-role.kubernetes.io/control-plane: ''}}",
                "}\nspec: {taints: [{key: node-role.kubernetes.io/master, effect: NoSchedule}]}",
            ),
            start="Node/cp-1",
            goal="cluster-admin",
            verdict="conditional",
            edit=("key: node-role.kubernetes.io/master", "key: example.com/gpu"),
        ),
        Example(
            title="a worker beside it is not the control plane",
            manifests=_MANIFESTS,
            start="Node/worker-1",
            goal="cluster-admin",
            verdict="none",
        ),
    ),
)
