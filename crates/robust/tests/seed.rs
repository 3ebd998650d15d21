//! The tests of `runtime.sync`, which this crate does the work of, by their names.
#![cfg(all(
    target_os = "linux",
    target_pointer_width = "64",
    not(miri),
    not(any(pysync_loom, pysync_shuttle))
))]

mod common;

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use common::*;
use pysync_robust::{Error, Kind, SIZE, Timeout};
use pysync_testing::watchdog;

#[test]
fn test_try_acquire_release() {
    for kind in [Kind::Plain, Kind::Recursive] {
        let mutex = made(kind);
        for _ in 0..2 {
            take(mutex);
            assert_eq!(mutex.release(), Ok(()));
        }
    }
}

#[test]
fn test_double_acquire() {
    let _watchdog = watchdog();
    let mutex = made(Kind::Plain);
    take(mutex);
    for timeout in [Timeout::Never, Timeout::Try, Timeout::After(Duration::from_secs(3600))] {
        let error = mutex.acquire(timeout).unwrap_err();
        assert_eq!((error, error.errno()), (Error::Deadlock, libc::EDEADLK));
    }
    assert_eq!(mutex.release(), Ok(()));
}

#[test]
fn test_double_release() {
    for kind in [Kind::Plain, Kind::Recursive] {
        let mutex = made(kind);
        take(mutex);
        assert_eq!(mutex.release(), Ok(()));
        let error = mutex.release().unwrap_err();
        assert_eq!((error, error.errno()), (Error::NotOwner, libc::EPERM));
    }
}

#[test]
fn test_timeout() {
    const TIMEOUT: Duration = Duration::from_millis(500);
    let _watchdog = watchdog();
    let (mutex, owner) = (made(Kind::Plain), Actor::new());
    owner.run(move || take(mutex));
    let began = Instant::now();
    let error = mutex.acquire(Timeout::After(TIMEOUT)).unwrap_err();
    let took = began.elapsed();
    println!("{took:?}");
    assert_eq!((error, error.errno()), (Error::TimedOut, libc::ETIMEDOUT));
    assert!(took >= TIMEOUT, "{took:?} is too early");
    assert!(took < 10 * TIMEOUT, "{took:?} is late");
    assert_eq!(owner.run(move || mutex.release()), Ok(()));
}

#[test]
fn test_try_acquire_fail() {
    let (mutex, owner) = (made(Kind::Plain), Actor::new());
    owner.run(move || take(mutex));
    let error = mutex.acquire(Timeout::Try).unwrap_err();
    assert_eq!((error, error.errno()), (Error::Busy, libc::EBUSY));
    assert_eq!(owner.run(move || mutex.release()), Ok(()));
}

#[test]
fn test_nonowner_release() {
    let (mutex, owner) = (made(Kind::Plain), Actor::new());
    owner.run(move || take(mutex));
    let error = mutex.release().unwrap_err();
    assert_eq!((error, error.errno()), (Error::NotOwner, libc::EPERM));
    // And it is held all the same.
    assert_eq!(mutex.acquire(Timeout::Try), Err(Error::Busy));
    assert_eq!(owner.run(move || mutex.release()), Ok(()));
}

/// Four processes add to a number, 50 times each, and are slow between reading and writing it.
#[test]
fn test_contention() {
    let _watchdog = watchdog();
    let mapping = map_shared(SIZE + 4);
    // SAFETY: within the mapping, which stays.
    let (bytes, number) =
        unsafe { (Bytes::mapped(mapping), AtomicU32::from_ptr(mapping.add(SIZE).cast())) };
    let mutex = bytes.mutex();
    mutex.initialize(Kind::Plain).unwrap();
    let children = [(); 4].map(|()| {
        Child::start(|| {
            mutex.attach().unwrap();
            for _ in 0..50 {
                take(mutex);
                let seen = number.load(Relaxed);
                // The seed's sleep; here it is part of the work, and no test depends on its length.
                thread::sleep(Duration::from_millis(10));
                number.store(seen + 1, Relaxed);
                mutex.release().unwrap();
            }
            true
        })
    });
    children.into_iter().for_each(Child::succeeds);
    assert_eq!(number.load(Relaxed), 200);
}
