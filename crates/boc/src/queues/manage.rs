//! What is done to queues as a whole.

use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::{fmt, mem, thread};

use pysync_platform::primitive::atomic::Ordering::Relaxed;

use super::ring::{Popped, receivers, senders};
use super::tags::Asked;
use super::word::term;
use super::{AsTag, Place, QueueStats, Queues, SetTagsError, Tags, trace};

impl<M: Send> Queues<M> {
    /// Drops the messages that are there at the call; says how many. It ends though others go on sending,
    /// and wakes senders that wait for room.
    ///
    /// Names that are new, and tags that are stale, have none. Does not block, but for the lock of a bucket
    /// of the parking lot; no lock is held while a message is dropped.
    ///
    /// # Panics
    /// If the drop of a message does. The others are dropped nevertheless.
    pub fn drain(&self, of: impl Tags) -> usize {
        let mut drained = 0;
        let mut panic = Ok(());
        for index in 0..of.count() {
            let Some(place) = self.existing(of.at(index)) else { continue };
            if place.ring.len() == 0 {
                continue;
            }
            let was_there = place.ring.sent_by_now();
            let messages =
                std::iter::from_fn(|| match place.ring.pop_if(place.term(), &was_there) {
                    Popped::Message(message) => {
                        self.settle(place.slot, place.ring);
                        drained += 1;
                        Some(message)
                    }
                    Popped::Empty | Popped::Ended => None,
                });
            panic = panic.and(drop_each(messages));
        }
        panic.unwrap_or_else(|panic| resume_unwind(panic));
        drained
    }

    /// Replaces all tags by one for each of `names`, and lets no others in; or, if there are none, lets
    /// names claim tags again at their first use. Says how many messages are discarded.
    ///
    /// All is checked first. Then it is one step, as a look-up of a name sees it. Every [`Tag`](super::Tag)
    /// that was made before is stale. Every message that was sent before is discarded, also in the queue
    /// of a name that is kept; one whose send is under way is discarded too, or sent to the new queue of
    /// its name, or comes back to its sender as stale. Closed queues are open again. All waiters are
    /// woken: calls by name go on with the new queue of that name, and calls by tag, or by a name that is no
    /// more, fail as `Stale`.
    ///
    /// Blocks for other calls of this. Allocates. No lock is held while a message is dropped.
    ///
    /// # Errors
    /// `TooMany` names, or a `Duplicate`. Nothing has changed then.
    ///
    /// # Panics
    /// If the drop of a message does. The others are dropped nevertheless, and the tags are set.
    pub fn set_tags(&self, names: &[&str]) -> Result<usize, SetTagsError> {
        self.replace_tags(names, !names.is_empty())
    }

    /// [`set_tags`](Self::set_tags) that lets other names claim the tags which are left.
    ///
    /// # Errors
    /// As [`set_tags`](Self::set_tags).
    ///
    /// # Panics
    /// As [`set_tags`](Self::set_tags).
    pub fn preset_tags(&self, names: &[&str]) -> Result<usize, SetTagsError> {
        self.replace_tags(names, false)
    }

    fn replace_tags(&self, names: &[&str], are_all: bool) -> Result<usize, SetTagsError> {
        if names.len() > self.rings.len() {
            return Err(SetTagsError::TooMany { given: names.len(), limit: self.rings.len() });
        }
        let mut places = HashMap::with_capacity(names.len());
        for (second, name) in names.iter().enumerate() {
            if let Some(first) = places.insert(name, second) {
                return Err(SetTagsError::Duplicate { first, second });
            }
        }

        let mut discarded = Vec::new();
        self.names.lock().change(names, are_all, |generation| {
            self.rings.iter().for_each(|ring| ring.close());
            // Nothing is sent any more.
            discarded.reserve_exact(self.rings.iter().map(|ring| ring.len()).sum());
            for ring in &self.rings {
                ring.discard(&mut discarded);
                ring.reopen(term(generation));
            }
        });
        self.wake_everyone();
        let count = discarded.len();
        trace::set_tags(self.addr(), names.len(), count);
        drop_each(discarded.into_iter()).unwrap_or_else(|panic| resume_unwind(panic));
        Ok(count)
    }

    /// Closes a queue, for a name that is new too, if a tag is left for it. Sends fail from now on.
    /// Receives take what is there, and then fail as `Closed`; so do those that wait, and sends that wait
    /// for room. [`set_tags`](Self::set_tags) opens it again. Nothing happens if the tag is stale or there
    /// is none.
    pub fn close(&self, tag: impl AsTag) {
        loop {
            let Ok(place) = self.place(tag.asked()) else { return };
            let locked = self.names.lock();
            if locked.generation() == place.generation {
                place.ring.close();
                drop(locked);
                return self.wake_all_of(place.slot);
            }
        }
    }

    /// How many messages a queue holds, those included that are just being sent. The answer may be out of
    /// date when it arrives. 0 if the name is new or the tag is stale.
    pub fn len(&self, tag: impl AsTag) -> usize {
        self.existing(tag.asked()).map_or(0, |place| place.ring.len())
    }

    /// Whether a queue holds no messages, as [`len`](Self::len) counts.
    pub fn is_empty(&self, tag: impl AsTag) -> bool {
        self.len(tag) == 0
    }

    /// What each queue has to tell, in the order in which they got their names. Blocks for the lock of the
    /// names, and allocates.
    pub fn stats(&self) -> Vec<QueueStats> {
        let mut locked = self.names.lock();
        let stats = |slot: usize| {
            let ring = &self.rings[slot];
            let (sent, received, full) = ring.statistics();
            // Ordering: Relaxed. Nothing may be concluded from it.
            let parked = ring.parked.load(Relaxed);
            QueueStats {
                name: String::new(),
                len: ring.len(),
                capacity: ring.shape().capacity(),
                sent,
                received,
                full,
                parked_receivers: receivers(parked),
                parked_senders: senders(parked),
                is_closed: ring.is_closed(),
            }
        };
        let used = locked.used();
        (0..used).map(|slot| QueueStats { name: locked.name(slot), ..stats(slot) }).collect()
    }

    /// Makes the queues usable in the child of a `fork`: there are no names, as after `set_tags(&[])`, and
    /// no waiters. Messages are dropped, but for those that other threads were sending or receiving at
    /// the time of the fork, which are leaked.
    ///
    /// To be called after [`pysync_parking_lot::after_fork`]. A wait of the calling thread, in which it has
    /// forked, goes on as after `set_tags`; so does a call that was dropping a message.
    ///
    /// # Panics
    /// If the drop of a message does. The others are dropped nevertheless.
    ///
    /// # Safety
    /// The calling thread is the only one in the process. It is not inside a call of these queues, but for
    /// a wait, or for the drop of a message.
    pub unsafe fn after_fork(&self) {
        // Ordering: Relaxed. There is no other thread.
        self.forks.fetch_add(1, Relaxed);
        // SAFETY: by contract.
        unsafe { self.names.after_fork() };
        let mut discarded = Vec::new();
        self.names.lock().change(&[], false, |generation| {
            for ring in &self.rings {
                // SAFETY: by contract.
                unsafe { ring.reset(term(generation), &mut discarded) };
            }
        });
        drop_each(discarded.into_iter()).unwrap_or_else(|panic| resume_unwind(panic));
    }

    /// Where a tag is that has been used before.
    fn existing(&self, asked: Asked<'_>) -> Option<Place<'_, M>> {
        let found = match asked {
            Asked::Tag(tag) => self.place_of(tag),
            Asked::Name(name) => self.names.find(name),
        };
        found.map(|found| self.place_at(found))
    }
}

/// Drops all, whatever their drops do; the first panic is the result.
fn drop_each<M>(messages: impl Iterator<Item = M>) -> Result<(), Box<dyn Any + Send>> {
    let mut result = Ok(());
    for message in messages {
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(message)));
        if result.is_ok() {
            result = dropped;
        } else {
            // The drop of a payload may panic too.
            mem::forget(dropped);
        }
    }
    result
}

impl<M> Drop for Queues<M> {
    fn drop(&mut self) {
        let messages = self.rings.iter_mut().flat_map(|ring| std::iter::from_fn(|| ring.pop_mut()));
        let dropped = drop_each(messages);
        if let Err(panic) = dropped {
            if thread::panicking() {
                mem::forget(panic);
            } else {
                resume_unwind(panic);
            }
        }
    }
}

impl<M> fmt::Debug for Queues<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lens = self.rings.iter().map(|ring| ring.len()).sum::<usize>();
        f.debug_struct("Queues").field("messages", &lens).finish_non_exhaustive()
    }
}
