"""Which accounts come with a known add-on: told by all that their roles say, never by names alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources

from graphsec.compile.access import AccessIndex
from graphsec.model.rbac import ALL, Binding, PolicyRule
from graphsec.model.ref import Ref

#: A role of fewer rules is written alike by many.
_FEWEST_RULES = 2


class Addons:
    """The add-on of an account, from ``data/addons.tsv``: (name of the account, signature of a role) to the add-on."""

    def __init__(self, access: AccessIndex) -> None:
        self._access = access
        self._signatures: dict[Ref, tuple[str, bool]] = {}

    def of(self, account: Ref, bindings: Iterable[Binding]) -> str:
        """The add-on that ships all of these grants of the account, "" for none; one of them must be distinctive."""
        if account.kind != "ServiceAccount":
            return ""
        read = [self._read(binding.role) for binding in bindings]
        found = {shipped().get((account.name, signature), "") for signature, _ in read}
        return found.pop() if len(found) == 1 and any(distinctive for _, distinctive in read) else ""

    def _read(self, role: Ref) -> tuple[str, bool]:
        known = self._signatures.get(role)
        if known is None:
            rules = self._access.roles[role].rules
            known = self._signatures[role] = (signature_of(rules), is_distinctive(rules))
        return known


def is_distinctive(rules: Sequence[PolicyRule]) -> bool:
    """Whether rules say who ships them: several, none of which grants everything. Else the name of the account would decide."""
    everything = any(ALL in rule.verbs and ALL in rule.groups and ALL in rule.resources for rule in rules)
    return len(rules) >= _FEWEST_RULES and not everything


def signature_of(rules: Iterable[PolicyRule]) -> str:
    """16 hexadecimal digits of a role's rules, whatever the order in which they and their words are written."""
    words = sorted(
        repr([sorted(set(part)) for part in (rule.verbs, rule.groups, rule.resources, rule.names, rule.urls)])
        for rule in rules
    )
    return hashlib.sha256("\n".join(dict.fromkeys(words)).encode("utf-8", "surrogatepass")).hexdigest()[:16]


@cache
def shipped() -> Mapping[tuple[str, str], str]:
    """(name of the account, signature of the role) to the add-on; what two add-ons ship alike is of neither."""
    text = resources.files("graphsec").joinpath("data/addons.tsv").read_text(encoding="utf-8")
    found: dict[tuple[str, str], str] = {}
    for line in text.splitlines()[1:]:
        addon, account, signature, *_ = line.split("\t")
        key = (account, signature)
        found[key] = addon if found.get(key, addon) == addon else ""
    return found
