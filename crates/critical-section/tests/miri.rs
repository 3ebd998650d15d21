//! Undefined behaviour by the letter: small tests for Miri, which `ci/miri.sh` runs with several
//! seeds. They run natively too, with more rounds.
//!
//! What a section guards here is neither atomic nor locked otherwise, so that only the section
//! orders the accesses, and Miri reports a race where it does not.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::cell::RefCell;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::thread;

use common::{Plain, State};
use pysync_critical_section::{
    Attached, CriticalSection, CriticalSection2, ThreadState, critical_section, critical_section2,
};
use pysync_lock::{Event, Mutex};
use pysync_testing::{together, wait_until, watchdog};

/// `native` rounds of a test, or `miri` ones, which take a thousand times as long each.
const fn rounds(miri: usize, native: usize) -> usize {
    if cfg!(miri) { miri } else { native }
}

/// Two numbers, each with its mutex.
struct Pair {
    mutexes: [Mutex; 2],
    numbers: [Plain; 2],
}

impl Pair {
    const fn new() -> Self {
        Self { mutexes: [const { Mutex::new() }; 2], numbers: [const { Plain::new() }; 2] }
    }

    fn add_one(&self, index: usize) {
        // SAFETY: each caller is in a section of this mutex, and that is its innermost.
        unsafe { self.numbers[index].add_one() };
    }

    fn into_numbers(self) -> [u64; 2] {
        assert!(self.mutexes.iter().all(|mutex| !mutex.is_locked()));
        self.numbers.map(Plain::into_inner)
    }
}

#[test]
fn sections_nest_in_opposite_orders() {
    const THREADS: usize = 3;
    let _watchdog = watchdog();
    let rounds = rounds(4, 1_000);
    let pair = Pair::new();
    together(THREADS, |id| {
        let _attached = ThreadState::attach();
        let (outer, inner) = (id % 2, (id + 1) % 2);
        for _ in 0..rounds {
            critical_section(&pair.mutexes[outer], || {
                pair.add_one(outer);
                critical_section(&pair.mutexes[inner], || {
                    thread::yield_now();
                    pair.add_one(inner);
                });
                // Suspended meanwhile or not: it has its mutex again.
                pair.add_one(outer);
            });
        }
    });
    assert_eq!(pair.into_numbers().iter().sum::<u64>(), (3 * THREADS * rounds) as u64);
}

#[test]
fn sections_of_two_mutexes_hold_both() {
    const THREADS: usize = 3;
    let _watchdog = watchdog();
    let rounds = rounds(4, 1_000);
    let pair = Pair::new();
    together(THREADS, |id| {
        let attached = ThreadState::attach();
        let (a, b) = (&pair.mutexes[id % 2], &pair.mutexes[(id + 1) % 2]);
        for round in 0..rounds {
            critical_section2(a, b, || {
                pair.add_one(0);
                // Held already, or taken over from the section around it.
                match round % 3 {
                    0 => critical_section(a, || pair.add_one(id % 2)),
                    1 => critical_section2(b, a, || pair.add_one(id % 2)),
                    _ => attached.detached(thread::yield_now),
                }
                pair.add_one(1);
            });
        }
    });
    let sum: u64 = pair.into_numbers().iter().sum();
    let nested: usize = (0..rounds).filter(|round| round % 3 != 2).count();
    assert_eq!(sum, (THREADS * (2 * rounds + nested)) as u64);
}

#[test]
fn a_section_lets_go_while_its_thread_is_detached_and_resumes() {
    let _watchdog = watchdog();
    let rounds = rounds(4, 1_000);
    let pair = Pair::new();
    together(2, |_| {
        let attached = ThreadState::attach();
        for _ in 0..rounds {
            critical_section(&pair.mutexes[0], || {
                pair.add_one(0);
                critical_section(&pair.mutexes[1], || {
                    attached.detached(|| {
                        thread::yield_now();
                        // Attached for a moment: the innermost section only.
                        let _again = ThreadState::attach();
                        pair.add_one(1);
                    });
                    pair.add_one(1);
                });
                pair.add_one(0);
            });
        }
    });
    assert_eq!(pair.into_numbers(), [4 * rounds as u64; 2]);
}

#[test]
fn a_wait_in_a_section_lets_the_others_in() {
    let _watchdog = watchdog();
    for _ in 0..rounds(2, 200) {
        let (pair, event) = (Pair::new(), Event::new());
        let waiters = AtomicUsize::new(0);
        together(3, |id| {
            let _attached = ThreadState::attach();
            if id == 0 {
                wait_until(|| waiters.load(Relaxed) == 2);
                // No waiter holds its mutex.
                critical_section2(&pair.mutexes[0], &pair.mutexes[1], || {
                    pair.add_one(0);
                    pair.add_one(1);
                    event.notify();
                });
            } else {
                critical_section(&pair.mutexes[id - 1], || {
                    waiters.fetch_add(1, Relaxed);
                    event.wait();
                    pair.add_one(id - 1);
                });
            }
        });
        assert_eq!(pair.into_numbers(), [2, 2]);
    }
}

#[test]
fn a_thread_that_stops_the_world_has_it_to_itself() {
    const WORKERS: usize = 2;
    let _watchdog = watchdog();
    let pair = Pair::new();
    // The workers' own while they are attached, the stopper's while it has stopped them.
    let numbers = [const { Plain::new() }; WORKERS];
    let states = [const { AtomicPtr::new(std::ptr::null_mut::<ThreadState>()) }; WORKERS];
    let (finished, stops) = (AtomicBool::new(false), rounds(3, 100));
    let done = Event::new();
    thread::scope(|s| {
        for id in 0..WORKERS {
            let (pair, numbers, states) = (&pair, &numbers, &states);
            let (finished, done) = (&finished, &done);
            s.spawn(move || {
                let attached = ThreadState::attach();
                states[id].store(attached.state().cast_mut(), SeqCst);
                while !finished.load(Relaxed) {
                    // SAFETY: attached, so not stopped.
                    unsafe { numbers[id].add_one() };
                    critical_section(&pair.mutexes[id], || {
                        pair.add_one(id);
                        critical_section(&pair.mutexes[1 - id], || pair.add_one(1 - id));
                        attached.detached(thread::yield_now);
                    });
                }
                // Its state is used until then.
                attached.detached(|| done.wait());
            });
        }
        let states = states.each_ref().map(|state| {
            wait_until(|| !state.load(SeqCst).is_null());
            state.load(SeqCst)
        });
        for _ in 0..stops {
            // SAFETY: the workers live until `done`.
            wait_until(|| states.iter().all(|&state| unsafe { (*state).try_stop() }));
            // SAFETY: all others are stopped.
            numbers.iter().for_each(|number| unsafe { number.add_one() });
            // SAFETY: as above.
            states.iter().for_each(|&state| unsafe { (*state).start() });
        }
        finished.store(true, Relaxed);
        done.notify();
    });
    assert!(numbers.map(Plain::into_inner).iter().all(|&number| number >= stops as u64));
    assert!(pair.mutexes.iter().all(|mutex| !mutex.is_locked()));
}

#[test]
fn another_thread_may_stop_and_start_a_thread_by_its_state() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    // SAFETY: this thread lives until the scope below ends.
    let state = unsafe { State::of(&attached) };
    for _ in 0..rounds(3, 200) {
        let stopped = AtomicBool::new(false);
        thread::scope(|s| {
            s.spawn(|| {
                wait_until(|| state.try_stop());
                stopped.store(true, SeqCst);
                thread::yield_now();
                state.start();
            });
            attached.detached(|| wait_until(|| stopped.load(SeqCst)));
        });
    }
}

#[test]
fn raw_sections_begin_and_end_by_hand() {
    let _watchdog = watchdog();
    let rounds = rounds(4, 1_000);
    let pair = Pair::new();
    together(2, |id| {
        let attached = ThreadState::attach();
        let (one, two) = (pin!(CriticalSection::new()), pin!(CriticalSection2::new()));
        let (one, two) = (one.as_ref(), two.as_ref());
        let (a, b) = (&pair.mutexes[id], &pair.mutexes[1 - id]);
        for _ in 0..rounds {
            // SAFETY: each is ended below, the inner one first.
            unsafe {
                one.begin(a);
                pair.add_one(id);
                two.begin(b, a);
            }
            pair.add_one(0);
            attached.detached(thread::yield_now);
            pair.add_one(1);
            // SAFETY: begun above.
            unsafe { two.end() };
            pair.add_one(id);
            // SAFETY: begun above.
            unsafe { one.end() };
        }
        // On the heap, and a section that outlives the call that began it.
        let boxed = Box::pin(CriticalSection::new());
        // SAFETY: ended below, before it is dropped.
        unsafe { boxed.as_ref().begin(a) };
        pair.add_one(id);
        // SAFETY: begun above.
        unsafe { boxed.as_ref().end() };
    });
    assert_eq!(pair.into_numbers().iter().sum::<u64>(), (2 * (4 * rounds + 1)) as u64);
}

/// Where std frees thread locals one by one (windows-gnu, Android), the thread's state may be gone
/// when the result of `attach` is dropped.
#[test]
fn an_attached_thread_may_keep_its_guard_in_a_thread_local() {
    thread_local! {
        static KEPT: RefCell<Option<Attached>> = const { RefCell::new(None) };
    }

    let _watchdog = watchdog();
    static MUTEX: Mutex = Mutex::new();
    // The local comes first, or the thread's state does.
    for is_first in [true, false] {
        let thread = thread::spawn(move || {
            if is_first {
                KEPT.with_borrow(|kept| assert!(kept.is_none()));
            }
            let attached = ThreadState::attach();
            critical_section(&MUTEX, || attached.detached(thread::yield_now));
            KEPT.set(Some(attached));
            critical_section(&MUTEX, || assert!(MUTEX.is_locked()));
        });
        thread.join().unwrap();
        assert!(!MUTEX.is_locked());
    }
}

#[test]
fn destructors_of_thread_locals_may_attach_and_have_sections() {
    struct AtExit;

    impl Drop for AtExit {
        fn drop(&mut self) {
            // The thread may be attached still, by a guard that was leaked.
            let attached = (!ThreadState::is_attached()).then(ThreadState::attach);
            critical_section2(&PAIR[0], &PAIR[1], || {
                if let Some(attached) = &attached {
                    attached.detached(thread::yield_now);
                }
                // SAFETY: the section holds the mutexes.
                unsafe { ENDS.add_one() };
            });
        }
    }

    thread_local! {
        static AT_EXIT: RefCell<Option<AtExit>> = const { RefCell::new(None) };
    }
    static PAIR: [Mutex; 2] = [const { Mutex::new() }; 2];
    static ENDS: Plain = Plain::new();

    let _watchdog = watchdog();
    let threads: Vec<_> = (0..4)
        .map(|id| {
            thread::spawn(move || {
                if id % 2 == 0 {
                    AT_EXIT.with_borrow_mut(|at_exit| assert!(at_exit.is_none()));
                }
                let attached = ThreadState::attach();
                critical_section(&PAIR[1], thread::yield_now);
                AT_EXIT.set(Some(AtExit));
                if id < 2 {
                    drop(attached);
                } else {
                    std::mem::forget(attached);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(PAIR.iter().all(|mutex| !mutex.is_locked()));
}
