//! Suspending all of a thread's sections, and resuming the innermost.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::pin::pin;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use common::{Plain, by_address, detaches_in, has_parked, words};
use pysync_critical_section::{
    CriticalSection, CriticalSection2, ThreadState, assert_held, critical_section,
    critical_section2,
};
use pysync_lock::{Event, Mutex};
use pysync_testing::{wait_until, watchdog};

const INACTIVE: usize = 1;
const TWO_MUTEXES: usize = 2;

#[test]
fn detached_lets_go_of_every_section_and_resumes_the_innermost() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let m = [const { Mutex::new() }; 4];
    let locked = || m.each_ref().map(Mutex::is_locked);
    critical_section(&m[0], || {
        critical_section2(&m[1], &m[2], || {
            critical_section(&m[3], || {
                assert_eq!(locked(), [true; 4]);
                let top = attached.top();
                attached.detached(|| {
                    assert_eq!(locked(), [false; 4]);
                    assert_eq!(attached.top(), top, "suspended, but still there");
                });
                assert_eq!(attached.top(), top);
                assert_eq!(locked(), [false, false, false, true]);
            });
            assert_eq!(locked(), [false, true, true, false]);
            assert_held(&m[1]);
            assert_held(&m[2]);
        });
        assert_eq!(locked(), [true, false, false, false]);
        assert_held(&m[0]);
    });
    assert_eq!(locked(), [false; 4]);
}

#[test]
fn a_thread_may_detach_again_before_its_outer_sections_have_resumed() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let (a, b, c) = (Mutex::new(), Mutex::new(), Mutex::new());
    critical_section(&a, || {
        critical_section(&b, || {
            attached.detached(|| ());
            assert!(!a.is_locked() && b.is_locked());
            critical_section(&c, || {
                attached.detached(|| assert!(!b.is_locked() && !c.is_locked()));
                attached.detached(|| assert!(!a.is_locked() && !c.is_locked()));
                assert!(!a.is_locked() && !b.is_locked() && c.is_locked());
            });
            assert!(!a.is_locked() && b.is_locked());
        });
        assert!(a.is_locked());
    });
    assert!(!a.is_locked() && !b.is_locked() && !c.is_locked());
}

#[test]
fn the_link_to_a_section_says_that_it_is_suspended() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let (a, b, c, d) = (Mutex::new(), Mutex::new(), Mutex::new(), Mutex::new());
    let (one, two, top) =
        (pin!(CriticalSection::new()), pin!(CriticalSection2::new()), pin!(CriticalSection::new()));
    let (one, two, top) = (one.as_ref(), two.as_ref(), top.as_ref());
    let one_addr = ptr::from_ref(one.get_ref()).addr();
    let two_addr = ptr::from_ref(two.get_ref()).addr() | TWO_MUTEXES;
    // SAFETY: each is ended below, in the opposite order.
    unsafe {
        one.begin(&a);
        two.begin(&b, &c);
        top.begin(&d);
    }
    let links = || {
        let [to_none, _] = words(one.get_ref());
        let [to_one, _, _] = words(two.get_ref());
        let [to_two, _] = words(top.get_ref());
        [to_none, to_one, to_two]
    };
    assert_eq!(links(), [0, one_addr, two_addr]);
    attached.detached(|| assert_eq!(links(), [0, one_addr | INACTIVE, two_addr | INACTIVE]));
    assert_eq!(links(), [0, one_addr | INACTIVE, two_addr | INACTIVE], "until they are innermost");
    // SAFETY: begun above.
    unsafe { top.end() };
    assert!(!a.is_locked() && b.is_locked() && c.is_locked() && !d.is_locked());
    // Its thread's link to it is active again, and a section inside it gets that.
    // SAFETY: ended in order.
    unsafe {
        top.begin(&d);
        assert_eq!(links(), [0, one_addr | INACTIVE, two_addr]);
        top.end();
        two.end();
    }
    assert!(a.is_locked() && !b.is_locked() && !c.is_locked());
    // SAFETY: begun above.
    unsafe { one.end() };
    assert!(!a.is_locked());
}

#[test]
fn an_outer_section_waits_for_its_mutex_when_the_inner_one_ends() {
    let _watchdog = watchdog();
    let (a, b) = (Mutex::new(), Mutex::new());
    let (ready, event) = (AtomicBool::new(false), Event::new());
    let (taken, ended) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|s| {
        s.spawn(|| {
            let _attached = ThreadState::attach();
            critical_section(&a, || {
                critical_section(&b, || {
                    ready.store(true, SeqCst);
                    event.wait();
                    assert!(b.is_locked());
                });
                ended.store(true, SeqCst);
                assert!(!taken.load(SeqCst), "it has its mutex again");
                assert_held(&a);
            });
        });
        wait_until(|| ready.load(SeqCst) && !a.is_locked());
        assert!(a.try_lock());
        taken.store(true, SeqCst);
        event.notify();
        wait_until(|| has_parked(&a));
        assert!(!ended.load(SeqCst) && !b.is_locked(), "the inner one has ended");
        taken.store(false, SeqCst);
        a.unlock();
    });
    assert!(!a.is_locked() && !b.is_locked());
}

#[test]
fn a_section_of_two_resumes_in_the_order_of_addresses() {
    let _watchdog = watchdog();
    let (a, b) = (Mutex::new(), Mutex::new());
    let (low, high) = by_address(&a, &b);
    for held in [low, high] {
        let (ready, event) = (AtomicBool::new(false), Event::new());
        thread::scope(|s| {
            s.spawn(|| {
                let _attached = ThreadState::attach();
                critical_section2(high, low, || {
                    ready.store(true, SeqCst);
                    event.wait();
                    assert!(low.is_locked() && high.is_locked());
                });
            });
            wait_until(|| ready.load(SeqCst) && !low.is_locked() && !high.is_locked());
            assert!(held.try_lock());
            event.notify();
            wait_until(|| has_parked(held));
            // gh-155400: the lower one is kept while it waits for the higher, never the reverse.
            assert!(low.is_locked());
            assert_eq!(high.is_locked(), ptr::eq(held, high));
            held.unlock();
        });
        assert!(!low.is_locked() && !high.is_locked());
    }
}

#[test]
fn a_section_that_is_resuming_lets_go_of_nothing_else() {
    // While a thread waits to resume its innermost section, it is detached; the sections around
    // it, suspended already, are not touched a second time.
    let _watchdog = watchdog();
    let (outer, pair) = (Mutex::new(), [Mutex::new(), Mutex::new()]);
    let (ready, event) = (AtomicBool::new(false), Event::new());
    thread::scope(|s| {
        s.spawn(|| {
            let _attached = ThreadState::attach();
            critical_section(&outer, || {
                critical_section2(&pair[0], &pair[1], || {
                    ready.store(true, SeqCst);
                    event.wait();
                });
                assert_held(&outer);
            });
        });
        wait_until(|| ready.load(SeqCst) && !outer.is_locked());
        // Ours by now: the thread would take them from us if it unlocked them once more.
        outer.lock();
        pair.iter().for_each(Mutex::lock);
        event.notify();
        for m in &pair {
            wait_until(|| has_parked(m));
            assert!(outer.is_locked());
            m.unlock();
        }
        wait_until(|| has_parked(&outer));
        outer.unlock();
    });
    assert!(!outer.is_locked() && pair.iter().all(|m| !m.is_locked()));
}

#[test]
fn a_section_that_is_beginning_lets_go_of_the_sections_around_it() {
    let _watchdog = watchdog();
    let (outer, wanted) = (Mutex::new(), Mutex::new());
    let (ready, begun) = (AtomicBool::new(false), AtomicBool::new(false));
    wanted.lock();
    thread::scope(|s| {
        s.spawn(|| {
            let attached = ThreadState::attach();
            critical_section(&outer, || {
                ready.store(true, SeqCst);
                let top = attached.top();
                critical_section(&wanted, || {
                    begun.store(true, SeqCst);
                    assert!(wanted.is_locked());
                    assert_ne!(attached.top(), top);
                });
                assert_eq!(attached.top(), top);
                assert!(outer.is_locked());
            });
        });
        wait_until(|| ready.load(SeqCst) && !outer.is_locked());
        assert!(!begun.load(SeqCst));
        wanted.unlock();
    });
    assert!(!outer.is_locked() && !wanted.is_locked());
}

#[test]
fn a_suspended_section_is_handed_its_mutex_like_any_other_waiter() {
    let _watchdog = watchdog();
    let m = Mutex::new();
    let (ready, resumed) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|s| {
        s.spawn(|| {
            let attached = ThreadState::attach();
            critical_section(&m, || {
                attached.detached(|| {
                    ready.store(true, SeqCst);
                    wait_until(|| m.is_locked());
                });
                resumed.store(true, SeqCst);
            });
        });
        wait_until(|| ready.load(SeqCst));
        m.lock();
        // Hold 2 ms and relock at once: after a few turns it must be handed over.
        while !resumed.load(SeqCst) {
            wait_until(|| has_parked(&m) || resumed.load(SeqCst));
            thread::sleep(Duration::from_millis(2));
            m.unlock();
            m.lock();
        }
        m.unlock();
    });
}

#[test]
fn what_sections_guard_is_consistent_across_suspensions() {
    let _watchdog = watchdog();
    let mutexes = [const { Mutex::new() }; 3];
    let numbers = [const { Plain::new() }; 3];
    const TURNS: u64 = 2_000;
    thread::scope(|s| {
        for id in 0..3 {
            let (mutexes, numbers) = (&mutexes, &numbers);
            s.spawn(move || {
                let attached = ThreadState::attach();
                let (outer, inner) = (id, (id + 1) % 3);
                for turn in 0..TURNS {
                    critical_section(&mutexes[outer], || {
                        // SAFETY: the innermost section guards it.
                        unsafe { numbers[outer].add_one() };
                        critical_section(&mutexes[inner], || {
                            // SAFETY: as above.
                            unsafe { numbers[inner].add_one() };
                            if turn % 8 == 0 {
                                attached.detached(thread::yield_now);
                            }
                            // SAFETY: as above, again since it was resumed.
                            unsafe { numbers[inner].add_one() };
                        });
                        // SAFETY: as above, again since the inner one has ended.
                        unsafe { numbers[outer].add_one() };
                    });
                }
            });
        }
    });
    assert_eq!(numbers.map(Plain::into_inner), [4 * TURNS; 3]);
}

#[test]
fn a_thread_whose_sections_all_rest_detaches_all_the_same() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let (m, event) = (Mutex::new(), Event::new());
    // A wait of an attached thread without any section.
    assert_eq!(detaches_in(|| assert!(!event.wait_timed(Some(Duration::from_millis(1)), true))), 1);
    // And one of a thread that is detached already.
    critical_section(&m, || {
        attached.detached(|| {
            assert_eq!(
                detaches_in(|| assert!(!event.wait_timed(Some(Duration::from_millis(1)), true))),
                0
            );
        });
    });
}
