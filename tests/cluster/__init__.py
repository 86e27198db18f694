"""A real Kubernetes on one machine: built from pinned Go modules, run in network namespaces of its own."""
