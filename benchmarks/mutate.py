"""Mutation testing of what decides access and selection: ``python -m benchmarks.mutate [WORD...]``.

The tests are imported once. Each mutant is a fork of that process in which one function has other code, and the tests that
enter the function run until the first fails.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import json
import os
import resource
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property, partial
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any, Literal

import pytest

from benchmarks.mutants import Mutant, mutants

_ROOT = Path(__file__).parent.parent
_EQUIVALENT = Path(__file__).with_name("equivalent_mutants.tsv")
#: Module -> its functions, as patterns.
TARGETS = {
    "graphsec/model/rbac.py": ("*",),
    "graphsec/model/policy.py": ("*",),
    "graphsec/compile/access.py": ("*",),
    "graphsec/compile/aggregation.py": ("*",),
    "graphsec/algebra/selectors.py": ("*",),
    "graphsec/algebra/expressions.py": ("*",),
    "graphsec/algebra/calico_selectors.py": ("*",),
    "graphsec/kinds/_policies.py": ("selected", "_check_*"),
    "graphsec/kinds/network_policy.py": ("_Reader.*", "_types", "_peer"),
    "graphsec/compile/policies.py": ("*",),
    # What terms mean; not how classes are numbered.
    "graphsec/compile/classes.py": (
        "Vocabulary.of", "_Labels.*", "Universe.peer*", "Universe.*extent", "Universe._scope", "Universe._means_hosts",
        "Universe._is_set", "Universe.*select", "Universe._range", "Universe._whole_namespaces", "Universe._with_labels",
        "Universe._by_label_set", "Universe._namespace_flags", "Universe._holds", "Universe.namespace_labels",
        "Universe.in_namespace", "_is_local", "_namespaces", "_service_selectors",
    ),
}  # fmt: skip
TESTS = (
    "test_matcher.py",
    "test_access.py",
    "test_selectors.py",
    "test_upstream_tables.py",
    "test_policy_kinds.py",
)
#: Seconds of processor time for the tests of one mutant; what loops is killed, and so is what takes all memory.
_LIMIT = 20
_MEMORY = 2 << 30

Result = Literal["killed", "survived"]


def planned() -> Iterator[tuple[str, Mutant]]:
    """(module, mutant) of every target."""
    for path, patterns in TARGETS.items():
        for mutant in mutants(path, (_ROOT / path).read_text("utf-8")):
            if any(fnmatch(mutant.function, pattern) for pattern in patterns):
                yield path, mutant


def equivalent() -> dict[str, str]:
    """Names of mutants that no test can kill, and why."""
    rows = (line.split("\t") for line in _EQUIVALENT.read_text("utf-8").splitlines() if line)
    return dict(rows)


def function_of(path: str, qualified: str) -> FunctionType:
    """The function or method itself, from below what decorates it."""
    found: Any = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    for part in qualified.split("."):
        found = vars(found)[part]
    if isinstance(found, property):
        found = found.fget
    if isinstance(found, cached_property):
        found = found.func
    found = getattr(found, "__wrapped__", found)
    assert isinstance(found, FunctionType), qualified
    return found


@dataclass(frozen=True, slots=True)
class Entered:
    """What one test took, and the targets that it entered."""

    seconds: float
    codes: frozenset[str]


class Mutation:
    """A pytest plugin: instead of each test once, each mutant against its tests."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = words
        self.results: dict[tuple[str, str], Result] = {}
        self.lines: dict[str, int] = {}

    def pytest_collection(self) -> None:
        """What fails is killed; the smallest example of it is of no interest."""
        # Not before pytest, which rewrites it.
        import hypothesis

        hypothesis.settings.register_profile("mutate", phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate])
        hypothesis.settings.load_profile("mutate")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        chosen = [(path, m) for path, m in planned() if not self.words or any(word in m.name for word in self.words)]
        functions = {(path, m.function): function_of(path, m.function) for path, m in chosen}
        entered = _profile(session, {function.__code__: f"{at} {name}" for (at, name), function in functions.items()})
        tests = _in_order(session.items, entered)
        # So that a fork does not copy pages to count references in them.
        gc.collect()
        gc.freeze()
        for done, (path, mutant) in enumerate(chosen, start=1):
            function, items = functions[path, mutant.function], tests.get(f"{path} {mutant.function}", [])
            result = _forked(partial(_killed, session, function, mutant.code, items))
            self.results[path, mutant.name] = "survived" if result == 0 else "killed"
            self.lines[mutant.name] = mutant.line
            if result == 0:
                print(
                    f"{done}/{len(chosen)} survived, {len(items)} tests: line {mutant.line}, {mutant.name}",
                    file=sys.stderr,
                    flush=True,
                )
        return True


def _in_order(items: Sequence[pytest.Item], entered: dict[int, Entered]) -> dict[str, list[pytest.Item]]:
    """Tests by target, the quickest first."""
    found: dict[str, list[pytest.Item]] = defaultdict(list)
    for number in sorted(range(len(items)), key=lambda number: entered[number].seconds):
        for code in entered[number].codes:
            found[code].append(items[number])
    return found


def _profile(session: pytest.Session, codes: dict[CodeType, str]) -> dict[int, Entered]:
    """Runs every test once, in a fork, which must pass."""
    report = Path(os.environ.get("TMPDIR", "/tmp")) / f"mutate-{os.getpid()}.json"  # noqa: S108

    modules = {sys.modules[item.module.__name__] for item in session.items if isinstance(item, pytest.Function)}
    kept = [value for module in modules for value in vars(module).values() if hasattr(value, "cache_clear")]

    def run() -> int:
        found: dict[int, tuple[float, list[str]]] = {}
        for number, item in enumerate(session.items):
            # What tests share is made anew by each, as by the first of them.
            for cached in kept:
                cached.cache_clear()
            seen: set[CodeType] = set()

            def enter(frame: FrameType, event: str, _: object, seen: set[CodeType] = seen) -> None:
                if event == "call":
                    seen.add(frame.f_code)

            before = time.perf_counter()
            sys.setprofile(enter)
            _run(item)
            sys.setprofile(None)
            found[number] = time.perf_counter() - before, [codes[code] for code in seen if code in codes]
        report.write_text(json.dumps(found))
        return session.testsfailed

    if _forked(run) != 0:
        pytest.exit("the tests do not pass as they are", returncode=1)
    read = json.loads(report.read_text())
    report.unlink()
    return {int(number): Entered(seconds, frozenset(names)) for number, (seconds, names) in read.items()}


def _killed(session: pytest.Session, function: FunctionType, code: CodeType, items: Sequence[pytest.Item]) -> int:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_LIMIT, _LIMIT))
    function.__code__ = code
    for item in items:
        _run(item)
        if session.testsfailed:
            return 1
    return 0


def _run(item: pytest.Item) -> None:
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)


def _forked(work: Callable[[], int]) -> int:
    """What ``work`` returns in a process of its own, 1 if that ends in any other way."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os._exit(min(work(), 1))
        os._exit(1)
    return int(os.waitpid(child, 0)[1] != 0)


def _table(results: dict[tuple[str, str], Result], known: dict[str, str]) -> Iterator[str]:
    yield "| module | mutants | killed | equivalent | survived | killed of all |"
    yield "|---|---:|---:|---:|---:|---:|"
    total: Counter[str] = Counter()
    for path in dict.fromkeys(path for path, _ in results):
        counts = Counter(
            "equivalent" if result == "survived" and name in known else result
            for (at, name), result in results.items()
            if at == path
        )
        total += counts
        yield _row(f"`{path}`", counts)
    yield _row("all", total)


def _row(title: str, counts: Counter[str]) -> str:
    words = ("killed", "equivalent", "survived")
    return f"| {title} | {counts.total()} | {' | '.join(str(counts[word]) for word in words)} | {counts['killed'] / counts.total():.1%} |"


def main() -> int:
    """1 if a mutant survived that is not known as equivalent, or one was killed that is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="only mutants whose name has one of the words")
    arguments = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of sets is part of what a mutant does.
        os.execve(  # noqa: S606
            sys.executable,
            [sys.executable, "-m", "benchmarks.mutate", *arguments.words],
            os.environ | {"PYTHONHASHSEED": "0"},
        )
    plugin = Mutation(arguments.words)
    options = ["-o", "addopts=", "-m", "not slow", "-p", "no:cacheprovider", "-p", "no:terminal", "--assert=plain"]
    code = pytest.main([*options, *(str(_ROOT / "tests" / name) for name in TESTS)], plugins=[plugin])
    if not plugin.results:
        return int(code)
    known = equivalent()
    print("\n".join(_table(plugin.results, known)))
    survived = [name for (_, name), result in plugin.results.items() if result == "survived" and name not in known]
    wrong = [name for (_, name), result in plugin.results.items() if result == "killed" and name in known]
    for title, names in (("survived", survived), ("killed, but known as equivalent", wrong)):
        for name in names:
            print(f"{title}: line {plugin.lines[name]}, {name}")
    return int(bool(survived or wrong))


if __name__ == "__main__":
    sys.exit(main())
