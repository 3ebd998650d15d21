// What the Rust side must know about the headers, and what it relies on. Compiled to assembly by
// build.rs, never linked.

#ifdef PYSYNC_CPYTHON
#  include "Python.h"
#  if PY_MAJOR_VERSION != 3 || PY_MINOR_VERSION != 13
#    error "pysync-capi stands in for the locks of CPython 3.13, and these are the headers of another version"
#  endif
#  ifndef Py_GIL_DISABLED
#    error "pysync-capi stands in for the locks of a free-threaded CPython: configure it with --disable-gil"
#  endif
#  include "pycore_critical_section.h"
#  include "pycore_lock.h"
#  include "pycore_parking_lot.h"
#  include "pycore_pystate.h"
#  include "pycore_semaphore.h"
#  undef PyMutex_Lock
#  undef PyMutex_Unlock
#  undef PyCriticalSection_Begin
#  undef PyCriticalSection_End
#  undef PyCriticalSection2_Begin
#  undef PyCriticalSection2_End
#else
#  include "pysync.h"
#endif

#include <stddef.h>

// Every symbol has the type that the Rust side gives it.
#define IS(symbol, type) \
    _Static_assert(__builtin_types_compatible_p(__typeof__(&symbol), type), \
                   #symbol " has another type than pysync-capi gives it")

IS(PyMutex_Lock, void (*)(PyMutex *));
IS(PyMutex_Unlock, void (*)(PyMutex *));
IS(_PyMutex_LockTimed, PyLockStatus (*)(PyMutex *, PyTime_t, _PyLockFlags));
IS(_PyMutex_TryUnlock, int (*)(PyMutex *));
IS(_PyRawMutex_LockSlow, void (*)(_PyRawMutex *));
IS(_PyRawMutex_UnlockSlow, void (*)(_PyRawMutex *));
IS(_PyEvent_IsSet, int (*)(PyEvent *));
IS(_PyEvent_Notify, void (*)(PyEvent *));
IS(PyEvent_Wait, void (*)(PyEvent *));
IS(PyEvent_WaitTimed, int (*)(PyEvent *, PyTime_t, int));
IS(_PyOnceFlag_CallOnceSlow, int (*)(_PyOnceFlag *, int (*)(void *), void *));
IS(_PyRecursiveMutex_IsLockedByCurrentThread, int (*)(_PyRecursiveMutex *));
IS(_PyRecursiveMutex_Lock, void (*)(_PyRecursiveMutex *));
IS(_PyRecursiveMutex_Unlock, void (*)(_PyRecursiveMutex *));
IS(_PyRWMutex_RLock, void (*)(_PyRWMutex *));
IS(_PyRWMutex_RUnlock, void (*)(_PyRWMutex *));
IS(_PyRWMutex_Lock, void (*)(_PyRWMutex *));
IS(_PyRWMutex_Unlock, void (*)(_PyRWMutex *));
IS(_PySeqLock_LockWrite, void (*)(_PySeqLock *));
IS(_PySeqLock_UnlockWrite, void (*)(_PySeqLock *));
IS(_PySeqLock_AbandonWrite, void (*)(_PySeqLock *));
IS(_PySeqLock_BeginRead, uint32_t (*)(_PySeqLock *));
IS(_PySeqLock_EndRead, int (*)(_PySeqLock *, uint32_t));
IS(_PySeqLock_AfterFork, int (*)(_PySeqLock *));
IS(_PyParkingLot_Park, int (*)(const void *, const void *, size_t, PyTime_t, void *, int));
IS(_PyParkingLot_Unpark, void (*)(const void *, void (*)(void *, void *, int), void *));
IS(_PyParkingLot_UnparkAll, void (*)(const void *));
IS(_PyParkingLot_AfterFork, void (*)(void));
IS(_PySemaphore_Init, void (*)(_PySemaphore *));
IS(_PySemaphore_Destroy, void (*)(_PySemaphore *));
IS(_PySemaphore_Wait, int (*)(_PySemaphore *, PyTime_t, int));
IS(_PySemaphore_Wakeup, void (*)(_PySemaphore *));
IS(PyCriticalSection_Begin, void (*)(PyCriticalSection *, PyObject *));
IS(PyCriticalSection_End, void (*)(PyCriticalSection *));
IS(PyCriticalSection2_Begin, void (*)(PyCriticalSection2 *, PyObject *, PyObject *));
IS(PyCriticalSection2_End, void (*)(PyCriticalSection2 *));
IS(_PyCriticalSection_BeginSlow, void (*)(PyCriticalSection *, PyMutex *));
IS(_PyCriticalSection2_BeginSlow, void (*)(PyCriticalSection2 *, PyMutex *, PyMutex *, int));
IS(_PyCriticalSection_SuspendAll, void (*)(PyThreadState *));
IS(_PyCriticalSection_Resume, void (*)(PyThreadState *));

// And so have the imports.
IS(PyThreadState_GetUnchecked, PyThreadState *(*)(void));
IS(PyEval_AcquireThread, void (*)(PyThreadState *));
IS(PyEval_ReleaseThread, void (*)(PyThreadState *));
IS(Py_MakePendingCalls, int (*)(void));
IS(PyThread_get_thread_ident_ex, unsigned long long (*)(void));
// (A `noreturn` makes the pointer another type to GCC, so only a call is looked at.)
_Static_assert(__builtin_types_compatible_p(__typeof__(_Py_FatalErrorFunc("", "")), void),
               "_Py_FatalErrorFunc has another type than pysync-capi gives it");

// What inlined callers know without asking.
#define SAME(what, value) _Static_assert((what) == (value), #what " is not " #value)

SAME(_Py_UNLOCKED, 0);
SAME(_Py_LOCKED, 1);
SAME(_Py_HAS_PARKED, 2);
SAME(_Py_ONCE_INITIALIZED, 4);
SAME(_Py_LOCK_DONT_DETACH, 0);
SAME(_PY_LOCK_DETACH, 1);
SAME(_PY_LOCK_HANDLE_SIGNALS, 2);
SAME(PY_LOCK_FAILURE, 0);
SAME(PY_LOCK_ACQUIRED, 1);
SAME(PY_LOCK_INTR, 2);
SAME(Py_PARK_OK, 0);
SAME(Py_PARK_AGAIN, -1);
SAME(Py_PARK_TIMEOUT, -2);
SAME(Py_PARK_INTR, -3);
SAME(_Py_CRITICAL_SECTION_INACTIVE, 1);
SAME(_Py_CRITICAL_SECTION_TWO_MUTEXES, 2);
SAME(_Py_THREAD_ATTACHED, 1);
SAME(sizeof(PyTime_t), 8);
SAME(sizeof(_PyLockFlags), sizeof(int));

SAME(offsetof(_PyRecursiveMutex, mutex), 0);
SAME(offsetof(_PyRecursiveMutex, thread), 8);
SAME(offsetof(_PyRecursiveMutex, level), 8 + sizeof(unsigned long long));
SAME(offsetof(PyCriticalSection, _cs_prev), 0);
SAME(offsetof(PyCriticalSection, _cs_mutex), sizeof(void *));
SAME(offsetof(PyCriticalSection2, _cs_base), 0);
SAME(offsetof(PyCriticalSection2, _cs_mutex2), 2 * sizeof(void *));
SAME(sizeof(((PyThreadState *)0)->critical_section), sizeof(void *));
SAME(sizeof(((PyThreadState *)0)->state), sizeof(int));

// The numbers, as text in the assembly: `->NAME 123`.
#define MARK(name, value) __asm__ volatile(".ascii \"->" #name " %c0\"" : : "i"(value))

void
pysync_layout(void)
{
    MARK(TSTATE_CRITICAL_SECTION, offsetof(PyThreadState, critical_section));
    MARK(TSTATE_STATE, offsetof(PyThreadState, state));
    MARK(OBJECT_MUTEX, offsetof(PyObject, ob_mutex));
    MARK(SIZEOF_MUTEX, sizeof(PyMutex));
    MARK(SIZEOF_EVENT, sizeof(PyEvent));
    MARK(SIZEOF_ONCE_FLAG, sizeof(_PyOnceFlag));
    MARK(SIZEOF_SEQ_LOCK, sizeof(_PySeqLock));
    MARK(SIZEOF_RAW_MUTEX, sizeof(_PyRawMutex));
    MARK(SIZEOF_RW_MUTEX, sizeof(_PyRWMutex));
    MARK(SIZEOF_RECURSIVE_MUTEX, sizeof(_PyRecursiveMutex));
    MARK(SIZEOF_SEMAPHORE, sizeof(_PySemaphore));
    MARK(ALIGNOF_SEMAPHORE, _Alignof(_PySemaphore));
    MARK(SIZEOF_CRITICAL_SECTION, sizeof(PyCriticalSection));
    MARK(SIZEOF_CRITICAL_SECTION2, sizeof(PyCriticalSection2));
}
