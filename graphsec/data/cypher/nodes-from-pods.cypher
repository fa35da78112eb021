// Shortest attack paths from pods to a node: container escapes, host paths, and what the account of the pod may do.
// A K8sJoin on a path needs all that leads into it.
MATCH p = shortestPath((w:K8sPod)-[:K8sAttack_ANY*1..]->(t:K8sSink {name: 'node'}))
RETURN p LIMIT 100;
