//! A section lets go exactly when a wait of its thread blocks, and has its mutex again when the
//! wait is over.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::ptr::{self, null_mut};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use common::{detaches_in, has_parked};
use pysync_critical_section::{ThreadState, assert_held, critical_section, critical_section2};
use pysync_lock::{
    Event, LockFlags, LockStatus, Mutex, OnceFlag, RawMutex, RecursiveMutex, RwMutex, SeqLock,
    guarded,
};
use pysync_parking_lot::{ParkStatus, Parker, park, unpark_all};
use pysync_testing::{wait_until, watchdog};

const ZERO: Option<Duration> = Some(Duration::ZERO);
const MILLISECOND: Option<Duration> = Some(Duration::from_millis(1));
const AN_HOUR: Option<Duration> = Some(Duration::from_secs(3600));

/// Calls `block` in a section, where it blocks until `release` has been called; meanwhile the
/// section must let go. If `contended`, the section's mutex is taken before `block` wakes, which
/// then must not return until it is free again.
fn lets_go(contended: bool, block: impl FnOnce() + Send, release: impl FnOnce()) {
    let (m, outer) = (Mutex::new(), Mutex::new());
    let (entered, taken) = (AtomicBool::new(false), AtomicBool::new(false));
    let returned = AtomicBool::new(false);
    thread::scope(|s| {
        let blocked = s.spawn(|| {
            let attached = ThreadState::attach();
            critical_section(&outer, || {
                let detaches = critical_section(&m, || {
                    let top = attached.top();
                    entered.store(true, SeqCst);
                    let detaches = detaches_in(block);
                    returned.store(true, SeqCst);
                    assert!(!taken.load(SeqCst), "it holds its mutex again");
                    assert!(m.is_locked());
                    assert_eq!(attached.top(), top);
                    assert_held(&m);
                    assert!(!outer.is_locked(), "the innermost section alone resumes");
                    detaches
                });
                assert!(outer.is_locked(), "the outer one does when it is innermost");
                detaches
            })
        });

        wait_until(|| entered.load(SeqCst) && !m.is_locked() && !outer.is_locked());
        assert!(!returned.load(SeqCst));
        if contended {
            assert!(m.try_lock());
            taken.store(true, SeqCst);
            release();
            wait_until(|| has_parked(&m) || returned.load(SeqCst));
            assert!(!returned.load(SeqCst), "it waits for its mutex");
            taken.store(false, SeqCst);
            m.unlock();
        } else {
            release();
        }
        let detaches = blocked.join().unwrap();
        // A second time for the mutex, if that is not free by the time it would sleep.
        assert!(detaches == 1 || (contended && detaches == 2), "{detaches} detaches");
    });
    assert!(!m.is_locked() && !outer.is_locked());
}

/// Calls `block` in a section, where it waits, as `waits` can tell, until `release` has been
/// called; the section must keep its mutex.
fn keeps(block: impl FnOnce() + Send, waits: impl Fn() -> bool, release: impl FnOnce()) {
    let (m, entered) = (Mutex::new(), AtomicBool::new(false));
    thread::scope(|s| {
        let blocked = s.spawn(|| {
            let _attached = ThreadState::attach();
            critical_section(&m, || {
                entered.store(true, SeqCst);
                detaches_in(block)
            })
        });
        wait_until(|| entered.load(SeqCst) && waits());
        for _ in 0..100 {
            assert!(!m.try_lock());
            thread::yield_now();
        }
        release();
        assert_eq!(blocked.join().unwrap(), 0, "no detach at all");
    });
}

#[test]
fn it_lets_go_during_mutex_lock() {
    let _watchdog = watchdog();
    for contended in [false, true] {
        let lock = Mutex::new();
        lock.lock();
        lets_go(contended, || lock.lock(), || lock.unlock());
    }
}

#[test]
fn it_lets_go_during_mutex_lock_timed() {
    let _watchdog = watchdog();
    for contended in [false, true] {
        let lock = Mutex::new();
        lock.lock();
        let block =
            || assert_eq!(lock.lock_timed(AN_HOUR, LockFlags::DETACH), LockStatus::Acquired);
        lets_go(contended, block, || lock.unlock());
    }
}

#[test]
fn it_lets_go_during_mutex_lock_flags() {
    let _watchdog = watchdog();
    for contended in [false, true] {
        let lock = Mutex::new();
        lock.lock();
        let flags = LockFlags::DETACH | LockFlags::HANDLE_SIGNALS;
        let block = || assert_eq!(lock.lock_flags(flags), LockStatus::Acquired);
        lets_go(contended, block, || lock.unlock());
    }
}

#[test]
fn it_lets_go_during_recursive_mutex_lock() {
    let _watchdog = watchdog();
    for contended in [false, true] {
        let lock = RecursiveMutex::new();
        lock.lock();
        let block = || {
            lock.lock();
            lock.unlock();
        };
        lets_go(contended, block, || lock.unlock());
    }
}

#[test]
fn it_lets_go_during_read_lock() {
    let _watchdog = watchdog();
    for contended in [false, true] {
        let lock = RwMutex::new();
        lock.write_lock();
        lets_go(contended, || lock.read_lock(), || lock.write_unlock());
    }
}

#[test]
fn it_lets_go_during_write_lock() {
    let _watchdog = watchdog();
    for contended in [false, true] {
        let lock = RwMutex::new();
        lock.read_lock();
        lets_go(contended, || lock.write_lock(), || lock.read_unlock());
    }
}

#[test]
fn it_lets_go_during_event_wait() {
    let _watchdog = watchdog();
    for contended in [false, true] {
        let event = Event::new();
        lets_go(contended, || event.wait(), || event.notify());
    }
}

#[test]
fn it_lets_go_during_event_wait_timed() {
    let _watchdog = watchdog();
    for contended in [false, true] {
        let event = Event::new();
        lets_go(contended, || assert!(event.wait_timed(AN_HOUR, true)), || event.notify());
    }
}

#[test]
fn it_lets_go_during_call_once() {
    let _watchdog = watchdog();
    for contended in [false, true] {
        let (once, started, go) = (OnceFlag::new(), Event::new(), Event::new());
        thread::scope(|s| {
            s.spawn(|| {
                once.call_once(|| {
                    started.notify();
                    go.wait();
                    Ok::<(), ()>(())
                })
            });
            started.wait();
            let block = || once.call_once(|| Err("another did it")).unwrap();
            lets_go(contended, block, || go.notify());
        });
    }
}

#[test]
fn it_lets_go_during_the_begin_of_another_section() {
    let _watchdog = watchdog();
    for contended in [false, true] {
        let lock = Mutex::new();
        lock.lock();
        // While the inner section lasts, `m` is not its thread's; `lets_go` looks afterwards.
        let block = || critical_section(&lock, || assert!(lock.is_locked()));
        lets_go(contended, block, || lock.unlock());
    }
}

#[test]
fn it_lets_go_during_the_begin_of_a_section_of_two() {
    let _watchdog = watchdog();
    for contended in [false, true] {
        let locks = [Mutex::new(), Mutex::new()];
        for held in &locks {
            held.lock();
            let block = || {
                critical_section2(&locks[0], &locks[1], || {
                    assert!(locks[0].is_locked() && locks[1].is_locked());
                });
            };
            lets_go(contended, block, || held.unlock());
        }
    }
}

#[test]
fn it_lets_go_during_a_semaphore_wait_that_detaches() {
    let _watchdog = watchdog();
    for contended in [false, true] {
        let semaphore = Parker::new();
        let block = || assert_eq!(semaphore.wait(None, true), ParkStatus::Ok);
        lets_go(contended, block, || semaphore.wakeup());
    }
}

#[test]
fn it_lets_go_during_a_park_that_detaches() {
    let _watchdog = watchdog();
    for contended in [false, true] {
        let word = AtomicU32::new(5);
        let block = || assert_eq!(park(&word, 5, None, null_mut(), true), ParkStatus::Ok);
        lets_go(contended, block, || unpark_all(&word));
    }
}

#[test]
fn it_lets_go_during_the_guarded_locks() {
    let _watchdog = watchdog();
    for contended in [false, true] {
        let lock = guarded::Mutex::new(1);
        let guard = lock.lock();
        lets_go(contended, || *lock.lock() += 1, || drop(guard));
        assert_eq!(*lock.lock(), 2);

        let lock = guarded::RwLock::new(1);
        let guard = lock.read();
        lets_go(contended, || *lock.write() += 1, || drop(guard));
        assert_eq!(*lock.read(), 2);
    }
}

#[test]
fn it_lets_go_during_waits_that_time_out() {
    let _watchdog = watchdog();
    let (lock, event, word) = (Mutex::new(), Event::new(), AtomicU32::new(0));
    let semaphore = Parker::new();
    lock.lock();
    let waits: [&(dyn Fn() + Sync); 4] = [
        &|| {
            let status = lock.lock_timed(MILLISECOND, LockFlags::DETACH);
            assert_eq!(status, LockStatus::Failure);
        },
        &|| assert!(!event.wait_timed(MILLISECOND, true)),
        &|| assert_eq!(park(&word, 0, MILLISECOND, null_mut(), true), ParkStatus::Timeout),
        &|| assert_eq!(semaphore.wait(MILLISECOND, true), ParkStatus::Timeout),
    ];
    for wait in waits {
        let (m, entered) = (Mutex::new(), AtomicBool::new(false));
        let taken = AtomicUsize::new(0);
        thread::scope(|s| {
            s.spawn(|| {
                let _attached = ThreadState::attach();
                critical_section(&m, || {
                    entered.store(true, SeqCst);
                    while taken.load(SeqCst) < 10 {
                        assert!(detaches_in(wait) >= 1);
                        assert!(m.is_locked());
                        assert_held(&m);
                    }
                });
            });
            // Its mutex can only be had while it waits.
            wait_until(|| entered.load(SeqCst));
            for _ in 0..10 {
                m.lock();
                taken.fetch_add(1, SeqCst);
                m.unlock();
            }
        });
    }
}

#[test]
fn it_keeps_its_mutex_while_a_mutex_is_waited_for_without_detaching() {
    let _watchdog = watchdog();
    let lock = Mutex::new();
    lock.lock();
    let block = || assert_eq!(lock.lock_flags(LockFlags::empty()), LockStatus::Acquired);
    keeps(block, || has_parked(&lock), || lock.unlock());

    let block = || {
        let status = lock.lock_timed(AN_HOUR, LockFlags::HANDLE_SIGNALS);
        assert_eq!(status, LockStatus::Acquired);
    };
    keeps(block, || has_parked(&lock), || lock.unlock());
}

#[test]
fn it_keeps_its_mutex_while_an_event_is_waited_for_without_detaching() {
    let _watchdog = watchdog();
    let event = Event::new();
    keeps(|| assert!(event.wait_timed(None, false)), || true, || event.notify());
}

#[test]
fn it_keeps_its_mutex_during_a_park_and_a_semaphore_wait_that_do_not_detach() {
    let _watchdog = watchdog();
    let (word, semaphore) = (AtomicU32::new(0), Parker::new());
    let block = || {
        // Again if the wake has come first.
        let status = park(&word, 0, None, null_mut(), false);
        assert!(matches!(status, ParkStatus::Ok | ParkStatus::Again));
    };
    let release = || {
        word.store(1, SeqCst);
        unpark_all(&word);
    };
    keeps(block, || true, release);
    let block = || assert_eq!(semaphore.wait(None, false), ParkStatus::Ok);
    keeps(block, || true, || semaphore.wakeup());
}

#[test]
fn it_keeps_its_mutex_while_a_raw_mutex_is_waited_for() {
    let _watchdog = watchdog();
    let lock = RawMutex::new();
    lock.lock();
    let has_waiter = || {
        // SAFETY: a raw mutex is an atomic word, whose upper bits are its waiters.
        let word = unsafe { AtomicUsize::from_ptr(ptr::from_ref(&lock).cast_mut().cast()) };
        word.load(SeqCst) & !3 != 0
    };
    keeps(|| lock.lock(), has_waiter, || lock.unlock());
}

#[test]
fn it_keeps_its_mutex_while_a_sequence_lock_is_waited_for() {
    let _watchdog = watchdog();
    let lock = SeqLock::new();
    lock.lock_write();
    keeps(|| lock.lock_write(), || true, || lock.unlock_write());
    keeps(
        || {
            let sequence = lock.begin_read();
            assert!(lock.end_read(sequence));
        },
        || true,
        || lock.unlock_write(),
    );
}

#[test]
fn it_keeps_its_mutex_through_whatever_does_not_wait() {
    let _watchdog = watchdog();
    let _attached = ThreadState::attach();
    let m = Mutex::new();
    let (free, held) = (Mutex::new(), Mutex::new());
    let (recursive, rw, read, written) =
        (RecursiveMutex::new(), RwMutex::new(), RwMutex::new(), RwMutex::new());
    let (set, unset, word) = (Event::new(), Event::new(), AtomicU32::new(0));
    let (once, raw, seq) = (OnceFlag::new(), RawMutex::new(), SeqLock::new());
    held.lock();
    read.read_lock();
    written.write_lock();
    set.notify();

    let detaches = critical_section(&m, || {
        detaches_in(|| {
            // Uncontended.
            free.lock();
            free.unlock();
            assert_eq!(free.lock_timed(None, LockFlags::DETACH), LockStatus::Acquired);
            free.unlock();
            recursive.lock();
            recursive.lock();
            recursive.unlock();
            recursive.unlock();
            rw.read_lock();
            rw.read_unlock();
            rw.write_lock();
            rw.write_unlock();
            read.read_lock();
            raw.lock();
            raw.unlock();
            seq.lock_write();
            seq.unlock_write();
            assert!(seq.end_read(seq.begin_read()));
            assert!(once.call_once(|| Ok::<(), ()>(())).is_ok());
            assert!(once.call_once(|| Err(())).is_ok());
            set.wait();
            critical_section(&free, || critical_section2(&free, &free, || ()));
            critical_section2(&m, &m, || ());

            // Contended, but one attempt only.
            assert!(!held.try_lock());
            assert_eq!(held.lock_timed(ZERO, LockFlags::DETACH), LockStatus::Failure);
            assert!(!unset.wait_timed(ZERO, true));
            assert!(!read.try_write_lock());
            assert!(!written.try_read_lock());
            raw.lock();
            assert!(!raw.try_lock());
            raw.unlock();

            // The word has changed, and so it does not park.
            assert_eq!(park(&word, 1, None, null_mut(), true), ParkStatus::Again);
            assert!(m.is_locked());
        })
    });
    assert_eq!(detaches, 0);
}
