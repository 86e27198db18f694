"""The code with one thing broken on purpose, and the proof that the tests notice."""
