// A runtime in a page: what a program that is not CPython brings for pysync.

#ifndef HOST_H
#define HOST_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "pysync.h"

// Kept in release builds.
#define CHECK(condition)                                                               \
    do {                                                                               \
        if (!(condition)) {                                                            \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);    \
            abort();                                                                   \
        }                                                                              \
    } while (0)

#define MILLISECOND ((PyTime_t)1000 * 1000)
#define SECOND (1000 * MILLISECOND)

// What the host's own functions leave in errno: no error that a system call has.
#define ERRNO_OF_DETACH 9001
#define ERRNO_OF_ATTACH 9002
#define ERRNO_OF_PENDING_CALLS 9003

// How often threads were detached and attached, and pending calls run.
extern atomic_int detached, attached, pending_calls;
// What pending calls return.
extern atomic_int pending_result;

// Gives the calling thread an attached state, and takes it away. Leave errno as it was, if the
// locks do.
PyThreadState *host_attach(void);
void host_detach(void);

PyTime_t now(void);

// Threads with a state of their own.
typedef void body(void *arg);
void run_threads(int n, body *f, void *arg);
pthread_t start_thread(body *f, void *arg);
void join_thread(pthread_t thread);

// Yields until the byte or word says that a thread is parked.
void wait_for_parked_byte(const uint8_t *bits);

// Sends the thread a signal whose handler does nothing, and yields.
void send_signal(pthread_t thread);

#endif
