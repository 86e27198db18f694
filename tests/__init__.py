"""Tests, and what they run against: a cluster, a stand-in for CVAT, a small model, the demo."""

import os

# Before anything imports PyTorch: its idle threads spin by default, and tests share few cores with much else.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
