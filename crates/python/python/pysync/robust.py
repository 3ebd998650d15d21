"""A mutex in any buffer, between processes, that survives its owner.

>>> from multiprocessing.shared_memory import SharedMemory
>>> from pysync.robust import Mutex
>>> memory = SharedMemory(create=True, size=4096)
>>> mutex = Mutex(memory.buf)
>>> mutex.initialize()
>>> with mutex:
...     memory.buf[Mutex.SIZE] += 1

Another process makes a `Mutex` of the same memory and does not initialize it.

>>> mutex.destroy()
>>> del mutex
>>> memory.close()
>>> memory.unlink()
"""

import errno as _errno

from ._pysync import Mutex

__all__ = ["Mutex", "OwnerDied", "SyncError"]


class SyncError(OSError):
    """A mutex refuses. `errno` says why, and `context["errno"]` says the same."""

    def __init__(self, message, errno, **context):
        super().__init__(errno, message)
        self.context = {"errno": errno, **context}

    def __reduce__(self):
        return type(self)._restore, (self.strerror, self.errno, self.context)

    @classmethod
    def _restore(cls, message, errno, context):
        return cls(message, **{**context, "errno": errno})


class OwnerDied(SyncError):
    """An owner of a mutex has died with it, and what it protects is not repaired yet.

    The mutex is not acquired. The exception is a context manager that acquires it for the repair, and
    gives true if the repair is still to be done.

    >>> def repair(): pass
    >>> mutex = Mutex()
    >>> mutex.initialize()
    >>> try:
    ...     with mutex:
    ...         pass
    ... except OwnerDied as died:
    ...     with died as is_broken:
    ...         if is_broken:
    ...             repair()
    ...             died.make_consistent()

    If the block is left before `make_consistent` is called, the data is given up: all who acquire the
    mutex get ENOTRECOVERABLE, until it is initialized again.
    """

    def __init__(self, mutex):
        super().__init__("an owner of the mutex has died", _errno.EOWNERDEAD)
        self.mutex = mutex

    def __enter__(self):
        return self.mutex.repair()

    def __exit__(self, exc_type, exc_value, traceback):
        self.mutex.release()

    def make_consistent(self):
        """Says that what the mutex protects is repaired."""
        self.mutex.make_consistent()

    def __reduce__(self):
        return type(self), (self.mutex,)
