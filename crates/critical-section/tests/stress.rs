//! Sections under load, for ThreadSanitizer too: nothing here synchronises but our own
//! primitives, `spawn` and `join`. (The standard library's are not instrumented.)
//!
//! `RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer"
//! TSAN_OPTIONS="suppressions=$PWD/ci/tsan.supp"
//! cargo +nightly test --target x86_64-unknown-linux-gnu -p pysync-critical-section --test stress`
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::pin::pin;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use common::Plain;
use pysync_critical_section::{
    Attached, CriticalSection, CriticalSection2, ThreadState, critical_section, critical_section2,
};
use pysync_lock::{Event, LockFlags, LockStatus, Mutex, RwMutex};
use pysync_testing::watchdog;

const THREADS: usize = 4;

/// A mutex and what it guards.
struct Object {
    mutex: Mutex,
    number: Plain,
}

impl Object {
    const fn new() -> Self {
        Self { mutex: Mutex::new(), number: Plain::new() }
    }

    fn section(&self, inner: impl FnOnce()) {
        critical_section(&self.mutex, || {
            // SAFETY: the innermost section guards it.
            unsafe { self.number.add_one() };
            inner();
            // SAFETY: it does so again.
            unsafe { self.number.add_one() };
        });
    }
}

fn section2(a: &Object, b: &Object, inner: impl FnOnce()) {
    let add = || {
        // SAFETY: the innermost section guards both.
        unsafe {
            a.number.add_one();
            b.number.add_one();
        }
    };
    critical_section2(&a.mutex, &b.mutex, || {
        add();
        inner();
        add();
    });
}

/// Runs `body` on each of several attached threads, with its number.
fn attached(body: impl Fn(usize, &Attached) + Sync) {
    thread::scope(|s| {
        let body = &body;
        let spawn = |id| s.spawn(move || body(id, &ThreadState::attach()));
        join((0..THREADS).map(spawn).collect());
    });
}

/// Joins by hand: the end of a scope is a wait inside of std, which ThreadSanitizer cannot see.
fn join(threads: Vec<ScopedJoinHandle<'_, ()>>) {
    for thread in threads {
        thread.join().unwrap();
    }
}

fn assert_numbers<const N: usize>(objects: [Object; N], number: u64) {
    for object in objects {
        assert!(!object.mutex.is_locked());
        assert_eq!(object.number.into_inner(), number);
    }
}

#[test]
fn one_object() {
    let _watchdog = watchdog();
    let object = Object::new();
    attached(|_, _| (0..5_000).for_each(|_| object.section(|| ())));
    assert_numbers([object], 2 * 5_000 * THREADS as u64);
}

#[test]
fn objects_in_a_circle() {
    let _watchdog = watchdog();
    let objects = [const { Object::new() }; THREADS];
    attached(|id, attached| {
        let [a, b, c] = [id, id + 1, id + 2].map(|id| &objects[id % THREADS]);
        for turn in 0..2_000 {
            a.section(|| {
                b.section(|| c.section(|| ()));
                if turn % 16 == 0 {
                    attached.detached(thread::yield_now);
                }
            });
        }
    });
    assert_numbers(objects, 6 * 2_000);
}

#[test]
fn pairs_in_a_circle() {
    let _watchdog = watchdog();
    let objects = [const { Object::new() }; THREADS];
    attached(|id, attached| {
        let [a, b, c] = [id, id + 1, id + 2].map(|id| &objects[id % THREADS]);
        for turn in 0..2_000 {
            section2(b, a, || section2(c, b, || ()));
            if turn % 16 == 0 {
                section2(a, c, || attached.detached(thread::yield_now));
            } else {
                section2(a, c, || ());
            }
        }
    });
    assert_numbers(objects, 12 * 2_000);
}

#[test]
fn mutexes_that_are_handed_over() {
    let _watchdog = watchdog();
    let objects = [const { Object::new() }; 2];
    attached(|id, _| {
        let (a, b) = (&objects[id % 2], &objects[(id + 1) % 2]);
        let hold = || thread::sleep(Duration::from_millis(2));
        for _ in 0..10 {
            a.section(hold);
            a.section(|| b.section(hold));
            section2(a, b, hold);
        }
    });
    assert_numbers(objects, 2 * 10 * (2 + 4 + 4));
}

#[test]
fn sections_around_every_lock() {
    let _watchdog = watchdog();
    let objects = [const { Object::new() }; 2];
    let (mutex, of_mutex) = (Mutex::new(), Plain::new());
    let (rw, of_rw) = (RwMutex::new(), Plain::new());
    attached(|id, _| {
        for turn in 0..2_000 {
            objects[(id + turn) % 2].section(|| {
                mutex.lock();
                // SAFETY: the mutex guards it.
                unsafe { of_mutex.add_one() };
                mutex.unlock();
                let soon = Some(Duration::from_micros(50));
                if mutex.lock_timed(soon, LockFlags::DETACH) == LockStatus::Acquired {
                    mutex.unlock();
                }
                rw.write_lock();
                // SAFETY: the lock guards it.
                unsafe { of_rw.add_one() };
                rw.write_unlock();
                rw.read_lock();
                rw.read_unlock();
            });
        }
    });
    let turns = 2_000 * THREADS as u64;
    assert_eq!((of_mutex.into_inner(), of_rw.into_inner()), (turns, turns));
    assert_numbers(objects, turns);
}

#[test]
fn raw_sections() {
    let _watchdog = watchdog();
    let objects = [const { Object::new() }; 3];
    attached(|id, _| {
        let [a, b, c] = [id, id + 1, id + 2].map(|id| &objects[id % 3]);
        let (one, two) = (pin!(CriticalSection::new()), pin!(CriticalSection2::new()));
        let (one, two) = (one.as_ref(), two.as_ref());
        for _ in 0..2_000 {
            // SAFETY: ended in order, and each number is written in a section of its mutex.
            unsafe {
                one.begin(&a.mutex);
                a.number.add_one();
                two.begin(&b.mutex, &c.mutex);
                b.number.add_one();
                c.number.add_one();
                two.end();
                a.number.add_one();
                one.end();
            }
        }
    });
    // Four threads and three objects: thread 3 does as thread 0.
    let [a, b, c] = objects.map(|object| object.number.into_inner());
    assert_eq!([a, b, c], [6 * 2_000, 5 * 2_000, 5 * 2_000]);
}

#[test]
fn stopped_worlds() {
    /// Where a thread leaves its state, before the event.
    struct Worker {
        state: AtomicPtr<ThreadState>,
        entered: Event,
        number: Plain,
    }

    impl Worker {
        const fn new() -> Self {
            Self {
                state: AtomicPtr::new(ptr::null_mut()),
                entered: Event::new(),
                number: Plain::new(),
            }
        }
    }

    const TURNS: u64 = 1_000;
    const STOPS: u64 = 200;
    let _watchdog = watchdog();
    let workers = [const { Worker::new() }; 3];
    let object = Object::new();
    let (finished, never) = (Event::new(), Event::new());
    thread::scope(|s| {
        let spawn = |worker| {
            let (worker, object, finished): (&Worker, _, _) = (worker, &object, &finished);
            s.spawn(move || {
                let attached = ThreadState::attach();
                worker.state.store(attached.state().cast_mut(), Relaxed);
                worker.entered.notify();
                for _ in 0..TURNS {
                    // SAFETY: attached, and so not stopped.
                    object.section(|| unsafe { worker.number.add_one() });
                    attached.detached(thread::yield_now);
                }
                drop(attached);
                finished.wait();
            })
        };
        let threads = workers.iter().map(spawn).collect();
        let states = workers.each_ref().map(|worker| {
            worker.entered.wait();
            // SAFETY: the thread lives until `finished`.
            unsafe { &*worker.state.load(Relaxed) }
        });
        let _attached = ThreadState::attach();
        for _ in 0..STOPS {
            object.section(|| {
                while states.iter().filter(|state| !state.try_stop()).count() > 0 {
                    never.wait_timed(Some(Duration::from_micros(50)), false);
                }
                // SAFETY: all are stopped.
                workers.iter().for_each(|worker| unsafe { worker.number.add_one() });
                states.iter().for_each(|state| state.start());
            });
        }
        finished.notify();
        join(threads);
    });
    for worker in workers {
        assert_eq!(worker.number.into_inner(), TURNS + STOPS);
    }
    assert_numbers([object], 2 * (3 * TURNS + STOPS));
}
