"""network-config-analyzer from the package index, asked for the same map; in an environment of its own, never a dependency."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

REQUIREMENT = "network-config-analyzer==2.1.0"
#: Seconds it is given for one input.
LIMIT = 120
#: (source, destination) -> `TCP 8080`, one for each protocol and range.
Connections = dict[tuple[str, str], set[str]]
_OWN = re.compile(r"(?P<source>\S+) => (?P<destination>\S+) : (?P<connections>.+)")
_GROUP = re.compile(r"\{protocols:(?P<protocol>\w+),dst_ports:(?P<ports>[\d,-]+)\}")


class Reply(NamedTuple):
    """What the whole command took and printed."""

    seconds: float
    text: str


@cache
def installed(folder: Path) -> Path | None:
    """Its command, installed where it is not yet; None where that cannot be done."""
    command = folder / "bin" / "nca"
    if command.exists():
        return command
    try:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(folder / "bin" / "pip"), "install", "--quiet", REQUIREMENT], check=True)
    except subprocess.CalledProcessError:
        return None
    return command


@cache
def ask(command: Path, path: Path) -> Reply | None:
    """None if it takes longer than it is given. Asked once: the longest answer takes minutes."""
    arguments = [str(command), "--connectivity", "-r", str(path), "-o", "txt_no_fw_rules"]
    start = time.perf_counter()
    try:
        reply = subprocess.run(arguments, check=True, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return None
    return Reply(seconds=time.perf_counter() - start, text=reply.stdout)


def largest(command: Path, paths: Iterator[Path]) -> Path | None:
    """Of growing inputs the last that it answers in time."""
    found = None
    for path in paths:
        if ask(command, path) is None:
            break
        found = path
    return found


def compare(theirs: str, connlist: str) -> None:
    """Fail unless both name the same connections (network.md §6.2)."""
    other, own = _connections(theirs.splitlines()), _connections(connlist.splitlines())
    differing = sorted(pair for pair in other.keys() | own.keys() if other.get(pair) != own.get(pair))
    if differing or not own:
        shown = [f"{pair}: {other.get(pair)}, here {own.get(pair)}" for pair in differing[:5]]
        raise AssertionError(f"{len(differing):,} of {len(own):,} connections differ: {shown}")


def _connections(lines: Sequence[str]) -> Connections:
    found: Connections = defaultdict(set)
    for line in lines:
        flow = _OWN.fullmatch(line.strip())
        if flow:
            found[flow["source"], flow["destination"]].update(_ranges(flow["connections"]))
    return dict(found)


def _ranges(text: str) -> Iterator[str]:
    """Of `TCP 80,443,UDP 53` or `{protocols:TCP,dst_ports:80,443}`; what is in neither form is left as it is."""
    groups = _GROUP.findall(text) or re.findall(r"(TCP|UDP|SCTP) ([\d,-]+)", text)
    if not groups:
        yield text
    for protocol, ports in groups:
        yield from (f"{protocol} {port}" for port in ports.split(",") if port)
