//! The C symbols in a C program that is not CPython: the static library as it is shipped,
//! `include/pysync.h`, and a runtime of a page (`c/host.c`).
#![cfg(all(unix, not(any(pysync_loom, pysync_shuttle))))]

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use pysync_testing::watchdog;

const SOURCES: [&str; 7] =
    ["errno.c", "host.c", "locks.c", "main.c", "misuse.c", "sections.c", "waits.c"];

/// The program, built once for all tests.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("static");
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        succeed(
            Command::new(cargo)
                .current_dir(package)
                .args(["rustc", "--lib", "--crate-type", "staticlib"])
                .args(["--profile", "dropin-debug", "--target-dir"])
                .arg(&target)
                .env_remove("PYSYNC_CPYTHON"),
        );

        let program = target.join("capi-test");
        let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
        let sources = SOURCES.map(|source| package.join("tests/c").join(source));
        succeed(
            Command::new(compiler)
                .args(["-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-o"])
                .arg(&program)
                .arg("-I")
                .arg(package.join("include"))
                .args(sources)
                .arg(target.join("dropin-debug/libpysync_capi.a"))
                .args(["-lpthread", "-ldl", "-lm"]),
        );
        program
    })
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

fn run(test: &str) -> Output {
    let program = program();
    let _watchdog = watchdog();
    Command::new(program).arg(test).output().unwrap()
}

fn passes(test: &str) {
    let output = run(test);
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(output.status.success(), "{test}: {out}{err}");
}

/// Ends through `_Py_FatalErrorFunc`, with `message`.
fn dies_of(test: &str, message: &str) {
    let output = run(test);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), format!("fatal: {message}"));
}

macro_rules! tests {
    ($($name:ident: $test:literal;)*) => {$(
        #[test]
        fn $name() {
            passes($test);
        }
    )*};
}

macro_rules! fatal {
    ($($name:ident: $test:literal, $message:literal;)*) => {$(
        #[test]
        fn $name() {
            dies_of($test, $message);
        }
    )*};
}

tests! {
    types_have_the_sizes_that_c_callers_expect: "sizes";
    a_mutex_lets_in_one_thread_at_a_time: "mutex_excludes";
    a_timed_lock_detaches_only_if_it_waits_and_may: "mutex_timed";
    the_raw_mutex_works_behind_inlined_fast_paths: "raw_mutex_excludes";
    a_once_function_is_called_until_it_succeeds: "once";
    a_recursive_mutex_keeps_its_owner_and_level_where_c_looks: "recursive_mutex";
    an_rwmutex_counts_readers_in_its_bits: "rwmutex";
    a_seqlock_counts_writes: "seqlock";
    parking_compares_one_two_four_and_eight_bytes: "park";
    more_waiters_are_those_on_the_same_address: "has_more_waiters";
    a_semaphore_needs_no_zeroed_memory: "semaphore";
    an_event_wakes_all_who_wait: "event";
    signals_end_waits_that_heed_them: "signals_end_waits";
    signals_that_are_handled_end_nothing: "signals_pass_through";
    a_child_of_fork_locks_what_the_parents_threads_wait_for: "fork";
    a_section_is_linked_into_the_thread_state: "section";
    a_section_of_two_is_tagged_and_ordered_by_address: "section2";
    a_section_of_what_the_top_one_holds_takes_it_over: "section_twice";
    sections_let_go_when_the_thread_detaches: "section_suspends";
    sections_nested_in_opposite_orders_do_not_deadlock: "sections_in_opposite_orders";
}

tests! {
    mutexes_leave_errno_as_it_was: "errno_mutex";
    raw_mutexes_leave_errno_as_it_was: "errno_raw_mutex";
    rwmutexes_and_seqlocks_leave_errno_as_it_was: "errno_rwmutex_and_seqlock";
    events_and_once_flags_leave_errno_as_it_was: "errno_event_and_once";
    parking_leaves_errno_as_it_was: "errno_park";
    a_childs_first_calls_leave_errno_as_it_was: "errno_after_fork";
    semaphores_leave_errno_as_it_was: "errno_semaphore";
    waits_that_a_signal_ends_leave_errno_as_it_was: "errno_signals";
    sections_leave_errno_as_it_was: "errno_sections";
    the_error_of_a_blocking_call_survives_the_attach: "errno_across_attach";
}

fatal! {
    unlocking_what_is_not_locked_is_fatal_in_cs_words:
        "fatal_unlock", "PyMutex_Unlock: unlocking mutex that is not locked";
    unlocking_a_raw_mutex_twice_is_fatal_in_cs_words:
        "fatal_raw_unlock", "_PyRawMutex_UnlockSlow: unlocking mutex that is not locked";
    unlocking_a_raw_mutex_twice_at_once_is_fatal:
        "fatal_raw_unlock_twice_at_once",
        "_PyRawMutex_UnlockSlow: unlocking mutex that is not locked";
    a_once_function_with_another_result_is_fatal_in_cs_words:
        "fatal_once", "unlock_once: invalid result from _PyOnceFlag_CallOnce";
    unlocking_anothers_recursive_mutex_is_fatal_in_cs_words:
        "fatal_recursive_unlock",
        "_PyRecursiveMutex_Unlock: unlocking a recursive mutex that is not owned by the current \
         thread";
    too_many_recursive_locks_are_fatal:
        "fatal_recursive_overflow", "RecursiveMutex::lock: too many recursive locks";
    unlocking_the_mutex_in_a_recursive_one_is_fatal:
        "fatal_recursive_inner_unlock",
        "RecursiveMutex::unlock: unlocking mutex that is not locked";
    read_unlocking_an_unlocked_rwmutex_is_fatal:
        "fatal_rwmutex_runlock", "RwMutex::read_unlock: lock was not read-locked";
    write_unlocking_a_read_locked_rwmutex_is_fatal:
        "fatal_rwmutex_unlock", "RwMutex::write_unlock: lock was not write-locked";
    too_many_readers_are_fatal:
        "fatal_rwmutex_readers", "RwMutex::read_lock: too many readers";
    ending_a_write_that_has_not_begun_is_fatal:
        "fatal_seqlock_unlock", "SeqLock: unlocking a sequence lock that is not write-locked";
    abandoning_a_write_that_has_not_begun_is_fatal:
        "fatal_seqlock_abandon", "SeqLock: unlocking a sequence lock that is not write-locked";
    parking_on_a_word_of_another_size_is_fatal:
        "fatal_park_size", "_PyParkingLot_Park: the word is not 1, 2, 4 or 8 bytes long";
    ending_a_section_out_of_order_is_fatal:
        "fatal_section_order",
        "CriticalSection: critical section ended out of order: it is not the innermost one";
    ending_a_section_of_two_out_of_order_is_fatal:
        "fatal_section2_order",
        "CriticalSection: critical section ended out of order: it is not the innermost one";
    ending_a_section_twice_is_fatal:
        "fatal_section_twice_ended",
        "CriticalSection: critical section ended out of order: it is not the innermost one";
    ending_a_section_whose_mutex_was_unlocked_is_fatal_in_cs_words:
        "fatal_section_unlocked", "PyMutex_Unlock: unlocking mutex that is not locked";
    ending_a_section_of_two_of_which_one_was_unlocked_is_fatal_in_cs_words:
        "fatal_section2_unlocked", "PyMutex_Unlock: unlocking mutex that is not locked";
    suspending_a_section_whose_mutex_was_unlocked_is_fatal_in_cs_words:
        "fatal_suspend_unlocked", "PyMutex_Unlock: unlocking mutex that is not locked";
    resuming_a_section_that_is_not_suspended_is_fatal:
        "fatal_resume_active",
        "_PyCriticalSection_Resume: resuming a section that is not suspended";
    resuming_without_a_section_is_fatal:
        "fatal_resume_nothing",
        "_PyCriticalSection_Resume: resuming a section that is not suspended";
    a_section_without_a_thread_state_is_fatal:
        "fatal_section_without_thread",
        "PyCriticalSection: critical section without a thread state";
}
