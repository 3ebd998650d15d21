//! To receive from one queue or from many.

use std::cell::Cell;
use std::time::Duration;

use pysync_parking_lot::Position;
use pysync_platform::{Deadline, LockFlags, Native, Runtime, primitive};

use super::ring::{Look, Popped};
use super::wait::{Interrupted, Kind, Parked, Request, Slots};
use super::word::term;
use super::{Queues, ReceiveError, Received, Tags};

/// How many slots a receiver remembers; it looks the others up again.
const REMEMBERED: usize = 16;

/// Where the tags are that a receiver asks for.
struct Places {
    generation: u32,
    count: usize,
    slots: [u16; REMEMBERED],
}

/// Which tag a receiver looks at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// Another one at each call.
    Rotates,
    AsGiven,
}

/// What a look at all tags has found.
enum Found<M> {
    /// A message of this slot.
    Message(usize, Received<M>),
    Nothing,
    /// The names have been set meanwhile.
    Changed,
}

primitive::thread_local! {
    static TURN: Cell<u32> = Cell::new(0)
}

impl<M: Send> Queues<M> {
    /// Receives the next message of one of the tags, and waits for one if there is none.
    ///
    /// Each call begins with another one of the tags, so that none of them starves;
    /// [`receive_ordered`](Self::receive_ordered) does not. `None` waits forever. `Some(ZERO)` is one full
    /// look at all tags. A wait does not end before its timeout. A message that has come by then is
    /// received.
    ///
    /// While it waits, the thread looks again for some microseconds, and then sleeps until a message comes
    /// for one of its tags, which wakes this thread alone. It is detached from its runtime meanwhile, as
    /// [`LockFlags::DETACH`] has it, and sleeps through signals. Nothing is allocated but a ring at a tag's
    /// first use.
    ///
    /// # Errors
    /// - `Timeout`: no message came in time.
    /// - `Closed`: all the tags are closed, and no message is left.
    /// - `Stale`: a [`Tag`](super::Tag) was made before the last [`set_tags`](Self::set_tags), or by others.
    ///   A call that waits fails as soon as `set_tags` is called, by tag or by a name that is no more.
    /// - `NoTagLeft`: a name is new, and there is no tag for it.
    /// - `NoTags`: there are none in `from`.
    ///
    /// ```
    /// use pysync_boc::{Queues, Received};
    ///
    /// let queues = Queues::default();
    /// queues.send("b", 7).unwrap();
    /// let received = queues.receive(["a", "b"], None);
    /// assert_eq!(received, Ok(Received { index: 1, message: 7 }));
    /// ```
    #[inline]
    pub fn receive(
        &self,
        from: impl Tags,
        timeout: Option<Duration>,
    ) -> Result<Received<M>, ReceiveError> {
        self.receive_at_once(&from, Order::Rotates).unwrap_or_else(|| {
            let deadline = Deadline::after(timeout);
            self.receive_slow::<Native>(&from, Order::Rotates, deadline, LockFlags::DETACH)
        })
    }

    /// [`receive`](Self::receive) that looks at the tags in the order in which they are given: a message
    /// of a later tag is received only if there is none of those before it.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    #[inline]
    pub fn receive_ordered(
        &self,
        from: impl Tags,
        timeout: Option<Duration>,
    ) -> Result<Received<M>, ReceiveError> {
        self.receive_at_once(&from, Order::AsGiven).unwrap_or_else(|| {
            let deadline = Deadline::after(timeout);
            self.receive_slow::<Native>(&from, Order::AsGiven, deadline, LockFlags::DETACH)
        })
    }

    /// [`receive`](Self::receive) until a deadline, in a runtime of the caller's choice.
    ///
    /// | of `flags` | means |
    /// |---|---|
    /// | `DETACH` | the thread is detached from its runtime while it waits |
    /// | `HANDLE_SIGNALS` | a signal runs the pending calls, and ends the wait if one fails |
    /// | `FAIL_IF_INTERRUPTED` | a signal ends the wait |
    ///
    /// # Errors
    /// As [`receive`](Self::receive), and `Interrupted` if the flags let a signal end the wait.
    ///
    /// # Panics
    /// If a pending call panics. No message is received then.
    #[inline]
    pub fn receive_in<R: Runtime>(
        &self,
        from: impl Tags,
        deadline: Deadline,
        flags: LockFlags,
    ) -> Result<Received<M>, ReceiveError> {
        self.receive_at_once(&from, Order::Rotates)
            .unwrap_or_else(|| self.receive_slow::<R>(&from, Order::Rotates, deadline, flags))
    }

    /// [`receive_ordered`](Self::receive_ordered) as [`receive_in`](Self::receive_in).
    ///
    /// # Errors
    /// As [`receive_in`](Self::receive_in).
    ///
    /// # Panics
    /// As [`receive_in`](Self::receive_in).
    #[inline]
    pub fn receive_ordered_in<R: Runtime>(
        &self,
        from: impl Tags,
        deadline: Deadline,
        flags: LockFlags,
    ) -> Result<Received<M>, ReceiveError> {
        self.receive_at_once(&from, Order::AsGiven)
            .unwrap_or_else(|| self.receive_slow::<R>(&from, Order::AsGiven, deadline, flags))
    }

    /// Receives up to `max` messages, and appends them to a vector; says how many. Waits for the first one
    /// only, as [`receive`](Self::receive) does. The messages of one tag are in their order. If `max` is 0,
    /// returns 0 at once.
    ///
    /// # Errors
    /// As [`receive`](Self::receive). Nothing is appended then.
    #[inline]
    pub fn receive_many(
        &self,
        from: impl Tags,
        into: &mut Vec<M>,
        max: usize,
        timeout: Option<Duration>,
    ) -> Result<usize, ReceiveError> {
        let deadline = Deadline::after(timeout);
        self.receive_many_in::<Native>(from, into, max, deadline, LockFlags::DETACH)
    }

    /// [`receive_many`](Self::receive_many) as [`receive_in`](Self::receive_in).
    ///
    /// # Errors
    /// As [`receive_in`](Self::receive_in).
    ///
    /// # Panics
    /// As [`receive_in`](Self::receive_in).
    pub fn receive_many_in<R: Runtime>(
        &self,
        from: impl Tags,
        into: &mut Vec<M>,
        max: usize,
        deadline: Deadline,
        flags: LockFlags,
    ) -> Result<usize, ReceiveError> {
        if max == 0 {
            return Ok(0);
        }
        let first = self
            .receive_at_once(&from, Order::Rotates)
            .unwrap_or_else(|| self.receive_slow::<R>(&from, Order::Rotates, deadline, flags))?;
        into.push(first.message);
        let mut received = 1;
        let Ok(places) = self.places(&from) else { return Ok(received) };
        for step in 0..places.count {
            let index = (first.index + step) % places.count;
            let Some(slot) = self.slot(&from, &places, index) else { break };
            let ring = &self.rings[slot];
            while received < max {
                let Popped::Message(message) = ring.pop(term(places.generation)) else { break };
                self.settle(slot, ring);
                into.push(message);
                received += 1;
            }
        }
        Ok(received)
    }

    /// One look, if it finds a message or an error; `None` if the rest is to be done.
    #[inline]
    fn receive_at_once(
        &self,
        from: &impl Tags,
        order: Order,
    ) -> Option<Result<Received<M>, ReceiveError>> {
        if from.count() == 1 {
            let place = match self.place(from.at(0)) {
                Ok(place) => place,
                Err(none) => return Some(Err(none.into())),
            };
            return match place.ring.pop(place.term()) {
                Popped::Message(message) => {
                    self.settle(place.slot, place.ring);
                    Some(Ok(Received { index: 0, message }))
                }
                Popped::Empty | Popped::Ended => None,
            };
        }
        self.receive_one_of(from, order)
    }

    /// The same for other numbers of tags than one.
    fn receive_one_of(
        &self,
        from: &impl Tags,
        order: Order,
    ) -> Option<Result<Received<M>, ReceiveError>> {
        if from.count() == 0 {
            return Some(Err(ReceiveError::NoTags));
        }
        let places = match self.places(from) {
            Ok(places) => places,
            Err(error) => return Some(Err(error)),
        };
        match self.look(from, &places, places.first(order, None)) {
            Found::Message(_, received) => Some(Ok(received)),
            Found::Nothing | Found::Changed => None,
        }
    }

    /// What follows upon a look that has found nothing.
    #[cold]
    fn receive_slow<R: Runtime>(
        &self,
        from: &impl Tags,
        order: Order,
        deadline: Deadline,
        flags: LockFlags,
    ) -> Result<Received<M>, ReceiveError> {
        // The slot for whose message this thread has been woken.
        let mut woken_for = None;
        let mut has_looked = true;
        let mut is_late = false;
        loop {
            let places = match self.places(from) {
                Ok(places) => places,
                // The name had a tag when the wait began.
                Err(ReceiveError::NoTagLeft) => return Err(ReceiveError::Stale),
                Err(error) => return Err(error),
            };
            if !std::mem::take(&mut has_looked) {
                match self.look(from, &places, places.first(order, woken_for)) {
                    Found::Message(slot, received) => {
                        // Another receiver may have the one that this thread has left.
                        if let Some(other) = woken_for.filter(|&woken_for| woken_for != slot) {
                            self.settle(other, &self.rings[other]);
                        }
                        return Ok(received);
                    }
                    Found::Changed => continue,
                    Found::Nothing => {}
                }
            }
            if self.are_over(from, &places) {
                // Or else they have been closed in order to be opened again.
                if self.names.are_of(places.generation) {
                    return Err(ReceiveError::Closed);
                }
                continue;
            }
            if is_late || deadline.has_passed() {
                return Err(ReceiveError::Timeout);
            }

            let Some(slots) = self.slots(from, &places) else { continue };
            let term = term(places.generation);
            let has_come = || slots.iter().any(|slot| self.rings[slot].may_have_message(term));
            match Self::spin::<R>(deadline, flags, has_come) {
                Ok(true) => continue,
                Ok(false) => {}
                Err(Interrupted) => return Err(ReceiveError::Interrupted),
            }

            // One that was woken in vain, as another receiver was quicker, keeps its place.
            let position =
                if woken_for.take().is_some() { Position::Front } else { Position::Back };
            let request = Request::new(Kind::Receiver, slots);
            let waits = || self.has_to_wait(request.slots(), places.generation);
            match self.park::<R>(&request, position, deadline, flags, waits) {
                Parked::WokenFor(slot) => woken_for = Some(slot),
                Parked::Again => {}
                Parked::Timeout => is_late = true,
                Parked::Interrupted if flags.on_interrupt::<R>().is_some() => {
                    return Err(ReceiveError::Interrupted);
                }
                Parked::Interrupted => {}
            }
        }
    }

    /// Whether there is nothing to receive, and something may come. The calling thread is counted.
    fn has_to_wait(&self, slots: &Slots, generation: u32) -> bool {
        let looks = slots.iter().map(|slot| self.rings[slot].look_for_message(term(generation)));
        let mut may_come = false;
        for look in looks {
            match look {
                Look::Ready | Look::Ended => return false,
                Look::NotYet => may_come = true,
                Look::Closed => {}
            }
        }
        may_come
    }

    /// Looks at all tags, from the one at `first` on.
    #[inline]
    fn look(&self, from: &impl Tags, places: &Places, first: usize) -> Found<M> {
        let mut index = first;
        for _ in 0..places.count {
            let Some(slot) = self.slot(from, places, index) else { return Found::Changed };
            let ring = &self.rings[slot];
            match ring.pop(term(places.generation)) {
                Popped::Message(message) => {
                    self.settle(slot, ring);
                    return Found::Message(slot, Received { index, message });
                }
                Popped::Empty => {}
                Popped::Ended => return Found::Changed,
            }
            index = if index + 1 == places.count { 0 } else { index + 1 };
        }
        Found::Nothing
    }

    /// Whether all tags, in which the caller has found nothing, are closed and empty.
    fn are_over(&self, from: &impl Tags, places: &Places) -> bool {
        let mut slots = (0..places.count).map(|index| self.slot(from, places, index));
        slots.all(|slot| slot.is_some_and(|slot| self.rings[slot].is_over()))
    }

    /// Looks all tags up.
    #[inline]
    fn places(&self, from: &impl Tags) -> Result<Places, ReceiveError> {
        let count = from.count();
        'again: loop {
            let mut places = Places { generation: 0, count, slots: [0; REMEMBERED] };
            for index in 0..count {
                let (slot, generation) = self.slot_of(from.at(index))?;
                if index == 0 {
                    places.generation = generation;
                } else if places.generation != generation {
                    continue 'again;
                }
                if let Some(place) = places.slots.get_mut(index) {
                    *place = slot as u16;
                }
            }
            return Ok(places);
        }
    }

    /// The slot of the tag at `index`; `None` if the names have been set meanwhile.
    #[inline]
    fn slot(&self, from: &impl Tags, places: &Places, index: usize) -> Option<usize> {
        if let Some(&slot) = places.slots.get(index) {
            return Some(slot.into());
        }
        let (slot, generation) = self.slot_of(from.at(index)).ok()?;
        (generation == places.generation).then_some(slot)
    }

    /// The slots of all tags; `None` if the names have been set meanwhile.
    fn slots(&self, from: &impl Tags, places: &Places) -> Option<Slots> {
        let mut slots = Slots::new();
        for index in 0..places.count {
            slots.insert(self.slot(from, places, index)?);
        }
        Some(slots)
    }
}

impl Places {
    /// With which tag a look begins.
    fn first(&self, order: Order, woken_for: Option<usize>) -> usize {
        if order == Order::AsGiven || self.count == 1 {
            return 0;
        }
        let remembered = &self.slots[..self.count.min(REMEMBERED)];
        let index =
            woken_for.and_then(|slot| remembered.iter().position(|&it| usize::from(it) == slot));
        index.unwrap_or_else(|| {
            // By steps of the golden ratio, all tags come first equally often, and no division is needed.
            let turn = TURN.with(|turn| turn.replace(turn.get().wrapping_add(0x9E37_79B9)));
            ((u64::from(turn) * self.count as u64) >> 32) as usize
        })
    }
}
