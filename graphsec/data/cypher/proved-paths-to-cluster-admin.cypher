// Shortest paths to cluster-admin that take nothing for granted and need one thing at each step.
// Proofs that pass a K8sJoin are not found: `graphsec paths all cluster-admin` finds those as well.
MATCH p = shortestPath((s:K8sServiceAccount)-[:K8sAttack_ANY*1..]->(t:K8sSink {name: 'cluster-admin'}))
WHERE s.file IS NOT NULL
  AND all(r IN relationships(p) WHERE r.assumptions = '')
  AND none(n IN nodes(p) WHERE n:K8sJoin)
RETURN p LIMIT 100;
