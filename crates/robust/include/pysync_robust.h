/* A mutex in any buffer, between processes, that survives its owner.
 *
 * The C face of the Rust crate pysync-robust, whose documentation has the whole story. Programs in C,
 * C++ and Rust may share a mutex if they use the same C library. A minimal program:
 *
 *     pysync_robust_t *mutex = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
 *     int error = pysync_robust_open(mutex, false, PYSYNC_ROBUST_NEVER, NULL);
 *     ...
 *     error = pysync_robust_acquire(mutex, PYSYNC_ROBUST_NEVER);
 *     if (error == EOWNERDEAD) {
 *         repair_the_data();
 *         error = pysync_robust_make_consistent(mutex);
 *     }
 *     if (error != 0)
 *         fail(pysync_robust_error());
 *     use_the_data();
 *     pysync_robust_release(mutex);
 *
 * What holds for all functions:
 *
 * - They return 0 or an error number of <errno.h>. What errno itself is after a call is unspecified.
 * - Any thread of any process may call them at any time, on the same block too.
 * - `block` is PYSYNC_ROBUST_SIZE bytes, aligned to PYSYNC_ROBUST_ALIGN, mapped readable and writable.
 *   They stay mapped at this address for as long as a thread of this process is in a call or holds the
 *   mutex. Nothing else writes to them. A process that maps the memory twice calls through one mapping
 *   from an acquisition to its release.
 * - The owner is a thread. If it dies with the mutex, the next owner is told: EOWNERDEAD. Its death is
 *   its return, or exit, exec, a signal that ends the process; not a stop.
 * - Signals: a signal handler must not call them. A wait goes on after a handler.
 * - Fork: the child holds nothing of what its parent holds, and may acquire at once what is free. What
 *   the parent holds stays the parent's. A child of vfork must not call them.
 * - Only pysync_robust_acquire and pysync_robust_open block. Cancellation: none is a cancellation point.
 *
 * Errors of all functions: EINVAL if there is no mutex that this program can use: the pointer is null
 * or misaligned; the mutex was never initialised or was destroyed; it was made with another C library or
 * version, in another pid namespace; or something has written to its header. pysync_robust_error tells
 * which. ENOTSUP where there are no robust mutexes: elsewhere than on Linux with 64 bits.
 *
 * Needs C11 or C++11. */

#ifndef PYSYNC_ROBUST_H
#define PYSYNC_ROBUST_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PYSYNC_ROBUST_SIZE 128
#define PYSYNC_ROBUST_ALIGN 8

/* The block. Zeroes are a good start: no mutex yet. What is in it is private. */
typedef union pysync_robust {
    unsigned char bytes[PYSYNC_ROBUST_SIZE];
    uint64_t words[PYSYNC_ROBUST_SIZE / 8];
} pysync_robust_t;

/* Timeouts, in nanoseconds on the monotonic clock. Any negative one is "never". */
#define PYSYNC_ROBUST_NEVER INT64_C(-1)
#define PYSYNC_ROBUST_TRY INT64_C(0)

/* Makes a mutex of the bytes, whatever they hold, or makes one that was destroyed or is not recoverable
 * ready again. If any number of threads and processes try at once, one succeeds. The owner of a
 * recursive mutex may acquire it again, and releases it as often.
 *
 * EBUSY: there is one already, another thread is just making it, or a thread holds what was destroyed or
 * is not recoverable. Does not block. */
int pysync_robust_initialize(pysync_robust_t *block, bool recursive);

/* 0 if there is a mutex that can be acquired.
 *
 * EBUSY: another thread is just making it. ENOTRECOVERABLE: see pysync_robust_give_up. Does not block. */
int pysync_robust_attach(pysync_robust_t *block);

/* Attaches, and initialises before that if there is no mutex or it was destroyed. `*created` tells
 * whether this call has made it; `created` may be NULL. Each process that shares a mutex may begin with
 * this call.
 *
 * Blocks while another thread is making the mutex, for `timeout_ns` at most: then ETIMEDOUT, or EBUSY if
 * the timeout was 0. ENOTRECOVERABLE: see pysync_robust_give_up. */
int pysync_robust_open(pysync_robust_t *block, bool recursive, int64_t timeout_ns, bool *created);

/* Acquires the mutex for the calling thread.
 *
 * 0 and EOWNERDEAD: the caller is the owner. After EOWNERDEAD, an owner has died, and the data that the
 * mutex protects may be in any state: the caller repairs it and calls pysync_robust_make_consistent, or
 * calls pysync_robust_give_up.
 *
 * All else: the caller is not the owner, or no more often than before. EBUSY: held, and the timeout is
 * 0. ETIMEDOUT: held until the timeout was over. EDEADLK: the caller holds it already, and it is not
 * recursive. EAGAIN: acquired 2^32 times over. ENOLCK: the thread holds 2,048 robust mutexes, more than
 * the kernel would look at. ENOTRECOVERABLE: see pysync_robust_give_up.
 *
 * Blocks for `timeout_ns` at most. */
int pysync_robust_acquire(pysync_robust_t *block, int64_t timeout_ns);

/* Releases the mutex once. If an owner has died and no later one has called pysync_robust_make_consistent,
 * this is pysync_robust_give_up.
 *
 * EPERM: the calling thread does not hold it. Does not block. */
int pysync_robust_release(pysync_robust_t *block);

/* The owner says, after EOWNERDEAD, that the data is consistent. It stays the owner.
 *
 * EPERM: the calling thread does not hold it. ENOTRECOVERABLE: it has given up at another level of a
 * recursive mutex. Does not block. */
int pysync_robust_make_consistent(pysync_robust_t *block);

/* The owner says that the data is beyond repair, and releases the mutex once. All who want the mutex get
 * ENOTRECOVERABLE, those who wait already too, until pysync_robust_initialize makes it ready again.
 *
 * EPERM: the calling thread does not hold it. Does not block. */
int pysync_robust_give_up(pysync_robust_t *block);

/* Ends the mutex. All who want it get EINVAL, those who wait already too. When no thread is in a call on
 * the block any more, its bytes may be used for something else.
 *
 * EBUSY: a thread holds it, the caller too. Does not block. */
int pysync_robust_destroy(pysync_robust_t *block);

/* What a mutex is at a moment. */
typedef enum pysync_robust_phase {
    PYSYNC_ROBUST_UNINITIALIZED = 0, /* no mutex: zeroes, garbage, or one from before a reboot */
    PYSYNC_ROBUST_INITIALIZING = 1,  /* a thread is making it */
    PYSYNC_ROBUST_FREE = 2,
    PYSYNC_ROBUST_HELD = 3,
    PYSYNC_ROBUST_OWNER_DIED = 4,      /* an owner has died, and no thread has acquired it since */
    PYSYNC_ROBUST_NOT_RECOVERABLE = 5, /* the data was given up */
    PYSYNC_ROBUST_DESTROYED = 6
} pysync_robust_phase_t;

typedef struct pysync_robust_state {
    int32_t phase;     /* of pysync_robust_phase_t */
    uint32_t owner;    /* the thread id (gettid) of the owner; 0 if it is free */
    bool inconsistent; /* held after the death of an owner, and not made consistent yet */
} pysync_robust_state_t;

/* Tells what the mutex is. It may be outdated when the call returns. Changes nothing and does not
 * block. */
int pysync_robust_state(pysync_robust_t *block, pysync_robust_state_t *state);

/* A sentence in English for the last error that a function has returned to the calling thread: what is
 * wrong, where the error number alone does not say it. Never null. Valid until the thread's next call of
 * this function, and of no use to other threads. */
const char *pysync_robust_error(void);

#ifdef __cplusplus
}
static_assert(sizeof(pysync_robust_t) == PYSYNC_ROBUST_SIZE, "a block is 128 bytes");
#else
_Static_assert(sizeof(pysync_robust_t) == PYSYNC_ROBUST_SIZE, "a block is 128 bytes");
#endif

#endif
