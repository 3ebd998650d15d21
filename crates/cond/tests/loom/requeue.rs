//! Waiters that are moved to their mutex. Each model runs with one bucket, and with two, where it
//! runs both ways round.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use pysync_cond::{Deadline, LockFlags, WaitStatus};
use pysync_testing::model::{Explore, Unlock};

use crate::cond::model::{Monitor, soon};

const TWO_BUCKETS: bool = cfg!(pysync_two_buckets);

/// Explores `model` with the mutex in the lower bucket, and in the higher one if there are two.
macro_rules! both_ways {
    ($model:ident) => {
        $model::<true>("");
        if TWO_BUCKETS {
            $model::<false>(", mutex in the higher bucket");
        }
    };
}

/// All waiters get the mutex one by one, whether or not a thread holds it when they are notified,
/// whether it is handed to them or they race for it.
#[test]
fn moved_waiters_get_the_mutex_one_by_one() {
    fn explore<const MUTEX_IS_LOW: bool>(which: &str) {
        let wait: fn(&Monitor<MUTEX_IS_LOW>) = |m| m.wait_until_ready(Deadline::NEVER);
        for unlock in [Unlock::Wakes, Unlock::HandsOff] {
            for (name, make_ready) in [
                ("notified inside", Monitor::make_ready_inside as fn(&Monitor<MUTEX_IS_LOW>)),
                ("notified outside", Monitor::make_ready_and_notify_outside),
            ] {
                let name = format!("2 waiters, {name}{which}");
                let model = Explore::new(name).preemptions(2).unlock(unlock);
                model.run(Monitor::default, [wait, wait, make_ready], |m| m.is_over(3));
            }
        }
    }
    both_ways!(explore);
}

/// A waiter that has been moved is notified: its deadline does not count any more.
#[test]
fn a_moved_waiter_does_not_time_out() {
    fn wait_for_a_time<const MUTEX_IS_LOW: bool>(m: &Monitor<MUTEX_IS_LOW>) {
        m.locked(|| {
            let status = m.wait_once(soon(), LockFlags::empty());
            // Whoever notifies has made it ready before.
            assert!(status == WaitStatus::TimedOut || m.ready.get() == 1);
        });
    }
    fn wait_as_before<const MUTEX_IS_LOW: bool>(m: &Monitor<MUTEX_IS_LOW>) {
        m.locked(|| {
            while m.ready.get() == 0 {
                _ = m.wait_once(Deadline::NEVER, LockFlags::empty());
            }
        });
    }
    fn explore<const MUTEX_IS_LOW: bool>(which: &str) {
        for unlock in [Unlock::Wakes, Unlock::HandsOff] {
            let name = format!("moved or timed out{which}");
            let bodies = [wait_for_a_time::<MUTEX_IS_LOW>, Monitor::make_ready_inside];
            let model = Explore::new(&name).bounded().unlock(unlock);
            model.run(Monitor::default, bodies, |m| m.is_over(1));
            let bodies =
                [wait_for_a_time::<MUTEX_IS_LOW>, wait_as_before, Monitor::make_ready_inside];
            let model = Explore::new(format!("{name}, 2 waiters")).preemptions(2).unlock(unlock);
            model.run(Monitor::default, bodies, |m| m.is_over(1));
        }
    }
    both_ways!(explore);
}

/// The millisecond after which a waiter is handed the mutex counts from its notification. Before it is
/// over another thread may barge in; afterwards none can.
#[test]
fn a_moved_waiter_is_handed_the_mutex_once_it_is_due() {
    /// Whether the waiter has had the mutex again.
    #[derive(Default)]
    struct Shared(Monitor, AtomicBool);

    static BARGED: AtomicUsize = AtomicUsize::new(0);

    fn wait(Shared(m, had): &Shared) {
        m.locked(|| {
            if m.ready.get() == 0 {
                _ = m.wait_once(Deadline::NEVER, LockFlags::empty());
            }
            had.store(true, Relaxed);
        });
    }
    fn notify_and_barge(Shared(m, had): &Shared) {
        let moved = m.locked(|| {
            m.ready.set(1);
            m.notify_one() == 1
        });
        if moved && m.mutex().try_lock() {
            BARGED.fetch_add((!had.load(Relaxed)).into(), Relaxed);
            m.mutex().unlock();
        }
    }
    let barged = |unlock| {
        BARGED.store(0, Relaxed);
        let model = Explore::new("notify and barge").bounded().unlock(unlock);
        model.run(Shared::default, [wait, notify_and_barge], |Shared(m, _)| m.is_over(1));
        BARGED.load(Relaxed)
    };
    assert_ne!(barged(Unlock::Wakes), 0, "handed over before it is due");
    assert_eq!(barged(Unlock::HandsOff), 0, "not handed over though it is due");
}
