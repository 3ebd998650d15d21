use std::sync::Arc;
use std::time::Duration;

use pysync_lock::{LockFlags, LockStatus, RecursiveMutex};

use crate::try_out::{Section, run, try_out};

struct Shared {
    mutex: RecursiveMutex,
    section: Section,
}

fn enter_nested(s: &Shared) {
    s.mutex.lock();
    s.mutex.lock();
    s.section.enter();
    s.mutex.unlock();
    assert!(s.mutex.is_locked_by_current_thread());
    s.section.enter();
    s.mutex.unlock();
    assert!(!s.mutex.is_locked_by_current_thread());
}

fn enter_in_time(s: &Shared) {
    let soon = Some(Duration::from_millis(5));
    let flags = LockFlags::DETACH | LockFlags::FAIL_IF_INTERRUPTED;
    if s.mutex.lock_timed(soon, flags) == LockStatus::Acquired {
        s.section.enter();
        s.mutex.unlock();
    }
    assert!(s.mutex.try_unlock().is_err());
}

#[test]
fn recursive_mutex_excludes_and_knows_its_owner() {
    try_out("recursive mutex, 4 threads", 16_000, || {
        let mutex = RecursiveMutex::new();
        let shared = Arc::new(Shared { mutex, section: Section::new() });
        run(&shared, [enter_nested, enter_in_time, enter_nested, enter_in_time]);
        assert!((4..=6).contains(&shared.section.entered()));
        let attempt = shared.mutex.lock_timed(Some(Duration::ZERO), LockFlags::empty());
        assert_eq!(attempt, LockStatus::Acquired);
        shared.mutex.unlock();
    });
}
