//! Sizes, statics, zeroed memory, and what may be sent to another thread.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::mem::{MaybeUninit, align_of, size_of};
use std::thread;

use common::*;
use pysync_cond::guarded::Condvar;
use pysync_cond::{Cancel, Cond, NotifyList, WAITER_BYTES};
use pysync_lock::{Mutex, guarded};
use pysync_testing::watchdog;

#[test]
fn they_are_as_small_as_promised() {
    assert_eq!((size_of::<Cond>(), align_of::<Cond>()), (1, 1));
    assert_eq!((size_of::<NotifyList>(), align_of::<NotifyList>()), (1, 1));
    assert_eq!((size_of::<Condvar>(), align_of::<Condvar>()), (1, 1));
    assert_eq!((size_of::<Cancel>(), align_of::<Cancel>()), (1, 1));
    // A mutex and what its waiters wait for, beside three bytes of data.
    assert_eq!(size_of::<(guarded::Mutex<[u8; 2]>, Condvar)>(), 4);
}

#[test]
fn a_waiter_needs_little_room_on_its_stack() {
    println!("{WAITER_BYTES} bytes");
    // The portable parker has a mutex and a condition variable of std's in it.
    #[cfg(all(target_os = "linux", not(pysync_portable)))]
    const {
        assert!(WAITER_BYTES <= 128)
    };
}

#[test]
fn they_are_send_and_sync_and_static() {
    fn promised<T: Send + Sync + Default + std::fmt::Debug + 'static>() {}
    promised::<Cond>();
    promised::<NotifyList>();
    promised::<Condvar>();
    promised::<Cancel>();
}

static MUTEX: Mutex = Mutex::new();
static COND: Cond = Cond::new();
static LIST: NotifyList = NotifyList::new();
static CANCEL: Cancel = Cancel::new();
static GUARDED: guarded::Mutex<u32> = guarded::Mutex::new(0);
static CONDVAR: Condvar = Condvar::new();

#[test]
fn statics_work() {
    let _watchdog = watchdog();
    let waiter = thread::spawn(|| {
        MUTEX.lock();
        COND.wait(&MUTEX);
        MUTEX.unlock();
        LIST.register(|ticket| ticket.wait());
        CONDVAR.wait_while(&mut GUARDED.lock(), |number| *number == 0);
    });
    wait_for_waiters(&COND, 1);
    assert_eq!(COND.cancel(&CANCEL), 0);
    assert!(COND.notify_one());
    wait_for_waiters(&LIST, 1);
    assert!(LIST.notify_one());
    *GUARDED.lock() += 1;
    CONDVAR.notify_all();
    waiter.join().unwrap();
}

#[test]
fn zeroed_memory_is_valid() {
    let _watchdog = watchdog();
    // SAFETY: promised to be valid.
    let (cond, list, cancel, condvar) =
        unsafe { MaybeUninit::<(Cond, NotifyList, Cancel, Condvar)>::zeroed().assume_init() };
    assert!(!cancel.is_set());
    assert!(!cond.notify_one() && !list.notify_one() && !condvar.notify_one());
    let mutex = Mutex::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            mutex.lock();
            cond.wait(&mutex);
            mutex.unlock();
            list.register(|ticket| ticket.wait());
        });
        wait_for_waiters(&cond, 1);
        assert_eq!(cond.notify_all(), 1);
        wait_for_waiters(&list, 1);
        assert_eq!(list.notify_all(), 1);
    });
    assert_eq!((cond_bits(&cond), list_bits(&list)), (0, 0));
}
