"""The slow, obvious attacker that the attack graph must agree with: a simulation on plain objects.

It keeps the objects of a cluster and what the attacker controls, tries every attack of attacks.md §3.1-3.5 and 3.7 as API
requests of every controlled identity, and lets each that is allowed change either, until nothing changes. It knows no
facts, clauses or proofs and imports nothing of graphsec. Changes only ever add: what is overwritten or deleted on the way
stays, and nothing is deleted to make it anew. Names that an attacker may choose are those that some rule or binding
mentions, and one more.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from reference import (
    Object,
    Rule,
    allows,
    applies_to,
    breakdown,
    items,
    rule_covers,
    rule_key,
    subject_of_user,
    with_aggregation,
)

CORE, RBAC, CSR = "", "rbac.authorization.k8s.io", "certificates.k8s.io"
MASTERS, NODES, AUTHENTICATED = "system:masters", "system:nodes", "system:authenticated"
UNAUTHENTICATED, BOOTSTRAPPERS = "system:unauthenticated", "system:bootstrappers"
ACCOUNT_PREFIX, NODE_PREFIX = "system:serviceaccount:", "system:node:"
#: The name of whatever the attacker may call as he likes.
FRESH = "attacker"
#: Ends the name of a role that stands for what another was changed to.
SHADOW = "~"
#: Namespaces that every cluster has.
BORN = ("default", "kube-node-lease", "kube-public", "kube-system")
CONTROL_PLANE = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
ENFORCE = "pod-security.kubernetes.io/enforce"
TOKEN_TYPE, BOOTSTRAP_TYPE = "kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"
TOKEN_OF = "kubernetes.io/service-account.name"
MIRROR = "kubernetes.io/config.mirror"
TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
#: Makers of pods: (group, resource, kind); those with a template that can be changed.
PODLIKE = (
    (CORE, "pods", "Pod"),
    (CORE, "replicationcontrollers", "ReplicationController"),
    ("apps", "deployments", "Deployment"),
    ("apps", "daemonsets", "DaemonSet"),
    ("apps", "statefulsets", "StatefulSet"),
    ("apps", "replicasets", "ReplicaSet"),
    ("batch", "jobs", "Job"),
    ("batch", "cronjobs", "CronJob"),
)
CONTROLLERS = tuple(row for row in PODLIKE if row[2] not in ("Pod", "Job"))
EVERYTHING: list[Rule] = [
    {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
    {"nonResourceURLs": ["*"], "verbs": ["*"]},
]
LEVELS = ("privileged", "baseline", "restricted")
#: Sides of a request for a client certificate; each may be another identity's.
CLIENT_SIGNER, KUBELET_SIGNER = "kubernetes.io/kube-apiserver-client", "kubernetes.io/kube-apiserver-client-kubelet"

Key = tuple[str, str]


class Identity(NamedTuple):
    """Whom the API server takes a request to be of."""

    user: str
    groups: frozenset[str]

    @property
    def node(self) -> str:
        """As the Node authorizer and NodeRestriction see it."""
        return self.user.removeprefix(NODE_PREFIX) if self.user.startswith(NODE_PREFIX) and NODES in self.groups else ""


class Rights:
    """What RBAC lets somebody do: rules with the namespace that they hold in, None for everywhere."""

    def __init__(self, identity: Identity, rules: list[tuple[str | None, Rule]]) -> None:
        self.identity, self.node, self.rules = identity, identity.node, rules
        self._asked: dict[tuple[str, str, str, str, str, str], bool] = {}

    def can(self, verb: str, group: str, resource: str, namespace: str = "", name: str = "") -> bool:
        """``resource`` may be `RES/SUB`; without ``namespace`` the request is for the whole cluster."""
        asked = (verb, group, resource, namespace, name, "")
        if asked not in self._asked:
            main, _, sub = resource.partition("/")
            attrs = {"verb": verb, "group": group, "resource": main, "subresource": sub, "name": name}
            self._asked[asked] = any(allows(rule, attrs) for rule in self.held(namespace))
        return self._asked[asked]

    def held(self, namespace: str) -> list[Rule]:
        return [rule for scope, rule in self.rules if scope is None or (namespace and scope == namespace)]

    def modify(self, group: str, resource: str, namespace: str, name: str) -> bool:
        return any(self.can(verb, group, resource, namespace, name) for verb in ("update", "patch"))

    def create(self, group: str, resource: str, namespace: str, name: str, *, by_put: bool = False) -> bool:
        """S-31, S-34: by POST, or under that name by apply, or by PUT where the type allows it."""
        if self.can("create", group, resource, namespace):
            return True
        writes = ("patch", "update") if by_put else ("patch",)
        return self.can("create", group, resource, namespace, name) and any(
            self.can(verb, group, resource, namespace, name) for verb in writes
        )

    def covers(self, rules: list[Rule], namespace: str) -> bool:
        """S-63."""
        mine = self.held(namespace)
        return all(any(rule_covers(own, atom) for own in mine) for rule in rules for atom in breakdown(rule))

    @property
    def is_admin(self) -> bool:
        return MASTERS in self.identity.groups or any(
            scope is None
            and not items(rule, "resourceNames")
            and all("*" in items(rule, field) for field in ("verbs", "apiGroups", "resources"))
            for scope, rule in self.rules
        )


class Simulation:
    def __init__(self, objects: Iterable[Object], minor: int = 36, assume: Iterable[str] = ()) -> None:
        """``assume``: names of attacks.md §3.0, and of the engine's own list where that document has none."""
        self.minor, self.assume = minor, frozenset(assume)
        self.objects: dict[str, dict[Key, Object]] = {}
        for obj in copy.deepcopy(list(objects)):
            self.objects.setdefault(obj["kind"], {})[key_of(obj)] = obj
        self.identities: set[Identity] = set()
        self.pods: set[Key] = set()
        self.nodes: set[str] = set()
        self.secrets: set[Key] = set()
        #: Namespaces in which pods of the attacker's making run.
        self.new_pods: set[str] = set()
        self.cluster = False
        self.changed = False
        self.stale = True
        self._named: set[tuple[str, str, str]] | None = None
        self._settle()

    # -- objects -----------------------------------------------------------------------------------------------

    def of(self, kind: str, namespace: str | None = None) -> list[tuple[Key, Object]]:
        found = self.objects.get(kind, {}).items()
        return [(key, obj) for key, obj in found if namespace is None or key[0] == namespace]

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        return self.objects.get(kind, {}).get((namespace, name))

    def add(self, obj: Object) -> None:
        if key_of(obj) not in self.objects.setdefault(obj["kind"], {}):
            self.objects[obj["kind"]][key_of(obj)] = obj
            self.changed = True

    def _settle(self) -> None:
        """What the controllers do: aggregation, an account called `default` in each namespace."""
        for namespace in self.namespaces():
            self.add(account(namespace, "default"))
        if "ACCOUNT-EXISTS" in self.assume:
            for namespace, name in self.accounts_named():
                if namespace in self.namespaces():
                    self.add(account(namespace, name))
        if self.stale:
            # Only the aggregated get new rules; a copy, so that their own stay what was written.
            plain = [obj for kind in ("ClusterRole", "Role") for _, obj in self.of(kind)]
            self.rules_of = {(obj["kind"], *key_of(obj)): items(obj, "rules") for obj in with_aggregation(plain)}
            self.stale = False

    def namespaces(self) -> set[str]:
        """All that exist: those of Namespace objects, if there are any, else of all objects."""
        listed = {name for (_, name), _ in self.of("Namespace")}
        implied = {namespace for kind in self.objects for (namespace, _), _ in self.of(kind) if namespace}
        return (listed or implied) | set(BORN)

    def level(self, namespace: str) -> str:
        found = self.get("Namespace", "", namespace)
        label = ((found or {}).get("metadata", {}).get("labels") or {}).get(ENFORCE, "privileged")
        return label if label in LEVELS else "restricted"

    def admits(self, level: str, namespace: str) -> bool:
        return LEVELS.index(level) >= LEVELS.index(self.level(namespace))

    def bindings(self) -> Iterator[Object]:
        for kind in ("ClusterRoleBinding", "RoleBinding"):
            yield from (obj for _, obj in self.of(kind))

    def rules(self, kind: str, namespace: str, name: str) -> list[Rule] | None:
        """None: the role is missing."""
        return self.rules_of.get((kind, "" if kind == "ClusterRole" else namespace, name))

    def subjects(self) -> set[tuple[str, str, str]]:
        """Of the bindings of the input: the attacker's own name nobody new."""
        if self._named is None:
            self._named = set(self._subjects())
        return self._named

    def _subjects(self) -> Iterator[tuple[str, str, str]]:
        for binding in self.bindings():
            for subject in items(binding, "subjects"):
                if subject["kind"] == "User":
                    kind, namespace, name = subject_of_user(subject["name"])
                    yield kind, namespace or "", name
                else:
                    home = subject.get("namespace") or binding["metadata"].get("namespace") or ""
                    yield subject["kind"], home, subject["name"]

    def accounts_named(self) -> set[Key]:
        return {(namespace, name) for kind, namespace, name in self.subjects() if kind == "ServiceAccount"}

    def groups_named(self) -> set[str]:
        return {name for kind, _, name in self.subjects() if kind == "Group"} | {MASTERS, NODES}

    def names(self, *resources: str) -> set[str]:
        """Names that a rule about one of the resources, or a subresource of it, is limited to, and one more."""
        words = {"*", *resources}
        return {FRESH} | {
            name
            for rules in self.rules_of.values()
            for rule in rules
            if items(rule, "resourceNames")
            and any(word.partition("/")[0] in words for word in items(rule, "resources"))
            for name in items(rule, "resourceNames")
        }

    def node_names(self) -> set[str]:
        names = {name for (_, name), _ in self.of("Node")}
        names |= {pod["spec"]["nodeName"] for _, pod in self.of("Pod") if pod["spec"].get("nodeName")}
        users = {name for kind, _, name in self.subjects() if kind == "User"} | self.names("users")
        return names | {user.removeprefix(NODE_PREFIX) for user in users if user.startswith(NODE_PREFIX)}

    def users_to_be(self) -> set[str]:
        """Whom an impersonator or a certificate may name, service accounts left out."""
        named = {name for kind, _, name in self.subjects() if kind == "User"}
        nodes = {NODE_PREFIX + node for node in self.node_names()}
        return {user for user in named | nodes | self.names("users") if not user.startswith(ACCOUNT_PREFIX)}

    def accounts_to_be(self) -> set[Key]:
        existing = {key for key, _ in self.of("ServiceAccount")}
        spelt = self.names("serviceaccounts")
        return existing | self.accounts_named() | {(ns, name) for ns in self.namespaces() for name in spelt}

    # -- control -----------------------------------------------------------------------------------------------

    def become(self, user: str, groups: Iterable[str] | None = None) -> None:
        """``groups``: all of them, if not those that come with the name."""
        if groups is None:
            groups = groups_of(user)
        identity = Identity(user, frozenset(groups))
        if identity not in self.identities:
            self.identities.add(identity)
            self.changed = True

    def become_account(self, namespace: str, name: str) -> None:
        """By a token: the account must exist."""
        if self.get("ServiceAccount", namespace, name):
            self.become(f"{ACCOUNT_PREFIX}{namespace}:{name}")

    def become_node(self, node: str) -> None:
        self.become(NODE_PREFIX + node, (NODES, AUTHENTICATED))

    def take(self, taken: set[Any], what: Any) -> None:
        if what not in taken:
            taken.add(what)
            self.changed = True

    def rights(self) -> list[Rights]:
        """Of everybody under control, by a loop over bindings; those who can do the same once."""
        found: dict[Any, Rights] = {}
        for identity in sorted(self.identities, key=lambda one: (one.user, sorted(one.groups))):
            held: dict[Any, tuple[str | None, Rule]] = {}
            for binding in self.bindings():
                if any(
                    applies_to(subject, binding, identity.user, list(identity.groups))
                    for subject in items(binding, "subjects")
                ):
                    scope = binding["metadata"].get("namespace")
                    ref = binding["roleRef"]
                    for name in (ref["name"], ref["name"] + SHADOW):
                        for rule in self.rules(ref["kind"], scope or "", name) or []:
                            held[scope, rule_key(rule)] = (scope, rule)
            same = (frozenset(held), identity.node, MASTERS in identity.groups)
            found.setdefault(same, Rights(identity, list(held.values())))
        return list(found.values())

    def run(self) -> Simulation:
        self.changed = True
        while self.changed and not self.cluster:
            self.changed = False
            self._settle()
            everyone = self.rights()
            if any(rights.is_admin for rights in everyone):
                self.cluster = True
                break
            self._places()
            self._node_credentials()
            for rights in everyone:
                self._accounts(rights)
                self._impersonate(rights)
                self._secrets(rights)
                self._pods(rights)
                self._namespaces(rights)
                self._roles(rights)
                self._bindings(rights)
            self._certificates(everyone)
            self._token_secrets(everyone)
            self._volumes(everyone)
        return self

    # -- 3.1: where code runs ----------------------------------------------------------------------------------

    def _places(self) -> None:
        for key in sorted(self.pods):
            pod = self.objects["Pod"][key]
            if has_token(pod, self.get("ServiceAccount", key[0], account_of(pod))):
                self.become_account(key[0], account_of(pod))
            for secret in secrets_in(pod):
                self.take(self.secrets, (key[0], secret))
            if opens_node(pod) and pod["spec"].get("nodeName"):
                self.take(self.nodes, pod["spec"]["nodeName"])
        for namespace in sorted(self.new_pods):
            # Any account, any volume; any node where the field that opens it passes.
            for (_, name), _ in self.of("ServiceAccount", namespace):
                self.become_account(namespace, name)
            self._all_secrets(namespace)
            if self.level(namespace) == "privileged":
                self._all_nodes()
        for node in sorted(self.nodes):
            self.become_node(node)
            self._pods_on(node)
            found = self.get("Node", "", node)
            if found and is_control_plane(found):
                self.cluster = True

    def _pods_on(self, node: str) -> None:
        for key, pod in self.of("Pod"):
            if pod["spec"].get("nodeName") == node and not finished(pod):
                self.take(self.pods, key)

    def _all_nodes(self) -> None:
        for (_, name), _ in self.of("Node"):
            self.take(self.nodes, name)

    def _all_secrets(self, namespace: str) -> None:
        for key, _ in self.of("Secret", namespace):
            self.take(self.secrets, key)

    def _node_credentials(self) -> None:
        """S-80: the Node authorizer; what NodeRestriction refuses stands with each action."""
        for identity in sorted(self.identities):
            for key, pod in self.of("Pod"):
                mirror = MIRROR in (pod["metadata"].get("annotations") or {})
                if identity.node and pod["spec"].get("nodeName") == identity.node and not mirror:
                    self.become_account(key[0], account_of(pod))
                    for secret in secrets_in(pod):
                        self.take(self.secrets, (key[0], secret))

    # -- 3.2, 3.5: pods ----------------------------------------------------------------------------------------

    def _pods(self, rights: Rights) -> None:
        for namespace in sorted(self.namespaces()):
            if any(
                self._creates(rights, group, resource, kind, namespace)
                for group, resource, kind in PODLIKE
                # A node's pods are mirror pods.
                if not (rights.node and resource == "pods")
            ):
                self.take(self.new_pods, namespace)
            for group, resource, kind in CONTROLLERS:
                names = {name for (_, name), _ in self.of(kind, namespace)}
                if "WORKLOAD-EXISTS" in self.assume:
                    names |= self.names(resource)
                if any(rights.modify(group, resource, namespace, name) for name in sorted(names)):
                    self.take(self.new_pods, namespace)
        for key, pod in self.of("Pod"):
            if not finished(pod) and self._enters(rights, *key, pod):
                self.take(self.pods, key)

    def _creates(self, rights: Rights, group: str, resource: str, kind: str, namespace: str) -> bool:
        """An apply of a name that exists creates nothing."""
        names = self.names(resource) - {name for (_, name), _ in self.of(kind, namespace)}
        return any(rights.create(group, resource, namespace, name) for name in sorted(names))

    def _enters(self, rights: Rights, namespace: str, name: str, pod: Object) -> bool:
        node = pod["spec"].get("nodeName", "")
        mirror = MIRROR in (pod["metadata"].get("annotations") or {})
        # NodeRestriction; and a mirror pod is no more than a picture. Pod Security judges the whole pod.
        changes = not rights.node and not mirror and self.admits(level_of(pod), namespace)
        entered = changes and rights.modify(CORE, "pods", namespace, name)
        if changes and rights.modify(CORE, "pods/ephemeralcontainers", namespace, name):
            # The new container may mount what the pod has, take its environment from any Secret, and be privileged.
            entered = True
            if volume_token(pod, self.get("ServiceAccount", namespace, account_of(pod))):
                self.become_account(namespace, account_of(pod))
            self._all_secrets(namespace)
            if self.level(namespace) == "privileged" and node:
                self.take(self.nodes, node)
        if node and any(rights.can(verb, CORE, "nodes/proxy", "", node) for verb in ("get", "create")):
            entered = True
        verbs = ("create", "get") if self.minor < 35 or "GATE-OFF" in self.assume else ("create",)
        return entered or any(
            rights.can(verb, CORE, sub, namespace, name) for verb in verbs for sub in ("pods/exec", "pods/attach")
        )

    def _namespaces(self, rights: Rights) -> None:
        for (_, name), obj in self.of("Namespace"):
            if (
                rights.modify(CORE, "namespaces", name, name)
                or rights.modify(CORE, "namespaces/status", name, name)
                or rights.can("update", CORE, "namespaces/finalize", name, name)
            ):
                self._relabel(obj)
        if not self.of("Namespace"):
            return
        names = {namespace for namespace, _ in self.accounts_named()} | self.names("namespaces")
        for name in sorted(names - self.namespaces() - {""}):
            named = rights.can("create", CORE, "namespaces", name, name)
            if rights.can("create", CORE, "namespaces") or (
                named and rights.can("patch", CORE, "namespaces", name, name)
            ):
                self.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def _relabel(self, namespace: Object) -> None:
        labels = namespace["metadata"].get("labels") or {}
        if labels.get(ENFORCE, "privileged") != "privileged":
            namespace["metadata"]["labels"] = {**labels, ENFORCE: "privileged"}
            self.changed = True

    def _volumes(self, everyone: list[Rights]) -> None:
        """`pv-hostpath`, `pvc-existing-hostpath`, `pv-claim-available`: none is Pod Security's business."""
        if not self.new_pods:
            return
        names = sorted(self.names("persistentvolumes"))
        made = any(rights.create(CORE, "persistentvolumes", "", name) for rights in everyone for name in names)
        for (_, name), volume in self.of("PersistentVolume"):
            spec = volume["spec"]
            claims = {
                key[0] for key, claim in self.of("PersistentVolumeClaim") if claim["spec"].get("volumeName") == name
            }
            reserved = spec.get("claimRef") or claims
            if "hostPath" in spec and (not reserved or claims & self.new_pods):
                made = True
        if made:
            self._all_nodes()

    # -- 3.3: credentials --------------------------------------------------------------------------------------

    def _accounts(self, rights: Rights) -> None:
        for (namespace, name), _ in self.of("ServiceAccount"):
            # NodeRestriction: a node's requests are bound to its pods.
            if not rights.node and rights.can("create", CORE, "serviceaccounts/token", namespace, name):
                self.become_account(namespace, name)
        names = self.names("serviceaccounts")
        for namespace in sorted(self.namespaces()):
            absent = {name for home, name in self.accounts_named() if home == namespace} | names
            for name in sorted(absent):
                if rights.create(CORE, "serviceaccounts", namespace, name):
                    self.add(account(namespace, name))

    def _reads(self, rights: Rights, namespace: str, name: str) -> bool:
        return any(
            rights.can(verb, CORE, "secrets", namespace, name) for verb in ("get", "list", "watch", "patch", "delete")
        ) or rights.can("deletecollection", CORE, "secrets", namespace)

    def _secrets(self, rights: Rights) -> None:
        for key, _ in self.of("Secret"):
            if self._reads(rights, *key):
                self.take(self.secrets, key)
        bootstrap = f"bootstrap-token-{FRESH}"
        if rights.create(CORE, "secrets", "kube-system", bootstrap):
            self._bootstrap()

    def _bootstrap(self) -> None:
        extra = {group for group in self.groups_named() if group.startswith(BOOTSTRAPPERS + ":")}
        self.become("system:bootstrap:attack", {BOOTSTRAPPERS, AUTHENTICATED} | extra)

    def _token_secrets(self, everyone: list[Rights]) -> None:
        for key, secret in self.of("Secret"):
            kind = secret.get("type")
            namespace, name = key
            if kind == BOOTSTRAP_TYPE and namespace == "kube-system" and key in self.secrets:
                self._bootstrap()
            if kind != TOKEN_TYPE or key not in self.secrets:
                continue
            changes = any(rights.modify(CORE, "secrets", namespace, name) for rights in everyone)
            metadata = secret["metadata"]
            dead = "kubernetes.io/legacy-token-invalid-since" in (metadata.get("labels") or {})
            for (_, other), _ in self.of("ServiceAccount", namespace):
                if changes or (not dead and (metadata.get("annotations") or {}).get(TOKEN_OF) == other):
                    self.become_account(namespace, other)
        for namespace in sorted(self.namespaces()):
            # The type of one that exists cannot change.
            for name in sorted(self.names("secrets") - {name for (_, name), _ in self.of("Secret", namespace)}):
                made = any(rights.create(CORE, "secrets", namespace, name) for rights in everyone)
                read = namespace in self.new_pods or any(self._reads(rights, namespace, name) for rights in everyone)
                debug = any(self._debugs(rights, namespace) for rights in everyone)
                if made and (read or debug):
                    for (_, other), _ in self.of("ServiceAccount", namespace):
                        self.become_account(namespace, other)

    def _debugs(self, rights: Rights, namespace: str) -> bool:
        """An ephemeral container takes its environment from any Secret."""
        return not rights.node and any(
            rights.modify(CORE, "pods/ephemeralcontainers", namespace, name)
            and self.admits(level_of(pod), namespace)
            and not finished(pod)
            and MIRROR not in (pod["metadata"].get("annotations") or {})
            for (_, name), pod in self.of("Pod", namespace)
        )

    # -- 3.4: RBAC writes --------------------------------------------------------------------------------------

    def _roles(self, rights: Rights) -> None:
        dangling = {
            (binding["roleRef"]["kind"], binding["metadata"].get("namespace", ""), binding["roleRef"]["name"])
            for binding in self.bindings()
        }
        spelt = self.names("roles", "clusterroles")
        for kind, resource, places in (
            ("ClusterRole", "clusterroles", {""}),
            ("Role", "roles", self.namespaces()),
        ):
            for namespace in sorted(places):
                if not any(
                    rights.can(verb, RBAC, resource, namespace, name)
                    for verb in ("create", "update", "patch")
                    for name in (*sorted(spelt), "")
                ):
                    continue
                names = spelt | {name for (_, name), _ in self.of(kind, namespace) if not name.endswith(SHADOW)}
                names |= {name for k, ns, name in dangling if k == kind and (k == "ClusterRole" or ns == namespace)}
                for name in sorted(names):
                    self._write_role(rights, kind, resource, namespace, name)

    def _write_role(self, rights: Rights, kind: str, resource: str, namespace: str, name: str) -> None:
        role = self.get(kind, namespace, name)
        # S-61: on POST the guard is asked without a name.
        posts = role is None and rights.can("create", RBAC, resource, namespace)
        named = rights.modify(RBAC, resource, namespace, name) and (
            role is not None or rights.can("create", RBAC, resource, namespace, name)
        )
        if not posts and not named:
            return
        labels = self._aggregating_labels() if kind == "ClusterRole" else {}
        if (posts and rights.can("escalate", RBAC, resource, namespace)) or (
            named and rights.can("escalate", RBAC, resource, namespace, name)
        ):
            self._put_role(kind, namespace, name, EVERYTHING if kind == "ClusterRole" else EVERYTHING[:1], labels)
            if self.objects[kind][namespace, name].pop("aggregationRule", None):
                self.changed = self.stale = True
            return
        if role is not None and role.get("aggregationRule") and not rights.covers(EVERYTHING, namespace):
            return
        mine = [rule for rule in rights.held(namespace) if items(rule, "resources")]
        if role is None:
            self._put_role(kind, namespace, name, mine, labels)
            return
        if rights.covers(items(role, "rules"), namespace):
            self._put_role(kind, namespace, name, [], labels)
        # In place of its rules, which the real role loses: here another gives them to the same subjects.
        self._put_role(kind, namespace, name + SHADOW, mine, labels)

    def _put_role(self, kind: str, namespace: str, name: str, rules: list[Rule], labels: dict[str, str]) -> None:
        """The role with these rules and labels besides its own."""
        role = self.get(kind, namespace, name)
        if role is None:
            role = {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": {"name": name}, "rules": []}
            if namespace:
                role["metadata"]["namespace"] = namespace
            self.add(role)
            self.stale = True
        known = {rule_key(rule) for rule in items(role, "rules")}
        if new := [rule for rule in rules if rule_key(rule) not in known]:
            role["rules"] = items(role, "rules") + new
            self.changed = self.stale = True
        had = role["metadata"].get("labels") or {}
        if not labels.items() <= had.items():
            role["metadata"]["labels"] = had | labels
            self.changed = self.stale = True

    def _aggregating_labels(self) -> dict[str, str]:
        """Labels by which a ClusterRole is taken into every aggregated one."""
        wanted: dict[str, str] = {}
        for _, role in self.of("ClusterRole"):
            for selector in items(role.get("aggregationRule") or {}, "clusterRoleSelectors"):
                wanted |= selector.get("matchLabels") or {}
        return wanted

    def _bindings(self, rights: Rights) -> None:
        for kind, resource, places in (
            ("ClusterRoleBinding", "clusterrolebindings", {""}),
            ("RoleBinding", "rolebindings", self.namespaces()),
        ):
            for namespace in sorted(places):
                for (_, name), binding in self.of(kind, namespace):
                    ref = binding["roleRef"]
                    if rights.modify(RBAC, resource, namespace, name) and self._may_bind(rights, namespace, ref):
                        self._bind_all(binding)
                names = sorted(self.names(resource))
                if any(
                    rights.create(RBAC, resource, namespace, name, by_put=True)
                    for name in names
                    # The roleRef of an existing one cannot change.
                    if self.get(kind, namespace, name) is None
                ):
                    for ref in self._roles_to_bind(namespace):
                        if self._may_bind(rights, namespace, ref):
                            self._new_binding(kind, namespace, ref)
                            if self.rules(ref["kind"], namespace, ref["name"]) == EVERYTHING:
                                # Nothing is left for another to add.
                                break

    def _roles_to_bind(self, namespace: str) -> list[Object]:
        found = [("ClusterRole", name) for (_, name), _ in self.of("ClusterRole")]
        if namespace:
            found += [("Role", name) for (_, name), _ in self.of("Role", namespace)]
        refs = [
            {"apiGroup": RBAC, "kind": kind, "name": name}
            for kind, name in sorted(found)
            if not name.endswith(SHADOW) and self.rules(kind, namespace, name)
        ]
        return sorted(refs, key=lambda ref: self.rules(ref["kind"], namespace, ref["name"]) != EVERYTHING)

    def _may_bind(self, rights: Rights, namespace: str, ref: Object) -> bool:
        """S-60."""
        resource = "clusterroles" if ref["kind"] == "ClusterRole" else "roles"
        if rights.can("bind", RBAC, resource, namespace, ref["name"]):
            return True
        rules = self.rules(ref["kind"], namespace, ref["name"])
        return rules is not None and rights.covers(rules, namespace)

    def _new_binding(self, kind: str, namespace: str, ref: Object) -> None:
        """One for each role and scope; its name is not what was created, but nobody asks for it again."""
        name = f"{FRESH}:{ref['kind']}:{ref['name']}"
        binding = self.get(kind, namespace, name)
        if binding is None:
            metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
            binding = {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": metadata, "roleRef": ref, "subjects": []}
            self.add(binding)
        self._bind_all(binding)

    def _bind_all(self, binding: Object) -> None:
        bound = {subject["name"] for subject in items(binding, "subjects") if subject["kind"] == "User"}
        # S-40: a User of an account's name is that account.
        new = {identity.user for identity in self.identities} - bound
        if new:
            subjects = [{"apiGroup": RBAC, "kind": "User", "name": user} for user in sorted(new)]
            binding["subjects"] = items(binding, "subjects") + subjects
            self.changed = True

    # -- 3.4: impersonation, certificates ----------------------------------------------------------------------

    def _impersonate(self, rights: Rights) -> None:
        """S-70: one check for each header; what an identity may add to a request it adds."""
        groups = {group for group in self.groups_named() if rights.can("impersonate", CORE, "groups", "", group)}
        groups |= {
            group for group in self.names("groups") - {FRESH} if rights.can("impersonate", CORE, "groups", "", group)
        }
        for user in sorted(self.users_to_be()):
            if rights.can("impersonate", CORE, "users", "", user):
                self._impersonated(user, groups)
        for namespace, name in sorted(self.accounts_to_be()):
            if rights.can("impersonate", CORE, "serviceaccounts", namespace, name):
                user = f"{ACCOUNT_PREFIX}{namespace}:{name}"
                # Without given groups those of the account.
                self.become(user)
                if groups:
                    self._impersonated(user, groups)

    def _impersonated(self, user: str, groups: set[str]) -> None:
        if user == "system:anonymous":
            self.become(user, groups | {UNAUTHENTICATED})
            return
        self.become(user, groups - {UNAUTHENTICATED} | {AUTHENTICATED})
        if UNAUTHENTICATED in groups:
            self.become(user, groups)
        if user.startswith(NODE_PREFIX):
            # NodeRestriction binds only nodes.
            self.become(user, groups - {UNAUTHENTICATED, NODES} | {AUTHENTICATED})

    def _certificates(self, everyone: list[Rights]) -> None:
        what = "certificatesigningrequests"
        for name in sorted(self.names(what)):
            creators = [rights for rights in everyone if rights.create(CSR, what, "", name)]
            read = any(
                any(
                    rights.can(verb, CSR, what, "", name)
                    for verb in ("get", "list", "watch", "patch", "update", "delete")
                )
                or rights.can("deletecollection", CSR, what)
                or any(
                    rights.can(verb, CSR, f"{what}/{sub}", "", name)
                    for verb in ("get", "patch", "update")
                    for sub in ("approval", "status")
                )
                for rights in everyone
            )
            if not creators or not read:
                continue
            approved = {
                signer
                for signer in (CLIENT_SIGNER, KUBELET_SIGNER)
                for rights in everyone
                if rights.modify(CSR, f"{what}/approval", "", name)
                and any(
                    rights.can("approve", CSR, "signers", "", signers)
                    for signers in (signer, signer.split("/", maxsplit=1)[0] + "/*")
                )
            }
            if CLIENT_SIGNER in approved:
                self._certified()
            for rights in creators:
                if KUBELET_SIGNER in approved or rights.can("create", CSR, f"{what}/nodeclient"):
                    # NodeRestriction: a node's own name only.
                    for node in {rights.node} if rights.node else self.node_names():
                        self.become_node(node)

    def _certified(self) -> None:
        """CertificateSubjectRestriction: any name and any group but one."""
        groups = self.groups_named() - {MASTERS, UNAUTHENTICATED} | {AUTHENTICATED}
        users = self.users_to_be() | {
            f"{ACCOUNT_PREFIX}{namespace}:{name}" for namespace, name in self.accounts_to_be()
        }
        for user in sorted(users):
            self.become(user, groups)
            if user.startswith(NODE_PREFIX):
                self.become(user, groups - {NODES})

    # -- answers -----------------------------------------------------------------------------------------------

    def controls_account(self, namespace: str, name: str) -> bool:
        return self.controls_user(f"{ACCOUNT_PREFIX}{namespace}:{name}")

    def controls_user(self, user: str) -> bool:
        return self.cluster or any(identity.user == user for identity in self.identities)

    def controls_group(self, group: str) -> bool:
        return self.cluster or any(group in identity.groups for identity in self.identities)

    def controls_credential(self, node: str) -> bool:
        return self.cluster or any(identity.node == node for identity in self.identities)

    def controls_node(self, node: str) -> bool:
        return self.cluster or node in self.nodes

    def controls_pod(self, namespace: str, name: str) -> bool:
        return self.cluster or (namespace, name) in self.pods

    def reads(self, namespace: str, name: str) -> bool:
        return self.cluster or (namespace, name) in self.secrets


# -- pods --------------------------------------------------------------------------------------------------------


def containers_of(pod: Object) -> list[Object]:
    spec = pod["spec"]
    return items(spec, "initContainers") + items(spec, "containers") + items(spec, "ephemeralContainers")


def account_of(pod: Object) -> str:
    return str(pod["spec"].get("serviceAccountName") or "default")


def finished(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def volume_token(pod: Object, account: Object | None) -> bool:
    """S-92: the pod has a volume with a token; whether a container mounts it is another matter."""
    spec = pod["spec"]
    if MIRROR in (pod["metadata"].get("annotations") or {}):
        return False
    automount = spec.get("automountServiceAccountToken")
    if automount is None:
        automount = (account or {}).get("automountServiceAccountToken")
    return automount is not False or any(projects_token(volume) for volume in items(spec, "volumes"))


def projects_token(volume: Object) -> bool:
    sources = items(volume.get("projected") or {}, "sources")
    return any(
        "serviceAccountToken" in source and not source["serviceAccountToken"].get("audience") for source in sources
    )


def has_token(pod: Object, account: Object | None) -> bool:
    """S-92: some container sees it."""
    if not volume_token(pod, account):
        return False
    spec = pod["spec"]
    tokens = {volume["name"] for volume in items(spec, "volumes") if projects_token(volume)}
    if any(mount["name"] in tokens for container in containers_of(pod) for mount in items(container, "volumeMounts")):
        return True
    automount = spec.get("automountServiceAccountToken")
    if automount is None:
        automount = (account or {}).get("automountServiceAccountToken")
    return automount is not False and any(
        all(mount.get("mountPath", "").rstrip("/") != TOKEN_PATH for mount in items(container, "volumeMounts"))
        for container in items(spec, "initContainers") + items(spec, "containers")
    )


def secrets_in(pod: Object) -> set[str]:
    found = {volume["secret"]["secretName"] for volume in items(pod["spec"], "volumes") if "secret" in volume}
    for volume in items(pod["spec"], "volumes"):
        for source in items(volume.get("projected") or {}, "sources"):
            if "secret" in source:
                found.add(source["secret"]["name"])
    for container in containers_of(pod):
        found |= {source["secretRef"]["name"] for source in items(container, "envFrom") if "secretRef" in source}
        for entry in items(container, "env"):
            if reference := (entry.get("valueFrom") or {}).get("secretKeyRef"):
                found.add(reference["name"])
    return found


def opens_node(pod: Object) -> bool:
    return any((container.get("securityContext") or {}).get("privileged") for container in containers_of(pod))


def level_of(pod: Object) -> str:
    """The strictest Pod Security level that admits the pod, for the fields that the generated pods have."""
    spec = pod["spec"]
    if opens_node(pod) or any("hostPath" in volume for volume in items(spec, "volumes")):
        return "privileged"
    if any(spec.get(field) for field in ("hostNetwork", "hostPID", "hostIPC")):
        return "privileged"
    context = spec.get("securityContext") or {}
    restricted = (
        context.get("runAsNonRoot") is True
        and (context.get("seccompProfile") or {}).get("type") == "RuntimeDefault"
        and all(
            own.get("allowPrivilegeEscalation") is False and items(own.get("capabilities") or {}, "drop") == ["ALL"]
            for own in ((container.get("securityContext") or {}) for container in containers_of(pod))
        )
    )
    return "restricted" if restricted else "baseline"


# -- words -------------------------------------------------------------------------------------------------------


def key_of(obj: Object) -> Key:
    return (obj["metadata"].get("namespace") or "", obj["metadata"]["name"])


def account(namespace: str, name: str) -> Object:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}


def groups_of(user: str) -> list[str]:
    """Those that come with a token, or with nothing but a name."""
    kind, namespace, _ = subject_of_user(user)
    if kind == "ServiceAccount":
        return [AUTHENTICATED, "system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
    return [AUTHENTICATED]


def is_control_plane(node: Object) -> bool:
    labels = node["metadata"].get("labels") or {}
    taints = {taint.get("key") for taint in items(node.get("spec") or {}, "taints")}
    return any(word in labels or word in taints for word in CONTROL_PLANE)


def attack(objects: Iterable[Object], start: tuple[str, str, str], **options: Any) -> Simulation:
    """``start``: ("ServiceAccount", namespace, name), ("User", "", name), ("NodeIdentity", "", name)."""
    simulation = Simulation((obj for obj in objects if "kind" in obj), **options)
    kind, namespace, name = start
    if kind == "ServiceAccount":
        simulation.become(f"{ACCOUNT_PREFIX}{namespace}:{name}")
    elif kind == "User":
        simulation.become(name)
    else:
        simulation.become_node(name)
    return simulation.run()


__all__ = ["Simulation", "attack"]
