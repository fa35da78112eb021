"""Measure graphsec against its yardsticks in one run: ``python -m benchmarks.run [--quick] [--markdown]``."""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from benchmarks import peer
from benchmarks.cluster import secret_readers
from benchmarks.networks import LADDER, NETWORKS, SHAPES
from benchmarks.probe import SNAPSHOT, File, Sample

_ROOT = Path(__file__).parent.parent
#: Probes that are a process from its start to its end.
_ASK, _DECODE, _REACH, _PEER = "who can read secrets", "decode, process", "graphsec reach", "nca"
# No folder below this one: tests read every Python file of the project.
_PEER_FOLDER = _ROOT / ".venv-nca"
_DECODE_SCRIPT = "import gc, sys, msgspec; gc.disable(); msgspec.json.decode(open(sys.argv[1], 'rb').read())"


class Quantity(NamedTuple):
    """One field of what a probe reports about a file."""

    probe: str
    file: File
    field: Literal["seconds", "memory", "size"] = "seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """``measured / yardstick`` is to be at most ``goal``, ``measured`` itself at most ``limit``."""

    title: str
    measured: Quantity
    yardstick: Quantity | None = None
    goal: float | None = None
    limit: float | None = None

    @property
    def quantities(self) -> list[Quantity]:
        return [self.measured, *([self.yardstick] if self.yardstick else [])]


def _access_rows(*, quick: bool) -> Iterator[Row]:
    sizes = ("1MB", "39MB") if quick else ("1MB", "39MB", "100MB", "585MB")
    small, full = ("4MB", "39MB") if quick else ("58MB", "585MB")
    indented, text = File("4MB" if quick else "39MB", "json"), File("4MB" if quick else "10MB", "yaml")
    for size in sizes:
        yield _load_row(size, File(size))
    yield _load_row(f"{indented.scenario} indented", indented)
    yield _load_row("50,000 bindings", File("large"))
    for loader, goal in (("CSafeLoader", 1 / 5), ("CSafeLoader without GC", None)):
        yield Row(title=f"load YAML / {loader}", measured=_load(text), yardstick=Quantity(loader, text), goal=goal)
    yield Row(title="compile, 50,000 bindings", measured=Quantity("compile", File("large")), limit=0.3)
    yield Row(title="who-can, warm, 50,000 bindings", measured=Quantity("who-can", File("large")), limit=0.0005)
    yield Row(title="who-can, new request, all rows read", measured=Quantity("who-can, new", File("large")))
    for size in sizes[1:]:
        memory, input_size = (Quantity("load", File(size), field) for field in ("memory", "size"))
        yield Row(title=f"peak memory / input, {size}", measured=memory, yardstick=input_size, goal=1)
    yield Row(title=f"growth, {small} to {full}", measured=_load(File(full)), yardstick=_load(File(small)), goal=11)
    for size in sizes if quick else ("1MB", "100MB", "585MB"):
        ask, decode = Quantity(_ASK, File(size)), Quantity(_DECODE, File(size))
        yield Row(title=f"`{_ASK}` / decode, {size}", measured=ask, yardstick=decode)


def _snapshot_rows(*, quick: bool) -> Iterator[Row]:
    """From the largest cluster: a snapshot beside the input that it was made of."""
    size = "39MB" if quick else "585MB"
    stored, file = File(size, SNAPSHOT), File(size)
    yield Row(title=f"reopen snapshot / load, {size}", measured=_load(stored), yardstick=_load(file), limit=0.5)
    ask = Quantity(_ASK, stored)
    title = f"`{_ASK}` from snapshot / from input, {size}"
    yield Row(title=title, measured=ask, yardstick=Quantity(_ASK, file), limit=0.8)
    yield Row(title=f"write snapshot / load, {size}", measured=Quantity("write snapshot", file), yardstick=_load(file))
    sizes = (Quantity("load", asked, "size") for asked in (stored, file))
    yield Row(title=f"size of snapshot / input, {size}", measured=next(sizes), yardstick=next(sizes))


#: Goals for all pairs: seconds, and bytes that are added after loading.
_ALL_PAIRS = {"G1": (2, 300e6), "1M": (6, None), **dict.fromkeys(("G2", "G3", "blocks", "admin", "hubs"), (5, 500e6))}
_WHO_REACHES = 0.005
#: Four times the namespaces, and a tenth for the logarithms; the map of hubs itself grows with their square.
_GROWTH = dict.fromkeys(("G1", "G2", "G3", "blocks", "admin"), 4.4)


def _flow_rows(*, quick: bool) -> Iterator[Row]:
    for name in ("chain-20",) if quick else SHAPES:
        file, (seconds, memory) = File(name), _ALL_PAIRS.get(name, (None, None))
        fold = NETWORKS[name].planted().fold
        yield Row(title=f"load / decode, {name}", measured=_load(file), yardstick=Quantity("decode", file))
        loop = Quantity("loop", file)
        yield Row(title=f"all pairs / loop, {name}", measured=Quantity("flows", file), yardstick=loop, limit=seconds)
        yield Row(title=f"all pairs, memory, {name}", measured=Quantity("flows", file, "memory"), limit=memory)
        asked = Quantity("who reaches", file)
        yield Row(title=f"who reaches a class, warm, {name}", measured=asked, limit=_WHO_REACHES)
        if name != "1M":
            asked = Quantity("who reaches, pod", file)
            yield Row(title=f"who reaches a pod, all rows, {name}", measured=asked, limit=_WHO_REACHES)
            yield Row(title=f"who reaches, cold, {name}", measured=Quantity("who reaches, cold", file))
        yield Row(title=f"whole map by {fold}, {name}", measured=Quantity("map", file))
        if name in _GROWTH and not quick:
            half, double = (Quantity("flows", File(f"{name}-{size}")) for size in ("half", "double"))
            goal = _GROWTH[name]
            yield Row(title=f"growth, {name} half to double", measured=double, yardstick=half, goal=goal)
    if not quick:
        half, full = (Quantity("flows", File(name)) for name in ("1M-half", "1M"))
        yield Row(title="growth, 1M half to whole", measured=full, yardstick=half, goal=2.2)


def _attack_rows(*, quick: bool) -> Iterator[Row]:
    """50,000 bindings and 150,000 pods, and half of that."""
    small, full = ("attacks-small", "attacks-small") if quick else ("attacks-half", "attacks")
    file, loop = File(full), Quantity("loop", File(full))
    graph = Quantity("attack graph", file)
    yield Row(title=f"attack graph / loop, {full}", measured=graph, yardstick=loop)
    yield Row(title=f"attack graph, memory, {full}", measured=Quantity("attack graph", file, "memory"))
    sinks = Quantity("all subjects to all sinks", file)
    yield Row(title=f"all subjects to all sinks / loop, {full}", measured=sinks, yardstick=loop, limit=2)
    yield Row(title=f"path with evidence, warm, {full}", measured=Quantity("path with evidence", file), limit=0.05)
    if not quick:
        half = Quantity("attack graph", File(small))
        yield Row(title="growth, attack graph, half to whole", measured=graph, yardstick=half, goal=2.2)


#: 50 MB each second, of a log of 100 MB.
_READ_IN = {"audit": 2.0, "audit-small": 0.2}


def _audit_rows(*, quick: bool) -> Iterator[Row]:
    """Lines, and the same events in one list."""
    name = "audit-small" if quick else "audit"
    lines, listed = File(name, "lines"), File(name, "compact")
    yardstick, seconds = Quantity("decode lines", lines), _READ_IN[name]
    yield Row(
        title="audit log, lines / decode", measured=Quantity("audit log", lines), yardstick=yardstick, limit=seconds
    )
    yield Row(
        title="audit log, list / decode", measured=Quantity("audit log", listed), yardstick=yardstick, limit=seconds
    )
    memory, size = (Quantity("audit log", lines, field) for field in ("memory", "size"))
    yield Row(title="audit log, peak memory / input", measured=memory, yardstick=size)


def _peer_rows() -> Iterator[Row]:
    """Beside another tool, on the largest chain that it finishes in time."""
    command = peer.installed(_PEER_FOLDER)
    found = peer.largest(command, _ladder()) if command else None
    if not found:
        why = "cannot be installed" if command is None else "answers none in time"
        yield Row(title=f"nca: {why}; `{_REACH}` alone", measured=Quantity(_REACH, File(f"chain-{LADDER[0]}")))
        return
    file = next(file for file in map(File, NETWORKS) if file.path == found)
    theirs = Quantity(_PEER, file)
    count = f"{_pods(file.scenario):,} pods"
    yield Row(
        title=f"nca: `{_REACH}` / `nca`, {count}", measured=Quantity(_REACH, file), yardstick=theirs, goal=1 / 200
    )
    answer = Quantity("load and map", file)
    yield Row(title=f"nca: load and map / `nca`, {count}", measured=answer, yardstick=theirs, goal=1 / 200)


def _ladder() -> Iterator[Path]:
    for count in LADDER:
        file = File(f"chain-{count}")
        _generate(file)
        print(f"{_PEER}: {file.scenario}", file=sys.stderr)
        yield file.path


def _pods(name: str) -> int:
    network = NETWORKS[name]
    return network.namespaces * network.deployments * network.replicas


def _load(file: File) -> Quantity:
    return Quantity("load", file)


def _load_row(title: str, file: File) -> Row:
    return Row(title=f"load / decode, {title}", measured=_load(file), yardstick=Quantity("decode", file), goal=1)


# -- sampling ------------------------------------------------------------------------------------------------------

Run = tuple[str, File]
Samples = dict[Run, list[Sample]]


def _sample_all(rows: Sequence[Row], *, rounds: int) -> Samples:
    """Every run once per round, so that a drift of the machine meets yardstick and measured alike."""
    runs: Samples = {(quantity.probe, quantity.file): [] for row in rows for quantity in row.quantities}
    for file in dict.fromkeys(file for _, asked in runs for file in (asked.warm_up, asked)):
        _generate(file)
    for _ in range(rounds):
        for (probe, file), samples in runs.items():
            print(f"{probe}: {file.scenario} {file.form}", file=sys.stderr)
            samples.append(_sample(probe, file))
    return runs


def _generate(file: File) -> None:
    """In a process of its own: the peak of this one would be that of every process it starts."""
    if file.form == SNAPSHOT:
        _take(File(file.scenario), file)
        return
    sources = max(source.stat().st_mtime for source in Path(__file__).parent.glob("*.py"))
    if not file.path.exists() or file.path.stat().st_mtime < sources:
        options = ["--scenario", file.scenario, "--form", file.form, "--out", str(file.path)]
        subprocess.run([sys.executable, "-m", "benchmarks.generate", *options], check=True, cwd=_ROOT)


def _take(source: File, file: File) -> None:
    """Of the present code, since a snapshot is no other's."""
    _generate(source)
    times = [path.stat().st_mtime for path in (source.path, *(_ROOT / "graphsec").glob("**/*.py"))]
    if not file.path.exists() or file.path.stat().st_mtime < max(times):
        options = ["snapshot", "-q", "-f", str(source.path), "--out", f"gsx={file.path}"]
        subprocess.run([sys.executable, "-m", "graphsec", *options], check=True, cwd=_ROOT)


def _sample(probe: str, file: File) -> Sample:
    if probe == _ASK:
        return _ask(file)
    if probe == _PEER:
        return Sample(seconds=_reply(file).seconds, memory=0, size=file.path.stat().st_size)
    if probe == _REACH:
        return _reach(file)
    if probe == _DECODE:
        return _whole_process(["-c", _DECODE_SCRIPT, str(file.path)], file)[0]
    command = [sys.executable, "-m", "benchmarks.probe", probe, file.scenario, file.form]
    output = subprocess.run(command, check=True, cwd=_ROOT, stdout=subprocess.PIPE).stdout
    return msgspec.json.decode(output, type=Sample)


def _ask(file: File) -> Sample:
    sample, answer = _whole_process(["-m", "graphsec", *_ASK.split(), "-f", str(file.path)], file)
    planted = {subject.name for subject in secret_readers(file.shape).anywhere}
    # What every cluster has is left out of this answer, and counted there.
    unsaid = sorted(name for name in planted if name not in answer and not name.startswith("system:"))
    if unsaid:
        raise AssertionError(f"{_ASK} on {file.path.name} leaves out {unsaid[:5]}")
    return sample


def _reply(file: File) -> peer.Reply:
    command = peer.installed(_PEER_FOLDER)
    reply = peer.ask(command, file.path) if command else None
    assert reply
    return reply


def _reach(file: File) -> Sample:
    sample, answer = _whole_process(["-m", *_REACH.split(), "-f", str(file.path), "-o", "connlist"], file)
    if peer.installed(_PEER_FOLDER):
        peer.compare(_reply(file).text, answer)
    return sample


def _whole_process(arguments: list[str], file: File) -> tuple[Sample, str]:
    with tempfile.TemporaryFile() as out:
        start = time.perf_counter()
        process = subprocess.Popen([sys.executable, *arguments], cwd=_ROOT, stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, arguments)
        out.seek(0)
        answer = out.read().decode()
    return Sample(seconds=seconds, memory=usage.ru_maxrss * 1024, size=file.path.stat().st_size), answer


# -- the table -----------------------------------------------------------------------------------------------------

_HEAD = ("figure", "measured", "yardstick", "ratio", "goal", "met")


def _table(rows: Sequence[Row], samples: Samples) -> list[tuple[str, ...]]:
    return [_HEAD, *(_cells(row, samples) for row in rows)]


def _cells(row: Row, samples: Samples) -> tuple[str, ...]:
    measured, field = _values(row.measured, samples), row.measured.field
    result = statistics.median(measured)
    cells = (row.title, _format(result, field))
    limit = _verdict(_format(row.limit, field), met=result <= row.limit) if row.limit else ("", "")
    if row.yardstick is None:
        return (*cells, "", "", *limit)
    yardstick = _values(row.yardstick, samples)
    # The median of the rounds' ratios, not the ratio of medians: each round compares neighbours in time.
    ratio = statistics.median(mine / theirs for mine, theirs in zip(measured, yardstick, strict=True))
    goal = _verdict(_short(row.goal, "g"), met=ratio <= row.goal) if row.goal else limit
    return (*cells, _format(statistics.median(yardstick), row.yardstick.field), _short(ratio, ".2f"), *goal)


def _values(quantity: Quantity, samples: Samples) -> list[float]:
    return [getattr(sample, quantity.field) for sample in samples[quantity.probe, quantity.file]]


def _verdict(goal: str, *, met: bool) -> tuple[str, str]:
    return f"≤ {goal}", "yes" if met else "no"


def _short(ratio: float, form: str) -> str:
    return format(ratio, form) if ratio >= 0.01 else f"1/{1 / ratio:.0f}"


def _format(value: float, field: str) -> str:
    if field != "seconds":
        return f"{value / 1e6:.1f} MB"
    return f"{value:.2f} s" if value >= 0.1 else f"{value * 1e3:.3g} ms"


def _lines(table: list[tuple[str, ...]], *, markdown: bool) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for number, cells in enumerate(table):
        padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
        yield f"| {' | '.join(padded)} |" if markdown else "  ".join(padded).rstrip()
        if markdown and not number:
            yield f"|{'|'.join('-' * (width + 2) for width in widths)}|"


def _tables(*, quick: bool, only: str) -> Iterator[tuple[str, list[Row]]]:
    for caption, rows in (
        ("Loading and access", _access_rows),
        ("Snapshots", _snapshot_rows),
        ("Flows", _flow_rows),
        ("Attack paths", _attack_rows),
        ("Audit logs", _audit_rows),
    ):
        yield caption, [row for row in rows(quick=quick) if only in row.title]
    # Asked for by name or with everything: to find its largest input takes minutes.
    if not quick and only in ("", _PEER):
        yield "Beside network-config-analyzer", list(_peer_rows())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small files, one round, less than a minute")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--only", default="", metavar="WORD", help="rows whose title contains the word")
    parser.add_argument("--rounds", type=int)
    given = parser.parse_args()
    rounds = given.rounds or (1 if given.quick else 3)
    for caption, rows in _tables(quick=given.quick, only=given.only):
        if rows:
            table = _table(rows, _sample_all(rows, rounds=rounds))
            print(f"{caption}:\n\n" + "\n".join(_lines(table, markdown=given.markdown)) + "\n", flush=True)
    print(f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores, rounds: {rounds}")


if __name__ == "__main__":
    main()
