"""Killing and pausing real agents at every external call of a session; README.md says how to run it."""
