// Bound roles with all verbs in a rule: subject, binding, role, rule.
// The rule holds where the binding does, in its namespace or everywhere.
MATCH p = (s)-[:K8sHolds]->(b)-[:K8sRefersTo]->(r)-[:K8sPermits]->(q:K8sPermission)
WHERE q.name STARTS WITH '* ['
RETURN p LIMIT 100;
