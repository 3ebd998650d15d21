//! The runtime of plain Rust programs.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::cell::Cell;
use std::ptr::null_mut;
use std::sync::atomic::AtomicU8;
use std::thread;
use std::time::Duration;

use pysync_parking_lot::{Native, ParkStatus, PendingCallError, Runtime, ThreadHooks, park};
use pysync_testing::{panics_with, watchdog};

const ZERO: Option<Duration> = Some(Duration::ZERO);

thread_local! {
    static ATTACHED: Cell<bool> = const { Cell::new(false) };
    static CALLS: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

static HOOKS: ThreadHooks = ThreadHooks {
    detach: || {
        CALLS.set((CALLS.get().0 + 1, CALLS.get().1));
        ATTACHED.replace(false)
    },
    attach: || {
        CALLS.set((CALLS.get().0, CALLS.get().1 + 1));
        assert!(!ATTACHED.replace(true));
    },
};

#[test]
fn it_calls_the_hooks_of_the_calling_thread() {
    let _watchdog = watchdog();
    let word = AtomicU8::new(0);
    let park_now = |detach| park(&word, 0, ZERO, null_mut(), detach);
    assert!(Native::set_thread_hooks(Some(&HOOKS)).is_none());
    ATTACHED.set(true);
    assert_eq!(park_now(true), ParkStatus::Timeout);
    assert_eq!((CALLS.get(), ATTACHED.get()), ((1, 1), true));
    assert_eq!(park_now(false), ParkStatus::Timeout);
    assert_eq!(CALLS.get(), (1, 1));

    ATTACHED.set(false);
    assert_eq!(park_now(true), ParkStatus::Timeout);
    assert_eq!((CALLS.get(), ATTACHED.get()), ((2, 1), false), "false: no attach");

    thread::scope(|s| {
        s.spawn(|| {
            assert_eq!(park_now(true), ParkStatus::Timeout);
            assert_eq!(CALLS.get(), (0, 0), "hooks are a thread's own");
            assert!(Native::set_thread_hooks(None).is_none());
        });
    });

    let previous = Native::set_thread_hooks(None).expect("the hooks from above");
    assert!(std::ptr::eq(previous, &HOOKS));
    assert_eq!(park_now(true), ParkStatus::Timeout);
    assert_eq!(CALLS.get(), (2, 1));
}

#[test]
fn pending_calls_are_the_calling_threads() {
    assert_eq!(Native::make_pending_calls(), Ok(()));
    assert!(Native::set_pending_calls(Some(|| Err(PendingCallError))).is_none());
    assert_eq!(Native::make_pending_calls(), Err(PendingCallError));
    thread::scope(|s| {
        s.spawn(|| assert_eq!(Native::make_pending_calls(), Ok(())));
    });
    assert!(Native::set_pending_calls(None).is_some());
    assert_eq!(Native::make_pending_calls(), Ok(()));
    assert_eq!(PendingCallError.to_string(), "a pending call failed");
}

#[test]
fn thread_idents_are_distinct_and_stay() {
    const THREADS: usize = 8;
    let _watchdog = watchdog();
    let idents = std::sync::Mutex::new(vec![Native::thread_ident()]);
    let barrier = std::sync::Barrier::new(THREADS);
    thread::scope(|s| {
        for _ in 0..THREADS {
            s.spawn(|| {
                let ident = Native::thread_ident();
                idents.lock().unwrap().push(ident);
                // All alive at once.
                barrier.wait();
                assert_eq!(Native::thread_ident(), ident);
            });
        }
    });
    let mut idents = idents.into_inner().unwrap();
    assert_eq!(idents[0], Native::thread_ident());
    idents.sort_unstable();
    idents.dedup();
    assert_eq!(idents.len(), THREADS + 1);
    assert!(!idents.contains(&0));
}

#[test]
fn a_fatal_error_is_a_panic_with_the_message() {
    panics_with("you may not", || Native::fatal_error("function", "you may not"));
}
