"""Numbered input problems: collected as values, never raised one by one (hardening.md §5)."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from graphsec.model.ref import Ref, Source


class Severity(enum.StrEnum):
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A diagnostic code: what it means and what ``--strict`` makes of it."""

    code: str
    severity: Severity
    title: str
    meaning: str
    remedy: str
    #: True where ``--strict`` turns it into failure (exit 3).
    fails_strict: bool = False
    #: True where a limit stopped work (exit 4).
    limit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One problem at one place. ``object`` is the canonical ref or "" if the object could not be told."""

    code: str
    message: str
    source: Source | None = None
    object: str = ""
    hint: str = ""

    @property
    def severity(self) -> Severity:
        return CODES[self.code].severity

    @property
    def is_limit(self) -> bool:
        """True where a limit stopped work (exit 4)."""
        return CODES[self.code].limit

    @classmethod
    def of(cls, code: str, message: str, source: Source, ref: Ref | None = None) -> Diagnostic:
        """With the remedy of its code."""
        return cls(code=code, message=message, source=source, object=str(ref or ""), hint=CODES[code].remedy)

    @classmethod
    def duplicate(cls, ref: Ref, first: Source, second: Source) -> Diagnostic:
        return cls.of("GS-IN-022", f"stands twice: {first} and {second}; the last one counts", second, ref)

    def by_place(self) -> tuple[str, int, str, str, str]:
        """Key of canonical order. Of the order of input nothing is left but what GS-IN-022 says."""
        source = self.source or Source("", 0)
        return source.file, source.line, self.code, self.object, self.message

    def __str__(self) -> str:
        place = f"{self.source}: " if self.source else ""
        return f"{self.code} {self.severity}: {place}{self.message}"


def _codes(*codes: Code) -> dict[str, Code]:
    return {code.code: code for code in codes}


_E, _W, _I = Severity.ERROR, Severity.WARNING, Severity.INFO

# fmt: off
CODES = _codes(
    Code(code="GS-IN-001", severity=_E, fails_strict=True, title="syntax error",
         meaning="A document could not be parsed; the documents before it and after the next `---` were read.",
         remedy="Correct the document at the line given."),
    Code(code="GS-IN-002", severity=_W, fails_strict=True, title="unrendered template",
         meaning="The file holds `{{ }}` template actions, so it is not a manifest yet. Reported once per chart.",
         remedy="Render it first: `helm template CHART | graphsec ... -f -`."),
    Code(code="GS-IN-003", severity=_I, title="not a Kubernetes object",
         meaning="A document without kind and apiVersion, such as a values file. It is counted and left out.",
         remedy="Nothing, or `--exclude` it."),
    Code(code="GS-IN-010", severity=_I, title="unknown kind",
         meaning="A kind outside the built-in table. It stays in the inventory, and RBAC on it still resolves.",
         remedy="Add its CustomResourceDefinition to the input, so that its scope is known."),
    Code(code="GS-IN-011", severity=_I, title="old apiVersion",
         meaning="An apiVersion that current API servers no longer serve. It is read by the shape of its fields.",
         remedy="Move the manifest to the current version."),
    Code(code="GS-IN-012", severity=_I, title="namespace missing",
         meaning="A namespaced object names no namespace; the default namespace was taken.",
         remedy="Name it in the manifest, or give `-n` / `--default-namespace`."),
    Code(code="GS-IN-020", severity=_E, fails_strict=True, title="wrong type",
         meaning="A field has a type that the API server refuses. The object stays in the inventory and out of every evaluation.",
         remedy="Correct the field named in the message."),
    Code(code="GS-IN-021", severity=_W, fails_strict=True, title="duplicate key",
         meaning="A mapping names one key twice. The last one counts, as for kubectl without `--validate=strict`.",
         remedy="Remove one of the two."),
    Code(code="GS-IN-022", severity=_W, fails_strict=True, title="duplicate object",
         meaning="One object (group, kind, namespace, name) stands in the input twice. The last in input order counts.",
         remedy="Give each object once, or order the files so that the wanted one comes last."),
    Code(code="GS-IN-023", severity=_W, fails_strict=True, title="invalid object",
         meaning="The API server's validation would refuse this object. It is evaluated literally all the same.",
         remedy="Correct the field named in the message."),
    Code(code="GS-IN-024", severity=_E, fails_strict=True, title="invalid policy",
         meaning="The API server refuses this object, so it is in no cluster. It stays in the inventory and out of every evaluation.",
         remedy="Correct the field named in the message."),
    Code(code="GS-IN-030", severity=_W, fails_strict=True, title="encoding",
         meaning="The file is not UTF-8. With a byte order mark it was transcoded; otherwise it could not be read.",
         remedy="Save as UTF-8; PowerShell writes UTF-16 with `>`, use `| Out-File -Encoding utf8`."),
    Code(code="GS-IN-031", severity=_E, fails_strict=True, title="control character",
         meaning="A NUL or control character that YAML forbids. That document was not read.",
         remedy="Remove the character."),
    Code(code="GS-IN-032", severity=_E, fails_strict=True, title="custom tag",
         meaning="A YAML tag outside the core schema. That document was not read; nothing is constructed from a tag.",
         remedy="Remove the tag, or render the file with the tool that it belongs to."),
    Code(code="GS-IN-040", severity=_E, fails_strict=True, title="truncated input",
         meaning="The file ends before its JSON does. What was decoded up to there was kept; the kinds in it are partial.",
         remedy="Collect the file again."),
    Code(code="GS-IN-041", severity=_E, fails_strict=True, title="unreadable file",
         meaning="A file inside a directory could not be opened or is of a form that is not read.",
         remedy="Check its permissions, or unpack it first."),
    Code(code="GS-AU-001", severity=_W, fails_strict=True, title="no audit event",
         meaning="A part of an audit log is not read as an event: damaged, of other types, or another kind of record. It counts as unread.",
         remedy="Look at the line; leave files of other logs out."),
    Code(code="GS-GR-001", severity=_W, title="dangling roleRef",
         meaning="A binding refers to a role that is not in the input. It grants nothing here, and would once the role exists.",
         remedy="Add the role to the input; for the roles that every cluster has, `--with-defaults`."),
    Code(code="GS-GR-002", severity=_W, title="subject that matches nobody",
         meaning="A ServiceAccount subject of a ClusterRoleBinding without namespace, or a subject of unknown kind, matches no request.",
         remedy="Name the namespace; kinds are User, Group and ServiceAccount."),
    Code(code="GS-GR-003", severity=_W, title="aggregation drift",
         meaning="The stored rules of an aggregated ClusterRole differ from what its selectors select. The stored rules count, as for the authorizer.",
         remedy="Check whether the aggregation controller runs, or whether the dump was taken between two states."),
    Code(code="GS-GR-004", severity=_W, title="aggregation does not converge",
         meaning="Aggregated ClusterRoles select each other in a way that the controller never finishes.",
         remedy="Break the cycle of labels and selectors."),
    Code(code="GS-LIM-001", severity=_E, limit=True, title="too deeply nested",
         meaning="A document nests deeper than the limit. It was not read.", remedy="Raise `--max-depth`."),
    Code(code="GS-LIM-002", severity=_E, limit=True, title="too many aliases",
         meaning="A YAML document repeats itself through aliases beyond kubectl's own bound. It was not read.",
         remedy="Write the document without aliases."),
    Code(code="GS-LIM-003", severity=_E, limit=True, title="object too large",
         meaning="One object exceeds the size limit. It was not read.", remedy="Raise `--max-object-bytes`."),
    Code(code="GS-LIM-004", severity=_E, limit=True, title="object has too many nodes",
         meaning="One object exceeds the node limit. It was not read.", remedy="Raise `--max-nodes-per-object`."),
    Code(code="GS-LIM-005", severity=_E, limit=True, title="file too large",
         meaning="A file exceeds the size limit. It was not read.", remedy="Raise `--max-file-bytes`."),
    Code(code="GS-LIM-006", severity=_E, limit=True, title="archive inflates too far",
         meaning="An archive holds more bytes than the limit, or inflates 200 to 1 as no dump does. Members up to there were kept.",
         remedy="Raise `--max-inflated-bytes`, or unpack the archive and give its folder."),
)
# fmt: on
