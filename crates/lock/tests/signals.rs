//! Signals on waiting threads: which flags make them heard.
// The portable parker sleeps through signals, so there is nothing to see.
#![cfg(all(target_os = "linux", not(any(pysync_loom, pysync_shuttle, pysync_portable))))]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering::*};
use std::thread;
use std::time::{Duration, Instant};

use common::*;
use pysync_lock::{Event, LockFlags, LockStatus, Mutex, OnceFlag, RecursiveMutex, RwMutex};
use pysync_parking_lot::{Deadline, Native, PendingCallError};
use pysync_testing::{rain, rain_until, watchdog};

const DETACH: LockFlags = LockFlags::DETACH;
const HANDLE: LockFlags = LockFlags::HANDLE_SIGNALS;
const FAIL: LockFlags = LockFlags::FAIL_IF_INTERRUPTED;
const NONE: LockFlags = LockFlags::empty();

/// A lock or an event that is not to be had until `release`.
trait Waited: Sync {
    fn wait(&self, timeout: Option<Duration>, flags: LockFlags) -> LockStatus;
    fn release(&self);
}

impl Waited for Mutex {
    fn wait(&self, timeout: Option<Duration>, flags: LockFlags) -> LockStatus {
        self.lock_in::<Counting>(Deadline::after(timeout), flags)
    }

    fn release(&self) {
        self.unlock();
    }
}

/// By way of the method without a timeout.
struct Untimed(Mutex);

impl Waited for Untimed {
    fn wait(&self, timeout: Option<Duration>, flags: LockFlags) -> LockStatus {
        match timeout {
            None => self.0.lock_in::<Counting>(Deadline::NEVER, flags),
            Some(_) => self.0.wait(timeout, flags),
        }
    }

    fn release(&self) {
        self.0.unlock();
    }
}

impl Waited for RecursiveMutex {
    fn wait(&self, timeout: Option<Duration>, flags: LockFlags) -> LockStatus {
        let status = self.lock_in::<Counting>(Deadline::after(timeout), flags);
        let owner = self.is_locked_by_current_thread();
        assert_eq!(owner, status == LockStatus::Acquired);
        status
    }

    fn release(&self) {
        self.unlock();
    }
}

impl Waited for Event {
    fn wait(&self, timeout: Option<Duration>, flags: LockFlags) -> LockStatus {
        self.wait_in::<Counting>(Deadline::after(timeout), flags)
    }

    fn release(&self) {
        self.notify();
    }
}

fn every_kind() -> [Box<dyn Waited>; 4] {
    let (mutex, untimed, recursive) = (Mutex::new(), Mutex::new(), RecursiveMutex::new());
    mutex.lock();
    untimed.lock();
    recursive.lock();
    [Box::new(mutex), Box::new(Untimed(untimed)), Box::new(recursive), Box::new(Event::new())]
}

/// What a wait is to do under fire.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    /// Go on until it is released.
    Sleeps,
    /// Run pending calls each time, and go on.
    Handles,
    /// End, having run this many pending calls.
    Ends { pending: usize },
}

/// Fires at one wait until it has shown what it does.
fn under_fire(
    waited: &dyn Waited,
    flags: LockFlags,
    timeout: Option<Duration>,
    pending_calls: fn() -> Result<(), PendingCallError>,
    expected: Expected,
) {
    let _watchdog = watchdog();
    SUCCEEDED.store(0, SeqCst);
    let target = Target::default();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            set_pending_calls(pending_calls);
            target.enter();
            let status = waited.wait(timeout, flags);
            (status, take_counts())
        });
        let threads = [target.thread()];
        target.sleeper.wait_until_asleep();
        match expected {
            Expected::Ends { .. } => {
                // SAFETY: joined only when all has been sent.
                unsafe { rain_until(&threads, || waiter.is_finished()) };
            }
            Expected::Handles | Expected::Sleeps => {
                // A hundred may well be handled in one go, before the wait hears of the first.
                let heard = || expected == Expected::Sleeps || SUCCEEDED.load(SeqCst) > 1;
                // SAFETY: joined only when all has been sent.
                unsafe {
                    rain(&threads, 100);
                    rain_until(&threads, heard);
                }
                assert!(!waiter.is_finished(), "{flags:?} was woken by a signal");
                waited.release();
            }
        }
        let (status, counts) = waiter.join().unwrap();
        let context = format!("{flags:?}, {expected:?}: {status:?}, {counts:?}");
        assert_eq!(counts.detached, counts.attached, "{context}");
        if !flags.contains(DETACH) {
            assert_eq!(counts.detached, 0, "{context}");
        }
        match expected {
            Expected::Sleeps => {
                assert_eq!(status, LockStatus::Acquired, "{context}");
                assert_eq!(counts.pending, 0, "{context}");
            }
            Expected::Handles => {
                assert_eq!(status, LockStatus::Acquired, "{context}");
                assert!(counts.pending > 1, "{context}");
                assert!(!flags.contains(DETACH) || counts.detached > 1, "{context}");
            }
            Expected::Ends { pending } => {
                assert_eq!(status, LockStatus::Interrupted, "{context}");
                assert_eq!(counts.pending, pending, "{context}");
                waited.release();
            }
        }
    });
}

/// How often it was called.
static SUCCEEDED: AtomicUsize = AtomicUsize::new(0);

fn succeed() -> Result<(), PendingCallError> {
    SUCCEEDED.fetch_add(1, SeqCst);
    Ok(())
}

fn fail() -> Result<(), PendingCallError> {
    Err(PendingCallError)
}

#[test]
fn a_signal_ends_a_wait_only_if_its_flags_ask_for_it() {
    let _alone = alone();
    let long = Some(Duration::from_secs(3600));
    for detach in [NONE, DETACH] {
        for timeout in [None, long] {
            for (flags, calls, expected) in [
                (NONE, fail as fn() -> _, Expected::Sleeps),
                (HANDLE, succeed, Expected::Handles),
                (HANDLE, fail, Expected::Ends { pending: 1 }),
                (FAIL, succeed, Expected::Ends { pending: 0 }),
                (FAIL, fail, Expected::Ends { pending: 0 }),
                // The stronger of the two.
                (FAIL | HANDLE, succeed, Expected::Ends { pending: 0 }),
                (FAIL | HANDLE, fail, Expected::Ends { pending: 0 }),
            ] {
                for waited in every_kind() {
                    under_fire(&*waited, flags | detach, timeout, calls, expected);
                }
            }
        }
    }
}

/// A wait that is over leaves a lock that works, with or without others that wait.
#[test]
fn an_interrupted_wait_leaves_the_mutex_and_its_waiters_as_they_were() {
    let _alone = alone();
    let _watchdog = watchdog();
    let mutex = Mutex::new();
    let (target, others) = (Target::default(), <[Sleeper; 2]>::default());
    mutex.lock();
    thread::scope(|scope| {
        let spawn_other = |sleeper| {
            let mutex = &mutex;
            scope.spawn(move || {
                Sleeper::enter(sleeper);
                mutex.lock();
                mutex.unlock();
            });
            Sleeper::wait_until_asleep(sleeper);
        };
        spawn_other(&others[0]);
        let waiter = scope.spawn(|| {
            target.enter();
            mutex.lock_flags(DETACH | FAIL)
        });
        let threads = [target.thread()];
        target.sleeper.wait_until_asleep();
        spawn_other(&others[1]);
        // SAFETY: joined later.
        unsafe { rain_until(&threads, || waiter.is_finished()) };
        assert_eq!(waiter.join().unwrap(), LockStatus::Interrupted);
        assert_eq!(mutex_bits(&mutex), 3);
        sleeping(&others);
        mutex.unlock();
    });
    assert!(mutex.try_lock());
    mutex.unlock();
    assert_eq!(mutex_bits(&mutex), 0);
}

#[test]
fn timed_waits_under_fire_end_no_sooner_and_hardly_later_than_their_deadline() {
    let _alone = alone();
    let _watchdog = watchdog();
    let timeout = Duration::from_millis(100);
    for flags in [NONE, DETACH, DETACH | HANDLE] {
        for waited in every_kind() {
            let target = Target::default();
            thread::scope(|scope| {
                let waiter = scope.spawn(|| {
                    target.enter();
                    let start = Instant::now();
                    let status = waited.wait(Some(timeout), flags);
                    (status, start.elapsed())
                });
                let threads = [target.thread()];
                // SAFETY: joined later.
                let signals = unsafe { rain_until(&threads, || waiter.is_finished()) };
                let (status, elapsed) = waiter.join().unwrap();
                assert_eq!(status, LockStatus::Failure, "{flags:?} after {signals} signals");
                assert!(elapsed >= timeout, "{flags:?}: {elapsed:?}");
                // Each signal a wait of its own would never end. The slack is for the machine.
                assert!(elapsed < 20 * timeout, "{flags:?}: {elapsed:?}");
            });
        }
    }
}

/// Each time a signal wakes it, the wait goes on for what is left and not for another timeout.
#[test]
fn a_deadline_stands_however_often_the_wait_is_taken_up_again() {
    const TIMEOUT: Duration = Duration::from_millis(400);

    let _alone = alone();
    let _watchdog = watchdog();
    // Restarted by the last signal, a wait would last for 700 ms. A machine that is too busy for
    // the difference gets more attempts.
    let attempt = || {
        let (kinds, targets) = (every_kind(), <[Target; 4]>::default());
        thread::scope(|scope| {
            let waiters = targets.each_ref().map(|target| {
                let index = targets.iter().position(|other| std::ptr::eq(other, target));
                let waited = &kinds[index.expect("one of them")];
                scope.spawn(move || {
                    target.enter();
                    let start = Instant::now();
                    let status = waited.wait(Some(TIMEOUT), DETACH | HANDLE);
                    assert_eq!(status, LockStatus::Failure);
                    start.elapsed()
                })
            });
            let threads = targets.each_ref().map(Target::thread);
            let stop = Instant::now() + TIMEOUT * 3 / 4;
            // SAFETY: joined later.
            unsafe { rain_until(&threads, || Instant::now() >= stop) };
            waiters.map(|waiter| waiter.join().unwrap())
        })
    };
    let in_time = (0..5).any(|_| {
        let elapsed = attempt();
        println!("{elapsed:?}");
        assert!(elapsed.iter().all(|&elapsed| elapsed >= TIMEOUT));
        elapsed.iter().all(|&elapsed| elapsed < TIMEOUT * 3 / 2)
    });
    assert!(in_time, "never");
}

/// The methods that promise to wait through signals do.
#[test]
fn uninterruptible_waits_sleep_through_signals() {
    let _alone = alone();
    let _watchdog = watchdog();
    let (mutex, recursive, event, once) =
        (Mutex::new(), RecursiveMutex::new(), Event::new(), OnceFlag::new());
    let (rw, begun, finish) = (RwMutex::new(), Event::new(), Event::new());
    let targets: [Target; 6] = Default::default();
    let waits: [&(dyn Fn() + Sync); 6] = [
        &|| mutex.lock(),
        &|| recursive.lock(),
        &|| event.wait(),
        &|| assert_eq!(once.call_once::<()>(|| panic!("called twice")), Ok(())),
        &|| {
            rw.read_lock();
            rw.read_unlock();
        },
        &|| {
            rw.write_lock();
            rw.write_unlock();
        },
    ];
    mutex.lock();
    recursive.lock();
    rw.write_lock();
    thread::scope(|scope| {
        scope.spawn(|| {
            once.call_once(|| {
                begun.notify();
                finish.wait();
                Ok::<(), ()>(())
            })
        });
        begun.wait();
        let waiters: Vec<_> = waits
            .iter()
            .zip(&targets)
            .map(|(wait, target)| {
                scope.spawn(|| {
                    target.enter();
                    wait();
                })
            })
            .collect();
        let threads = targets.each_ref().map(Target::thread);
        // SAFETY: all of them are joined later.
        unsafe { rain(&threads, 600) };
        assert!(waiters.iter().all(|waiter| !waiter.is_finished()));
        mutex.unlock();
        recursive.unlock();
        rw.write_unlock();
        event.notify();
        finish.notify();
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
    });
}

/// The native runtime has pending calls too, if the thread sets them.
#[test]
fn the_native_runtime_runs_the_pending_calls_of_the_thread() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);

    let _alone = alone();
    let _watchdog = watchdog();
    let (mutex, target) = (Mutex::new(), Target::default());
    mutex.lock();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let before = Native::set_pending_calls(Some(|| match CALLS.fetch_add(1, SeqCst) {
                0..3 => Ok(()),
                _ => Err(PendingCallError),
            }));
            assert!(before.is_none());
            target.enter();
            mutex.lock_flags(DETACH | HANDLE)
        });
        let threads = [target.thread()];
        // SAFETY: joined later.
        unsafe { rain_until(&threads, || waiter.is_finished()) };
        assert_eq!(waiter.join().unwrap(), LockStatus::Interrupted);
    });
    assert_eq!(CALLS.load(SeqCst), 4);
}
