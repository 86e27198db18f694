"""The edges: CVAT, Redis, SAM2, HTTP, the clock; errors are translated here."""
