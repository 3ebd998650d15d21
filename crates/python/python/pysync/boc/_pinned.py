"""The behaviors of pinned cowns, which run on the main thread."""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from .. import _pysync

#: The most milliseconds whose nanoseconds have 64 bits.
_MAX_PUMP_MS = (1 << 63) // 1_000_000 - 1

_on_starve: Callable[[int, str], None] | None = None


class PumpResult(NamedTuple):
    """What a :func:`pump` has done."""

    #: How many bodies have run.
    executed: int
    #: Whether it has ended since its time was over.
    deadline_reached: bool
    #: How many of the bodies have raised an exception.
    raised: int


def _check_bound(name: str, value: Any, most: int | None = None) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        kind = type(value).__name__
        raise TypeError(f"{name} must be None or a positive int, got {kind}")
    if value <= 0:
        raise TypeError(f"{name} must be None or a positive int, got {value}")
    if most is not None and value > most:
        raise OverflowError(f"{name}={value} exceeds the most that is possible, {most}")


def pump(
    deadline_ms: int | None = None,
    max_behaviors: int | None = None,
    raise_on_error: bool = False,
) -> PumpResult:
    """Run the behaviors of pinned cowns that are ready, one after the other.

    To be called by the event loop of the main thread; :func:`wait` and :func:`quiesce` do it by
    themselves.

    :param deadline_ms: After how many milliseconds to begin no other; None for no limit.
    :param max_behaviors: How many at most; None for no limit.
    :param raise_on_error: Whether to end with the first exception, and to raise it. An exception
        that is no :class:`Exception`, such as KeyboardInterrupt, does that in any case. It is the
        result of its behavior too, and those that were not begun stay where they are.
    :return: What was done.
    :raises TypeError: If a limit is no positive int.
    :raises OverflowError: If the time is too long.
    :raises RuntimeError: If no runtime was started; on another than the main thread; inside a
        behavior.
    """
    _check_bound("deadline_ms", deadline_ms, _MAX_PUMP_MS)
    _check_bound("max_behaviors", max_behaviors)
    return PumpResult(*_pysync.pump(deadline_ms, max_behaviors, bool(raise_on_error)))


def set_pump_watchdog(
    warn_ms: int | None = 1000,
    on_starve: Callable[[int, str], None] | None = None,
) -> None:
    """Have a pump warn if behaviors of pinned cowns had to wait for it for long. Off at first.

    :param warn_ms: After how many milliseconds in which some were ready all the time; None turns
        the warning off. It comes once, until none is ready.
    :param on_starve: What to call with 0 and a text; by default it goes to the log ``bocpy.pump``.
    :raises TypeError: If the time is no positive int, or the function is not callable.
    :raises OverflowError: If the time is too long.
    """
    global _on_starve
    if warn_ms is not None:
        if isinstance(warn_ms, bool) or not isinstance(warn_ms, int) or warn_ms <= 0:
            raise TypeError(f"warn_ms must be a positive int or None to disable, got {warn_ms!r}")
        _check_bound("warn_ms", warn_ms, _MAX_PUMP_MS)
    if on_starve is not None and not callable(on_starve):
        raise TypeError(f"on_starve must be a callable or None, got {on_starve!r}")
    _on_starve = on_starve
    _pysync.set_warn_after(warn_ms)


def _warn_starved(ms: int, depth: int) -> None:
    """Tell that behaviors have waited. The pump calls it."""
    text = f"pinned-cown queue non-empty for {ms} ms without a pump() (depth={depth})"
    if _on_starve is None:
        logging.getLogger("bocpy.pump").warning(text)
    else:
        _on_starve(0, text)


def set_wait_pump_poll(ms: int = 50) -> None:
    """Set how long :func:`wait` and :func:`quiesce` sleep at most before they look for behaviors.

    They are woken when one is ready, so that this is a bound and nothing that a program should
    need.

    :param ms: How many milliseconds.
    :raises TypeError: If it is no positive int.
    """
    if isinstance(ms, bool) or not isinstance(ms, int) or ms <= 0:
        raise TypeError(f"ms must be a positive int, got {ms!r}")
    _pysync.set_poll(min(ms, _MAX_PUMP_MS))
