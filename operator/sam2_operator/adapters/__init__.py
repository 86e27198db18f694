"""The edges: Kubernetes, CVAT, Redis, the agent and the clock, each behind a port of the core."""
