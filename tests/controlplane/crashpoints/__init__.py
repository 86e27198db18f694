"""The operator cut off at any of its calls: to the API server, to CVAT, to Redis.

Relays stand between a real operator process and a real kube-apiserver, the CVAT stand-in and a real Redis. A
gate numbers every call that the operator makes and brings one thing about at one of them, before the call is
forwarded or after it was answered and before the answer is delivered. Which calls there are is found by
running, not written down.
"""
