//! The bits of a word of one byte. A mutex, an event and a once flag share them, as in C; the
//! latter two give bit 0 names of their own.

/// No bit is set. The mutex is unlocked, the event is unset, the once flag is incomplete.
///
/// CPython: Include/cpython/lock.h:L5 _Py_UNLOCKED
pub(crate) const UNLOCKED: u8 = 0;
/// Bit 0. The mutex is locked, the event is set, the call of the once flag is running.
///
/// CPython: Include/cpython/lock.h:L6 _Py_LOCKED
pub(crate) const LOCKED: u8 = 1;
/// Bit 1. A thread is parked on the word, or about to be. It may stay set after that thread has
/// given up.
///
/// CPython: Include/internal/pycore_lock.h:L17 _Py_HAS_PARKED
pub(crate) const HAS_PARKED: u8 = 2;
/// Bit 2, of a once flag only. A call has succeeded.
///
/// CPython: Include/internal/pycore_lock.h:L18 _Py_ONCE_INITIALIZED
pub(crate) const ONCE_INITIALIZED: u8 = 4;
