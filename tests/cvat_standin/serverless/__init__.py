"""CVAT's serverless side: a page, a server that signs states, and the calls that it makes to a dashboard.

    annotator ──► LambdaManager ──► Dashboard(url) ──► whoever speaks Nuclio's three calls
                                └─► AgentDoor(url)     or one agent's door, without anything between

In a test::

    manager = LambdaManager(Dashboard("http://cvat:the-shared-secret@gateway:8070"))
    [tracker] = manager.trackers()
    track = Annotator(manager).track(tracker.id, pictures, [Shape.mask(bitmap)], start=0, stop=9)

Nothing here runs a server of its own: the serverless door needs none of CVAT but its calls. Written from what
CVAT's public `lambda_manager` does: it asks for the function before each call, connects anew each time, sends
`shapes` and `states` as lists of the same objects, hands states to the browser signed for 8 hours, and passes
a function's failure on with its status, and of its words only those of the status line.
"""

from tests.cvat_standin.serverless.annotator import Annotator
from tests.cvat_standin.serverless.manager import LambdaManager
from tests.cvat_standin.serverless.nuclio import AgentDoor, Dashboard, Function

__all__ = ["AgentDoor", "Annotator", "Dashboard", "Function", "LambdaManager"]
