// Bindings to roles that the input does not hold: whoever may write such a role decides what they grant.
// Roles that every cluster is born with are held only if they were collected: load with --with-defaults otherwise.
MATCH p = (s)-[:K8sHolds]->(b)-[:K8sRefersTo]->(r)
WHERE r.file IS NULL
RETURN p LIMIT 100;
