"""Events and the kinds table become a Cluster: identity, types, duplicates and diagnostics."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from graphsec.collector import collector_paused
from graphsec.kinds import InvalidError, Kind, kinds
from graphsec.loading.decoders import REFUSALS, Decoders
from graphsec.loading.documents import Batch, Envelope, Event, Item, Limits, Problem
from graphsec.loading.duplicates import noting_duplicates
from graphsec.loading.forms import PYTHON, SNAPSHOT
from graphsec.loading.identity import Head, explain, kind_name, read_head
from graphsec.loading.json_reader import read_json
from graphsec.loading.mappings import read_mapping
from graphsec.loading.merging import merged
from graphsec.loading.rule_lines import rule_lines
from graphsec.loading.snapshots import read_snapshot
from graphsec.loading.sources import Blob, blobs
from graphsec.loading.tallies import Tallies
from graphsec.loading.text import decode_text, is_json
from graphsec.model.cluster import Cluster
from graphsec.model.diagnostic import Diagnostic
from graphsec.model.discovery import DEFAULT_MINOR, Discovery, Resource, builtin_kind_groups
from graphsec.model.objects import CustomResourceDefinition, Loaded
from graphsec.model.ref import Ref, Source, ref_order

Input = str | Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """How to read: ``namespace`` is taken by namespaced objects that name none (`-n`, `--default-namespace`)."""

    namespace: str = "default"
    limits: Limits = field(default_factory=Limits)
    #: Patterns of files in folders to leave out.
    exclude: tuple[str, ...] = ()
    #: Look for duplicate keys in JSON too, which costs a second and slower decoder.
    strict: bool = False


def load_cluster(inputs: Iterable[Input], options: LoadOptions | None = None) -> Cluster:
    """Read paths (``-`` is standard input) and mappings in order. Bad input becomes diagnostics.

    Raises InputError for a path that does not exist and a snapshot that cannot be read.
    """
    options = options or LoadOptions()
    with collector_paused():
        return merged(list(_parts(inputs, options)) or [Assembler(options).cluster()])


def _parts(inputs: Iterable[Input], options: LoadOptions) -> Iterator[Cluster]:
    """The cluster of each snapshot, and one of all that stands between two of them, in input order."""
    assembler: Assembler | None = None
    for given in inputs:
        if isinstance(given, Mapping):
            assembler = assembler or Assembler(options)
            assembler.add_mapping(given)
            continue
        for blob in blobs(given, options.limits, options.exclude):
            if blob.form is SNAPSHOT and not blob.problem:
                if assembler:
                    yield assembler.cluster()
                    assembler = None
                yield read_snapshot(blob.data, given)
            else:
                assembler = assembler or Assembler(options)
                assembler.add_blob(blob, given)
        if assembler:
            assembler.end_input()
    if assembler:
        yield assembler.cluster()


@dataclass(slots=True)
class _File:
    """The file being read."""

    name: str = "<python>"
    #: The resource that the name tells, for items of lists that name no kind.
    hint: Resource | None = None
    #: Whether that name is part of a layout, and so needs no second opinion.
    by_name: bool = False


class Assembler:
    """Collects objects, then freezes them into a Cluster. Later objects replace earlier ones of the same identity."""

    def __init__(self, options: LoadOptions) -> None:
        self._options = options
        self._discovery = Discovery(DEFAULT_MINOR)
        self._decoders = Decoders()
        self._readers = {kind: kind.reader() if kind.reader else None for kind in kinds().values()}
        self._namespaced = {kind: self._is_namespaced(kind) for kind in kinds().values()}
        #: apiVersions met of each kind that servers still serve.
        self._current: dict[Kind, set[str]] = {kind: set() for kind in kinds().values()}
        pool: dict[str, str] = {}
        self._interned: Callable[[str], str] = lambda text: pool.setdefault(text, text)
        self._objects: dict[str, dict[Ref, Loaded]] = defaultdict(dict)
        self._others: dict[tuple[str, str], dict[Ref, Source]] = defaultdict(dict)
        self._rejected: dict[Ref, Source] = {}
        self._tallies = Tallies()
        self._diagnostics: list[Diagnostic] = []
        self._charts: set[str] = set()
        self._file = _File()
        #: Kinds of decoded objects in the file at hand.
        self._seen: set[str] = set()

    # -- input --------------------------------------------------------------------------------------------------

    def add_mapping(self, given: Mapping[str, Any]) -> None:
        self._begin(_File())
        self._tallies.begin_file("<python>", "<python>", PYTHON)
        self._add_events(read_mapping(given, self._options.limits))
        self._tallies.end_file()
        self.end_input()

    def add_blob(self, blob: Blob, given: str) -> None:
        """One file of the input that the user called ``given``."""
        self._begin(_File(blob.name, self._hint(blob.name), blob.form.by_name))
        self._tallies.begin_file(given, blob.name, blob.form)
        if blob.problem:
            self._problem_of_file(blob.problem)
        else:
            self._add_events(self._read(blob))
        self._tallies.end_file()

    def end_input(self) -> None:
        """Behind the last file of one input."""
        self._tallies.end_input()

    def _begin(self, file: _File) -> None:
        self._file, self._seen = file, set()

    def _hint(self, name: str) -> Resource | None:
        """The resource that a file name of a dump tells: `roles.rbac.authorization.k8s.io.json`, `pods.json`."""
        stem = name.rpartition("/")[2].rpartition(":")[2].rpartition(".")[0].replace("-", "")
        return next((resource for resource in self._discovery.find(stem) if resource.kind), None)

    def _read(self, blob: Blob) -> Iterator[Event | Batch]:
        if is_json(blob.name, blob.data):
            yield from self._read_json(blob.data)
            return
        from graphsec.loading.yaml_reader import read_yaml

        text, problems = decode_text(blob.data)
        for problem in problems:
            if text is None:
                self._problem_of_file(problem)
            else:
                self._report(problem.code, problem.message, Source(blob.name, problem.line))
        if text is None:
            return
        data = text.encode()
        if is_json(blob.name, data):
            yield from self._read_json(data)
        else:
            yield from read_yaml(text, self._options.limits)

    def _read_json(self, data: Any) -> Iterator[Event | Batch]:
        if self._options.strict:
            return noting_duplicates(read_json(data, self._options.limits))
        return read_json(data, self._options.limits, self._decoders.batch)

    def _add_events(self, events: Iterable[Event | Batch]) -> None:
        #: Items whose kind will be told by their list's envelope.
        waiting: list[Item] = []
        for event in events:
            match event:
                case Batch():
                    self._batch(event)
                case Item(listed=False):
                    # What was taken for a list was this object, with a field called `items`.
                    waiting.clear()
                    self._object(event)
                case Item():
                    if self._waits(event):
                        waiting.append(event)
                    else:
                        self._object(event, event.list_kind.removesuffix("List"))
                case Envelope():
                    kind = event.kind.removesuffix("List")
                    for item in waiting:
                        self._object(item, kind, event.api_version)
                    waiting.clear()
                    self._listed(event, kind)
                case Problem():
                    self._problem(event)
        for item in waiting:
            self._object(item)

    def _waits(self, item: Item) -> bool:
        if item.list_kind or (self._file.by_name and self._file.hint):
            return False
        if isinstance(item.body, bytes):
            # What names its version names its kind.
            return b'"apiVersion"' not in item.body[:64] and not _has_kind(item.body)
        return not item.body.get("kind")

    def _listed(self, envelope: Envelope, kind: str) -> None:
        """A typed list proves that its kind was asked for; so does the name of a file whose list has no kind."""
        group, hint = envelope.api_version.rpartition("/")[0], self._file.hint
        if not kind and hint and (self._file.by_name or not envelope.kind):
            group, kind = hint.group, hint.kind
        if kind:
            resource = self._discovery.of_kind(group, kind)
            namespaced = resource is not None and resource.namespaced
            self._tallies.listed(kind_name(group, kind), namespaced=namespaced, paged=envelope.paged)

    # -- one object ---------------------------------------------------------------------------------------------

    def _batch(self, batch: Batch) -> None:
        kind, file = self._decoders.last, self._file.name
        assert kind is not None, "a batch is decoded as the last kind"
        for decoded, line in zip(batch.objects, batch.lines, strict=True):
            self._keep(kind, decoded, b"", Source(file, line))

    def _object(self, item: Item, list_kind: str = "", list_version: str = "") -> None:
        """Type one object; ``list_kind`` is the kind of its list without `List`, where the object itself has none."""
        source = Source(self._file.name, item.line, item.origin)
        body = item.body if isinstance(item.body, bytes) else msgspec.json.encode(item.body)
        decoded = self._decoders.as_last(body)
        if decoded is not None and self._decoders.last:
            self._keep(self._decoders.last, decoded, item.body, source)
            return
        try:
            head = read_head(body)
        except REFUSALS as error:
            self._report(*explain(error), source)
            return
        kind, version = head.kind or list_kind, head.api_version or list_version
        if not kind and item.listed and self._file.hint:
            kind, version = self._file.hint.kind, f"{self._file.hint.group}/v1".lstrip("/")
        if head.wrong or not kind:
            self._no_object(head, source)
        elif kind.endswith("List") and b'"items"' in body:
            self._nested_list(body, item)
        else:
            self._of_kind(kind, version, head, body, item)

    def _of_kind(self, name: str, version: str, head: Head, body: bytes, item: Item) -> None:
        source = Source(self._file.name, item.line, item.origin)
        # In a list without any apiVersion it is the one decoded kind of that name.
        group = version.rpartition("/")[0] if version else builtin_kind_groups().get(name, "")
        kind = kinds().get((group, name))
        if kind is None:
            self._other(group, name, head, source)
            return
        try:
            decoded = self._decoders.decode(kind, body)
        except REFUSALS as error:
            self._reject(self._ref(kind, head), source, *explain(error))
            return
        self._keep(kind, decoded, item.body, source)

    def _nested_list(self, body: bytes, item: Item) -> None:
        self._add_events(
            event._replace(line=item.line + event.line - 1)
            for event in read_json(body, self._options.limits)
            if not isinstance(event, Batch)
        )

    def _ref(self, kind: Kind, head: Head) -> Ref:
        """Of an object that was not decoded."""
        namespace = (head.namespace or self._options.namespace) if self._namespaced[kind] else None
        return Ref(kind.name, head.name or "?", namespace)

    def _keep(self, kind: Kind, decoded: Any, body: Any, source: Source) -> None:
        """Store a decoded object; ``body`` is what it was decoded from, where the lines of its rules may matter."""
        name = decoded.metadata.name or decoded.metadata.generate_name
        namespace = decoded.metadata.namespace
        if not name:
            self._reject(Ref(kind.name, "?", namespace), source, "GS-IN-020", "metadata.name: missing")
            return
        if not self._namespaced[kind]:
            namespace = None
        else:
            if not namespace:
                self._report_namespace(Ref(kind.name, name, self._options.namespace), source)
            namespace = self._interned(namespace or self._options.namespace)
        ref = Ref(kind.name, name, namespace)
        if decoded.api_version not in self._current[kind]:
            self._report_version(kind, decoded.api_version, source, ref)
        read = self._readers[kind]
        lines = rule_lines(kind.rules, decoded, body, source.line) if kind.rules else ()
        if read:
            try:
                decoded = read(decoded)
            except REFUSALS as error:
                self._reject(ref, source, *explain(error))
                return
            except InvalidError as error:
                line = lines[error.rule] if 0 <= error.rule < len(lines) else source.line
                self._reject(ref, Source(source.file, line, source.origin), "GS-IN-024", error.message)
                return
        objects = self._objects[kind.name]
        if ref in objects:
            self._report_duplicate(ref, objects[ref].source, source)
        objects[ref] = Loaded(ref, source, decoded, lines)
        if kind.name not in self._seen:
            self._seen.add(kind.name)
            self._tallies.seen(kind.name)

    def _other(self, group: str, kind: str, head: Head, source: Source) -> None:
        """A kind that is not decoded: kept in the inventory by identity."""
        if not head.name:
            self._no_object(head, source)
            return
        ref = Ref(kind_name(group, kind), head.name, head.namespace or None)
        others = self._others[(group, kind)]
        if ref in others:
            self._report_duplicate(ref, others[ref], source)
        others[ref] = source
        self._tallies.seen(ref.kind)

    # -- reports ------------------------------------------------------------------------------------------------

    def _report(self, code: str, message: str, source: Source, ref: Ref | None = None) -> None:
        self._diagnostics.append(Diagnostic.of(code, message, source, ref))

    def _report_version(self, kind: Kind, api_version: str, source: Source, ref: Ref) -> None:
        group, _, version = api_version.rpartition("/")
        if group in kind.old_groups or version in kind.old_versions:
            message = f"{api_version} is no longer served; read by the shape of its fields"
            self._report("GS-IN-011", message, source, ref)
        else:
            self._current[kind].add(api_version)

    def _report_namespace(self, ref: Ref, source: Source) -> None:
        self._report("GS-IN-012", f"no namespace; `{ref.namespace}` is taken", source, ref)

    def _report_duplicate(self, ref: Ref, first: Source, second: Source) -> None:
        self._diagnostics.append(Diagnostic.duplicate(ref, first, second))

    def _no_object(self, head: Head, source: Source) -> None:
        if head.wrong:
            self._report("GS-IN-020", f"{head.wrong}: expected str", source)
        elif not head.kind and not head.api_version:
            self._report("GS-IN-003", "no kind and no apiVersion: not a Kubernetes object", source)
        else:
            missing = next(
                name
                for name, value in (("kind", head.kind), ("metadata.name", head.name), ("apiVersion", head.api_version))
                if not value
            )
            self._report("GS-IN-003", f"`{head.kind or head.api_version}` without {missing}", source)

    def _reject(self, ref: Ref, source: Source, code: str, message: str) -> None:
        self._report(code, message, source, ref)
        self._rejected[ref] = source
        self._tallies.rejected(ref.kind, code, source)

    def _problem(self, problem: Problem) -> None:
        self._tallies.lost(problem)
        if problem.code == "GS-IN-002":
            chart = self._file.name.partition("/templates/")[0]
            if chart in self._charts:
                return
            self._charts.add(chart)
        self._report(problem.code, problem.message, Source(self._file.name, problem.line))

    def _problem_of_file(self, problem: Problem) -> None:
        told = self._file.hint.kind if self._file.hint and self._file.by_name else ""
        self._tallies.lost_file(problem, told)
        self._report(problem.code, problem.message, Source(self._file.name, problem.line))

    # -- output -------------------------------------------------------------------------------------------------

    def cluster(self) -> Cluster:
        objects = {
            kind: tuple(sorted(found.values(), key=lambda loaded: ref_order(loaded.ref)))
            for kind, found in sorted(self._objects.items())
        }
        custom = tuple(_custom_resource(loaded.body) for loaded in objects.get("CustomResourceDefinition", ()))
        others = dict(self._placed_others({(r.group, r.kind): r for r in custom}))
        self._report_unknown()
        counts = Counter({kind: len(found) for kind, found in objects.items()})
        counts.update(ref.kind for ref in others)
        return Cluster(
            objects=objects,
            others=dict(sorted({**self._rejected, **others}.items(), key=lambda pair: ref_order(pair[0]))),
            custom_resources=custom,
            coverage=self._tallies.coverage(counts),
            diagnostics=tuple(sorted(self._diagnostics, key=Diagnostic.by_place)),
        )

    def _placed_others(self, custom: Mapping[tuple[str, str], Resource]) -> Iterator[tuple[Ref, Source]]:
        for (group, kind), found in self._others.items():
            resource = self._discovery.of_kind(group, kind) or custom.get((group, kind))
            for ref, source in found.items():
                if resource and resource.namespaced and ref.namespace is None:
                    yield Ref(ref.kind, ref.name, self._options.namespace), source
                else:
                    yield ref, source

    def _report_unknown(self) -> None:
        for (group, kind), found in self._others.items():
            if self._discovery.of_kind(group, kind) is None:
                first = min(found.values(), key=lambda source: (source.file, source.line))
                message = f"`{kind_name(group, kind)}` is not in the built-in table; kept in the inventory"
                self._report("GS-IN-010", message, first)

    def _is_namespaced(self, kind: Kind) -> bool:
        resource = self._discovery.of_kind(kind.group, kind.kind)
        return kind.namespaced or (resource is not None and resource.namespaced)


def _has_kind(body: bytes) -> bool:
    try:
        return bool(read_head(body).kind)
    except REFUSALS:
        return True  # what is wrong with it is told where it is typed


def _custom_resource(definition: CustomResourceDefinition) -> Resource:
    names = definition.spec.names
    return Resource(
        group=definition.spec.group,
        name=names.plural,
        kind=names.kind,
        namespaced=definition.spec.scope == "Namespaced",
        short_names=names.short_names or (),
        singular=names.singular or "",
        verbs=("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"),
        subresources=dict.fromkeys(definition.subresources(), ("get", "patch", "update")),
        custom=True,
    )
