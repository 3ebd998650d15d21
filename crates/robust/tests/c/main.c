/* What a C program does with pysync_robust.h. The first argument says which part: main.c's table. Some
 * parts share a file with a process in Rust, or with this program: FD is its descriptor. */

#define _GNU_SOURCE
#include "pysync_robust.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What the processes share. The Rust side has the same in tests/c_program.rs. */
struct shared {
    pysync_robust_t mutex;
    int64_t count;
    int64_t first;  /* equal to `second` but while an owner changes both */
    int64_t second;
};

_Static_assert(PYSYNC_ROBUST_SIZE == 128 && PYSYNC_ROBUST_ALIGN == 8, "the layout is for ever");
_Static_assert(sizeof(pysync_robust_t) == PYSYNC_ROBUST_SIZE, "a block has its size");
_Static_assert(_Alignof(pysync_robust_t) == PYSYNC_ROBUST_ALIGN, "a block has its alignment");
_Static_assert(offsetof(struct shared, count) == PYSYNC_ROBUST_SIZE, "nothing is between");
_Static_assert(sizeof(pysync_robust_state_t) == 12, "the state has three words");

#define CHECK(condition)                                                                  \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            fprintf(stderr, "%s:%d: not %s\n", __FILE__, __LINE__, #condition);           \
            exit(1);                                                                      \
        }                                                                                 \
    } while (0)

#define RETURNS(expected, call)                                                           \
    do {                                                                                  \
        int got = (call);                                                                 \
        if (got != (expected)) {                                                          \
            fprintf(stderr, "%s:%d: %s is %d and not %d; last error: %s\n", __FILE__,     \
                    __LINE__, #call, got, (expected), pysync_robust_error());             \
            exit(1);                                                                      \
        }                                                                                 \
    } while (0)

#define SAYS(text) CHECK(strstr(pysync_robust_error(), (text)) != NULL)

static const int64_t MILLISECOND = 1000 * 1000;

static pysync_robust_state_t state(pysync_robust_t *mutex)
{
    pysync_robust_state_t state;
    RETURNS(0, pysync_robust_state(mutex, &state));
    return state;
}

static uint32_t thread_id(void)
{
    return (uint32_t)syscall(SYS_gettid);
}

static void *in_thread(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    void *result;
    CHECK(pthread_create(&thread, NULL, body, argument) == 0);
    CHECK(pthread_join(thread, &result) == 0);
    return result;
}

/* Acquires, and dies with it. */
static void *die_holding(void *mutex)
{
    int acquired = pysync_robust_acquire(mutex, PYSYNC_ROBUST_NEVER);
    CHECK(acquired == 0 || acquired == EOWNERDEAD);
    return NULL;
}

static struct shared *map(const char *fd)
{
    void *at = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, atoi(fd), 0);
    CHECK(at != MAP_FAILED);
    return at;
}

static void says_that_it_holds(void)
{
    puts("held");
    fflush(stdout);
}

/* Parts without another process */

static void misuse(void)
{
    static pysync_robust_t mutex;
    bool created = false;

    CHECK(strcmp(pysync_robust_error(), "no call has failed") == 0);
    RETURNS(EINVAL, pysync_robust_attach(NULL));
    RETURNS(EINVAL, pysync_robust_attach((pysync_robust_t *)(mutex.bytes + 4)));
    SAYS("4 bytes after an aligned address");

    CHECK(state(&mutex).phase == PYSYNC_ROBUST_UNINITIALIZED);
    RETURNS(EINVAL, pysync_robust_attach(&mutex));
    SAYS("never initialised");
    RETURNS(EINVAL, pysync_robust_acquire(&mutex, PYSYNC_ROBUST_TRY));
    RETURNS(EINVAL, pysync_robust_release(&mutex));
    RETURNS(EINVAL, pysync_robust_make_consistent(&mutex));
    RETURNS(EINVAL, pysync_robust_give_up(&mutex));
    RETURNS(EINVAL, pysync_robust_destroy(&mutex));

    RETURNS(0, pysync_robust_open(&mutex, false, PYSYNC_ROBUST_TRY, &created));
    CHECK(created && state(&mutex).phase == PYSYNC_ROBUST_FREE);
    RETURNS(0, pysync_robust_open(&mutex, false, PYSYNC_ROBUST_NEVER, &created));
    CHECK(!created);
    RETURNS(0, pysync_robust_open(&mutex, false, PYSYNC_ROBUST_NEVER, NULL));
    RETURNS(0, pysync_robust_attach(&mutex));
    RETURNS(EBUSY, pysync_robust_initialize(&mutex, false));
    SAYS("initialised already");

    RETURNS(EPERM, pysync_robust_release(&mutex));
    RETURNS(EPERM, pysync_robust_make_consistent(&mutex));
    RETURNS(EPERM, pysync_robust_give_up(&mutex));
    RETURNS(0, pysync_robust_acquire(&mutex, PYSYNC_ROBUST_TRY));
    CHECK(state(&mutex).phase == PYSYNC_ROBUST_HELD && state(&mutex).owner == thread_id());
    CHECK(!state(&mutex).inconsistent);
    RETURNS(EDEADLK, pysync_robust_acquire(&mutex, PYSYNC_ROBUST_NEVER));
    RETURNS(EBUSY, pysync_robust_destroy(&mutex));
    RETURNS(0, pysync_robust_release(&mutex));

    RETURNS(0, pysync_robust_destroy(&mutex));
    CHECK(state(&mutex).phase == PYSYNC_ROBUST_DESTROYED);
    RETURNS(EINVAL, pysync_robust_acquire(&mutex, PYSYNC_ROBUST_NEVER));
    SAYS("destroyed");
    RETURNS(EINVAL, pysync_robust_destroy(&mutex));
    RETURNS(0, pysync_robust_initialize(&mutex, false));

    mutex.bytes[20] ^= 1;
    RETURNS(EINVAL, pysync_robust_attach(&mutex));
    SAYS("written to the header");
    mutex.bytes[20] ^= 1;
    RETURNS(0, pysync_robust_attach(&mutex));
}

static void recursion(void)
{
    static pysync_robust_t mutex;

    RETURNS(0, pysync_robust_initialize(&mutex, true));
    for (int i = 0; i < 3; i++)
        RETURNS(0, pysync_robust_acquire(&mutex, PYSYNC_ROBUST_NEVER));
    for (int i = 0; i < 3; i++) {
        CHECK(state(&mutex).phase == PYSYNC_ROBUST_HELD);
        RETURNS(0, pysync_robust_release(&mutex));
    }
    CHECK(state(&mutex).phase == PYSYNC_ROBUST_FREE && state(&mutex).owner == 0);
    RETURNS(EPERM, pysync_robust_release(&mutex));
}

static void deaths(void)
{
    static pysync_robust_t mutex;

    RETURNS(0, pysync_robust_initialize(&mutex, false));
    in_thread(die_holding, &mutex);
    CHECK(state(&mutex).phase == PYSYNC_ROBUST_OWNER_DIED);
    RETURNS(EOWNERDEAD, pysync_robust_acquire(&mutex, PYSYNC_ROBUST_TRY));
    CHECK(state(&mutex).phase == PYSYNC_ROBUST_HELD && state(&mutex).inconsistent);
    RETURNS(0, pysync_robust_make_consistent(&mutex));
    CHECK(!state(&mutex).inconsistent);
    RETURNS(0, pysync_robust_release(&mutex));
    RETURNS(0, pysync_robust_acquire(&mutex, PYSYNC_ROBUST_TRY));
    RETURNS(0, pysync_robust_release(&mutex));

    /* Given up in so many words, and by a release. */
    int (*const ways[])(pysync_robust_t *) = {pysync_robust_give_up, pysync_robust_release};
    for (int i = 0; i < 2; i++) {
        in_thread(die_holding, &mutex);
        RETURNS(EOWNERDEAD, pysync_robust_acquire(&mutex, PYSYNC_ROBUST_NEVER));
        RETURNS(0, ways[i](&mutex));
        CHECK(state(&mutex).phase == PYSYNC_ROBUST_NOT_RECOVERABLE);
        RETURNS(ENOTRECOVERABLE, pysync_robust_acquire(&mutex, PYSYNC_ROBUST_NEVER));
        RETURNS(ENOTRECOVERABLE, pysync_robust_attach(&mutex));
        RETURNS(ENOTRECOVERABLE, pysync_robust_open(&mutex, false, PYSYNC_ROBUST_NEVER, NULL));
        SAYS("given up");
        RETURNS(0, pysync_robust_initialize(&mutex, false));
    }
}

static void *finds_it_held(void *mutex)
{
    struct timespec before, after;

    RETURNS(EBUSY, pysync_robust_acquire(mutex, PYSYNC_ROBUST_TRY));
    RETURNS(EPERM, pysync_robust_release(mutex));
    clock_gettime(CLOCK_MONOTONIC, &before);
    RETURNS(ETIMEDOUT, pysync_robust_acquire(mutex, 20 * MILLISECOND));
    clock_gettime(CLOCK_MONOTONIC, &after);
    int64_t waited = (after.tv_sec - before.tv_sec) * 1000 * MILLISECOND + after.tv_nsec - before.tv_nsec;
    CHECK(waited >= 20 * MILLISECOND);
    SAYS("until the timeout was over");
    return NULL;
}

static void timeouts(void)
{
    static pysync_robust_t mutex;

    RETURNS(0, pysync_robust_initialize(&mutex, false));
    RETURNS(0, pysync_robust_acquire(&mutex, INT64_MAX));
    in_thread(finds_it_held, &mutex);
    /* What went wrong elsewhere is none of this thread's. */
    CHECK(strcmp(pysync_robust_error(), "no call has failed") == 0);
    RETURNS(0, pysync_robust_release(&mutex));
}

static void *counts(void *argument)
{
    struct shared *shared = argument;
    for (int i = 0; i < 25000; i++) {
        RETURNS(0, pysync_robust_acquire(&shared->mutex, i % 2 ? PYSYNC_ROBUST_NEVER : INT64_MAX));
        shared->count++;
        RETURNS(0, pysync_robust_release(&shared->mutex));
    }
    return NULL;
}

static void threads(void)
{
    static struct shared shared;
    pthread_t threads[4];

    RETURNS(0, pysync_robust_initialize(&shared.mutex, false));
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, counts, &shared) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(shared.count == 100000);
}

static void forks(void)
{
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status, pipes[2];
    char byte = 0;

    CHECK(shared != MAP_FAILED && pipe(pipes) == 0);
    RETURNS(0, pysync_robust_initialize(&shared->mutex, false));
    RETURNS(0, pysync_robust_acquire(&shared->mutex, PYSYNC_ROBUST_NEVER));
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        RETURNS(EPERM, pysync_robust_release(&shared->mutex));
        RETURNS(EBUSY, pysync_robust_acquire(&shared->mutex, PYSYNC_ROBUST_TRY));
        CHECK(write(pipes[1], &byte, 1) == 1);
        RETURNS(0, pysync_robust_acquire(&shared->mutex, PYSYNC_ROBUST_NEVER));
        _exit(0); /* with the mutex */
    }
    CHECK(read(pipes[0], &byte, 1) == 1);
    RETURNS(0, pysync_robust_release(&shared->mutex));
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    RETURNS(EOWNERDEAD, pysync_robust_acquire(&shared->mutex, PYSYNC_ROBUST_NEVER));
    RETURNS(0, pysync_robust_make_consistent(&shared->mutex));
    RETURNS(0, pysync_robust_release(&shared->mutex));
}

/* Parts with another process */

/* count FD N */
static void count(struct shared *shared, int64_t times)
{
    RETURNS(0, pysync_robust_open(&shared->mutex, false, PYSYNC_ROBUST_NEVER, NULL));
    while (times-- > 0) {
        RETURNS(0, pysync_robust_acquire(&shared->mutex, PYSYNC_ROBUST_NEVER));
        shared->count++;
        RETURNS(0, pysync_robust_release(&shared->mutex));
    }
}

/* hold FD: is killed between two changes that belong together */
static void hold(struct shared *shared)
{
    RETURNS(0, pysync_robust_open(&shared->mutex, false, PYSYNC_ROBUST_NEVER, NULL));
    RETURNS(0, pysync_robust_acquire(&shared->mutex, PYSYNC_ROBUST_NEVER));
    shared->first++;
    says_that_it_holds();
    for (;;)
        pause();
}

/* repair FD: waits for the owner, which dies */
static void repair(struct shared *shared)
{
    RETURNS(0, pysync_robust_attach(&shared->mutex));
    RETURNS(EOWNERDEAD, pysync_robust_acquire(&shared->mutex, PYSYNC_ROBUST_NEVER));
    CHECK(shared->first == shared->second + 1);
    shared->second = shared->first;
    RETURNS(0, pysync_robust_make_consistent(&shared->mutex));
    RETURNS(0, pysync_robust_release(&shared->mutex));
}

/* foreign FD: the mutex was made with another C library */
static void foreign(struct shared *shared)
{
    pysync_robust_state_t state;

    RETURNS(EINVAL, pysync_robust_attach(&shared->mutex));
    SAYS("another C library");
    RETURNS(EINVAL, pysync_robust_open(&shared->mutex, false, PYSYNC_ROBUST_NEVER, NULL));
    RETURNS(EINVAL, pysync_robust_initialize(&shared->mutex, false));
    RETURNS(EINVAL, pysync_robust_acquire(&shared->mutex, PYSYNC_ROBUST_NEVER));
    RETURNS(EINVAL, pysync_robust_release(&shared->mutex));
    RETURNS(EINVAL, pysync_robust_make_consistent(&shared->mutex));
    RETURNS(EINVAL, pysync_robust_give_up(&shared->mutex));
    RETURNS(EINVAL, pysync_robust_destroy(&shared->mutex));
    RETURNS(EINVAL, pysync_robust_state(&shared->mutex, &state));
    SAYS("another C library");
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*part)(void);
    } alone[] = {
        {"misuse", misuse},     {"recursion", recursion}, {"deaths", deaths},
        {"timeouts", timeouts}, {"threads", threads},     {"forks", forks},
    };
    static const struct {
        const char *name;
        void (*part)(struct shared *);
    } shared[] = {{"hold", hold}, {"repair", repair}, {"foreign", foreign}};

    for (size_t i = 0; argc == 2 && i < sizeof alone / sizeof *alone; i++) {
        if (strcmp(argv[1], alone[i].name) == 0) {
            alone[i].part();
            return 0;
        }
    }
    for (size_t i = 0; argc == 3 && i < sizeof shared / sizeof *shared; i++) {
        if (strcmp(argv[1], shared[i].name) == 0) {
            shared[i].part(map(argv[2]));
            return 0;
        }
    }
    if (argc == 4 && strcmp(argv[1], "count") == 0) {
        count(map(argv[2]), atoll(argv[3]));
        return 0;
    }
    fprintf(stderr, "no such part\n");
    return 2;
}
