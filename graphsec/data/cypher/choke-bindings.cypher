// Bindings of whoever stands on the shortest paths to cluster-admin, those on most paths first: where to begin cutting.
// Candidates only, one shortest path is seen for each account: `graphsec choke` and `graphsec fix` prove what a cut does.
MATCH p = shortestPath((s:K8sServiceAccount)-[:K8sAttack_ANY*1..]->(t:K8sSink {name: 'cluster-admin'}))
WHERE s.file IS NOT NULL
UNWIND nodes(p) AS n
MATCH (n)-[:K8sHolds]->(b)
RETURN b.kind AS kind, b.namespace AS namespace, b.name AS name, b.file AS file, b.line AS line,
       count(DISTINCT s) AS accounts
ORDER BY accounts DESC, kind, namespace, name LIMIT 25;
