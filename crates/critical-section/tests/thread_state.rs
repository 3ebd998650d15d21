//! Attaching and detaching.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::cell::{Cell, RefCell};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use common::{NOT_ATTACHED, State, detaches_in, has_parked};
use pysync_critical_section::{ThreadState, assert_held, critical_section, critical_section2};
use pysync_lock::{Event, LockFlags, LockStatus, Mutex, RwMutex};
use pysync_parking_lot::{Native, ThreadHooks};
use pysync_testing::{panics_with, wait_until, watchdog};

const MILLISECOND: Option<Duration> = Some(Duration::from_millis(1));

/// The thread can have sections and waits as if nothing had happened.
fn works_as_new() {
    let attached = ThreadState::attach();
    assert_eq!(attached.top(), None);
    let (m, event) = (Mutex::new(), Event::new());
    critical_section(&m, || {
        assert_eq!(detaches_in(|| assert!(!event.wait_timed(MILLISECOND, true))), 1);
        attached.detached(|| assert!(!m.is_locked()));
        assert_held(&m);
    });
    assert!(!m.is_locked());
    drop(attached);
    assert!(!ThreadState::is_attached());
}

#[test]
fn a_thread_is_attached_for_as_long_as_its_guard_lives() {
    let _watchdog = watchdog();
    for _ in 0..1_000 {
        assert!(!ThreadState::is_attached());
        let attached = ThreadState::attach();
        assert!(ThreadState::is_attached());
        drop(attached);
        assert!(!ThreadState::is_attached());
    }
    works_as_new();
}

#[test]
fn each_thread_has_its_own_state() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    thread::scope(|s| {
        s.spawn(|| {
            assert!(!ThreadState::is_attached());
            works_as_new();
        });
    });
    assert!(ThreadState::is_attached());
    drop(attached);
    works_as_new();
}

#[test]
fn attaching_an_attached_thread_panics() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let m = Mutex::new();
    critical_section(&m, || {
        let top = attached.top();
        panics_with("the thread is already attached", ThreadState::attach);
        assert!(ThreadState::is_attached() && m.is_locked());
        assert_eq!(attached.top(), top);
    });
    drop(attached);
    works_as_new();
}

#[test]
fn detaching_a_detached_thread_panics() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let m = Mutex::new();
    critical_section(&m, || {
        attached.detached(|| {
            panics_with("the thread is already detached", || attached.detached(|| ()));
            assert!(!ThreadState::is_attached() && !m.is_locked());
        });
        assert_held(&m);
    });
    drop(attached);
    works_as_new();
}

#[test]
fn detached_returns_what_its_closure_does() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let text = String::from("moved in and out");
    assert_eq!(attached.detached(|| text), "moved in and out");
}

#[test]
fn a_panic_inside_detached_attaches_again() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let m = Mutex::new();
    critical_section(&m, || {
        panics_with("on purpose", || attached.detached(|| panic!("on purpose")));
        assert!(ThreadState::is_attached() && m.is_locked());
        assert_held(&m);
    });
    assert!(!m.is_locked());
}

#[test]
fn attaching_inside_detached_resumes_the_innermost_section() {
    let _watchdog = watchdog();
    let outer = ThreadState::attach();
    let (a, b, c) = (Mutex::new(), Mutex::new(), Mutex::new());
    critical_section(&a, || {
        critical_section(&b, || {
            outer.detached(|| {
                assert!(!a.is_locked() && !b.is_locked());
                let inner = ThreadState::attach();
                assert!(!a.is_locked() && b.is_locked());
                assert_held(&b);
                critical_section(&c, || {
                    inner.detached(|| {
                        assert!(!b.is_locked() && !c.is_locked());
                        let innermost = ThreadState::attach();
                        assert_held(&c);
                        drop(innermost);
                        assert!(!c.is_locked());
                    });
                    assert_held(&c);
                });
                assert_held(&b);
                drop(inner);
                assert!(!a.is_locked() && !b.is_locked());
            });
            assert!(!a.is_locked() && b.is_locked());
        });
        assert!(a.is_locked() && !b.is_locked());
    });
    assert!(!a.is_locked() && !b.is_locked() && !c.is_locked());
    drop(outer);
    works_as_new();
}

thread_local! {
    static OUTER_CALLS: Cell<usize> = const { Cell::new(0) };
}

static OUTER: ThreadHooks = ThreadHooks {
    detach: || {
        OUTER_CALLS.set(OUTER_CALLS.get() + 1);
        true
    },
    attach: || OUTER_CALLS.set(OUTER_CALLS.get() + 1),
};

#[test]
fn the_hooks_of_an_outer_runtime_rest_while_the_thread_is_attached() {
    let _watchdog = watchdog();
    let event = Event::new();
    let wait = || assert!(!event.wait_timed(MILLISECOND, true));
    assert!(Native::set_thread_hooks(Some(&OUTER)).is_none());
    wait();
    assert_eq!(OUTER_CALLS.take(), 2);

    let attached = ThreadState::attach();
    wait();
    attached.detached(wait);
    attached.detached(|| {
        let _inner = ThreadState::attach();
        wait();
    });
    wait();
    assert_eq!(OUTER_CALLS.take(), 0);
    drop(attached);

    wait();
    assert_eq!(OUTER_CALLS.take(), 2);
    assert!(Native::set_thread_hooks(None).is_some_and(|hooks| std::ptr::eq(hooks, &OUTER)));
}

#[test]
fn a_thread_without_a_state_uses_every_lock_freely() {
    let _watchdog = watchdog();
    let (m, rw, event) = (Mutex::new(), RwMutex::new(), Event::new());
    let turns = |turn: &(dyn Fn() + Sync)| (0..2_000).for_each(|_| turn());
    thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                turns(&|| {
                    m.lock();
                    rw.read_lock();
                    rw.read_unlock();
                    m.unlock();
                    rw.write_lock();
                    rw.write_unlock();
                    let _ = m.lock_timed(MILLISECOND, LockFlags::DETACH) == LockStatus::Acquired
                        && m.try_unlock().is_ok();
                });
                assert!(!ThreadState::is_attached());
                event.notify();
            });
        }
        s.spawn(|| {
            let _attached = ThreadState::attach();
            turns(&|| critical_section(&m, || assert!(m.is_locked())));
            event.wait();
        });
    });
    assert!(!m.is_locked());
}

#[test]
fn a_guard_dropped_inside_a_section_leaves_nothing_on_the_stack() {
    let _watchdog = watchdog();
    let (a, b, c) = (Mutex::new(), Mutex::new(), Mutex::new());
    let attached = ThreadState::attach();
    critical_section(&a, || {
        critical_section2(&b, &c, || {
            drop(attached);
            assert!(!a.is_locked() && !b.is_locked() && !c.is_locked());
            // Free for others, and not ours to unlock when the sections end.
            a.lock();
            c.lock();
        });
        panics_with(NOT_ATTACHED, || critical_section(&b, || ()));
    });
    assert!(a.is_locked() && !b.is_locked() && c.is_locked());
    a.unlock();
    c.unlock();
    works_as_new();
}

#[test]
fn a_guard_dropped_inside_a_section_can_be_replaced() {
    let _watchdog = watchdog();
    let (a, b) = (Mutex::new(), Mutex::new());
    let attached = RefCell::new(Some(ThreadState::attach()));
    critical_section(&a, || {
        critical_section(&b, || {
            attached.take();
            assert!(!a.is_locked() && !b.is_locked());
        });
        assert!(!a.is_locked() && !b.is_locked());
        attached.replace(Some(ThreadState::attach()));
        assert_held(&a);
    });
    assert!(!a.is_locked());
    attached.take();
    works_as_new();
}

#[test]
fn a_guard_dropped_in_a_panic_inside_a_section_leaves_nothing_on_the_stack() {
    let _watchdog = watchdog();
    let m = Mutex::new();
    let attached = ThreadState::attach();
    panics_with("on purpose", || {
        critical_section(&m, || {
            let _attached = attached;
            panic!("on purpose");
        })
    });
    assert!(!m.is_locked());
    works_as_new();
}

#[test]
fn a_guard_that_gets_out_of_detached_keeps_the_thread_attached() {
    let _watchdog = watchdog();
    let m = Mutex::new();
    for outer_first in [false, true] {
        let outer = ThreadState::attach();
        let escaped = critical_section(&m, || {
            let escaped = outer.detached(ThreadState::attach);
            assert!(ThreadState::is_attached());
            assert_held(&m);
            escaped
        });
        let (first, second) = if outer_first { (outer, escaped) } else { (escaped, outer) };
        drop(first);
        assert!(!ThreadState::is_attached());
        panics_with(NOT_ATTACHED, || critical_section(&m, || ()));
        panics_with("the thread is already detached", || second.detached(|| ()));
        drop(second);
        assert!(Native::set_thread_hooks(None).is_none(), "no hooks are left behind");
        works_as_new();
    }
}

#[test]
fn a_guard_leaked_inside_detached_keeps_the_thread_attached() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let m = Mutex::new();
    critical_section(&m, || {
        attached.detached(|| mem::forget(ThreadState::attach()));
        assert_held(&m);
        attached.detached(|| assert!(!m.is_locked()));
    });
    drop(attached);
    works_as_new();
}

#[test]
fn a_leaked_guard_keeps_the_thread_attached_for_good() {
    let _watchdog = watchdog();
    thread::scope(|s| {
        s.spawn(|| {
            mem::forget(ThreadState::attach());
            assert!(ThreadState::is_attached());
            panics_with("the thread is already attached", ThreadState::attach);
            let m = Mutex::new();
            critical_section(&m, || assert!(m.is_locked()));
        });
    });
}

#[test]
fn dropping_a_second_guard_does_not_start_a_stopped_thread() {
    let _watchdog = watchdog();
    let outer = ThreadState::attach();
    // SAFETY: this thread lives.
    let state = unsafe { State::of(&outer) };
    let escaped = outer.detached(ThreadState::attach);
    drop(escaped);
    assert!(state.try_stop());
    drop(outer);
    let attached = AtomicBool::new(false);
    thread::scope(|s| {
        s.spawn(|| {
            // Its attach has to wait for us, if it is still stopped.
            for _ in 0..100 {
                assert!(!attached.load(SeqCst));
                thread::yield_now();
            }
            state.start();
        });
        let _attached = ThreadState::attach();
        attached.store(true, SeqCst);
    });
    works_as_new();
}

#[test]
fn a_panic_with_a_guard_and_sections_unwinds_in_order() {
    let _watchdog = watchdog();
    let (a, b) = (Mutex::new(), Mutex::new());
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let attached = ThreadState::attach();
        critical_section(&a, || {
            critical_section(&b, || attached.detached(|| panic!("on purpose")));
        });
    }));
    assert!(unwound.is_err());
    assert!(!a.is_locked() && !b.is_locked());
    works_as_new();
}

#[test]
fn a_thread_that_attaches_waits_for_the_mutex_of_its_suspended_section() {
    let _watchdog = watchdog();
    let m = Mutex::new();
    let (ready, go, back) = (Event::new(), Event::new(), AtomicBool::new(false));
    thread::scope(|s| {
        s.spawn(|| {
            let attached = ThreadState::attach();
            critical_section(&m, || {
                attached.detached(|| {
                    ready.notify();
                    go.wait();
                });
                back.store(true, SeqCst);
                assert_held(&m);
            });
        });
        ready.wait();
        assert!(m.try_lock());
        go.notify();
        wait_until(|| has_parked(&m));
        assert!(!back.load(SeqCst));
        m.unlock();
    });
    assert!(back.load(SeqCst) && !m.is_locked());
}

#[test]
fn debug_output_names_the_innermost_section() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    assert_eq!(format!("{attached:?}"), "Attached { top: None }");
    let m = Mutex::new();
    critical_section(&m, || {
        let top = attached.top().unwrap();
        assert_eq!(format!("{attached:?}"), format!("Attached {{ top: Some({top}) }}"));
    });
}
