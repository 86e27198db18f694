"""Tests of the CVAT stand-in, from outside: by HTTP, cvat-sdk and cvat-cli."""
