"""`make demo`: from `kubectl apply` to a tracked video, with two kills, on a real cluster."""
