"""The changes of the mutation test, and that its list of equivalent mutants is about the present code."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from benchmarks.mutants import mutants
from benchmarks.mutate import equivalent, function_of, planned


def variants(body: str) -> list[str]:
    """What a function of this body may become, as the differences are named."""
    source = "def f(a, b, c):\n    " + body.replace("\n", "\n    ")
    return [mutant.name.partition(": ")[2] for mutant in mutants("m.py", source)]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return a < b", {"return [-a < b-]{+True+}", "return [-a < b-]{+False+}", "a <{+=+} b", "a [-<-]{+>=+} b"}),
        ("return f(a)[1:]", {"return [-f(a)[1:]-]{+None+}", "f(a)[[-1-]:]", "[-1-]{+2+}", "[-1-]{+0+}"}),
        ("a.append(b)", {"[-a.append(b)-]{+pass+}"}),
        ("return any(x for x in a if x)", {"[-any-]{+all+}((x for x in a if x))", "for x in a[- if x-]"}),
    ],
)
def test_what_is_changed(body: str, expected: set[str]) -> None:
    assert set(variants(body)) >= expected


def test_operands_and_negations_are_left_out() -> None:
    found = variants("return a and not b")
    assert {"[-not -]b", "a[- and (not b)-]"} <= set(found)
    assert sum("[-" in each and "True" not in each and "False" not in each for each in found) == 4


def test_a_mutant_is_the_function_with_the_change() -> None:
    found: dict[str, Any] = {}
    for mutant in mutants("m.py", "def less(a, b):\n    return a < b"):

        def less(a: int, b: int) -> bool:
            return a < b

        less.__code__ = mutant.code
        found[mutant.name.partition(": ")[2]] = less(1, 1), less(1, 2), less(2, 1)
    assert found["a <{+=+} b"] == (True, True, False)
    assert found["a [-<-]{+>=+} b"] == (True, False, True)


def test_mutants_have_names_of_their_own_and_functions_to_replace() -> None:
    plan = list(planned())
    assert Counter(mutant.name for _, mutant in plan).most_common(1)[0][1] == 1
    for path, name in {(path, mutant.function) for path, mutant in plan}:
        assert function_of(path, name).__code__.co_name == name.rpartition(".")[2]


def test_equivalent_mutants_are_of_the_present_code() -> None:
    """Each with its reason; a change of the function drops it from the list or renames it."""
    assert equivalent().keys() <= {mutant.name for _, mutant in planned()}
    assert all(equivalent().values())
