"""What bocpy's tests use of its compiled module, as far as it has a counterpart."""

import threading

from pysync import _pysync
from pysync._pysync import queue_stats
from pysync.boc import CownCapsule, PinnedCown, _noticeboard

__all__ = ["CownCapsule", "queue_stats"]


def is_primary():
    """Tell whether this is the main thread: bocpy asks for the interpreter."""
    return threading.current_thread() is threading.main_thread()


def cown_is_pinned(cown):
    """Tell whether a cown is pinned."""
    return isinstance(cown, PinnedCown)


def main_pump_queue_depth():
    """Count the behaviors of pinned cowns that are ready."""
    return _pysync.lane_len()


def noticeboard_clear():
    """Clear the noticeboard, after all that was written."""
    _noticeboard._settle(None)
    _noticeboard._clear()


def noticeboard_snapshot():
    """Return what is on the noticeboard now."""
    return dict(_noticeboard._board.entries)


def scheduler_stats():
    """Return statistics of the workers; an empty list if there is no runtime."""
    return _pysync.worker_stats()


def terminator_count():
    """Count the behaviors that are pending."""
    return _pysync.pending()


def terminator_wait(timeout):
    """Wait until none is."""
    return _pysync.quiesce(timeout)
