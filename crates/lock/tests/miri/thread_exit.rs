//! Locks in the destructors of thread locals. Where std frees thread locals one by one
//! (windows-gnu, Android), those that a lock uses may be gone by then.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use pysync_lock::guarded::{Mutex, ReentrantMutex, ReentrantMutexGuard};
use pysync_lock::{Event, LockFlags, LockStatus, OnceFlag, RwMutex};
use pysync_testing::watchdog;

static COUNT: Mutex<u32> = Mutex::new(0);
static REENTRANT: ReentrantMutex<()> = ReentrantMutex::new(());

/// Uses each lock as its thread ends, contended where a wait can end.
struct AtExit;

impl Drop for AtExit {
    fn drop(&mut self) {
        *COUNT.lock() += 1;
        let _outer = REENTRANT.lock();
        let _inner = REENTRANT.lock();
        assert!(REENTRANT.is_owned_by_current_thread());

        let soon = Some(Duration::from_micros(10));
        let mutex = pysync_lock::Mutex::new();
        mutex.lock();
        assert_eq!(mutex.lock_timed(soon, LockFlags::DETACH), LockStatus::Failure);
        assert!(!Event::new().wait_timed(soon, true));
        assert_eq!(OnceFlag::new().call_once(|| Ok::<(), ()>(())), Ok(()));
        let lock = RwMutex::new();
        lock.read_lock();
        lock.read_unlock();
    }
}

#[test]
fn destructors_of_thread_locals_may_lock() {
    thread_local! {
        static AT_EXIT: RefCell<Option<AtExit>> = const { RefCell::new(None) };
    }

    let _watchdog = watchdog();
    // The local comes first, or what the locks keep for a thread does.
    let threads = [true, false].map(|is_first| {
        thread::spawn(move || {
            if is_first {
                AT_EXIT.with_borrow_mut(|at_exit| *at_exit = Some(AtExit));
            }
            drop(REENTRANT.lock());
            *COUNT.lock() += 1;
            AT_EXIT.with_borrow_mut(|at_exit| *at_exit = Some(AtExit));
        })
    });
    for thread in threads {
        thread.join().unwrap();
    }
    // Three destructors, as one value replaced another, and two threads.
    assert_eq!(*COUNT.lock(), 5);
}

#[test]
fn a_guard_may_outlive_its_thread_in_a_thread_local() {
    static LOCK: ReentrantMutex<AtomicUsize> = ReentrantMutex::new(AtomicUsize::new(0));
    type Guard = ReentrantMutexGuard<'static, AtomicUsize>;
    thread_local! {
        static KEPT: RefCell<Vec<Guard>> = const { RefCell::new(Vec::new()) };
    }

    let _watchdog = watchdog();
    for is_first in [true, false] {
        let thread = thread::spawn(move || {
            if is_first {
                KEPT.with_borrow(|kept| assert!(kept.is_empty()));
            }
            let guards = [LOCK.lock(), LOCK.lock()];
            guards[0].fetch_add(1, SeqCst);
            KEPT.with_borrow_mut(|kept| kept.extend(guards));
            assert!(LOCK.is_locked());
        });
        thread.join().unwrap();
        assert!(!LOCK.is_locked());
    }
    assert_eq!(LOCK.lock().load(SeqCst), 2);
}
