//! How a caller names tags.

use std::fmt;

use super::{MOST_TAGS, NoTagLeft, ReceiveError};

/// A queue of one [`Queues`](super::Queues), known by a number instead of its name, so that a call
/// looks no name up. [`Queues::tag`](super::Queues::tag) makes it. It is of no use once
/// [`set_tags`](super::Queues::set_tags) has been called: calls with it fail as `Stale` then. Calls of
/// other queues fail with it in the same way.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag {
    /// How often `set_tags` had been called, 32 bits; which [`Queues`](super::Queues) has made it, as far as
    /// 22 bits can tell; and the slot, 10 bits. In one word it is passed in a register.
    bits: u64,
}

const SLOT_BITS: u32 = MOST_TAGS.ilog2();
const QUEUES_BITS: u32 = 32 - SLOT_BITS;

impl Tag {
    /// What of the number of a [`Queues`](super::Queues) is in its tags.
    pub(super) const fn queues_in_tag(id: u32) -> u32 {
        id & ((1 << QUEUES_BITS) - 1)
    }

    pub(super) fn new(queues: u32, generation: u32, slot: usize) -> Self {
        debug_assert!(slot < MOST_TAGS && queues == Self::queues_in_tag(queues));
        let low = (queues << SLOT_BITS) | slot as u32;
        Self { bits: (u64::from(generation) << 32) | u64::from(low) }
    }

    #[inline]
    pub(super) fn generation(self) -> u32 {
        (self.bits >> 32) as u32
    }

    #[inline]
    pub(super) fn queues(self) -> u32 {
        self.bits as u32 >> SLOT_BITS
    }

    #[inline]
    pub(super) fn slot(self) -> usize {
        self.bits as usize & (MOST_TAGS - 1)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (slot, generation) = (self.slot(), self.generation());
        f.debug_struct("Tag").field("slot", &slot).field("generation", &generation).finish()
    }
}

/// What a caller asks for.
#[derive(Clone, Copy, Debug)]
pub enum Asked<'a> {
    Tag(Tag),
    Name(&'a str),
}

/// Why a tag is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoPlace {
    Stale,
    NoTagLeft,
}

impl From<NoTagLeft> for NoPlace {
    fn from(_: NoTagLeft) -> Self {
        Self::NoTagLeft
    }
}

impl From<NoPlace> for ReceiveError {
    fn from(none: NoPlace) -> Self {
        match none {
            NoPlace::Stale => Self::Stale,
            NoPlace::NoTagLeft => Self::NoTagLeft,
        }
    }
}

pub(crate) mod sealed {
    use super::Asked;

    pub trait AsTag {
        fn asked(&self) -> Asked<'_>;
    }

    pub trait Tags {
        fn count(&self) -> usize;

        /// The one at `index`, which is less than the count.
        fn at(&self, index: usize) -> Asked<'_>;
    }
}

/// One queue: a [`Tag`], or a name, as `&str`, `&String` or [`String`]; or a reference to such a one.
/// Sealed.
///
/// A call with a name looks the name up, and claims a tag for it if it is new and a tag is left. A
/// call that waits looks the name up again if [`set_tags`](super::Queues::set_tags) is called
/// meanwhile.
pub trait AsTag: sealed::AsTag {}

/// Queues to receive from: one [`AsTag`], or an array, a slice or a [`Vec`] of them, by reference where
/// it has no size or owns memory. Sealed. The same queue may be named more than once.
pub trait Tags: sealed::Tags {}

impl<T: sealed::AsTag + ?Sized> AsTag for T {}
impl<T: sealed::Tags + ?Sized> Tags for T {}

impl sealed::AsTag for Tag {
    #[inline(always)]
    fn asked(&self) -> Asked<'_> {
        Asked::Tag(*self)
    }
}

impl sealed::AsTag for str {
    #[inline(always)]
    fn asked(&self) -> Asked<'_> {
        Asked::Name(self)
    }
}

impl sealed::AsTag for String {
    #[inline(always)]
    fn asked(&self) -> Asked<'_> {
        Asked::Name(self)
    }
}

impl<T: sealed::AsTag + ?Sized> sealed::AsTag for &T {
    #[inline(always)]
    fn asked(&self) -> Asked<'_> {
        (**self).asked()
    }
}

impl<T: sealed::AsTag> sealed::Tags for T {
    #[inline(always)]
    fn count(&self) -> usize {
        1
    }

    #[inline(always)]
    fn at(&self, _index: usize) -> Asked<'_> {
        self.asked()
    }
}

macro_rules! many {
    ($([$($generics:tt)*] $many:ty;)*) => {$(
        impl<T: sealed::AsTag, $($generics)*> sealed::Tags for $many {
            #[inline]
            fn count(&self) -> usize {
                self.len()
            }

            #[inline]
            fn at(&self, index: usize) -> Asked<'_> {
                self[index].asked()
            }
        }
    )*};
}

many! {
    [] &[T];
    [] &Vec<T>;
    [const N: usize] [T; N];
    [const N: usize] &[T; N];
}
