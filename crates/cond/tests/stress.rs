//! Notifications, deadlines, moves and cancels on real threads, with plain data behind the locks, for
//! ThreadSanitizer and AddressSanitizer: what is not ordered is a race that it reports. Only spawn,
//! join and these types, since it cannot see into those of std.
//!
//! Each test takes a second, or as many as `PYSYNC_STRESS_SECONDS` in the environment says:
//!
//! ```text
//! PYSYNC_STRESS_SECONDS=60 cargo test --release -p pysync-cond --test stress -- --nocapture
//! ```
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::thread;
use std::time::Duration;

use common::*;
use pysync_cond::{AsReader, AsWriter, Cancel, Cond, Deadline, LockFlags, NotifyList, WaitStatus};
use pysync_lock::{Mutex, RawMutex, RecursiveMutex, RwMutex};
use pysync_testing::{StressTime, random, report_stress, together, wait_until};

/// A mutex, what it guards, and whether anyone is in.
#[derive(Default)]
struct Guarded {
    mutex: Mutex,
    count: Plain<usize>,
    is_in: Plain<bool>,
}

impl Guarded {
    fn lock(&self) {
        self.mutex.lock();
        assert!(!self.is_in.get());
        self.is_in.set(true);
    }

    fn unlock(&self) {
        self.is_in.set(false);
        self.mutex.unlock();
    }

    /// Waits with the mutex given up.
    fn wait(&self, cond: &Cond, deadline: Deadline, flags: LockFlags) -> WaitStatus {
        self.is_in.set(false);
        let status = cond.wait_until(&self.mutex, deadline, flags);
        assert!(!self.is_in.get(), "two threads at a time");
        self.is_in.set(true);
        self.count.set(self.count.get() + 1);
        status
    }
}

/// A deadline from none to soon to past.
fn any_deadline() -> Deadline {
    match random(4) {
        0 => Deadline::NEVER,
        1 => Deadline::NOW,
        _ => Deadline::after(Some(Duration::from_nanos(random(200_000) as u64))),
    }
}

/// As many waits end as notified as notifications have counted, while deadlines race moves to two
/// mutexes.
#[test]
fn as_many_waits_are_notified_as_notifications_count() {
    const WAITERS: usize = 8;
    const NOTIFIERS: usize = 2;

    let time = StressTime::begin();
    let (cond, guarded) = (Cond::new(), [Guarded::default(), Guarded::default()]);
    let (stop, left) = (AtomicBool::new(false), AtomicUsize::new(WAITERS));
    let (waits, notified, counted) =
        (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    together(WAITERS + NOTIFIERS, |id| {
        let (mut my_waits, mut my_notified, mut my_counted) = (0, 0, 0);
        if id < WAITERS {
            while !stop.load(Relaxed) {
                let guarded = &guarded[random(2)];
                guarded.lock();
                for _ in 0..=random(3) {
                    let flags = [LockFlags::DETACH, LockFlags::empty()][random(2)];
                    let status = guarded.wait(&cond, any_deadline(), flags);
                    my_waits += 1;
                    my_notified += usize::from(status == WaitStatus::Notified);
                }
                guarded.unlock();
            }
            left.fetch_sub(1, SeqCst);
        }
        while id >= WAITERS && left.load(SeqCst) > 0 {
            if time.is_up() {
                stop.store(true, Relaxed);
            }
            let held = guarded.get(random(3));
            if let Some(guarded) = held {
                guarded.lock();
            }
            for _ in 0..=random(2) {
                my_counted += match random(3) {
                    0 => cond.notify_all(),
                    _ => usize::from(cond.notify_one()),
                };
            }
            if random(8) == 0 {
                thread::yield_now();
            }
            if let Some(guarded) = held {
                guarded.unlock();
            }
            be_preempted(random(4));
        }
        waits.fetch_add(my_waits, Relaxed);
        notified.fetch_add(my_notified, Relaxed);
        counted.fetch_add(my_counted, Relaxed);
    });
    let (waits, notified, counted) =
        (waits.into_inner(), notified.into_inner(), counted.into_inner());
    report_stress(|| format!("{waits} waits, {notified} notified of {counted}"));
    assert_eq!(notified, counted);
    assert!(notified > 0 && notified < waits);
    assert_eq!(guarded.each_ref().map(|guarded| guarded.count.get()).iter().sum::<usize>(), waits);
    assert_eq!((waiters(&cond), guarded.each_ref().map(|it| mutex_bits(&it.mutex))), (0, [0, 0]));
}

/// The same with cancels: a wait that was queued ends by a cancel if, and only if, that has counted it.
#[test]
fn as_many_waits_are_cancelled_as_cancels_count() {
    const WAITERS: usize = 6;
    const CANCELS: usize = 200;

    let time = StressTime::begin();
    let (cond, mutexes) = (Cond::new(), [Mutex::new(), Mutex::new()]);
    let [cancelled, by_cancels, notified, by_notifications] = [const { AtomicUsize::new(0) }; 4];
    while !time.is_up() {
        let cancels: Vec<_> = (0..CANCELS).map(|_| Cancel::new()).collect();
        let left = AtomicUsize::new(WAITERS);
        together(WAITERS + 2, |id| match id.checked_sub(WAITERS) {
            None => {
                let mutex = &mutexes[id % 2];
                mutex.lock();
                for cancel in &cancels {
                    // Until this one is set.
                    loop {
                        let is_queued = Cell::new(false);
                        let lock = Between { mutex, between: || is_queued.set(true) };
                        let flags = LockFlags::DETACH;
                        let deadline = match any_deadline() {
                            Deadline::NOW => Deadline::NEVER,
                            deadline => deadline,
                        };
                        let status = cond.wait_cancellable(&lock, deadline, flags, cancel);
                        match status {
                            WaitStatus::Notified => _ = notified.fetch_add(1, Relaxed),
                            WaitStatus::Cancelled => {
                                cancelled.fetch_add(usize::from(is_queued.get()), Relaxed);
                                assert!(cancel.is_set());
                                break;
                            }
                            WaitStatus::TimedOut => {}
                            WaitStatus::Interrupted => panic!("there are no signals"),
                        }
                    }
                }
                mutex.unlock();
                left.fetch_sub(1, SeqCst);
            }
            Some(0) => {
                for cancel in &cancels {
                    let held = mutexes.get(random(3));
                    if let Some(mutex) = held {
                        mutex.lock();
                    }
                    by_cancels.fetch_add(cond.cancel(cancel), Relaxed);
                    if let Some(mutex) = held {
                        mutex.unlock();
                    }
                    be_preempted(random(4));
                }
            }
            Some(_) => {
                while left.load(SeqCst) > 0 {
                    let count = match random(4) {
                        0 => cond.notify_all(),
                        _ => usize::from(cond.notify_one()),
                    };
                    by_notifications.fetch_add(count, Relaxed);
                    be_preempted(random(8));
                }
            }
        });
    }
    let [cancelled, by_cancels, notified, by_notifications] =
        [cancelled, by_cancels, notified, by_notifications].map(AtomicUsize::into_inner);
    report_stress(|| {
        format!("{cancelled} cancelled of {by_cancels}, {notified} notified of {by_notifications}")
    });
    assert_eq!((cancelled, notified), (by_cancels, by_notifications));
    assert!(cancelled > 0 && notified > 0);
}

/// As many tickets are notified as notifications count, and not one of them is dropped.
#[test]
fn as_many_tickets_are_notified_as_notifications_count() {
    const WAITERS: usize = 6;

    let time = StressTime::begin();
    let (list, left) = (NotifyList::new(), AtomicUsize::new(WAITERS));
    let (stop, notified, counted) =
        (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    together(WAITERS + 2, |id| {
        if id < WAITERS {
            while !stop.load(Relaxed) {
                let wait = |ticket: pysync_cond::Ticket<'_>| {
                    be_preempted(random(4));
                    match random(3) {
                        0 => ticket.cancel(),
                        _ => {
                            let status = ticket.wait_flags(any_deadline(), LockFlags::DETACH);
                            status == WaitStatus::Notified
                        }
                    }
                };
                let was_notified =
                    if random(4) == 0 { list.register_first(wait) } else { list.register(wait) };
                notified.fetch_add(usize::from(was_notified), Relaxed);
            }
            left.fetch_sub(1, SeqCst);
        }
        while id >= WAITERS && left.load(SeqCst) > 0 {
            if time.is_up() {
                stop.store(true, Relaxed);
            }
            let count = match random(6) {
                0 => list.notify_all(),
                1 => list.notify_all_relaxed(),
                2 => list.notify(random(4)),
                3 => list.notify_relaxed(random(4)),
                4 => usize::from(list.notify_one_relaxed()),
                _ => usize::from(list.notify_one()),
            };
            counted.fetch_add(count, Relaxed);
            be_preempted(random(4));
        }
    });
    let (notified, counted) = (notified.into_inner(), counted.into_inner());
    report_stress(|| format!("{notified} tickets notified of {counted}"));
    assert_eq!(notified, counted);
    assert!(notified > 0);
    assert_eq!(waiters(&list), 0);
}

/// One notification for each token, and consumers that take a token with a ticket in hand and drop that.
/// A notification that is lost leaves a token and threads asleep, for ever: no later one comes.
#[test]
fn dropped_tickets_lose_no_notification() {
    const CONSUMERS: usize = 5;
    const PRODUCERS: usize = 2;
    const EACH: usize = 500;

    let (time, mut rounds) = (StressTime::begin(), 0);
    let list = NotifyList::new();
    while !time.is_up() {
        let (tokens, consumed) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let is_busy = AtomicBool::new(false);
        let is_over = || consumed.load(SeqCst) == PRODUCERS * EACH;
        let take = || {
            let took = tokens.fetch_update(SeqCst, SeqCst, |tokens| tokens.checked_sub(1)).is_ok();
            if took && consumed.fetch_add(1, SeqCst) + 1 == PRODUCERS * EACH {
                // The last one, for those that wait for another.
                list.notify_all();
            }
            took
        };
        together(CONSUMERS + PRODUCERS, |id| {
            if id >= CONSUMERS {
                for _ in 0..EACH {
                    tokens.fetch_add(1, SeqCst);
                    list.notify_one();
                    be_preempted(random(4));
                }
                return;
            }
            while !is_over() {
                if random(2) == 0 && take() {
                    continue;
                }
                let took = list.register(|ticket| {
                    be_preempted(random(4));
                    if take() {
                        // It may have been notified for another token.
                        if random(4) == 0 {
                            std::mem::forget(ticket);
                        }
                        return true;
                    }
                    if !is_over() {
                        match random(4) {
                            // A notification that had come first is for a token that was there.
                            0 => return ticket.cancel() && take(),
                            1 => {
                                let soon = Duration::from_nanos(random(50_000) as u64);
                                let deadline = Deadline::after(Some(soon));
                                _ = ticket.wait_flags(deadline, LockFlags::DETACH);
                            }
                            _ => ticket.wait(),
                        }
                    }
                    false
                });
                // Now and then one of them is busy until the others have taken what there is.
                if took && random(4) == 0 && !is_busy.swap(true, SeqCst) {
                    wait_until(|| tokens.load(SeqCst) == 0);
                    is_busy.store(false, SeqCst);
                }
            }
        });
        rounds += 1;
        assert_eq!((tokens.into_inner(), waiters(&list)), (0, 0));
    }
    report_stress(|| format!("{} tokens", rounds * PRODUCERS * EACH));
}

/// Threads take turns with plain data, notified in every way, with each kind of lock.
fn take_turns<L: Kind>(time: &StressTime, lock: &L, is_shared: bool) {
    const THREADS: usize = 3;

    let (cond, turn, over) = (Cond::new(), Plain::new(0), AtomicBool::new(false));
    // Readers share their lock, so that their turn is an atomic.
    let shared_turn = AtomicUsize::new(0);
    let get = || if is_shared { shared_turn.load(Acquire) } else { turn.get() };
    together(THREADS, |id| {
        for mine in (id..).step_by(THREADS) {
            lock.take();
            while get() != mine && !over.load(SeqCst) {
                // What no lock guards is for a list; a reader looks again in a while.
                let soon = is_shared.then_some(Duration::from_micros(200));
                _ = cond.wait_timed(lock, soon, LockFlags::DETACH);
            }
            if mine >= 400 * THREADS || time.is_up() {
                over.store(true, SeqCst);
            }
            if over.load(SeqCst) {
                cond.notify_all();
                lock.give();
                break;
            }
            if is_shared {
                shared_turn.store(mine + 1, Release);
            } else {
                turn.set(mine + 1);
            }
            match mine % 4 {
                0 | 1 => _ = cond.notify_all(),
                _ => {}
            }
            lock.give();
            match mine % 4 {
                2 | 3 => _ = cond.notify_all(),
                _ => {}
            }
        }
    });
    assert_eq!(waiters(&cond), 0);
}

#[test]
fn each_kind_of_lock_guards_plain_data() {
    let time = StressTime::begin();
    while !time.is_up() {
        take_turns(&time, &Mutex::new(), false);
        take_turns(&time, &RawMutex::new(), false);
        take_turns(&time, &RecursiveMutex::new(), false);
        take_turns(&time, &AsWriter(&RwMutex::new()), false);
        take_turns(&time, &AsReader(&RwMutex::new()), true);
    }
}
