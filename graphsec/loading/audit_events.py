"""The wire forms of audit events, and what request each of them records (rbac.md §2.3).

Facts: `audit.k8s.io/v1` of the Kubernetes API reference; Cloud Logging `LogEntry` with `AuditLog` (GKE), whose resource name
spells `group/version/path` and whose method ends in the verb; Azure Monitor records with the event as text in
`properties.log`; CloudWatch Logs with the event as text in `message` (EKS).
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote

import msgspec
from msgspec.structs import replace

from graphsec.loading.identity import explain
from graphsec.model.audit import ALLOW, FORBID, Identity, Impersonation, Outcome, Recorded
from graphsec.model.rbac import Request, implicit_groups, subject_ref
from graphsec.model.request import request_info

_GROUP = "audit.k8s.io/"
#: The stages that end a request; the others announce one of these.
_LAST_STAGES = ("ResponseComplete", "Panic")
_NO_RAW = msgspec.Raw()
#: A line in a message in a list in a message is the most that any export does.
_MOST_WRAPPED = 4
_AUTHENTICATION = "authentication.k8s.io"


class _User(msgspec.Struct, frozen=True, gc=False):
    username: str = ""
    groups: tuple[str, ...] | None = None


class _Impersonated(msgspec.Struct, frozen=True, gc=False):
    username: str = ""
    groups: tuple[str, ...] | None = None
    uid: str = ""
    extra: dict[str, tuple[str, ...]] | None = None


class _ObjectRef(msgspec.Struct, frozen=True, gc=False):
    resource: str = ""
    namespace: str = ""
    name: str = ""
    group: str = msgspec.field(name="apiGroup", default="")
    subresource: str = ""


class _Annotations(msgspec.Struct, frozen=True, gc=False):
    decision: str = msgspec.field(name="authorization.k8s.io/decision", default="")
    reason: str = msgspec.field(name="authorization.k8s.io/reason", default="")


class _Status(msgspec.Struct, frozen=True, gc=False):
    code: int = 0


class _Constraint(msgspec.Struct, frozen=True, gc=False):
    verb: str = msgspec.field(name="impersonationConstraint", default="")


class _Principal(msgspec.Struct, frozen=True, gc=False):
    email: str = msgspec.field(name="principalEmail", default="")


class _Authorization(msgspec.Struct, frozen=True, gc=False):
    #: Left out where it is false.
    granted: bool = False


class _ProtoPayload(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    service_name: str = ""
    method_name: str = ""
    resource_name: str = ""
    authentication_info: _Principal = _Principal()
    authorization_info: tuple[_Authorization, ...] = ()


class _Properties(msgspec.Struct, frozen=True, gc=False):
    log: str = ""


_NO_USER, _NO_NOTES = _User(), _Annotations()


class Wire(msgspec.Struct, gc=False, rename="camel"):
    """An event, or what wraps one or several of them, with the fields that are read; the others are never built."""

    kind: str = ""
    api_version: str = ""
    stage: str = ""
    request_uri: str = msgspec.field(name="requestURI", default="")
    verb: str = ""
    user: _User | None = None
    impersonated_user: _Impersonated | None = None
    object_ref: _ObjectRef | None = None
    response_status: _Status | None = None
    annotations: _Annotations | None = None
    authentication_metadata: _Constraint | None = None
    stage_timestamp: str | None = None
    request_received_timestamp: str | None = None
    # GKE
    proto_payload: _ProtoPayload | None = None
    labels: _Annotations | None = None
    timestamp: msgspec.Raw = _NO_RAW
    # Azure Monitor
    properties: _Properties | None = None
    category: str = ""
    # CloudWatch, and any list of the others
    message: msgspec.Raw = _NO_RAW
    at_message: msgspec.Raw = msgspec.field(name="@message", default=_NO_RAW)
    items: msgspec.Raw = _NO_RAW
    events: msgspec.Raw = _NO_RAW
    log_events: msgspec.Raw = _NO_RAW
    records: msgspec.Raw = _NO_RAW


#: The keys under which exports list events.
LIST_KEYS = ("items", "events", "logEvents", "records")

decoder = msgspec.json.Decoder(Wire)
_list = msgspec.json.Decoder(list[msgspec.Raw])
_text = msgspec.json.Decoder(str)
REFUSALS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class NoEventError(Exception):
    """Something that is no audit event; the message says why, without any value of it."""


def is_event(wire: Wire) -> bool:
    """Whether this is an event itself, as most lines are."""
    return wire.kind == "Event" and wire.api_version.startswith(_GROUP)


def events(wire: Wire, depth: int = 0) -> Iterator[Wire | NoEventError]:
    """The events in a decoded line: itself, what it wraps, or why there is none."""
    if is_event(wire) or wire.proto_payload is not None:
        yield wire
        return
    if depth >= _MOST_WRAPPED:
        yield NoEventError("wrapped too often to be an audit event")
        return
    try:
        inner = _wrapped(wire)
    except REFUSALS as error:
        yield NoEventError(explain(error)[1])
        return
    for part in inner:
        try:
            found = decoder.decode(part)
        except REFUSALS as error:
            yield NoEventError(f"inside an export: {explain(error)[1]}")
        else:
            yield from events(found, depth + 1)
    if not inner and not _is_empty_list(wire):
        yield NoEventError(_why_none(wire))


def _wrapped(wire: Wire) -> list[bytes | msgspec.Raw]:
    for message in (wire.message, wire.at_message):
        if message:
            # Logs Insights downloads a message that is JSON as an object.
            return [message if bytes(message)[:1] == b"{" else _text.decode(message).encode()]
    if wire.properties is not None and wire.properties.log:
        return [wire.properties.log.encode()]
    return [
        raw
        for parts in (wire.items, wire.events, wire.log_events, wire.records)
        if parts
        for raw in _list.decode(parts)
    ]


def _is_empty_list(wire: Wire) -> bool:
    """The last page of an export may list nothing."""
    return any(bool(parts) for parts in (wire.items, wire.events, wire.log_events, wire.records))


def _why_none(wire: Wire) -> str:
    if wire.kind == "Event":
        return (
            f"an Event of `{wire.api_version}`, no audit event" if wire.api_version else "an Event without apiVersion"
        )
    if wire.kind:
        return f"a {wire.kind}, no audit event"
    return f"a record of category `{wire.category}`, no audit event" if wire.category else "no audit event"


# -- from an event to a key that is cheap to make, and from that to a request ---------------------------------------


class Key(msgspec.Struct, frozen=True, gc=False):
    """What of an event its request follows from; equal for most events of one client."""

    user: str
    groups: tuple[str, ...] | None
    impersonated: bytes
    constraint: str
    verb: str
    ref: _ObjectRef | None
    #: The URI without its query where the request follows from it: URLs and creates.
    path: str
    notes: _Annotations
    outcome: Outcome
    applies: bool
    stage: str


_encode = msgspec.json.Encoder(order="sorted").encode
_impersonated = msgspec.json.Decoder(_Impersonated)
_CREATED: Outcome = "created"
_REFUSED: Outcome = "refused"


def key_of(wire: Wire) -> Key:
    """The key of an event. Raises NoEventError where it records no request."""
    if not is_event(wire):
        if wire.proto_payload is not None:
            return _gke_key(wire, wire.proto_payload)
        raise NoEventError(_why_none(wire))
    ref, verb = wire.object_ref, wire.verb
    code = wire.response_status.code if wire.response_status is not None else 0
    outcome: Outcome = ""
    if code in (401, 403):
        outcome = _REFUSED
    elif code == 201 and verb in ("patch", "update"):
        outcome = _CREATED
    user = wire.user or _NO_USER
    return Key(
        user.username,
        user.groups or (),
        _encode(wire.impersonated_user) if wire.impersonated_user is not None else b"",
        wire.authentication_metadata.verb if wire.authentication_metadata is not None else "",
        verb,
        ref,
        wire.request_uri.partition("?")[0] if verb == "create" or ref is None or not ref.resource else "",
        wire.annotations or _NO_NOTES,
        outcome,
        # Only an apply may say `force`; the API server refuses it in any other patch.
        verb == "patch" and ("?force=" in wire.request_uri or "&force=" in wire.request_uri),
        "" if wire.stage in _LAST_STAGES else wire.stage,
    )


def timestamp_of(wire: Wire) -> str:
    """When the event was written: the time of its stage."""
    if wire.stage_timestamp:
        return wire.stage_timestamp
    if wire.proto_payload is not None and wire.timestamp:
        try:
            return _text.decode(wire.timestamp)
        except REFUSALS:
            return ""
    return wire.request_received_timestamp or ""


def _gke_key(wire: Wire, entry: _ProtoPayload) -> Key:
    if entry.service_name not in ("", "k8s.io"):
        raise NoEventError(f"an entry of {entry.service_name}, not of the Kubernetes API")
    notes = wire.labels or _NO_NOTES
    if not notes.decision and entry.authorization_info:
        granted = all(part.granted for part in entry.authorization_info)
        notes = replace(notes, decision=ALLOW if granted else FORBID)
    verb = entry.method_name.rpartition(".")[2]
    group, _, path = entry.resource_name.partition("/")
    if not path or not verb:
        raise NoEventError("an entry without the name of a method or resource")
    url = f"/api/{path}" if group == "core" else f"/apis/{group}/{path}"
    try:
        found = request_info("GET", url)
    except ValueError:
        found = None
    if found is None or not found.resource:
        raise NoEventError("an entry whose resource name is no path of the Kubernetes API")
    ref = _ObjectRef(found.resource, found.namespace, found.name, found.group, found.subresource)
    return Key(
        user=entry.authentication_info.email,
        groups=None,
        impersonated=b"",
        constraint="",
        verb=verb,
        ref=ref,
        path="",
        notes=notes,
        outcome="",
        applies=False,
        stage="",
    )


def recorded(key: Key) -> Recorded:
    """What a key records. Raises NoEventError where that is no request."""
    if not key.user:
        raise NoEventError("an event without a user")
    request = _request(key)
    made_by = Identity(key.user, key.groups)
    identity, impersonation = made_by, None
    if key.impersonated:
        as_whom = _impersonated.decode(key.impersonated)
        identity = Identity(as_whom.username, as_whom.groups or ())
        impersonation = Impersonation(made_by, tuple(_impersonating(as_whom, key.constraint, request)))
    return Recorded(
        identity=identity,
        request=request,
        decision=key.notes.decision,
        reason=key.notes.reason,
        outcome=key.outcome,
        applies=key.applies,
        impersonation=impersonation,
        finished=not key.stage,
    )


def _request(key: Key) -> Request:
    ref = key.ref
    if ref is None or not ref.resource:
        if not key.path:
            raise NoEventError("an event without objectRef and requestURI")
        return Request(verb=key.verb, url=unquote(key.path))
    name = ref.name
    if key.verb == "create" and not ref.subresource:
        # The API server fills in the name from the body, which the authorizer never saw (S-31).
        name = _name_in(key.path, ref)
    return Request(
        verb=key.verb,
        group=ref.group,
        resource=ref.resource,
        subresource=ref.subresource,
        name=name,
        namespace=ref.namespace,
    )


def _name_in(path: str, ref: _ObjectRef) -> str:
    try:
        found = request_info("POST", path)
    except ValueError:
        return ""
    return found.name if (found.group, found.resource) == (ref.group, ref.resource) else ""


def _impersonating(as_whom: _Impersonated, constraint: str, request: Request) -> Iterator[Request]:
    """One request for each part of the identity that a header named (S-70); of constrained impersonation the verb of the
    mode, and the one on what is done (S-72)."""
    account = subject_ref(as_whom.username)
    verb, group = (constraint, _AUTHENTICATION) if constraint else ("impersonate", "")
    mode = constraint.partition(":")[2]
    if account.kind == "ServiceAccount":
        yield Request(
            verb=verb, group=group, resource="serviceaccounts", name=account.name, namespace=account.namespace or ""
        )
    elif mode.endswith("-node"):
        name = "*" if mode == "associated-node" else as_whom.username.removeprefix("system:node:")
        yield Request(verb=verb, group=group, resource="nodes", name=name)
    else:
        yield Request(verb=verb, group=group, resource="users", name=as_whom.username)
    if not constraint or mode == "user-info":
        implied = {*implicit_groups(as_whom.username), "system:authenticated"} if not mode else {"system:authenticated"}
        for member in as_whom.groups or ():
            if member not in implied:
                yield Request(verb=verb, group=group, resource="groups", name=member)
        if as_whom.uid:
            yield Request(verb=verb, group=_AUTHENTICATION, resource="uids", name=as_whom.uid)
        for extra, values in (as_whom.extra or {}).items():
            for value in values:
                yield Request(verb=verb, group=_AUTHENTICATION, resource="userextras", subresource=extra, name=value)
    if constraint:
        yield replace(request, verb=f"impersonate-on:{mode}:{request.verb}")
