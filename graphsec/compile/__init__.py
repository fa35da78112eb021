"""A loaded Cluster becomes a World: access first, the typed graph when it is asked for."""

from graphsec.compile.access import CLUSTER, Access
from graphsec.compile.world import World, compile_world

__all__ = ["CLUSTER", "Access", "World", "compile_world"]
