"""How long hypothesis looks: `quick`, or `full` where everything is tried.

No deadlines: on a busy machine how fast an example runs says nothing.
"""

from hypothesis import HealthCheck, settings

from tests.samples import FULL

_COMMON = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)

settings.register_profile("quick", _COMMON, max_examples=100)
settings.register_profile("full", _COMMON, max_examples=1000)
settings.load_profile("full" if FULL else "quick")
