"""The operator's process and what befalls clusters: silence, restarts, lost rights, contention, eviction."""
