"""Workloads that an attacker could take over through their network ports: what the operator or a scanner says."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from graphsec.model.ref import Ref, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """``name`` of a pod or workload in ``namespace`` ("" with an ``image`` pattern alone); no ``ports`` are all of them."""

    reason: str
    source: Source
    namespace: str = ""
    name: str = ""
    kind: str = ""
    image: str = ""
    ports: tuple[int, ...] = ()

    def matches(self, ref: Ref, images: tuple[str, ...]) -> bool:
        """Whether a pod or workload is meant."""
        if self.image:
            return any(fnmatchcase(image, self.image) for image in images)
        return (self.namespace, self.name) == (ref.namespace, ref.name) and self.kind in ("", ref.kind)
