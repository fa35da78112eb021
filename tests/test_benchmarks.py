"""The benchmark generator and its planted answers, on a tiny cluster in every form; no times are asserted anywhere."""

from __future__ import annotations

from pathlib import Path

from benchmarks.probe import smoke


def test_generated_clusters_answer_as_planted(tmp_path: Path) -> None:
    smoke(tmp_path)
