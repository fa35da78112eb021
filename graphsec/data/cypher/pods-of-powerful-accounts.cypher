// Pods and workloads whose ServiceAccount leads to cluster-admin.
// Whether the pod mounts a token of that account is not asked: `graphsec paths Pod/NS/NAME` tells.
MATCH (w)-[:K8sRunsAs]->(s:K8sServiceAccount)
MATCH p = shortestPath((s)-[:K8sAttack_ANY*1..]->(t:K8sSink {name: 'cluster-admin'}))
RETURN w, p LIMIT 100;
