// The locks, by their C names and their bits.

#include "host.h"
#include "tests.h"

void
test_sizes(void)
{
    CHECK(sizeof(PyMutex) == 1 && sizeof(PyEvent) == 1 && sizeof(_PyOnceFlag) == 1);
    CHECK(sizeof(_PySeqLock) == 4 && sizeof(_PyRWMutex) == sizeof(void *));
    CHECK(sizeof(PyCriticalSection) == 2 * sizeof(void *));
    CHECK(sizeof(PyCriticalSection2) == 3 * sizeof(void *));
}

struct counter {
    PyMutex mutex;
    _PyRawMutex raw;
    long count;
};

static void
count_with_mutex(void *arg)
{
    struct counter *counter = arg;
    for (int i = 0; i < 5000; i++) {
        PyMutex_Lock(&counter->mutex);
        counter->count++;
        PyMutex_Unlock(&counter->mutex);
    }
}

void
test_mutex_excludes(void)
{
    static struct counter counter;
    run_threads(8, count_with_mutex, &counter);
    CHECK(counter.count == 8 * 5000);
    CHECK(counter.mutex._bits == _Py_UNLOCKED);
}

void
test_mutex_timed(void)
{
    PyMutex m = {0};
    CHECK(_PyMutex_LockTimed(&m, 0, _PY_LOCK_DETACH) == PY_LOCK_ACQUIRED);
    int before = atomic_load(&detached);
    CHECK(_PyMutex_LockTimed(&m, 0, _PY_LOCK_DETACH) == PY_LOCK_FAILURE);
    CHECK(atomic_load(&detached) == before);
    PyTime_t start = now();
    CHECK(_PyMutex_LockTimed(&m, 20 * MILLISECOND, _PY_LOCK_DETACH) == PY_LOCK_FAILURE);
    CHECK(now() - start >= 20 * MILLISECOND);
    CHECK(atomic_load(&detached) == before + 1);
    CHECK(_PyMutex_LockTimed(&m, MILLISECOND, _Py_LOCK_DONT_DETACH) == PY_LOCK_FAILURE);
    CHECK(atomic_load(&detached) == before + 1);
    // PR 116483: a thread that has a state but is not attached is not detached.
    PyThreadState *tstate = PyThreadState_GetUnchecked();
    tstate->state = _Py_THREAD_SUSPENDED;
    CHECK(_PyMutex_LockTimed(&m, MILLISECOND, _PY_LOCK_DETACH) == PY_LOCK_FAILURE);
    CHECK(atomic_load(&detached) == before + 1);
    tstate->state = _Py_THREAD_ATTACHED;
    CHECK(_PyMutex_TryUnlock(&m) == 0);
    CHECK(_PyMutex_TryUnlock(&m) == -1);
}

// The fast paths, as a caller in C inlines them.
static void
raw_lock(_PyRawMutex *m)
{
    uintptr_t expected = _Py_UNLOCKED;
    if (!__atomic_compare_exchange_n(&m->v, &expected, _Py_LOCKED, 0, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST)) {
        _PyRawMutex_LockSlow(m);
    }
}

static void
raw_unlock(_PyRawMutex *m)
{
    uintptr_t expected = _Py_LOCKED;
    if (!__atomic_compare_exchange_n(&m->v, &expected, _Py_UNLOCKED, 0, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST)) {
        _PyRawMutex_UnlockSlow(m);
    }
}

static void
count_with_raw_mutex(void *arg)
{
    struct counter *counter = arg;
    for (int i = 0; i < 5000; i++) {
        raw_lock(&counter->raw);
        counter->count++;
        raw_unlock(&counter->raw);
    }
}

void
test_raw_mutex_excludes(void)
{
    static struct counter counter;
    int before = atomic_load(&detached);
    run_threads(8, count_with_raw_mutex, &counter);
    CHECK(counter.count == 8 * 5000);
    CHECK(counter.raw.v == 0);
    // The threads' own ends, and not one wait.
    CHECK(atomic_load(&detached) == before + 8);
}

static int
fail_four_times(void *arg)
{
    return ++*(int *)arg < 5 ? -1 : 0;
}

void
test_once(void)
{
    _PyOnceFlag once = {0};
    int calls = 0;
    for (int i = 0; i < 10; i++) {
        CHECK(_PyOnceFlag_CallOnceSlow(&once, fail_four_times, &calls) == (i < 4 ? -1 : 0));
        CHECK(once.v == (i < 4 ? _Py_UNLOCKED : _Py_ONCE_INITIALIZED));
    }
    CHECK(calls == 5);
}

void
test_recursive_mutex(void)
{
    _PyRecursiveMutex m = {{0}, 0, 0};
    CHECK(!_PyRecursiveMutex_IsLockedByCurrentThread(&m));
    _PyRecursiveMutex_Lock(&m);
    CHECK(_PyRecursiveMutex_IsLockedByCurrentThread(&m));
    CHECK(m.mutex._bits == _Py_LOCKED && m.level == 0);
    CHECK(m.thread == PyThread_get_thread_ident_ex());
    _PyRecursiveMutex_Lock(&m);
    CHECK(m.level == 1);
    _PyRecursiveMutex_Unlock(&m);
    CHECK(m.level == 0 && m.mutex._bits == _Py_LOCKED);
    _PyRecursiveMutex_Unlock(&m);
    CHECK(m.mutex._bits == _Py_UNLOCKED && m.thread == 0);
}

struct shared {
    _PyRWMutex rw;
    long value;
};

static void
read_and_write(void *arg)
{
    struct shared *shared = arg;
    for (int i = 0; i < 2000; i++) {
        if (i % 4 == 0) {
            _PyRWMutex_Lock(&shared->rw);
            shared->value++;
            _PyRWMutex_Unlock(&shared->rw);
        }
        else {
            _PyRWMutex_RLock(&shared->rw);
            long value = shared->value;
            CHECK(value == *(volatile long *)&shared->value);
            _PyRWMutex_RUnlock(&shared->rw);
        }
    }
}

void
test_rwmutex(void)
{
    static struct shared shared;
    _PyRWMutex_RLock(&shared.rw);
    _PyRWMutex_RLock(&shared.rw);
    CHECK(shared.rw.bits == 8);
    _PyRWMutex_RUnlock(&shared.rw);
    CHECK(shared.rw.bits == 4);
    _PyRWMutex_RUnlock(&shared.rw);
    _PyRWMutex_Lock(&shared.rw);
    CHECK(shared.rw.bits == 1);
    _PyRWMutex_Unlock(&shared.rw);
    CHECK(shared.rw.bits == 0);
    run_threads(4, read_and_write, &shared);
    CHECK(shared.value == 4 * 500);
    CHECK(shared.rw.bits == 0);
}

void
test_seqlock(void)
{
    _PySeqLock lock = {0};
    uint32_t before = _PySeqLock_BeginRead(&lock);
    CHECK(before == 0 && _PySeqLock_EndRead(&lock, before) == 1);
    _PySeqLock_LockWrite(&lock);
    CHECK(lock.sequence == 1);
    _PySeqLock_AbandonWrite(&lock);
    CHECK(lock.sequence == 0 && _PySeqLock_EndRead(&lock, before) == 1);
    _PySeqLock_LockWrite(&lock);
    _PySeqLock_UnlockWrite(&lock);
    CHECK(lock.sequence == 2 && _PySeqLock_EndRead(&lock, before) == 0);
    CHECK(_PySeqLock_AfterFork(&lock) == 0 && lock.sequence == 2);
    _PySeqLock_LockWrite(&lock);
    CHECK(_PySeqLock_AfterFork(&lock) == 1 && lock.sequence == 0);
}
