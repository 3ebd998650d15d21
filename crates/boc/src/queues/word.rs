//! The words that say where the next message goes and where the next one comes from.

#[cfg(target_has_atomic = "64")]
pub(super) use pysync_platform::primitive::atomic::AtomicU64 as AtomicWord;
#[cfg(not(target_has_atomic = "64"))]
pub(super) use pysync_platform::primitive::atomic::AtomicUsize as AtomicWord;

#[cfg(target_has_atomic = "64")]
pub(super) type Word = u64;
#[cfg(not(target_has_atomic = "64"))]
pub(super) type Word = usize;

/// How many bits of a word are a position: those at the bottom. Those above are the [`term`], and the
/// bit at the top is [`CLOSED`].
///
/// A sender that is preempted between its look at a word and its exchange is safe as long as less than
/// 2⁴⁷ messages are sent meanwhile, or 2²⁸ where there are no atomics of 64 bits, and less than 2¹⁶ or
/// 8 calls of `set_tags` come.
const POSITION_BITS: u32 = if Word::BITS == 64 { 47 } else { 28 };

pub(super) const POSITION: Word = (1 << POSITION_BITS) - 1;

/// Set in the word of the senders: they fail. Also set in a stamp, whose sender has to take its message
/// back: see [`Ring::discard`](super::ring::Ring::discard).
pub(super) const CLOSED: Word = 1 << (Word::BITS - 1);

const TERM: Word = !(POSITION | CLOSED);

/// The part of a word that is other after each call of `set_tags`. A word of another term fails the
/// exchange of a sender or a receiver that has looked its tag up before the call.
#[inline]
pub(super) fn term(generation: u32) -> Word {
    (Word::from(generation as u16) << POSITION_BITS) & TERM
}

/// How positions follow each other.
///
/// A position is the number of a lap, and an index in it. The laps are as long as a power of two that is
/// greater than the capacity; a part of each is left out. So the capacity may be any number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    capacity: Word,
    lap: Word,
}

impl Shape {
    /// The greatest capacity. There are 8 laps at least.
    #[allow(clippy::unnecessary_cast)] // It is one on 32-bit targets.
    pub(super) const MOST: u64 = (POSITION as u64) / 16;

    /// Of a capacity between 1 and [`MOST`](Self::MOST).
    pub(super) fn new(capacity: usize) -> Self {
        let capacity = capacity as Word;
        Self { capacity, lap: (capacity + 1).next_power_of_two() }
    }

    #[inline]
    pub(super) fn capacity(self) -> usize {
        self.capacity as usize
    }

    /// In which cell a position lies.
    #[inline]
    pub(super) fn index(self, position: Word) -> usize {
        (position & (self.lap - 1)) as usize
    }

    /// The position behind this one, or the word with the position behind that of this word.
    #[inline]
    pub(super) fn next(self, word: Word) -> Word {
        if (word & (self.lap - 1)) + 1 < self.capacity {
            word + 1
        } else {
            (word & !POSITION) | self.a_lap_later(self.first_of_lap(word))
        }
    }

    /// The position in the same cell, a lap later.
    #[inline]
    pub(super) fn a_lap_later(self, word: Word) -> Word {
        word.wrapping_add(self.lap) & POSITION
    }

    /// The first position of the lap of this one.
    #[inline]
    fn first_of_lap(self, position: Word) -> Word {
        position & !(self.lap - 1)
    }

    /// How many messages have been sent before this position, if the words have not wrapped around.
    pub(super) fn count(self, position: Word) -> Word {
        let laps = position / self.lap;
        laps.wrapping_mul(self.capacity).wrapping_add(position & (self.lap - 1))
    }

    /// How many positions there are from `from` on, before `to`.
    pub(super) fn distance(self, from: Word, to: Word) -> usize {
        let laps = (to.wrapping_sub(self.index(to) as Word))
            .wrapping_sub(from.wrapping_sub(self.index(from) as Word))
            & POSITION;
        let count = (laps / self.lap * self.capacity)
            .wrapping_add(self.index(to) as Word)
            .wrapping_sub(self.index(from) as Word);
        count as usize
    }
}

#[cfg(all(test, not(any(pysync_loom, pysync_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn positions_fill_each_cell_once_in_a_lap() {
        for capacity in [1, 2, 3, 4, 5, 7, 8, 1000] {
            let shape = Shape::new(capacity);
            let mut position = 0;
            for sent in 0..3 * capacity {
                assert_eq!(shape.index(position), sent % capacity);
                assert_eq!(shape.count(position), sent as Word);
                assert_eq!(shape.distance(0, position), sent);
                position = shape.next(position);
            }
        }
    }

    #[test]
    fn distances_survive_the_wrap_around() {
        for capacity in [1, 2, 3, 16, 1000] {
            let shape = Shape::new(capacity);
            let start = shape.first_of_lap(POSITION);
            let mut position = start;
            for sent in 0..3 * capacity {
                assert_eq!(shape.distance(start, position), sent);
                assert_eq!(position & !POSITION, 0);
                position = shape.next(position);
            }
        }
    }

    #[test]
    fn neither_a_position_nor_a_term_reaches_into_the_other() {
        assert_eq!(term(u32::MAX) & (POSITION | CLOSED), 0);
        assert_eq!(term(u32::MAX) | POSITION | CLOSED, Word::MAX);
        assert_ne!(term(0), term(1));
    }
}
