use std::cell::Cell;
use std::fmt;
use std::pin::pin;
use std::time::Duration;

use pysync_parking_lot::{Choice, Key, Position, Waiter, unpark_filter};
use pysync_platform::primitive::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use pysync_platform::primitive::{UnsafeCell, const_fn, yield_now};
use pysync_platform::spin::Next;
use pysync_platform::{
    Deadline, LockFlags, LockStatus, Native, ParkStatus, Runtime, Spin, TIME_TO_BE_FAIR,
};

const TOO_MANY: &str = "too many permits";

/// Bit 0. Threads are queued, or about to be, or have been until they gave up.
const PARKED: u32 = 1;
/// What one permit adds to the word.
const ONE: u32 = 2;

/// How many permits are in the word.
const fn permits(state: u32) -> u32 {
    state / ONE
}

/// A counting semaphore of four bytes, first in, first out, and fair after a millisecond.
///
/// It holds a number of permits. An acquirer takes some of them, and waits while there are too few. A
/// releaser adds some. Any thread may release, also one that has never acquired.
///
/// | bits | means | are raised or set by | are lowered or cleared by |
/// |---|---|---|---|
/// | 0, parked | threads are queued, or were until they gave up | a waiter, under the bucket lock | a releaser that leaves nobody queued, under the bucket lock |
/// | 1 and up | permits | a releaser: with an exchange if bit 0 is clear, else under the bucket lock | an acquirer, with an exchange |
///
/// 1. An acquirer that finds enough permits takes them with one compare-exchange, though threads are
///    queued: it barges. Otherwise it yields for a while ([`spin`](pysync_platform::spin) tells how),
///    then parks.
/// 2. A waiter looks at the word once more under the bucket lock, and sets bit 0 there. Count and bit
///    are in one word. So either the waiter sees the permits of a release, or the release sees the
///    bit.
/// 3. A releaser that finds bit 0 set locks the bucket, and asks the waiters in the order of their
///    queue for as long as permits are left.
/// 4. A waiter that needs one permit wakes, if there is one in the word for it and for each that was
///    woken before it. It must win a race for it. If it loses, it queues in front of all others.
/// 5. A waiter that is **due**, since it has waited for a millisecond, is *assigned* its permit
///    instead: that is in the word no more, so that no other thread can take it.
/// 6. A waiter that needs more than one permit is always assigned them, as they come. It wakes when it
///    has all that it needs. Until then those behind it wait too, however little they need. It never
///    races, and so never queues in front: if two waiters had some permits each, both might wait
///    forever.
/// 7. What is left goes into the word. A waiter that gives up releases what it has been assigned.
///
/// It can stand in a `static`, and zeroed memory is one without permits. A thread that has acquired
/// may free it: a releaser touches it no more once a permit can be had.
///
/// **Publishing**: who takes a permit sees all that the thread did before that has released it, and
/// all that was done by those who had released the permits in the word by then.
///
/// **Blocking**: to release does not block but for the lock of a bucket of the parking lot. A wait
/// detaches the thread from its runtime while it sleeps, if its flags say so;
/// [`acquire`](Self::acquire) does.
///
/// **Signals**: a signal ends a wait only if the caller's [`LockFlags`] say so; without such flags the
/// waiter keeps its place through signals. With `HANDLE_SIGNALS` it leaves the queue for its pending
/// calls, returns what it has been assigned, and queues again behind the others. A signal handler must
/// not release.
///
/// **Fork**: a child inherits the permits that are in the word. Those that threads held, or had been
/// assigned, which the child does not have are not returned. A child that knows how many there should
/// be releases what [`available`](Self::available) lacks. It forgets the waiters by
/// [`pysync_parking_lot::after_fork`].
///
/// ```
/// use pysync_cond::{LockFlags, LockStatus, Semaphore};
/// use std::time::Duration;
///
/// static SLOTS: Semaphore = Semaphore::new(2);
///
/// SLOTS.acquire();
/// let slot = SLOTS.permit();
/// assert!(!SLOTS.try_acquire());
/// let soon = Some(Duration::from_millis(1));
/// assert_eq!(SLOTS.acquire_timed(soon, LockFlags::DETACH), LockStatus::Failure);
/// drop(slot);
/// SLOTS.release(1);
/// assert_eq!(SLOTS.available(), 2);
/// ```
#[repr(transparent)]
pub struct Semaphore {
    word: AtomicU32,
}

/// What a waiter and the releasers tell each other. It lies on the waiter's stack, and its address is
/// the waiter's park argument.
struct Request {
    /// How many permits the waiter needs.
    need: u32,
    /// When the waiter is due.
    due: Deadline,
    /// How many it has been assigned. The releasers write it under the bucket lock, and the waiter once
    /// it is off the queue.
    assigned: UnsafeCell<u32>,
}

impl Request {
    /// What the waiter has been assigned.
    ///
    /// # Safety
    /// The waiter calls this and is off the queue, or the bucket lock is held.
    unsafe fn assigned(&self) -> u32 {
        // SAFETY: by contract nobody writes.
        self.assigned.with(|assigned| unsafe { *assigned })
    }

    /// # Safety
    /// As for [`assigned`](Self::assigned).
    unsafe fn assign(&self, permits: u32) {
        // SAFETY: by contract nobody else looks.
        self.assigned.with_mut(|assigned| unsafe { *assigned = permits });
    }
}

impl Semaphore {
    /// The most permits that there is room for.
    pub const MAX: u32 = u32::MAX >> 1;

    const_fn! {
        /// One with so many permits. Not `const` in a model.
        ///
        /// # Panics
        /// `too many permits`, if they are more than [`MAX`](Self::MAX).
        #[inline]
        #[track_caller]
        pub const fn new(permits: u32) -> Self {
            assert!(permits <= Self::MAX, "{}", TOO_MANY);
            Self { word: AtomicU32::new(permits * ONE) }
        }
    }

    /// The semaphore in a word of the caller's, known by the word's address: for a word inside another
    /// structure, or in memory of another language.
    ///
    /// ```
    /// use pysync_cond::Semaphore;
    /// use std::sync::atomic::AtomicU32;
    ///
    /// let word = AtomicU32::new(2 * 3);
    /// // SAFETY: the word is used in no other way.
    /// let semaphore = unsafe { Semaphore::from_word(&word) };
    /// assert_eq!(semaphore.available(), 3);
    /// ```
    ///
    /// # Safety
    /// The word holds twice the number of permits when it is first used as a semaphore. From then on
    /// it is used only by this, and no other code parks threads on its address.
    #[inline]
    pub const unsafe fn from_word(word: &AtomicU32) -> &Self {
        // SAFETY: transparent, and by contract the word is ours.
        unsafe { &*std::ptr::from_ref(word).cast() }
    }

    /// Takes a permit. While there is none, blocks through signals, and detached while it sleeps.
    #[inline]
    pub fn acquire(&self) {
        self.acquire_many(1);
    }

    /// Takes `n` permits at once, or none: while there are fewer, blocks as
    /// [`acquire`](Self::acquire) does. `acquire_many(0)` returns at once. More than
    /// [`MAX`](Self::MAX) never come.
    #[inline]
    pub fn acquire_many(&self, n: u32) {
        if !self.try_acquire_many(n) {
            let position = Position::Back;
            let flags = LockFlags::DETACH;
            let status = self.acquire_slow::<Native>(n, position, Deadline::NEVER, flags);
            debug_assert_eq!(status, LockStatus::Acquired);
        }
    }

    /// Takes a permit if there is one; true if there was. Never blocks, and heeds no queue.
    #[inline]
    #[must_use = "a permit that was taken must be released"]
    pub fn try_acquire(&self) -> bool {
        self.try_acquire_many(1)
    }

    /// Takes `n` permits if there are as many; true if there were. Never blocks, and heeds no queue.
    #[inline]
    #[must_use = "permits that were taken must be released"]
    pub fn try_acquire_many(&self, n: u32) -> bool {
        // Ordering: Relaxed to look; the exchange decides.
        let mut state = self.word.load(Relaxed);
        while permits(state) >= n {
            match self.take(state, n) {
                Ok(()) => return true,
                Err(actual) => state = actual,
            }
        }
        false
    }

    /// Takes a permit if one comes within `timeout`.
    ///
    /// `None` waits forever. `Some(ZERO)` is one attempt, which neither spins nor sleeps. A wait does
    /// not end before its timeout, and no timeout is too long. The result is `Failure` if the timeout
    /// ran out, and `Interrupted` only if a signal came and `flags` let it end the wait. A waiter that
    /// has been assigned a permit has it, though its deadline has passed.
    ///
    /// # Panics
    /// If a pending call panics. No permit is taken then.
    #[inline]
    pub fn acquire_timed(&self, timeout: Option<Duration>, flags: LockFlags) -> LockStatus {
        // One attempt, before the clock is read.
        if self.try_acquire() {
            return LockStatus::Acquired;
        }
        self.acquire_slow::<Native>(1, Position::Back, Deadline::after(timeout), flags)
    }

    /// Takes `n` permits at once if as many come before `deadline`, in a runtime of the caller's choice.
    /// All other methods that queue at the back are this one for [`Native`].
    ///
    /// A deadline that has passed, as [`Deadline::NOW`] has, is one attempt. Flags and results are those
    /// of [`acquire_timed`](Self::acquire_timed).
    #[inline]
    pub fn acquire_in<R: Runtime>(
        &self,
        n: u32,
        deadline: Deadline,
        flags: LockFlags,
    ) -> LockStatus {
        if self.try_acquire_many(n) {
            return LockStatus::Acquired;
        }
        self.acquire_slow::<R>(n, Position::Back, deadline, flags)
    }

    /// [`acquire_timed`](Self::acquire_timed) that queues in front of all others, so that the next
    /// permit is this thread's: for a pool of threads that keeps few of them busy, and lets the others
    /// time out. Where such waiters keep coming, those behind them starve.
    ///
    /// # Panics
    /// As [`acquire_timed`](Self::acquire_timed).
    #[inline]
    pub fn acquire_lifo(&self, timeout: Option<Duration>, flags: LockFlags) -> LockStatus {
        if self.try_acquire() {
            return LockStatus::Acquired;
        }
        self.acquire_slow::<Native>(1, Position::Front, Deadline::after(timeout), flags)
    }

    /// [`acquire_lifo`](Self::acquire_lifo) until a deadline, in a runtime of the caller's choice. There
    /// is no such form for many permits: see step 6 [above](Self).
    #[inline]
    pub fn acquire_lifo_in<R: Runtime>(&self, deadline: Deadline, flags: LockFlags) -> LockStatus {
        if self.try_acquire() {
            return LockStatus::Acquired;
        }
        self.acquire_slow::<R>(1, Position::Front, deadline, flags)
    }

    /// Adds `n` permits, and serves those who wait. Does not block, but for the lock of a bucket of the
    /// parking lot.
    ///
    /// # Panics
    /// `too many permits`, if there would be more than [`MAX`](Self::MAX). Nothing has changed then.
    #[inline]
    #[track_caller]
    pub fn release(&self, n: u32) {
        if !self.release_fast(n) && self.release_slow(n, false).is_none() {
            Native::fatal_error("Semaphore::release", TOO_MANY);
        }
    }

    /// Adds one permit and assigns it to the thread that has waited longest, whether it is due or not, so
    /// that no other thread gets it first. Then yields the processor once. If nobody waits, this is
    /// [`release`](Self::release).
    ///
    /// A thread that needs more than one permit sleeps on until it has them all.
    ///
    /// # Panics
    /// As [`release`](Self::release).
    #[track_caller]
    pub fn release_handoff(&self) {
        if self.release_fast(1) {
            return;
        }
        match self.release_slow(1, true) {
            Some(0) => {}
            // From here on a waiter may have freed the semaphore.
            Some(_) => yield_now(),
            None => Native::fatal_error("Semaphore::release_handoff", TOO_MANY),
        }
    }

    /// How many permits there are to take. The answer may be out of date when it arrives. Permits that
    /// have been assigned to a waiter do not count.
    #[inline]
    pub fn available(&self) -> u32 {
        // Ordering: Relaxed. Nothing may be concluded from an answer that is out of date.
        permits(self.word.load(Relaxed))
    }

    /// Takes `n` permits of a word that is `state`, which has them; or returns what it is by now.
    #[inline]
    fn take(&self, state: u32, n: u32) -> Result<(), u32> {
        // Ordering: Acquire pairs with the Release of those who have released the permits.
        self.word.compare_exchange_weak(state, state - n * ONE, Acquire, Relaxed).map(|_| ())
    }

    /// Waits for permits that the caller has just looked for in vain.
    #[cold]
    fn acquire_slow<R: Runtime>(
        &self,
        need: u32,
        asked_for: Position,
        deadline: Deadline,
        flags: LockFlags,
    ) -> LockStatus {
        // The caller's attempt was all that it wants.
        if deadline.has_passed() {
            return LockStatus::Failure;
        }
        let due = Deadline::after(Some(TIME_TO_BE_FAIR));
        let request = Request { need, due, assigned: UnsafeCell::new(0) };
        let mut spin = Spin::new(self.key().addr(), due, deadline);
        let mut position = asked_for;
        // As the caller has found it, or nearly so: the wait begins before the next look.
        let mut state = 0;
        loop {
            // Whether or not threads are queued.
            if permits(state) >= need {
                match self.take(state, need) {
                    Ok(()) => return LockStatus::Acquired,
                    Err(actual) => state = actual,
                }
                continue;
            }

            // A permit may come while this thread spins.
            if spin.wait(state & PARKED != 0) == Next::LookAgain {
                // Ordering: Relaxed to look; the exchanges decide.
                state = self.word.load(Relaxed);
                continue;
            }

            match self.park::<R>(&request, position, deadline, flags) {
                // SAFETY: off the queue.
                ParkStatus::Ok if unsafe { request.assigned() } == need => {
                    return LockStatus::Acquired;
                }
                // The permit is in the word, and this thread must win a race for it. It has been at
                // the front.
                ParkStatus::Ok => {
                    position = Position::Front;
                    spin.on_wake();
                }
                ParkStatus::Timeout => {
                    self.give_back(&request);
                    return LockStatus::Failure;
                }
                // The pending calls may want permits, and may panic.
                ParkStatus::Interrupted => {
                    self.give_back(&request);
                    position = asked_for;
                    if let Some(status) = flags.on_interrupt::<R>() {
                        return status;
                    }
                }
                // The permits came before this thread was queued. Or this is the child of a fork, and
                // what the thread has been assigned is of no use without the rest.
                ParkStatus::Again => self.give_back(&request),
            }

            // Ordering: as above.
            state = self.word.load(Relaxed);
            // Past the deadline, permits are still taken if they are there, and only then is the wait
            // given up.
            if permits(state) < need && deadline.has_passed() {
                return LockStatus::Failure;
            }
        }
    }

    /// Queues the calling thread, unless the permits that it needs are there by now, and sleeps.
    fn park<R: Runtime>(
        &self,
        request: &Request,
        position: Position,
        deadline: Deadline,
        flags: LockFlags,
    ) -> ParkStatus {
        let validate = || {
            // Ordering: Relaxed. The bucket lock orders this with every release that finds the bit
            // set, and the exchange with every other.
            let mut state = self.word.load(Relaxed);
            while permits(state) < request.need {
                let announced = state | PARKED;
                if state == announced {
                    return true;
                }
                match self.word.compare_exchange_weak(state, announced, Relaxed, Relaxed) {
                    Ok(_) => return true,
                    Err(actual) => state = actual,
                }
            }
            false
        };
        let waiter = pin!(Waiter::new((&raw const *request).cast_mut().cast()));
        let waiter = waiter.as_ref();
        // SAFETY: threads park on this key only here, with a `Request`, which outlives the waiter.
        if unsafe { waiter.queue(self.key(), position, validate) } {
            waiter.sleep::<R>(deadline, flags)
        } else {
            ParkStatus::Again
        }
    }

    /// Releases what a thread that is off the queue has been assigned. Those behind it may need less.
    ///
    /// If it has been assigned nothing, nobody waits for it to leave: then each permit in the word is for
    /// a thread that has been woken for it, or was too few for all that are queued.
    fn give_back(&self, request: &Request) {
        // SAFETY: off the queue.
        let assigned = unsafe { request.assigned() };
        if assigned > 0 {
            // SAFETY: as above.
            unsafe { request.assign(0) };
            self.release(assigned);
        }
    }

    /// Adds `n` permits if nobody is queued; true if it did.
    #[inline]
    fn release_fast(&self, n: u32) -> bool {
        // Ordering: Relaxed to look; the exchange decides.
        let mut state = self.word.load(Relaxed);
        while state & PARKED == 0 && n <= Self::MAX - permits(state) {
            // Ordering: Release pairs with the Acquire in `take`.
            match self.word.compare_exchange_weak(state, state + n * ONE, Release, Relaxed) {
                Ok(_) => return true,
                Err(actual) => state = actual,
            }
        }
        false
    }

    /// Adds `n` permits and serves the queue; says how many threads are woken, or changes nothing and
    /// returns `None` if there would be too many permits. With `hand_off`, the first waiter counts as
    /// due.
    ///
    /// While bit 0 is set and the bucket lock is held, other threads only take permits off the word.
    #[cold]
    fn release_slow(&self, n: u32, mut hand_off: bool) -> Option<usize> {
        // What has been assigned to nobody, and is not in the word yet.
        let left = Cell::new(n);
        let overflows = Cell::new(false);
        // How many permits of the word are for those whom this sweep has woken.
        let mut promised = 0;
        let choose = |park_arg: *mut ()| {
            // Ordering: Relaxed; as in `park`.
            let in_word = permits(self.word.load(Relaxed));
            // Before anything has changed: later there are fewer.
            if left.get() > Self::MAX - in_word {
                overflows.set(true);
                return Choice::Stop;
            }
            let spare = (left.get() + in_word).saturating_sub(promised);
            if spare == 0 {
                return Choice::Stop;
            }
            // SAFETY: all who park on this key do so with a `Request`, which is there as long as they
            // are queued.
            let request = unsafe { &*park_arg.cast_const().cast::<Request>() };
            // SAFETY: the bucket lock is held.
            let assigned = unsafe { request.assigned() };
            if std::mem::take(&mut hand_off) || request.need > 1 || request.due.has_passed() {
                let given = spare.min(request.need - assigned);
                let of_release = given.min(left.get());
                left.set(left.get() - of_release);
                let assigned = assigned + of_release + self.take_at_most(given - of_release);
                // SAFETY: as above.
                unsafe { request.assign(assigned) };
                return if assigned == request.need { Choice::Unpark } else { Choice::Stop };
            }
            promised += 1;
            Choice::Unpark
        };
        let outcome = unpark_filter(self.key(), choose, |outcome| {
            let bit = if outcome.has_more_waiters { PARKED } else { 0 };
            let mut state = self.word.load(Relaxed);
            while !overflows.get() {
                // Only where nobody was queued: then others may have released.
                if left.get() > Self::MAX - permits(state) {
                    overflows.set(true);
                    break;
                }
                let new = ((permits(state) + left.get()) * ONE) | bit;
                // Ordering: Release, as in `release_fast`. Who is assigned permits makes no exchange,
                // and is ordered by the wake.
                match self.word.compare_exchange_weak(state, new, Release, Relaxed) {
                    Ok(_) => break,
                    Err(actual) => state = actual,
                }
            }
        });
        // From here on a waiter may have freed the semaphore.
        (!overflows.get()).then_some(outcome.unparked)
    }

    /// Takes up to `most` permits from the word for a waiter; says how many.
    fn take_at_most(&self, most: u32) -> u32 {
        let mut state = self.word.load(Relaxed);
        loop {
            let taken = most.min(permits(state));
            if taken == 0 {
                return 0;
            }
            match self.take(state, taken) {
                Ok(()) => return taken,
                Err(actual) => state = actual,
            }
        }
    }

    /// What threads park on.
    #[inline]
    fn key(&self) -> Key {
        Key::of(&raw const self.word)
    }
}

/// One without permits.
impl Default for Semaphore {
    fn default() -> Self {
        Self::new(0)
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").field("available", &self.available()).finish()
    }
}
