"""The resource SAM2Tracker v1alpha1 as pydantic models, from which the CRD is generated."""

from typing import Final

GROUP = "sam2.dev"
VERSION = "v1alpha1"
API_VERSION: Final = "sam2.dev/v1alpha1"
KIND: Final = "SAM2Tracker"
PLURAL = "sam2trackers"
SINGULAR = "sam2tracker"
SHORT_NAME = "s2t"
CATEGORY = "cvat"
