//! A3: no lock changes the thread's `errno`. A program looks at it after a lock as before.
#![cfg(all(unix, not(any(pysync_loom, pysync_shuttle))))]

use std::io::Error;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::*};
use std::thread;
use std::time::Duration;

use pysync_lock::{Event, LockFlags, Mutex, OnceFlag, RawMutex, RecursiveMutex, RwMutex, SeqLock};
use pysync_parking_lot::{Parker, park, unpark, unpark_all};
use pysync_testing::{together, watchdog};

/// Calls that have changed `errno`, by what they are.
#[derive(Default)]
struct Changed(AtomicUsize);

impl Changed {
    /// Fails a call of the system, and then locks or unlocks something.
    fn after<T>(&self, call: impl FnOnce() -> T) -> T {
        // SAFETY: a path that ends with a zero.
        let file = unsafe { libc::open(c"/nonexistent".as_ptr(), libc::O_RDONLY) };
        assert_eq!(file, -1);
        let result = call();
        if Error::last_os_error().raw_os_error() != Some(libc::ENOENT) {
            self.0.fetch_add(1, Relaxed);
        }
        result
    }
}

/// Runs `turn` on four threads at once, many times.
fn contend(turn: impl Fn(&Changed) + Sync) {
    const TURNS: usize = 20_000;
    let _watchdog = watchdog();
    let changed = Changed::default();
    together(4, |_| (0..TURNS).for_each(|_| turn(&changed)));
    assert_eq!(changed.0.into_inner(), 0, "of {} calls and more", 4 * TURNS);
}

fn a_little_work() {
    (0..50).for_each(|_| std::hint::spin_loop());
}

#[test]
fn a_mutex_leaves_errno_alone() {
    let mutex = Mutex::new();
    contend(|changed| {
        changed.after(|| mutex.lock());
        a_little_work();
        changed.after(|| mutex.unlock());
    });
}

#[test]
fn a_mutex_leaves_errno_alone_when_a_wait_times_out() {
    let mutex = Mutex::new();
    mutex.lock();
    let changed = Changed::default();
    for nanos in (0..300_000).step_by(3_000) {
        let timeout = Some(Duration::from_nanos(nanos));
        let _ = changed.after(|| mutex.lock_timed(timeout, LockFlags::DETACH));
    }
    assert_eq!(changed.0.into_inner(), 0);
}

#[cfg(all(target_os = "linux", not(pysync_portable)))]
#[test]
fn a_mutex_leaves_errno_alone_when_a_signal_ends_a_wait() {
    use pysync_lock::LockStatus;
    use pysync_testing::{ThreadId, rain_until, wait_until, watch_signals};
    use std::sync::OnceLock;

    watch_signals();
    let _watchdog = watchdog();
    let (mutex, target, changed) = (Mutex::new(), OnceLock::new(), Changed::default());
    mutex.lock();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            target.set(ThreadId::current()).unwrap();
            for _ in 0..100 {
                let status = changed.after(|| mutex.lock_flags(LockFlags::FAIL_IF_INTERRUPTED));
                assert_eq!(status, LockStatus::Interrupted);
            }
        });
        wait_until(|| target.get().is_some());
        // SAFETY: joined by the scope.
        unsafe { rain_until(&[*target.get().unwrap()], || waiter.is_finished()) };
    });
    assert_eq!(changed.0.into_inner(), 0);
}

/// The wait goes on after a signal, which the C library has called an error by then.
#[cfg(all(target_os = "linux", not(pysync_portable)))]
#[test]
fn a_raw_mutex_leaves_errno_alone_when_signals_rain() {
    use pysync_testing::{Sleeper, ThreadId, rain, watch_signals};
    use std::sync::OnceLock;

    watch_signals();
    let _watchdog = watchdog();
    let (mutex, changed) = (RawMutex::new(), Changed::default());
    let (target, sleeper) = (OnceLock::new(), Sleeper::new());
    mutex.lock();
    thread::scope(|scope| {
        scope.spawn(|| {
            target.set(ThreadId::current()).unwrap();
            sleeper.enter();
            changed.after(|| mutex.lock());
        });
        sleeper.wait_until_asleep();
        // SAFETY: joined by the scope, and asleep until the unlock.
        unsafe { rain(&[*target.get().unwrap()], 100) };
        mutex.unlock();
    });
    assert_eq!(changed.0.into_inner(), 0);
}

#[test]
fn a_raw_mutex_leaves_errno_alone() {
    let mutex = RawMutex::new();
    contend(|changed| {
        changed.after(|| mutex.lock());
        a_little_work();
        changed.after(|| mutex.unlock());
    });
}

#[test]
fn a_recursive_mutex_leaves_errno_alone() {
    let mutex = RecursiveMutex::new();
    contend(|changed| {
        changed.after(|| mutex.lock());
        changed.after(|| mutex.lock());
        changed.after(|| mutex.unlock());
        changed.after(|| mutex.unlock());
    });
}

#[test]
fn a_rwmutex_leaves_errno_alone() {
    let lock = RwMutex::new();
    contend(|changed| {
        changed.after(|| lock.write_lock());
        a_little_work();
        changed.after(|| lock.write_unlock());
        changed.after(|| lock.read_lock());
        changed.after(|| lock.read_unlock());
    });
}

#[test]
fn a_sequence_lock_leaves_errno_alone() {
    let lock = SeqLock::new();
    contend(|changed| {
        changed.after(|| lock.lock_write());
        changed.after(|| lock.unlock_write());
        let sequence = changed.after(|| lock.begin_read());
        changed.after(|| lock.end_read(sequence));
    });
}

#[test]
fn events_and_once_flags_leave_errno_alone() {
    let _watchdog = watchdog();
    let changed = Changed::default();
    for _ in 0..2_000 {
        let (event, once) = (Event::new(), OnceFlag::new());
        together(3, |n| {
            if n == 0 {
                changed.after(|| event.notify());
            } else {
                changed.after(|| event.wait());
            }
            let slowly = || {
                a_little_work();
                Ok::<(), ()>(())
            };
            let _ = changed.after(|| once.call_once(slowly));
        });
    }
    assert_eq!(changed.0.into_inner(), 0);
}

#[test]
fn the_parking_lot_leaves_errno_alone() {
    let _watchdog = watchdog();
    let (word, stop, changed) = (AtomicU32::new(0), AtomicBool::new(false), Changed::default());
    thread::scope(|scope| {
        for n in 0..3 {
            let (word, stop, changed) = (&word, &stop, &changed);
            scope.spawn(move || {
                let timeout = Some(Duration::from_micros(20 * n + 5));
                for _ in 0..5_000 {
                    changed.after(|| park(word, 0, timeout, null_mut(), false));
                }
                stop.store(true, SeqCst);
            });
        }
        while !stop.load(SeqCst) {
            changed.after(|| unpark(&word, |_| {}));
            changed.after(|| unpark_all(&word));
        }
    });
    assert_eq!(changed.0.into_inner(), 0);
}

#[test]
fn a_semaphore_leaves_errno_alone() {
    let _watchdog = watchdog();
    let (semaphore, changed) = (Parker::new(), Changed::default());
    let soon = Some(Duration::from_micros(5));
    thread::scope(|scope| {
        scope.spawn(|| {
            for timeout in [None, soon].into_iter().cycle().take(20_000) {
                changed.after(|| semaphore.wait(timeout, false));
            }
        });
        // As many as there are waits, since those that time out take none.
        (0..20_000).for_each(|_| changed.after(|| semaphore.wakeup()));
    });
    assert_eq!(changed.0.into_inner(), 0);
}
