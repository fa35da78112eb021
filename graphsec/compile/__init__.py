"""A loaded Cluster becomes a World: access first, the typed graph when it is asked for."""

from graphsec.compile.access import CLUSTER, AccessIndex
from graphsec.compile.world import World, compile_world

__all__ = ["CLUSTER", "AccessIndex", "World", "compile_world"]
