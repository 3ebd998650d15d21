//! Named queues, and receivers that park on any number of them.

mod cells;
mod error;
mod manage;
mod names;
mod receive;
mod ring;
mod ring_changes;
mod send;
mod stats;
mod tags;
mod trace;
mod wait;
mod word;

use std::panic::{RefUnwindSafe, UnwindSafe};

use pysync_platform::primitive::plain::{AtomicU32, Ordering::Relaxed};

use cells::Memory;
pub use error::{NoTagLeft, ReceiveError, SendError, SendTimedError, SetTagsError};
use names::Names;
use ring::Ring;
pub use stats::QueueStats;
pub use tags::{AsTag, Tag, Tags};
use tags::{Asked, NoPlace};
use word::{Shape, Word};

/// The most tags that there may be.
const MOST_TAGS: usize = 1024;

/// What a [`Queues`] has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many tags there may be at a time, 1 to 1024. 16 by default.
    pub tags: u16,
    /// How many messages each queue may hold, 1 or more. 16,384 by default.
    pub capacity: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { tags: 16, capacity: 16_384 }
    }
}

/// A message, and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<M> {
    /// At which place of the tags asked for its tag stands.
    pub index: usize,
    /// The message.
    pub message: M,
}

/// Queues with names, many senders and many receivers each, and receivers that wait for any number of them
/// at once.
///
/// A name claims a **tag** at its first use, as long as tags are left; or [`set_tags`](Self::set_tags) says
/// which names there are. Behind each tag is a bounded ring, which is allocated when the tag is first used.
/// [`send`](Self::send) puts a message in and never waits; [`send_timed`](Self::send_timed) waits for room.
/// [`receive`](Self::receive) takes one out of the first of its tags that has any, and waits if none has.
///
/// | | |
/// |---|---|
/// | order | first in, first out, for each tag; between tags as the receiver asks |
/// | delivery | each message goes to one receiver, or to one thread that drains or discards it |
/// | waiting | a receiver is parked once, for all its tags, and woken by a message for it |
/// | no lost wake | a receiver that leaves with another message wakes the next for the one it was woken for |
/// | preemption | a thread that is preempted while it sends or receives makes no other thread spin |
///
/// **Blocking**: a thread that waits looks for some microseconds, and then sleeps. What a call may wait for
/// besides is said there. **Signals**: the forms that end in `_in` can be ended by a signal; the others
/// sleep on. No call may be made in a signal handler. **Fork**: [`after_fork`](Self::after_fork).
/// **Panics**: the drop of a message is the only code of others that is called, with no lock held.
///
/// ```
/// use pysync_boc::Queues;
/// use std::thread;
///
/// let queues = Queues::default();
/// thread::scope(|scope| {
///     scope.spawn(|| {
///         while let Ok(received) = queues.receive(["numbers", "more"], None) {
///             println!("{}", received.message);
///         }
///     });
///     queues.send("numbers", 1).unwrap();
///     queues.send("more", 2).unwrap();
///     queues.close("numbers");
///     queues.close("more");
/// });
/// ```
pub struct Queues<M> {
    rings: Box<[Ring<M>]>,
    names: Names,
    /// Whose tags these are.
    id: u32,
    /// How often [`after_fork`](Self::after_fork) has been called.
    forks: AtomicU32,
}

impl<M> UnwindSafe for Queues<M> {}
impl<M> RefUnwindSafe for Queues<M> {}

impl<M: Send> Queues<M> {
    /// Queues without names.
    ///
    /// # Panics
    /// `the number of tags must be between 1 and 1024`, `the capacity must be 1 or more`, or `the capacity
    /// is too great`, if a ring would be greater than the address space.
    #[track_caller]
    pub fn new(limits: Limits) -> Self {
        static IDS: AtomicU32 = AtomicU32::new(0);
        let tags = usize::from(limits.tags);
        assert!((1..=MOST_TAGS).contains(&tags), "the number of tags must be between 1 and 1024");
        assert!(limits.capacity > 0, "the capacity must be 1 or more");
        let is_possible =
            limits.capacity as u64 <= Shape::MOST && Memory::<M>::fits(limits.capacity);
        assert!(is_possible, "the capacity is too great");
        let shape = Shape::new(limits.capacity);
        Self {
            rings: (0..tags).map(|_| Ring::new(shape)).collect(),
            names: Names::new(tags),
            // Ordering: Relaxed. Only the number counts.
            id: Tag::queues_in_tag(IDS.fetch_add(1, Relaxed)),
            forks: AtomicU32::new(0),
        }
    }

    /// The tag of a name, which is claimed for it if it is new. With it calls need not look the name up.
    ///
    /// # Errors
    /// The name is new, and no tag is left for it, or [`set_tags`](Self::set_tags) has said which there are.
    pub fn tag(&self, name: &str) -> Result<Tag, NoTagLeft> {
        let (slot, generation) = self.names.find_or_claim(name)?;
        Ok(Tag::new(self.id, generation, slot))
    }

    /// Where a queue is that a caller asks for.
    #[inline(always)]
    fn place(&self, asked: Asked<'_>) -> Result<Place<'_, M>, NoPlace> {
        self.slot_of(asked).map(|found| self.place_at(found))
    }

    /// The slot of a queue that a caller asks for, and how often the names had been set.
    // Always inlined, as it is known there whether a tag or a name is asked for.
    #[inline(always)]
    fn slot_of(&self, asked: Asked<'_>) -> Result<names::Found, NoPlace> {
        match asked {
            Asked::Tag(tag) => self.place_of(tag).ok_or(NoPlace::Stale),
            Asked::Name(name) => Ok(self.names.find_or_claim(name)?),
        }
    }

    /// The same for a tag, if it is not stale.
    #[inline]
    fn place_of(&self, tag: Tag) -> Option<names::Found> {
        let is_ours = tag.queues() == self.id && self.names.are_of(tag.generation());
        is_ours.then(|| (tag.slot(), tag.generation()))
    }

    #[inline]
    fn place_at(&self, (slot, generation): names::Found) -> Place<'_, M> {
        Place { slot, generation, ring: &self.rings[slot] }
    }

    /// What events call these queues.
    fn addr(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

/// Where a queue is.
struct Place<'a, M> {
    ring: &'a Ring<M>,
    slot: usize,
    /// How often the names had been set when it was looked up.
    generation: u32,
}

impl<M> Clone for Place<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Place<'_, M> {}

impl<M> Place<'_, M> {
    #[inline]
    fn term(&self) -> Word {
        word::term(self.generation)
    }
}

/// With the default [`Limits`].
impl<M: Send> Default for Queues<M> {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}
