// Every test, for main.c. `../c_program.rs` runs each by its name.

#define TESTS(DO)                   \
    DO(sizes)                       \
    DO(mutex_excludes)              \
    DO(mutex_timed)                 \
    DO(raw_mutex_excludes)          \
    DO(once)                        \
    DO(recursive_mutex)             \
    DO(rwmutex)                     \
    DO(seqlock)                     \
    DO(park)                        \
    DO(semaphore)                   \
    DO(event)                       \
    DO(signals_end_waits)           \
    DO(signals_pass_through)        \
    DO(fork)                        \
    DO(section)                     \
    DO(section2)                    \
    DO(section_twice)               \
    DO(section_suspends)            \
    DO(sections_in_opposite_orders) \
    DO(fatal_unlock)                \
    DO(fatal_recursive_unlock)      \
    DO(fatal_rwmutex_unlock)

#define DECLARE(name) void test_##name(void);
TESTS(DECLARE)
