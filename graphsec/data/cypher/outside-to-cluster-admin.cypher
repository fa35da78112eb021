// Pods that policies let addresses outside the cluster reach, and how each leads to cluster-admin.
// Allowed is not exposed: whether a Service or Ingress leads there is what `graphsec exposed` answers.
MATCH (a:K8sAddresses)-[:K8sMayConnect]->(c:K8sConnections)-[:K8sMayConnect]->(g:K8sPeerGroup)<-[:K8sInGroup]-(w)
MATCH p = shortestPath((w)-[:K8sAttack_ANY*1..]->(t:K8sSink {name: 'cluster-admin'}))
RETURN DISTINCT w, p LIMIT 100;
