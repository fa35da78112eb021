"""Break into a service that the network lets one reach.

What it is:
A container that can be broken into through its port falls to whoever reaches that port. Which ones can, the objects of
a cluster do not say: the user marks them.

Why it matters:
It joins the network to the graph: from the internet, or from one pod to the next, where no identity leads.

Needs:
A port that policies and routes let the attacker reach, and the mark of a workload that can be broken into there (no
authentication, a known flaw). That the workload listens on the port, and that the plugin enforces what the policies
say, are assumptions. A declared port proves no listener, and a ClusterIP is no way in from outside.

Fix:
Deny by default, in both directions. Put services that trust their callers behind authentication.

References:
- https://kubernetes.io/docs/concepts/services-networking/network-policies/
- attacks.md §3.10, §6, §8
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: web, image: web, ports: [{containerPort: 80}]}]}
"""

RULE = Rule(
    id="network-reach",
    title="Break into a service that the network lets one reach",
    family="traffic",
    severity="medium",
    confidence=Confidence.CONDITIONAL,
    needs="a reachable port of a workload marked as open to attack",
    gains="the container behind the port",
    attack=("T1190", "T1210"),
    microsoft=("MS-TA9034",),
    assumes=("LISTEN", "NP-ENFORCED"),
    examples=(
        Example(
            title="a marked port behind a load balancer",
            manifests=_MANIFESTS,
            start="internet",
            goal="Pod/shop/web",
            verdict="conditional",
            edit=("type: LoadBalancer", "type: ClusterIP"),
            entries="entries: [{workload: shop/web, ports: [80], reason: default password}]",
        ),
        Example(
            title="reach alone breaks into nothing",
            manifests=_MANIFESTS,
            start="internet",
            goal="Pod/shop/web",
            verdict="none",
        ),
        Example(
            title="a ClusterIP is not reached from outside",
            manifests=_MANIFESTS.replace("type: LoadBalancer, ", ""),
            start="internet",
            goal="Pod/shop/web",
            verdict="none",
            entries="entries: [{workload: shop/web, ports: [80]}]",
        ),
    ),
)
