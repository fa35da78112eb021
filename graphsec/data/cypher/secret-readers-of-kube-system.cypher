// Who reads Secrets of kube-system: all of them, some by name, or those of every namespace; members of groups included.
// Whoever is cluster-admin reads them too: see accounts-to-cluster-admin.
MATCH p = (m)-[:K8sAttack_implicit_group*0..2]->(s)-[:K8sAttack_secret_read|K8sAttack_secret_read_by_write]->(t)
WHERE (m:K8sServiceAccount OR m:K8sUser OR m:K8sGroup)
  AND (t.namespace = 'kube-system' OR t.name = 'secrets:all')
RETURN p LIMIT 100;
