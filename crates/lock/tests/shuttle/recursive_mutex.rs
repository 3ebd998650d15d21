use std::time::Duration;

use pysync_lock::{LockFlags, LockStatus, RecursiveMutex};
use pysync_testing::model::{Section, TryOut};

#[derive(Default)]
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
    let bodies = [enter_nested, enter_in_time, enter_nested, enter_in_time];
    TryOut::new("recursive mutex, 4 threads", 32_000).run(Shared::default, bodies, |s| {
        assert!((4..=6).contains(&s.section.entered()));
        let attempt = s.mutex.lock_timed(Some(Duration::ZERO), LockFlags::empty());
        assert_eq!(attempt, LockStatus::Acquired);
        s.mutex.unlock();
    });
}
