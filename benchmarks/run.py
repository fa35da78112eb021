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

from benchmarks.cluster import secret_readers
from benchmarks.probe import File, Sample

_ROOT = Path(__file__).parent.parent
#: Probes that are a process from its start to its end.
_ASK, _DECODE = "who can read secrets", "decode, process"
_DECODE_SCRIPT = "import gc, sys, msgspec; gc.disable(); msgspec.json.decode(open(sys.argv[1], 'rb').read())"


class Quantity(NamedTuple):
    """One field of what a probe reports about a file."""

    probe: str
    file: File
    field: Literal["seconds", "memory", "size"] = "seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """``measured / yardstick`` is to be at most ``goal``; without a yardstick ``measured`` itself, in seconds."""

    title: str
    measured: Quantity
    yardstick: Quantity | None = None
    goal: float | None = None

    @property
    def quantities(self) -> list[Quantity]:
        return [self.measured, *([self.yardstick] if self.yardstick else [])]


def _rows(*, quick: bool) -> Iterator[Row]:
    sizes = ("1MB", "39MB") if quick else ("1MB", "39MB", "100MB", "585MB")
    small, full = ("4MB", "39MB") if quick else ("58MB", "585MB")
    indented, text = File("4MB" if quick else "39MB", "json"), File("4MB" if quick else "10MB", "yaml")
    for size in sizes:
        yield _load_row(size, File(size))
    yield _load_row(f"{indented.scenario} indented", indented)
    yield _load_row("50,000 bindings", File("large"))
    for loader, goal in (("CSafeLoader", 1 / 5), ("CSafeLoader without GC", None)):
        yield Row(title=f"load YAML / {loader}", measured=_load(text), yardstick=Quantity(loader, text), goal=goal)
    yield Row(title="compile, 50,000 bindings", measured=Quantity("compile", File("large")), goal=0.3)
    yield Row(title="who-can, warm, 50,000 bindings", measured=Quantity("who-can", File("large")), goal=0.0005)
    yield Row(title="who-can, new request, all rows read", measured=Quantity("who-can, new", File("large")))
    for size in sizes[1:]:
        memory, input_size = (Quantity("load", File(size), field) for field in ("memory", "size"))
        yield Row(title=f"peak memory / input, {size}", measured=memory, yardstick=input_size, goal=1)
    yield Row(title=f"growth, {small} to {full}", measured=_load(File(full)), yardstick=_load(File(small)), goal=11)
    for size in sizes if quick else ("1MB", "100MB", "585MB"):
        ask, decode = Quantity(_ASK, File(size)), Quantity(_DECODE, File(size))
        yield Row(title=f"`{_ASK}` / decode, {size}", measured=ask, yardstick=decode)


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
    sources = max(source.stat().st_mtime for source in Path(__file__).parent.glob("*.py"))
    if not file.path.exists() or file.path.stat().st_mtime < sources:
        options = ["--scenario", file.scenario, "--form", file.form, "--out", str(file.path)]
        subprocess.run([sys.executable, "-m", "benchmarks.generate", *options], check=True, cwd=_ROOT)


def _sample(probe: str, file: File) -> Sample:
    if probe == _ASK:
        return _ask(file)
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
    measured = _values(row.measured, samples)
    if row.yardstick is None:
        result = statistics.median(measured)
        return (row.title, _format(result, "seconds"), "", "", *_verdict(result, row.goal, "seconds"))
    yardstick = _values(row.yardstick, samples)
    # The median of the rounds' ratios, not the ratio of medians: each round compares neighbours in time.
    ratio = statistics.median(mine / theirs for mine, theirs in zip(measured, yardstick, strict=True))
    return (
        row.title,
        _format(statistics.median(measured), row.measured.field),
        _format(statistics.median(yardstick), row.yardstick.field),
        f"{ratio:.2f}",
        *_verdict(ratio, row.goal, ""),
    )


def _values(quantity: Quantity, samples: Samples) -> list[float]:
    return [getattr(sample, quantity.field) for sample in samples[quantity.probe, quantity.file]]


def _verdict(result: float, goal: float | None, field: str) -> tuple[str, str]:
    if goal is None:
        return "", ""
    return f"≤ {_format(goal, field) if field else f'{goal:g}'}", "yes" if result <= goal else "no"


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small files, one round, less than a minute")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--only", default="", metavar="WORD", help="rows whose title contains the word")
    parser.add_argument("--rounds", type=int)
    given = parser.parse_args()
    rounds = given.rounds or (1 if given.quick else 3)
    rows = [row for row in _rows(quick=given.quick) if given.only in row.title]
    table = _table(rows, _sample_all(rows, rounds=rounds))
    print("\n".join(_lines(table, markdown=given.markdown)))
    print(f"\n{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores, rounds: {rounds}")


if __name__ == "__main__":
    main()
