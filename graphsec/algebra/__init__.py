"""Small algebras that know nothing of Kubernetes objects: label selectors now, port sets and IP blocks beside them."""
