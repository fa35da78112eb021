"""Write a generated cluster to a file: ``python -m benchmarks.generate --scenario 39MB --out FILE``."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

from benchmarks.audit import AUDIT_LOGS, audit_events
from benchmarks.cluster import SCENARIOS, Shape, objects
from benchmarks.manifests import Object
from benchmarks.networks import NETWORKS

FORMS = ("json", "compact", "yaml", "lines")


def scenario_objects(name: str) -> Iterator[Object]:
    """Every object of a named cluster or network, every event of a named audit log."""
    if name in AUDIT_LOGS:
        return audit_events(name)
    return NETWORKS[name].objects() if name in NETWORKS else objects(SCENARIOS[name])


def write(items: Iterable[Object], path: Path, *, form: str = "json") -> None:
    """Write the objects as one List, one by one, in keys' order as kubectl does."""
    write_form = {"json": _json, "compact": _compact, "yaml": _yaml, "lines": _lines}[form]
    path.parent.mkdir(parents=True, exist_ok=True)
    # A file is there only when it is whole: an interrupted run must not leave one to be measured.
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.writelines(write_form(items))
    part.replace(path)


def _json(items: Iterable[Object]) -> Iterator[bytes]:
    yield b'{\n    "apiVersion": "v1",\n    "items": [\n        '
    for number, item in enumerate(items):
        text = msgspec.json.format(msgspec.json.encode(item, order="sorted"), indent=4)
        yield (b",\n        " if number else b"") + text.replace(b"\n", b"\n        ")
    yield b'\n    ],\n    "kind": "List",\n    "metadata": {\n        "resourceVersion": ""\n    }\n}\n'


def _compact(items: Iterable[Object]) -> Iterator[bytes]:
    yield b'{"apiVersion":"v1","items":['
    for number, item in enumerate(items):
        yield (b"," if number else b"") + msgspec.json.encode(item, order="sorted")
    yield b'],"kind":"List","metadata":{"resourceVersion":""}}\n'


def _lines(items: Iterable[Object]) -> Iterator[bytes]:
    return (msgspec.json.encode(item) + b"\n" for item in items)


class _Dumper(yaml.CSafeDumper):
    """kubectl writes no anchors, even where one value stands twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _yaml(items: Iterable[Object]) -> Iterator[bytes]:
    yield b"apiVersion: v1\nitems:\n"
    for item in items:
        yield yaml.dump([item], Dumper=_Dumper, encoding="utf-8", width=1 << 20)
    yield b'kind: List\nmetadata:\n  resourceVersion: ""\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--scenario", choices=[*SCENARIOS, *NETWORKS, *AUDIT_LOGS], help="a named shape instead of counts"
    )
    parser.add_argument("--bindings", type=int, default=1_500)
    parser.add_argument("--pods", type=int, default=1_000)
    parser.add_argument("--namespaces", type=int, default=100)
    parser.add_argument("--policies", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--form", choices=FORMS, default="json")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    shape = Shape.of(
        namespaces=given.namespaces,
        bindings=given.bindings,
        pods=given.pods,
        policies=given.policies,
        seed=given.seed,
    )
    items = scenario_objects(given.scenario) if given.scenario else objects(shape)
    write(items, given.out, form=given.form)


if __name__ == "__main__":
    main()
