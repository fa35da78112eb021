"""Leave a privileged container.

What it is:
A privileged container has every capability, every device of the node and no seccomp or AppArmor profile. Its root is
the root of the node but for a few commands.

Why it matters:
Whoever runs code in it has the node: the disk, every pod on it and the kubelet's credential.

Needs:
`privileged: true` in the security context of any container, init and ephemeral ones included, and code in the pod. In a
pod with `hostUsers: false` privileges hold in a user namespace only: nothing follows. Where the container is known not
to start as root, or has a runtime class, it is an assumption.

Fix:
Drop `privileged` and add the one capability or device that is needed. Enforce the level baseline.

References:
- https://kubernetes.io/docs/concepts/security/pod-security-standards/
- https://kubernetes.io/docs/concepts/workloads/pods/user-namespaces/
- attacks.md §3.6
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  nodeName: worker-1
  containers:
  - name: web
    image: web
    securityContext: {privileged: true}
"""

RULE = Rule(
    id="escape-privileged",
    title="Leave a privileged container",
    family="escape",
    severity="high",
    confidence=Confidence.CERTAIN,
    needs="privileged: true in a container under control, no user namespace",
    gains="root on the node",
    attack=("T1611",),
    microsoft=("MS-TA9018",),
    assumes=("RUNTIME",),
    core=True,
    examples=(
        Example(
            title="a privileged container is its node",
            manifests=_MANIFESTS,
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="proved",
            edit=("privileged: true", "privileged: false"),
        ),
        Example(
            title="an init container counts as well",
            manifests=_MANIFESTS.replace(
                "  containers:", "  containers: [{name: main, image: main}]\n  initContainers:"
            ),
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="proved",
            edit=("privileged: true", "privileged: false"),
        ),
        Example(
            title="not as root it is an assumption",
            manifests=_MANIFESTS.replace("privileged: true", "privileged: true, runAsUser: 1000"),
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="conditional",
            edit=("privileged: true", "privileged: false"),
        ),
        Example(
            title="in a user namespace root is nobody on the node",
            manifests=_MANIFESTS.replace("  containers:", "  hostUsers: false\n  containers:"),
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="none",
        ),
    ),
)
