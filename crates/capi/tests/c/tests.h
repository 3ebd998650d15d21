// Every test, for main.c. `../c_program.rs` runs each by its name.

#define TESTS(DO)                      \
    DO(sizes)                          \
    DO(mutex_excludes)                 \
    DO(mutex_timed)                    \
    DO(raw_mutex_excludes)             \
    DO(once)                           \
    DO(recursive_mutex)                \
    DO(rwmutex)                        \
    DO(seqlock)                        \
    DO(park)                           \
    DO(has_more_waiters)               \
    DO(semaphore)                      \
    DO(event)                          \
    DO(signals_end_waits)              \
    DO(signals_pass_through)           \
    DO(fork)                           \
    DO(section)                        \
    DO(section2)                       \
    DO(section_twice)                  \
    DO(section_suspends)               \
    DO(sections_in_opposite_orders)    \
    DO(errno_mutex)                    \
    DO(errno_raw_mutex)                \
    DO(errno_rwmutex_and_seqlock)      \
    DO(errno_event_and_once)           \
    DO(errno_park)                     \
    DO(errno_after_fork)               \
    DO(errno_semaphore)                \
    DO(errno_signals)                  \
    DO(errno_sections)                 \
    DO(errno_across_attach)            \
    DO(fatal_unlock)                   \
    DO(fatal_raw_unlock)               \
    DO(fatal_raw_unlock_twice_at_once) \
    DO(fatal_once)                     \
    DO(fatal_recursive_unlock)         \
    DO(fatal_recursive_overflow)       \
    DO(fatal_recursive_inner_unlock)   \
    DO(fatal_rwmutex_runlock)          \
    DO(fatal_rwmutex_unlock)           \
    DO(fatal_rwmutex_readers)          \
    DO(fatal_seqlock_unlock)           \
    DO(fatal_seqlock_abandon)          \
    DO(fatal_park_size)                \
    DO(fatal_section_order)            \
    DO(fatal_section2_order)           \
    DO(fatal_section_twice_ended)      \
    DO(fatal_section_unlocked)         \
    DO(fatal_section2_unlocked)        \
    DO(fatal_suspend_unlocked)         \
    DO(fatal_resume_active)            \
    DO(fatal_resume_nothing)           \
    DO(fatal_section_without_thread)

#define DECLARE(name) void test_##name(void);
TESTS(DECLARE)
