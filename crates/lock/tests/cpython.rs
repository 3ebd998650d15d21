//! Counterparts of the tests in CPython's `Modules/_testinternalcapi/test_lock.c`, with the same
//! numbers and the same state words.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::*};
use std::thread;
use std::time::Duration;

use common::{Sleeper, mutex_bits, recursive_parts, rw_bits};
use pysync_lock::{Event, Mutex, OnceFlag, RecursiveMutex, RwMutex};
use pysync_parking_lot::{Native, Runtime};
use pysync_testing::{wait_until, watchdog};

const COUNTER_THREADS: usize = 5;

/// A number that only its mutex protects: the addition is in two steps.
#[derive(Default)]
struct Counter {
    mutex: Mutex,
    value: AtomicUsize,
}

impl Counter {
    fn add_one(&self, inside: impl FnOnce()) {
        self.mutex.lock();
        let value = self.value.load(Relaxed);
        inside();
        self.value.store(value + 1, Relaxed);
        self.mutex.unlock();
    }
}

#[test]
fn test_lock_basic() {
    let mutex = Mutex::new();
    mutex.lock();
    assert_eq!(mutex_bits(&mutex), 1);
    mutex.unlock();
    assert_eq!(mutex_bits(&mutex), 0);
}

#[test]
fn test_lock_two_threads() {
    let _watchdog = watchdog();
    let (mutex, done) = (Mutex::new(), Event::new());
    mutex.lock();
    assert_eq!(mutex_bits(&mutex), 1);
    thread::scope(|scope| {
        scope.spawn(|| {
            mutex.lock();
            // gh-135641: another address in the bucket may have kept the second bit.
            assert!(matches!(mutex_bits(&mutex), 1 | 3));
            mutex.unlock();
            assert_eq!(mutex_bits(&mutex), 0);
            done.notify();
        });
        wait_until(|| match mutex_bits(&mutex) {
            1 => false,
            3 => true,
            bits => panic!("{bits:#b} while the mutex is held"),
        });
        mutex.unlock();
        done.wait();
        assert_eq!(mutex_bits(&mutex), 0);
    });
}

#[test]
fn test_lock_counter() {
    const ITERATIONS: usize = 10_000;

    let _watchdog = watchdog();
    let counter = Counter::default();
    let done: [Event; COUNTER_THREADS] = Default::default();
    thread::scope(|scope| {
        for done in &done {
            let counter = &counter;
            scope.spawn(move || {
                (0..ITERATIONS).for_each(|_| counter.add_one(|| {}));
                done.notify();
            });
        }
        done.iter().for_each(Event::wait);
        assert_eq!(counter.value.load(Relaxed), COUNTER_THREADS * ITERATIONS);
    });
}

/// Every seventh section lasts for 2 ms, long enough for the lock to be handed over.
#[test]
fn test_lock_counter_slow() {
    const ITERATIONS: usize = 100;

    let _watchdog = watchdog();
    let counter = Counter::default();
    let done: [Event; COUNTER_THREADS] = Default::default();
    thread::scope(|scope| {
        for done in &done {
            let counter = &counter;
            scope.spawn(move || {
                for i in 0..ITERATIONS {
                    counter.add_one(|| {
                        if i % 7 == 0 {
                            thread::sleep(Duration::from_millis(2));
                        }
                    });
                }
                done.notify();
            });
        }
        done.iter().for_each(Event::wait);
        assert_eq!(counter.value.load(Relaxed), COUNTER_THREADS * ITERATIONS);
    });
}

/// Runs `threads` threads that lock and unlock one mutex for `time`; each one's acquisitions.
fn benchmark_locks(threads: usize, section_length: u32, time: Duration) -> Vec<u64> {
    let (mutex, stop) = (Mutex::new(), AtomicBool::new(false));
    // The bits of an f64, which only the mutex protects.
    let value = AtomicU64::new(0);
    let run = || {
        let mut iterations = 0;
        let mut mine = 1.0;
        while !stop.load(Relaxed) {
            mutex.lock();
            for _ in 0..section_length {
                let sum = f64::from_bits(value.load(Relaxed)) + mine;
                value.store(sum.to_bits(), Relaxed);
                mine = sum;
            }
            mutex.unlock();
            iterations += 1;
        }
        iterations
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        thread::sleep(time);
        stop.store(true, Relaxed);
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// As in C: only that it runs. Each thread gets somewhere, which C does not ask.
#[test]
fn test_lock_benchmark() {
    let _watchdog = watchdog();
    for (threads, section_length, millis) in [(1, 1, 100), (4, 20, 100)] {
        let iterations = benchmark_locks(threads, section_length, Duration::from_millis(millis));
        println!("{threads} threads, section {section_length}: {iterations:?}");
        assert!(iterations.iter().sum::<u64>() > 0);
    }
}

#[test]
fn test_lock_once() {
    let (once, calls) = (OnceFlag::new(), Cell::new(0));
    for i in 0..10 {
        let result = once.call_once(|| {
            calls.set(calls.get() + 1);
            if calls.get() < 5 { Err(calls.get()) } else { Ok(()) }
        });
        if i < 4 {
            assert_eq!(result, Err(i + 1));
        } else {
            assert_eq!(result, Ok(()));
            assert_eq!(calls.get(), 5);
        }
    }
}

#[test]
fn test_lock_rwlock() {
    let _watchdog = watchdog();
    let lock = RwMutex::new();
    let [step1, step2, step3, done]: [Event; 4] = Default::default();
    let (running, writer) = (AtomicUsize::new(3), Sleeper::new());
    let finish = || {
        if running.fetch_sub(1, SeqCst) == 1 {
            done.notify();
        }
    };

    lock.write_lock();
    assert_eq!(rw_bits(&lock), 1);
    lock.write_unlock();
    assert_eq!(rw_bits(&lock), 0);

    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                lock.read_lock();
                step1.wait();
                lock.read_unlock();

                lock.read_lock();
                step3.wait();
                lock.read_unlock();
                finish();
            });
        }
        wait_until(|| rw_bits(&lock) == 8);

        // A writer comes while two read.
        scope.spawn(|| {
            writer.enter();
            lock.write_lock();
            step2.wait();
            lock.write_unlock();
            finish();
        });
        wait_until(|| rw_bits(&lock) == 10);
        // D06: its turn is sure only once it is in the queue, where C's is with the bit.
        writer.wait_until_asleep();

        // The readers leave and want in again, but it is the writer's turn.
        step1.notify();
        wait_until(|| rw_bits(&lock) == 3);

        // The writer leaves, the readers are back.
        step2.notify();
        wait_until(|| rw_bits(&lock) == 8);

        step3.notify();
        wait_until(|| rw_bits(&lock) == 0);
        done.wait();
    });
}

#[test]
fn test_lock_recursive() {
    let mutex = RecursiveMutex::new();
    let ident = Native::thread_ident();
    assert!(!mutex.is_locked_by_current_thread());

    mutex.lock();
    assert_eq!(recursive_parts(&mutex), (1, ident, 0));
    assert!(mutex.is_locked_by_current_thread());

    mutex.lock();
    assert_eq!(recursive_parts(&mutex), (1, ident, 1));
    mutex.unlock();
    assert_eq!(recursive_parts(&mutex), (1, ident, 0));

    mutex.unlock();
    assert_eq!(recursive_parts(&mutex), (0, 0, 0));
    assert!(!mutex.is_locked_by_current_thread());
}
