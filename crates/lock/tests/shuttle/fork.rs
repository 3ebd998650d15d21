//! What a child of `fork` has: the words of the locks, and one thread. No checker can make
//! threads vanish, so here they end with the locks in their hands, and the waiters have given
//! up; then the child's one thread resets the locks, and starts others.

use std::sync::Arc;
use std::time::Duration;

use pysync_lock::{
    Event, LockFlags, LockStatus, Mutex, OnceFlag, RecursiveMutex, RwMutex, SeqLock,
};
use pysync_testing::model::{Section, TryOut, together};

const SOON: Option<Duration> = Some(Duration::from_millis(5));

#[derive(Default)]
struct Shared {
    mutex: Mutex,
    rw: RwMutex,
    recursive: RecursiveMutex,
    event: Event,
    once: OnceFlag,
    seq: SeqLock,
    /// One for each of the locks.
    sections: [Section; 4],
}

/// Locks and ends, or gives up and ends.
fn keep(s: &Shared) {
    _ = s.mutex.lock_timed(SOON, LockFlags::DETACH);
    _ = s.recursive.lock_timed(SOON, LockFlags::FAIL_IF_INTERRUPTED);
    _ = s.recursive.lock_timed(SOON, LockFlags::FAIL_IF_INTERRUPTED);
    _ = s.event.wait_timed(SOON, true);
}

/// Of these there is one, since waiting for this lock has no end.
fn keep_reading(s: &Shared) {
    s.rw.read_lock();
    s.seq.lock_write();
}

fn use_all(s: &Shared) {
    s.mutex.lock();
    s.sections[0].enter();
    s.mutex.unlock();
    s.rw.write_lock();
    s.sections[1].enter();
    s.rw.write_unlock();
    s.rw.read_lock();
    s.rw.read_unlock();
    s.recursive.lock();
    s.recursive.lock();
    s.sections[2].enter();
    s.recursive.unlock();
    s.recursive.unlock();
    assert_eq!(s.once.call_once(|| Ok::<(), ()>(())), Ok(()));
    s.seq.lock_write();
    s.sections[3].enter();
    s.seq.unlock_write();
    s.event.wait();
}

fn notify(s: &Shared) {
    s.event.notify();
}

fn run(s: &Shared, body: fn(&Shared)) {
    body(s);
}

#[test]
fn fork_the_child_resets_the_locks_and_uses_them() {
    TryOut::new("fork, 3 threads before and after", 16_000).run_model(|| {
        let shared = Arc::new(Shared::default());
        together(&shared, run, [keep, keep_reading, keep]);
        assert!(shared.mutex.is_locked() && shared.rw.is_locked());

        // SAFETY: the only thread there is, with no guards and outside of every callback.
        unsafe {
            pysync_parking_lot::after_fork();
            shared.mutex.after_fork();
            shared.rw.after_fork();
            shared.recursive.after_fork();
            shared.once.after_fork();
        }
        assert!(shared.seq.after_fork());
        let attempt = shared.mutex.lock_timed(Some(Duration::ZERO), LockFlags::empty());
        assert_eq!(attempt, LockStatus::Acquired);
        shared.mutex.unlock();

        together(&shared, run, [use_all, notify, use_all]);
        assert!(shared.sections.iter().all(|section| section.entered() == 2));
        assert!(shared.once.is_initialized());
    });
}
