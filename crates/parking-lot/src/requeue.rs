//! The unparker's side beyond C's: to look at the waiters of a key, to choose among them, and to
//! move them to another key.

use pysync_platform::abort_on_unwind;

use crate::Key;
use crate::bucket::{Bucket, BucketGuard};
use crate::parking_lot::{CALLBACK_PANICKED, ParkArgs, wake};
use crate::wait_queues::{Chain, WaitEntry};

/// Calls `f` with the park arguments of the threads that are parked on `key`, the first to be
/// unparked first. Wakes none of them.
///
/// `f` runs under the bucket lock: while it runs, no thread parks on the key or leaves it. It must
/// be short, and must neither park nor unpark, nor take a lock whose holder might. Does not block
/// but for the bucket lock.
///
/// C has no such function.
///
/// # Aborts
/// The process, with a message, if `f` panics.
///
/// ```
/// use pysync_parking_lot::{Key, inspect};
///
/// # #[cfg(not(any(pysync_loom, pysync_shuttle)))] {
/// let word = 0_u8;
/// assert_eq!(inspect(Key::of(&word), |park_args| park_args.count()), 0);
/// # }
/// ```
pub fn inspect<T>(key: Key, f: impl FnOnce(ParkArgs<'_>) -> T) -> T {
    let queues = Bucket::of(key).lock();
    // SAFETY: the bucket lock is held for as long as the callback runs.
    let park_args = unsafe { ParkArgs::new(queues.first(key)) };
    abort_on_unwind(CALLBACK_PANICKED, || f(park_args))
}

/// What becomes of a waiter, for [`unpark_filter`] and [`unpark_requeue`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// It is woken.
    Unpark,
    /// It is moved to the other key, asleep. Where there is no other key, or its own target is
    /// another one, it is woken.
    Requeue,
    /// It stays where it is.
    Skip,
    /// It stays where it is, and so do all behind it, which are not asked about.
    Stop,
}

/// What an [`unpark_filter`] or [`unpark_requeue`] has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnparkResult {
    /// So many threads are woken.
    pub unparked: usize,
    /// So many have been moved.
    pub requeued: usize,
    /// Other threads remain parked on the key.
    pub has_more_waiters: bool,
}

/// Unparks those of the threads parked on `key` that `choose` names by their park arguments, in the
/// order of their queue. A given waiter is unparked by a `choose` that knows its argument.
///
/// Both callbacks run under the bucket lock, `done` last and in any case. They must be short, and
/// must neither park nor unpark, nor take a lock whose holder might. [`Choice::Requeue`] wakes, as
/// there is no other key here. Does not block but for the bucket lock. Nothing is allocated.
///
/// C has no such function.
///
/// # Aborts
/// The process, with a message, if a callback panics.
///
/// ```
/// use pysync_parking_lot::{Choice, Key, unpark_filter};
///
/// # #[cfg(not(any(pysync_loom, pysync_shuttle)))] {
/// let (word, victim) = (0_u8, std::ptr::null_mut());
/// let outcome = unpark_filter(
///     Key::of(&word),
///     |park_arg| if park_arg == victim { Choice::Unpark } else { Choice::Skip },
///     |_| (),
/// );
/// assert_eq!(outcome.unparked, 0);
/// # }
/// ```
pub fn unpark_filter(
    key: Key,
    mut choose: impl FnMut(*mut ()) -> Choice,
    done: impl FnOnce(UnparkResult),
) -> UnparkResult {
    let mut from = Bucket::of(key).lock();
    sweep(&mut from, key, None, |candidate| choose(candidate.park_arg)).finish(from, None, done)
}

/// A waiter that an [`unpark_requeue`] asks about.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// What the waiter has parked with.
    pub park_arg: *mut (),
    /// Whether [`Choice::Requeue`] moves it.
    pub can_requeue: bool,
}

/// Takes threads off the queue of `from` and moves them, asleep, to the queue of another key, whose
/// unparks wake them from then on; or wakes them, as `choose` says.
///
/// `target` tells the other key from the park argument of a waiter, or that there is none. That of
/// the first waiter counts: waiters with the same target can be moved, others can be woken. With the
/// locks of both buckets held, `choose` decides on each waiter in the order of the queue, and `done`
/// hears what was done. So nothing happens in between on either key:
///
/// - Moved waiters keep their order, behind those that are parked on the other key already.
/// - A moved waiter has been notified. Its deadline and its signals end its wait no more, and it
///   does not lose its place: it sleeps until it is unparked on the other key.
/// - A lock at the other key that is **held** must be marked as having parked threads before a
///   waiter is moved to it, or its unlock does not look for them: `choose` is the place. A lock
///   that is **free** has no unlock to come, so the first waiter must be woken, to take it.
/// - A lock that is fair by waiting time should count the time of a moved waiter from the move,
///   which `choose` can write behind the park argument.
///
/// All callbacks must be short, and must neither park nor unpark, nor take a lock whose holder might.
/// `target` may be asked about a waiter more than once. Does not block but for the bucket locks,
/// which it takes in the order of the table. Takes time in proportion to the number of waiters on
/// `from`, with both locks held. Nothing is allocated.
///
/// C has no such function.
///
/// # Aborts
/// The process, with a message, if a callback panics.
///
/// # Safety
/// The code that unparks on the target key expects there the park arguments of the waiters that are
/// moved: see [`park_with`](crate::park_with).
pub unsafe fn unpark_requeue(
    from: Key,
    target: impl Fn(*mut ()) -> Option<Key>,
    choose: impl FnMut(Candidate) -> Choice,
    done: impl FnOnce(UnparkResult),
) -> UnparkResult {
    let target = |waiter: *const WaitEntry| {
        // SAFETY: queued, and the bucket lock is held.
        let park_arg = (!waiter.is_null()).then(|| unsafe { (*waiter).park_arg })?;
        abort_on_unwind(CALLBACK_PANICKED, || target(park_arg))
    };
    let mut queues = Bucket::of(from).lock();
    let (to, mut second) = loop {
        let Some(to) = target(queues.first(from)) else { break (None, None) };
        let (second, unlocked) = Bucket::lock_second(&mut queues, from, to);
        // Another first waiter may have another target.
        if !unlocked || target(queues.first(from)) == Some(to) {
            break (Some(to), second);
        }
    };
    let to = to.map(|key| Target { key, of: &target });
    let mut sweep = sweep(&mut queues, from, to.as_ref(), choose);
    if let Some(to) = &to {
        let moved = std::mem::replace(&mut sweep.moved, Chain::EMPTY);
        // SAFETY: valid and on no queue, marked as moved to that key, and the lock is held.
        unsafe { second.as_mut().unwrap_or(&mut queues).append(moved, to.key) };
    }
    sweep.finish(queues, second, done)
}

/// The key to which waiters can be moved, and how to tell which.
struct Target<'a> {
    key: Key,
    of: &'a dyn Fn(*const WaitEntry) -> Option<Key>,
}

/// What a pass over the waiters of a key has found.
struct Sweep {
    woken: Chain,
    moved: Chain,
    outcome: UnparkResult,
}

/// Takes the waiters of `key` off their queue, but for those that stay.
fn sweep(
    queues: &mut BucketGuard,
    key: Key,
    to: Option<&Target<'_>>,
    mut choose: impl FnMut(Candidate) -> Choice,
) -> Sweep {
    let Chain { first: mut waiter, last } = queues.take_all(key);
    let (mut woken, mut moved, mut left) = (Chain::EMPTY, Chain::EMPTY, Chain::EMPTY);
    let mut outcome = UnparkResult::default();
    while !waiter.is_null() {
        // SAFETY: off the queue but not yet woken, so valid; and so for all below.
        let (next, park_arg) = unsafe { (WaitEntry::next_in_chain(waiter), (*waiter).park_arg) };
        let to = to.filter(|to| (to.of)(waiter) == Some(to.key));
        let candidate = Candidate { park_arg, can_requeue: to.is_some() };
        // SAFETY: the locks of the buckets are held, and the entry is ours to link.
        unsafe {
            match (abort_on_unwind(CALLBACK_PANICKED, || choose(candidate)), to) {
                (Choice::Requeue, Some(to)) => {
                    Chain::mark_requeued(waiter, to.key);
                    moved.push(waiter);
                    outcome.requeued += 1;
                }
                (Choice::Unpark | Choice::Requeue, _) => {
                    Chain::mark_unparking(waiter);
                    woken.push(waiter);
                    outcome.unparked += 1;
                }
                (Choice::Skip, _) => left.push(waiter),
                (Choice::Stop, _) => {
                    left.push_all(Chain { first: waiter, last });
                    break;
                }
            }
        }
        waiter = next;
    }
    outcome.has_more_waiters = !left.is_empty();
    // SAFETY: valid and on no queue, and they have that key.
    unsafe { queues.append(left, key) };
    Sweep { woken, moved, outcome }
}

impl Sweep {
    /// Tells `done`, unlocks the buckets, and wakes.
    fn finish(
        self,
        first: BucketGuard,
        second: Option<BucketGuard>,
        done: impl FnOnce(UnparkResult),
    ) -> UnparkResult {
        abort_on_unwind(CALLBACK_PANICKED, || done(self.outcome));
        drop((first, second));
        // SAFETY: marked as about to be woken, and the buckets are unlocked.
        unsafe { wake(self.woken) };
        self.outcome
    }
}
