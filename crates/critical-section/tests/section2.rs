//! Sections of two mutexes: their order, and what they skip.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::pin::pin;
use std::ptr;
use std::thread;

use common::{Plain, by_address, detaches_in, has_parked, words};
use pysync_critical_section::{
    CriticalSection2, ThreadState, assert_held, critical_section, critical_section2,
};
use pysync_lock::Mutex;
use pysync_testing::{wait_until, watchdog};

#[test]
fn both_mutexes_are_locked_until_the_section_ends() {
    let _watchdog = watchdog();
    let _attached = ThreadState::attach();
    let (a, b) = (Mutex::new(), Mutex::new());
    let result = critical_section2(&a, &b, || {
        thread::scope(|s| {
            s.spawn(|| assert!(!a.try_lock() && !b.try_lock()));
        });
        "done"
    });
    assert_eq!(result, "done");
    assert!(!a.is_locked() && !b.is_locked());
}

#[test]
fn two_sections_of_two_guard_what_either_mutex_guards() {
    let _watchdog = watchdog();
    let mutexes = [const { Mutex::new() }; 3];
    let numbers = [const { Plain::new() }; 3];
    thread::scope(|s| {
        for (mut first, mut second) in [(0, 1), (1, 2), (2, 0)] {
            let (mutexes, numbers) = (&mutexes, &numbers);
            s.spawn(move || {
                let _attached = ThreadState::attach();
                for _ in 0..5_000 {
                    critical_section2(&mutexes[first], &mutexes[second], || {
                        // SAFETY: in a section of the mutexes of both numbers.
                        unsafe {
                            numbers[first].add_one();
                            numbers[second].add_one();
                        }
                    });
                    (first, second) = (second, first);
                }
            });
        }
    });
    assert_eq!(numbers.map(Plain::into_inner), [10_000; 3]);
}

#[test]
fn the_lower_address_is_locked_first_whatever_the_arguments_order() {
    let _watchdog = watchdog();
    let (a, b) = (Mutex::new(), Mutex::new());
    let (low, high) = by_address(&a, &b);
    for (first, second) in [(low, high), (high, low)] {
        low.lock();
        thread::scope(|s| {
            s.spawn(|| {
                let _attached = ThreadState::attach();
                critical_section2(first, second, || ());
            });
            wait_until(|| has_parked(low));
            assert!(!high.is_locked(), "it waits for the lower one and has locked nothing");
            low.unlock();
        });

        high.lock();
        thread::scope(|s| {
            s.spawn(|| {
                let _attached = ThreadState::attach();
                critical_section2(first, second, || ());
            });
            wait_until(|| has_parked(high));
            assert!(low.is_locked(), "it keeps the lower one while it waits for the higher");
            high.unlock();
        });
        assert!(!low.is_locked() && !high.is_locked());
    }
}

#[test]
fn a_section_keeps_the_addresses_in_order() {
    let _watchdog = watchdog();
    let _attached = ThreadState::attach();
    let (a, b) = (Mutex::new(), Mutex::new());
    let (low, high) = by_address(&a, &b);
    for (first, second) in [(low, high), (high, low)] {
        let section = pin!(CriticalSection2::new());
        let section = section.as_ref();
        // SAFETY: ended below.
        unsafe { section.begin(first, second) };
        let [_, mutex, mutex2] = words(section.get_ref());
        assert_eq!((mutex, mutex2), (ptr::from_ref(low).addr(), ptr::from_ref(high).addr()));
        // SAFETY: begun above.
        unsafe { section.end() };
    }
}

#[test]
fn the_same_mutex_twice_is_a_section_of_one() {
    let _watchdog = watchdog();
    let _attached = ThreadState::attach();
    let m = Mutex::new();
    let section = pin!(CriticalSection2::new());
    let section = section.as_ref();
    // SAFETY: ended below.
    unsafe { section.begin(&m, &m) };
    assert_eq!(words(section.get_ref()), [0, ptr::from_ref(&m).addr(), 0]);
    assert!(m.is_locked());
    // SAFETY: begun above.
    unsafe { section.end() };
    assert!(!m.is_locked());
}

#[test]
fn the_same_mutex_twice_is_suspended_and_resumed_as_one() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let m = Mutex::new();
    critical_section2(&m, &m, || {
        attached.detached(|| assert!(!m.is_locked()));
        assert_held(&m);
        let outer = attached.top();
        critical_section2(&m, &m, || assert_eq!(attached.top(), outer, "held already"));
        assert!(m.is_locked());
    });
    assert!(!m.is_locked());
}

#[test]
fn gh_150902_two_mutexes_that_the_innermost_section_holds_are_not_locked_again() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let (a, b) = (Mutex::new(), Mutex::new());
    critical_section2(&a, &b, || {
        let outer = attached.top();
        let detaches = detaches_in(|| {
            critical_section2(&a, &b, || assert_eq!(attached.top(), outer));
            critical_section2(&b, &a, || assert_eq!(attached.top(), outer));
            critical_section2(&a, &a, || assert_eq!(attached.top(), outer));
            critical_section2(&b, &b, || assert_eq!(attached.top(), outer));
        });
        assert_eq!(detaches, 0);
        assert!(a.is_locked() && b.is_locked());
    });
    assert!(!a.is_locked() && !b.is_locked());
}

#[test]
fn two_mutexes_are_both_locked_if_the_innermost_section_holds_only_one() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let (a, b) = (Mutex::new(), Mutex::new());
    for held in [&a, &b] {
        critical_section(held, || {
            let outer = attached.top();
            let detaches = detaches_in(|| {
                critical_section2(&a, &b, || {
                    assert_ne!(attached.top(), outer);
                    assert!(a.is_locked() && b.is_locked());
                    assert_held(&a);
                    assert_held(&b);
                });
            });
            assert_eq!(detaches, 1, "it takes the mutex over from the outer section");
            assert_held(held);
            assert!(held.is_locked());
        });
        assert!(!a.is_locked() && !b.is_locked());
    }
}

#[test]
fn two_mutexes_are_locked_if_the_section_that_holds_them_is_not_the_innermost() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let (a, b, c) = (Mutex::new(), Mutex::new(), Mutex::new());
    critical_section2(&a, &b, || {
        critical_section(&c, || {
            let middle = attached.top();
            critical_section2(&b, &a, || {
                assert_ne!(attached.top(), middle);
                assert!(a.is_locked() && b.is_locked() && !c.is_locked());
            });
            assert!(!a.is_locked() && !b.is_locked() && c.is_locked());
        });
        assert!(a.is_locked() && b.is_locked());
    });
    assert!(!a.is_locked() && !b.is_locked() && !c.is_locked());
}

#[test]
fn gh_150902_no_nesting_of_two_mutexes_leaks_a_lock() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let m = [const { Mutex::new() }; 3];
    let pairs = || (0..3).flat_map(|i| (0..3).map(move |j| (i, j)));
    for (a, b) in pairs() {
        for (c, d) in pairs() {
            for (e, f) in pairs() {
                critical_section2(&m[a], &m[b], || {
                    critical_section2(&m[c], &m[d], || {
                        critical_section2(&m[e], &m[f], || {
                            assert!(m[e].is_locked() && m[f].is_locked());
                        });
                        assert!(m[c].is_locked() && m[d].is_locked());
                    });
                    assert!(m[a].is_locked() && m[b].is_locked());
                });
                let locked = m.each_ref().map(Mutex::is_locked);
                assert_eq!(locked, [false; 3], "{a}{b} {c}{d} {e}{f}");
                assert_eq!(attached.top(), None);
            }
        }
    }
}
