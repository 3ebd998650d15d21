//! Runtimes that come back to the locks while a wait detaches or attaches.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::cell::Cell;
use std::thread;
use std::time::Duration;

use common::*;
use pysync_lock::{Event, LockFlags, LockStatus, Mutex, RwMutex};
use pysync_parking_lot::{Deadline, Native, PendingCallError, Runtime, bucket_locks_held};
use pysync_testing::{wait_until, watchdog};

static SUSPENDED: Mutex = Mutex::new();
static SUSPENDED_RW: RwMutex = RwMutex::new();
static SUSPENDED_EVENT: Event = Event::new();

thread_local! {
    static LET_GO: Cell<Option<fn()>> = const { Cell::new(None) };
}

/// Detaching lets go of something, as suspending a critical section does: it may be the very
/// thing that the thread waits for.
enum LetsGo {}

impl Runtime for LetsGo {
    type Detached = ();

    fn detach() -> Option<()> {
        assert_eq!(bucket_locks_held(), 0);
        LET_GO.take().expect("one detach, since one wake is enough")();
        Some(())
    }

    fn attach((): ()) {}

    fn make_pending_calls() -> Result<(), PendingCallError> {
        Ok(())
    }

    fn thread_ident() -> u64 {
        Native::thread_ident()
    }

    fn fatal_error(_: &'static str, message: &str) -> ! {
        panic!("{message}")
    }
}

/// Queueing comes before detaching, so that a wake out of the detach is not lost.
#[test]
fn a_thread_may_wake_itself_by_detaching() {
    let _watchdog = watchdog();
    SUSPENDED.lock();
    LET_GO.set(Some(|| SUSPENDED.unlock()));
    lock_in::<LetsGo>(&SUSPENDED);
    assert!(SUSPENDED.is_locked());
    SUSPENDED.unlock();

    SUSPENDED_RW.read_lock();
    LET_GO.set(Some(|| SUSPENDED_RW.read_unlock()));
    SUSPENDED_RW.write_lock_in::<LetsGo>();
    LET_GO.set(Some(|| SUSPENDED_RW.write_unlock()));
    SUSPENDED_RW.read_lock_in::<LetsGo>();
    SUSPENDED_RW.read_unlock();
    assert!(!SUSPENDED_RW.is_locked());

    LET_GO.set(Some(|| SUSPENDED_EVENT.notify()));
    wait_in::<LetsGo>(&SUSPENDED_EVENT);
}

static WORLD: Mutex = Mutex::new();

/// Attaching takes a lock, as it does where a world can be stopped.
enum AttachLocks {}

impl Runtime for AttachLocks {
    type Detached = ();

    fn detach() -> Option<()> {
        Some(())
    }

    fn attach((): ()) {
        assert_eq!(bucket_locks_held(), 0);
        WORLD.lock();
        WORLD.unlock();
    }

    fn make_pending_calls() -> Result<(), PendingCallError> {
        Ok(())
    }

    fn thread_ident() -> u64 {
        Native::thread_ident()
    }

    fn fatal_error(_: &'static str, message: &str) -> ! {
        panic!("{message}")
    }
}

#[test]
fn gh_137433_a_thread_that_blocks_while_it_attaches_leaves_nothing_behind() {
    let _watchdog = watchdog();
    let (mutex, sleeper) = (Mutex::new(), Sleeper::new());
    mutex.lock();
    WORLD.lock();
    thread::scope(|scope| {
        scope.spawn(|| {
            sleeper.enter();
            let soon = Deadline::after(Some(Duration::from_millis(1)));
            let status = mutex.lock_in::<AttachLocks>(soon, LockFlags::DETACH);
            assert_eq!(status, LockStatus::Failure);
        });
        // It has timed out and waits for the world. Its entry must be gone: an unlock that found
        // it would keep the parked bit, or hand it the mutex.
        wait_until(|| mutex_bits(&WORLD) == 3);
        sleeper.wait_until_asleep();
        mutex.unlock();
        assert_eq!(mutex_bits(&mutex), 0);
        assert!(mutex.try_lock());
        mutex.unlock();
        WORLD.unlock();
    });
}
