"""An immutable typed multigraph over flat arrays; it knows nothing of Kubernetes."""

from graphsec.graph.graph import Builder, Edge, Graph, NodeId

__all__ = ["Builder", "Edge", "Graph", "NodeId"]
