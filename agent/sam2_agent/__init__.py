"""The agent: serves one CVAT tracking function with SAM2, and keeps its tracks in Redis."""

VERSION = "0.1.0"
"""Version of the distribution."""
