//! The C symbols in a C program that is not CPython: the static library as it is shipped,
//! `include/pysync.h`, and a runtime of a page (`c/host.c`).
#![cfg(all(unix, not(any(loom, shuttle))))]

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use pysync_testing::watchdog;

const SOURCES: [&str; 5] = ["host.c", "locks.c", "main.c", "sections.c", "waits.c"];

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
    assert!(output.status.success(), "{test}: {}", String::from_utf8_lossy(&output.stderr));
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

#[test]
fn unlocking_what_is_not_locked_is_fatal_in_cs_words() {
    dies_of("fatal_unlock", "PyMutex_Unlock: unlocking mutex that is not locked");
}

#[test]
fn unlocking_anothers_recursive_mutex_is_fatal_in_cs_words() {
    dies_of(
        "fatal_recursive_unlock",
        "_PyRecursiveMutex_Unlock: unlocking a recursive mutex that is not owned by the current thread",
    );
}

#[test]
fn other_misuse_goes_through_the_runtimes_fatal_error() {
    dies_of("fatal_rwmutex_unlock", "RwMutex::read_unlock: lock was not read-locked");
}
