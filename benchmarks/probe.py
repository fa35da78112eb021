"""One measurement in a process of its own: ``python -m benchmarks.probe PROBE SCENARIO FORM`` prints a sample."""

from __future__ import annotations

import gc
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from benchmarks.cluster import SCENARIOS, Shape, Subject, namespaces, secret_readers

if TYPE_CHECKING:
    import graphsec as gs

READ = ("get", "list", "watch")
_DATA = Path(__file__).parent / ".data"
_MASTERS = Subject("Group", "system:masters")
_QUESTIONS = 200


class File(msgspec.Struct, frozen=True):
    """A scenario written in one form."""

    scenario: str
    form: str = "compact"

    @property
    def path(self) -> Path:
        return _DATA / f"{self.scenario}-{self.form}.{'yaml' if self.form == 'yaml' else 'json'}"

    @property
    def warm_up(self) -> File:
        return File("tiny", self.form)

    @property
    def shape(self) -> Shape:
        return SCENARIOS[self.scenario]


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    seconds: float
    #: Peak resident bytes above those before the timed call. Pages of a mapped file count until they are released.
    memory: float
    #: Bytes of the input.
    size: float


def measure(probe: str, file: File) -> Sample:
    """The median of the probe's timed calls, and what they took at their peak."""
    calls = PROBES[probe](file)
    before = _peak()
    seconds = statistics.median(map(_seconds, calls))
    return Sample(seconds=seconds, memory=_peak() - before, size=file.path.stat().st_size)


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    # Held until the clock is read: freeing a result is no part of making it.
    result = call()
    seconds = time.perf_counter() - start
    del result
    return seconds


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# -- probes: each prepares, imports included, and returns the calls to time ---------------------------------------

Calls = Iterator[Callable[[], object]]


def _decode(file: File) -> Calls:
    """The yardstick for JSON at its best: collector off, reading the file not counted."""
    data = file.path.read_bytes()
    gc.disable()
    return iter([partial(msgspec.json.decode, data)])


def _csafeloader(file: File) -> Calls:
    import yaml

    data = file.path.read_bytes()
    return iter([partial(yaml.load, data, yaml.CSafeLoader)])


def _csafeloader_without_gc(file: File) -> Calls:
    gc.disable()
    return _csafeloader(file)


def _load(file: File) -> Calls:
    """Warm: what a process pays once, lazy imports and tables, is in the rows of whole processes."""
    import graphsec as gs

    gs.load(str(file.warm_up.path))
    return iter([partial(gs.load, str(file.path))])


def _compile(file: File) -> Calls:
    from graphsec.compile import compile_world
    from graphsec.loading import load_cluster

    return iter([partial(compile_world, load_cluster([str(file.path)]))])


def _who_can(file: File) -> Calls:
    """To a world that has answered before, each time about a namespace that nobody has asked about yet."""
    import graphsec as gs

    world = gs.load(str(file.path))
    check(world, file.shape)
    return iter(
        [partial(gs.who_can, world, READ, "secrets", namespace=name) for name in namespaces(file.shape)[:_QUESTIONS]]
    )


def _who_can_new(file: File) -> Calls:
    """The same with a verb and a resource that nobody has asked about yet, and every row of the answer read."""
    import graphsec as gs

    world = gs.load(str(file.path))
    check(world, file.shape)
    verbs = ("get", "list", "create", "update", "delete")
    resources = ("pods", "configmaps", "services", "serviceaccounts", "events", "endpoints", "secrets", "nodes")
    return iter([partial(_read_all, world, verb, resource) for verb in verbs for resource in resources])


def _read_all(world: gs.World, verb: str, resource: str) -> int:
    import graphsec as gs

    return sum(len(item.because) for item in gs.who_can(world, verb, resource))


PROBES: dict[str, Callable[[File], Calls]] = {
    "decode": _decode,
    "CSafeLoader": _csafeloader,
    "CSafeLoader without GC": _csafeloader_without_gc,
    "load": _load,
    "compile": _compile,
    "who-can": _who_can,
    "who-can, new": _who_can_new,
}


# -- answers -------------------------------------------------------------------------------------------------------


def check(world: gs.World, shape: Shape) -> None:
    """Fail unless the world answers as its cluster was made to: a fast wrong answer is no result."""
    import graphsec as gs

    planted = secret_readers(shape)
    _compare(gs.who_can(world, READ, "secrets"), planted.cluster | {_MASTERS})
    _compare(gs.who_can(world, READ, "secrets", any_namespace=True), planted.anywhere | {_MASTERS})


def _compare(answer: Any, expected: frozenset[Subject]) -> None:
    found = {Subject(item.subject.kind, item.subject.name, item.subject.namespace or "") for item in answer}
    if found != expected:
        raise AssertionError(f"missing {sorted(expected - found)[:5]}, not planted {sorted(found - expected)[:5]}")


def smoke(folder: Path) -> None:
    """The whole way on a tiny cluster, for the test suite: every form written, loaded and answered as planted."""
    import graphsec as gs
    from benchmarks.generate import FORMS, write

    shape = SCENARIOS["tiny"]
    for form in FORMS:
        path = folder / f"{form}.{'yaml' if form == 'yaml' else 'json'}"
        write(shape, path, form=form)
        check(gs.load(str(path)), shape)


if __name__ == "__main__":
    _, probe_name, scenario, form_name = sys.argv
    sys.stdout.buffer.write(msgspec.json.encode(measure(probe_name, File(scenario, form_name))))
