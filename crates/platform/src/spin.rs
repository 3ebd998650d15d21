//! How a thread waits for a taken lock before it parks. All of the policy and its limits are here.
//!
//! Four words: a *look* is a load of the lock's word. A *yield* is one `sched_yield`. A *pause* is
//! one spin-loop hint to the processor. The *interval* is the number of yields from one look to
//! the next.
//!
//! # A waiter of a mutex or a rwmutex: [`Spin`]
//! 1. The wait begins. The waiter chooses its first interval by the table below. If that is 1, it
//!    pauses 16 times. Then it looks.
//! 2. A look finds the lock free: the waiter takes it. That is the caller's part, and so are all
//!    looks.
//! 3. A look finds a thread parked at the lock, and this waiter has not been woken yet: the waiter
//!    parks at once.
//! 4. Otherwise the waiter yields as often as its interval says and looks again. After each of
//!    these looks the interval doubles, up to 40.
//! 5. The waiter has yielded 40 times: it looks once more and parks.
//! 6. The waiter is woken, is not handed the lock, and finds it taken: it goes on with step 4, with
//!    400 yields to spend and the interval 40. Step 3 no longer applies to it.
//! 7. After each yield the waiter reads the clock. If it is due (one millisecond after its wait
//!    began) or at its deadline, it looks once more and parks.
//!
//! Each thread remembers one lock: the last one that it had to wait for, and the first interval of
//! that wait.
//!
//! | this wait is | its first interval | its looks come after yields |
//! |---|---|---|
//! | the thread's first | 1 | 0, 1, 3, 7, 15, 31, 40 |
//! | for the remembered lock | twice the remembered one, at most 40 | for 2: 0, 2, 6, 14, 30, 40; for 40: 0, 40 |
//! | for another lock | half the remembered one, at least 1 | as above |
//!
//! The reasons:
//! - A lock that two threads meet at by chance is free in a moment, so the first looks come early.
//! - A lock that a thread waits for again and again is contended. Its holder does hundreds of short
//!   sections in a row if others leave its cache line alone. So looks come late there.
//! - A woken thread that parks again at once costs the holder another wake. So it yields first.
//! - Only parked threads are handed a mutex, so a waiter parks when it is due.
//! - One yield may last as long as another thread's time slice, so the clock is read after each.
//!
//! # A thread that loses a race: [`Backoff`]
//! Some words are never locked for long: the count of readers, a sequence.
//!
//! | who | when | then |
//! |---|---|---|
//! | a reader of a rwmutex | its exchange fails, since another reader was quicker | [`pause`](Backoff::pause)s and tries again |
//! | a reader or a writer of a sequence lock | a write is going on, or another writer was quicker | [`snooze`](Backoff::snooze)s and looks again |
//!
//! # A thread that waits to be notified: [`spin_until`]
//! What ends its wait is no word that it could race for, but a wakeup that is meant for it. Such waits
//! are mostly long, and now and then another thread is just about to notify. Each thread remembers how
//! its last waits went: its *patience*, in yields.
//!
//! 1. The waiter looks for its wakeup 5 times, with a pause after each look.
//! 2. It yields as often as its patience says, with a look after each yield. If the wait has a deadline,
//!    it reads the clock too, and stops once that has passed.
//! 3. The wakeup is there: the thread's patience is 40 again.
//! 4. It is not: the thread's patience is halved, and the waiter sleeps. After 15 waits without any
//!    yields in a row it is 40 again, for one wait.
//!
//! The reasons:
//! - A sleep and its wake take some microseconds on one processor, and some tens from one to another.
//!   Where two threads take turns, that is all they do.
//! - On one processor a yield lets the notifier run. A pause keeps it from running.
//! - A thread whose waits are long pays five looks for each, and the yields of one wait in sixteen.
//!
//! # What switches it off
//! - `--cfg pysync_faithful`: threads wait as C's do. A waiter of a mutex yields 40 times without a
//!   look, and parks again after a wake. A waiter of a rwmutex parks at once. A thread that loses a
//!   race does not pause. A thread that waits to be notified sleeps at once.
//! - In a loom or shuttle model no thread spins: waiters park at once, so that models explore the
//!   parking lot. A model counts as faithful too.
//!
//! The deviations D10, D11 and D13 in `docs/deviations.md` compare this with C.

use std::cell::Cell;
use std::time::Duration;

use crate::Deadline;
use crate::primitive::{self, hint, yield_now};

const IS_MODEL: bool = cfg!(any(pysync_loom, pysync_shuttle));

/// Whether threads wait as C's do. Set by `--cfg pysync_faithful`, and in models.
pub const FAITHFUL: bool = IS_MODEL || cfg!(pysync_faithful);

/// A waiter that has waited for this long is due: an unlocker hands the mutex to it, so that it
/// need not win a race. One millisecond.
///
/// CPython: Python/lock.c:L22 TIME_TO_BE_FAIR_NS
#[doc(alias = "TIME_TO_BE_FAIR_NS")]
pub const TIME_TO_BE_FAIR: Duration = Duration::from_millis(1);

/// How many yields a waiter spends before it first parks.
///
/// CPython: Python/lock.c:L28 MAX_SPIN_COUNT
const YIELDS_BEFORE_PARK: u32 = if IS_MODEL { 0 } else { 40 };

/// How many yields a waiter spends between a wake and its next park.
const YIELDS_AFTER_WAKE: u32 = 10 * YIELDS_BEFORE_PARK;

/// The longest interval, in yields from one look to the next.
const LONGEST_INTERVAL: u32 = 40;

/// How many pauses a waiter makes that meets a lock by chance, and any thread the first time that
/// it loses a race. They take as long as some dozens of uncontended operations, and save the
/// transfer of a cache line.
const FEWEST_PAUSES: u32 = 16;

/// How many pauses a thread makes at most after it has lost one more race: some microseconds.
const MOST_PAUSES: u32 = 128;

/// How often a waiter that is to be notified looks before it yields, with a pause in between.
const LOOKS_BEFORE_YIELD: u32 = 5;

/// The greatest patience of a thread that waits to be notified, in yields.
const MOST_PATIENCE: u8 = 40;

/// How many waits such a thread makes without yielding before it tries again.
const IMPATIENT_WAITS: u8 = 15;

/// What a waiter does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Next {
    /// Look at the lock's word again: take the lock if it is free, and call [`Spin::wait`] if not.
    LookAgain,
    /// Announce a waiter in the lock's word, and park.
    Park,
}

/// One thread's wait for one lock, up to the point where it parks. The [module](self) tells the
/// policy.
///
/// ```
/// use pysync_platform::spin::Next;
/// use pysync_platform::{Deadline, Spin, TIME_TO_BE_FAIR};
/// use std::sync::atomic::{AtomicBool, Ordering::*};
///
/// /// Locks `locked`, and calls `park` while that takes long.
/// fn lock(locked: &AtomicBool, park: impl Fn()) {
///     if !locked.swap(true, Acquire) {
///         return;
///     }
///     let due = Deadline::after(Some(TIME_TO_BE_FAIR));
///     let mut spin = Spin::new(std::ptr::from_ref(locked).addr(), due, Deadline::NEVER);
///     loop {
///         if spin.wait(false) == Next::Park {
///             park();
///             spin.on_wake();
///         }
///         if !locked.load(Relaxed) && !locked.swap(true, Acquire) {
///             return;
///         }
///     }
/// }
///
/// let locked = AtomicBool::new(true);
/// lock(&locked, || locked.store(false, Release));
/// assert!(locked.into_inner());
/// ```
#[derive(Debug)]
pub struct Spin {
    /// The lock's address.
    lock: usize,
    /// When the waiter stops yielding, and parks.
    give_up_at: Deadline,
    yields_left: u32,
    /// How many yields from this look to the next; 0 before the wait has begun.
    interval: u32,
    was_woken: bool,
}

impl Spin {
    /// A wait for the lock at the address `lock`. Nothing is done before the first
    /// [`wait`](Self::wait).
    ///
    /// The waiter stops yielding at the earlier of two times: `due` is when an unlocker would hand
    /// it the lock ([`TIME_TO_BE_FAIR`] from now), `deadline` is when it gives up.
    pub fn new(lock: usize, due: Deadline, deadline: Deadline) -> Self {
        Self {
            lock,
            give_up_at: due.min(deadline),
            yields_left: YIELDS_BEFORE_PARK,
            interval: 0,
            was_woken: false,
        }
    }

    /// Waits for a moment after a look that has found the lock taken, and says what to do then.
    /// `has_parked`: the look has found a thread parked at the lock.
    ///
    /// The first call begins the wait and does not yield. Each further call yields up to 40 times
    /// and reads the clock after each yield, or says at once that it is time to park.
    pub fn wait(&mut self, has_parked: bool) -> Next {
        self.wait_with(has_parked, yield_now)
    }

    fn wait_with(&mut self, has_parked: bool, yield_once: impl FnMut()) -> Next {
        if self.interval == 0 {
            self.begin();
            return Next::LookAgain;
        }
        // A lock at which a thread has parked is held for long, as a rule, and its queue is fair.
        if self.yields_left == 0 || (has_parked && !self.was_woken) {
            return Next::Park;
        }
        self.yield_until_next_look(yield_once);
        self.interval = LONGEST_INTERVAL.min(2 * self.interval);
        Next::LookAgain
    }

    /// To be called after a park that an unlocker has ended without a hand-off. Another thread may
    /// have been quicker, so the waiter has yields to spend again.
    pub fn on_wake(&mut self) {
        // Deviation D10: C's waiter parks again at once, which costs the holder another wake.
        if !FAITHFUL {
            self.was_woken = true;
            self.yields_left = YIELDS_AFTER_WAKE;
            self.interval = LONGEST_INTERVAL;
        }
    }

    fn begin(&mut self) {
        // Deviation D10: C's waiter does not look before it has yielded 40 times.
        if FAITHFUL {
            self.interval = LONGEST_INTERVAL;
            return;
        }
        let contention = LAST.with(Cell::get).then_at(self.lock);
        LAST.with(|last| last.set(contention));
        self.interval = contention.interval;
        if contention.is_first_meeting() {
            // The holder is about to unlock. More pauses would keep a processor busy that the
            // holder may need.
            Backoff::new().pause();
        }
    }

    fn yield_until_next_look(&mut self, mut yield_once: impl FnMut()) {
        for _ in 0..self.interval.min(self.yields_left) {
            yield_once();
            self.yields_left -= 1;
            if !FAITHFUL && self.give_up_at.has_passed() {
                self.yields_left = 0;
                return;
            }
        }
    }
}

/// The lock that a thread has last waited for, and the first interval of that wait.
#[derive(Clone, Copy)]
struct Contention {
    lock: usize,
    interval: u32,
}

primitive::thread_local! {
    static LAST: Cell<Contention> = Cell::new(Contention { lock: 0, interval: 1 })
}

impl Contention {
    /// The same for the thread's next wait, which is at `lock`.
    fn then_at(self, lock: usize) -> Self {
        let interval = if lock == self.lock { 2 * self.interval } else { self.interval / 2 };
        Self { lock, interval: interval.clamp(1, LONGEST_INTERVAL) }
    }

    /// Whether thread and lock have met by chance, as far as the thread remembers.
    fn is_first_meeting(self) -> bool {
        self.interval == 1
    }
}

/// Waits for a moment for `has_come`, before a sleep; false if it has not. The [module](self) tells the
/// policy. With `--cfg pysync_faithful` and in models, and for a deadline of [`Deadline::NOW`], returns
/// false at once.
///
/// ```
/// use pysync_platform::spin::{FAITHFUL, spin_until};
/// use pysync_platform::Deadline;
///
/// assert_eq!(spin_until(Deadline::NEVER, || true), !FAITHFUL);
/// assert!(!spin_until(Deadline::NEVER, || false));
/// ```
pub fn spin_until(deadline: Deadline, has_come: impl FnMut() -> bool) -> bool {
    spin_until_with(deadline, has_come, yield_now)
}

fn spin_until_with(
    deadline: Deadline,
    mut has_come: impl FnMut() -> bool,
    mut yield_once: impl FnMut(),
) -> bool {
    if FAITHFUL || deadline == Deadline::NOW {
        return false;
    }
    let patience = PATIENCE.with(Cell::get);
    let mut look_and_pause = || {
        let come = has_come();
        if !come {
            hint::spin_loop();
        }
        come
    };
    let mut come = (0..LOOKS_BEFORE_YIELD).any(|_| look_and_pause());
    let mut yields_left = patience.yields;
    while !come && yields_left > 0 && !deadline.has_passed() {
        yield_once();
        yields_left -= 1;
        come = has_come();
    }
    PATIENCE.with(|cell| cell.set(if come { Patience::MOST } else { patience.after_a_sleep() }));
    come
}

/// How long a thread yields for a notification before it sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Patience {
    yields: u8,
    /// How many waits it has made in a row without any; all that it makes, if this one is a trial.
    waits_without: u8,
}

primitive::thread_local! {
    static PATIENCE: Cell<Patience> = Cell::new(Patience::MOST)
}

impl Patience {
    const NONE: Self = Self { yields: 0, waits_without: 0 };
    const MOST: Self = Self { yields: MOST_PATIENCE, waits_without: 0 };
    const TRIAL: Self = Self { yields: MOST_PATIENCE, waits_without: IMPATIENT_WAITS };

    /// The same for the thread's next wait, if this one has come to a sleep.
    fn after_a_sleep(self) -> Self {
        match self {
            Self::TRIAL => Self::NONE,
            Self { yields: 0, waits_without } if waits_without + 1 == IMPATIENT_WAITS => {
                Self::TRIAL
            }
            Self { yields: 0, waits_without } => {
                Self { yields: 0, waits_without: waits_without + 1 }
            }
            Self { yields, .. } => Self { yields: yields / 2, waits_without: 0 },
        }
    }
}

/// How a thread lets others get on with a word that is never locked for long. The count begins anew
/// with each `Backoff`.
///
/// ```
/// use pysync_platform::Backoff;
/// use std::sync::atomic::{AtomicU32, Ordering::*};
///
/// let count = AtomicU32::new(0);
/// let (mut seen, mut backoff) = (0, Backoff::new());
/// while count.compare_exchange(seen, seen + 1, AcqRel, Relaxed).is_err() {
///     backoff.pause();
///     seen = count.load(Relaxed);
/// }
/// ```
#[derive(Debug)]
pub struct Backoff {
    /// How many the next time.
    pauses: u32,
}

impl Backoff {
    /// Begins with the fewest pauses.
    pub const fn new() -> Self {
        Self { pauses: FEWEST_PAUSES }
    }

    /// Pauses after a lost race: 16 times, then 32, 64, 128, and 128 from then on. With
    /// `--cfg pysync_faithful` and in models, returns at once.
    pub fn pause(&mut self) {
        // Deviation D13: C's thread tries again at once.
        if !FAITHFUL {
            (0..self.pauses).for_each(|_| hint::spin_loop());
            self.pauses = MOST_PAUSES.min(2 * self.pauses);
        }
    }

    /// Waits while another thread ends something short: 16, 32 and 64 pauses, then one yield each
    /// time. With `--cfg pysync_faithful` and in models, yields each time.
    pub fn snooze(&mut self) {
        // Deviation D13: C's thread yields each time.
        if FAITHFUL || self.pauses == MOST_PAUSES {
            yield_now();
        } else {
            self.pause();
        }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(any(pysync_loom, pysync_shuttle))))]
mod tests {
    use super::*;

    const LOCK: usize = 8;
    const ELSEWHERE: Contention = Contention { lock: 0, interval: 1 };

    /// After how many yields each look comes, until the waiter parks.
    fn looks(mut spin: Spin, has_parked: bool) -> Vec<u32> {
        let (mut yields, mut looks) = (0, Vec::new());
        while spin.wait_with(has_parked, || yields += 1) == Next::LookAgain {
            looks.push(yields);
        }
        assert_eq!(looks.last().copied().unwrap_or(0), yields, "it parks without a last look");
        looks
    }

    /// A wait of a thread that remembers `last`, without the limit of a millisecond.
    fn begun(last: Contention) -> Spin {
        LAST.with(|cell| cell.set(last));
        Spin::new(LOCK, Deadline::NEVER, Deadline::NEVER)
    }

    /// The wait of a thread that has parked once and was woken.
    fn woken() -> Spin {
        let mut spin = begun(ELSEWHERE);
        while spin.wait(false) != Next::Park {}
        spin.on_wake();
        spin
    }

    #[test]
    fn making_a_spin_does_nothing() {
        let _spin = begun(ELSEWHERE);
        assert_eq!(LAST.with(Cell::get).lock, ELSEWHERE.lock);
    }

    #[test]
    #[cfg(not(pysync_faithful))]
    fn a_wait_yields_forty_times_and_looks_half_as_often_each_time() {
        assert_eq!(looks(begun(ELSEWHERE), false), [0, 1, 3, 7, 15, 31, 40]);
    }

    #[test]
    #[cfg(pysync_faithful)]
    fn a_faithful_wait_yields_forty_times_without_a_look() {
        assert_eq!(looks(begun(ELSEWHERE), false), [0, 40]);
        assert_eq!(looks(begun(Contention { lock: LOCK, interval: 1 }), false), [0, 40]);
    }

    #[test]
    fn a_waiter_parks_without_a_yield_where_another_has_parked() {
        assert_eq!(looks(begun(ELSEWHERE), true), [0]);
    }

    #[test]
    fn a_contended_lock_is_left_alone_for_longer_each_time() {
        let mut last = ELSEWHERE;
        let intervals = [8, 8, 8, 8, 8, 8, 8, 8, 16, 24, 24, 8, 8, 16].map(|lock| {
            last = last.then_at(lock);
            last.interval
        });
        assert_eq!(intervals, [1, 2, 4, 8, 16, 32, 40, 40, 20, 10, 20, 10, 20, 10]);
        assert!(!last.is_first_meeting());
        assert!((1..5).fold(last, |last, lock| last.then_at(lock)).is_first_meeting());
    }

    #[test]
    #[cfg(not(pysync_faithful))]
    fn a_wait_begins_from_the_last_one_and_is_remembered() {
        let again = Contention { lock: LOCK, interval: 1 };
        assert_eq!(looks(begun(again), false), [0, 2, 6, 14, 30, 40]);
        let remembered = LAST.with(Cell::get);
        assert_eq!((remembered.lock, remembered.interval), (LOCK, 2));
        assert_eq!(looks(begun(Contention { lock: LOCK, interval: 40 }), false), [0, 40]);
    }

    #[test]
    #[cfg(not(pysync_faithful))]
    fn a_woken_waiter_yields_again_and_looks_seldom() {
        let every_forty: Vec<u32> = (1..=10).map(|n| 40 * n).collect();
        assert_eq!(looks(woken(), true), every_forty);
        assert_eq!(looks(woken(), false), every_forty);
    }

    #[test]
    #[cfg(pysync_faithful)]
    fn a_faithful_waiter_that_was_woken_parks_again_at_once() {
        assert_eq!(looks(woken(), false), []);
        assert_eq!(looks(woken(), true), []);
    }

    /// After how many yields each look comes that a thread makes before it sleeps.
    fn looks_before_sleep(deadline: Deadline) -> Vec<u32> {
        let (yields, mut looks) = (Cell::new(0), Vec::new());
        let has_come = || {
            looks.push(yields.get());
            false
        };
        assert!(!spin_until_with(deadline, has_come, || yields.set(yields.get() + 1)));
        looks
    }

    #[test]
    #[cfg(not(pysync_faithful))]
    fn a_thread_that_is_to_be_notified_looks_and_yields_and_looks() {
        PATIENCE.with(|cell| cell.set(Patience::MOST));
        let expected: Vec<u32> = [0; 4].into_iter().chain(0..=40).collect();
        assert_eq!(looks_before_sleep(Deadline::NEVER), expected);
        assert_eq!(looks_before_sleep(Deadline::NEVER).last(), Some(&20));
        assert!(looks_before_sleep(Deadline::NOW).is_empty());
        let later = Deadline::after(Some(Duration::from_secs(3600)));
        assert_eq!(looks_before_sleep(later).last(), Some(&10));
    }

    #[test]
    #[cfg(not(pysync_faithful))]
    fn a_thread_that_is_to_be_notified_stops_at_its_deadline() {
        PATIENCE.with(|cell| cell.set(Patience::MOST));
        let soon = Deadline::after(Some(Duration::from_millis(1)));
        let until_soon = || while !soon.has_passed() {};
        let mut yields = 0;
        let yield_once = || {
            yields += 1;
            until_soon();
        };
        assert!(!spin_until_with(soon, || false, yield_once));
        assert_eq!(yields, 1);
    }

    #[test]
    #[cfg(not(pysync_faithful))]
    fn patience_wears_off_is_tried_again_and_comes_back() {
        PATIENCE.with(|cell| cell.set(Patience::MOST));
        let yields = || looks_before_sleep(Deadline::NEVER).last().copied().unwrap();
        let seen: Vec<u32> = (0..40).map(|_| yields()).collect();
        assert_eq!(seen[..7], [40, 20, 10, 5, 2, 1, 0]);
        let trials: Vec<usize> = (6..40).filter(|&wait| seen[wait] > 0).collect();
        assert_eq!(trials, [21, 37]);
        assert!(trials.iter().all(|&wait| seen[wait] == 40));

        assert!(spin_until_with(Deadline::NEVER, || true, || ()));
        assert_eq!(yields(), 40);
    }

    #[test]
    #[cfg(pysync_faithful)]
    fn a_faithful_thread_that_is_to_be_notified_sleeps_at_once() {
        assert!(looks_before_sleep(Deadline::NEVER).is_empty());
    }

    #[test]
    fn a_late_wait_yields_once_and_looks_once_more() {
        let late = |spin| Spin { give_up_at: Deadline::NOW, ..spin };
        let contended = Contention { lock: LOCK, interval: 40 };
        if FAITHFUL {
            assert_eq!(looks(late(begun(contended)), false), [0, 40]);
        } else {
            assert_eq!(looks(late(begun(contended)), false), [0, 1]);
            assert_eq!(looks(late(begun(ELSEWHERE)), false), [0, 1]);
            assert_eq!(looks(late(woken()), true), [1]);
        }
    }

    #[test]
    fn a_wait_gives_up_when_it_is_due_or_at_its_deadline() {
        let at = |nanos| Deadline::at(5, Some(Duration::from_nanos(nanos)));
        let due = at(1_000_000);
        assert_eq!(Spin::new(LOCK, due, Deadline::NEVER).give_up_at, due);
        assert_eq!(Spin::new(LOCK, due, at(2_000_000)).give_up_at, due);
        assert_eq!(Spin::new(LOCK, due, at(7)).give_up_at, at(7));
    }

    #[test]
    #[cfg(not(pysync_faithful))]
    fn each_pause_is_twice_as_long_up_to_a_limit() {
        let mut backoff = Backoff::new();
        let mut pauses = || {
            let pauses = backoff.pauses;
            backoff.pause();
            pauses
        };
        assert_eq!([pauses(), pauses(), pauses(), pauses(), pauses()], [16, 32, 64, 128, 128]);
    }
}
