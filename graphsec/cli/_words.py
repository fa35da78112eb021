"""Verbs and types as people write them, resolved against the discovery table, the input's CRDs and its rules."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace

import msgspec

from graphsec.compile import World
from graphsec.errors import UsageError
from graphsec.model.discovery import Resource
from graphsec.model.rbac import ALL, Target
from graphsec.query._words import VERB_GROUPS, resource_words

#: S-97 and S-21; those of the input's rules are known besides.
_VERBS = (
    "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "use", "bind", "impersonate",
    ALL, "approve", "sign", "escalate", "attest", "post", "put", "head", "options", "proxy",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a request is about, as read from the command line, and what there is to say about the reading."""

    target: Target
    known: Resource | None = None
    warning: str = ""

    def in_own_namespace(self) -> Asked:
        """A request on one namespace carries that namespace (S-35); any other is left as it is."""
        target = self.target
        if (target.resource, target.group) != ("namespaces", "") or not target.name:
            return self
        return replace(self, target=msgspec.structs.replace(target, namespace=target.name))


def parse_verbs(text: str, world: World) -> tuple[str, ...]:
    """``read`` or ``get,list``. Raises UsageError for a verb that neither Kubernetes nor a rule of the input knows."""
    verbs: list[str] = []
    for word in text.split(","):
        if word in VERB_GROUPS:
            verbs += VERB_GROUPS[word]
        elif word in _VERBS or any(word in rule.verbs for rule in world.access.rules) or word.startswith("impersonate"):
            verbs.append(word)
        else:
            near = difflib.get_close_matches(word.lower(), (*_VERBS, *VERB_GROUPS), n=1)
            hint = f" (did you mean `{near[0]}`?)" if near else ""
            raise UsageError(f"unknown verb `{word}`{hint}", help="verb groups: read, write, admin")
    return tuple(dict.fromkeys(verbs))


def parse_target(text: str, world: World, *, subresource: str = "", name: str = "", namespace: str = "") -> Asked:
    """``TYPE``, ``TYPE/NAME``, ``TYPE/SUBRESOURCE`` (R-07), ``TYPE/NAME/SUBRESOURCE``, ``type.group`` or a URL."""
    if text.startswith("/"):
        return Asked(target=Target(url=text))
    if "," in text:
        raise UsageError(f"one type at a time, `{text}` names several", help="ask once for each, or use matrix")
    word, *parts = text.split("/", 2)
    found = world.discovery.find(word)
    resource = found[0] if found else None
    plural, group = (resource.name, resource.group) if resource else _literal(word, world)
    if len(parts) == 2:
        name, subresource = parts
    elif parts and parts[0]:
        if _is_subresource(world, resource, plural, parts[0]):
            subresource = parts[0]
        else:
            name = parts[0]
    return Asked(
        target=Target(resource=plural, group=group, subresource=subresource, name=name, namespace=namespace),
        known=resource,
        warning="" if resource or plural == ALL else _unknown(word, world),
    )


def _literal(word: str, world: World) -> tuple[str, str]:
    """A type outside discovery: ``*`` asks for every resource of every group, ``x.group`` is taken at its word.

    A bare word has the group of the rules that name it. Raises UsageError where they name several.
    """
    if word == ALL:
        return ALL, ALL
    groups = {group for rule in world.access.rules if word in rule.resources for group in rule.groups} - {ALL}
    if len(groups) > 1:
        spelled = ", ".join(f"`{resource_words(word, group)}`" for group in sorted(groups))
        raise UsageError(f"`{word}` stands for several types", help=f"one of {spelled}")
    if groups:
        return word, groups.pop()
    plural, _, group = word.partition(".")
    return plural, group


def _is_subresource(world: World, resource: Resource | None, plural: str, part: str) -> bool:
    if ALL in (plural, part) or (resource and part in resource.subresources):
        return True
    spelled = {f"{plural}/{part}", f"*/{part}"} if resource is None else {f"{plural}/{part}"}
    return any(not spelled.isdisjoint(rule.resources) for rule in world.access.rules)


def _unknown(word: str, world: World) -> str:
    """A warning, or a UsageError where the word looks like a slip of a known one."""
    if any(word.partition(".")[0] in rule.resources for rule in world.access.rules):
        return ""
    near = difflib.get_close_matches(word.lower(), world.discovery.words(), n=1, cutoff=0.75)
    if near:
        raise UsageError(f"unknown resource type `{word}` (did you mean `{near[0]}`?)")
    return f"`{word}` is not a known resource type: taken literally, its scope is unknown"
