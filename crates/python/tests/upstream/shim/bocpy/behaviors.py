"""What bocpy's tests use of its module of that name, as far as it has a counterpart."""

from pysync import _pysync
from pysync.boc import _pinned

_MAX_PUMP_MS = _pinned._MAX_PUMP_MS


def _validate_pump_bound(name, value, *, ms=False):
    _pinned._check_bound(name, value, _MAX_PUMP_MS if ms else None)
    return value


def __getattr__(name):
    # There is a runtime, or none.
    if name == "BEHAVIORS":
        return _pysync.running() or None
    raise AttributeError(name)
