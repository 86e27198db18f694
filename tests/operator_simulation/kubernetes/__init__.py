"""Kubernetes: its API server in memory, and the controllers that the operator relies on.

What the API server promises (versions, conflicts, identities, finalizers, apply) is held against a real one
by `tests/controlplane/test_simulated_apiserver.py`.
"""
