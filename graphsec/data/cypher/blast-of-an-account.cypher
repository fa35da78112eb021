// The other ServiceAccounts that one account leads to, by a shortest path each. Write your own namespace and name.
// A K8sJoin on a path needs all that leads into it.
MATCH p = shortestPath((s:K8sServiceAccount {namespace: 'default', name: 'default'})-[:K8sAttack_ANY*1..]->(t:K8sServiceAccount))
WHERE s <> t
RETURN p LIMIT 100;
