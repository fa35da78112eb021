"""Documents and the kinds table become a Cluster: identity, types, duplicates, coverage and diagnostics."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from graphsec.collector import collector_paused
from graphsec.kinds import Kind, kinds
from graphsec.loading.documents import Batch, Envelope, Event, Item, Limits, Lines, Problem
from graphsec.loading.forms import FORMS, Form
from graphsec.loading.json_reader import read_json
from graphsec.loading.sources import Blob, blobs
from graphsec.loading.text import decode_text, is_json
from graphsec.model.cluster import Cluster
from graphsec.model.coverage import Coverage, KindCoverage, State
from graphsec.model.diagnostic import CODES, Diagnostic
from graphsec.model.discovery import DEFAULT_MINOR, Discovery, Resource, builtin_kind_groups
from graphsec.model.objects import CustomResourceDefinition, Loaded, Metadata, WireRole
from graphsec.model.ref import Ref, Source, ref_order

Input = str | Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """How to read: ``namespace`` is taken by namespaced objects that name none (`-n`, `--default-namespace`)."""

    namespace: str = "default"
    limits: Limits = field(default_factory=Limits)
    #: Patterns of files in folders to leave out.
    exclude: tuple[str, ...] = ()


class _Head(msgspec.Struct, gc=False, rename="camel"):
    """Identity alone, of any type, for objects that no kind decodes or that their kind refuses."""

    api_version: Any = ""
    kind: Any = ""
    metadata: Any = None


_head = msgspec.json.Decoder(_Head)
_FIELD = re.compile(r"^(?P<what>.*?)(?: - at `\$?\.?(?P<path>.*)`)?$", re.DOTALL)
_PROBLEMS_OF_LOSS = ("GS-IN-001", "GS-IN-031", "GS-IN-032", "GS-IN-040", "GS-IN-041")


def load_cluster(inputs: Iterable[Input], options: LoadOptions | None = None) -> Cluster:
    """Read paths (``-`` is standard input) and mappings in order. Bad input becomes diagnostics.

    Raises InputError only for a path that does not exist.
    """
    assembler = Assembler(options or LoadOptions())
    with collector_paused():
        for given in inputs:
            if isinstance(given, Mapping):
                assembler.add_mapping(given)
            else:
                for blob in blobs(str(given), assembler.options.limits, assembler.options.exclude):
                    assembler.add_blob(blob)
        return assembler.cluster()


@dataclass(slots=True)
class _Tally:
    """What is known about the loading of one kind."""

    rejected: int = 0
    listed: bool = False
    reasons: dict[str, None] = field(default_factory=dict)
    sources: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class _File:
    """The file being read, for places and for what a loss in it touches."""

    name: str
    form: Form
    hint: Resource | None = None
    kinds: set[str] = field(default_factory=set)
    #: Items whose kind will be told by their list's envelope.
    waiting: list[Item] = field(default_factory=list)


class Assembler:
    """Collects objects, then freezes them into a Cluster. Later objects replace earlier ones of the same identity."""

    def __init__(self, options: LoadOptions) -> None:
        self.options = options
        self._discovery = Discovery(DEFAULT_MINOR)
        self._decoders = {kind: msgspec.json.Decoder(kind.body) for kind in kinds().values()}
        self._list_decoders = {kind: msgspec.json.Decoder(list[kind.body]) for kind in kinds().values()}  # type: ignore[name-defined]
        self._readers = {kind: kind.reader() if kind.reader else None for kind in kinds().values()}
        self._namespaced = {kind: _is_namespaced(self._discovery, kind) for kind in kinds().values()}
        #: apiVersions met of each kind that servers still serve.
        self._current: dict[Kind, set[str]] = {kind: set() for kind in kinds().values()}
        pool: dict[str, str] = {}
        self._interned: Callable[[str], str] = lambda text: pool.setdefault(text, text)
        self._objects: dict[str, dict[Ref, Loaded]] = defaultdict(dict)
        self._others: dict[tuple[str, str], dict[Ref, Source]] = defaultdict(dict)
        self._rejected: dict[Ref, Source] = {}
        self._tallies: dict[str, _Tally] = defaultdict(_Tally)
        self._diagnostics: list[Diagnostic] = []
        self._forms: dict[str, None] = {}
        self._charts: set[str] = set()
        self._file = _File("<python>", FORMS[-1])
        self._last: Kind | None = None

    # -- input --------------------------------------------------------------------------------------------------

    def add_mapping(self, mapping: Mapping[str, Any]) -> None:
        """One object or a List, already parsed."""
        self._file = _File("<python>", FORMS[-1])
        try:
            text = msgspec.json.encode(mapping)
        except (TypeError, ValueError, msgspec.MsgspecError, RecursionError) as error:
            self._problem(Problem("GS-IN-020", f"a mapping that is no JSON: {error}", 1))
            return
        self._add_events(read_json(text, self.options.limits))

    def add_blob(self, blob: Blob) -> None:
        self._file = _File(blob.name, blob.form, self._hint(blob) if blob.form.by_name else None)
        self._forms.setdefault(f"{blob.form.id} {blob.form.title}")
        if blob.problem:
            self._problem(blob.problem)
            return
        self._add_events(self._read(blob))

    def _hint(self, blob: Blob) -> Resource | None:
        """The resource that a file name of a dump tells: `roles.rbac.authorization.k8s.io.json`, `pods.json`."""
        stem = blob.name.rpartition("/")[2].rpartition(".")[0].replace("-", "")
        found = [resource for resource in self._discovery.find(stem) if resource.kind]
        return found[0] if found else None

    def _read(self, blob: Blob) -> Iterator[Event]:
        if is_json(blob.name, blob.data):
            yield from read_json(blob.data, self.options.limits, self._decode_batch)
            return
        from graphsec.loading.yaml_reader import read_yaml

        text, problems = decode_text(blob.data)
        yield from problems
        if text is None:
            return
        if is_json(blob.name, text.encode()[:64]):
            yield from read_json(text.encode(), self.options.limits)
        else:
            yield from read_yaml(text, self.options.limits)

    def _add_events(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, Item):
                self._item(event)
            elif isinstance(event, Batch):
                self._batch(event)
            elif isinstance(event, Envelope):
                self._envelope(event)
            else:
                self._problem(event)
        self._waiting_items("")

    def _envelope(self, envelope: Envelope) -> None:
        kind = envelope.kind.removesuffix("List")
        self._waiting_items(kind, envelope.api_version)
        resource = self._file.hint
        if kind and (resource is None or not resource.kind):
            group = envelope.api_version.rpartition("/")[0]
            resource = self._discovery.of_kind(group, kind)
            name = _kind_name(group, kind)
        elif resource:
            name = _kind_name(resource.group, resource.kind)
        else:
            return
        tally = self._tallies[name]
        tally.listed = True
        tally.sources.setdefault(self._file.name)

    def _waiting_items(self, kind: str, api_version: str = "") -> None:
        waiting, self._file.waiting = self._file.waiting, []
        for item in waiting:
            self._object(item, kind, api_version)

    def _item(self, item: Item) -> None:
        if item.listed and not item.list_kind and self._file.hint is None and self._kindless(item):
            self._file.waiting.append(item)
        else:
            self._object(item, item.list_kind.removesuffix("List"))

    def _decode_batch(self, text: bytes) -> list[Any] | None:
        """Listings come sorted by kind: decode all as the kind before, None if one of them is of another kind."""
        kind = self._last
        if kind is None or (kind.has_rules and b"\n" in text):
            return None
        try:
            found = self._list_decoders[kind].decode(text)
        except (msgspec.ValidationError, UnicodeDecodeError):
            return None
        return found if all(_is_of(kind, decoded) for decoded in found) else None

    def _batch(self, batch: Batch) -> None:
        kind, file = self._last, self._file.name
        assert kind is not None, "a batch is decoded as the last kind"
        for decoded, line in zip(batch.objects, batch.lines, strict=True):
            self._keep(kind, decoded, b"", Source(file, line), ())

    def _kindless(self, item: Item) -> bool:
        if isinstance(item.body, bytes):
            return b'"kind"' not in item.body[:512] and not _decoded_head(item.body).kind
        return not item.body.get("kind")

    # -- one object ---------------------------------------------------------------------------------------------

    def _object(self, item: Item, list_kind: str, list_version: str = "") -> None:
        """Type one object; ``list_kind`` is the kind of its list without `List`, where the object itself has none."""
        source = Source(self._file.name, item.line, item.origin)
        lines: tuple[int, ...] = ()
        body = item.body
        if not isinstance(body, bytes):
            rules = body.get("rules")
            lines = tuple(rules.lines) if isinstance(rules, Lines) else ()
            body = msgspec.json.encode(body)
        if self._typed_as_last(body, source, lines):
            return
        try:
            head = _decoded_head(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self._report("GS-IN-020", _explained(error), source)
            return
        kind_name, api_version = head.kind or list_kind, head.api_version or list_version
        if not kind_name and self._file.hint:
            kind_name = self._file.hint.kind
            api_version = f"{self._file.hint.group}/v1".lstrip("/")
        if not isinstance(kind_name, str) or not isinstance(api_version, str) or not kind_name:
            self._no_object(head, source)
            return
        if kind_name.endswith("List") and head.metadata is not None and b'"items"' in body:
            self._nested_list(body, item)
            return
        group = api_version.rpartition("/")[0]
        kind = kinds().get((group, kind_name)) or (self._shape_of(kind_name) if not api_version else None)
        if kind is None:
            self._other(group, kind_name, head, source)
            return
        self._last = kind
        self._typed(kind, body, source, lines, head)

    def _shape_of(self, kind_name: str) -> Kind | None:
        """An item without apiVersion, in a list without any: the one decoded kind of that name."""
        return kinds().get((builtin_kind_groups().get(kind_name, ""), kind_name))

    def _nested_list(self, body: bytes, item: Item) -> None:
        for event in read_json(body, self.options.limits):
            self._add_events([event._replace(line=item.line + event.line - 1)])

    def _typed_as_last(self, body: bytes, source: Source, lines: tuple[int, ...]) -> bool:
        """Listings come sorted by kind: decode as the kind before, and check what came out."""
        kind = self._last
        if kind is None:
            return False
        try:
            decoded = self._decoders[kind].decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False
        if not _is_of(kind, decoded):
            return False
        self._keep(kind, decoded, body, source, lines)
        return True

    def _typed(self, kind: Kind, body: bytes, source: Source, lines: tuple[int, ...], head: _Head) -> None:
        try:
            decoded = self._decoders[kind].decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            name, namespace = _identity(head.metadata)
            self._reject(Ref(kind.kind, name or "?", namespace), source, _explained(error))
            return
        self._keep(kind, decoded, body, source, lines)

    def _keep(self, kind: Kind, decoded: Any, body: bytes, source: Source, lines: tuple[int, ...]) -> None:
        """Store a decoded object; ``body`` is its JSON where the lines of its rules may matter."""
        metadata: Metadata = decoded.metadata
        name = metadata.name or metadata.generate_name
        if not name:
            self._reject(Ref(kind.kind, "?", metadata.namespace), source, "metadata.name: missing")
            return
        ref = Ref(kind.kind, name, self._namespace(kind, metadata, name, source))
        if decoded.api_version not in self._current[kind]:
            self._report_version(kind, decoded.api_version, source, ref)
        read = self._readers[kind]
        if kind.has_rules:
            lines = lines or _rule_lines(decoded, body, source.line)
        if read:
            try:
                decoded = read(decoded)
            except msgspec.ValidationError as error:
                self._reject(ref, source, _explained(error))
                return
        objects = self._objects[kind.kind]
        if ref in objects:
            self._duplicate(ref, objects[ref].source, source)
        objects[ref] = Loaded(ref, source, decoded, lines)
        if kind.kind not in self._file.kinds:
            self._seen(kind.kind)

    def _report_version(self, kind: Kind, api_version: str, source: Source, ref: Ref) -> None:
        group, _, version = api_version.rpartition("/")
        if group in kind.old_groups or version in kind.old_versions:
            self._report("GS-IN-011", f"{api_version} is no longer served; read by the shape of its fields", source, ref)
        else:
            self._current[kind].add(api_version)

    def _namespace(self, kind: Kind, metadata: Metadata, name: str, source: Source) -> str | None:
        if not self._namespaced[kind]:
            return None
        if not metadata.namespace:
            message = f"no namespace; `{self.options.namespace}` is taken"
            self._report("GS-IN-012", message, source, Ref(kind.kind, name, self.options.namespace))
        return self._interned(metadata.namespace or self.options.namespace)

    def _duplicate(self, ref: Ref, first: Source, second: Source) -> None:
        self._report("GS-IN-022", f"stands twice: {first} and {second}; the last one counts", second, ref)

    def _other(self, group: str, kind: str, head: _Head, source: Source) -> None:
        """A kind that is not decoded: kept in the inventory by identity."""
        name, namespace = _identity(head.metadata)
        if not name:
            self._no_object(head, source)
            return
        if self._discovery.of_kind(group, kind) is None and (group, kind) not in self._others:
            self._report("GS-IN-010", f"`{_kind_name(group, kind)}` is not in the built-in table; kept in the inventory", source)
        ref = Ref(_kind_name(group, kind), name, namespace)
        others = self._others[(group, kind)]
        if ref in others:
            self._duplicate(ref, others[ref], source)
        others[ref] = source
        self._seen(ref.kind)

    def _no_object(self, head: _Head, source: Source) -> None:
        if head.kind in ("", None) and head.api_version in ("", None):
            self._report("GS-IN-003", "no kind and no apiVersion: not a Kubernetes object", source)
        else:
            self._report("GS-IN-003", f"`{head.kind or '?'}` without kind, apiVersion or metadata.name", source)

    def _reject(self, ref: Ref, source: Source, message: str) -> None:
        self._report("GS-IN-020", message, source, ref)
        self._rejected[ref] = source
        self._tallies[ref.kind].rejected += 1
        self._seen(ref.kind)

    # -- reports ------------------------------------------------------------------------------------------------

    def _seen(self, kind: str) -> None:
        if kind not in self._file.kinds:
            self._file.kinds.add(kind)
            self._tallies[kind].sources.setdefault(self._file.name)

    def _report(self, code: str, message: str, source: Source, ref: Ref | None = None) -> None:
        self._diagnostics.append(
            Diagnostic(code=code, message=message, source=source, object=str(ref or ""), hint=CODES[code].remedy)
        )

    def _problem(self, problem: Problem) -> None:
        if problem.code == "GS-IN-002":
            chart = self._file.name.partition("/templates/")[0]
            if chart in self._charts:
                return
            self._charts.add(chart)
        self._report(problem.code, problem.message, Source(self._file.name, problem.line))
        if problem.code in _PROBLEMS_OF_LOSS or CODES[problem.code].limit:
            self._lost(f"{problem.code} at {self._file.name}:{problem.line}")

    def _lost(self, reason: str) -> None:
        """Objects were lost in this file: every kind that it is known to hold is partial."""
        if self._file.hint and self._file.hint.kind:
            self._file.kinds.add(_kind_name(self._file.hint.group, self._file.hint.kind))
        for kind in self._file.kinds:
            self._tallies[kind].reasons.setdefault(reason)

    # -- output -------------------------------------------------------------------------------------------------

    def cluster(self) -> Cluster:
        objects = {
            kind: tuple(sorted(found.values(), key=lambda loaded: ref_order(loaded.ref)))
            for kind, found in sorted(self._objects.items())
        }
        custom = tuple(_custom_resource(loaded.body) for loaded in objects.get("CustomResourceDefinition", ()))
        others = dict(self._placed_others({(r.group, r.kind): r for r in custom}))
        counts = Counter({kind: len(found) for kind, found in objects.items()})
        counts.update(ref.kind for ref in others)
        return Cluster(
            objects=objects,
            others={**self._rejected, **others},
            custom_resources=custom,
            coverage=Coverage(
                (self._coverage(kind, counts[kind]) for kind in {*counts, *self._tallies}), tuple(self._forms)
            ),
            diagnostics=tuple(self._diagnostics),
        )

    def _placed_others(self, custom: Mapping[tuple[str, str], Resource]) -> Iterator[tuple[Ref, Source]]:
        for (group, kind), found in self._others.items():
            resource = self._discovery.of_kind(group, kind) or custom.get((group, kind))
            for ref, source in found.items():
                if resource and resource.namespaced and ref.namespace is None:
                    yield Ref(ref.kind, ref.name, self.options.namespace), source
                else:
                    yield ref, source

    def _coverage(self, kind: str, objects: int) -> KindCoverage:
        tally = self._tallies[kind]
        reasons = list(tally.reasons)
        if tally.rejected:
            reasons.append(f"{tally.rejected} rejected (GS-IN-020)")
        if reasons:
            state = State.PARTIAL
        elif tally.listed:
            state = State.COMPLETE if objects else State.EMPTY
        else:
            state = State.ASSUMED if objects else State.ABSENT
        return KindCoverage(
            kind=kind,
            objects=objects,
            rejected=tally.rejected,
            state=state,
            reasons=tuple(reasons),
            sources=tuple(tally.sources),
        )


def _decoded_head(body: bytes) -> _Head:
    return _head.decode(body)


def _identity(metadata: Any) -> tuple[str, str | None]:
    """Name and namespace from metadata of any shape."""
    if not isinstance(metadata, dict):
        return "", None
    name, namespace = metadata.get("name") or metadata.get("generateName"), metadata.get("namespace")
    return (name if isinstance(name, str) else ""), (namespace if isinstance(namespace, str) and namespace else None)


def _kind_name(group: str, kind: str) -> str:
    """The kind as refs spell it: with its group where the bare kind is not the built-in one."""
    if (group, kind) in kinds() or builtin_kind_groups().get(kind) == group or not group:
        return kind
    return f"{kind}.{group}"


def _explained(error: Exception) -> str:
    """`rules[0].verbs: expected array, got str` from msgspec's message."""
    match = _FIELD.match(str(error).replace("`, ", ", "))
    if match is None or not match["path"]:
        return str(error)
    what = match["what"].replace("`", "")
    return f"{match['path']}: {what[:1].lower()}{what[1:]}"


def _is_of(kind: Kind, decoded: Any) -> bool:
    if decoded.kind != kind.kind:
        return False
    group: str = decoded.api_version.rpartition("/")[0]
    return group == kind.group or group in kind.old_groups


def _is_namespaced(discovery: Discovery, kind: Kind) -> bool:
    resource = discovery.of_kind(kind.group, kind.kind)
    return resource is not None and resource.namespaced


def _rule_lines(role: WireRole, body: bytes, first: int) -> tuple[int, ...]:
    """Line of each rule in a body that begins at line ``first``; () where all stand on one line."""
    if b"\n" not in body:
        return ()
    lines, offset = [], 0
    for raw in role.rules or ():
        text = bytes(raw)
        offset = body.index(text, offset)
        lines.append(first + body.count(b"\n", 0, offset))
        offset += len(text)
    return tuple(lines)


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


def with_defaults(cluster: Cluster, defaults: Cluster) -> Cluster:
    """``cluster`` with the objects of ``defaults`` that it does not hold itself; those are no evidence of coverage."""
    objects = {
        kind: tuple(
            sorted(
                {loaded.ref: loaded for loaded in (*defaults.objects.get(kind, ()), *cluster.objects.get(kind, ()))}.values(),
                key=lambda loaded: ref_order(loaded.ref),
            )
        )
        for kind in sorted({*cluster.objects, *defaults.objects})
    }
    entries = [
        entry if entry.objects else replace(entry, objects=len(objects.get(entry.kind, ())), state=State.ASSUMED, reasons=("--with-defaults",))
        for entry in (cluster.coverage[kind] for kind in {*objects, *(e.kind for e in cluster.coverage)})
    ]
    return replace(
        cluster,
        objects=objects,
        coverage=Coverage(entries, (*cluster.coverage.forms, "--with-defaults")),
    )
