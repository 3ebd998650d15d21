//! As many waits end as notified as notifiers count, whatever else ends waits: signals, deadlines,
//! hand-offs, other mutexes.

#[path = "../common/model.rs"]
pub(crate) mod model;

use std::cell::RefCell;
use std::sync::Arc;

use pysync_cond::{Cond, Deadline, LockFlags, WaitStatus};
use pysync_lock::{Mutex, RecursiveMutex};
use pysync_parking_lot::{Native, PendingCallError};
use pysync_testing::model::{Section, TryOut};
use shuttle::rand::Rng;
use shuttle::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use model::{Counts, Monitor, Pair, soon};

/// Pending calls that fail now and then.
fn pending_calls() -> Result<(), PendingCallError> {
    let fails = shuttle::rand::thread_rng().gen_ratio(1, 2);
    if fails { Err(PendingCallError) } else { Ok(()) }
}

/// A deadline or none.
fn any_deadline() -> Deadline {
    if shuttle::rand::thread_rng().gen_ratio(1, 2) { soon() } else { Deadline::NEVER }
}

const SIGNALS: LockFlags = LockFlags::HANDLE_SIGNALS.union(LockFlags::FAIL_IF_INTERRUPTED);

/// What a signal does: nothing, end the wait, or have pending calls run.
fn any_flags() -> LockFlags {
    match shuttle::rand::thread_rng().gen_range(0..3) {
        0 => LockFlags::DETACH,
        1 => LockFlags::FAIL_IF_INTERRUPTED,
        _ => LockFlags::HANDLE_SIGNALS | LockFlags::DETACH,
    }
}

/// Two mutexes, what each guards, and one condition variable. With two buckets the mutexes are in
/// different ones, and the condition variable is in one of them.
#[derive(Default)]
struct Two<const COND_IS_LOW: bool> {
    mutexes: Pair<Mutex>,
    sections: [Section; 2],
    conds: Pair<Cond>,
    counts: Counts,
    done: AtomicUsize,
}

impl<const COND_IS_LOW: bool> Two<COND_IS_LOW> {
    fn cond(&self) -> &Cond {
        self.conds.get(COND_IS_LOW)
    }

    /// Waits twice, with an end of any kind.
    fn wait(&self, low: bool) {
        Native::set_pending_calls(Some(pending_calls));
        let mutex = self.mutexes.get(low);
        mutex.lock();
        for _ in 0..2 {
            let (deadline, flags) = (any_deadline(), any_flags());
            let status = self.counts.ended(self.cond().wait_until(mutex, deadline, flags));
            assert!(status != WaitStatus::TimedOut || !deadline.is_never());
            assert!(status != WaitStatus::Interrupted || flags.intersects(SIGNALS));
            // The mutex is held again, whatever ended the wait.
            self.sections[usize::from(low)].enter();
        }
        mutex.unlock();
        self.done.fetch_add(1, SeqCst);
    }

    /// Notifies until so many threads are done: one or all, with this or that mutex held, or none.
    fn notify(&self, waiters: usize) {
        while self.done.load(SeqCst) < waiters {
            let mutex = match shuttle::rand::thread_rng().gen_range(0..3) {
                0 => None,
                which => Some(self.mutexes.get(which == 1)),
            };
            mutex.inspect(|mutex| mutex.lock());
            let all = shuttle::rand::thread_rng().gen_ratio(1, 2);
            let counted =
                if all { self.cond().notify_all() } else { self.cond().notify_one().into() };
            self.counts.counted(counted);
            mutex.inspect(|mutex| mutex.unlock());
            shuttle::thread::yield_now();
        }
    }

    fn is_over(&self) {
        self.counts.agree();
        for low in [true, false] {
            assert!(self.mutexes.get(low).try_lock(), "handed to a thread that had given up");
        }
        assert_eq!(self.cond().notify_all(), 0, "left behind");
    }
}

#[test]
fn as_many_waits_end_as_notified_as_are_counted() {
    fn try_out<const COND_IS_LOW: bool>(name: &str) {
        let bodies: [fn(&Two<COND_IS_LOW>); 6] = [
            |t| t.wait(true),
            |t| t.wait(false),
            |t| t.wait(true),
            |t| t.wait(false),
            |t| t.notify(4),
            |t| t.notify(4),
        ];
        TryOut::new(name, 40_000).run(Two::default, bodies, Two::is_over);
    }
    try_out::<true>("2 mutexes, 4 waiters, 2 notifiers");
    if cfg!(pysync_two_buckets) {
        try_out::<false>("2 mutexes, 4 waiters, 2 notifiers, cond in the higher bucket");
    }
}

/// Waiters that are moved to their mutex or woken, and come back. With two buckets the mutex is in the
/// one or the other.
#[test]
fn moved_waiters_get_the_mutex_one_by_one() {
    fn try_out<const MUTEX_IS_LOW: bool>(name: &str) {
        let bodies: [fn(&Monitor<MUTEX_IS_LOW>); 5] = [
            |m| m.wait_until_ready(Deadline::NEVER),
            |m| m.wait_until_ready(soon()),
            |m| m.wait_until_ready(Deadline::NEVER),
            Monitor::make_ready_inside,
            Monitor::make_ready_and_notify_outside,
        ];
        TryOut::new(name, 30_000).run(Monitor::default, bodies, |m| m.is_over(5));
    }
    try_out::<true>("moved waiters");
    if cfg!(pysync_two_buckets) {
        try_out::<false>("moved waiters, mutex in the higher bucket");
    }
}

/// Go's issue 14064. A settled waiter gets the notification, though newcomers come, give up and come
/// back.
#[test]
fn newcomers_steal_no_notification() {
    fn settled(m: &Monitor) {
        m.locked(|| {
            if m.ready.get() < 2 {
                m.ready.set(1);
                // No loop: one notification is for this thread.
                assert_eq!(m.wait_once(Deadline::NEVER, LockFlags::DETACH), WaitStatus::Notified);
            }
        });
    }
    fn newcomer(m: &Monitor) {
        for _ in 0..2 {
            m.locked(|| _ = m.wait_once(soon(), any_flags() - LockFlags::HANDLE_SIGNALS));
        }
    }
    fn notify_all(m: &Monitor) {
        let is_settled = m.locked(|| {
            let is_settled = m.ready.get() == 1;
            m.ready.set(2);
            is_settled
        });
        assert!(m.notify_all() >= is_settled.into());
    }
    let bodies = [settled, newcomer, newcomer, notify_all];
    TryOut::new("settled, 2 newcomers, notify_all", 40_000).run(Monitor::default, bodies, |m| {
        m.is_over(2);
    });
}

/// Rounds: the last to come lets all go on. The herd of one round meets that of the next.
#[test]
fn rounds_of_wait_while() {
    const PARTIES: u32 = 3;
    fn come_and_go(m: &Monitor) {
        Native::set_pending_calls(Some(pending_calls));
        for round in 1..=2 {
            m.locked(|| {
                m.ready.add_one();
                if m.ready.get() == round * PARTIES {
                    m.cond().notify_all();
                }
                let someone_is_missing = || m.ready.get() < round * PARTIES;
                loop {
                    let flags = any_flags();
                    let deadline = any_deadline();
                    match m.cond().wait_while(m.mutex(), someone_is_missing, deadline, flags, None)
                    {
                        WaitStatus::Notified => break assert!(!someone_is_missing()),
                        WaitStatus::TimedOut => {
                            assert!(someone_is_missing() && !deadline.is_never());
                        }
                        WaitStatus::Interrupted => assert!(flags.intersects(SIGNALS)),
                        WaitStatus::Cancelled => unreachable!("nobody cancels"),
                    }
                }
            });
        }
    }
    TryOut::new("wait_while, 2 rounds", 40_000).run(Monitor::default, [come_and_go; 3], |m| {
        assert_eq!(m.cond().notify_all(), 0, "left behind");
        m.is_over(2 * PARTIES);
    });
}

/// Pending calls may lock what the wait has given up, notify, and wait themselves.
#[test]
fn pending_calls_run_without_the_lock() {
    shuttle::thread_local! {
        static MONITOR: RefCell<Option<Arc<Monitor>>> = RefCell::new(None);
    }
    fn lock_and_notify() -> Result<(), PendingCallError> {
        let monitor = MONITOR.with(|monitor| monitor.borrow().clone()).expect("a wait");
        monitor.locked(|| {
            monitor.ready.set(1);
            monitor.notify_all();
        });
        Ok(())
    }
    fn wait(m: &Arc<Monitor>, handles_signals: bool) {
        MONITOR.with(|monitor| *monitor.borrow_mut() = Some(Arc::clone(m)));
        Native::set_pending_calls(Some(lock_and_notify));
        m.locked(|| {
            while m.ready.get() == 0 {
                let flags =
                    if handles_signals { LockFlags::HANDLE_SIGNALS } else { LockFlags::empty() };
                _ = m.wait_once(any_deadline(), flags);
            }
        });
    }
    let bodies: [fn(&Arc<Monitor>); 4] =
        [|m| wait(m, true), |m| wait(m, true), |m| wait(m, false), |m| m.make_ready_inside()];
    TryOut::new("pending calls that notify", 20_000).run(
        || Arc::new(Monitor::default()),
        bodies,
        |m| m.counts.agree(),
    );
}

/// All levels come back, whatever ends the wait.
#[test]
fn a_recursive_mutex_comes_back_with_all_its_levels() {
    #[derive(Default)]
    struct Shared {
        mutex: RecursiveMutex,
        section: Section,
        cond: Cond,
        counts: Counts,
    }
    fn wait(s: &Shared) {
        Native::set_pending_calls(Some(pending_calls));
        let levels = shuttle::rand::thread_rng().gen_range(1..=3);
        (0..levels).for_each(|_| s.mutex.lock());
        _ = s.counts.ended(s.cond.wait_until(&s.mutex, soon(), any_flags()));
        for _ in 0..levels {
            s.section.enter();
            s.mutex.unlock();
        }
        assert!(!s.mutex.is_locked_by_current_thread());
    }
    fn notify(s: &Shared) {
        s.mutex.lock();
        s.mutex.lock();
        s.counts.counted(s.cond.notify_one().into());
        s.section.enter();
        s.mutex.unlock();
        s.counts.counted(s.cond.notify_all());
        s.mutex.unlock();
        assert!(!s.mutex.is_locked_by_current_thread());
    }
    TryOut::new("recursive mutex, levels", 20_000).run(
        Shared::default,
        [wait, wait, notify, wait, notify],
        |s| {
            s.counts.agree();
            assert!(!s.mutex.is_locked());
            assert_eq!(s.cond.notify_all(), 0, "left behind");
        },
    );
}
