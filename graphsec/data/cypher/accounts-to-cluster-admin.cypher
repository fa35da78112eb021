// Shortest attack paths from the ServiceAccounts of the input, those of kube-system left out, to cluster-admin.
// A K8sJoin on a path needs all that leads into it: see what else does. `assumptions` of an edge may not hold.
MATCH p = shortestPath((s:K8sServiceAccount)-[:K8sAttack_ANY*1..]->(t:K8sSink {name: 'cluster-admin'}))
WHERE s.file IS NOT NULL AND s.namespace <> 'kube-system'
RETURN p LIMIT 100;
