//! Foreign code that unwinds where nothing may: the process ends with a message that says so.
#![cfg(not(any(loom, shuttle)))]

use std::ptr::null_mut;
use std::sync::atomic::AtomicU8;
use std::time::Duration;

use pysync_parking_lot::{
    Deadline, Native, PendingCallError, Runtime, Semaphore, ThreadHooks, park, park_until_in,
    unpark, unpark_all_with,
};
use pysync_testing::{aborts_with, panics_with};

const SOON: Option<Duration> = Some(Duration::from_millis(1));
const IN_CALLBACK: &str =
    "pysync-parking-lot: the callback of unpark panicked under a bucket lock; aborting";
const QUEUED: &str = "pysync-parking-lot: a panic while the thread was queued; aborting";
const ATTACHING: &str =
    "pysync-parking-lot: a panic while the thread attached after a wait; aborting";

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
    aborts_with("a_detach_that_panics_aborts_a_park", QUEUED, || {
        let deadline = Deadline::after(SOON);
        park_until_in::<PanicsInDetach, _>(&WORD, 0, deadline, null_mut(), true)
    });
}

#[test]
fn a_native_detach_hook_that_panics_aborts_a_park() {
    static HOOKS: ThreadHooks = ThreadHooks { detach: || panic!("in detach"), attach: || {} };
    aborts_with("a_native_detach_hook_that_panics_aborts_a_park", QUEUED, || {
        Native::set_thread_hooks(Some(&HOOKS));
        park(&WORD, 0, SOON, null_mut(), true)
    });
}

#[test]
fn a_native_attach_hook_that_panics_aborts() {
    static HOOKS: ThreadHooks = ThreadHooks { detach: || true, attach: || panic!("in attach") };
    aborts_with("a_native_attach_hook_that_panics_aborts", ATTACHING, || {
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
fn a_semaphore_is_not_queued_when_it_detaches_so_that_panic_is_a_panic() {
    let semaphore = Semaphore::new();
    panics_with("in detach", || semaphore.wait_in::<PanicsInDetach>(SOON, true));
    semaphore.wakeup();
    semaphore.wait(None, false);
}
