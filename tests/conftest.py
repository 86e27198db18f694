"""How long hypothesis looks: `quick` unless `HYPOTHESIS_PROFILE` says `full`.

No deadlines: on a busy machine how fast an example runs says nothing.
"""

import os

from hypothesis import HealthCheck, settings

_COMMON = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)

settings.register_profile("quick", _COMMON, max_examples=100)
settings.register_profile("full", _COMMON, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
