//! Receivers that wait for a message, senders that wait for room, and how they are woken.
//!
//! All waiters are parked on one key, in the order in which they came. A waker asks them in that order,
//! with the lock of the bucket held, and wakes the first one that waits for its tag. So a waiter is woken
//! once, however many tags it waits for.
//!
//! # No wake is lost
//! If a message can be received and receivers are parked on its tag, then a thread is on its way that will
//! look for it, or will wake such a receiver:
//!
//! - A sender that has filled a cell looks whether receivers are parked, and wakes one. [`Ring`] tells why
//!   it finds them.
//! - A receiver that has taken a message looks too: the next one may have come before its turn.
//! - A receiver that has been woken for a tag looks at all its tags before it leaves. If it leaves with a
//!   message of another tag, it looks once more whether there is one of this tag.
//!
//! The same holds for room and senders.

use std::pin::pin;
use std::ptr;

use pysync_parking_lot::{Choice, Key, Position, Waiter, unpark_filter};
use pysync_platform::primitive::UnsafeCell;
use pysync_platform::primitive::atomic::Ordering::Relaxed;
use pysync_platform::spin::{FAITHFUL, spin_until};
use pysync_platform::{Deadline, LockFlags, ParkStatus, Runtime, detached};

use super::ring::{Look, RECEIVER, Ring, SENDER, receivers, senders};
use super::{MOST_TAGS, Queues};

/// Slots, one bit each.
#[derive(Clone, Copy)]
pub(super) struct Slots([usize; MOST_TAGS / usize::BITS as usize]);

impl Slots {
    pub(super) fn new() -> Self {
        Self([0; MOST_TAGS / usize::BITS as usize])
    }

    pub(super) fn insert(&mut self, slot: usize) {
        self.0[slot / usize::BITS as usize] |= 1 << (slot % usize::BITS as usize);
    }

    fn contains(&self, slot: usize) -> bool {
        self.0[slot / usize::BITS as usize] & (1 << (slot % usize::BITS as usize)) != 0
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(i, &word)| {
            let bits = std::iter::successors(Some(word), |word| Some(word & word.wrapping_sub(1)));
            let bits = bits.take_while(|&word| word != 0).map(usize::trailing_zeros);
            bits.map(move |bit| i * usize::BITS as usize + bit as usize)
        })
    }
}

/// What a waiter and its waker tell each other. It lies on the waiter's stack, and its address is the
/// waiter's park argument.
pub(super) struct Request {
    kind: Kind,
    slots: Slots,
    /// The waker writes it under the bucket lock, and the waiter reads it once it is off the queue.
    woken_for: UnsafeCell<Option<usize>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Receiver,
    Sender,
}

impl Request {
    pub(super) fn new(kind: Kind, slots: Slots) -> Self {
        Self { kind, slots, woken_for: UnsafeCell::new(None) }
    }

    pub(super) fn slots(&self) -> &Slots {
        &self.slots
    }

    /// What the waiter adds to `parked` of its rings.
    fn weight(&self) -> usize {
        match self.kind {
            Kind::Receiver => RECEIVER,
            Kind::Sender => SENDER,
        }
    }
}

/// How a wait has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parked {
    /// For a message or for room of this slot.
    WokenFor(usize),
    /// There is something to look at.
    Again,
    Timeout,
    Interrupted,
}

/// The flags have let a signal end the wait.
pub(super) struct Interrupted;

impl<M> Queues<M> {
    /// What all waiters park on.
    fn key(&self) -> Key {
        Key::of(self.rings.as_ptr())
    }

    /// Looks for a moment whether `has_come`, as the caller is about to park; says whether it has.
    ///
    /// The handler of a signal that comes meanwhile ends no sleep. So the pending calls run afterwards, if
    /// the flags ask for them, and a thread that a signal itself is to end does not look.
    ///
    /// # Errors
    /// A pending call fails.
    pub(super) fn spin<R: Runtime>(
        deadline: Deadline,
        flags: LockFlags,
        has_come: impl FnMut() -> bool,
    ) -> Result<bool, Interrupted> {
        if FAITHFUL || flags.contains(LockFlags::FAIL_IF_INTERRUPTED) {
            return Ok(false);
        }
        let come =
            detached::<R, _>(flags.contains(LockFlags::DETACH), || spin_until(deadline, has_come));
        if !come && flags.on_interrupt::<R>().is_some() {
            return Err(Interrupted);
        }
        Ok(come)
    }

    /// Parks the calling thread, unless it need not wait, as `waits` says once the thread is counted.
    ///
    /// A thread that closes a ring, or sets the names, does so first, and then wakes the waiters under the
    /// bucket lock. So either this thread is queued by then, or `waits` finds the change.
    pub(super) fn park<R: Runtime>(
        &self,
        request: &Request,
        position: Position,
        deadline: Deadline,
        flags: LockFlags,
        waits: impl Fn() -> bool,
    ) -> Parked {
        // Ordering: Relaxed. It changes only while there is one thread.
        let forks = self.forks.load(Relaxed);
        let waiter = pin!(Waiter::new(ptr::from_ref(request).cast_mut().cast()));
        let waiter = waiter.as_ref();
        // SAFETY: on no queue yet.
        request.woken_for.with_mut(|woken_for| unsafe { *woken_for = None });
        let validate = || {
            for slot in request.slots.iter() {
                // Ordering: Relaxed. The look of `waits` publishes it.
                self.rings[slot].parked.fetch_add(request.weight(), Relaxed);
            }
            true
        };
        // SAFETY: threads park on this key only here, with a `Request`, which outlives the waiter.
        let is_queued = unsafe { waiter.queue(self.key(), position, validate) };
        debug_assert!(is_queued);
        let status = if waits() {
            waiter.sleep::<R>(deadline, flags)
        } else if waiter.leave() {
            ParkStatus::Ok
        } else {
            ParkStatus::Again
        };
        // SAFETY: off the queue, so that no waker writes to it.
        let woken_for = request.woken_for.with(|slot| unsafe { *slot });
        // In the child of a fork the counts have been reset.
        if self.forks.load(Relaxed) == forks {
            for slot in request.slots.iter().filter(|&slot| Some(slot) != woken_for) {
                // Ordering: Relaxed. A count that is too great makes a thread look in vain.
                self.rings[slot].parked.fetch_sub(request.weight(), Relaxed);
            }
        }
        match (status, woken_for) {
            (ParkStatus::Ok, Some(slot)) => Parked::WokenFor(slot),
            (ParkStatus::Ok | ParkStatus::Again, _) => Parked::Again,
            (ParkStatus::Timeout, _) => Parked::Timeout,
            (ParkStatus::Interrupted, _) => Parked::Interrupted,
        }
    }

    /// Wakes the first waiters of a kind that wait for `slot`, at most so many.
    fn wake(&self, kind: Kind, slot: usize, most: usize) {
        let mut left = most;
        let choose = |park_arg: *mut ()| {
            if left == 0 {
                return Choice::Stop;
            }
            // SAFETY: all threads on this key are parked with a `Request`, which is there as long as they are
            // queued.
            let request = unsafe { &*park_arg.cast_const().cast::<Request>() };
            if request.kind != kind || !request.slots.contains(slot) {
                return Choice::Skip;
            }
            left -= 1;
            // SAFETY: the bucket lock is held, and the waiter is queued.
            request.woken_for.with_mut(|woken_for| unsafe { *woken_for = Some(slot) });
            // Counted out here for this slot, so that the next message does not look for this waiter. The
            // waiter does the rest, since the counts of other slots are in its own cache.
            // Ordering: Relaxed, as in `park`.
            self.rings[slot].parked.fetch_sub(request.weight(), Relaxed);
            Choice::Unpark
        };
        unpark_filter(self.key(), choose, |_| ());
    }

    /// Wakes all waiters, since the names have been set.
    pub(super) fn wake_everyone(&self) {
        unpark_filter(self.key(), |_| Choice::Unpark, |_| ());
    }

    /// Wakes all waiters of a slot, since it is closed.
    pub(super) fn wake_all_of(&self, slot: usize) {
        self.wake(Kind::Receiver, slot, usize::MAX);
        self.wake(Kind::Sender, slot, usize::MAX);
    }

    /// Wakes a thread that is parked on a slot though there is a message, or room, for it. The caller has
    /// just made that so, or has been woken for it and leaves with another.
    #[inline]
    pub(super) fn settle(&self, slot: usize, ring: &Ring<M>) {
        // Ordering: Relaxed. The swap of the stamp has ordered the load, see `Ring`.
        let parked = ring.parked.load(Relaxed);
        if parked != 0 {
            self.settle_parked(slot, parked);
        }
    }

    #[cold]
    fn settle_parked(&self, slot: usize, parked: usize) {
        let ring = &self.rings[slot];
        if receivers(parked) > 0 {
            match ring.look_for_message(ring.term()) {
                Look::Ready => self.wake(Kind::Receiver, slot, 1),
                Look::Closed => self.wake(Kind::Receiver, slot, usize::MAX),
                Look::NotYet | Look::Ended => {}
            }
        }
        if senders(parked) > 0 && ring.look_for_room(ring.term()) == Look::Ready {
            self.wake(Kind::Sender, slot, 1);
        }
    }
}
