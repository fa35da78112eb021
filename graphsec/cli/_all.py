"""Every module that adds commands to the app of ``graphsec.cli.app``."""

from __future__ import annotations

from graphsec.cli import (  # noqa: F401 - imported for the commands that they add
    _access,
    _attacks,
    _audit,
    _check,
    _diff,
    _export,
    _graph,
    _overprivileged,
    _policy,
    _query,
    _rbac,
    _show_config,
    _snapshot,
)
