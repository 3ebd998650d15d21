//! B1: coroutines with stacks of their own, which can end sections out of order in safe code. One
//! that yields in a section leaves it to its thread; ended in order, all is well, and else the
//! process aborts before the section's frame is freed.
#![cfg(not(any(pysync_loom, pysync_shuttle, miri)))]

use corosensei::{Coroutine, CoroutineResult};
use pysync_critical_section::{ThreadState, assert_held, critical_section, critical_section2};
use pysync_lock::Mutex;
use pysync_testing::{aborts_with, watchdog};

static A: Mutex = Mutex::new();
static B: Mutex = Mutex::new();
const MESSAGE: &str = "pysync: a critical section did not end; aborting";

/// A coroutine that yields in a section of `m`.
fn yields_in_a_section(m: &'static Mutex) -> Coroutine<(), (), ()> {
    Coroutine::new(move |yielder, ()| {
        critical_section(m, || {
            yielder.suspend(());
            assert_held(m);
        });
    })
}

fn resume(coroutine: &mut Coroutine<(), (), ()>) -> bool {
    matches!(coroutine.resume(()), CoroutineResult::Return(()))
}

#[test]
fn a_section_may_end_on_another_stack_in_order() {
    static M: Mutex = Mutex::new();
    static N: Mutex = Mutex::new();
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let mut coroutine = yields_in_a_section(&M);
    assert!(!resume(&mut coroutine));
    assert!(M.is_locked());
    critical_section2(&M, &N, || attached.detached(|| assert!(!M.is_locked())));
    assert!(M.is_locked() && !N.is_locked());
    assert!(resume(&mut coroutine));
    assert!(!M.is_locked() && attached.top().is_none());
}

#[test]
fn a_coroutine_that_is_dropped_in_a_section_ends_it() {
    static M: Mutex = Mutex::new();
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let mut coroutine = yields_in_a_section(&M);
    assert!(!resume(&mut coroutine));
    drop(coroutine);
    assert!(!M.is_locked() && attached.top().is_none());
}

#[test]
fn a_coroutine_that_ends_an_outer_section_aborts() {
    aborts_with("a_coroutine_that_ends_an_outer_section_aborts", MESSAGE, || {
        let _attached = ThreadState::attach();
        let mut coroutine = yields_in_a_section(&A);
        resume(&mut coroutine);
        critical_section(&B, || resume(&mut coroutine));
    });
}

#[test]
fn a_section_that_ends_before_that_of_a_coroutine_aborts() {
    aborts_with("a_section_that_ends_before_that_of_a_coroutine_aborts", MESSAGE, || {
        let _attached = ThreadState::attach();
        let mut coroutine = yields_in_a_section(&A);
        critical_section(&B, || resume(&mut coroutine));
    });
}

#[test]
fn it_aborts_even_if_the_panic_would_be_caught() {
    aborts_with("it_aborts_even_if_the_panic_would_be_caught", MESSAGE, || {
        let _attached = ThreadState::attach();
        let mut coroutine = yields_in_a_section(&A);
        let end = std::panic::AssertUnwindSafe(|| critical_section(&B, || resume(&mut coroutine)));
        let _ = std::panic::catch_unwind(end);
    });
}
