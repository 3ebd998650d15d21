// Sleeping and waking: the parking lot, the semaphore, the event, signals and fork.

#include <sched.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host.h"
#include "tests.h"

struct parked {
    uint64_t word;
    size_t size;
    int token;
    int status;
    atomic_bool done;
};

static void
park_on_word(void *arg)
{
    struct parked *parked = arg;
    uint64_t expected = parked->word;
    parked->status =
        _PyParkingLot_Park(&parked->word, &expected, parked->size, -1, &parked->token, 1);
}

static void
look(void *arg, void *park_arg, int has_more_waiters)
{
    (void)has_more_waiters;
    *(void **)arg = park_arg;
}

void
test_park(void)
{
    for (size_t size = 1; size <= 8; size *= 2) {
        static struct parked parked;
        memset(&parked, 0, sizeof(parked));
        parked.word = 0x0706050403020100;
        parked.size = size;

        // Another value in the last byte that counts.
        uint64_t other = parked.word;
        ((char *)&other)[size - 1] ^= 1;
        CHECK(_PyParkingLot_Park(&parked.word, &other, size, -1, NULL, 0) == Py_PARK_AGAIN);
        uint64_t same = parked.word;
        CHECK(_PyParkingLot_Park(&parked.word, &same, size, MILLISECOND, NULL, 1) ==
              Py_PARK_TIMEOUT);

        void *seen = &seen;
        _PyParkingLot_Unpark(&parked.word, look, &seen);
        CHECK(seen == NULL);

        pthread_t thread = start_thread(park_on_word, &parked);
        while (seen == NULL) {
            sched_yield();
            _PyParkingLot_Unpark(&parked.word, look, &seen);
        }
        CHECK(seen == &parked.token);
        join_thread(thread);
        CHECK(parked.status == Py_PARK_OK);
    }
}

static void
look_for_more(void *arg, void *park_arg, int has_more_waiters)
{
    CHECK(park_arg != NULL);
    *(int *)arg = has_more_waiters;
}

static void
park_on_byte(void *arg)
{
    uint8_t *byte = arg;
    CHECK(_PyParkingLot_Park(byte, &(uint8_t){1}, 1, -1, byte, 1) == Py_PARK_OK);
}

// Of the threads in a bucket only those on the same address count. C counts all.
void
test_has_more_waiters(void)
{
    // Two addresses in one of the 257 buckets.
    static uint8_t bytes[258];
    uint8_t *addresses[] = {&bytes[0], &bytes[0], &bytes[257]};
    memset(bytes, 1, sizeof(bytes));
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        int before = atomic_load(&detached);
        threads[i] = start_thread(park_on_byte, addresses[i]);
        // A thread detaches once it is queued.
        while (atomic_load(&detached) == before) {
            sched_yield();
        }
    }
    int more[3];
    for (int i = 0; i < 3; i++) {
        _PyParkingLot_Unpark(addresses[i], look_for_more, &more[i]);
    }
    CHECK(more[0] == 1 && more[1] == 0 && more[2] == 0);
    for (int i = 0; i < 3; i++) {
        join_thread(threads[i]);
    }
}

void
test_semaphore(void)
{
    _PySemaphore sema;
    memset(&sema, 0xff, sizeof(sema));
    _PySemaphore_Init(&sema);
    CHECK(_PySemaphore_Wait(&sema, 0, 0) == Py_PARK_TIMEOUT);
    _PySemaphore_Wakeup(&sema);
    _PySemaphore_Wakeup(&sema);
    CHECK(_PySemaphore_Wait(&sema, -1, 1) == Py_PARK_OK);
    CHECK(_PySemaphore_Wait(&sema, SECOND, 1) == Py_PARK_OK);
    CHECK(_PySemaphore_Wait(&sema, MILLISECOND, 1) == Py_PARK_TIMEOUT);
    _PySemaphore_Destroy(&sema);
}

static void
wait_for_event(void *arg)
{
    PyEvent_Wait(arg);
}

void
test_event(void)
{
    static PyEvent event;
    CHECK(!_PyEvent_IsSet(&event));
    // Without a timeout it only looks: C parks and detaches.
    int before = atomic_load(&detached);
    CHECK(PyEvent_WaitTimed(&event, 0, 1) == 0);
    CHECK(event.v == _Py_UNLOCKED && atomic_load(&detached) == before);
    CHECK(PyEvent_WaitTimed(&event, MILLISECOND, 1) == 0);
    CHECK(event.v == _Py_HAS_PARKED && atomic_load(&detached) == before + 1);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        threads[i] = start_thread(wait_for_event, &event);
    }
    _PyEvent_Notify(&event);
    for (int i = 0; i < 4; i++) {
        join_thread(threads[i]);
    }
    _PyEvent_Notify(&event);
    CHECK(_PyEvent_IsSet(&event) && event.v == 1);
    CHECK(PyEvent_WaitTimed(&event, 0, 0) == 1);
}

struct interrupted {
    PyMutex mutex;
    PyEvent event;
    PyLockStatus status;
    int event_status;
    atomic_bool timed_out, done;
};

static void
lock_until_interrupted(void *arg)
{
    struct interrupted *interrupted = arg;
    interrupted->status = _PyMutex_LockTimed(&interrupted->mutex, -1,
                                             _PY_LOCK_DETACH | _PY_LOCK_HANDLE_SIGNALS);
    interrupted->event_status = PyEvent_WaitTimed(&interrupted->event, -1, 1);
    atomic_store(&interrupted->done, true);
}

// A failing pending call ends a lock, and any signal a wait for an event.
void
test_signals_end_waits(void)
{
    static struct interrupted interrupted;
    PyMutex_Lock(&interrupted.mutex);
    atomic_store(&pending_result, -1);
    pthread_t thread = start_thread(lock_until_interrupted, &interrupted);
    while (!atomic_load(&interrupted.done)) {
        send_signal(thread);
    }
    join_thread(thread);
    CHECK(interrupted.status == PY_LOCK_INTR);
    CHECK(interrupted.event_status == 0 && !_PyEvent_IsSet(&interrupted.event));
    CHECK(atomic_load(&pending_calls) == 1);
    CHECK(_PyMutex_TryUnlock(&interrupted.mutex) == 0);
}

static void
lock_through_signals(void *arg)
{
    struct interrupted *interrupted = arg;
    PyTime_t start = now();
    CHECK(_PyMutex_LockTimed(&interrupted->mutex, 20 * MILLISECOND,
                             _PY_LOCK_DETACH | _PY_LOCK_HANDLE_SIGNALS) == PY_LOCK_FAILURE);
    CHECK(now() - start >= 20 * MILLISECOND);
    atomic_store(&interrupted->timed_out, true);
    interrupted->status = _PyMutex_LockTimed(&interrupted->mutex, -1,
                                             _PY_LOCK_DETACH | _PY_LOCK_HANDLE_SIGNALS);
    atomic_store(&interrupted->done, true);
}

// One that succeeds does not, and the deadline stands.
void
test_signals_pass_through(void)
{
    static struct interrupted interrupted;
    PyMutex_Lock(&interrupted.mutex);
    pthread_t thread = start_thread(lock_through_signals, &interrupted);
    while (!atomic_load(&interrupted.timed_out) || atomic_load(&pending_calls) < 100) {
        send_signal(thread);
    }
    PyMutex_Unlock(&interrupted.mutex);
    while (!atomic_load(&interrupted.done)) {
        send_signal(thread);
    }
    join_thread(thread);
    CHECK(interrupted.status == PY_LOCK_ACQUIRED);
    CHECK(_PyMutex_TryUnlock(&interrupted.mutex) == 0);
}

static void
lock_and_unlock(void *arg)
{
    PyMutex_Lock(arg);
    PyMutex_Unlock(arg);
}

void
test_fork(void)
{
    static PyMutex mutex;
    PyMutex_Lock(&mutex);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        threads[i] = start_thread(lock_and_unlock, &mutex);
    }
    wait_for_parked_byte(&mutex._bits);
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            _PyParkingLot_AfterFork();
            // Held by the thread that forked, which is this one.
            PyMutex_Unlock(&mutex);
            CHECK(mutex._bits == _Py_UNLOCKED);
            run_threads(4, lock_and_unlock, &mutex);
            _exit(0);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
    PyMutex_Unlock(&mutex);
    for (int i = 0; i < 4; i++) {
        join_thread(threads[i]);
    }
}
