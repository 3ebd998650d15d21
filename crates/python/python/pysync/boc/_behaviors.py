"""The runtime of behaviors: its start, its end, what waits for it, and strict mode."""

import logging
import os
import threading
import time
from typing import Any, Literal, NamedTuple, overload

from .. import _pysync
from . import _noticeboard

_log = logging.getLogger("pysync.boc")


def _physical_cores() -> int:
    """Count the cores that this process may use, each with all its hardware threads; 0 if unknown."""
    try:
        siblings = set()
        for cpu in os.sched_getaffinity(0):
            path = f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
            with open(path, encoding="ascii") as file:
                siblings.add(file.read())
        return len(siblings)
    except (AttributeError, OSError):
        return 0


def _default_worker_count() -> int:
    """Return BOCPY_WORKERS, or one worker less than there are cores, and at least one."""
    try:
        from_environment = int(os.environ.get("BOCPY_WORKERS", ""))
    except ValueError:
        from_environment = 0
    if from_environment >= 1:
        return from_environment
    cores = _physical_cores()
    if cores == 0:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    return max(1, (cores or os.cpu_count() or 1) - 1)


#: How many workers a runtime has if :func:`start` is not told.
WORKER_COUNT: int = _default_worker_count()


class WaitResult(NamedTuple):
    """What :func:`wait` and :func:`quiesce` return if they are asked for both."""

    #: Statistics of the workers, a dict for each.
    stats: list[dict[str, int]]
    #: What was on the noticeboard.
    noticeboard: dict[str, Any]


class _Remaining:
    """What is left of a timeout, on each call."""

    def __init__(self, timeout: float | None):
        self._deadline = None if timeout is None else time.monotonic() + timeout

    def __call__(self) -> float | None:
        if self._deadline is None:
            return None
        return max(0.0, self._deadline - time.monotonic())


def strict(on: bool = True) -> bool:
    """Refuse behaviors that bocpy could not run, from now on, or accept them again.

    Refused at their decoration are functions that close over a variable, and what is no plain
    function, such as a method, a built-in or a decorated function that is a wrapper. Refused where
    they are given to a cown, a message or :func:`whencall` are values that cannot be pickled.
    Besides, :meth:`Cown.unwrap` without a timeout wants that no behavior at all is in flight. The
    environment variable ``PYSYNC_BOC_STRICT=1`` has the same effect from the start.

    :param on: Whether to refuse them.
    :return: What was set before.
    """
    return _pysync.set_strict(bool(on))


def _check_module(module: Any) -> None:
    name = module[0] if isinstance(module, tuple) and module else module
    if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
        raise ValueError(f"module_name must be a dotted Python module path; got {name!r}")


def start(worker_count: int | None = None, module: Any = None) -> None:
    """Start the runtime, unless it runs. The first behavior does the same.

    :param worker_count: How many worker threads; :data:`WORKER_COUNT` by default.
    :param module: Accepted for the sake of bocpy's programs, and without effect: workers share
        all modules.
    :raises RuntimeError: If a runtime runs with another number of workers.
    :raises ValueError: If the number is out of range, or the module's name is none.
    """
    if module is not None:
        _check_module(module)
    running = _pysync.running()
    if not running and _pysync.start(WORKER_COUNT if worker_count is None else worker_count):
        return
    running = running or _pysync.running()
    if worker_count is not None and worker_count != running:
        raise RuntimeError(
            f"bocpy.start(worker_count={worker_count}) was called but the runtime is already up "
            f"with worker_count={running}. Call wait() to stop it first."
        )


def _bundle(
    stats: bool, noticeboard: bool, workers: list[dict[str, int]], board: dict[str, Any]
) -> Any:
    if stats and noticeboard:
        return WaitResult(workers, board)
    if stats:
        return workers
    return board if noticeboard else None


@overload
def quiesce(
    timeout: float | None = None,
    *,
    stats: Literal[False] = False,
    noticeboard: Literal[False] = False,
) -> None: ...
@overload
def quiesce(
    timeout: float | None = None, *, stats: Literal[True], noticeboard: Literal[False] = False
) -> list[dict[str, int]]: ...
@overload
def quiesce(
    timeout: float | None = None, *, stats: Literal[False] = False, noticeboard: Literal[True]
) -> dict[str, Any]: ...
@overload
def quiesce(
    timeout: float | None = None, *, stats: Literal[True], noticeboard: Literal[True]
) -> WaitResult: ...
@overload
def quiesce(
    timeout: float | None = None, *, stats: bool = False, noticeboard: bool = False
) -> list[dict[str, int]] | dict[str, Any] | WaitResult | None: ...
def quiesce(timeout: float | None = None, *, stats: bool = False, noticeboard: bool = False) -> Any:
    """Wait until no behavior is scheduled or runs. The runtime goes on.

    Runs the behaviors of pinned cowns meanwhile. A signal's handler runs during the wait, and
    the wait ends if it raises.

    :param timeout: For how many seconds at most; None waits for ever.
    :param stats: Whether to return statistics of the workers.
    :param noticeboard: Whether to return what is on the noticeboard, after all that was written
        before.
    :return: None, a list of dicts, a dict, or a :class:`WaitResult` with both.
    :raises TimeoutError: If that has lasted too long.
    :raises RuntimeError: Inside a behavior; on another than the main thread, if there are pinned
        cowns.
    """
    if not _pysync.running():
        return _bundle(stats, noticeboard, [], {})
    remaining = _Remaining(timeout)
    if not _pysync.quiesce(timeout):
        raise TimeoutError(
            f"quiesce(): runtime did not reach quiescence within timeout={timeout!r}"
        )
    workers = _pysync.worker_stats() if stats else []
    board = _noticeboard._settle(remaining()) if noticeboard else {}
    return _bundle(stats, noticeboard, workers, board)


@overload
def wait(
    timeout: float | None = None,
    *,
    stats: Literal[False] = False,
    noticeboard: Literal[False] = False,
) -> None: ...
@overload
def wait(
    timeout: float | None = None, *, stats: Literal[True], noticeboard: Literal[False] = False
) -> list[dict[str, int]]: ...
@overload
def wait(
    timeout: float | None = None, *, stats: Literal[False] = False, noticeboard: Literal[True]
) -> dict[str, Any]: ...
@overload
def wait(
    timeout: float | None = None, *, stats: Literal[True], noticeboard: Literal[True]
) -> WaitResult: ...
@overload
def wait(
    timeout: float | None = None, *, stats: bool = False, noticeboard: bool = False
) -> list[dict[str, int]] | dict[str, Any] | WaitResult | None: ...
def wait(timeout: float | None = None, *, stats: bool = False, noticeboard: bool = False) -> Any:
    """Wait until no behavior is scheduled or runs, and stop the runtime.

    After the timeout it is stopped all the same: bodies that run are waited for, and behaviors
    that have not begun are dropped; a RuntimeError is their result. The next behavior starts
    another runtime. Until then the calling thread may look at all cowns without acquiring them.

    :param timeout: For how many seconds at most to wait for behaviors, and for the noticeboard;
        None waits for ever.
    :param stats: Whether to return statistics of the workers.
    :param noticeboard: Whether to return what was on the noticeboard at the end.
    :return: None, a list of dicts, a dict, or a :class:`WaitResult` with both.
    :raises RuntimeError: If a function given to :func:`notice_update` runs for longer than that:
        call it again. Inside a behavior; on another than the main thread, if there are pinned
        cowns.
    """
    remaining = _Remaining(timeout)
    board: dict[str, Any] = {}
    workers: list[dict[str, int]] = []
    if _pysync.running():
        try:
            if noticeboard:
                board = quiesce(timeout, noticeboard=True)
            else:
                quiesce(timeout)
        except TimeoutError as error:
            _log.warning("wait(): %s; stopping the runtime", error)
        workers = _pysync.stop() or []
    at_end = _noticeboard._stop(remaining(), timeout)
    return _bundle(stats, noticeboard, workers, at_end or board)


strict(os.environ.get("PYSYNC_BOC_STRICT") == "1")
_pysync.configure(threading.main_thread().ident or 0, WORKER_COUNT)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_noticeboard._after_fork)
