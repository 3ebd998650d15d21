/* The C face of pysync: the locks of CPython 3.13's lock.o, parking_lot.o and critical_section.o,
 * for programs that are not CPython. CPython itself needs no header, it has its own.
 *
 * Names, types and meaning are CPython 3.13.15's; see docs/abi.md. All types are valid when
 * zeroed. The program brings the six functions at the end: what a lock asks of a runtime. */

#ifndef PYSYNC_H
#define PYSYNC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Nanoseconds. A negative timeout waits forever, 0 does not wait. */
typedef int64_t PyTime_t;

/* Mutex: one byte, fair after a millisecond */

#define _Py_UNLOCKED 0
#define _Py_LOCKED 1
#define _Py_HAS_PARKED 2

typedef struct PyMutex {
    uint8_t _bits;
} PyMutex;

typedef enum PyLockStatus {
    PY_LOCK_FAILURE = 0,
    PY_LOCK_ACQUIRED = 1,
    PY_LOCK_INTR
} PyLockStatus;

typedef enum _PyLockFlags {
    _Py_LOCK_DONT_DETACH = 0,
    _PY_LOCK_DETACH = 1,
    _PY_LOCK_HANDLE_SIGNALS = 2,
} _PyLockFlags;

void PyMutex_Lock(PyMutex *m);
void PyMutex_Unlock(PyMutex *m); /* fatal if it is not locked */
PyLockStatus _PyMutex_LockTimed(PyMutex *m, PyTime_t timeout_ns, _PyLockFlags flags);
int _PyMutex_TryUnlock(PyMutex *m); /* 0, or -1 if it is not locked */

/* Raw mutex: a word that keeps its waiters itself. Only the slow paths are functions. */

typedef struct {
    uintptr_t v;
} _PyRawMutex;

void _PyRawMutex_LockSlow(_PyRawMutex *m);
void _PyRawMutex_UnlockSlow(_PyRawMutex *m);

/* Event: set once */

typedef struct {
    uint8_t v;
} PyEvent;

int _PyEvent_IsSet(PyEvent *evt);
void _PyEvent_Notify(PyEvent *evt);
void PyEvent_Wait(PyEvent *evt);
/* 1 if the event is set, 0 after the timeout or a signal. */
int PyEvent_WaitTimed(PyEvent *evt, PyTime_t timeout_ns, int detach);

/* Once flag: succeeds once */

#define _Py_ONCE_INITIALIZED 4

typedef struct {
    uint8_t v;
} _PyOnceFlag;

typedef int _Py_once_fn_t(void *arg); /* 0, or -1 to be tried again */

int _PyOnceFlag_CallOnceSlow(_PyOnceFlag *flag, _Py_once_fn_t *fn, void *arg);

/* Recursive mutex */

typedef struct {
    PyMutex mutex;
    unsigned long long thread;
    size_t level;
} _PyRecursiveMutex;

int _PyRecursiveMutex_IsLockedByCurrentThread(_PyRecursiveMutex *m);
void _PyRecursiveMutex_Lock(_PyRecursiveMutex *m);
void _PyRecursiveMutex_Unlock(_PyRecursiveMutex *m); /* fatal if another thread has it */

/* Readers-writer lock: writers first */

typedef struct {
    uintptr_t bits;
} _PyRWMutex;

void _PyRWMutex_RLock(_PyRWMutex *rwmutex);
void _PyRWMutex_RUnlock(_PyRWMutex *rwmutex);
void _PyRWMutex_Lock(_PyRWMutex *rwmutex);
void _PyRWMutex_Unlock(_PyRWMutex *rwmutex);

/* Sequence lock */

typedef struct {
    uint32_t sequence;
} _PySeqLock;

void _PySeqLock_LockWrite(_PySeqLock *seqlock);
void _PySeqLock_UnlockWrite(_PySeqLock *seqlock);
void _PySeqLock_AbandonWrite(_PySeqLock *seqlock);
uint32_t _PySeqLock_BeginRead(_PySeqLock *seqlock);
int _PySeqLock_EndRead(_PySeqLock *seqlock, uint32_t previous);
int _PySeqLock_AfterFork(_PySeqLock *seqlock);

/* Parking lot: sleep by address */

enum {
    Py_PARK_OK = 0,
    Py_PARK_AGAIN = -1,
    Py_PARK_TIMEOUT = -2,
    Py_PARK_INTR = -3,
};

typedef void _Py_unpark_fn_t(void *arg, void *park_arg, int has_more_waiters);

int _PyParkingLot_Park(const void *address, const void *expected, size_t address_size,
                       PyTime_t timeout_ns, void *park_arg, int detach);
void _PyParkingLot_Unpark(const void *address, _Py_unpark_fn_t *fn, void *arg);
void _PyParkingLot_UnparkAll(const void *address);
void _PyParkingLot_AfterFork(void);

/* Semaphore: what one thread sleeps on */

typedef struct _PySemaphore {
    uint64_t opaque[4];
} _PySemaphore;

void _PySemaphore_Init(_PySemaphore *sema);
void _PySemaphore_Destroy(_PySemaphore *sema);
int _PySemaphore_Wait(_PySemaphore *sema, PyTime_t timeout_ns, int detach);
void _PySemaphore_Wakeup(_PySemaphore *sema);

/* Critical sections */

#define _Py_CRITICAL_SECTION_INACTIVE 0x1
#define _Py_CRITICAL_SECTION_TWO_MUTEXES 0x2

/* What a section locks: any object with a mutex in it. */
typedef struct PyObject {
    PyMutex ob_mutex;
} PyObject;

typedef struct PyCriticalSection {
    uintptr_t _cs_prev;
    PyMutex *_cs_mutex;
} PyCriticalSection;

typedef struct PyCriticalSection2 {
    PyCriticalSection _cs_base;
    PyMutex *_cs_mutex2;
} PyCriticalSection2;

#define _Py_THREAD_DETACHED 0
#define _Py_THREAD_ATTACHED 1
#define _Py_THREAD_SUSPENDED 2

/* What a runtime knows of a thread. It may have more fields behind these. */
typedef struct PyThreadState {
    int state;
    uintptr_t critical_section;
} PyThreadState;

void PyCriticalSection_Begin(PyCriticalSection *c, PyObject *op);
void PyCriticalSection_End(PyCriticalSection *c);
void PyCriticalSection2_Begin(PyCriticalSection2 *c, PyObject *a, PyObject *b);
void PyCriticalSection2_End(PyCriticalSection2 *c);
void _PyCriticalSection_BeginSlow(PyCriticalSection *c, PyMutex *m);
void _PyCriticalSection2_BeginSlow(PyCriticalSection2 *c, PyMutex *m1, PyMutex *m2,
                                   int is_m1_locked);
/* For PyEval_ReleaseThread and PyEval_AcquireThread below, of a thread that has sections. */
void _PyCriticalSection_SuspendAll(PyThreadState *tstate);
void _PyCriticalSection_Resume(PyThreadState *tstate);

/* What the program brings */

/* The calling thread's state, or NULL. */
PyThreadState *PyThreadState_GetUnchecked(void);
/* Detach and attach the calling thread, around a sleep. */
void PyEval_ReleaseThread(PyThreadState *tstate);
void PyEval_AcquireThread(PyThreadState *tstate);
/* Run what signal handlers have left to do; negative ends the wait with PY_LOCK_INTR. */
int Py_MakePendingCalls(void);
/* Not 0, and no other living thread's. */
unsigned long long PyThread_get_thread_ident_ex(void);
/* Misuse. Does not return. */
void _Py_FatalErrorFunc(const char *func, const char *message);

#ifdef __cplusplus
}
#endif

#endif /* !PYSYNC_H */
