"""Routes by resource. Each module has `ROUTES`; the paths are those of CVAT's OpenAPI document."""
