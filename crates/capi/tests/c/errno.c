// Every function leaves errno as it was, whatever happened inside: a wake that was quicker than the
// sleep (EAGAIN), a timeout, a signal, or a detach by a host that changes errno itself.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host.h"
#include "tests.h"

// No call sets this.
#define SENTINEL 9000
// How long a test goes on, if its loops do not end before: on a busy machine.
#define ENOUGH (2 * SECOND)

static PyTime_t end;

// Whether the loop that is about to begin its turn `i` has gone on for long enough.
static bool
is_over(int i)
{
    return i % 64 == 0 && now() > end;
}

// One call in the source.
struct site {
    const char *text;
    atomic_long calls, changes;
    atomic_int last;
    struct site *next;
};

static struct site *_Atomic sites;

static void
record(struct site *site, int found)
{
    if (atomic_fetch_add_explicit(&site->calls, 1, memory_order_relaxed) == 0) {
        site->next = atomic_load(&sites);
        while (!atomic_compare_exchange_weak(&sites, &site->next, site)) {
        }
    }
    if (found != SENTINEL) {
        atomic_fetch_add(&site->changes, 1);
        atomic_store(&site->last, found);
    }
}

// Makes the call and counts it, and whether it has changed errno.
#define KEEPS_ERRNO(call)                           \
    do {                                            \
        static struct site site_ = {.text = #call}; \
        errno = SENTINEL;                           \
        call;                                       \
        record(&site_, errno);                      \
    } while (0)

// Fails if a call has changed errno, and says which.
static void
no_call_changed_errno(void)
{
    long calls = 0, changes = 0;
    for (struct site *site = atomic_load(&sites); site != NULL; site = site->next) {
        long of_site = atomic_load(&site->changes);
        calls += atomic_load(&site->calls);
        changes += of_site;
        if (of_site != 0) {
            fprintf(stderr, "errno changed by %ld of %ld calls, last to %d: %s\n", of_site,
                    atomic_load(&site->calls), atomic_load(&site->last), site->text);
        }
    }
    fprintf(stderr, "errno changed by %ld of %ld calls\n", changes, calls);
    CHECK(calls > 0 && changes == 0);
}

// Called by the holder of a lock: lets other threads run, so that they find it locked, and from
// time to time for so long that they stop spinning and sleep.
static void
dawdle(int i)
{
    if (i % 64 == 0) {
        nanosleep(&(struct timespec){.tv_nsec = 1000}, NULL);
    }
    else if (i % 8 == 0) {
        sched_yield();
    }
}

// How often threads have called `host_detach`.
static atomic_int detached_by_themselves;

// Runs threads until their loops end. Some waits must have slept, which is when a lock detaches
// its thread; those of a raw mutex, with `detaching` false, never do.
static void
run_until_enough(int n, body *f, void *arg, bool detaching)
{
    end = now() + ENOUGH;
    int before = atomic_load(&detached);
    run_threads(n, f, arg);
    int by_themselves = n + atomic_load(&detached_by_themselves);
    int by_locks = atomic_load(&detached) - before - by_themselves;
    CHECK(detaching ? by_locks > 10 : by_locks == 0);
}

struct mutexes {
    PyMutex mutex;
    _PyRecursiveMutex recursive;
};

static void
use_mutexes(void *arg)
{
    struct mutexes *mutexes = arg;
    for (int i = 0; i < 20000 && !is_over(i); i++) {
        KEEPS_ERRNO(PyMutex_Lock(&mutexes->mutex));
        dawdle(i);
        KEEPS_ERRNO(PyMutex_Unlock(&mutexes->mutex));
        if (i % 8 == 0) {
            PyLockStatus status;
            KEEPS_ERRNO(status = _PyMutex_LockTimed(&mutexes->mutex, MILLISECOND / 50,
                                                    _PY_LOCK_DETACH));
            if (status == PY_LOCK_ACQUIRED) {
                dawdle(i);
                KEEPS_ERRNO(_PyMutex_TryUnlock(&mutexes->mutex));
            }
            KEEPS_ERRNO(_PyRecursiveMutex_Lock(&mutexes->recursive));
            KEEPS_ERRNO(_PyRecursiveMutex_Lock(&mutexes->recursive));
            KEEPS_ERRNO(_PyRecursiveMutex_IsLockedByCurrentThread(&mutexes->recursive));
            dawdle(i);
            KEEPS_ERRNO(_PyRecursiveMutex_Unlock(&mutexes->recursive));
            KEEPS_ERRNO(_PyRecursiveMutex_Unlock(&mutexes->recursive));
        }
    }
}

void
test_errno_mutex(void)
{
    static struct mutexes mutexes;
    run_until_enough(8, use_mutexes, &mutexes, true);
    KEEPS_ERRNO(_PyMutex_TryUnlock(&mutexes.mutex));
    PyMutex_Lock(&mutexes.mutex);
    KEEPS_ERRNO(_PyMutex_LockTimed(&mutexes.mutex, MILLISECOND, _PY_LOCK_DETACH));
    KEEPS_ERRNO(_PyMutex_LockTimed(&mutexes.mutex, 0, _PY_LOCK_DETACH));
    no_call_changed_errno();
}

// Only the slow paths are functions. A lock by the slow path is a lock like any other.
static void
use_raw_mutex(void *arg)
{
    _PyRawMutex *m = arg;
    for (int i = 0; i < 20000 && !is_over(i); i++) {
        KEEPS_ERRNO(_PyRawMutex_LockSlow(m));
        dawdle(i);
        KEEPS_ERRNO(_PyRawMutex_UnlockSlow(m));
    }
}

void
test_errno_raw_mutex(void)
{
    static _PyRawMutex raw;
    run_until_enough(8, use_raw_mutex, &raw, false);
    CHECK(raw.v == 0);
    no_call_changed_errno();
}

struct versioned {
    _PyRWMutex rw;
    _PySeqLock seq;
};

static void
read_and_write(void *arg)
{
    struct versioned *versioned = arg;
    for (int i = 0; i < 10000 && !is_over(i); i++) {
        if (i % 4 == 0) {
            KEEPS_ERRNO(_PyRWMutex_Lock(&versioned->rw));
            dawdle(i);
            KEEPS_ERRNO(_PyRWMutex_Unlock(&versioned->rw));
            KEEPS_ERRNO(_PySeqLock_LockWrite(&versioned->seq));
            dawdle(i);
            if (i % 8 == 0) {
                KEEPS_ERRNO(_PySeqLock_UnlockWrite(&versioned->seq));
            }
            else {
                KEEPS_ERRNO(_PySeqLock_AbandonWrite(&versioned->seq));
            }
        }
        else {
            KEEPS_ERRNO(_PyRWMutex_RLock(&versioned->rw));
            dawdle(i + 1);
            KEEPS_ERRNO(_PyRWMutex_RUnlock(&versioned->rw));
            uint32_t before;
            KEEPS_ERRNO(before = _PySeqLock_BeginRead(&versioned->seq));
            KEEPS_ERRNO(_PySeqLock_EndRead(&versioned->seq, before));
        }
    }
}

void
test_errno_rwmutex_and_seqlock(void)
{
    static struct versioned versioned;
    run_until_enough(8, read_and_write, &versioned, true);
    CHECK(versioned.rw.bits == 0 && versioned.seq.sequence % 2 == 0);
    no_call_changed_errno();
}

#define ROUNDS 10000

struct rounds {
    PyEvent events[ROUNDS];
    _PyOnceFlag onces[ROUNDS];
    atomic_int threads;
    atomic_int failures[ROUNDS];
};

static int
fail_once(void *arg)
{
    sched_yield();
    return atomic_fetch_add((atomic_int *)arg, 1) == 0 ? -1 : 0;
}

static void
wait_round_by_round(void *arg)
{
    struct rounds *rounds = arg;
    int self = atomic_fetch_add(&rounds->threads, 1);
    int i = 0;
    for (; i < ROUNDS && !is_over(i); i++) {
        int status;
        KEEPS_ERRNO(status = _PyOnceFlag_CallOnceSlow(&rounds->onces[i], fail_once,
                                                      &rounds->failures[i]));
        if (status != 0) {
            KEEPS_ERRNO(_PyOnceFlag_CallOnceSlow(&rounds->onces[i], fail_once,
                                                 &rounds->failures[i]));
        }
        if (i % 4 == self) {
            KEEPS_ERRNO(_PyEvent_Notify(&rounds->events[i]));
        }
        else if (i % 8 == 0) {
            KEEPS_ERRNO(PyEvent_WaitTimed(&rounds->events[i], MILLISECOND / 50, 1));
        }
        KEEPS_ERRNO(PyEvent_Wait(&rounds->events[i]));
        KEEPS_ERRNO(_PyEvent_IsSet(&rounds->events[i]));
    }
    // For a thread that goes on for longer.
    for (; i < ROUNDS; i++) {
        if (i % 4 == self) {
            _PyEvent_Notify(&rounds->events[i]);
        }
    }
}

void
test_errno_event_and_once(void)
{
    static struct rounds rounds;
    run_until_enough(4, wait_round_by_round, &rounds, true);
    static PyEvent never;
    KEEPS_ERRNO(PyEvent_WaitTimed(&never, MILLISECOND, 0));
    KEEPS_ERRNO(PyEvent_WaitTimed(&never, 0, 0));
    no_call_changed_errno();
}

struct turns {
    uint64_t word;
    atomic_int waiters;
    atomic_bool stop;
};

static void
count_the_woken(void *arg, void *park_arg, int has_more_waiters)
{
    (void)has_more_waiters;
    *(long *)arg += park_arg != NULL;
}

static void
park_for_a_while(void *arg)
{
    struct turns *turns = arg;
    for (int i = 0; !atomic_load(&turns->stop); i++) {
        uint64_t expected = __atomic_load_n(&turns->word, __ATOMIC_RELAXED);
        // Some of these time out and some are woken as they do.
        PyTime_t timeout = i % 4 == 0 ? MILLISECOND / 50 : 10 * MILLISECOND;
        KEEPS_ERRNO(
            _PyParkingLot_Park(&turns->word, &expected, sizeof(turns->word), timeout, turns, i % 2));
    }
}

void
test_errno_park(void)
{
    static struct turns turns;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        threads[i] = start_thread(park_for_a_while, &turns);
    }
    long woken = 0;
    end = now() + ENOUGH;
    while (now() < end && woken < 200000) {
        KEEPS_ERRNO(_PyParkingLot_Unpark(&turns.word, count_the_woken, &woken));
        if (woken % 8 == 0) {
            __atomic_fetch_add(&turns.word, 1, __ATOMIC_RELAXED);
            KEEPS_ERRNO(_PyParkingLot_UnparkAll(&turns.word));
        }
    }
    atomic_store(&turns.stop, true);
    for (int i = 0; i < 4; i++) {
        join_thread(threads[i]);
    }
    CHECK(woken > 10);
    uint64_t other = turns.word + 1;
    KEEPS_ERRNO(_PyParkingLot_Park(&turns.word, &other, sizeof(other), -1, NULL, 1));
    no_call_changed_errno();
}

// In the child, of a write that the fork cut off.
void
test_errno_after_fork(void)
{
    static struct turns turns;
    pthread_t thread = start_thread(park_for_a_while, &turns);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        KEEPS_ERRNO(_PyParkingLot_AfterFork());
        KEEPS_ERRNO(_PySeqLock_AfterFork(&(_PySeqLock){1}));
        no_call_changed_errno();
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    atomic_store(&turns.stop, true);
    join_thread(thread);
}

struct ping_pong {
    _PySemaphore ping, pong;
    atomic_bool stop;
};

static void
pong(void *arg)
{
    struct ping_pong *pair = arg;
    for (int i = 0; !atomic_load(&pair->stop); i++) {
        KEEPS_ERRNO(_PySemaphore_Wait(&pair->ping, -1, i % 2));
        KEEPS_ERRNO(_PySemaphore_Wakeup(&pair->pong));
    }
}

void
test_errno_semaphore(void)
{
    static struct ping_pong pair;
    KEEPS_ERRNO(_PySemaphore_Init(&pair.ping));
    KEEPS_ERRNO(_PySemaphore_Init(&pair.pong));
    pthread_t thread = start_thread(pong, &pair);
    end = now() + ENOUGH;
    for (int i = 0; i < 10000 && !is_over(i); i++) {
        KEEPS_ERRNO(_PySemaphore_Wakeup(&pair.ping));
        int status;
        do {
            PyTime_t timeout = i % 4 == 0 ? MILLISECOND / 100 : SECOND;
            KEEPS_ERRNO(status = _PySemaphore_Wait(&pair.pong, timeout, i % 2));
        } while (status != Py_PARK_OK);
    }
    atomic_store(&pair.stop, true);
    _PySemaphore_Wakeup(&pair.ping);
    join_thread(thread);
    KEEPS_ERRNO(_PySemaphore_Wait(&pair.pong, 0, 1));
    for (int i = 0; i < 1000 && !is_over(i); i++) {
        KEEPS_ERRNO(_PySemaphore_Wait(&pair.pong, MILLISECOND / 100, i % 2));
    }
    KEEPS_ERRNO(_PySemaphore_Destroy(&pair.ping));
    KEEPS_ERRNO(_PySemaphore_Destroy(&pair.pong));
    no_call_changed_errno();
}

struct interrupted {
    _PySemaphore semaphore;
    PyMutex mutex;
    PyEvent event;
    uint8_t word;
    atomic_bool done;
};

// Each wait ends by a signal, but for the mutex's: its pending calls succeed, and it times out.
static void
wait_for_signals(void *arg)
{
    struct interrupted *interrupted = arg;
    uint8_t expected = 0;
    for (int i = 0; i < 500 && now() < end; i++) {
        int status;
        KEEPS_ERRNO(status = _PySemaphore_Wait(&interrupted->semaphore, -1, i % 2));
        CHECK(status == Py_PARK_INTR);
        KEEPS_ERRNO(status = _PyParkingLot_Park(&interrupted->word, &expected, 1, -1, NULL, i % 2));
        CHECK(status == Py_PARK_INTR);
        KEEPS_ERRNO(status = PyEvent_WaitTimed(&interrupted->event, -1, i % 2));
        CHECK(status == 0);
        KEEPS_ERRNO(status = _PyMutex_LockTimed(&interrupted->mutex, MILLISECOND / 2,
                                                _PY_LOCK_DETACH | _PY_LOCK_HANDLE_SIGNALS));
        CHECK(status == PY_LOCK_FAILURE);
    }
    atomic_store(&interrupted->done, true);
}

void
test_errno_signals(void)
{
    static struct interrupted interrupted;
    _PySemaphore_Init(&interrupted.semaphore);
    PyMutex_Lock(&interrupted.mutex);
    end = now() + ENOUGH;
    pthread_t thread = start_thread(wait_for_signals, &interrupted);
    while (!atomic_load(&interrupted.done)) {
        send_signal(thread);
    }
    join_thread(thread);
    CHECK(atomic_load(&pending_calls) > 0);
    no_call_changed_errno();
}

struct objects {
    PyObject a, b;
    atomic_int turn;
};

static void
use_sections(void *arg)
{
    struct objects *objects = arg;
    int turn = atomic_fetch_add(&objects->turn, 1);
    PyObject *first = turn % 2 ? &objects->a : &objects->b;
    PyObject *second = turn % 2 ? &objects->b : &objects->a;
    PyThreadState *tstate = PyThreadState_GetUnchecked();
    for (int i = 0; i < 10000 && !is_over(i); i++) {
        PyCriticalSection outer, inner;
        PyCriticalSection2 both;
        KEEPS_ERRNO(PyCriticalSection_Begin(&outer, first));
        dawdle(i);
        KEEPS_ERRNO(PyCriticalSection_Begin(&inner, second));
        KEEPS_ERRNO(PyCriticalSection_End(&inner));
        KEEPS_ERRNO(PyCriticalSection_End(&outer));
        KEEPS_ERRNO(PyCriticalSection2_Begin(&both, first, second));
        dawdle(i);
        KEEPS_ERRNO(_PyCriticalSection_SuspendAll(tstate));
        dawdle(i);
        KEEPS_ERRNO(_PyCriticalSection_Resume(tstate));
        KEEPS_ERRNO(PyCriticalSection2_End(&both));
        // What inlined callers call.
        KEEPS_ERRNO(_PyCriticalSection_BeginSlow(&outer, &first->ob_mutex));
        KEEPS_ERRNO(PyCriticalSection_End(&outer));
        KEEPS_ERRNO(_PyCriticalSection2_BeginSlow(&both, &objects->a.ob_mutex,
                                                  &objects->b.ob_mutex, 0));
        KEEPS_ERRNO(PyCriticalSection2_End(&both));
    }
}

void
test_errno_sections(void)
{
    static struct objects objects;
    run_until_enough(4, use_sections, &objects, true);
    no_call_changed_errno();
}

static atomic_long opened, misread;

// A blocking call that fails, detached, inside a section: what CPython's `open` does.
static void
open_in_a_section(void *arg)
{
    PyObject *object = arg;
    for (int i = 0; i < 30000 && !is_over(i); i++) {
        PyCriticalSection c;
        PyCriticalSection_Begin(&c, object);
        atomic_fetch_add(&detached_by_themselves, 1);
        host_detach();
        int fd = open("/nonexistent", O_RDONLY);
        host_attach();
        int error = errno;
        dawdle(i);
        PyCriticalSection_End(&c);
        CHECK(fd == -1);
        atomic_fetch_add(&opened, 1);
        if (error != ENOENT) {
            atomic_fetch_add(&misread, 1);
        }
    }
}

void
test_errno_across_attach(void)
{
    static PyObject object;
    run_until_enough(8, open_in_a_section, &object, true);
    fprintf(stderr, "the error of open was lost %ld times of %ld\n", misread, opened);
    CHECK(opened > 0 && misread == 0);
}
