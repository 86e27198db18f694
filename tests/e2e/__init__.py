"""Tests on a real cluster with kubelets and the real images."""
