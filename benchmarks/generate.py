"""Write a generated cluster to a file: ``python -m benchmarks.generate --scenario 39MB --out FILE``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

from benchmarks.cluster import SCENARIOS, Shape, objects

FORMS = ("json", "compact", "yaml")


def write(shape: Shape, path: Path, *, form: str = "json") -> None:
    """Write the cluster as one List, object by object, in keys' order as kubectl does."""
    write_form = {"json": _json, "compact": _compact, "yaml": _yaml}[form]
    path.parent.mkdir(parents=True, exist_ok=True)
    # A file is there only when it is whole: an interrupted run must not leave one to be measured.
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.writelines(write_form(shape))
    part.replace(path)


def _json(shape: Shape) -> Iterator[bytes]:
    yield b'{\n    "apiVersion": "v1",\n    "items": [\n        '
    for number, item in enumerate(objects(shape)):
        text = msgspec.json.format(msgspec.json.encode(item, order="sorted"), indent=4)
        yield (b",\n        " if number else b"") + text.replace(b"\n", b"\n        ")
    yield b'\n    ],\n    "kind": "List",\n    "metadata": {\n        "resourceVersion": ""\n    }\n}\n'


def _compact(shape: Shape) -> Iterator[bytes]:
    yield b'{"apiVersion":"v1","items":['
    for number, item in enumerate(objects(shape)):
        yield (b"," if number else b"") + msgspec.json.encode(item, order="sorted")
    yield b'],"kind":"List","metadata":{"resourceVersion":""}}\n'


class _Dumper(yaml.CSafeDumper):
    """kubectl writes no anchors, even where one value stands twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _yaml(shape: Shape) -> Iterator[bytes]:
    yield b"apiVersion: v1\nitems:\n"
    for item in objects(shape):
        yield yaml.dump([item], Dumper=_Dumper, encoding="utf-8", width=1 << 20)
    yield b'kind: List\nmetadata:\n  resourceVersion: ""\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", choices=SCENARIOS, help="a named shape instead of counts")
    parser.add_argument("--bindings", type=int, default=1_500)
    parser.add_argument("--pods", type=int, default=1_000)
    parser.add_argument("--namespaces", type=int, default=100)
    parser.add_argument("--policies", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--form", choices=FORMS, default="json")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    shape = SCENARIOS.get(given.scenario) or Shape.of(
        namespaces=given.namespaces,
        bindings=given.bindings,
        pods=given.pods,
        policies=given.policies,
        seed=given.seed,
    )
    write(shape, given.out, form=given.form)


if __name__ == "__main__":
    main()
