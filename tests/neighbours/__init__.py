"""What an earlier version of operator, agent and CRD wrote and read, frozen; see docs/upgrades.md."""
