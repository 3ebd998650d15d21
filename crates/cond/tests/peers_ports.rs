//! The tests that other condition variables have, with what they assert: parking_lot's and std's by
//! their names there, WebKit's queue, nsync's and Abseil's. Numbers of messages are small enough for
//! every run; `PYSYNC_MESSAGES` in the environment makes them larger.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::collections::VecDeque;
use std::env;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use common::*;
use pysync_cond::guarded::Condvar;
use pysync_cond::{AsReader, AsWriter, Cancel, Cond, Deadline, LockFlags, WaitStatus};
use pysync_lock::guarded::{Mutex, MutexGuard};
use pysync_lock::{MutexWaiter, Requeue, RwMutex};
use pysync_parking_lot::{Key, Position, Waiter, unpark_requeue};
use pysync_testing::{together, wait_until, watchdog, watchdog_for};

const MILLISECOND: Duration = Duration::from_millis(1);
const DETACH: LockFlags = LockFlags::DETACH;

/// How many messages a test sends, or `few`.
fn messages(few: usize) -> usize {
    env::var("PYSYNC_MESSAGES").map_or(few, |number| number.parse().expect("a number"))
}

mod parking_lot {
    use super::*;

    #[test]
    fn smoke() {
        let condvar = Condvar::new();
        assert!(!condvar.notify_one());
        assert_eq!(condvar.notify_all(), 0);
    }

    #[test]
    fn notify_one() {
        let _watchdog = watchdog();
        let (mutex, condvar) = (Mutex::new(()), Condvar::new());
        let mut guard = mutex.lock();
        thread::scope(|scope| {
            scope.spawn(|| {
                let _guard = mutex.lock();
                assert!(condvar.notify_one());
            });
            condvar.wait(&mut guard);
        });
    }

    #[test]
    fn notify_all() {
        const WAITERS: usize = 10;

        let _watchdog = watchdog();
        let (count, condvar, none) = (Mutex::new(0), Condvar::new(), Condvar::new());
        let (ended, has_ended) = channel();
        thread::scope(|scope| {
            for _ in 0..WAITERS {
                let (count, condvar, none, ended) = (&count, &condvar, &none, ended.clone());
                scope.spawn(move || {
                    let mut guard = count.lock();
                    *guard += 1;
                    if *guard == WAITERS {
                        // Nobody, if the other thread has not come to its wait.
                        none.notify_one();
                    }
                    while *guard != 0 {
                        condvar.wait(&mut guard);
                    }
                    ended.send(()).unwrap();
                });
            }
            let mut guard = count.lock();
            if *guard != WAITERS {
                none.wait(&mut guard);
            }
            *guard = 0;
            assert_eq!(condvar.notify_all(), WAITERS);
            drop(guard);
            (0..WAITERS).for_each(|_| has_ended.recv().unwrap());
        });
    }

    #[test]
    fn notify_one_return_true() {
        let _watchdog = watchdog();
        let (mutex, condvar) = (Mutex::new(()), Condvar::new());
        let mut guard = mutex.lock();
        thread::scope(|scope| {
            scope.spawn(|| {
                let _guard = mutex.lock();
                assert!(condvar.notify_one());
            });
            condvar.wait(&mut guard);
        });
    }

    #[test]
    fn notify_one_return_false() {
        let (mutex, condvar) = (Mutex::new(()), Condvar::new());
        thread::scope(|scope| {
            scope.spawn(|| {
                let _guard = mutex.lock();
                assert!(!condvar.notify_one());
            });
        });
    }

    #[test]
    fn notify_all_return() {
        const WAITERS: usize = 10;

        let _watchdog = watchdog();
        let (mutex, condvar) = (Mutex::new(()), Condvar::new());
        thread::scope(|scope| {
            for _ in 0..WAITERS {
                scope.spawn(|| condvar.wait(&mut mutex.lock()));
            }
            wait_for_waiters(&condvar, WAITERS);
            let guard = mutex.lock();
            assert_eq!(condvar.notify_all(), WAITERS);
            drop(guard);
        });
        let _guard = mutex.lock();
        assert_eq!(condvar.notify_all(), 0);
    }

    #[test]
    fn wait_for() {
        let _watchdog = watchdog();
        let (mutex, condvar) = (Mutex::new(()), Condvar::new());
        let mut guard = mutex.lock();
        assert!(condvar.wait_for(&mut guard, MILLISECOND).timed_out());
        thread::scope(|scope| {
            scope.spawn(|| {
                let _guard = mutex.lock();
                assert!(condvar.notify_one());
            });
            assert!(!condvar.wait_for(&mut guard, Duration::MAX).timed_out());
        });
    }

    #[test]
    fn wait_until_() {
        let _watchdog = watchdog();
        let (mutex, condvar) = (Mutex::new(()), Condvar::new());
        let mut guard = mutex.lock();
        assert!(condvar.wait_until(&mut guard, Instant::now() + MILLISECOND).timed_out());
        thread::scope(|scope| {
            scope.spawn(|| {
                let _guard = mutex.lock();
                assert!(condvar.notify_one());
            });
            let later = Instant::now() + Duration::from_secs(3600);
            assert!(!condvar.wait_until(&mut guard, later).timed_out());
        });
    }

    #[test]
    fn wait_while_until_does_not_wait_if_initially_false() {
        let (mutex, condvar) = (Mutex::new(0), Condvar::new());
        let mut guard = mutex.lock();
        let counter = |count: &mut u32| {
            *count += 1;
            *count < 1
        };
        let later = Instant::now() + Duration::from_secs(3600);
        assert!(!condvar.wait_while_until(&mut guard, counter, later).timed_out());
        assert_eq!(*guard, 1);
    }

    #[test]
    fn wait_while_until_times_out_before_false() {
        let (mutex, condvar) = (Mutex::new(0), Condvar::new());
        let mut guard = mutex.lock();
        let never = |count: &mut u32| {
            *count += 1;
            true
        };
        let result = condvar.wait_while_until(&mut guard, never, Instant::now() + MILLISECOND);
        assert!(result.timed_out());
        assert_eq!(*guard, 2);
    }

    #[test]
    fn wait_while_until_() {
        let _watchdog = watchdog();
        let (mutex, condvar) = (Mutex::new(0), Condvar::new());
        let mut guard = mutex.lock();
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..3 {
                    wait_for_waiters(&condvar, 1);
                    *mutex.lock() += 1;
                    assert!(condvar.notify_one());
                }
            });
            let later = Instant::now() + Duration::from_secs(3600);
            let result = condvar.wait_while_until(&mut guard, |count| *count < 3, later);
            assert!(!result.timed_out());
            assert_eq!(*guard, 3);
        });
    }

    /// parking_lot panics. Here each waiter has a mutex of its own choice.
    #[test]
    fn two_mutexes() {
        let _watchdog = watchdog();
        let (one, other, condvar) = (Mutex::new(()), Mutex::new(()), Condvar::new());
        thread::scope(|scope| {
            scope.spawn(|| condvar.wait(&mut one.lock()));
            wait_for_waiters(&condvar, 1);
            assert!(condvar.wait_for(&mut other.lock(), MILLISECOND).timed_out());
            let guard = other.lock();
            assert!(condvar.notify_one());
            drop(guard);
        });
    }

    #[test]
    fn two_mutexes_disjoint() {
        let _watchdog = watchdog();
        let (one, other, condvar) = (Mutex::new(()), Mutex::new(()), Condvar::new());
        let mut guard = one.lock();
        thread::scope(|scope| {
            scope.spawn(|| {
                let _guard = one.lock();
                assert!(condvar.notify_one());
            });
            condvar.wait(&mut guard);
            drop(guard);
            assert!(condvar.wait_for(&mut other.lock(), MILLISECOND).timed_out());
        });
    }

    #[test]
    fn debug_condvar() {
        assert_eq!(format!("{:?}", Condvar::new()), "Condvar { .. }");
    }

    #[test]
    fn condvar_requeue() {
        let _watchdog = watchdog();
        let (mutex, condvar) = (Mutex::new(()), Condvar::new());
        thread::scope(|scope| {
            scope.spawn(|| condvar.wait(&mut mutex.lock()));
            let mut guard = mutex.lock();
            while !condvar.notify_one() {
                // For the thread to come to its wait.
                MutexGuard::unlocked(&mut guard, thread::yield_now);
            }
            // It has been moved to the mutex, and our unlock wakes it.
            drop(guard);
        });
    }

    /// A waiter that times out and then notifies wakes the next one, and so on.
    #[test]
    fn issue_129() {
        const WAITERS: usize = 4;

        let _watchdog = watchdog();
        let (mutex, condvar) = (Mutex::new(()), Condvar::new());
        let (ended, has_ended) = channel();
        thread::scope(|scope| {
            for _ in 0..WAITERS {
                let (mutex, condvar, ended) = (&mutex, &condvar, ended.clone());
                scope.spawn(move || {
                    let mut guard = mutex.lock();
                    condvar.wait(&mut guard);
                    _ = condvar.wait_for(&mut guard, MILLISECOND);
                    condvar.notify_one();
                    ended.send(()).unwrap();
                });
            }
            wait_for_waiters(&condvar, WAITERS);
            assert!(condvar.notify_one());
            (0..WAITERS).for_each(|_| has_ended.recv().unwrap());
        });
    }

    /// The note that threads wait is taken away under the lock of the queue only. So a notifier that
    /// wakes the last of the waiters does not hide those that queue themselves behind it.
    #[test]
    fn issue_466() {
        const ROUNDS: usize = 2_000;

        let _watchdog = watchdog();
        let (mutex, condvar, waits) = (Mutex::new(()), Condvar::new(), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..ROUNDS {
                        condvar.wait(&mut mutex.lock());
                        waits.fetch_add(1, Relaxed);
                    }
                });
            }
            let mut notified = 0;
            while notified < 3 * ROUNDS {
                notified += match notified % 2 {
                    0 => usize::from(condvar.notify_one()),
                    _ => condvar.notify_all(),
                };
                thread::yield_now();
            }
        });
        assert_eq!(waits.into_inner(), 3 * ROUNDS);
    }
}

mod std_ {
    use super::*;

    #[test]
    fn wait_while() {
        let _watchdog = watchdog();
        let (ready, condvar) = (Mutex::new(false), Condvar::new());
        thread::scope(|scope| {
            scope.spawn(|| {
                *ready.lock() = true;
                condvar.notify_one();
            });
            let mut guard = ready.lock();
            condvar.wait_while(&mut guard, |ready| !*ready);
            assert!(*guard);
        });
    }

    #[test]
    fn wait_timeout_wait() {
        let (mutex, condvar) = (Mutex::new(()), Condvar::new());
        let mut guard = mutex.lock();
        let start = Instant::now();
        // std loops, since its waits may end by themselves.
        assert!(condvar.wait_for(&mut guard, MILLISECOND).timed_out());
        assert!(start.elapsed() >= MILLISECOND);
    }

    #[test]
    fn wait_timeout_while_wait() {
        let (mutex, condvar) = (Mutex::new(()), Condvar::new());
        let result = condvar.wait_while_for(&mut mutex.lock(), |()| true, MILLISECOND);
        assert!(result.timed_out());
    }

    #[test]
    fn wait_timeout_while_instant_satisfy() {
        let (mutex, condvar) = (Mutex::new(()), Condvar::new());
        let result = condvar.wait_while_for(&mut mutex.lock(), |()| false, Duration::ZERO);
        assert!(!result.timed_out());
    }

    #[test]
    fn wait_timeout_while_wake() {
        let _watchdog = watchdog();
        let (called, condvar) = (Mutex::new(false), Condvar::new());
        let mut guard = called.lock();
        thread::scope(|scope| {
            scope.spawn(|| {
                *called.lock() = true;
                assert!(condvar.notify_one());
            });
            let result =
                condvar.wait_while_for(&mut guard, |called| !*called, Duration::from_secs(200));
            assert!(!result.timed_out() && *guard);
        });
    }

    #[test]
    fn wait_timeout_wake() {
        let _watchdog = watchdog();
        let (mutex, condvar) = (Mutex::new(()), Condvar::new());
        let notified = AtomicBool::new(false);
        let mut guard = mutex.lock();
        thread::scope(|scope| {
            scope.spawn(|| {
                let _guard = mutex.lock();
                notified.store(true, SeqCst);
                assert!(condvar.notify_one());
            });
            assert!(!condvar.wait_for(&mut guard, Duration::from_secs(200)).timed_out());
            assert!(notified.load(SeqCst));
        });
    }
}

/// Producers and consumers of a queue with so much room.
mod webkit {
    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Notify {
        One,
        /// Only if the queue was empty, or full.
        All,
    }

    struct Queue {
        state: Mutex<State>,
        not_empty: Condvar,
        not_full: Condvar,
        notify: Notify,
        timeout: Option<Duration>,
    }

    struct State {
        items: VecDeque<usize>,
        goes_on: bool,
    }

    impl Queue {
        fn wait(
            &self,
            condvar: &Condvar,
            guard: &mut MutexGuard<'_, State>,
            until: fn(&State, usize) -> bool,
            room: usize,
        ) {
            while !until(guard, room) {
                match self.timeout {
                    None => condvar.wait(guard),
                    Some(timeout) => _ = condvar.wait_for(guard, timeout),
                }
            }
        }

        fn notify(&self, condvar: &Condvar, should_notify: bool) {
            match self.notify {
                Notify::One => _ = condvar.notify_one(),
                Notify::All if should_notify => _ = condvar.notify_all(),
                Notify::All => {}
            }
        }

        fn produce(&self, message: usize, room: usize) {
            let mut guard = self.state.lock();
            self.wait(&self.not_full, &mut guard, |state, room| state.items.len() < room, room);
            let was_empty = guard.items.is_empty();
            guard.items.push_back(message);
            drop(guard);
            self.notify(&self.not_empty, was_empty);
        }

        fn consume(&self, room: usize) -> Option<usize> {
            let mut guard = self.state.lock();
            let until = |state: &State, _| !state.items.is_empty() || !state.goes_on;
            self.wait(&self.not_empty, &mut guard, until, room);
            let was_full = guard.items.len() == room;
            let message = guard.items.pop_front();
            drop(guard);
            self.notify(&self.not_full, was_full);
            message
        }
    }

    fn run(
        producers: usize,
        consumers: usize,
        room: usize,
        notify: Notify,
        timeout: Option<Duration>,
    ) {
        let _watchdog = watchdog_for(Duration::from_secs(300));
        let each = messages(10_000) / producers;
        let queue = Queue {
            state: Mutex::new(State { items: VecDeque::with_capacity(room), goes_on: true }),
            not_empty: Condvar::new(),
            not_full: Condvar::new(),
            notify,
            timeout,
        };
        let received: Vec<_> = (0..each).map(|_| AtomicUsize::new(0)).collect();
        thread::scope(|scope| {
            for _ in 0..consumers {
                scope.spawn(|| {
                    while let Some(message) = queue.consume(room) {
                        received[message].fetch_add(1, Relaxed);
                    }
                });
            }
            together(producers, |_| (0..each).for_each(|message| queue.produce(message, room)));
            queue.state.lock().goes_on = false;
            queue.not_empty.notify_all();
        });
        // Each message of each producer, once.
        assert!(received.into_iter().all(|count| count.into_inner() == producers));
        assert!(queue.state.into_inner().items.is_empty());
    }

    fn run_matrix(notify: Notify, timeout: Option<Duration>) {
        for producers in [1, 10] {
            for consumers in [1, 5, 10] {
                for room in [1, 100] {
                    run(producers, consumers, room, notify, timeout);
                }
            }
        }
    }

    #[test]
    fn queue_with_notify_one() {
        run_matrix(Notify::One, None);
    }

    #[test]
    fn queue_with_notify_all() {
        run_matrix(Notify::All, None);
    }

    #[test]
    fn queue_with_notify_one_and_timeouts() {
        run_matrix(Notify::One, Some(MILLISECOND));
    }

    #[test]
    fn queue_with_notify_all_and_timeouts() {
        run_matrix(Notify::All, Some(MILLISECOND));
    }
}

mod nsync {
    use super::*;

    /// Three producers and one consumer of a queue with `room`: the numbers of each producer come in
    /// their order.
    fn producer_consumer(room: usize) {
        const PRODUCERS: usize = 3;

        let _watchdog = watchdog_for(Duration::from_secs(120));
        let each = messages(10_000) / PRODUCERS;
        let (queue, not_empty, not_full) =
            (Mutex::new(VecDeque::new()), Condvar::new(), Condvar::new());
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut expected = [0; PRODUCERS];
                for _ in 0..PRODUCERS * each {
                    let mut guard = queue.lock();
                    let deadline = Instant::now() + Duration::from_secs(100);
                    let result =
                        not_empty.wait_while_until(&mut guard, |queue| queue.is_empty(), deadline);
                    assert!(!result.timed_out());
                    if guard.len() == room {
                        not_full.notify_all();
                    }
                    let (producer, number) = guard.pop_front().expect("not empty");
                    assert_eq!(std::mem::replace(&mut expected[producer], number + 1), number);
                }
                assert_eq!(expected, [each; PRODUCERS]);
            });
            together(PRODUCERS, |producer| {
                for number in 0..each {
                    let mut guard = queue.lock();
                    not_full.wait_while(&mut guard, |queue| queue.len() == room);
                    if guard.is_empty() {
                        not_empty.notify_all();
                    }
                    guard.push_back((producer, number));
                }
            });
        });
    }

    macro_rules! producer_consumer {
        ($($name:ident: $room:literal;)*) => {
            $(#[test] fn $name() { producer_consumer($room); })*
        };
    }

    producer_consumer! {
        producer_consumer_0: 1;
        producer_consumer_1: 10;
        producer_consumer_2: 100;
        producer_consumer_3: 1_000;
        producer_consumer_4: 10_000;
        producer_consumer_5: 100_000;
        producer_consumer_6: 1_000_000;
    }

    /// Waiters are transferred to the lock's queue, whoever notifies how: all of them wake, and the
    /// counts say so.
    #[test]
    fn cv_transfer() {
        const WAITERS: usize = 30;

        let _watchdog = watchdog();
        for inside in [true, false] {
            for all in [true, false] {
                let (mutex, cond) = (pysync_lock::Mutex::new(), Cond::new());
                let (rw, left) = (RwMutex::new(), AtomicUsize::new(WAITERS));
                thread::scope(|scope| {
                    for number in 0..WAITERS {
                        let (mutex, cond, rw, left) = (&mutex, &cond, &rw, &left);
                        scope.spawn(move || {
                            match number % 3 {
                                0 => {
                                    mutex.lock();
                                    cond.wait(mutex);
                                    mutex.unlock();
                                }
                                1 => {
                                    rw.read_lock();
                                    cond.wait(&AsReader(rw));
                                    rw.read_unlock();
                                }
                                _ => {
                                    rw.write_lock();
                                    cond.wait(&AsWriter(rw));
                                    rw.write_unlock();
                                }
                            }
                            left.fetch_sub(1, SeqCst);
                        });
                    }
                    wait_for_waiters(&cond, WAITERS);
                    rw.write_lock();
                    mutex.lock();
                    let notify = || {
                        if all {
                            assert_eq!(cond.notify_all(), WAITERS);
                        } else {
                            (0..WAITERS).for_each(|_| assert!(cond.notify_one()));
                        }
                        assert!(!cond.notify_one());
                    };
                    if inside {
                        notify();
                        assert_eq!(left.load(SeqCst), WAITERS);
                    }
                    mutex.unlock();
                    rw.write_unlock();
                    if !inside {
                        notify();
                    }
                });
                assert_eq!(left.into_inner(), 0);
            }
        }
    }

    /// Threads that wait for a number's remainder with deadlines of some milliseconds or none, and
    /// threads that count it up.
    #[test]
    fn cv_mu_timeout_stress() {
        const WAITERS: usize = 8;
        const ENOUGH: usize = 40;

        let _watchdog = watchdog();
        for most_millis in [0, 1, 4] {
            let (count, condvar) = (Mutex::new(0_usize), Condvar::new());
            let (timeouts, successes) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let (waiting, stop) = (AtomicUsize::new(WAITERS), AtomicBool::new(false));
            thread::scope(|scope| {
                for id in 0..WAITERS {
                    let (count, condvar, waiting) = (&count, &condvar, &waiting);
                    let (timeouts, successes) = (&timeouts, &successes);
                    scope.spawn(move || {
                        for round in 0.. {
                            let seen = (timeouts.load(Relaxed), successes.load(Relaxed));
                            if seen.0 + seen.1 >= ENOUGH && seen.1 >= ENOUGH / 2 {
                                break;
                            }
                            let micros = (id * 7 + round * 13) % (most_millis * 1_000 + 1);
                            let timeout = Duration::from_micros(micros as u64);
                            let mut guard = count.lock();
                            let other = |count: &mut usize| *count % 4 != id % 4;
                            let result = condvar.wait_while_for(&mut guard, other, timeout);
                            assert_eq!(result.timed_out(), *guard % 4 != id % 4);
                            drop(guard);
                            let ends = if result.timed_out() { timeouts } else { successes };
                            ends.fetch_add(1, Relaxed);
                        }
                        waiting.fetch_sub(1, SeqCst);
                    });
                }
                for _ in 0..2 {
                    scope.spawn(|| {
                        while !stop.load(Relaxed) {
                            let mut guard = count.lock();
                            *guard += 1;
                            if *guard % 2 == 0 {
                                condvar.notify_all();
                            }
                            drop(guard);
                            if *count.lock() % 2 == 1 {
                                condvar.notify_all();
                            }
                            thread::yield_now();
                        }
                    });
                }
                wait_until(|| waiting.load(SeqCst) == 0);
                stop.store(true, Relaxed);
            });
            assert_eq!(waiters(&condvar), 0);
        }
    }

    #[test]
    fn cv_deadline() {
        let (mutex, condvar) = (Mutex::new(()), Condvar::new());
        let mut guard = mutex.lock();
        for _ in 0..50 {
            let deadline = Instant::now() + Duration::from_micros(8_700);
            assert!(condvar.wait_until(&mut guard, deadline).timed_out());
            assert!(Instant::now() >= deadline, "too early");
        }
    }

    #[test]
    fn cv_cancel() {
        let _watchdog = watchdog();
        let (mutex, cond) = (pysync_lock::Mutex::new(), Cond::new());
        for round in 0..50 {
            let (cancel, second) = (Cancel::new(), AtomicBool::new(false));
            let hour = Deadline::after(Some(Duration::from_secs(3600)));
            thread::scope(|scope| {
                scope.spawn(|| {
                    mutex.lock();
                    // The deadline comes first.
                    let soon = Deadline::after(Some(Duration::from_micros(200)));
                    let status = cond.wait_cancellable(&mutex, soon, DETACH, &cancel);
                    assert_eq!(status, WaitStatus::TimedOut);
                    second.store(true, SeqCst);
                    // Then the cancel.
                    let status = cond.wait_cancellable(&mutex, hour, DETACH, &cancel);
                    assert_eq!(status, WaitStatus::Cancelled);
                    // And then both have been.
                    for deadline in [hour, soon, Deadline::NOW, Deadline::NEVER] {
                        let status = cond.wait_cancellable(&mutex, deadline, DETACH, &cancel);
                        assert_eq!(status, WaitStatus::Cancelled);
                    }
                    mutex.unlock();
                });
                wait_until(|| second.load(SeqCst) && waiters(&cond) == 1);
                if round % 2 == 0 {
                    mutex.lock();
                    assert_eq!(cond.cancel(&cancel), 1);
                    mutex.unlock();
                } else {
                    assert_eq!(cond.cancel(&cancel), 1);
                }
            });
        }
    }
}

mod abseil {
    use super::*;

    /// Threads take turns: each waits until the number is its own, adds one, and notifies.
    fn take_turns(
        threads: usize,
        turns: usize,
        wait: impl Fn(&Condvar, &mut MutexGuard<'_, usize>) + Sync,
        notify: fn(&Condvar),
    ) {
        let _watchdog = watchdog();
        let (number, condvar) = (Mutex::new(0), Condvar::new());
        together(threads, |id| {
            let mut guard = number.lock();
            let mut target = id;
            while *guard < turns {
                while *guard != target && *guard < turns {
                    wait(&condvar, &mut guard);
                }
                if *guard < turns {
                    *guard += 1;
                    notify(&condvar);
                    target += threads;
                }
            }
            // Whoever waits for a turn that does not come.
            condvar.notify_all();
        });
        assert_eq!(number.into_inner(), turns);
    }

    #[test]
    fn signal() {
        take_turns(
            2,
            messages(4_000),
            |condvar, guard| condvar.wait(guard),
            |condvar| {
                condvar.notify_one();
            },
        );
    }

    #[test]
    fn signal_all() {
        for threads in [2, 5, 10] {
            let turns = messages(4_000) / threads;
            take_turns(
                threads,
                turns,
                |condvar, guard| condvar.wait(guard),
                |condvar| {
                    condvar.notify_all();
                },
            );
        }
    }

    #[test]
    fn timed() {
        let wait = |condvar: &Condvar, guard: &mut MutexGuard<'_, usize>| {
            assert!(!condvar.wait_for(guard, Duration::from_secs(100)).timed_out());
        };
        take_turns(10, messages(1_000), wait, |condvar| {
            condvar.notify_all();
        });
    }

    /// The mutex is free and threads are parked at it, as one that was woken has not taken it yet. A
    /// waiter that was moved there then would have no unlock to wake it.
    #[test]
    fn cond_var_wait_deadlock() {
        static ELSEWHERE: u8 = 0;

        let _watchdog = watchdog();
        let (mutex, cond) = (pysync_lock::Mutex::new(), Cond::new());
        // Parked at the mutex, in the name of threads that take their time.
        let slow = [MutexWaiter::new(), MutexWaiter::new(), MutexWaiter::new()];
        let attempt = || {
            let parked: [Pin<Box<Waiter>>; 3] =
                std::array::from_fn(|i| Box::pin(Waiter::new(slow[i].park_arg())));
            mutex.lock();
            for waiter in &parked {
                // SAFETY: all who park on this key do so with a `MutexWaiter`.
                let queue =
                    unsafe { waiter.as_ref().queue(Key::of(&ELSEWHERE), Position::Back, || true) };
                assert!(queue);
            }
            let mut requeue = Requeue::new();
            // SAFETY: as above, and the `Requeue` chooses where it is to.
            let moved = unsafe {
                unpark_requeue(
                    Key::of(&ELSEWHERE),
                    |_| Some(mutex.requeue_key()),
                    |waiter| requeue.choose(&mutex, waiter.park_arg.cast()),
                    |_| (),
                )
            };
            assert_eq!(moved.requeued, 3);
            // Wakes the first.
            mutex.unlock();
            if mutex_bits(&mutex) != 2 {
                // It was handed over, since a millisecond has passed.
                return false;
            }
            let given_up = AtomicBool::new(false);
            thread::scope(|scope| {
                scope.spawn(|| {
                    // Takes the mutex past the others; its wait wakes the second.
                    mutex.lock();
                    let between = || given_up.store(true, SeqCst);
                    cond.wait(&Between { mutex: &mutex, between });
                    mutex.unlock();
                });
                wait_until(|| given_up.load(SeqCst));
                let was_free = mutex_bits(&mutex) == 2;
                // In the name of those that it was handed to, where they were due.
                while mutex.is_locked() {
                    mutex.unlock();
                }
                assert!(cond.notify_one());
                was_free
            })
        };
        let mut found = false;
        for _ in 0..100 {
            found |= attempt();
            // Those that were handed the mutex, or parked at it, are gone; the byte remembers.
            while mutex.try_unlock().is_ok() {}
            if mutex_bits(&mutex) != 0 {
                mutex.lock();
                mutex.unlock();
            }
            if found {
                break;
            }
        }
        assert!(found, "the mutex was handed over each time");
    }
}
