//! Foreign code that unwinds where nothing may: the process ends with a message that says so.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::ptr::null_mut;
use std::sync::atomic::AtomicU8;
use std::time::Duration;

use pysync_parking_lot::{
    Deadline, Native, Parker, PendingCallError, Runtime, ThreadHooks, park, park_in, unpark,
    unpark_all_with,
};
use pysync_testing::aborts_with;

const SOON: Option<Duration> = Some(Duration::from_millis(1));
const IN_CALLBACK: &str = "pysync: the callback of unpark panicked under a bucket lock; aborting";
const IN_HOOK: &str = "pysync: a panic in a runtime's detach or attach around a wait; aborting";

static WORD: AtomicU8 = AtomicU8::new(0);

#[test]
fn an_unpark_callback_that_panics_aborts() {
    aborts_with("an_unpark_callback_that_panics_aborts", IN_CALLBACK, || {
        unpark(&WORD, |_| panic!("in the callback"));
    });
}

#[test]
fn an_unpark_all_callback_that_panics_aborts() {
    aborts_with("an_unpark_all_callback_that_panics_aborts", IN_CALLBACK, || {
        unpark_all_with(&WORD, |_| panic!("in the callback"));
    });
}

#[test]
fn an_unpark_callback_that_panics_aborts_even_if_someone_catches_it() {
    aborts_with(
        "an_unpark_callback_that_panics_aborts_even_if_someone_catches_it",
        IN_CALLBACK,
        || std::panic::catch_unwind(|| unpark(&WORD, |_| panic!("in the callback"))),
    );
}

#[test]
fn a_callback_that_unparks_aborts_and_does_not_wait_for_itself() {
    let test = "a_callback_that_unparks_aborts_and_does_not_wait_for_itself";
    aborts_with(test, "notify was called by a callback under a bucket lock", || {
        unpark(&WORD, |_| unpark(&WORD, |_| ()));
    });
}

/// B10: the message takes no lock that another thread may hold, as `eprintln!` does. The panic's own
/// message is the hook's affair, which here says nothing.
#[test]
fn the_process_aborts_though_another_thread_has_locked_stderr() {
    let test = "the_process_aborts_though_another_thread_has_locked_stderr";
    aborts_with(test, IN_CALLBACK, || {
        let locked = std::sync::Barrier::new(2);
        std::thread::scope(|s| {
            s.spawn(|| {
                let _stderr = std::io::stderr().lock();
                locked.wait();
                std::thread::park();
            });
            locked.wait();
            std::panic::set_hook(Box::new(|_| ()));
            unpark(&WORD, |_| panic!("in the callback"));
        });
    });
}

#[test]
fn the_panic_itself_is_reported_too() {
    aborts_with("the_panic_itself_is_reported_too", "what went wrong at first", || {
        unpark(&WORD, |_| panic!("what went wrong at first"));
    });
}

struct PanicsInDetach;

impl Runtime for PanicsInDetach {
    type Detached = ();

    fn detach() -> Option<()> {
        panic!("in detach")
    }

    fn attach((): ()) {}

    fn make_pending_calls() -> Result<(), PendingCallError> {
        Ok(())
    }

    fn thread_ident() -> u64 {
        1
    }

    fn fatal_error(_: &'static str, message: &str) -> ! {
        panic!("{message}")
    }
}

#[test]
fn a_detach_that_panics_aborts_a_park() {
    aborts_with("a_detach_that_panics_aborts_a_park", IN_HOOK, || {
        let deadline = Deadline::after(SOON);
        park_in::<PanicsInDetach, _>(&WORD, 0, deadline, null_mut(), true)
    });
}

#[test]
fn a_native_detach_hook_that_panics_aborts_a_park() {
    static HOOKS: ThreadHooks = ThreadHooks { detach: || panic!("in detach"), attach: || {} };
    aborts_with("a_native_detach_hook_that_panics_aborts_a_park", IN_HOOK, || {
        Native::set_thread_hooks(Some(&HOOKS));
        park(&WORD, 0, SOON, null_mut(), true)
    });
}

#[test]
fn a_native_attach_hook_that_panics_aborts() {
    static HOOKS: ThreadHooks = ThreadHooks { detach: || true, attach: || panic!("in attach") };
    aborts_with("a_native_attach_hook_that_panics_aborts", IN_HOOK, || {
        Native::set_thread_hooks(Some(&HOOKS));
        park(&WORD, 0, SOON, null_mut(), true)
    });
}

#[test]
fn a_park_that_does_not_wait_calls_no_hook() {
    static HOOKS: ThreadHooks =
        ThreadHooks { detach: || panic!("in detach"), attach: || panic!("in attach") };
    Native::set_thread_hooks(Some(&HOOKS));
    park(&WORD, 1, SOON, null_mut(), true);
    park(&WORD, 0, SOON, null_mut(), false);
    Native::set_thread_hooks(None);
}

#[test]
fn a_detach_that_panics_aborts_a_semaphore_wait() {
    aborts_with("a_detach_that_panics_aborts_a_semaphore_wait", IN_HOOK, || {
        Parker::new().wait_in::<PanicsInDetach>(Deadline::after(SOON), true)
    });
}

struct PanicsInAttach;

impl Runtime for PanicsInAttach {
    type Detached = ();

    fn detach() -> Option<()> {
        Some(())
    }

    fn attach((): ()) {
        panic!("in attach")
    }

    fn make_pending_calls() -> Result<(), PendingCallError> {
        Ok(())
    }

    fn thread_ident() -> u64 {
        1
    }

    fn fatal_error(_: &'static str, message: &str) -> ! {
        panic!("{message}")
    }
}

/// A13: it used to unwind, with a mutex that had been handed to a thread which knew nothing of it.
#[test]
fn an_attach_that_panics_aborts_a_park_in_any_runtime() {
    aborts_with("an_attach_that_panics_aborts_a_park_in_any_runtime", IN_HOOK, || {
        let deadline = Deadline::after(SOON);
        park_in::<PanicsInAttach, _>(&WORD, 0, deadline, null_mut(), true)
    });
}
