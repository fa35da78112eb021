"""One measurement in a process of its own: ``python -m benchmarks.probe PROBE SCENARIO FORM`` prints a sample."""

from __future__ import annotations

import gc
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from benchmarks.attacks import ATTACK_PROBES
from benchmarks.audit import AUDIT_LOGS, AUDIT_PROBES
from benchmarks.cluster import SCENARIOS, Shape, Subject, namespaces, objects, secret_readers
from benchmarks.flows import FLOW_PROBES, Calls
from benchmarks.networks import NETWORKS

if TYPE_CHECKING:
    import graphsec as gs

READ = ("get", "list", "watch")
_DATA = Path(__file__).parent / ".data"
_MASTERS = Subject("Group", "system:masters")
_QUESTIONS = 200
_STATUS, _FORGET_PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")


#: The form that is no output of the generator but a snapshot of one.
SNAPSHOT = "gsx"
_SUFFIXES = {"yaml": "yaml", SNAPSHOT: "gsx"}


class File(msgspec.Struct, frozen=True):
    """A scenario written in one form."""

    scenario: str
    form: str = "compact"

    @property
    def path(self) -> Path:
        return _DATA / f"{self.scenario}-{self.form}.{_SUFFIXES.get(self.form, 'json')}"

    @property
    def warm_up(self) -> File:
        return File("tiny", self.form)

    @property
    def shape(self) -> Shape:
        return SCENARIOS[self.scenario]


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    seconds: float
    #: Peak resident bytes above those before the timed call, at most. Pages of a mapped file count until they are released.
    memory: float
    #: Bytes of the input.
    size: float


def measure(probe: str, file: File) -> Sample:
    """The median of the probe's timed calls, and what they took at their peak."""
    seconds: list[float] = []
    grown: list[int] = []
    for call in _calls(probe, file):
        before = _resident()
        seconds.append(_seconds(call))
        # Read before the probe goes on, which may then check the answer.
        grown.append(_peak() - before)
    return Sample(seconds=statistics.median(seconds), memory=max(grown), size=file.path.stat().st_size)


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    # Held until the clock is read: freeing a result is no part of making it.
    result = call()
    seconds = time.perf_counter() - start
    del result
    return seconds


def _calls(probe: str, file: File) -> Calls:
    if probe in AUDIT_PROBES:
        return AUDIT_PROBES[probe](file.path, file.scenario)
    if probe in ATTACK_PROBES:
        return ATTACK_PROBES[probe](file.path)
    if probe in FLOW_PROBES:
        return FLOW_PROBES[probe](file.path, NETWORKS[file.scenario])
    return PROBES[probe](file)


def _resident() -> int:
    """Resident bytes now; where the kernel lets a process do so, its peak starts again from them."""
    if not _STATUS.exists():
        return _peak()
    _FORGET_PEAK.write_text("5")
    return _status("VmRSS")


def _peak() -> int:
    if not _STATUS.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return _status("VmHWM")


def _status(field: str) -> int:
    lines = _STATUS.read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


# -- probes: each prepares, imports included, and returns the calls to time ---------------------------------------


def _loop(file: File) -> Calls:
    """The yardstick for computing: a fixed amount of what the flows are made of, sorted arrays and looked-up sets."""
    import numpy as np

    rng = np.random.default_rng(1)
    numbers = rng.integers(0, 1 << 40, 1_000_000)
    return iter([partial(_fixed_work, numbers)])


def _fixed_work(numbers: Any) -> int:
    import numpy as np

    distinct, back = np.unique(numbers % 300_000, return_inverse=True)
    places = np.searchsorted(distinct, numbers % 600_000)
    known: dict[tuple[int, int], list[int]] = {}
    for number, place in zip(back[:300_000].tolist(), places[:300_000].tolist(), strict=True):
        known.setdefault((number & 4095, place & 15), []).append(number)
    return sum(map(len, known.values()))


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


def _write_snapshot(file: File) -> Calls:
    import graphsec as gs

    world = gs.load(str(file.path))
    with tempfile.TemporaryDirectory() as folder:
        yield partial(gs.snapshot, world, Path(folder) / "world.gsx")


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
    "loop": _loop,
    "decode": _decode,
    "CSafeLoader": _csafeloader,
    "CSafeLoader without GC": _csafeloader_without_gc,
    "load": _load,
    "write snapshot": _write_snapshot,
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
        write(objects(shape), path, form=form)
        check(gs.load(str(path)), shape)


def smoke_audit_log(folder: Path) -> None:
    """The same for audit logs: written as lines and as one list, read, and every event as planted."""
    from benchmarks import audit
    from benchmarks.generate import scenario_objects, write
    from graphsec.loading import Limits, read_audit_logs

    [name] = (name for name in AUDIT_LOGS if name.endswith("tiny"))
    for form in ("lines", "compact", "json"):
        path = folder / f"audit-{form}.json"
        write(scenario_objects(name), path, form=form)
        audit.check(read_audit_logs([str(path)], Limits()), name)


def smoke_network(name: str, folder: Path) -> None:
    """The same for the flows of a network: written, loaded, and every flow and single answer as planted."""
    import graphsec as gs
    from benchmarks import flows
    from benchmarks.generate import scenario_objects, write

    path = folder / f"{name}.json"
    write(scenario_objects(name), path, form="compact")
    flows.check(gs.load(str(path)), NETWORKS[name].planted())


if __name__ == "__main__":
    _, probe_name, scenario, form_name = sys.argv
    sys.stdout.buffer.write(msgspec.json.encode(measure(probe_name, File(scenario, form_name))))
