"""bocpy's names on shared memory: tagged queues, cowns, and behaviors that run on threads.

A cown owns a value. A behavior is a function over cowns: it runs on a worker thread once all of
them are its own, and gives them back at its end. So no two bodies touch a value at a time, none
waits for another while it runs, and those that share a cown run in the order in which they were
asked for.

>>> from pysync.boc import Cown, drain, receive, send, wait, when
>>> source, target = Cown(100), Cown(0)
>>> @when(source, target)
... def moved(source, target):
...     source.value -= 30
...     target.value += 30
...     return target.value

The name of the function is the cown of its result from then on, for other behaviors to name, or for
a thread to wait for:

>>> moved.unwrap(timeout=60)
30

Threads send each other messages under tags, with behaviors or without:

>>> send("fruit", "apple")
>>> receive(["fruit", "bread"], 60)
('fruit', 'apple')
>>> drain(["fruit", "bread"])

The workers end here. A thread that has waited for that may look at all cowns:

>>> wait()
>>> source.value, target.value
(70, 30)

Programs for bocpy run unchanged, but for its ``Matrix`` and its C headers. What differs follows
from threads in the place of interpreters:

- Values are shared. Nothing is pickled: a value is the same object in each body, and need not be
  picklable. An object that was put into two cowns, or that a body has kept, is not protected.
- The owner of a cown is a behavior or a thread, and another thread gets the RuntimeError that
  another interpreter gets there.
- A body gets the :class:`Cown` itself; ``CownCapsule`` is another name of it, and ``Cown(cown)`` is
  a cown in a cown.
- Modules are not loaded again. Bodies may be closures, methods and decorated functions;
  :func:`strict` refuses what bocpy could not run.
- A behavior whose cown a thread holds waits until that releases it. After :func:`wait` the thread
  that has called it may look at all cowns, without owning them.
- :meth:`Cown.acquire` and :meth:`Cown.unwrap` may wait, with a timeout, behind what was asked
  before.
- ``module=`` of :func:`start` has no effect, and the queues' tags are all the program's own.
- :class:`PinnedCown` and :func:`pump` are for the main thread; :func:`set_tags` is for all threads
  but the workers.
- At the end of the program behaviors that have not begun are dropped, and bodies that run have a
  second. The child of a fork has a runtime of its own.
"""

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
