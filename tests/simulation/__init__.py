"""The real agent in a simulated world: seeded, deterministic, in virtual time (see README.md)."""
