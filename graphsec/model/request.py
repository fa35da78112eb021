"""From an HTTP request to the attributes that the authorizer sees (apiserver `requestinfo.go`, rbac.md S-30 to S-35)."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

from graphsec.model.rbac import Request

_VERBS = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
#: Legacy path prefixes that stand before the resource and set the verb.
_SPECIAL_VERBS = ("proxy", "watch")
#: Below a namespace these are subresources of the namespace itself, not namespaced resources.
_NAMESPACE_SUBRESOURCES = ("status", "finalize")
_NO_SUBRESOURCES = ("proxy",)


def request_info(method: str, url: str) -> Request:
    """The attributes of ``method url`` (a path with an optional query). Raises ValueError where the API server answers 400."""
    split = urlsplit(url)
    # The server splits the decoded path: an escaped slash divides like a plain one.
    parts = unquote(split.path).strip("/").split("/")
    if len(parts) < 3 or parts[0] not in ("api", "apis"):
        return _url_request(method, split.path)
    group = ""
    rest = parts[1:]
    if parts[0] == "apis":
        if len(rest) < 3:
            return _url_request(method, split.path)
        group, rest = rest[0], rest[1:]
    return _resource_request(method, group, rest[1:], split.query)


def _url_request(method: str, path: str) -> Request:
    return Request(verb=method.lower(), url=unquote(path))


def _resource_request(method: str, group: str, parts: list[str], query: str) -> Request:
    verb = _VERBS.get(method.upper(), "")
    special = parts[0] in _SPECIAL_VERBS
    if special:
        if len(parts) < 2:
            raise ValueError(f"unable to determine kind and namespace from path: {parts}")
        verb, parts = parts[0], parts[1:]
    namespace = ""
    if parts[0] == "namespaces":
        namespace = parts[1] if len(parts) > 1 else ""
        # S-35: below a namespace stands a namespaced resource, unless it is a subresource of the namespace.
        if len(parts) > 2 and parts[2] not in _NAMESPACE_SUBRESOURCES:
            parts = parts[2:]
    resource = parts[0]
    name = parts[1] if len(parts) > 1 else ""
    subresource = parts[2] if len(parts) > 2 and verb not in _NO_SUBRESOURCES else ""
    if not name and not special:
        verb, name = _collection(verb, query)
    return Request(verb=verb, group=group, resource=resource, subresource=subresource, name=name, namespace=namespace)


def _collection(verb: str, query: str) -> tuple[str, str]:
    """Verb and name of a request on a collection (S-30, S-32, S-33)."""
    if verb == "get":
        watch = parse_qs(query, keep_blank_values=True).get("watch", ["false"])[0]
        return ("watch" if _is_true(watch) else "list"), _selected_name(query)
    if verb == "delete":
        return "deletecollection", ""
    return verb, ""


def _is_true(value: str) -> bool:
    """Query booleans as apimachinery converts them: anything but ``false`` and ``0`` is true, also the empty value."""
    return value.lower() not in ("false", "0")


def _selected_name(query: str) -> str:
    """The name that the field selector requires, "" if none does or the selector does not parse (S-32)."""
    terms = parse_qs(query).get("fieldSelector", [""])[0].split(",")
    fields = [_term(term) for term in terms if term]
    if None in fields:
        return ""
    return next((value for key, value in filter(None, fields) if key == "metadata.name" and _is_name(value)), "")


def _term(term: str) -> tuple[str, str] | None:
    """(field, required value) of one term; an inequality requires none, a term without operator does not parse."""
    if "!=" in term:
        return term.partition("!=")[0], ""
    key, equals, value = term.replace("==", "=", 1).partition("=")
    return (key, value) if equals else None


def _is_name(value: str) -> bool:
    return bool(value) and value not in (".", "..") and "/" not in value and "%" not in value
