"""Write a custom resource that a controller with more rights acts on.

What it is:
A controller applies what others write into its custom resources, with its own account. Flux and Argo CD apply
manifests, Velero restores objects, Argo Workflows and Tekton make pods of a template in the resource.

Why it matters:
The right to write such a resource is as much as the controller may do for the writer: often everything, hidden behind a
harmless name.

Needs:
`create`, or `update` or `patch`, on a resource whose definition is in the cluster. For Flux and Argo CD the account of
the controller must be there as well; its computed rights are gained, nothing more. Settings of the controller limit
that (impersonation of an account, AppProjects, sources): that they do not is assumed. Where pods come of it, Pod
Security judges them.

Fix:
Make the controller impersonate an account of the writer's namespace (`--default-service-account` in Flux), limit
AppProjects, and grant the resources as sparingly as what they can do.

References:
- https://fluxcd.io/flux/installation/configuration/multitenancy/
- https://argo-cd.readthedocs.io/en/stable/user-guide/projects/
- attacks.md §3.10, §5
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: kustomizations.kustomize.toolkit.fluxcd.io}
spec:
  group: kustomize.toolkit.fluxcd.io
  scope: Namespaced
  names: {kind: Kustomization, plural: kustomizations}
  versions: [{name: v1}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: kustomize-controller, namespace: flux-system}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: helper, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: helper, namespace: shop}
rules:
- {apiGroups: [kustomize.toolkit.fluxcd.io], resources: [kustomizations], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: helper, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
"""

RULE = Rule(
    id="confused-deputy",
    title="Write a custom resource that a controller with more rights acts on",
    family="workloads",
    severity="high",
    confidence=Confidence.CONDITIONAL,
    needs="write a custom resource of a deployment, backup or workflow controller",
    gains="the account of the controller, the cluster by a restore, or pods",
    attack=("T1548",),
    microsoft=("MS-TA9042",),
    assumes=("DEPUTY-CONFIG", "WEBHOOK"),
    examples=(
        Example(
            title="Flux applies what the account writes",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="ServiceAccount/flux-system/kustomize-controller",
            verdict="conditional",
            edit=("verbs: [create]", "verbs: [get]"),
        ),
        Example(
            title="the controller has no rights of its own here",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="cluster-admin",
            verdict="none",
        ),
        Example(
            title="the kind is of another group",
            manifests=_MANIFESTS.replace(
                "apiGroups: [kustomize.toolkit.fluxcd.io]", "apiGroups: [kustomize.config.k8s.io]"
            ),
            start="sa:shop/helper",
            goal="ServiceAccount/flux-system/kustomize-controller",
            verdict="none",
        ),
    ),
)
