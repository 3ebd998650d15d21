//! Sections that are nested in whatever order never deadlock.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use common::{Plain, by_address, has_parked};
use pysync_critical_section::{ThreadState, critical_section, critical_section2};
use pysync_lock::Mutex;
use pysync_testing::{wait_until, watchdog};

/// Runs each body `turns` times on a thread of its own, attached.
fn race(turns: usize, bodies: &[&(dyn Fn(usize) + Sync)]) {
    thread::scope(|s| {
        for body in bodies {
            s.spawn(move || {
                let _attached = ThreadState::attach();
                (0..turns).for_each(body);
            });
        }
    });
}

#[test]
fn two_threads_nest_two_mutexes_in_opposite_orders() {
    let _watchdog = watchdog();
    let (a, b, of_a, of_b) = (Mutex::new(), Mutex::new(), Plain::new(), Plain::new());
    let nest = |outer, of_outer: &Plain, inner, of_inner: &Plain| {
        critical_section(outer, || {
            // SAFETY: the innermost section guards it.
            unsafe { of_outer.add_one() };
            // Give the other a chance to be in its outer section too.
            thread::yield_now();
            // SAFETY: as above.
            critical_section(inner, || unsafe { of_inner.add_one() });
            // SAFETY: as above.
            unsafe { of_outer.add_one() };
        });
    };
    race(20_000, &[&|_| nest(&a, &of_a, &b, &of_b), &|_| nest(&b, &of_b, &a, &of_a)]);
    assert_eq!(of_a.into_inner(), 60_000);
    assert_eq!(of_b.into_inner(), 60_000);
    assert!(!a.is_locked() && !b.is_locked());
}

#[test]
fn sections_of_two_name_their_mutexes_in_opposite_orders() {
    let _watchdog = watchdog();
    let (a, b, number) = (Mutex::new(), Mutex::new(), Plain::new());
    // SAFETY: both sections guard it.
    let add = || unsafe { number.add_one() };
    race(20_000, &[&|_| critical_section2(&a, &b, add), &|_| critical_section2(&b, &a, add)]);
    assert_eq!(number.into_inner(), 40_000);
}

#[test]
fn three_threads_nest_three_mutexes_in_a_circle() {
    let _watchdog = watchdog();
    let m = [const { Mutex::new() }; 3];
    let nest = |a: usize, b: usize, c: usize| {
        critical_section(&m[a], || critical_section(&m[b], || critical_section(&m[c], || ())));
    };
    race(10_000, &[&|_| nest(0, 1, 2), &|_| nest(1, 2, 0), &|_| nest(2, 0, 1)]);
    assert!(m.iter().all(|m| !m.is_locked()));
}

#[test]
fn gh_155400_sections_of_one_and_of_two_nest_in_opposite_orders() {
    let _watchdog = watchdog();
    let (a, b, c) = (Mutex::new(), Mutex::new(), Mutex::new());
    let (low, high) = by_address(&a, &b);
    race(
        10_000,
        &[
            &|_| critical_section2(low, high, || critical_section(&c, || ())),
            &|_| critical_section(&c, || critical_section2(high, low, || ())),
            &|_| critical_section(high, || critical_section(low, || ())),
        ],
    );
    assert!(!a.is_locked() && !b.is_locked() && !c.is_locked());
}

#[test]
fn gh_156910_sections_of_two_that_block_inside_keep_the_order_of_their_mutexes() {
    let _watchdog = watchdog();
    let m = [const { Mutex::new() }; 4];
    let nest = |a: usize, b: usize, c: usize, d: usize| {
        critical_section2(&m[a], &m[b], || {
            thread::yield_now();
            critical_section2(&m[c], &m[d], || ());
        });
    };
    race(10_000, &[&|_| nest(0, 1, 2, 3), &|_| nest(3, 2, 1, 0), &|_| nest(1, 2, 0, 3)]);
    assert!(m.iter().all(|m| !m.is_locked()));
}

#[test]
fn sections_mix_with_a_plain_lock_in_either_order_and_with_detaching() {
    let _watchdog = watchdog();
    let (a, b, plain) = (Mutex::new(), Mutex::new(), Mutex::new());
    // A thread that waits for the plain lock in a section lets go of the section, so that it may be
    // held around sections as well as taken inside them.
    let with_plain = |inner: &dyn Fn()| {
        plain.lock();
        inner();
        plain.unlock();
    };
    thread::scope(|s| {
        for (outer, inner) in [(&a, &b), (&b, &a)] {
            s.spawn(move || {
                let attached = ThreadState::attach();
                for turn in 0..5_000 {
                    critical_section(outer, || {
                        with_plain(&thread::yield_now);
                        critical_section(inner, || {
                            with_plain(&|| ());
                            if turn % 16 == 0 {
                                attached.detached(|| with_plain(&thread::yield_now));
                            }
                        });
                        with_plain(&|| critical_section(inner, thread::yield_now));
                    });
                    with_plain(&|| critical_section2(outer, inner, || ()));
                }
            });
        }
        s.spawn(|| (0..10_000).for_each(|_| with_plain(&thread::yield_now)));
    });
    assert!(!a.is_locked() && !b.is_locked() && !plain.is_locked());
}

#[test]
fn long_sections_in_opposite_orders_hand_their_mutexes_over_and_do_not_deadlock() {
    let _watchdog = watchdog();
    let (a, b, number) = (Mutex::new(), Mutex::new(), Plain::new());
    // Every mutex is held until a thread has waited for it for more than a millisecond, so that
    // it is handed over: to a thread in the middle of its begin, or of its resume.
    let hold = |m: &Mutex| {
        let mut patience = 50;
        while !has_parked(m) && patience > 0 {
            thread::yield_now();
            patience -= 1;
        }
        thread::sleep(Duration::from_millis(2));
    };
    let nest = |outer: &Mutex, inner: &Mutex| {
        critical_section(outer, || {
            hold(outer);
            critical_section(inner, || hold(inner));
        });
        critical_section2(outer, inner, || {
            hold(outer);
            // SAFETY: both sections guard it.
            unsafe { number.add_one() };
        });
    };
    race(60, &[&|_| nest(&a, &b), &|_| nest(&b, &a), &|_| nest(&a, &a)]);
    assert_eq!(number.into_inner(), 180);
    assert!(!a.is_locked() && !b.is_locked());
}

#[test]
fn a_thread_gets_the_outer_mutex_of_one_that_waits_for_an_inner_mutex() {
    // The textbook deadlock, made sure of: each holds what the other wants.
    let _watchdog = watchdog();
    for _ in 0..200 {
        let (a, b) = (Mutex::new(), Mutex::new());
        let arrived = AtomicUsize::new(0);
        let nest = |outer: &Mutex, inner: &Mutex| {
            let _attached = ThreadState::attach();
            critical_section(outer, || {
                arrived.fetch_add(1, SeqCst);
                wait_until(|| arrived.load(SeqCst) == 2);
                critical_section(inner, || assert!(inner.is_locked()));
            });
        };
        thread::scope(|s| {
            s.spawn(|| nest(&a, &b));
            s.spawn(|| nest(&b, &a));
        });
        assert!(!a.is_locked() && !b.is_locked());
    }
}
