//! To send, and to wait for room.

use std::time::Duration;

use pysync_parking_lot::Position;
use pysync_platform::primitive::atomic::Ordering::Relaxed;
use pysync_platform::{Deadline, LockFlags, Native, Runtime};

use super::ring::{Look, Refused, senders};
use super::tags::NoPlace;
use super::wait::{Interrupted, Kind, Parked, Request, Slots};
use super::{AsTag, Place, Queues, SendError, SendTimedError, trace};

impl<M: Send> Queues<M> {
    /// Sends a message, if there is room, and wakes a receiver that waits for one of this tag. Never waits
    /// for room.
    ///
    /// Blocks for no lock but that of a bucket of the parking lot, if threads are parked, and that of the
    /// names, if the name is new or [`set_tags`](Self::set_tags) is at work. Nothing
    /// is allocated but a ring at a tag's first use. A signal handler must not send.
    ///
    /// # Errors
    /// Each returns the message.
    /// - `Full`: the queue holds as many messages as it may, or a receiver is about to take one.
    /// - `Closed`: the queue is [closed](Self::close).
    /// - `Stale`: the [`Tag`](super::Tag) was made before the last [`set_tags`](Self::set_tags), or by
    ///   others.
    /// - `NoTagLeft`: the name is new, and there is no tag for it.
    #[inline]
    pub fn send(&self, to: impl AsTag, message: M) -> Result<(), SendError<M>> {
        let mut message = message;
        loop {
            let place = match self.place(to.asked()) {
                Ok(place) => place,
                Err(NoPlace::Stale) => return Err(SendError::Stale(message)),
                Err(NoPlace::NoTagLeft) => return Err(SendError::NoTagLeft(message)),
            };
            match self.push(place, message) {
                Ok(()) => return Ok(()),
                Err((Refused::Full, back)) => {
                    place.ring.count_full();
                    trace::send_full(self.addr(), place.slot);
                    return Err(SendError::Full(back));
                }
                Err((_, back)) if self.names.are_of(place.generation) => {
                    return Err(SendError::Closed(back));
                }
                // The names have been set meanwhile.
                Err((_, back)) => message = back,
            }
        }
    }

    /// Sends a message, and waits while there is no room.
    ///
    /// `None` waits forever. `Some(ZERO)` is one attempt. A wait does not end before its timeout. While it
    /// waits the thread sleeps, detached from its runtime, as [`LockFlags::DETACH`] has it, and through
    /// signals.
    ///
    /// Senders that sleep get room in the order in which they came. One that does not sleep takes room if
    /// it is quicker than the sender that has been woken for it: a [`send`](Self::send), a sender that
    /// comes when no other is parked, and one that finds room as it is about to sleep. The woken sender
    /// then waits on, first in line.
    ///
    /// # Errors
    /// As [`send`](Self::send), with `Timeout` instead of `Full`. A wait ends with `Closed` or `Stale` as
    /// soon as that is so; with `Stale` by a name too, if `set_tags` has left it out.
    #[inline]
    pub fn send_timed(
        &self,
        to: impl AsTag,
        message: M,
        timeout: Option<Duration>,
    ) -> Result<(), SendTimedError<M>> {
        self.send_in::<Native>(to, message, Deadline::after(timeout), LockFlags::DETACH)
    }

    /// [`send_timed`](Self::send_timed) until a deadline, in a runtime of the caller's choice. The flags
    /// are those of [`receive_in`](Self::receive_in).
    ///
    /// # Errors
    /// As [`send_timed`](Self::send_timed), and `Interrupted` if the flags let a signal end the wait.
    ///
    /// # Panics
    /// If a pending call panics. The message is dropped then.
    #[inline]
    pub fn send_in<R: Runtime>(
        &self,
        to: impl AsTag,
        message: M,
        deadline: Deadline,
        flags: LockFlags,
    ) -> Result<(), SendTimedError<M>> {
        match self.send_at_once(&to, message) {
            Ok(()) => Ok(()),
            Err((is_full, back)) => self.send_slow::<R>(&to, back, is_full, deadline, flags),
        }
    }

    /// Sends, if that does not overtake a sender that waits. If it fails, it says whether it has found the
    /// queue full.
    #[inline]
    fn send_at_once(&self, to: &impl AsTag, message: M) -> Result<(), (bool, M)> {
        match self.place(to.asked()) {
            // Ordering: Relaxed; a guess.
            Ok(place) if senders(place.ring.parked.load(Relaxed)) == 0 => {
                self.push(place, message).map_err(|(why, back)| (why == Refused::Full, back))
            }
            Ok(_) | Err(_) => Err((false, message)),
        }
    }

    /// What follows upon an attempt that has failed.
    #[cold]
    fn send_slow<R: Runtime>(
        &self,
        to: &impl AsTag,
        message: M,
        mut has_looked: bool,
        deadline: Deadline,
        flags: LockFlags,
    ) -> Result<(), SendTimedError<M>> {
        let mut message = message;
        let mut position = Position::Back;
        let mut is_first = true;
        // The deadline has passed, and this is the last attempt.
        let mut is_last = deadline.has_passed();
        loop {
            let place = match self.place(to.asked()) {
                Ok(place) => place,
                Err(NoPlace::Stale) => return Err(SendTimedError::Stale(message)),
                Err(NoPlace::NoTagLeft) if is_first => {
                    return Err(SendTimedError::NoTagLeft(message));
                }
                // The name had a tag when the wait began.
                Err(NoPlace::NoTagLeft) => return Err(SendTimedError::Stale(message)),
            };
            // Ordering: Relaxed; a guess.
            let queues_up =
                is_first && !has_looked && !is_last && senders(place.ring.parked.load(Relaxed)) > 0;
            if !queues_up && !std::mem::take(&mut has_looked) {
                match self.push(place, message) {
                    Ok(()) => return Ok(()),
                    Err((Refused::Full, back)) => message = back,
                    Err((_, back)) if self.names.are_of(place.generation) => {
                        return Err(SendTimedError::Closed(back));
                    }
                    // The names have been set meanwhile.
                    Err((_, back)) => {
                        message = back;
                        continue;
                    }
                }
            }
            if std::mem::take(&mut is_first) {
                place.ring.count_full();
            }
            if is_last || (!queues_up && deadline.has_passed()) {
                return Err(SendTimedError::Timeout(message));
            }
            let has_come = || place.ring.may_have_room(place.term());
            if !queues_up {
                match Self::spin::<R>(deadline, flags, has_come) {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(Interrupted) => return Err(SendTimedError::Interrupted(message)),
                }
            }

            let mut slots = Slots::new();
            slots.insert(place.slot);
            let request = Request::new(Kind::Sender, slots);
            let waits = || place.ring.look_for_room(place.term()) == Look::NotYet;
            match self.park::<R>(&request, position, deadline, flags, waits) {
                // If another sender is quicker, this one keeps its place.
                Parked::WokenFor(_) => position = Position::Front,
                Parked::Again => position = Position::Back,
                Parked::Timeout => is_last = true,
                Parked::Interrupted if flags.on_interrupt::<R>().is_some() => {
                    return Err(SendTimedError::Interrupted(message));
                }
                Parked::Interrupted => position = Position::Back,
            }
        }
    }

    /// Sends to a place, and wakes a thread that waits for it.
    #[inline]
    fn push(&self, place: Place<'_, M>, message: M) -> Result<(), (Refused, M)> {
        let result = place.ring.push(place.term(), message);
        if !matches!(result, Err((Refused::Full | Refused::Ended, _))) {
            self.settle(place.slot, place.ring);
        }
        result
    }
}
