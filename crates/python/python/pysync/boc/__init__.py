"""bocpy's names on shared memory: tagged queues, cowns, and behaviors that run on threads."""

from .._pysync import (
    TIMEOUT,
    Cown,
    PinnedCown,
    __version__,
    drain,
    receive,
    send,
    set_tags,
    when,
    whencall,
)
from ._behaviors import WORKER_COUNT, WaitResult, quiesce, start, strict, wait
from ._noticeboard import (
    REMOVED,
    notice_delete,
    notice_read,
    notice_seed,
    notice_update,
    notice_write,
    noticeboard,
)
from ._pinned import PumpResult, pump, set_pump_watchdog, set_wait_pump_poll

#: What bocpy gives to the body of a behavior. Here it is the cown itself.
CownCapsule = Cown

__all__ = [
    "REMOVED",
    "TIMEOUT",
    "WORKER_COUNT",
    "Cown",
    "CownCapsule",
    "PinnedCown",
    "PumpResult",
    "WaitResult",
    "__version__",
    "drain",
    "notice_delete",
    "notice_read",
    "notice_seed",
    "notice_update",
    "notice_write",
    "noticeboard",
    "pump",
    "quiesce",
    "receive",
    "send",
    "set_pump_watchdog",
    "set_tags",
    "set_wait_pump_poll",
    "start",
    "strict",
    "wait",
    "when",
    "whencall",
]
