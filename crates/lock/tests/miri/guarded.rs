use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use pysync_lock::guarded::{
    MappedMutexGuard, Mutex, MutexGuard, OnceCell, ReentrantMutex, ReentrantMutexGuard, RwLock,
    RwLockReadGuard, RwLockWriteGuard,
};
use pysync_testing::{together, watchdog};

use super::{Queued, rounds};

#[test]
fn a_mutex_guards_what_it_owns_and_drops_it() {
    let _watchdog = watchdog();
    let rounds = rounds(4, 1_000);
    let owned = Arc::new(());
    let mutex = Mutex::new(Vec::new());
    together(3, |id| {
        for round in 0..rounds {
            if (id + round) % 3 == 0 {
                let soon = Duration::from_micros(if cfg!(miri) { 300 } else { 3 });
                mutex.try_lock_for(soon).into_iter().for_each(|mut list| drop(list.pop()));
            } else {
                mutex.lock().push(Arc::clone(&owned));
            }
            thread::yield_now();
        }
    });
    assert_eq!(Arc::strong_count(&owned), 1 + mutex.lock().len());
    drop(mutex);
    assert_eq!(Arc::strong_count(&owned), 1);
}

#[test]
fn guards_may_be_mapped_sent_and_dropped_elsewhere() {
    static QUEUED: Queued = Queued::new();
    let _watchdog = watchdog();
    let mutex = Mutex::new((Box::new(1), [Box::new(2), Box::new(3)]));
    let guard = MutexGuard::map(mutex.lock(), |data| &mut data.1);
    thread::scope(|s| {
        s.spawn(|| {
            QUEUED.count_this_thread();
            let mut guard = mutex.lock();
            assert_eq!(*guard.1[1], 9);
            MutexGuard::unlocked(&mut guard, || *mutex.lock().0 = 5);
            assert_eq!(*guard.0, 5);
        });
        s.spawn(move || {
            QUEUED.wait_for(1);
            let mut last = MappedMutexGuard::map(guard, |pair| &mut pair[1]);
            **last = 9;
        });
    });
    assert!(!mutex.is_locked());
}

#[test]
fn an_rw_lock_guards_what_it_owns() {
    let _watchdog = watchdog();
    let rounds = rounds(4, 1_000);
    let lock = RwLock::new((Box::new(0), Box::new(0)));
    together(3, |id| {
        for round in 0..rounds {
            if (id + round) % 2 == 0 {
                let mut pair = lock.write();
                *pair.0 += 1;
                **RwLockWriteGuard::map(pair, |pair| &mut pair.1) += 1;
            } else {
                let pair = lock.read();
                let first = *pair.0;
                thread::yield_now();
                assert_eq!(**RwLockReadGuard::map(pair, |pair| &pair.1), first);
            }
        }
    });
    let (first, second) = lock.into_inner();
    assert_eq!(first, second);
}

#[test]
fn a_reentrant_mutex_shares_its_value_with_one_thread() {
    let _watchdog = watchdog();
    let rounds = rounds(4, 1_000);
    let mutex = ReentrantMutex::new((Cell::new(0), RefCell::new(Vec::new())));
    together(3, |_| {
        for _ in 0..rounds {
            let outer = mutex.lock();
            let count = ReentrantMutexGuard::map(mutex.lock(), |value| &value.0);
            count.set(count.get() + 1);
            drop(count);
            thread::yield_now();
            outer.1.borrow_mut().push(outer.0.get());
        }
    });
    let (count, list) = mutex.into_inner();
    assert_eq!(list.into_inner(), (1..=count.get()).collect::<Vec<_>>());
    assert_eq!(count.get(), 3 * rounds);
}

#[test]
fn a_once_cell_is_filled_by_one_and_drops_its_value() {
    let _watchdog = watchdog();
    let owned = Arc::new(());
    for _ in 0..rounds(3, 500) {
        let cell = OnceCell::new();
        together(3, |id| {
            if id == 0 {
                let _ = cell.get_or_try_init(|| Err(()));
            }
            let (filled, _) = cell.get_or_init(|| {
                thread::yield_now();
                (Box::new(7), Arc::clone(&owned))
            });
            assert_eq!(**filled, 7);
            assert!(cell.set((Box::new(8), Arc::clone(&owned))).is_err());
        });
        assert_eq!(Arc::strong_count(&owned), 2);
    }
    let mut cell: OnceCell<_> = OnceCell::new();
    assert!(cell.set(Arc::clone(&owned)).is_ok());
    assert!(cell.take().is_some() && cell.get().is_none());
    assert!(cell.set(Arc::clone(&owned)).is_ok());
    drop(cell);
    assert_eq!(Arc::strong_count(&owned), 1);
}

#[test]
fn a_mutex_may_guard_what_has_no_size() {
    let slice: Box<Mutex<[Box<i32>]>> = Box::new(Mutex::new([Box::new(1), Box::new(2)]));
    *slice.lock()[1] = 9;
    assert_eq!(*slice.lock()[1], 9);
    let object: Arc<ReentrantMutex<dyn Fn() -> i32 + Send>> = Arc::new(ReentrantMutex::new(|| 3));
    assert_eq!((object.lock())(), 3);
}
