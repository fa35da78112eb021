"""What requests can do, as the rules need it: one table of powers, each a choice of atomic requests.

Facts: rbac.md S-31 to S-39 (which requests carry a name), attacks.md §2.2 (creating apply and PUT), §2.6, §2.7.
"""

from __future__ import annotations

from graphsec.model.attack import Ability, Power, Scope, Way

RBAC, CERTIFICATES, AUTHENTICATION = "rbac.authorization.k8s.io", "certificates.k8s.io", "authentication.k8s.io"
ADMISSION = "admissionregistration.k8s.io"
#: Controllers whose pod template can be changed; that of a Job is immutable.
CONTROLLERS = (
    ("Deployment", "apps", "deployments"),
    ("DaemonSet", "apps", "daemonsets"),
    ("StatefulSet", "apps", "statefulsets"),
    ("ReplicaSet", "apps", "replicasets"),
    ("ReplicationController", "", "replicationcontrollers"),
    ("CronJob", "batch", "cronjobs"),
)
#: Custom resources whose controllers make a pod of a template in them (attacks.md §5).
POD_TEMPLATES = (
    ("argoproj.io", "workflows"),
    ("argoproj.io", "cronworkflows"),
    ("argoproj.io", "rollouts"),
    ("tekton.dev", "taskruns"),
    ("tekton.dev", "pipelineruns"),
    ("kubevirt.io", "virtualmachines"),
    ("kubevirt.io", "virtualmachineinstances"),
    ("jobset.x-k8s.io", "jobsets"),
    ("serving.knative.dev", "services"),
    ("sparkoperator.k8s.io", "sparkapplications"),
    ("monitoring.coreos.com", "prometheuses"),
    ("opentelemetry.io", "opentelemetrycollectors"),
    ("actions.github.com", "autoscalingrunnersets"),
)


def _one(verb: str, resource: str, group: str = "", sub: str = "", name: str | None = None) -> Ability:
    return Ability(verb, resource, group, sub, name)


def creating(resource: str, group: str = "", *, put: bool = False) -> tuple[Way, ...]:
    """POST has no name (S-31); a creating apply has, and so has a PUT of the few types that it creates (S-34)."""
    named = _one("create", resource, group)
    ways = [Way((_one("create", resource, group, name=""),)), Way((named, _one("patch", resource, group)))]
    return (*ways, Way((named, _one("update", resource, group)))) if put else tuple(ways)


def changing(resource: str, group: str = "", sub: str = "") -> tuple[Way, ...]:
    return tuple(Way((_one(verb, resource, group, sub),)) for verb in ("patch", "update"))


def doing(*verbs: str, resource: str, group: str = "", sub: str = "") -> tuple[Way, ...]:
    return tuple(Way((_one(verb, resource, group, sub),)) for verb in verbs)


def _upgraded(sub: str) -> tuple[Way, ...]:
    """S-37: POST is create; a WebSocket is get, which from 1.35 on needs create as well."""
    create, get = _one("create", "pods", sub=sub), _one("get", "pods", sub=sub)
    return (Way((create,)), Way((get,), until=35), Way((get,), since=35, assumes=("GATE-OFF",)))


def _disclosing(resource: str, group: str = "") -> tuple[Way, ...]:
    """Writes whose answer holds the object (§2.7); a collection is deleted without a name."""
    return (
        Way((_one("patch", resource, group),)),
        Way((_one("delete", resource, group),)),
        Way((_one("deletecollection", resource, group, name=""),)),
    )


def _guarded(verb: str, resource: str, writes: tuple[str, ...], *, named: bool) -> tuple[Way, ...]:
    """A write of RBAC objects that needs ``verb`` on the same name."""
    name = None if named else ""
    guard = _one(verb, resource, RBAC, name=name)
    return tuple(Way((guard, _one(write, resource, RBAC, name=name))) for write in writes)


def _authoring(resource: str) -> tuple[Way, ...]:
    """S-61: a new role with any rules; on POST both checks have no name."""
    create, guard = _one("create", resource, RBAC), _one("escalate", resource, RBAC)
    named = [Way((create, guard, _one(verb, resource, RBAC))) for verb in ("patch", "update")]
    return (*_guarded("escalate", resource, ("create",), named=False), *named)


#: By kind of what is created.
CREATE = {
    kind: Power(f"create {resource}", creating(resource, group))
    for kind, group, resource in (("Pod", "", "pods"), ("Job", "batch", "jobs"), *CONTROLLERS)
}
CREATE_POD_TEMPLATES = Power(
    "create custom resources that make pods",
    tuple(way for group, resource in POD_TEMPLATES for way in creating(resource, group)),
)
#: By kind of the controller.
CHANGE = {kind: Power(f"change {resource}", changing(resource, group)) for kind, group, resource in CONTROLLERS}
CHANGE_PODS = Power("change pods", changing("pods"))
CHANGE_EPHEMERAL = Power("add ephemeral containers", changing("pods", sub="ephemeralcontainers"))
EXEC = Power("exec into pods", _upgraded("exec"))
ATTACH = Power("attach to pods", _upgraded("attach"))
READ_LOGS = Power("read pods' logs", doing("get", resource="pods", sub="log"))
PROXY_NODES = Power("proxy to nodes", doing("get", "create", resource="nodes", sub="proxy"), Scope.CLUSTER)
READ_NODE_LOGS = Power("read nodes' logs", doing("get", resource="nodes", sub="log"), Scope.CLUSTER)

READ_SECRETS = Power("read secrets", doing("get", "list", "watch", resource="secrets"))
#: Follows from READ_SECRETS on a name that no Secret has yet; never asked for by itself.
READ_FREE = Power("read a secret that does not exist yet", ())
WRITE_OUT_SECRETS = Power("read secrets by writing", _disclosing("secrets"))
CREATE_SECRETS = Power("create secrets", creating("secrets"))
CHANGE_SECRETS = Power("change secrets", changing("secrets"))
REQUEST_TOKENS = Power("request tokens", doing("create", resource="serviceaccounts", sub="token"))
CREATE_ACCOUNTS = Power("create serviceaccounts", creating("serviceaccounts"))
CREATE_NAMESPACES = Power("create namespaces", creating("namespaces"), Scope.CLUSTER)

CREATE_ROLEBINDINGS = Power("create rolebindings", creating("rolebindings", RBAC, put=True))
CREATE_CLUSTERROLEBINDINGS = Power(
    "create clusterrolebindings", creating("clusterrolebindings", RBAC, put=True), Scope.CLUSTER
)
CHANGE_ROLEBINDINGS = Power("change rolebindings", changing("rolebindings", RBAC))
CHANGE_CLUSTERROLEBINDINGS = Power("change clusterrolebindings", changing("clusterrolebindings", RBAC), Scope.CLUSTER)
#: Asked in the namespace of the binding, for ClusterRoles too (S-60).
BIND_ROLES = Power("bind roles", doing("bind", resource="roles", group=RBAC))
BIND_CLUSTERROLES = Power("bind clusterroles", doing("bind", resource="clusterroles", group=RBAC))
REWRITE_ROLES = Power("rewrite roles", _guarded("escalate", "roles", ("patch", "update"), named=True))
REWRITE_CLUSTERROLES = Power(
    "rewrite clusterroles", _guarded("escalate", "clusterroles", ("patch", "update"), named=True), Scope.CLUSTER
)
AUTHOR_ROLES = Power("write new roles", _authoring("roles"))
AUTHOR_CLUSTERROLES = Power("write new clusterroles", _authoring("clusterroles"), Scope.CLUSTER)

IMPERSONATE_USERS = Power("impersonate users", doing("impersonate", resource="users"), Scope.CLUSTER)
IMPERSONATE_GROUPS = Power("impersonate groups", doing("impersonate", resource="groups"), Scope.CLUSTER)
IMPERSONATE_ACCOUNTS = Power("impersonate serviceaccounts", doing("impersonate", resource="serviceaccounts"))

#: Constrained impersonation is on from this minor (rbac.md S-72).
CONSTRAINED_SINCE = 36
ACT_AS_USERS = Power(
    "act as users", doing("impersonate:user-info", resource="users", group=AUTHENTICATION), Scope.CLUSTER
)
ACT_AS_ACCOUNTS = Power(
    "act as serviceaccounts", doing("impersonate:serviceaccount", resource="serviceaccounts", group=AUTHENTICATION)
)
ACT_AS_NODES = Power(
    "act as nodes", doing("impersonate:arbitrary-node", resource="nodes", group=AUTHENTICATION), Scope.CLUSTER
)
#: Asked on the literal name `*`.
ACT_AS_OWN_NODE = Power(
    "act as one's own node",
    (Way((_one("impersonate:associated-node", "nodes", AUTHENTICATION, name="*"),)),),
    Scope.CLUSTER,
)

REQUEST_CLIENTS = Power(
    "request client certificates", creating("certificatesigningrequests", CERTIFICATES), Scope.CLUSTER
)
REQUEST_KUBELETS = Power("request kubelet certificates", REQUEST_CLIENTS.ways, Scope.CLUSTER)
READ_REQUESTS = Power(
    "read issued certificates",
    (
        *doing("get", "list", "watch", "update", resource="certificatesigningrequests", group=CERTIFICATES),
        *_disclosing("certificatesigningrequests", CERTIFICATES),
        *changing("certificatesigningrequests", CERTIFICATES, "approval"),
        *changing("certificatesigningrequests", CERTIFICATES, "status"),
    ),
    Scope.CLUSTER,
)
_CLIENT_SIGNERS = ("kubernetes.io/kube-apiserver-client", "kubernetes.io/*")


def _signing(verb: str, sub: str, signers: tuple[str, ...] = _CLIENT_SIGNERS) -> tuple[Way, ...]:
    """S-82: the verb is asked on the signer's name, then on its domain."""
    return tuple(
        Way(
            (
                _one(write, "certificatesigningrequests", CERTIFICATES, sub),
                _one(verb, "signers", CERTIFICATES, name=name),
            )
        )
        for write in ("patch", "update")
        for name in signers
    )


APPROVE_CLIENTS = Power("approve client certificates", _signing("approve", "approval"), Scope.CLUSTER)
_KUBELET_SIGNERS = ("kubernetes.io/kube-apiserver-client-kubelet", "kubernetes.io/*")
APPROVE_KUBELETS = Power(
    "approve kubelet certificates", _signing("approve", "approval", _KUBELET_SIGNERS), Scope.CLUSTER
)
SIGN_CLIENTS = Power("sign client certificates", _signing("sign", "status"), Scope.CLUSTER)
#: Requester and holder of the grant are one (kube-controller-manager's approver asks about the requester).
NODE_CLIENT = Power(
    "have kubelet certificates approved",
    tuple(
        Way((*way.needs, _one("create", "certificatesigningrequests", CERTIFICATES, "nodeclient", "")))
        for way in creating("certificatesigningrequests", CERTIFICATES)
    ),
    Scope.CLUSTER,
)

#: The name is that of the namespace, which the request is in as well (S-35).
RELAX_NAMESPACE = Power(
    "relabel namespaces",
    (
        *changing("namespaces"),
        *changing("namespaces", sub="status"),
        Way((_one("update", "namespaces", sub="finalize"),)),
    ),
)
CREATE_VOLUMES = Power("create persistentvolumes", creating("persistentvolumes"), Scope.CLUSTER)
WRITE_MUTATING = Power(
    "write mutating webhooks",
    (*creating("mutatingwebhookconfigurations", ADMISSION), *changing("mutatingwebhookconfigurations", ADMISSION)),
    Scope.CLUSTER,
)
WRITE_MUTATING_POLICIES = Power(
    "write mutating admission policies",
    tuple(
        Way((*policy.needs, *binding.needs), since=36)
        for policy in creating("mutatingadmissionpolicies", ADMISSION)[:1]
        for binding in creating("mutatingadmissionpolicybindings", ADMISSION)[:1]
    ),
    Scope.CLUSTER,
)
EVICT_PODS = Power(
    "remove pods", (*doing("delete", resource="pods"), *doing("create", resource="pods", sub="eviction"))
)
REMOVE_NODES = Power("remove nodes", doing("delete", resource="nodes"), Scope.CLUSTER)
CORDON_NODES = Power("change nodes", (*changing("nodes"), *changing("nodes", sub="status")), Scope.CLUSTER)
RESTORE_BACKUPS = Power("restore backups", creating("restores", "velero.io"))
DEPLOY = Power(
    "write applications of a deployment controller",
    tuple(
        way
        for group, resource in (
            ("kustomize.toolkit.fluxcd.io", "kustomizations"),
            ("helm.toolkit.fluxcd.io", "helmreleases"),
            ("argoproj.io", "applications"),
        )
        for way in (*creating(resource, group), *changing(resource, group))
    ),
)
#: EKS in config-map mode maps cloud roles to groups by this object.
AWS_AUTH = Power(
    "change aws-auth",
    tuple(Way((_one(verb, "configmaps", name="aws-auth"),)) for verb in ("patch", "update")),
)
#: S-97's word for everything (rbac.md E1).
EVERYTHING = Power("do everything", (Way((_one("*", "*", "*", name=""),)),))

POWERS: tuple[Power, ...] = (
    *(value for value in list(globals().values()) if isinstance(value, Power)),
    *CREATE.values(),
    *CHANGE.values(),
)
#: What NodeRestriction keeps from the credential of a kubelet whatever RBAC grants it: pods that run something, tokens and
#: evictions beyond its own pods, other nodes, certificates in their names.
REFUSED_TO_KUBELETS = frozenset(
    {
        CREATE["Pod"],
        CHANGE_PODS,
        CHANGE_EPHEMERAL,
        REQUEST_TOKENS,
        EVICT_PODS,
        REMOVE_NODES,
        CORDON_NODES,
        REQUEST_KUBELETS,
        NODE_CLIENT,
    }
)
#: Powers over custom resources, which mean nothing where those are not installed.
CUSTOM = (CREATE_POD_TEMPLATES, RESTORE_BACKUPS, DEPLOY)
