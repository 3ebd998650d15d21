//! The raw sections, begun and ended by hand.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::pin::{Pin, pin};

use common::has_parked;
use pysync_critical_section::{
    CriticalSection, CriticalSection2, ThreadState, assert_held, critical_section,
};
use pysync_lock::Mutex;
use pysync_testing::{wait_until, watchdog};

#[test]
fn begin_locks_and_end_unlocks() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let (m, section) = (Mutex::new(), pin!(CriticalSection::new()));
    let section = section.as_ref();
    for _ in 0..3 {
        // SAFETY: ended right away.
        unsafe { section.begin(&m) };
        assert!(m.is_locked());
        assert_held(&m);
        // SAFETY: begun above.
        unsafe { section.end() };
        assert!(!m.is_locked());
        assert_eq!(attached.top(), None);
    }
}

#[test]
fn begin_of_two_locks_both_and_end_unlocks_both() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let m = [const { Mutex::new() }; 3];
    let section = pin!(CriticalSection2::new());
    let section = section.as_ref();
    // The same section with other mutexes, with one, and with two again.
    for (a, b) in [(0, 1), (2, 1), (1, 1), (1, 2), (0, 0), (2, 0)] {
        // SAFETY: ended right away.
        unsafe { section.begin(&m[a], &m[b]) };
        assert!((0..3).all(|i| m[i].is_locked() == (i == a || i == b)));
        // SAFETY: begun above.
        unsafe { section.end() };
        assert!(m.iter().all(|m| !m.is_locked()));
        assert_eq!(attached.top(), None);
    }
}

#[test]
fn a_section_that_was_skipped_can_be_used_again() {
    let _watchdog = watchdog();
    let _attached = ThreadState::attach();
    let (a, b) = (Mutex::new(), Mutex::new());
    let (one, two) = (pin!(CriticalSection::new()), pin!(CriticalSection2::new()));
    let (one, two) = (one.as_ref(), two.as_ref());
    critical_section(&a, || {
        // SAFETY: each is ended in order.
        unsafe {
            // Holds `a` already, takes `b`.
            one.begin(&a);
            two.begin(&a, &a);
            two.end();
            one.end();
            assert!(a.is_locked());
            two.begin(&a, &b);
            one.begin(&b);
            one.end();
            assert!(a.is_locked() && b.is_locked());
            two.end();
        }
        assert!(a.is_locked() && !b.is_locked());
        assert_held(&a);
    });
    assert!(!a.is_locked());
}

#[test]
fn a_section_of_two_that_held_two_forgets_the_second() {
    let _watchdog = watchdog();
    // `a` and `a` after `a` and `b`: the second mutex must not linger.
    let _attached = ThreadState::attach();
    let (a, b) = (Mutex::new(), Mutex::new());
    let section = pin!(CriticalSection2::new());
    let section = section.as_ref();
    // SAFETY: each begin has its end.
    unsafe {
        section.begin(&a, &b);
        section.end();
        b.lock();
        section.begin(&a, &a);
        section.end();
    }
    assert!(!a.is_locked() && b.is_locked());
}

#[test]
fn sections_may_live_on_the_heap_and_outlive_the_call_that_began_them() {
    let _watchdog = watchdog();
    fn begin(m: &Mutex) -> Pin<Box<CriticalSection>> {
        let section = Box::pin(CriticalSection::new());
        // SAFETY: the caller ends it.
        unsafe { section.as_ref().begin(m) };
        section
    }

    let attached = ThreadState::attach();
    let (a, b) = (Mutex::new(), Mutex::new());
    let outer = begin(&a);
    let inner = begin(&b);
    attached.detached(|| assert!(!a.is_locked() && !b.is_locked()));
    assert!(!a.is_locked() && b.is_locked());
    // SAFETY: begun above, in the opposite order.
    unsafe {
        inner.as_ref().end();
        assert!(a.is_locked());
        outer.as_ref().end();
    }
    assert!(!a.is_locked() && !b.is_locked());
}

#[test]
fn a_section_may_end_after_its_thread_has_detached() {
    let _watchdog = watchdog();
    let (a, b, c) = (Mutex::new(), Mutex::new(), Mutex::new());
    let (one, two) = (pin!(CriticalSection::new()), pin!(CriticalSection2::new()));
    let (one, two) = (one.as_ref(), two.as_ref());
    let attached = ThreadState::attach();
    // SAFETY: both are ended below, in the opposite order.
    unsafe {
        one.begin(&a);
        two.begin(&b, &c);
    }
    drop(attached);
    // Others have them by now.
    [&a, &b, &c].into_iter().for_each(Mutex::lock);
    // SAFETY: begun above.
    unsafe { two.end() };
    let attached = {
        a.unlock();
        ThreadState::attach()
    };
    assert!(a.is_locked(), "the outer one has resumed");
    drop(attached);
    // SAFETY: begun above.
    unsafe { one.end() };
    assert!(!a.is_locked() && b.is_locked() && c.is_locked());
    assert_eq!(ThreadState::attach().top(), None);
}

#[test]
fn raw_sections_and_closures_nest_in_each_other() {
    let _watchdog = watchdog();
    let _attached = ThreadState::attach();
    let (a, b) = (Mutex::new(), Mutex::new());
    let raw = pin!(CriticalSection::new());
    let raw = raw.as_ref();
    critical_section(&a, || {
        // SAFETY: ended below.
        unsafe { raw.begin(&b) };
        critical_section(&a, || assert!(a.is_locked() && !b.is_locked()));
        assert!(!a.is_locked() && b.is_locked());
        // SAFETY: begun above.
        unsafe { raw.end() };
        assert!(a.is_locked() && !b.is_locked());
    });
}

#[test]
fn begin_waits_for_each_mutex() {
    let _watchdog = watchdog();
    let (a, b) = (Mutex::new(), Mutex::new());
    a.lock();
    b.lock();
    std::thread::scope(|s| {
        s.spawn(|| {
            let _attached = ThreadState::attach();
            let section = pin!(CriticalSection2::new());
            let section = section.as_ref();
            // SAFETY: ended right away.
            unsafe {
                section.begin(&b, &a);
                assert!(a.is_locked() && b.is_locked());
                section.end();
            }
        });
        let (low, high) = common::by_address(&a, &b);
        wait_until(|| has_parked(low));
        low.unlock();
        wait_until(|| has_parked(high));
        high.unlock();
    });
    assert!(!a.is_locked() && !b.is_locked());
}

#[test]
fn debug_output_shows_the_words() {
    let text = format!("{:?}", CriticalSection::new());
    assert_eq!(text, "CriticalSection { prev: 0x0, mutex: 0x0 }");
    let text = format!("{:?}", CriticalSection2::new());
    assert!(text.starts_with("CriticalSection2 { base: CriticalSection {"), "{text}");
}
