"""What Secrets, accounts, workloads, pods, nodes and clouds must show in ``replay`` (attacks.md §3.2, §3.3, §3.5 to §3.9)."""

from __future__ import annotations

from collections.abc import Iterator

from graphsec.model.attack import NODES, Fact
from graphsec.model.rbac import Request
from graphsec.model.ref import Ref
from graphsec.query import _replay_requests as q
from graphsec.query._replay_case import (
    NODE_USER,
    READ_FREE,
    Case,
    Check,
    Faults,
    K,
    absent_account,
    lends,
    same_scope,
    to_account,
    to_node,
    to_pod,
    unless,
)
from graphsec.query._replay_escapes import opens, opens_node, resolve
from graphsec.query._replay_requests import ANYWHERE, FREE, Demand, Way
from graphsec.query._replay_view import (
    BOOTSTRAP_TYPE,
    TOKEN_TYPE,
    Place,
    alike,
    has_foreign_token,
    secrets_of,
)

_DEPUTIES = frozenset({"kustomize-controller", "helm-controller", "argocd-application-controller"})


# -- Secrets and accounts ------------------------------------------------------------------------------------------


def power_to_read(ways: tuple[Way, ...]) -> Check:
    """A name that no Secret has yet."""

    def check(case: Case) -> Faults:
        after = case.after
        yield from unless(after.power == "read secrets" and after.name, "another power")
        yield from case.demand(Demand(ways, after.namespace, after.name))

    return check


def mints(case: Case) -> Faults:
    """S-90: a token Secret that one creates is filled in for the account that it names."""
    scope = case.after.namespace
    created, changed = case.power("create secrets"), case.power("change secrets")
    read = case.power(READ_FREE)
    if created is not None and len(case.step.premises) == 1:
        # A creating apply, whose answer holds the Secret: the name must be free.
        fits = created.namespace == scope and created.name and not _taken(case, created.name, scope)
        yield from unless(fits, "no new Secret is written under a name")
    elif created is not None and read is not None:
        fits = created[1:3] == ("", scope) and read[1:3] == ("", scope)
        yield from unless(fits, "no new Secret is written and read")
    elif created is not None:
        hub = case.premise(K.SECRETS)
        yield from unless(created[1:3] == ("", scope) and hub.namespace in ("", scope), "not in one namespace")
    else:
        secret = case.premise(K.SECRET)
        loaded = case.view.object(Ref("Secret", secret.name, secret.namespace))
        yield from unless(loaded is not None and loaded.body.type == TOKEN_TYPE, f"{secret} is no token Secret")
        yield from unless(
            changed and changed[1:3] == secret[1:3] and secret.namespace == scope, f"nothing changes {secret}"
        )


def mints_alone(case: Case) -> Faults:
    """Both halves in one hand, whatever the name."""
    scope = case.after.namespace
    yield from case.demand(Demand(q.create("secrets"), scope), Demand((*q.READ_SECRETS, *q.WRITE_OUT_SECRETS), scope))


def _taken(case: Case, name: str, namespace: str) -> bool:
    spaces = [namespace] if namespace else case.view.namespaces
    return any(case.view.exists(Ref("Secret", name, space)) for space in spaces)


def minted_bootstrap(case: Case) -> Faults:
    case.needs.add("BOOTSTRAP-AUTH")
    created = case.power("create secrets")
    named_ = created is not None and (not created.name or created.name.startswith("bootstrap-token-"))
    yield from unless(named_ and created and created.namespace in ("", "kube-system"), "no such Secret in kube-system")
    yield from unless(case.after.name == "system:bootstrappers", "another group")


def read_bootstrap(case: Case) -> Faults:
    case.needs.add("BOOTSTRAP-AUTH")
    loaded = case.view.object(Ref("Secret", case.one.name, case.one.namespace))
    token = loaded is not None and loaded.body.type == BOOTSTRAP_TYPE and case.one.namespace == "kube-system"
    yield from unless(token and case.after.name == "system:bootstrappers", f"{case.one} is no bootstrap token")


def holds_token_of(case: Case) -> Faults:
    owner = case.view.token_owner(case.one.name, case.one.namespace)
    yield from unless(
        owner == case.after.name and case.one.namespace == case.after.namespace, f"{case.one} is of {owner or 'nobody'}"
    )
    yield from to_account(case)


def maybe_token_secret(case: Case) -> Faults:
    """Where the input does not list Secrets, one may hold a token."""
    yield from same_scope(case)
    yield from unless(not case.view.shows_all("Secret"), "the Secrets are known")
    case.needs.add("TOKEN-SECRET")


def pod_token(case: Case) -> Faults:
    """S-92, and that the account is that of the pod."""
    place = case.place(case.one)
    if place is None or (place.spec.account, place.ref.namespace) != (case.after.name, case.after.namespace):
        yield f"{case.one} are not of {case.after}"
    else:
        yield from unless(case.view.holds_token(place), f"{case.one} hold no token")


def squats(case: Case) -> Faults:
    """An account that is not there is made, in a namespace that is there or is made as well, and its token had."""
    after = case.after
    here = after.namespace in case.view.namespaces
    scope = after.namespace if here else ""
    make, token = case.power("create serviceaccounts"), case.power("request tokens")
    hub = next((fact for fact in case.step.premises if fact.kind is K.ACCOUNTS), None)
    yield from unless(
        make and make.name in ("", after.name) and make.namespace in ("", scope), f"nothing makes {after}"
    )
    by_request = token is not None and token.name in ("", after.name) and token.namespace in ("", scope)
    by_hub = hub is not None and hub.namespace in ("", scope)
    yield from unless(by_request or by_hub, f"nothing gives the token of {after}")
    yield from unless(
        here is (case.step.rule == "sa-squat"), f"namespace {after.namespace}: {'there' if here else 'not there'}"
    )
    if not here:
        space = case.power("create namespaces")
        yield from unless(space and space.name in ("", after.namespace), f"nothing makes namespace {after.namespace}")
    yield from absent_account(case)


# -- Workloads, pods, nodes ----------------------------------------------------------------------------------------


def creates_pod(case: Case) -> Faults:
    """POST, or an apply under a name that is free: of one that is taken only a controller's template changes (S-39)."""
    case.needs.update(case.view.admission)
    namespace = case.after.namespace
    yield from case.demand(Demand(q.CREATE_PODS, namespace, FREE))
    spaces = [namespace] if namespace else case.view.namespaces
    kinds = {(group, resource): kind for kind, group, resource in q.PODLIKE}
    for request in (ground.request for ground in case.step.because if ground.request and ground.request.name):
        kind = kinds.get((request.group, request.resource), "")
        taken = [space for space in spaces if kind and case.view.exists(Ref(kind, request.name, space))]
        free = all(any(_applies(case, kind, request, name, space) for name in _other_names(case)) for space in taken)
        yield from unless(free, f"{kind} {request.name} is there already")


def _other_names(case: Case) -> Iterator[str]:
    """The names that the rules shown are limited to."""
    for grant in (ground.grant for ground in case.step.because if ground.grant):
        role = case.view.role(grant.role) if grant.role else None
        if role is not None and 0 <= grant.rule_index < len(role.rules):
            yield from role.rules[grant.rule_index].names


def _applies(case: Case, kind: str, shown: Request, name: str, namespace: str) -> bool:
    """Whether an apply under another name makes an object in a namespace."""
    fields = {"group": shown.group, "resource": shown.resource, "name": name, "namespace": namespace}
    allowed = all(case.known.may(case.one, Request(verb=verb, **fields)) for verb in ("create", "patch"))
    return allowed and not case.view.exists(Ref(kind, name, namespace))


def changes_controller(case: Case) -> Faults:
    """A controller that is there, or may be."""
    namespace = case.after.namespace
    case.needs.update(case.view.admission)
    kinds = {resource: (kind, group) for kind, group, resource in q.CONTROLLERS}
    asked = next((ground.request for ground in case.step.because if ground.request), None)
    kind, group = kinds.get(asked.resource, ("", "")) if asked else ("", "")
    if asked is None or not kind:
        yield "no controller is shown to be changed"
        return
    there = [loaded.ref.name for loaded in case.view.cluster.of(kind) if loaded.ref.namespace == namespace]
    if asked.name and asked.name not in there and not case.view.shows_all(kind):
        case.needs.add("WORKLOAD-EXISTS")
    elif not there:
        yield from unless(not case.view.shows_all(kind), f"no {kind} in {namespace}")
        case.needs.add("WORKLOAD-EXISTS")
    else:
        yield from unless(not asked.name or asked.name in there, f"no {kind} {asked.name} in {namespace}")
    yield from case.demand(Demand(q.change(asked.resource, group), namespace, asked.name))


def changes_any_controller(case: Case) -> Faults:
    case.needs.update(case.view.admission)
    resources = {f"change {resource}": kind for kind, _, resource in q.CONTROLLERS}
    kind = resources.get(case.one.power, "")
    there = any(loaded.ref.namespace == case.after.namespace for loaded in case.view.cluster.of(kind))
    yield from unless(kind and case.one.namespace == "" and not case.one.name, "another power")
    yield from unless(there, f"no {kind} in {case.after.namespace}")


def judged(case: Case) -> Faults:
    """Pod Security judges the whole pod again (attacks.md §4.1); a mirror pod takes no ephemeral container."""
    place = case.place(case.after)
    if place is None or not place.live:
        yield f"no {case.after} in which code runs"
        return
    yield from unless(case.step.rule != "ephemeral-container" or not place.mirror, f"{case.after} is a mirror pod")
    yield from case.rest(case.view.judged_again(place), f"Pod Security refuses {case.after} as it stands")


def debug_reads(case: Case) -> Faults:
    """The environment of an ephemeral container is of any Secret of the namespace, if the pod takes one."""
    namespace = case.after.namespace
    if case.one.kind is K.DEBUG:
        yield from same_scope(case)
        names = None
    else:
        case.needs.update(case.view.admission)
        names = {ground.request.name for ground in case.step.because if ground.request}
    places = [place for place in case.view.in_namespace(namespace) if place.live and not place.mirror]
    rests = {
        place.ref.name: needs
        for place in places
        if (names is None or place.ref.name in names) and (needs := case.view.judged_again(place)) is not None
    }
    if not rests:
        yield f"no pod of {namespace} takes a container"
        return
    said = set(case.step.assumptions)
    name, needs = min(rests.items(), key=lambda found: (not said.issuperset(found[1]), len(found[1]), found[0]))
    if names is not None:
        yield from case.demand(Demand(q.DEBUG, namespace, name))
    case.needs.update(needs)


def debugs_node(case: Case) -> Faults:
    """A privileged ephemeral container in a pod on the node."""
    if case.one.kind is K.DEBUG:
        spaces = {case.one.namespace}
        names: set[str] | None = None
    else:
        case.needs.update(case.view.admission)
        requests = [ground.request for ground in case.step.because if ground.request]
        spaces, names = {found.namespace for found in requests}, {found.name for found in requests}
    places = [
        place
        for space in spaces
        for place in case.view.in_namespace(space)
        if place.live and not place.mirror and _is_at(place, case.after) and (names is None or place.ref.name in names)
    ]
    if not places:
        yield f"no pod that takes a container is on {case.after}"
        return
    found = places[0]
    if names is not None:
        yield from case.demand(Demand(q.DEBUG, found.ref.namespace or "", found.ref.name))
    yield from case.rest(
        case.view.host_fields(found.ref.namespace or ""), "Pod Security refuses a privileged container"
    )


def _is_at(place: Place, node: Fact) -> bool:
    return not place.node if node == NODES else place.node == node.name


def host_pod(case: Case) -> Faults:
    yield from same_scope(case)
    needs = case.view.host_fields(case.after.namespace)
    yield from case.rest(needs, f"Pod Security of {case.after.namespace} refuses host access")


def relaxed(case: Case) -> Faults:
    namespace = case.after.namespace
    relax, pod = case.power("relabel namespaces"), case.premise(K.NEW_POD)
    yield from unless(relax and relax.namespace in ("", namespace) and not relax.name, f"nothing relabels {namespace}")
    yield from unless(pod.namespace in ("", namespace) and not pod.name, f"no pod in {namespace}")
    yield from unless(namespace in case.view.namespaces, f"no namespace {namespace}")


def relaxed_change(case: Case) -> Faults:
    """A pod of a relaxed namespace takes any image; an ephemeral container is what opens its node and reads its Secrets."""
    named = case.power("change pods", "add ephemeral containers")
    change = named or case.premise(K.DEBUG, K.NEW_IMAGES)
    debug = change.kind is K.DEBUG or change.power == "add ephemeral containers"
    relax = case.power("relabel namespaces")
    if named:
        case.needs.update(case.view.admission)
    spaces = {space for space in case.view.namespaces if relax and relax.namespace in ("", space) and not relax.name}
    places = [
        place
        for space in spaces
        for place in case.view.in_namespace(space)
        if place.live and not (debug and place.mirror)
        if change.namespace in ("", space) and (not named or place.ref.name == change.name)
    ]
    after = case.after
    if after.kind in (K.NODE, K.NODES):
        found = debug and any(_is_at(place, after) for place in places)
    elif after.kind is K.SECRETS:
        found = debug and any(place.ref.namespace == after.namespace for place in places)
    else:
        meant = case.place(after)
        found = meant is not None and any(place == meant or alike(place, meant) for place in places)
    yield from unless(found, f"no pod of a relaxed namespace gives {after}")


def claims_host_volume(case: Case) -> Faults:
    case.needs.add("SCHED")
    paths = case.view.claimed_paths(case.one.namespace)
    yield from unless(any(map(opens_node, paths)), f"no claim of {case.one.namespace} opens a node")


def claims_free_volume(case: Case) -> Faults:
    case.needs.add("SCHED")
    yield from unless(any(map(opens_node, case.view.free_paths())), "no volume that opens a node is free")


def with_power(*words: str, needs: tuple[str, ...] = (), count: int = 2) -> Check:
    def check(case: Case) -> Faults:
        case.needs.update(needs)
        fits = len(case.step.premises) == count and all(case.power(word) for word in words)
        yield from unless(fits, f"needs {', '.join(words)}")

    return check


def steals(case: Case) -> Faults:
    """Pods are removed, or their node is, and come back on the one node that is open, which the attacker has."""
    evict, nodes = case.power("remove pods"), case.power("remove nodes")
    cordon = case.power("change nodes")
    case.needs.add("SCHED")
    open_ = Fact(K.NODE, cordon.name if cordon else "")
    yield from unless(cordon and open_ in case.step.premises, "the node that stays open is not under control")
    after = case.after
    wanted = ("", after.namespace) if after.kind is K.PODS else (after.name, after.namespace)
    removed = evict is not None and evict.name in ("", wanted[0]) and evict.namespace in ("", wanted[1])
    if after.kind is K.NODE_PODS:
        yield from unless(nodes is not None and nodes.name in ("", after.name), f"nothing removes {after.name}")
        yield from to_node(case)
        return
    yield from unless(removed or (nodes is not None and not nodes.name), "nothing removes the pods")
    if after.kind is K.POD:
        yield from to_pod(case)


def kubelet_lends(case: Case) -> Faults:
    """S-80: tokens of the accounts and Secrets of the pods on the node; what has finished keeps its edge."""
    node, after = case.one.name, case.after
    running = any(lends(place, after) for place in case.view.on_node(node) if place.ref.namespace == after.namespace)
    finished = any(
        after.name == loaded.body.spec.account
        if after.kind is K.ACCOUNT
        else after.kind is K.SECRET and after.name in secrets_of(loaded.body.spec)
        for loaded in case.view.finished
        if loaded.body.spec.node_name == node and loaded.ref.namespace == after.namespace
    )
    yield from unless(running or finished, f"no pod on {node} has {after}")


def as_kubelet(case: Case) -> Faults:
    """Its user in `system:nodes`, under NodeRestriction."""
    user = Ref("User", f"{NODE_USER}{case.one.name}")
    yield from unless(case.known.is_kubelet(case.after, user), "another node")


def on_control_plane(case: Case) -> Faults:
    case.needs.add("NODE-FILES")
    yield from unless(case.view.is_control_plane(case.one.name), f"{case.one} is not of the control plane")


def maybe_control_plane(case: Case) -> Faults:
    """Where the input shows no node, one of the control plane may be among them."""
    case.needs.update(("NODE-FILES", "CONTROL-PLANE"))
    yield from unless(not case.view.cluster.objects.get("Node"), "the nodes are known")


def escapes(case: Case) -> Faults:
    """The field that the step names, judged again on the pod that is there."""
    shown = [ground for ground in case.step.because if ground.object and ground.field not in ("", "spec.nodeName")]
    if not shown or shown[0].object is None:
        yield "no field of a pod is shown"
        return
    pod = case.view.place(shown[0].object)
    if pod is None:
        yield f"no {shown[0].object} in which code runs"
        return
    yield from unless(_runs_at(case, pod), f"{pod.ref} is not {case.step.premises[0]} on {case.after.name}")
    found = resolve(pod.spec, shown[0].field, case.view.claims(pod.ref.namespace or ""), case.view.minor)
    if found is None:
        yield f"{pod.ref} has no {shown[0].field}"
        return
    needs = opens(case.step.rule, case.after.kind, found)
    yield from case.rest(needs, f"{pod.ref} {shown[0].field} does not give {case.after} by {case.step.rule}")
    if case.after.kind is K.CLUSTER and not case.view.is_control_plane(pod.node):
        yield from unless(not case.view.cluster.objects.get("Node"), f"{pod.node} is not of the control plane")
        case.needs.add("CONTROL-PLANE")


def _runs_at(case: Case, pod: Place) -> bool:
    """Whether the pod is what the step starts from, and on the node that it gives."""
    source = case.premise(K.POD, K.PODS_LIKE, K.NODE_PODS)
    if source.kind is K.NODE_PODS:
        here = case.view.is_on(pod, source.name)
    else:
        place = case.place(source)
        same = place is not None and pod.ref == place.ref
        here = same or (source.kind is K.PODS_LIKE and place is not None and alike(place, pod))
        here = here and case.narrowed.get(source, pod.ref) == pod.ref
    return here and (case.after.kind is K.CLUSTER or case.view.is_on(pod, case.after.name))


def logs(case: Case) -> Faults:
    """Together with the logs of that very pod, of all in its namespace or in the cluster, or of its node."""
    place = case.premise(K.POD, K.PODS_LIKE)
    pods, nodes = case.power("read pods' logs"), case.power("read nodes' logs")
    names = ("", place.name) if place.kind is K.POD and not place.power else ("",)
    fits = pods is not None and pods.namespace in ("", place.namespace) and pods.name in names
    fits = fits or (nodes is not None and not nodes.namespace and nodes.name in ("", case.after.name))
    yield from unless(fits, "nothing reads logs")
    yield from escapes(case)


def annotated(attribute: str) -> Check:
    """A token of the account that is meant for the provider: asked for, or in a pod."""

    def check(case: Case) -> Faults:
        case.needs.add("CLOUD-TRUST")
        before = case.one
        place = case.place(before) if before.kind is K.POD_FILES else None
        if before.kind is K.POD_FILES and (place is None or not _is_for_provider(case, place, attribute)):
            yield f"{before} hold no token for the provider"
        yield from unless(before.kind is not K.POWER or before.power == "request tokens", "another power")
        namespace = before.namespace
        names = {place.spec.account} if place else {before.name} if before.kind in (K.POWER, K.ACCOUNT) else None
        accounts = (
            loaded.body.metadata.annotations
            for loaded in case.view.cluster.of("ServiceAccount")
            if loaded.ref.namespace == namespace and (names is None or loaded.ref.name in names)
        )
        given = (getattr(annotations, attribute) for annotations in accounts if annotations)
        yield from unless(case.after.name and case.after.name in given, f"no annotation with {case.after.name}")

    return check


def _is_for_provider(case: Case, place: Place, attribute: str) -> bool:
    """Google asks for none; Azure's webhook looks for a label; of a pod that no node runs no volume is shown yet."""
    if attribute == "google_account" or has_foreign_token(place.spec):
        return True
    if attribute == "azure_client":
        return case.view.labels(place).get("azure.workload.identity/use") == "true"
    return not (place.live and place.node)


def machine(case: Case) -> Faults:
    """The identity of the machine, from its own network (attacks.md §3.9)."""
    place = case.place(case.one)
    case.needs.add("CLOUD-TRUST")
    node = case.after.name.removeprefix("node:")
    if place is None or not any(
        case.view.is_on(other, node)
        for other in (case.view.on_node(node) if case.one.kind is K.PODS_LIKE else [place])
        if other == place or alike(place, other)
    ):
        yield f"{case.one} is not on {node}"
    elif not place.spec.host_network:
        case.needs.add("NP-ENFORCED")
        yield from unless(case.view.reaches_metadata(place), f"{case.one} does not reach the metadata service")


def to_port(case: Case) -> Faults:
    """What policies allow, asked of the questions about flows."""
    case.needs.add("NP-ENFORCED")
    target = _workload(case.after)
    source = None if case.one.kind is K.INTERNET else case.place(case.one)
    yield from unless(case.one.kind is K.INTERNET or source, f"no {case.one} in which code runs")
    yield from unless(case.view.reaches(source, target), f"no flow from {case.one} to a marked port of {target}")


def by_port(case: Case) -> Faults:
    case.needs.add("LISTEN")
    target, place = _workload(case.one), case.place(case.after)
    yield from unless(place and case.view.is_of(place, target), f"{case.after} is not of {target}")
    yield from unless(case.view.marks(target), f"{target} is not marked")


def _workload(port: Fact) -> Ref:
    kind, _, name = port.name.partition("/")
    return Ref(kind, name, port.namespace)


def deputy(*resources: tuple[str, str], change: bool = False) -> Check:
    """attacks.md §5: a custom resource that is installed, written for a controller that acts on it."""

    def check(case: Case) -> Faults:
        case.needs.add("DEPUTY-CONFIG")
        installed = {(found.group, found.name) for found in case.view.cluster.custom_resources}
        ways: tuple[Way, ...] = ()
        for group, resource in resources:
            if (group, resource) in installed:
                ways += (*q.create(resource, group), *(q.change(resource, group) if change else ()))
        namespace = case.after.namespace if case.after.kind is K.NEW_POD else ANYWHERE
        yield from case.demand(Demand(ways, namespace, FREE)) if ways else unless(ways, "no such resource is installed")
        if case.after.kind is K.ACCOUNT:
            yield from unless(case.after.name in _DEPUTIES, f"{case.after} is no deputy")
            yield from to_account(case)

    return check


def aws_auth(case: Case) -> Faults:
    case.needs.add("CLOUD-TRUST")
    yield from case.demand(Demand(q.change("configmaps"), "kube-system", "aws-auth"))
    yield from unless(case.view.exists(Ref("ConfigMap", "aws-auth", "kube-system")), "no aws-auth")


def proxied_node(case: Case) -> Faults:
    yield from case.demand(Demand(q.PROXY, "", case.after.name))
    yield from to_node(case)
