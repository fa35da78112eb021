"""Several loaded clusters as one: what ``-f`` with a snapshot and something else means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain

from graphsec.kinds import kinds
from graphsec.loading.tallies import joined
from graphsec.model.cluster import Cluster, Shelf, Shelves
from graphsec.model.diagnostic import Diagnostic
from graphsec.model.objects import Loaded
from graphsec.model.ref import Ref, Source, ref_order


@dataclass(frozen=True, slots=True)
class Both:
    """One kind of two clusters; an object that both have is that of the later."""

    earlier: Shelf
    later: Shelf

    def places(self) -> Iterable[tuple[Ref, Source]]:
        return dict(chain(self.earlier.places(), self.later.places())).items()

    def objects(self) -> tuple[Loaded, ...]:
        by_ref = {loaded.ref: loaded for loaded in (*self.earlier.objects(), *self.later.objects())}
        return tuple(sorted(by_ref.values(), key=lambda loaded: ref_order(loaded.ref)))


def merged(clusters: Sequence[Cluster]) -> Cluster:
    """In input order: objects of later ones replace those of earlier ones (GS-IN-022); kinds of one alone stay unread."""
    return reduce(_merged, clusters)


def _merged(earlier: Cluster, later: Cluster) -> Cluster:
    one, other = Shelves.of(earlier.objects).shelves, Shelves.of(later.objects).shelves
    both = {kind: Both(one[kind], other[kind]) for kind in one.keys() & other.keys()}
    twice = dict(_twice(earlier, later, both.values()))
    others = {**earlier.others, **later.others}
    resources = {found.full_name: found for found in (*earlier.custom_resources, *later.custom_resources)}
    diagnostics = (*earlier.diagnostics, *later.diagnostics, *twice.values())
    return Cluster(
        objects=Shelves({**one, **other, **both}),
        others=dict(sorted(others.items(), key=lambda pair: ref_order(pair[0]))),
        custom_resources=tuple(found for _, found in sorted(resources.items())),
        coverage=joined(earlier.coverage, later.coverage, Counter(ref.kind for ref in twice)),
        diagnostics=tuple(sorted(diagnostics, key=Diagnostic.by_place)),
    )


def _twice(earlier: Cluster, later: Cluster, both: Iterable[Both]) -> Iterator[tuple[Ref, Diagnostic]]:
    """Objects of both clusters, and what is told of each; one that was rejected is no object."""
    decoded = {kind.name for kind in kinds().values()}
    pairs = [(kind.earlier.places(), kind.later.places()) for kind in both]
    for first, second in (*pairs, (_unread(earlier, decoded), _unread(later, decoded))):
        known = dict(first)
        for ref, source in second:
            if ref in known:
                yield ref, Diagnostic.duplicate(ref, known[ref], source)


def _unread(cluster: Cluster, decoded: set[str]) -> Iterable[tuple[Ref, Source]]:
    return ((ref, source) for ref, source in cluster.others.items() if ref.kind not in decoded)
