/* What CPython's lock.o and parking_lot.o ask of the rest of an interpreter, for a process that
   has none: no thread is ever attached, and nothing is pending. */
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

__thread void *_Py_tss_tstate = NULL;

unsigned long long PyThread_get_thread_ident_ex(void) { return (unsigned long long)pthread_self(); }

int PyTime_MonotonicRaw(int64_t *result)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) {
        return -1;
    }
    *result = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    return 0;
}

int64_t _PyTime_Add(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? (a < 0 ? INT64_MIN : INT64_MAX) : sum;
}

int64_t _PyDeadline_Get(int64_t deadline)
{
    int64_t now = 0;
    PyTime_MonotonicRaw(&now);
    return deadline - now;
}

void _PyTime_AsTimespec_clamp(int64_t nanos, struct timespec *result)
{
    result->tv_sec = nanos / 1000000000;
    result->tv_nsec = nanos % 1000000000;
    if (result->tv_nsec < 0) {
        result->tv_nsec += 1000000000;
        result->tv_sec -= 1;
    }
}

int Py_MakePendingCalls(void) { return 0; }

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "lockbench: CPython's lock code: %s\n", what);
    abort();
}

void PyEval_AcquireThread(void *state) { (void)state; die("attach of a thread that has no state"); }
void PyEval_ReleaseThread(void *state) { (void)state; die("detach of a thread that has no state"); }
void _Py_FatalErrorFunc(const char *function, const char *message) { (void)function; die(message); }
void _Py_FatalErrorFormat(const char *function, const char *format, ...)
{
    (void)format;
    die(function);
}
