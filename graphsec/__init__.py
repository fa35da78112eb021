"""graphsec: Kubernetes manifests and dumps as one typed graph; who can, how could, what can reach.

The names below are the public API. They are imported when first used, so that ``graphsec --version`` loads nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphsec.version import __version__ as __version__

if TYPE_CHECKING:
    from graphsec.algebra.blocks import AddressSet
    from graphsec.algebra.ports import PortSet
    from graphsec.api import (
        access,
        blast,
        can_i,
        can_reach,
        check,
        choke_points,
        covers,
        diff,
        exposed,
        load,
        minimal_fix,
        overprivileged,
        paths,
        policy_lint,
        rbac_lint,
        reach,
        replay,
        snapshot,
        synthesize,
        what_can,
        who_can,
    )
    from graphsec.compile import World
    from graphsec.diagram import Diagram
    from graphsec.errors import GraphsecError, InputError, LimitError, UsageError
    from graphsec.model.coverage import Coverage
    from graphsec.model.diagnostic import Diagnostic
    from graphsec.model.rbac import Covered, PolicyRule
    from graphsec.model.ref import Ref, Source
    from graphsec.query._access_diff import AccessChange
    from graphsec.query._answer import Answer, Evidence
    from graphsec.query._excess import Excess
    from graphsec.query._finding import Finding
    from graphsec.query._latent_diff import LatentChange
    from graphsec.query._sink_diff import SinkChange
    from graphsec.query.blast import Fallen
    from graphsec.query.can_i import Decision
    from graphsec.query.can_reach import FlowDecision, FlowEvidence
    from graphsec.query.check import Checked
    from graphsec.query.choke import ChokePoint
    from graphsec.query.data_access import DataHolder
    from graphsec.query.diff import DiffAnswer
    from graphsec.query.exposed import Exposure
    from graphsec.query.fix import Fix
    from graphsec.query.flow_diff import FlowChange
    from graphsec.query.paths import AttackPath, Step
    from graphsec.query.policy_lint import PolicyFinding
    from graphsec.query.rbac_lint import RbacFinding
    from graphsec.query.reach import Flow, FlowEnd
    from graphsec.query.replay import Replay
    from graphsec.query.synthesize import Synthesis
    from graphsec.query.what_can import Grant
    from graphsec.query.who_can import Access

_HOMES = {
    "blast": "api", "choke_points": "api", "minimal_fix": "api", "replay": "api",
    "can_i": "api", "can_reach": "api", "check": "api", "covers": "api", "diff": "api", "exposed": "api", "load": "api", "paths": "api", "policy_lint": "api", "reach": "api",
    "access": "api", "overprivileged": "api", "rbac_lint": "api",
    "synthesize": "api", "what_can": "api", "who_can": "api",
    "snapshot": "api",
    "AddressSet": "algebra.blocks", "PortSet": "algebra.ports", "World": "compile", "Diagram": "diagram",
    "GraphsecError": "errors", "InputError": "errors", "LimitError": "errors", "UsageError": "errors",
    "Coverage": "model.coverage", "Diagnostic": "model.diagnostic",
    "Covered": "model.rbac", "PolicyRule": "model.rbac", "Ref": "model.ref", "Source": "model.ref", "Synthesis": "query.synthesize",
    "Answer": "query._answer", "Evidence": "query._answer", "Excess": "query._excess", "DataHolder": "query.data_access", "Decision": "query.can_i", "Grant": "query.what_can",
    "AttackPath": "query.paths", "Step": "query.paths", "Fallen": "query.blast", "ChokePoint": "query.choke", "Fix": "query.fix", "Replay": "query.replay",
    "Finding": "query._finding", "Checked": "query.check", "Access": "query.who_can", "Exposure": "query.exposed", "Flow": "query.reach", "FlowChange": "query.flow_diff", "FlowEnd": "query.reach", "FlowDecision": "query.can_reach", "FlowEvidence": "query.can_reach", "PolicyFinding": "query.policy_lint",
    "RbacFinding": "query.rbac_lint",
    "AccessChange": "query._access_diff", "DiffAnswer": "query.diff", "LatentChange": "query._latent_diff", "SinkChange": "query._sink_diff",
}  # fmt: skip

__all__ = [
    "Access", "AccessChange", "AddressSet", "Answer", "AttackPath", "Checked", "ChokePoint", "Coverage", "Covered", "DataHolder", "Decision", "Diagnostic", "Diagram", "DiffAnswer", "Evidence", "Excess", "Exposure", "Fallen", "Finding", "Fix", "Flow", "FlowChange", "FlowDecision", "FlowEnd", "FlowEvidence", "Grant", "GraphsecError", "InputError", "LatentChange", "LimitError", "PolicyFinding", "PolicyRule", "PortSet", "RbacFinding", "Ref", "Replay", "SinkChange", "Source", "Step", "Synthesis", "UsageError", "World",
    "access", "blast", "can_i", "can_reach", "check", "choke_points", "covers", "diff", "exposed", "load", "minimal_fix", "overprivileged", "paths", "policy_lint", "rbac_lint", "reach", "replay", "snapshot", "synthesize", "what_can", "who_can",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'graphsec' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"graphsec.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
