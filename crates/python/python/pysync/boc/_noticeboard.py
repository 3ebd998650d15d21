"""The noticeboard: up to 64 values under names, which behaviors leave for each other.

What is on the board is a dict that is never changed: a mutation makes another one. So a snapshot
costs nothing. Mutations are queued, and applied by one thread in the order in which they came.
"""

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Optional

from .. import _pysync

_log = logging.getLogger("pysync.boc")

_MOST_KEYS = 64
_LONGEST_KEY = 63


class _Removed:
    """The type of :data:`REMOVED`."""

    _instance: Optional["_Removed"] = None

    def __new__(cls) -> "_Removed":  # noqa: PYI034  # the one there is
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance

    def __repr__(self) -> str:
        return "REMOVED"

    def __reduce__(self) -> Any:
        return (_Removed, ())


#: What the function of :func:`notice_update` returns to have the key deleted.
REMOVED = _Removed()


#: What is to be called with what; None ends the thread.
_Operations = queue.SimpleQueue[tuple[Callable[..., None] | None, tuple[Any, ...]]]


class _Board:
    """What is on the board, and the thread that changes it."""

    def __init__(self) -> None:
        self.entries: dict[str, Any] = {}
        # Of a change of the entries, and of the thread.
        self.lock = threading.Lock()
        self.queue: _Operations = queue.SimpleQueue()
        self.thread: threading.Thread | None = None

    def put(self, key: str, value: Any) -> None:
        """Write, at once."""
        with self.lock:
            if key not in self.entries and len(self.entries) >= _MOST_KEYS:
                raise RuntimeError(f"the noticeboard has {_MOST_KEYS} keys, and no room for more")
            self.entries = {**self.entries, key: value}

    def remove(self, key: str) -> None:
        """Delete, at once."""
        with self.lock:
            self.entries = {name: self.entries[name] for name in self.entries if name != key}

    def update(self, key: str, function: Callable[[Any], Any], default: Any) -> None:
        """Replace a value by what a function makes of it."""
        value = function(self.entries.get(key, default))
        if value is REMOVED:
            self.remove(key)
        else:
            self.put(key, value)

    def post(self, operation: Callable[..., None], *args: Any) -> None:
        """Have the thread do something, which is started if need be."""
        with self.lock:
            if self.thread is None:
                self.thread = threading.Thread(
                    target=self._run, args=(self.queue,), name="pysync-noticeboard", daemon=True
                )
                self.thread.start()
            self.queue.put((operation, args))

    @staticmethod
    def _run(operations: _Operations) -> None:
        while True:
            operation, args = operations.get()
            if operation is None:
                return
            try:
                operation(*args)
            except Exception as error:  # noqa: BLE001  # the thread goes on
                _log.warning("noticeboard_%s(%r) failed: %s", operation.__name__, args[0], error)
            # The thread sleeps next, and must not keep a value alive meanwhile.
            del operation, args

    def settle(self, timeout: float | None) -> bool:
        """Wait until all is done that was posted before; false after the timeout."""
        with self.lock:
            if self.thread is None:
                return True
            done = threading.Event()
            self.queue.put((lambda event: event.set(), (done,)))
        return done.wait(timeout)

    def stop(self, timeout: float | None) -> bool:
        """End the thread after all that was posted before; false after the timeout."""
        with self.lock:
            thread = self.thread
            if thread is None:
                return True
            self.queue.put((None, ()))
        thread.join(timeout)
        if thread.is_alive():
            return False
        with self.lock:
            self.thread = None
            # A second sentinel may be left of a stop that has timed out.
            self.queue = queue.SimpleQueue()
        return True


_board = _Board()


def _after_fork() -> None:
    global _board
    _board = _Board()


def _settle(timeout: float | None) -> dict[str, Any]:
    """Return what is on the board after all that was posted before."""
    if not _board.settle(timeout):
        raise TimeoutError(
            "quiesce(): what was written to the noticeboard was not there within the timeout"
        )
    return dict(_board.entries)


def _stop(timeout: float | None, asked: float | None) -> dict[str, Any]:
    """End the thread and clear the board. Returns what was on it."""
    if not _board.stop(timeout):
        raise RuntimeError(
            f"noticeboard thread did not shut down within timeout={asked!r}: it runs a function "
            "of notice_update(). The workers have been stopped; call wait() again."
        )
    return _clear()


def _clear() -> dict[str, Any]:
    with _board.lock:
        entries, _board.entries = _board.entries, {}
    return dict(entries)


def _check_key(key: Any) -> None:
    if not isinstance(key, str):
        raise TypeError("noticeboard key must be a str")
    if "\x00" in key:
        raise ValueError("noticeboard key must not contain NUL characters")
    if len(key.encode("utf-8")) > _LONGEST_KEY:
        raise ValueError(f"noticeboard key too long (max {_LONGEST_KEY} UTF-8 bytes)")


def _check(key: Any, verb: str) -> None:
    if not _pysync.running():
        raise RuntimeError(f"cannot {verb} the noticeboard before the runtime is started")
    _check_key(key)


def notice_write(key: str, value: Any) -> None:
    """Have a value written under a key, some time later.

    No order is promised between this and what other behaviors read, not even of those that follow
    this one on a cown. A write that would make more than 64 keys is dropped, with a warning in the
    log.

    :param key: The key, of at most 63 bytes in UTF-8.
    :param value: The value. It is shared, and not copied.
    :raises RuntimeError: If no runtime was started.
    :raises TypeError: If the key is no str.
    :raises ValueError: If the key is too long, or has a NUL.
    """
    _check(key, "write to")
    _board.post(_write, key, value)


def notice_update(key: str, fn: Callable[[Any], Any], default: Any = None) -> None:
    """Have a value replaced by what a function makes of it, some time later.

    The functions run one after the other on a thread of their own. If one raises, the value stays,
    and there is a warning in the log. If one returns :data:`REMOVED`, the key is deleted.

    :param key: The key, of at most 63 bytes in UTF-8.
    :param fn: Any callable. It gets the value.
    :param default: What it gets if there is no value.
    :raises RuntimeError: If no runtime was started.
    :raises TypeError: If the key is no str, or the function is not callable.
    :raises ValueError: If the key is too long, or has a NUL.
    """
    _check(key, "update")
    if not callable(fn):
        raise TypeError("notice_update fn must be callable")
    _board.post(_update, key, fn, default)


def notice_delete(key: str) -> None:
    """Have a key deleted, some time later. One that is not there is none to be deleted.

    :param key: The key.
    :raises RuntimeError: If no runtime was started.
    :raises TypeError: If the key is no str.
    :raises ValueError: If the key is too long, or has a NUL.
    """
    _check(key, "delete from")
    _board.post(_delete, key)


def notice_seed(key: str, value: Any) -> None:
    """Write a value under a key at once: each behavior that begins after that finds it.

    Starts the runtime if there is none.

    :param key: The key, of at most 63 bytes in UTF-8.
    :param value: The value. It is shared, and not copied.
    :raises RuntimeError: In a behavior that runs on a worker; if the noticeboard is full.
    :raises TypeError: If the key is no str.
    :raises ValueError: If the key is too long, or has a NUL.
    """
    if _pysync.on_worker():
        raise RuntimeError(
            "notice_seed may only be called from the primary interpreter, and not by a worker"
        )
    _check_key(key)
    if not _pysync.running():
        from ._behaviors import start

        start()
    _board.put(key, value)


def noticeboard() -> Mapping[str, Any]:
    """Return what is on the noticeboard, as a mapping that cannot be changed.

    In one behavior it is the same each time, whatever is written meanwhile.
    """
    entries: Mapping[str, Any] | None = _pysync.body_note()
    if entries is None:
        entries = MappingProxyType(_board.entries)
        _pysync.set_body_note(entries)
    return entries


def notice_read(key: str, default: Any = None) -> Any:
    """Return one value of :func:`noticeboard`.

    :param key: The key.
    :param default: What to return if there is no value.
    :raises TypeError: If the key is no str.
    :raises ValueError: If the key is too long, or has a NUL.
    """
    _check_key(key)
    return noticeboard().get(key, default)


def _write(key: str, value: Any) -> None:
    _board.put(key, value)


def _update(key: str, fn: Callable[[Any], Any], default: Any) -> None:
    _board.update(key, fn, default)


def _delete(key: str) -> None:
    _board.remove(key)


# What a warning in the log calls them.
_write.__name__, _update.__name__, _delete.__name__ = "write", "update", "delete"
