//! Counterparts of CPython's own tests, `Modules/_testinternalcapi/test_critical_sections.c`.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use common::has_parked;
use pysync_critical_section::{ThreadState, critical_section, critical_section2};
use pysync_lock::{Event, Mutex};
use pysync_testing::{wait_until, watchdog};

// test_critical_sections
#[test]
fn a_section_locks_its_mutex_and_is_on_the_stack() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let d1 = Mutex::new();
    critical_section(&d1, || {
        assert!(d1.is_locked());
        assert!(attached.top().is_some());
    });
    assert!(!d1.is_locked());
    assert_eq!(attached.top(), None);
}

// test_critical_sections
#[test]
fn a_section_of_two_locks_both() {
    let _watchdog = watchdog();
    let _attached = ThreadState::attach();
    let (d1, d2) = (Mutex::new(), Mutex::new());
    critical_section2(&d1, &d2, || assert!(d1.is_locked() && d2.is_locked()));
    assert!(!d1.is_locked() && !d2.is_locked());
}

// test_critical_sections
#[test]
fn the_same_mutex_twice_does_not_deadlock() {
    let _watchdog = watchdog();
    let _attached = ThreadState::attach();
    let d2 = Mutex::new();
    critical_section2(&d2, &d2, || assert!(d2.is_locked()));
    assert!(!d2.is_locked());
}

fn lock_unlock_object(m: &Mutex, depth: u32) {
    critical_section(m, || {
        if depth > 0 {
            lock_unlock_object(m, depth - 1);
        }
    });
}

fn lock_unlock_two_objects(a: &Mutex, b: &Mutex, depth: u32) {
    critical_section2(a, b, || {
        if depth > 0 {
            lock_unlock_two_objects(a, b, depth - 1);
        }
    });
}

// test_critical_sections_nest
#[test]
fn sections_of_one_mutex_nest_ten_deep() {
    let _watchdog = watchdog();
    let _attached = ThreadState::attach();
    let a = Mutex::new();
    critical_section(&a, || {
        assert!(a.is_locked());
        lock_unlock_object(&a, 10);
        assert!(a.is_locked());
    });
    assert!(!a.is_locked());
}

// test_critical_sections_nest
#[test]
fn sections_of_two_mutexes_nest_ten_deep_in_either_order() {
    let _watchdog = watchdog();
    let _attached = ThreadState::attach();
    let (a, b) = (Mutex::new(), Mutex::new());
    critical_section2(&b, &a, || {
        lock_unlock_two_objects(&a, &b, 10);
        assert!(a.is_locked() && b.is_locked());
    });
    assert!(!a.is_locked() && !b.is_locked());
}

// test_critical_sections_suspend
#[test]
fn a_section_is_suspended_while_its_thread_is_detached() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let a = Mutex::new();
    critical_section(&a, || {
        assert!(a.is_locked());
        attached.detached(|| assert!(!a.is_locked()));
        assert!(a.is_locked());
    });
    assert!(!a.is_locked());
}

// test_critical_sections_threads
#[test]
fn four_threads_nest_three_mutexes_two_hundred_times() {
    const NUM_THREADS: usize = 4;
    const NUM_ITERS: usize = 200;
    let _watchdog = watchdog();
    let (obj1, obj2, obj3) = (Mutex::new(), Mutex::new(), Mutex::new());
    let (countdown, done) = (AtomicUsize::new(NUM_THREADS), Event::new());

    let body = || {
        let attached = ThreadState::attach();
        for _ in 0..NUM_ITERS {
            critical_section(&obj1, || ());
            critical_section(&obj2, || lock_unlock_object(&obj1, 1));
            critical_section2(&obj3, &obj1, || lock_unlock_object(&obj2, 2));
            critical_section(&obj3, || attached.detached(|| ()));
        }
        drop(attached);
        if countdown.fetch_sub(1, SeqCst) == 1 {
            done.notify();
        }
    };
    thread::scope(|s| {
        for _ in 0..NUM_THREADS {
            s.spawn(body);
        }
        done.wait();
    });
    assert!(!obj1.is_locked() && !obj2.is_locked() && !obj3.is_locked());
}

/// What a collector does: stop the other threads, and start them again.
struct World {
    states: [AtomicPtr<ThreadState>; 3],
    stop_event: Event,
}

impl World {
    fn others(&self, own: usize) -> impl Iterator<Item = &ThreadState> {
        let others = self.states.iter().enumerate().filter(move |(id, _)| *id != own);
        // SAFETY: each thread enters its state before anybody stops the world, and lives until
        // all are done.
        others.map(|(_, state)| unsafe { &*state.load(SeqCst) })
    }

    fn stop(&self, own: usize) {
        // All of them in each round, as one that is stopped stays so. The waits in between must
        // not detach, or our own section's mutex may go to a thread that is stopped (gh-118332).
        while self.others(own).filter(|state| !state.try_stop()).count() > 0 {
            let detach = false;
            assert!(!self.stop_event.wait_timed(Some(Duration::from_millis(1)), detach));
        }
    }

    fn start(&self, own: usize) {
        self.others(own).for_each(ThreadState::start);
    }
}

// test_critical_sections_gc: its sleeps are states to wait for here, but for the one that makes
// the mutex due to be handed over.
#[test]
fn gh_118332_contended_sections_do_not_deadlock_with_the_collector() {
    let _watchdog = watchdog();
    for _ in 0..30 {
        let obj = Mutex::new();
        let world = World {
            states: [const { AtomicPtr::new(ptr::null_mut()) }; 3],
            stop_event: Event::new(),
        };
        let (ready, held, done) = (Event::new(), Event::new(), Event::new());
        let (arrived, countdown) = (AtomicUsize::new(0), AtomicUsize::new(3));
        let stopping = AtomicBool::new(false);

        let body = |id: usize| {
            let attached = ThreadState::attach();
            world.states[id].store(attached.state().cast_mut(), SeqCst);
            if arrived.fetch_add(1, SeqCst) == 2 {
                ready.notify();
            } else {
                ready.wait();
            }

            match id {
                0 => critical_section(&obj, || {
                    held.notify();
                    wait_until(|| has_parked(&obj));
                    thread::sleep(Duration::from_millis(2));
                    stopping.store(true, SeqCst);
                    world.stop(id);
                    assert!(obj.is_locked());
                    world.start(id);
                }),
                1 => {
                    held.wait();
                    critical_section(&obj, || assert!(obj.is_locked()));
                }
                _ => {
                    // Attached, so that thread 0 has to wait for us.
                    wait_until(|| stopping.load(SeqCst));
                    critical_section(&obj, || assert!(obj.is_locked()));
                }
            }

            drop(attached);
            if countdown.fetch_sub(1, SeqCst) == 1 {
                done.notify();
            }
            done.wait();
        };
        thread::scope(|s| {
            for id in 0..3 {
                s.spawn(move || body(id));
            }
        });
        assert!(!obj.is_locked());
    }
}
