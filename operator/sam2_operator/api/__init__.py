"""The resource SAM2Tracker as pydantic models, from which the CRD is generated.

Group and version are named here and nowhere else.
"""

from typing import Final

GROUP = "sam2.dev"
VERSION = "v1alpha1"
"""What the operator reads and writes."""
API_VERSION = f"{GROUP}/{VERSION}"
SERVED = (VERSION,)
"""All versions in which the API server takes and gives trackers; they have the same fields."""
STORED = VERSION
KIND: Final = "SAM2Tracker"
PLURAL = "sam2trackers"
SINGULAR = "sam2tracker"
SHORT_NAME = "s2t"
CATEGORY = "cvat"
