//! Sections of one mutex: what they lock, what they skip, how they nest.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use common::{Plain, detaches_in};
use pysync_critical_section::{ThreadState, assert_held, critical_section, critical_section2};
use pysync_lock::Mutex;
use pysync_testing::{panics_with, wait_until, watchdog};

#[test]
fn others_cannot_lock_the_mutex_of_a_section() {
    let _watchdog = watchdog();
    let _attached = ThreadState::attach();
    let m = Mutex::new();
    critical_section(&m, || {
        thread::scope(|s| {
            s.spawn(|| assert!(!m.try_lock()));
        });
    });
    assert!(m.try_lock());
    m.unlock();
}

#[test]
fn what_a_section_guards_is_written_by_one_thread_at_a_time() {
    let _watchdog = watchdog();
    let (m, number) = (Mutex::new(), Plain::new());
    thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                let _attached = ThreadState::attach();
                for _ in 0..5_000 {
                    // SAFETY: in the section of the number's mutex.
                    critical_section(&m, || unsafe { number.add_one() });
                }
            });
        }
    });
    assert_eq!(number.into_inner(), 20_000);
}

#[test]
fn a_section_returns_what_its_closure_does() {
    let _watchdog = watchdog();
    let _attached = ThreadState::attach();
    let m = Mutex::new();
    let text = String::from("moved in and out");
    assert_eq!(critical_section(&m, || text), "moved in and out");
}

#[test]
fn the_innermost_section_is_on_top() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let (a, b) = (Mutex::new(), Mutex::new());
    assert_eq!(attached.top(), None);
    critical_section(&a, || {
        let outer = attached.top().unwrap();
        critical_section(&b, || assert_ne!(attached.top().unwrap(), outer));
        assert_eq!(attached.top(), Some(outer));
    });
    assert_eq!(attached.top(), None);
}

#[test]
fn nested_sections_that_do_not_wait_hold_all_their_mutexes() {
    let _watchdog = watchdog();
    let _attached = ThreadState::attach();
    let (a, b, c) = (Mutex::new(), Mutex::new(), Mutex::new());
    critical_section(&a, || {
        critical_section(&b, || {
            critical_section(&c, || assert!(a.is_locked() && b.is_locked() && c.is_locked()));
            assert!(a.is_locked() && b.is_locked() && !c.is_locked());
        });
        assert!(a.is_locked() && !b.is_locked());
    });
    assert!(!a.is_locked());
}

#[test]
fn a_mutex_that_the_innermost_section_holds_is_not_locked_again() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let m = Mutex::new();
    critical_section(&m, || {
        let outer = attached.top();
        let detaches = detaches_in(|| {
            critical_section(&m, || {
                assert_eq!(attached.top(), outer, "nothing is pushed");
                critical_section(&m, || assert_eq!(attached.top(), outer));
            });
        });
        assert_eq!(detaches, 0, "it does not block on itself");
        assert!(m.is_locked(), "the inner section does not unlock it");
        assert_held(&m);
    });
    assert!(!m.is_locked());
}

#[test]
fn gh_114203_either_mutex_of_a_section_of_two_is_not_locked_again() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let (a, b) = (Mutex::new(), Mutex::new());
    for m in [&a, &b] {
        critical_section2(&a, &b, || {
            let outer = attached.top();
            let detaches =
                detaches_in(|| critical_section(m, || assert_eq!(attached.top(), outer)));
            assert_eq!(detaches, 0);
            assert!(a.is_locked() && b.is_locked());
        });
        assert!(!a.is_locked() && !b.is_locked());
    }
}

#[test]
fn a_mutex_that_an_outer_section_holds_is_taken_over_from_it() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let (a, b) = (Mutex::new(), Mutex::new());
    critical_section(&a, || {
        let outer = attached.top();
        critical_section(&b, || {
            let middle = attached.top();
            // It blocks on `a`, so that it suspends the outer sections and wakes itself.
            let detaches = detaches_in(|| {
                critical_section(&a, || {
                    assert!(attached.top() != outer && attached.top() != middle);
                    assert!(a.is_locked());
                    assert!(!b.is_locked(), "the section in between is suspended");
                    assert_held(&a);
                });
            });
            assert_eq!(detaches, 1);
            assert_held(&b);
            assert!(b.is_locked(), "the section in between is resumed");
            assert!(!a.is_locked(), "the outer one is not");
        });
        assert_held(&a);
        assert!(a.is_locked(), "the outer one is resumed too");
    });
    assert!(!a.is_locked() && !b.is_locked());
}

#[test]
fn a_thousand_sections_of_one_mutex_nest() {
    fn nest(m: &Mutex, between: &Mutex, depth: u32) {
        critical_section(m, || {
            if depth > 0 {
                critical_section(between, || nest(m, between, depth - 1));
            }
            assert_held(m);
        });
    }

    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let (a, b) = (Mutex::new(), Mutex::new());
    nest(&a, &a, 1_000);
    nest(&a, &b, 1_000);
    assert_eq!(attached.top(), None);
    assert!(!a.is_locked() && !b.is_locked());
}

#[test]
fn assert_held_asks_for_the_innermost_section() {
    let _watchdog = watchdog();
    let _attached = ThreadState::attach();
    let message = "the innermost critical section does not hold the mutex";
    let (a, b) = (Mutex::new(), Mutex::new());
    panics_with(message, || assert_held(&a));
    critical_section(&a, || {
        assert_held(&a);
        panics_with(message, || assert_held(&b));
        critical_section(&b, || {
            assert_held(&b);
            panics_with(message, || assert_held(&a));
        });
    });
    critical_section2(&a, &b, || {
        assert_held(&a);
        assert_held(&b);
    });
}

#[test]
fn a_section_waits_for_a_mutex_that_another_thread_has_locked() {
    let _watchdog = watchdog();
    let (m, begun) = (Mutex::new(), AtomicBool::new(false));
    m.lock();
    thread::scope(|s| {
        s.spawn(|| {
            let _attached = ThreadState::attach();
            critical_section(&m, || begun.store(true, SeqCst));
        });
        wait_until(|| common::has_parked(&m));
        assert!(!begun.load(SeqCst));
        m.unlock();
    });
    assert!(begun.load(SeqCst) && !m.is_locked());
}

#[test]
fn a_mutex_in_a_static_has_sections() {
    let _watchdog = watchdog();
    static M: Mutex = Mutex::new();
    let _attached = ThreadState::attach();
    critical_section(&M, || assert!(M.is_locked()));
    assert!(!M.is_locked());
}
