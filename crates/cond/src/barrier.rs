use std::fmt;
use std::pin::pin;
use std::ptr;

use pysync_parking_lot::{Choice, Key, Position, Waiter, unpark_filter};
use pysync_platform::primitive::atomic::{AtomicU32, Ordering::Relaxed};
use pysync_platform::primitive::const_fn;
use pysync_platform::{Deadline, LockFlags, Native, Runtime};

/// A place where threads wait for each other: `parties` of them go on together, and the next `parties`
/// after them. Eight bytes.
///
/// | field | means | is changed by |
/// |---|---|---|
/// | `arrived` | so many threads of the round that is not complete have come | each thread that comes, under the bucket lock |
/// | `parties` | so many threads make a round | nobody |
///
/// 1. A thread that comes is counted under the bucket lock. If it is not the last of its round, it is
///    queued in the same step, and sleeps.
/// 2. The last one sets the count to zero in that step, and is the *leader* of its round. It does not
///    sleep. It then wakes the first `parties - 1` threads of the queue.
///
/// Nothing tells one round from the next. It need not: the queue is first in, first out, and no thread
/// leaves it by itself, so that those of an earlier round are in front. There are as many wakes as
/// complete rounds have waiters. So a leader wakes threads whose round is complete. If a second leader
/// comes between the two steps of a first one, the two may swap: each wakes the other's threads. That
/// makes no difference to these: both rounds are complete, and under the bucket lock all arrivals of both
/// came before either wake.
///
/// More than `parties` threads may use it. It can stand in a `static`.
///
/// **Publishing**: a thread that goes on sees all that the others of its round did before they came.
///
/// **Blocking**: a wait has no deadline, since a thread that left would be missing. Each wait detaches
/// the thread from its runtime while it sleeps, if its flags say so; [`wait`](Self::wait) does.
///
/// **Signals**: no signal ends a wait. Threads keep their place through signals.
///
/// **Fork**: a child inherits the count of those who have arrived and are not there any more, and
/// resets it by [`after_fork`](Self::after_fork). It forgets the waiters by
/// [`pysync_parking_lot::after_fork`]. A wait in the middle of which the thread has forked ends in the
/// child, and says that the thread is not the leader.
///
/// ```
/// use pysync_cond::Barrier;
/// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
///
/// static BARRIER: Barrier = Barrier::new(3);
/// static LEADERS: AtomicU32 = AtomicU32::new(0);
///
/// let threads = [0, 1, 2].map(|_| {
///     std::thread::spawn(|| {
///         if BARRIER.wait() {
///             LEADERS.fetch_add(1, Relaxed);
///         }
///     })
/// });
/// threads.map(|thread| thread.join().unwrap());
/// assert_eq!(LEADERS.load(Relaxed), 1);
/// ```
pub struct Barrier {
    arrived: AtomicU32,
    parties: u32,
}

impl Barrier {
    const_fn! {
        /// A barrier for rounds of `parties` threads. With 0, as with 1, no thread waits. Not `const` in
        /// a model.
        #[inline]
        pub const fn new(parties: u32) -> Self {
            Self { arrived: AtomicU32::new(0), parties }
        }
    }

    /// Blocks until `parties` threads have come, through signals, and detached while it sleeps. True for
    /// one thread of each round, its leader: the last that has come.
    #[inline]
    pub fn wait(&self) -> bool {
        self.wait_in::<Native>(LockFlags::DETACH)
    }

    /// [`wait`](Self::wait) in a runtime of the caller's choice. Of `flags`, only `DETACH` counts.
    pub fn wait_in<R: Runtime>(&self, flags: LockFlags) -> bool {
        let key = self.key();
        let waiter = pin!(Waiter::new(ptr::null_mut()));
        let waiter = waiter.as_ref();
        // SAFETY: nothing reads the park arguments of this key.
        if unsafe { waiter.queue(key, Position::Back, || !self.arrive()) } {
            // Without a deadline and without the flags for signals it ends by its wake, or in the
            // child of a fork.
            _ = waiter.spin_then_sleep::<R>(Deadline::NEVER, flags & LockFlags::DETACH);
            return false;
        }
        let mut left = self.parties.saturating_sub(1);
        if left > 0 {
            let choose = |_| match left.checked_sub(1) {
                Some(rest) => {
                    left = rest;
                    Choice::Unpark
                }
                None => Choice::Stop,
            };
            unpark_filter(key, choose, |_| ());
        }
        true
    }

    /// Forgets those who have arrived, in the child of a `fork`.
    ///
    /// # Safety
    /// The calling thread is the only one in the process, and is not inside a wait on this barrier.
    pub unsafe fn after_fork(&self) {
        // Ordering: Relaxed. There is no other thread.
        self.arrived.store(0, Relaxed);
    }

    /// Counts the calling thread; true if its round is complete. The bucket lock is held.
    fn arrive(&self) -> bool {
        // Ordering: Relaxed, and no exchange. All that look or write hold the bucket lock, which orders
        // the threads of a round too.
        let arrived = self.arrived.load(Relaxed) + 1;
        let is_complete = arrived >= self.parties;
        self.arrived.store(if is_complete { 0 } else { arrived }, Relaxed);
        is_complete
    }

    /// What threads park on.
    #[inline]
    fn key(&self) -> Key {
        Key::of(&raw const self.arrived)
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").field("parties", &self.parties).finish_non_exhaustive()
    }
}
