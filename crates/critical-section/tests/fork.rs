//! fork inside sections: the child goes on where the parent was.
#![cfg(all(unix, not(any(pysync_loom, pysync_shuttle))))]

mod common;

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

use common::{State, has_parked};
use pysync_critical_section::{
    CriticalSection, CriticalSection2, ThreadState, assert_held, critical_section,
    critical_section2,
};
use pysync_lock::{Event, Mutex};
use pysync_parking_lot::register_fork_handler;
use pysync_testing::{fork, wait_until, watchdog};

#[test]
fn the_child_still_holds_its_sections_and_can_end_them_and_begin_others() {
    let _watchdog = watchdog();
    register_fork_handler();
    let attached = ThreadState::attach();
    let m = [const { Mutex::new() }; 4];
    let (one, two) = (pin!(CriticalSection::new()), pin!(CriticalSection2::new()));
    let (one, two) = (one.as_ref(), two.as_ref());
    for _ in 0..50 {
        // SAFETY: ended below, and in the child.
        unsafe {
            one.begin(&m[0]);
            two.begin(&m[1], &m[2]);
        }
        let locked = || m.each_ref().map(Mutex::is_locked);
        fork(|| {
            assert_eq!(locked(), [true, true, true, false]);
            assert!(ThreadState::is_attached());
            assert_held(&m[1]);
            critical_section(&m[3], || {
                critical_section2(&m[0], &m[1], || {
                    assert_eq!(locked(), [true, true, false, false]);
                });
                attached.detached(|| assert_eq!(locked(), [false; 4]));
            });
            assert_eq!(locked(), [false, true, true, false]);
            // SAFETY: begun before the fork.
            unsafe {
                two.end();
                assert_eq!(locked(), [true, false, false, false]);
                one.end();
            }
            assert_eq!(locked(), [false; 4]);
            attached.top().is_none()
        });
        assert_eq!(locked(), [true, true, true, false], "the parent's own");
        // SAFETY: begun above.
        unsafe {
            two.end();
            one.end();
        }
    }
}

#[test]
fn the_child_of_a_detached_thread_attaches_and_resumes() {
    let _watchdog = watchdog();
    register_fork_handler();
    let attached = ThreadState::attach();
    let m = Mutex::new();
    critical_section(&m, || {
        attached.detached(|| {
            fork(|| {
                assert!(!ThreadState::is_attached() && !m.is_locked());
                let again = ThreadState::attach();
                assert!(m.is_locked());
                assert_held(&m);
                drop(again);
                !m.is_locked()
            });
        });
        assert_held(&m);
    });
}

#[test]
fn a_child_of_a_thread_that_others_wait_for_nests_with_threads_of_its_own() {
    let _watchdog = watchdog();
    register_fork_handler();
    let (a, b) = (Mutex::new(), Mutex::new());
    for _ in 0..50 {
        let (sleepers, leave) = (AtomicUsize::new(0), Event::new());
        thread::scope(|s| {
            let attached = ThreadState::attach();
            critical_section(&a, || {
                // Parked in a begin on our mutex, and suspended in a section of their own.
                s.spawn(|| {
                    let _attached = ThreadState::attach();
                    critical_section(&b, || critical_section(&a, || ()));
                });
                s.spawn(|| {
                    let _attached = ThreadState::attach();
                    sleepers.fetch_add(1, SeqCst);
                    leave.wait();
                    critical_section(&a, || ());
                });
                wait_until(|| has_parked(&a) && sleepers.load(SeqCst) == 1);
                // `b` may or may not have been let go of by now.
                fork(|| {
                    // SAFETY: the only thread, and it holds no section of `b`.
                    unsafe { b.after_fork() };
                    critical_section(&b, || assert!(a.is_locked()));
                    attached.detached(|| {
                        thread::scope(|s| {
                            for (outer, inner) in [(&a, &b), (&b, &a)] {
                                s.spawn(move || {
                                    let _attached = ThreadState::attach();
                                    for _ in 0..20 {
                                        critical_section(outer, || {
                                            thread::yield_now();
                                            critical_section(inner, || ());
                                        });
                                    }
                                });
                            }
                        });
                    });
                    assert_held(&a);
                    a.is_locked() && !b.is_locked()
                });
            });
            leave.notify();
        });
        assert!(!a.is_locked() && !b.is_locked());
    }
}

/// The stopper is gone in the child, where the thread is still stopped.
#[test]
fn a_thread_that_forks_while_it_is_stopped_is_started_in_the_child() {
    let _watchdog = watchdog();
    register_fork_handler();
    let attached = ThreadState::attach();
    // SAFETY: this thread lives until the scope below ends.
    let state = unsafe { State::of(&attached) };
    let (stopped, forked) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|s| {
        s.spawn(|| {
            wait_until(|| state.try_stop());
            stopped.store(true, SeqCst);
            wait_until(|| forked.load(SeqCst));
            state.start();
        });
        attached.detached(|| {
            wait_until(|| stopped.load(SeqCst));
            fork(|| {
                // SAFETY: the only thread of the child.
                unsafe { ThreadState::after_fork() };
                let again = ThreadState::attach();
                drop(again);
                true
            });
            forked.store(true, SeqCst);
        });
    });
    assert!(ThreadState::is_attached());
}
