//! Stopping threads: what `try_stop` and `start` promise to a runtime that stops the world.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use common::{Plain, State, calls_to_detach, detaches_in, has_parked};
use pysync_critical_section::{Attached, ThreadState, assert_held, critical_section};
use pysync_lock::{Event, Mutex};
use pysync_testing::{wait_until, watchdog};

/// Long enough for a mutex to be due to be handed over.
fn outlast_a_millisecond() {
    thread::sleep(Duration::from_millis(2));
}

/// Gives other threads the time to go on, if nothing keeps them.
fn give_way() {
    (0..200).for_each(|_| thread::yield_now());
}

#[test]
fn an_attached_thread_cannot_be_stopped() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    // SAFETY: this thread lives.
    let state = unsafe { State::of(&attached) };
    assert!(!state.try_stop());
    state.start();
    assert!(ThreadState::is_attached());
    let m = Mutex::new();
    critical_section(&m, || assert!(!state.try_stop()));
}

#[test]
fn a_detached_thread_is_stopped_at_once_and_again() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    // SAFETY: this thread lives.
    let state = unsafe { State::of(&attached) };
    attached.detached(|| {
        assert!(state.try_stop());
        assert!(state.try_stop(), "it is stopped already");
        state.start();
        state.start();
        assert!(state.try_stop());
        state.start();
    });
    assert!(ThreadState::is_attached());
}

/// Runs `body` on a thread that it detaches; the thread is stopped then. `wake` ends what it is
/// detached for, and yet `body` must not return before the thread is started.
fn stays_stopped(body: impl FnOnce(Attached) + Send, wake: impl FnOnce()) {
    let _watchdog = watchdog();
    let (sender, receiver) = channel();
    let (returned, done) = (AtomicBool::new(false), Event::new());
    thread::scope(|s| {
        s.spawn(|| {
            let attached = ThreadState::attach();
            // SAFETY: this thread lives until `done`.
            sender.send(unsafe { State::of(&attached) }).unwrap();
            body(attached);
            returned.store(true, SeqCst);
            done.wait();
        });
        let state = receiver.recv().unwrap();
        wait_until(|| state.try_stop());
        wake();
        give_way();
        assert!(!returned.load(SeqCst));
        state.start();
        wait_until(|| returned.load(SeqCst));
        done.notify();
    });
}

#[test]
fn a_stopped_thread_cannot_attach() {
    let go = AtomicBool::new(false);
    let body = |attached| {
        drop(attached);
        wait_until(|| go.load(SeqCst));
        drop(ThreadState::attach());
    };
    stays_stopped(body, || go.store(true, SeqCst));
}

#[test]
fn a_stopped_thread_cannot_leave_detached() {
    let (go, m) = (AtomicBool::new(false), Mutex::new());
    let body = |attached: Attached| {
        critical_section(&m, || {
            attached.detached(|| wait_until(|| go.load(SeqCst)));
            assert_held(&m);
        });
    };
    stays_stopped(body, || {
        assert!(!m.is_locked());
        go.store(true, SeqCst);
        give_way();
        assert!(!m.is_locked(), "it does not resume its section either");
    });
}

#[test]
fn a_stopped_thread_cannot_return_from_a_wait() {
    let event = Event::new();
    let body = |_attached| event.wait();
    stays_stopped(body, || event.notify());
}

#[test]
fn a_stopped_thread_cannot_begin_the_section_that_it_waits_for() {
    let m = Mutex::new();
    m.lock();
    let body = |_attached| critical_section(&m, || assert!(m.is_locked()));
    stays_stopped(body, || m.unlock());
    assert!(!m.is_locked());
}

#[test]
fn waiting_to_be_started_does_not_detach() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    // SAFETY: this thread lives until the scope below ends.
    let state = unsafe { State::of(&attached) };
    let (m, waits) = (Mutex::new(), AtomicBool::new(false));
    thread::scope(|s| {
        let detaches = detaches_in(|| {
            critical_section(&m, || {
                attached.detached(|| {
                    assert!(state.try_stop());
                    s.spawn(|| {
                        wait_until(|| waits.load(SeqCst));
                        give_way();
                        state.start();
                    });
                    waits.store(true, SeqCst);
                });
            });
        });
        assert_eq!((detaches, calls_to_detach()), (0, 0));
    });
}

#[test]
fn gh_144513_a_mutex_handed_to_a_stopped_thread_stays_its_own_until_it_starts() {
    let _watchdog = watchdog();
    let m = Mutex::new();
    let (first, second, done) = (AtomicBool::new(false), AtomicBool::new(false), Event::new());
    let (sender, receiver) = channel();
    m.lock();
    thread::scope(|s| {
        s.spawn(|| {
            let attached = ThreadState::attach();
            // SAFETY: this thread lives until `done`.
            sender.send(unsafe { State::of(&attached) }).unwrap();
            critical_section(&m, || first.store(true, SeqCst));
            done.wait();
        });
        let state = receiver.recv().unwrap();
        // It is queued and asleep: only then is it detached.
        wait_until(|| state.try_stop());
        outlast_a_millisecond();
        m.unlock();
        assert!(m.is_locked(), "handed over, to a thread that cannot run");
        assert!(!m.try_lock());

        // Another one waits behind it, and sleeps detached: that thread can be stopped too.
        s.spawn(|| {
            let _attached = ThreadState::attach();
            critical_section(&m, || second.store(true, SeqCst));
        });
        wait_until(|| has_parked(&m));
        give_way();
        assert!(!first.load(SeqCst) && !second.load(SeqCst));
        state.start();
        wait_until(|| first.load(SeqCst) && second.load(SeqCst));
        done.notify();
    });
    assert!(!m.is_locked());
}

#[test]
fn gh_133130_a_mutex_handed_to_a_thread_that_is_stopped_on_resuming_is_not_lost() {
    let _watchdog = watchdog();
    let (m, event, ready) = (Mutex::new(), Event::new(), AtomicBool::new(false));
    let (resumed, done) = (AtomicBool::new(false), Event::new());
    let (sender, receiver) = channel();
    thread::scope(|s| {
        s.spawn(|| {
            let attached = ThreadState::attach();
            // SAFETY: this thread lives until `done`.
            sender.send(unsafe { State::of(&attached) }).unwrap();
            critical_section(&m, || {
                ready.store(true, SeqCst);
                event.wait();
                resumed.store(true, SeqCst);
                assert_held(&m);
            });
            done.wait();
        });
        let state = receiver.recv().unwrap();
        wait_until(|| ready.load(SeqCst) && !m.is_locked());
        m.lock();
        event.notify();
        wait_until(|| has_parked(&m));
        // Detached a second time, for its section's mutex.
        wait_until(|| state.try_stop());
        outlast_a_millisecond();
        m.unlock();
        give_way();
        assert!(m.is_locked() && !resumed.load(SeqCst));
        state.start();
        wait_until(|| resumed.load(SeqCst));
        done.notify();
    });
    assert!(!m.is_locked());
}

#[test]
fn no_thread_runs_while_the_world_is_stopped() {
    const THREADS: usize = 3;
    const STOPS: u64 = 200;
    let _watchdog = watchdog();
    let mutexes = [const { Mutex::new() }; THREADS];
    // Each thread's own while it is attached, the stopper's while it has stopped the thread.
    let numbers = [const { Plain::new() }; THREADS];
    let (finished, left, done) = (AtomicBool::new(false), AtomicUsize::new(0), Event::new());
    let (sender, receiver) = channel();
    let mut turns = 0;
    thread::scope(|s| {
        let workers: Vec<_> = (0..THREADS)
            .map(|id| {
                let (mutexes, numbers, sender) = (&mutexes, &numbers, sender.clone());
                let (finished, left, done) = (&finished, &left, &done);
                s.spawn(move || {
                    let attached = ThreadState::attach();
                    // SAFETY: this thread lives until `done`.
                    sender.send(unsafe { State::of(&attached) }).unwrap();
                    let mut turns = 0;
                    while !finished.load(SeqCst) {
                        turns += 1;
                        // SAFETY: attached, so not stopped.
                        let add = || unsafe { numbers[id].add_one() };
                        critical_section(&mutexes[id], || {
                            add();
                            critical_section(&mutexes[(id + 1) % THREADS], add);
                            if turns % 4 == 0 {
                                attached.detached(thread::yield_now);
                            }
                            add();
                        });
                    }
                    drop(attached);
                    left.fetch_add(1, SeqCst);
                    done.wait();
                    turns
                })
            })
            .collect();

        let states: Vec<_> = (0..THREADS).map(|_| receiver.recv().unwrap()).collect();
        let _attached = ThreadState::attach();
        let never = Event::new();
        for stop in 0..STOPS {
            // In a section, of a mutex that the others want.
            critical_section(&mutexes[stop as usize % THREADS], || {
                while states.iter().filter(|state| !state.try_stop()).count() > 0 {
                    assert!(!never.wait_timed(Some(Duration::from_micros(50)), false));
                }
                // SAFETY: all other threads are stopped.
                numbers.iter().for_each(|number| unsafe { number.add_one() });
                states.iter().for_each(|state| state.start());
            });
        }
        finished.store(true, SeqCst);
        wait_until(|| left.load(SeqCst) == THREADS);
        done.notify();
        turns += workers.into_iter().map(|worker| worker.join().unwrap()).sum::<u64>();
    });
    let sum: u64 = numbers.map(Plain::into_inner).iter().sum();
    assert_eq!(sum, 3 * turns + THREADS as u64 * STOPS);
    assert!(mutexes.iter().all(|m| !m.is_locked()));
}
