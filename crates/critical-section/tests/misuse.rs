//! Misuse: each has its message, and leaves the stack and the locks as they should be.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use common::{NOT_ATTACHED, NOT_LOCKED, OUT_OF_ORDER, has_parked};
use pysync_critical_section::{
    CriticalSection, CriticalSection2, ThreadState, assert_held, critical_section,
    critical_section2,
};
use pysync_lock::{Event, Mutex};
use pysync_testing::{aborts_with, panics_with, wait_until, watchdog};

#[test]
fn a_section_needs_an_attached_thread_state() {
    let _watchdog = watchdog();
    let (a, b) = (Mutex::new(), Mutex::new());
    let never = || unreachable!("the closure must not run");
    let all_panic = || {
        panics_with(NOT_ATTACHED, || critical_section(&a, never));
        panics_with(NOT_ATTACHED, || critical_section2(&a, &b, never));
        panics_with(NOT_ATTACHED, || critical_section2(&a, &a, never));
        panics_with(NOT_ATTACHED, || assert_held(&a));
        let (one, two) = (pin!(CriticalSection::new()), pin!(CriticalSection2::new()));
        // SAFETY: they do not begin.
        panics_with(NOT_ATTACHED, || unsafe { one.as_ref().begin(&a) });
        // SAFETY: as above.
        panics_with(NOT_ATTACHED, || unsafe { two.as_ref().begin(&a, &b) });
        assert!(!a.is_locked() && !b.is_locked());
    };
    all_panic();
    let attached = ThreadState::attach();
    critical_section2(&a, &b, || {
        attached.detached(all_panic);
        assert_held(&a);
        assert_held(&b);
    });
    drop(attached);
    all_panic();
}

#[test]
fn a_section_that_is_not_innermost_cannot_end() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let m = [const { Mutex::new() }; 3];
    let locked = || m.each_ref().map(Mutex::is_locked);
    let (one, two, top) =
        (pin!(CriticalSection::new()), pin!(CriticalSection2::new()), pin!(CriticalSection::new()));
    let (one, two, top) = (one.as_ref(), two.as_ref(), top.as_ref());
    // SAFETY: ended below, in the end.
    unsafe {
        one.begin(&m[0]);
        two.begin(&m[1], &m[2]);
    }
    // SAFETY: refused, and so without effect.
    panics_with(OUT_OF_ORDER, || unsafe { one.end() });
    assert_eq!(locked(), [true; 3]);
    // One that is skipped is nowhere on the stack, and changes nothing.
    // SAFETY: ended at once.
    unsafe {
        top.begin(&m[2]);
        top.end();
    }

    // Suspended or not makes no difference.
    attached.detached(|| ());
    assert_eq!(locked(), [false, true, true]);
    // SAFETY: as above.
    panics_with(OUT_OF_ORDER, || unsafe { one.end() });
    assert_eq!(locked(), [false, true, true]);

    // SAFETY: in order.
    unsafe { two.end() };
    assert_eq!(locked(), [true, false, false]);
    // SAFETY: ended below.
    unsafe { two.begin(&m[1], &m[2]) };
    let outer = pin!(CriticalSection::new());
    let outer = outer.as_ref();
    let n = Mutex::new();
    // SAFETY: ended below.
    unsafe { outer.begin(&n) };
    // SAFETY: refused, and so without effect.
    panics_with(OUT_OF_ORDER, || unsafe { two.end() });
    assert_eq!(locked(), [true; 3]);
    assert!(n.is_locked());

    // SAFETY: in order.
    unsafe {
        outer.end();
        two.end();
        one.end();
    }
    assert_eq!(locked(), [false; 3]);
    assert_eq!(attached.top(), None);
}

#[test]
fn ending_a_section_out_of_order_inside_a_closure_leaves_both_as_they_are() {
    let _watchdog = watchdog();
    let _attached = ThreadState::attach();
    let (a, b) = (Mutex::new(), Mutex::new());
    let section = pin!(CriticalSection::new());
    let section = section.as_ref();
    // SAFETY: ended below.
    unsafe { section.begin(&a) };
    critical_section(&b, || {
        // SAFETY: refused, and so without effect.
        panics_with(OUT_OF_ORDER, || unsafe { section.end() });
        assert_held(&b);
    });
    assert!(a.is_locked() && !b.is_locked());
    // SAFETY: begun above.
    unsafe { section.end() };
    assert!(!a.is_locked());
}

#[test]
fn ending_a_section_twice_or_without_a_begin_has_no_effect() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let (a, b, c) = (Mutex::new(), Mutex::new(), Mutex::new());
    let (one, two) = (pin!(CriticalSection::new()), pin!(CriticalSection2::new()));
    let (one, two) = (one.as_ref(), two.as_ref());
    critical_section(&a, || {
        let top = attached.top();
        // SAFETY: without effect.
        unsafe {
            one.end();
            two.end();
        }
        assert_eq!(attached.top(), top);
        // SAFETY: each has its begin; the second end is without effect.
        unsafe {
            one.begin(&b);
            one.end();
            one.end();
            two.begin(&b, &c);
            two.end();
            two.end();
        }
        assert_eq!(attached.top(), top);
        assert_held(&a);
        // Nor if other code has locked the mutex since.
        b.lock();
        // SAFETY: without effect.
        unsafe {
            one.end();
            two.end();
        }
        assert!(b.is_locked());
    });
    assert!(!a.is_locked());
}

#[test]
fn a_section_whose_mutex_other_code_has_unlocked_says_so_and_ends() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let (a, b) = (Mutex::new(), Mutex::new());
    critical_section(&a, || {
        let top = attached.top();
        panics_with(NOT_LOCKED, || critical_section(&b, || b.unlock()));
        assert_eq!(attached.top(), top);
        assert_held(&a);
        // The same with nothing to fear from it.
        critical_section(&b, || assert!(b.is_locked()));
    });
    assert!(!a.is_locked() && !b.is_locked());
}

#[test]
fn a_section_of_two_unlocks_what_is_left_to_unlock() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let (a, b) = (Mutex::new(), Mutex::new());
    let unlockers: [&dyn Fn(); 3] = [&|| a.unlock(), &|| b.unlock(), &|| {
        a.unlock();
        b.unlock();
    }];
    for unlock in unlockers {
        panics_with(NOT_LOCKED, || critical_section2(&a, &b, unlock));
        assert!(!a.is_locked() && !b.is_locked());
        assert_eq!(attached.top(), None);
    }
}

#[test]
fn a_section_whose_mutex_was_unlocked_resumes_the_one_around_it() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let (a, b) = (Mutex::new(), Mutex::new());
    critical_section(&a, || {
        panics_with(NOT_LOCKED, || {
            critical_section(&b, || {
                attached.detached(|| ());
                assert!(!a.is_locked());
                b.unlock();
            })
        });
        assert!(a.is_locked());
        assert_held(&a);
    });
    assert!(!a.is_locked());
}

#[test]
fn detaching_with_a_mutex_that_was_unlocked_says_so_and_resumes() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let (a, b, c) = (Mutex::new(), Mutex::new(), Mutex::new());
    for unlocked in [&a, &b, &c] {
        critical_section(&a, || {
            critical_section2(&b, &c, || {
                unlocked.unlock();
                panics_with(NOT_LOCKED, || {
                    attached.detached(|| unreachable!("the closure must not run"))
                });
                assert!(!a.is_locked() && b.is_locked() && c.is_locked());
                assert_held(&b);
                assert_held(&c);
            });
            assert!(a.is_locked());
        });
        assert!(!a.is_locked() && !b.is_locked() && !c.is_locked());
        assert_eq!(attached.top(), None);
    }
}

#[test]
fn detaching_with_a_mutex_that_was_unlocked_unwinds_through_the_sections() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let (a, b) = (Mutex::new(), Mutex::new());
    panics_with(NOT_LOCKED, || {
        critical_section(&a, || {
            critical_section(&b, || {
                a.unlock();
                attached.detached(|| ());
            })
        })
    });
    assert!(!a.is_locked() && !b.is_locked());
    assert_eq!(attached.top(), None);
}

#[test]
fn dropping_a_guard_with_a_mutex_that_was_unlocked_says_so_and_detaches() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let (a, b) = (Mutex::new(), Mutex::new());
    panics_with(NOT_LOCKED, || {
        critical_section(&a, || {
            critical_section(&b, || {
                b.unlock();
                drop(attached);
            })
        })
    });
    assert!(!a.is_locked() && !b.is_locked());
    assert!(!ThreadState::is_attached());
    assert_eq!(ThreadState::attach().top(), None);
}

#[test]
fn waiting_with_a_mutex_that_was_unlocked_aborts() {
    let _watchdog = watchdog();
    // The thread is queued by then, and cannot leave its stack behind.
    let message = "a panic in a runtime's detach or attach around a wait";
    aborts_with("waiting_with_a_mutex_that_was_unlocked_aborts", message, || {
        let _attached = ThreadState::attach();
        let m = Mutex::new();
        critical_section(&m, || {
            m.unlock();
            Event::new().wait_timed(Some(Duration::from_millis(1)), true)
        })
    });
}

#[test]
fn a_panic_in_a_section_whose_mutex_was_unlocked_is_not_covered_up() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let (a, b) = (Mutex::new(), Mutex::new());
    panics_with("on purpose", || {
        critical_section2(&a, &b, || {
            b.unlock();
            panic!("on purpose");
        })
    });
    assert!(!a.is_locked() && !b.is_locked());
    assert_eq!(attached.top(), None);
}

#[test]
fn a_panic_inside_sections_ends_them() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let m = [const { Mutex::new() }; 4];
    let free = || m.iter().all(|m| !m.is_locked());
    let boom = || panic!("on purpose");
    let bodies: [&dyn Fn(); 6] = [
        &|| critical_section(&m[0], boom),
        &|| critical_section2(&m[0], &m[1], boom),
        &|| critical_section2(&m[1], &m[1], boom),
        &|| critical_section(&m[0], || critical_section2(&m[1], &m[2], boom)),
        &|| critical_section2(&m[2], &m[1], || critical_section(&m[1], boom)),
        &|| {
            critical_section(&m[0], || {
                critical_section2(&m[1], &m[2], || {
                    critical_section(&m[3], || attached.detached(boom));
                });
            });
        },
    ];
    for body in bodies {
        panics_with("on purpose", body);
        assert!(free());
        assert_eq!(attached.top(), None);
        assert!(ThreadState::is_attached());
        critical_section2(&m[0], &m[1], || assert!(m[0].is_locked()));
    }
}

#[test]
fn a_panic_that_is_caught_inside_a_section_leaves_that_section() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let (a, b) = (Mutex::new(), Mutex::new());
    critical_section(&a, || {
        let top = attached.top();
        panics_with("on purpose", || {
            critical_section(&b, || {
                attached.detached(|| ());
                panic!("on purpose");
            })
        });
        assert_eq!(attached.top(), top);
        assert!(a.is_locked() && !b.is_locked());
        assert_held(&a);
    });
    assert!(!a.is_locked());
}

#[test]
fn a_panic_waits_for_the_mutex_of_the_section_that_it_resumes() {
    let _watchdog = watchdog();
    let (a, b) = (Mutex::new(), Mutex::new());
    let (ready, event, caught) = (AtomicBool::new(false), Event::new(), AtomicBool::new(false));
    thread::scope(|s| {
        s.spawn(|| {
            let _attached = ThreadState::attach();
            critical_section(&a, || {
                panics_with("on purpose", || {
                    critical_section(&b, || {
                        ready.store(true, SeqCst);
                        event.wait();
                        panic!("on purpose");
                    })
                });
                caught.store(true, SeqCst);
                assert_held(&a);
            });
        });
        wait_until(|| ready.load(SeqCst) && !a.is_locked());
        a.lock();
        event.notify();
        wait_until(|| has_parked(&a));
        assert!(!caught.load(SeqCst) && !b.is_locked());
        a.unlock();
    });
    assert!(caught.load(SeqCst) && !a.is_locked());
}
