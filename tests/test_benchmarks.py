"""The benchmark generators and their planted answers, on tiny inputs; no times are asserted anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.networks import SHAPES, TINY
from benchmarks.peer import compare
from benchmarks.probe import smoke, smoke_audit_log, smoke_network


def test_generated_clusters_answer_as_planted(tmp_path: Path) -> None:
    smoke(tmp_path)


def test_generated_audit_logs_record_what_was_planted(tmp_path: Path) -> None:
    smoke_audit_log(tmp_path)


@pytest.mark.parametrize("name", TINY)
def test_generated_networks_have_the_planted_flows(tmp_path: Path, name: str) -> None:
    smoke_network(name, tmp_path)


def test_every_measured_shape_has_a_tiny_one() -> None:
    assert {type(network) for network in SHAPES.values()} == {type(network) for network in TINY.values()}


def test_connections_of_two_tools_are_compared_in_one_form() -> None:
    theirs = "global: a heading\na/x[ReplicaSet] => a/y[Pod] : {protocols:TCP,dst_ports:80,443-445}\n"
    compare(theirs, "a/x[ReplicaSet] => a/y[Pod] : TCP 80,443-445\n")
    with pytest.raises(AssertionError, match="1 of 1 connections differ"):
        compare(theirs, "a/x[ReplicaSet] => a/y[Pod] : TCP 80\n")
