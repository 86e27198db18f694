"""Why a cluster could not be made, in a sentence."""


class ClusterError(Exception):
    """The local cluster, or something it needs, could not be made: what, and where to look."""
