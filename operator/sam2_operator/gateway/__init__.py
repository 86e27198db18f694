"""The gateway: speaks the calls of Nuclio's dashboard that CVAT makes, for serverless trackers."""
