// What is bound to groups that everybody is in: anonymous requests, all users, all ServiceAccounts.
// Some of it every cluster has, such as system:discovery.
MATCH p = (g:K8sGroup)-[:K8sHolds]->(b)-[:K8sRefersTo]->(r)-[:K8sPermits]->(q:K8sPermission)
WHERE g.name IN ['system:unauthenticated', 'system:authenticated', 'system:serviceaccounts']
RETURN p LIMIT 100;
