"""Tagged queues, behaviours over cowns, and a mutex between processes that survives its owner."""

from ._pysync import __version__

__all__ = ["__version__"]
