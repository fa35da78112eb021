"""From hubs to objects, and what objects give by what they are: pods their accounts, nodes their pods, tokens their owners."""

from __future__ import annotations

from collections.abc import Callable

from graphsec.compile.access import CLUSTER as AT_CLUSTER
from graphsec.compile.attacks.drawing import KUBELET, METADATA, Drawing, identity, kubelet
from graphsec.compile.attacks.gains import changed, pod_fact
from graphsec.compile.attacks.inventory import INVALID_SINCE, TOKEN_SECRET, PodKind
from graphsec.compile.attacks.principals import NODE_PREFIX
from graphsec.compile.escapes import Effect, Escape
from graphsec.model.attack import CLUSTER, INTERNET, NODES, SOME_NODE, SOME_POD, Fact, FactKind
from graphsec.model.ref import Ref
from graphsec.rules import _powers as p

K = FactKind


def draw_changes(drawing: Drawing) -> None:
    """change of any controller of a kind, in all namespaces: those where there is one."""
    for kind, power in p.CHANGE.items():
        for scope, name in list(drawing.held(power)):
            if scope == AT_CLUSTER and not name:
                for namespace in dict.fromkeys(ref.namespace or "" for ref in drawing.inventory.workloads(kind, "")):
                    pod = drawing.hub(K.NEW_POD, namespace)
                    drawing.clause(drawing.power(power, scope), pod, "workload-update", drawing.webhook)


def draw_hubs(drawing: Drawing) -> None:
    """Each hub of a namespace in turn; a hub of all namespaces leads to those of each."""
    for kind, draw in _HUBS:
        scopes = drawing.hubs(kind)
        if AT_CLUSTER in scopes:
            for namespace in drawing.inventory.namespaces:
                drawing.clause(Fact(kind), drawing.hub(kind, namespace), "containment")
        for scope in drawing.hubs(kind):
            if scope != AT_CLUSTER:
                draw(drawing, Fact(kind, "", scope), scope)


def draw_users(drawing: Drawing) -> None:
    if drawing.hubs(K.USERS):
        for user in drawing.users:
            drawing.clause(Fact(K.USERS), identity(user), "containment")


def _new_pod(drawing: Drawing, hub: Fact, namespace: str) -> None:
    drawing.clause(hub, SOME_POD, "containment")
    drawing.clause(hub, drawing.hub(K.ACCOUNTS, namespace), "workload-create-as-sa")
    drawing.clause(hub, drawing.hub(K.SECRETS, namespace), "workload-create-mounts-data")
    rests = drawing.host_fields(namespace)
    if rests is not None:
        drawing.clause(hub, drawing.hub(K.NEW_HOST_POD, namespace), "workload-create-to-node", rests)
    if namespace in drawing.inventory.host_claims:
        drawing.clause(hub, NODES, "pvc-existing-hostpath", ("SCHED",))


def _new_host_pod(drawing: Drawing, hub: Fact, namespace: str) -> None:
    drawing.clause(hub, NODES, "workload-create-to-node", ("SCHED",))


def _accounts(drawing: Drawing, hub: Fact, namespace: str) -> None:
    for account, rests in drawing.accounts.get(namespace, {}).items():
        drawing.clause(hub, identity(account), "containment", rests)


def _secrets(drawing: Drawing, hub: Fact, namespace: str) -> None:
    for ref in drawing.inventory.secrets_in(namespace):
        drawing.clause(hub, Fact(K.SECRET, ref.name, namespace), "containment")
    if not drawing.inventory.listed("Secret"):
        drawing.clause(hub, drawing.hub(K.ACCOUNTS, namespace), "token-secret-read", ("TOKEN-SECRET",))


def _pods(drawing: Drawing, hub: Fact, namespace: str) -> None:
    for kind in drawing.kinds_by_namespace.get(namespace, ()):
        drawing.clause(hub, pod_fact(kind), "containment")


def _changes(hub_kind: FactKind, rule: str) -> Callable[[Drawing, Fact, str], None]:
    def draw(drawing: Drawing, hub: Fact, namespace: str) -> None:
        for kind in drawing.kinds_by_namespace.get(namespace, ()):
            for head, rests in changed(drawing, kind, None, hub_kind):
                drawing.clause(hub, head, rule, rests)

    return draw


_HUBS: tuple[tuple[FactKind, Callable[[Drawing, Fact, str], None]], ...] = (
    (K.NEW_POD, _new_pod),
    (K.NEW_HOST_POD, _new_host_pod),
    (K.NEW_IMAGES, _changes(K.NEW_IMAGES, "pod-image-replace")),
    (K.DEBUG, _changes(K.DEBUG, "ephemeral-container")),
    (K.PODS, _pods),
    (K.SECRETS, _secrets),
    (K.ACCOUNTS, _accounts),
)


# -- pods and nodes ----------------------------------------------------------------------------------------------


def files_fact(kind: PodKind) -> Fact:
    """What pods of a kind mount."""
    return Fact(K.POD_FILES, kind.ref.name, kind.namespace, "" if kind.ref.kind == "Pod" else kind.ref.kind)


def draw_pods(drawing: Drawing) -> None:
    for kind in drawing.inventory.kinds:
        place = pod_fact(kind)
        files = files_fact(kind)
        drawing.clause(place, files, "containment")
        if kind.spec.host_network:
            _metadata(drawing, kind, ("CLOUD-TRUST",))
        if kind.token:
            drawing.clause(files, identity(kind.account), "pod-assumes-sa")
        for used, name in kind.uses:
            if used == "Secret":
                drawing.clause(files, Fact(K.SECRET, name, kind.namespace), "containment")
        for node, member in kind.nodes.items():
            _escape(drawing, kind, place, node, member)
    for ref, kind in drawing.inventory.kind_of.items():
        if len(kind.members) == 1:
            continue
        single = pod_fact(kind, ref)
        # Of pods that open nothing, one is as good as the other.
        if kind.escapes or single in drawing:
            drawing.clause(single, files_fact(kind), "containment")
            _escape(drawing, kind, single, kind.node_of(ref), ref)


def _escape(drawing: Drawing, kind: PodKind, place: Fact, node: str, member: Ref) -> None:
    for found in kind.escapes if len(kind.members) <= _ALL_ESCAPES else kind.least_escapes:
        draw = _EFFECTS.get(found.effect)
        if draw is not None and drawing.minor < found.until:
            draw(drawing, place, node_fact(kind, node), found)


#: Of pods with more likes than this only those escapes are drawn that rest on less than all others.
_ALL_ESCAPES = 20


def resting(found: Escape) -> tuple[str, ...]:
    """What an escape rests on."""
    return (*found.assumptions, "HEURISTIC") if found.heuristic else found.assumptions


def node_fact(kind: PodKind, node: str) -> Fact:
    """The node of a pod; where the input does not say, it is known as that."""
    return Fact(K.NODE, node) if node else Fact(K.NODE, f"of {kind.ref.kind}/{kind.namespace}/{kind.ref.name}")


def _root(drawing: Drawing, place: Fact, node: Fact, found: Escape) -> None:
    drawing.clause(place, node, found.rule, resting(found))
    drawing.reached_nodes.add(node.name)


def _credentials(drawing: Drawing, place: Fact, node: Fact, found: Escape) -> None:
    drawing.clause(place, Fact(K.NODE_IDENTITY, node.name), found.rule, (*resting(found), "NODE-FILES"))


def _pod_credentials(drawing: Drawing, place: Fact, node: Fact, found: Escape) -> None:
    drawing.clause(place, Fact(K.NODE_PODS, node.name), found.rule, resting(found))


def _control_plane(drawing: Drawing, place: Fact, node: Fact, found: Escape) -> None:
    if node.name in drawing.inventory.control_plane:
        drawing.clause(place, CLUSTER, found.rule, (*resting(found), "NODE-FILES"))
    elif node.name not in drawing.inventory.nodes and not drawing.inventory.nodes:
        drawing.clause(place, CLUSTER, found.rule, (*resting(found), "NODE-FILES", "CONTROL-PLANE"))


def _logs(drawing: Drawing, place: Fact, node: Fact, found: Escape) -> None:
    own = [
        (p.READ_LOGS, scope, place.name)
        for scope in (place.namespace, AT_CLUSTER)
        if place.kind is K.POD and not place.power
    ]
    all_ = [(p.READ_LOGS, place.namespace, ""), (p.READ_LOGS, AT_CLUSTER, ""), (p.READ_NODE_LOGS, AT_CLUSTER, "")]
    for power, scope, name in (*all_, *own):
        if (scope, name) in drawing.held(power):
            premises = [place, drawing.power(power, scope, name)]
            for head in (Fact(K.NODE_IDENTITY, node.name), Fact(K.NODE_PODS, node.name)):
                drawing.clause(premises, head, found.rule, resting(found))


_EFFECTS: dict[Effect, Callable[[Drawing, Fact, Fact, Escape], None]] = {
    Effect.NODE_ROOT: _root,
    Effect.NODE_CREDENTIALS: _credentials,
    Effect.POD_CREDENTIALS: _pod_credentials,
    Effect.CONTROL_PLANE_FILES: _control_plane,
    Effect.NEEDS_LOGS: _logs,
}


def draw_nodes(drawing: Drawing) -> None:
    inventory = drawing.inventory
    on_node: dict[str, list[PodKind]] = {}
    for kind in inventory.kinds:
        for place in kind.nodes:
            on_node.setdefault(node_fact(kind, place).name, []).append(kind)
    named = sorted({*inventory.node_names, *drawing.reached_nodes, *(name for name in on_node if _used(drawing, name))})
    drawing.clause(NODES, SOME_NODE, "containment")
    for name in named:
        node, pods = Fact(K.NODE, name), Fact(K.NODE_PODS, name)
        drawing.clause(node, SOME_NODE, "containment")
        drawing.clause(node, pods, "containment")
        for kind in on_node.get(name, ()):
            _on_node(drawing, kind, name, pods)
        if name in inventory.node_names:
            drawing.clause(NODES, node, "containment")
            _kubelet(drawing, name, node, on_node.get(name, ()))
        else:
            # Somewhere among the nodes: it may be the one that matters.
            drawing.clause(node, NODES, "containment", ("SCHED",))
    _unplaced(drawing)


def _used(drawing: Drawing, name: str) -> bool:
    return Fact(K.NODE, name) in drawing or Fact(K.NODE_PODS, name) in drawing or Fact(K.NODE_IDENTITY, name) in drawing


def _on_node(drawing: Drawing, kind: PodKind, name: str, pods: Fact) -> None:
    """The very pods: their like on other nodes are not in reach, and what they open is this node."""
    if kind.escapes or len(kind.members) == 1:
        for member in kind.members:
            if node_fact(kind, kind.node_of(member)).name == name:
                drawing.clause(pods, pod_fact(kind, member), "containment")
    else:
        drawing.clause(pods, files_fact(kind), "containment")


def _kubelet(drawing: Drawing, name: str, node: Fact, kinds: list[PodKind] | tuple[PodKind, ...]) -> None:
    """node-identity: what the Node authorizer lets the credential of a kubelet do (S-80), RBAC besides."""
    credential = Fact(K.NODE_IDENTITY, name)
    drawing.clause(node, credential, "node-identity")
    drawing.clause(credential, KUBELET, "node-identity")
    own = kubelet(Ref("User", f"{NODE_PREFIX}{name}"))
    if own in drawing:
        drawing.clause(credential, own, "node-identity")
    for kind in kinds:
        if not kind.mirror:
            drawing.clause(credential, identity(kind.account), "node-identity")
        for used, secret in kind.uses:
            if used == "Secret":
                drawing.clause(credential, Fact(K.SECRET, secret, kind.namespace), "node-identity")
    for pod, uses in drawing.inventory.finished_on(name):
        # A token may be bound to a pod that runs no more, as long as its object is there.
        drawing.clause(credential, identity(drawing.inventory.account_of(pod)), "node-identity")
        for used, secret in uses:
            if used == "Secret":
                drawing.clause(credential, Fact(K.SECRET, secret, pod.namespace or ""), "node-identity")
    if name in drawing.inventory.control_plane:
        drawing.clause(node, CLUSTER, "control-plane-node", ("NODE-FILES",))


def _unplaced(drawing: Drawing) -> None:
    """Whoever may choose a node chooses that of any pod; where no node is shown, one of the control plane is assumed."""
    inventory = drawing.inventory
    for kind in inventory.kinds:
        if "" in kind.nodes:
            drawing.clause(NODES, files_fact(kind), "containment", ("SCHED",))
    if not inventory.nodes:
        drawing.clause(NODES, CLUSTER, "control-plane-node", ("CONTROL-PLANE", "NODE-FILES"))


def draw_secrets(drawing: Drawing) -> None:
    """token-secret-read: the token of an account, until the server has marked it as disused (S-90)."""
    for ref, loaded in drawing.inventory.secrets.items():
        metadata = loaded.body.metadata
        name = metadata.annotations.service_account_name if metadata.annotations else None
        if loaded.body.type != TOKEN_SECRET or not name or INVALID_SINCE in (metadata.labels or {}):
            continue
        account = Ref("ServiceAccount", name, ref.namespace)
        rests = drawing.accounts.get(ref.namespace or "", {}).get(account)
        if rests is not None:
            secret = Fact(K.SECRET, ref.name, ref.namespace or "")
            drawing.clause(secret, identity(account), "token-secret-read", rests)


def draw_clouds(drawing: Drawing) -> None:
    """attacks.md §3.9: identities of cloud providers, for whoever has a token of the account that is meant for them."""
    for ref, loaded in drawing.inventory.accounts.items():
        annotations = loaded.body.metadata.annotations
        for rule, field in _CLOUDS if annotations else ():
            name = getattr(annotations, field)
            if name:
                _cloud(drawing, ref, rule, Fact(K.CLOUD, name))


def draw_links(drawing: Drawing) -> None:
    """network-reach: a connection that policies allow to a port that can be taken over."""
    for link in sorted(drawing.links, key=lambda link: (str(link.target), str(link.source or ""))):
        reached = Fact(K.PORT, f"{link.target.kind}/{link.target.name}", link.target.namespace or "")
        if link.target == METADATA:
            for kind in _kinds_of(drawing, link.source) if link.source else ():
                _metadata(drawing, kind, ("CLOUD-TRUST", "NP-ENFORCED"))
            continue
        sources = [INTERNET] if link.source is None else [pod_fact(kind) for kind in _kinds_of(drawing, link.source)]
        for source in sources:
            drawing.clause(source, reached, "network-reach", ("NP-ENFORCED",))
        for kind in _kinds_of(drawing, link.target):
            drawing.clause(reached, pod_fact(kind), "network-reach", ("LISTEN",))


def _metadata(drawing: Drawing, kind: PodKind, rests: tuple[str, ...]) -> None:
    """imds-credential: the identity of the machine that a pod runs on."""
    for node, member in kind.nodes.items():
        if node in drawing.inventory.machines:
            single = pod_fact(kind, member)
            place = single if single in drawing else pod_fact(kind)
            drawing.clause(place, Fact(K.CLOUD, f"node:{node}"), "imds-credential", rests)


def _kinds_of(drawing: Drawing, workload: Ref) -> list[PodKind]:
    placed = drawing.inventory.placed
    numbers = placed.pods_of_workload.get(workload, [])
    kinds = {id(kind): kind for number in numbers if (kind := drawing.inventory.kind_of.get(placed.refs[number]))}
    return list(kinds.values())


def _cloud(drawing: Drawing, account: Ref, rule: str, cloud: Fact) -> None:
    namespace = account.namespace or ""
    if drawing.has_hub(K.ACCOUNTS, namespace):
        # Who makes tokens or pods chooses the audience.
        drawing.clause(Fact(K.ACCOUNTS, "", namespace), cloud, rule, ("CLOUD-TRUST",))
    if (namespace, account.name) in drawing.held(p.REQUEST_TOKENS):
        drawing.clause(drawing.power(p.REQUEST_TOKENS, namespace, account.name), cloud, rule, ("CLOUD-TRUST",))
    for kind in drawing.kinds_by_namespace.get(namespace, ()):
        if kind.account == account and _has_cloud_token(kind, rule):
            drawing.clause(files_fact(kind), cloud, rule, ("CLOUD-TRUST",))


def _has_cloud_token(kind: PodKind, rule: str) -> bool:
    """The volume that the provider's webhook adds; one that no node runs yet does not show it, and Azure's asks for a label. Google's
    metadata server asks for none."""
    if rule == "gke-workload-identity" or _AUDIENCES[rule] in kind.audiences:
        return True
    return not (kind.placed or kind.audiences) and (
        rule != "aks-workload-identity" or kind.labels.get(_AZURE_USE) == "true"
    )


_AUDIENCES = {"irsa-assume": "sts.amazonaws.com", "aks-workload-identity": "api://AzureADTokenExchange"}
_AZURE_USE = "azure.workload.identity/use"
_CLOUDS = (
    ("irsa-assume", "aws_role"),
    ("gke-workload-identity", "google_account"),
    ("aks-workload-identity", "azure_client"),
)
