// Misuse: each test ends in the host's `_Py_FatalErrorFunc`, which exits with a code of its own.

#include "host.h"
#include "tests.h"

void
test_fatal_unlock(void)
{
    PyMutex m = {0};
    PyMutex_Unlock(&m);
}

void
test_fatal_raw_unlock(void)
{
    _PyRawMutex m = {0};
    _PyRawMutex_LockSlow(&m);
    _PyRawMutex_UnlockSlow(&m);
    _PyRawMutex_UnlockSlow(&m);
}

// The word while an unlocker takes a waiter off the list: locked, and no other thread may unlock it.
void
test_fatal_raw_unlock_twice_at_once(void)
{
    _PyRawMutex m = {0x3};
    _PyRawMutex_UnlockSlow(&m);
}

static int
neither(void *arg)
{
    (void)arg;
    return 5;
}

void
test_fatal_once(void)
{
    _PyOnceFlag once = {0};
    _PyOnceFlag_CallOnceSlow(&once, neither, NULL);
}

void
test_fatal_recursive_unlock(void)
{
    _PyRecursiveMutex m = {{0}, 0, 0};
    _PyRecursiveMutex_Unlock(&m);
}

void
test_fatal_recursive_overflow(void)
{
    _PyRecursiveMutex m = {{0}, 0, 0};
    _PyRecursiveMutex_Lock(&m);
    m.level = SIZE_MAX;
    _PyRecursiveMutex_Lock(&m);
}

// The mutex in it, which a caller in C can reach.
void
test_fatal_recursive_inner_unlock(void)
{
    _PyRecursiveMutex m = {{0}, 0, 0};
    _PyRecursiveMutex_Lock(&m);
    PyMutex_Unlock(&m.mutex);
    _PyRecursiveMutex_Unlock(&m);
}

void
test_fatal_rwmutex_runlock(void)
{
    _PyRWMutex rw = {0};
    _PyRWMutex_RUnlock(&rw);
}

void
test_fatal_rwmutex_unlock(void)
{
    _PyRWMutex rw = {0};
    _PyRWMutex_RLock(&rw);
    _PyRWMutex_Unlock(&rw);
}

void
test_fatal_rwmutex_readers(void)
{
    _PyRWMutex rw = {SIZE_MAX & ~(uintptr_t)3};
    _PyRWMutex_RLock(&rw);
}

void
test_fatal_seqlock_unlock(void)
{
    _PySeqLock lock = {2};
    _PySeqLock_UnlockWrite(&lock);
}

void
test_fatal_seqlock_abandon(void)
{
    _PySeqLock lock = {2};
    _PySeqLock_AbandonWrite(&lock);
}

void
test_fatal_park_size(void)
{
    uint32_t word = 0;
    _PyParkingLot_Park(&word, &word, 3, 0, NULL, 0);
}

void
test_fatal_section_order(void)
{
    PyObject a = {{0}}, b = {{0}};
    PyCriticalSection outer, inner;
    PyCriticalSection_Begin(&outer, &a);
    PyCriticalSection_Begin(&inner, &b);
    PyCriticalSection_End(&outer);
}

void
test_fatal_section2_order(void)
{
    PyObject a = {{0}}, b = {{0}}, c = {{0}}, d = {{0}};
    PyCriticalSection2 outer, inner;
    PyCriticalSection2_Begin(&outer, &a, &b);
    PyCriticalSection2_Begin(&inner, &c, &d);
    PyCriticalSection2_End(&outer);
}

void
test_fatal_section_twice_ended(void)
{
    PyObject a = {{0}}, b = {{0}};
    PyCriticalSection c;
    PyCriticalSection_Begin(&c, &a);
    PyCriticalSection_End(&c);
    // As the inlined end leaves it.
    c._cs_mutex = &b.ob_mutex;
    PyCriticalSection_End(&c);
}

void
test_fatal_section_unlocked(void)
{
    PyObject a = {{0}};
    PyCriticalSection c;
    PyCriticalSection_Begin(&c, &a);
    PyMutex_Unlock(&a.ob_mutex);
    PyCriticalSection_End(&c);
}

void
test_fatal_section2_unlocked(void)
{
    PyObject a = {{0}}, b = {{0}};
    PyCriticalSection2 c;
    PyCriticalSection2_Begin(&c, &a, &b);
    PyMutex_Unlock(&b.ob_mutex);
    PyCriticalSection2_End(&c);
}

void
test_fatal_suspend_unlocked(void)
{
    PyObject a = {{0}};
    PyCriticalSection c;
    PyCriticalSection_Begin(&c, &a);
    PyMutex_Unlock(&a.ob_mutex);
    _PyCriticalSection_SuspendAll(PyThreadState_GetUnchecked());
}

void
test_fatal_resume_active(void)
{
    PyObject a = {{0}};
    PyCriticalSection c;
    PyCriticalSection_Begin(&c, &a);
    _PyCriticalSection_Resume(PyThreadState_GetUnchecked());
}

void
test_fatal_resume_nothing(void)
{
    _PyCriticalSection_Resume(PyThreadState_GetUnchecked());
}

void
test_fatal_section_without_thread(void)
{
    PyObject a = {{0}};
    PyCriticalSection c;
    host_detach();
    PyCriticalSection_Begin(&c, &a);
}
