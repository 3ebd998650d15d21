//! Each kind of lock, and what a notification tells whom. What becomes of waiters that are moved is
//! in `requeue.rs`.

#[path = "../common/model.rs"]
pub(crate) mod model;

use pysync_cond::{AsReader, AsWriter, Cond, Deadline, Lock, LockFlags, WaitStatus};
use pysync_lock::{Mutex, RawMutex, RecursiveMutex, RwMutex};
use pysync_testing::model::{Data, Explore, Unlock};

use model::{Counts, Monitor, soon};

/// A waiter sees what was written before its notification, with the lock held or after the unlock,
/// and whether the mutex comes by a hand-off or not.
#[test]
fn what_a_notifier_wrote_is_seen() {
    fn wait(m: &Monitor) {
        m.wait_until_ready(Deadline::NEVER);
    }
    fn notify_inside(m: &Monitor) {
        m.locked(|| {
            m.ready.add_one();
            m.notify_one();
        });
    }
    fn notify_outside(m: &Monitor) {
        m.locked(|| m.ready.add_one());
        m.notify_one();
    }
    for unlock in [Unlock::Wakes, Unlock::HandsOff] {
        for (name, notify) in
            [("inside", notify_inside as fn(&Monitor)), ("outside", notify_outside)]
        {
            let model = Explore::new(format!("notify_one {name}")).bounded().unlock(unlock);
            model.run(Monitor::default, [wait, notify], |m| m.is_over(2));
        }
    }
}

/// The waiter is notified if and only if the notifier counts it, though its time is up.
#[test]
fn a_wait_that_times_out_takes_no_notification_with_it() {
    fn wait_for_a_time(m: &Monitor) {
        m.locked(|| _ = m.wait_once(soon(), LockFlags::empty()));
    }
    fn notify(m: &Monitor) {
        m.notify_one();
    }
    fn notify_inside(m: &Monitor) {
        m.locked(|| m.notify_one());
    }
    for (name, notify) in [("inside", notify_inside as fn(&Monitor)), ("outside", notify)] {
        let model = Explore::new(format!("timed, notify_one {name}")).bounded();
        model.run(Monitor::default, [wait_for_a_time, notify], |m| m.is_over(0));
    }
}

/// As `wait_while` has it: the condition is looked at once more when the time is up.
#[test]
fn wait_while_looks_once_more_at_the_deadline() {
    fn wait(m: &Monitor) {
        m.locked(|| {
            let holds = || m.ready.get() == 0;
            let status = m.cond().wait_while(m.mutex(), holds, soon(), LockFlags::empty(), None);
            let ended = if holds() { WaitStatus::TimedOut } else { WaitStatus::Notified };
            assert_eq!(status, ended);
        });
    }
    /// Tells nobody.
    fn make_ready(m: &Monitor) {
        m.locked(|| m.ready.set(1));
    }
    let model = Explore::new("wait_while, not notified").bounded();
    model.run(Monitor::default, [wait, make_ready], |m| m.is_over(1));
}

/// Go's issue 14064. A waiter that is settled gets the notification, however a newcomer comes into
/// it; and one that queues after the notification is not counted.
#[test]
fn a_newcomer_steals_no_notification() {
    fn settled(m: &Monitor) {
        m.locked(|| {
            if m.ready.get() == 0 {
                m.ready.set(1);
                // No loop: one notification is for this thread.
                assert_eq!(m.wait_once(Deadline::NEVER, LockFlags::empty()), WaitStatus::Notified);
            }
        });
    }
    fn newcomer(m: &Monitor) {
        m.locked(|| _ = m.wait_once(soon(), LockFlags::empty()));
    }
    fn notify_all(m: &Monitor) {
        let is_settled = m.locked(|| {
            let is_settled = m.ready.get() == 1;
            m.ready.set(2);
            is_settled
        });
        assert!(m.notify_all() >= is_settled.into());
    }
    let bodies = [settled, newcomer, notify_all];
    let model = Explore::new("settled, newcomer, notify_all").preemptions(2);
    model.run(Monitor::default, bodies, |m| m.is_over(2));
}

/// The byte says that threads wait until the last of them has been chosen.
#[test]
fn a_thread_that_waits_is_found_as_long_as_it_waits() {
    /// Waits twice: the second time it must be found, though the first wait has left the byte in any
    /// state.
    fn wait_twice(m: &Monitor) {
        m.locked(|| {
            _ = m.wait_once(soon(), LockFlags::empty());
            while m.ready.get() == 0 {
                _ = m.wait_once(Deadline::NEVER, LockFlags::empty());
            }
        });
    }
    fn notify_twice(m: &Monitor) {
        m.notify_one();
        m.locked(|| m.ready.set(1));
        m.notify_one();
    }
    let model = Explore::new("2 waits, 2 notifications").bounded();
    model.run(Monitor::default, [wait_twice, notify_twice], |m| m.is_over(1));
}

/// The thread that has waited longest is notified first, and alone.
#[test]
fn those_who_wait_longest_are_notified_first() {
    /// How many wait, and how far the notifications are.
    #[derive(Default)]
    struct Shared(Monitor, Data);

    fn wait(Shared(m, turn): &Shared) {
        m.locked(|| {
            let place = m.ready.get();
            m.ready.add_one();
            assert_eq!(m.wait_once(Deadline::NEVER, LockFlags::empty()), WaitStatus::Notified);
            assert_eq!(turn.get(), 2 * place + 1);
            turn.add_one();
        });
    }
    fn notify_each(Shared(m, turn): &Shared) {
        for notified in [0, 2] {
            let notify = || {
                let is_time = m.ready.get() == 2 && turn.get() == notified;
                if is_time {
                    turn.add_one();
                    assert_eq!(m.notify_one(), 1);
                }
                is_time
            };
            while !m.locked(notify) {
                loom::thread::yield_now();
            }
        }
    }
    let model = Explore::new("2 waiters, one by one").preemptions(1);
    model.run(Shared::default, [wait, wait, notify_each], |Shared(m, _)| m.is_over(2));
}

/// Waiters with different mutexes wait on one condition variable at the same time.
#[test]
fn two_mutexes_share_a_condition_variable() {
    #[derive(Default)]
    struct Shared {
        mutexes: [Mutex; 2],
        ready: [Data; 2],
        cond: Cond,
        counts: Counts,
    }
    fn wait(s: &Shared, which: usize) {
        s.mutexes[which].lock();
        while s.ready[which].get() == 0 {
            let (deadline, flags) = (Deadline::NEVER, LockFlags::empty());
            _ = s.counts.ended(s.cond.wait_until(&s.mutexes[which], deadline, flags));
        }
        s.mutexes[which].unlock();
    }
    /// Holds the first mutex, so that its waiter is moved and the other one is woken.
    fn notify_all(s: &Shared) {
        s.mutexes[1].lock();
        s.ready[1].set(1);
        s.mutexes[1].unlock();
        s.mutexes[0].lock();
        s.ready[0].set(1);
        s.counts.counted(s.cond.notify_all());
        s.mutexes[0].unlock();
    }
    let bodies = [|s: &Shared| wait(s, 0), |s: &Shared| wait(s, 1), notify_all];
    let model = Explore::new("2 mutexes").preemptions(2);
    model.run(Shared::default, bodies, |s| s.counts.agree());
}

/// A lock, and what it guards.
#[derive(Default)]
struct Other<L> {
    lock: L,
    cond: Cond,
    ready: Data,
    counts: Counts,
}

impl<L> Other<L> {
    /// Waits until it is ready, with `lock` held.
    fn wait_until_ready(&self, lock: &impl Lock) {
        while self.ready.get() == 0 {
            let (deadline, flags) = (Deadline::NEVER, LockFlags::empty());
            _ = self.counts.ended(self.cond.wait_until(lock, deadline, flags));
        }
    }

    /// Makes it ready, with the lock held.
    fn make_ready(&self) {
        self.ready.set(1);
        self.counts.counted(self.cond.notify_all());
    }
}

#[test]
fn a_raw_mutex_is_given_up_and_taken_back() {
    fn wait(o: &Other<RawMutex>) {
        o.lock.lock();
        o.wait_until_ready(&o.lock);
        o.ready.add_one();
        o.lock.unlock();
    }
    fn notify(o: &Other<RawMutex>) {
        o.lock.lock();
        o.make_ready();
        o.lock.unlock();
    }
    Explore::new("raw mutex").bounded().run(Other::default, [wait, notify], |o| {
        o.counts.agree();
        assert_eq!(o.ready.get(), 2);
    });
}

/// All levels are given up, so that the notifier gets in and out; and all are brought back.
#[test]
fn a_recursive_mutex_is_given_up_with_all_its_levels() {
    fn wait(o: &Other<RecursiveMutex>) {
        o.lock.lock();
        o.lock.lock();
        o.wait_until_ready(&o.lock);
        o.ready.add_one();
        o.lock.unlock();
        assert!(o.lock.is_locked_by_current_thread(), "a level is lost");
        o.ready.add_one();
        o.lock.unlock();
        assert!(!o.lock.is_locked_by_current_thread(), "a level is too many");
    }
    fn notify(o: &Other<RecursiveMutex>) {
        o.lock.lock();
        o.make_ready();
        o.lock.unlock();
        assert!(!o.lock.is_locked_by_current_thread(), "another's level");
    }
    for unlock in [Unlock::Wakes, Unlock::HandsOff] {
        let model = Explore::new("recursive mutex").bounded().unlock(unlock);
        model.run(Other::default, [wait, notify], |o| {
            o.counts.agree();
            assert_eq!(o.ready.get(), 3);
        });
    }
}

#[test]
fn an_rw_mutex_is_given_up_as_a_reader_or_as_the_writer() {
    fn wait_as_reader(o: &Other<RwMutex>) {
        o.lock.read_lock();
        o.wait_until_ready(&AsReader(&o.lock));
        o.lock.read_unlock();
    }
    fn wait_as_writer(o: &Other<RwMutex>) {
        o.lock.write_lock();
        o.wait_until_ready(&AsWriter(&o.lock));
        o.ready.set(1);
        o.lock.write_unlock();
    }
    fn notify_as_writer(o: &Other<RwMutex>) {
        o.lock.write_lock();
        o.make_ready();
        o.lock.write_unlock();
    }
    for (name, wait) in
        [("reader", wait_as_reader as fn(&Other<RwMutex>)), ("writer", wait_as_writer)]
    {
        let model = Explore::new(format!("rw mutex, waits as a {name}")).bounded();
        model.run(Other::default, [wait, notify_as_writer], |o| o.counts.agree());
    }
}
