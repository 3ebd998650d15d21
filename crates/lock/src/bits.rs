//! The bits of the words of a byte: a mutex, an event, a once flag.

/// Bit 0 of a mutex, an event or a once flag.
///
/// CPython: Include/cpython/lock.h:L5 _Py_UNLOCKED
pub(crate) const UNLOCKED: u8 = 0;
/// CPython: Include/cpython/lock.h:L6 _Py_LOCKED
pub(crate) const LOCKED: u8 = 1;
/// Threads may be parked on the word.
///
/// CPython: Include/internal/pycore_lock.h:L17 _Py_HAS_PARKED
pub(crate) const HAS_PARKED: u8 = 2;
/// A once flag that is done for good.
///
/// CPython: Include/internal/pycore_lock.h:L18 _Py_ONCE_INITIALIZED
pub(crate) const ONCE_INITIALIZED: u8 = 4;
