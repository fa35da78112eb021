// Roles bound to the ServiceAccounts named default: every pod that names no account acts as one of them.
// Built-in groups of all accounts (system:serviceaccounts) are left out.
MATCH p = (s:K8sServiceAccount {name: 'default'})-[:K8sHolds]->(b)-[:K8sRefersTo]->(r)
RETURN p LIMIT 100;
