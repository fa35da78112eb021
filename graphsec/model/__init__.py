"""What Kubernetes objects mean to graphsec: identities, the one RBAC matcher, the loaded cluster."""
