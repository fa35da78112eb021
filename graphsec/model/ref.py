"""Identity and place of everything: who an object is, and where it was written."""

from __future__ import annotations

import msgspec


class Source(msgspec.Struct, frozen=True, gc=False):
    """Where something stands: ``file`` as it was named on input, 1-based ``line``."""

    file: str
    line: int
    #: Provenance that the file itself states, e.g. the chart template of helm's `# Source:` comment.
    origin: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Ref(msgspec.Struct, frozen=True, gc=False, order=True):
    """Identity of an object or principal; ``str()`` is canonical, e.g. ``ServiceAccount/ci/deployer``.

    ``kind`` is the Kubernetes kind, for kinds outside the built-in table with its group (``Service.serving.knative.dev``),
    so that equal names of two groups stay apart. ``namespace`` is None for cluster-scoped objects, users and groups.
    """

    kind: str
    name: str
    namespace: str | None = None

    def __str__(self) -> str:
        if self.namespace is None:
            return f"{self.kind}/{self.name}"
        return f"{self.kind}/{self.namespace}/{self.name}"


#: Canonical order of objects: kind, namespace, name (hardening.md §8); None sorts before any namespace.
def ref_order(ref: Ref) -> tuple[str, str, str]:
    return (ref.kind, ref.namespace or "", ref.name)
