"""The operator: keeps one SAM2 tracking agent per SAM2Tracker resource, registered in CVAT."""
