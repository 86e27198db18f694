"""The agent in virtual time, with faults at every await; `python -m tests.simulation` runs seeds of it."""
