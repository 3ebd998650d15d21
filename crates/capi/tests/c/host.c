#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "host.h"

atomic_int detached, attached, pending_calls, pending_result;

static _Thread_local PyThreadState *current;
static _Thread_local PyThreadState own;

PyThreadState *
PyThreadState_GetUnchecked(void)
{
    return current;
}

// What the program calls to detach; leaves errno to the locks that it uses.
static void
detach(PyThreadState *tstate)
{
    CHECK(tstate == current && tstate->state == _Py_THREAD_ATTACHED);
    if (tstate->critical_section != 0) {
        _PyCriticalSection_SuspendAll(tstate);
    }
    tstate->state = _Py_THREAD_DETACHED;
    current = NULL;
    atomic_fetch_add(&detached, 1);
}

static void
attach(PyThreadState *tstate)
{
    CHECK(current == NULL && tstate == &own && tstate->state == _Py_THREAD_DETACHED);
    current = tstate;
    tstate->state = _Py_THREAD_ATTACHED;
    atomic_fetch_add(&attached, 1);
    if (tstate->critical_section != 0) {
        _PyCriticalSection_Resume(tstate);
    }
}

// What the locks call. Each changes errno, as a runtime may that makes system calls in there.

void
PyEval_ReleaseThread(PyThreadState *tstate)
{
    detach(tstate);
    errno = ERRNO_OF_DETACH;
}

void
PyEval_AcquireThread(PyThreadState *tstate)
{
    attach(tstate);
    errno = ERRNO_OF_ATTACH;
}

int
Py_MakePendingCalls(void)
{
    CHECK(current == NULL || current->state == _Py_THREAD_ATTACHED);
    atomic_fetch_add(&pending_calls, 1);
    errno = ERRNO_OF_PENDING_CALLS;
    return atomic_load(&pending_result);
}

unsigned long long
PyThread_get_thread_ident_ex(void)
{
    return (unsigned long long)(uintptr_t)&own;
}

void
_Py_FatalErrorFunc(const char *func, const char *message)
{
    printf("fatal: %s: %s\n", func, message);
    fflush(stdout);
    _exit(3);
}

PyThreadState *
host_attach(void)
{
    attach(&own);
    return &own;
}

void
host_detach(void)
{
    detach(&own);
}

PyTime_t
now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * SECOND + ts.tv_nsec;
}

struct start {
    body *f;
    void *arg;
};

static void *
thread_main(void *p)
{
    struct start start = *(struct start *)p;
    free(p);
    host_attach();
    start.f(start.arg);
    host_detach();
    return NULL;
}

pthread_t
start_thread(body *f, void *arg)
{
    struct start *start = malloc(sizeof(*start));
    *start = (struct start){f, arg};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, thread_main, start) == 0);
    return thread;
}

void
join_thread(pthread_t thread)
{
    CHECK(pthread_join(thread, NULL) == 0);
}

void
run_threads(int n, body *f, void *arg)
{
    pthread_t threads[64];
    CHECK(n <= 64);
    for (int i = 0; i < n; i++) {
        threads[i] = start_thread(f, arg);
    }
    for (int i = 0; i < n; i++) {
        join_thread(threads[i]);
    }
}

void
wait_for_parked_byte(const uint8_t *bits)
{
    while ((__atomic_load_n(bits, __ATOMIC_SEQ_CST) & _Py_HAS_PARKED) == 0) {
        sched_yield();
    }
}

static void
nothing(int signal)
{
    (void)signal;
}

void
send_signal(pthread_t thread)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = nothing;
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    CHECK(pthread_kill(thread, SIGUSR1) == 0);
    sched_yield();
}
