//! A bounded queue with many senders and many receivers: to send, to receive, and to look before a wait.
//! What is done to it as a whole is in [`ring_changes`](super::ring_changes).

use pysync_platform::primitive::atomic::{
    AtomicBool, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use pysync_platform::primitive::plain;

use super::cells::{Cell, Cells, Memory};
use super::word::{AtomicWord, CLOSED, POSITION, Shape, Word};
use crate::padded::Padded;

/// The queue of one tag.
///
/// Each cell has a stamp, which says what comes next there:
///
/// | stamp | means |
/// |---|---|
/// | position `p` | the sender that takes `p` fills the cell |
/// | `p + 1` | the receiver that takes `p` empties it, and sets the stamp to the position a lap later |
/// | `p` and `CLOSED` | the sender that has taken `p` takes its message back |
///
/// A sender takes the position in `tail`, by an exchange, if the cell there is empty. A receiver takes the
/// one in `head` if the cell is filled. A thread that is preempted between its exchange and its stamp keeps
/// others from the cell, and receivers from those behind it. No thread spins on it: to the others the ring
/// is full, or empty, and the stamp wakes those that wait.
///
/// # Waiting
/// A thread sets a stamp by a swap, and then looks at `parked`, which counts the threads that wait. A
/// thread that is to wait counts itself first, and then looks at the stamp by a read-modify-write too. One
/// of the two comes first in the order of the stamp's changes. Either the waiter finds the new stamp; or
/// the swap finds the waiter's look, and then the load finds the waiter counted. So there is no fence.
pub(super) struct Ring<M> {
    pub(super) memory: Memory<M>,
    /// How many receivers and senders are parked.
    pub(super) parked: AtomicUsize,
    /// A hint that the bit in `tail` is set, which spares receivers the senders' cache line.
    pub(super) is_closed: AtomicBool,
    pub(super) tail: Padded<Tail>,
    pub(super) head: Padded<AtomicWord>,
}

/// What the senders write.
pub(super) struct Tail {
    pub(super) word: AtomicWord,
    /// How many sends have found the ring full.
    pub(super) full: plain::AtomicUsize,
    /// How many messages had been sent before the term.
    pub(super) sent_before: plain::AtomicUsize,
}

/// What a parked receiver adds to [`Ring::parked`].
pub(super) const RECEIVER: usize = 1;
/// What a parked sender adds to [`Ring::parked`]. What is below counts the receivers.
pub(super) const SENDER: usize = 1 << (usize::BITS / 2);

/// How many receivers are parked.
pub(super) fn receivers(parked: usize) -> usize {
    parked & (SENDER - 1)
}

/// How many senders are parked.
pub(super) fn senders(parked: usize) -> usize {
    parked / SENDER
}

/// Why a message has not been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// There is no room.
    Full,
    /// The ring is closed, or of another term.
    Ended,
    /// The same, and the cell that the sender had taken has become free.
    Discarded,
}

/// What a receiver has found.
pub(super) enum Popped<M> {
    Message(M),
    Empty,
    /// The ring is of another term.
    Ended,
}

/// What a thread that is about to wait has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// There is a message, or room.
    Ready,
    /// There is none.
    NotYet,
    /// There will be no message: the ring is closed and empty.
    Closed,
    /// The ring is of another term, or closed for a sender.
    Ended,
}

/// The position in a word of this term; `None` if the word is of another one, or closed.
#[inline]
fn position_in(word: Word, term: Word) -> Option<Word> {
    let position = word ^ term;
    (position <= POSITION).then_some(position)
}

impl<M> Ring<M> {
    pub(super) fn new(shape: Shape) -> Self {
        Self {
            memory: Memory::new(shape),
            parked: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
            tail: Padded(Tail {
                word: AtomicWord::new(0),
                full: plain::AtomicUsize::new(0),
                sent_before: plain::AtomicUsize::new(0),
            }),
            head: Padded(AtomicWord::new(0)),
        }
    }

    #[inline]
    pub(super) fn shape(&self) -> Shape {
        self.memory.shape()
    }

    #[inline]
    pub(super) fn cells(&self) -> Cells<'_, M> {
        self.memory.cells()
    }

    /// Sends a message, if there is room.
    ///
    /// After `Ok` and after [`Refused::Discarded`] the caller looks at `parked`.
    #[inline]
    pub(super) fn push(&self, term: Word, message: M) -> Result<(), (Refused, M)> {
        let (shape, cells) = (self.shape(), self.cells());
        // Ordering: Acquire pairs with the Release in `reopen`, and with the fence before `close` if the
        // names are being set. So a sender that fails finds the names changed too.
        let mut tail = self.tail.word.load(Acquire);
        let (cell, position) = loop {
            let Some(position) = position_in(tail, term) else {
                return Err((Refused::Ended, message));
            };
            let cell = cells.at(position);
            // Ordering: Acquire pairs with the Release of the receiver that has emptied the cell.
            if cell.stamp.load(Acquire) == position {
                let next = shape.next(tail);
                // Ordering: Relaxed on success: the stamp of the cell orders the accesses to its message.
                // Acquire on failure, as for the load above.
                match self.tail.word.compare_exchange_weak(tail, next, Relaxed, Acquire) {
                    Ok(_) => break (cell, position),
                    Err(actual) => tail = actual,
                }
            } else {
                // Ordering: Acquire, as above. If the stamp is of a later lap, its Acquire lets this load
                // find a later position.
                let actual = self.tail.word.load(Acquire);
                if actual == tail {
                    return Err((Refused::Full, message));
                }
                tail = actual;
            }
        };
        // SAFETY: this thread has taken the position, and the stamp has said that the cell is empty.
        unsafe { cell.fill(message) };
        // Ordering: Release pairs with the Acquire of the receiver. Acquire pairs with the Release of a
        // receiver that has looked before its wait: see the type.
        let stamp = cell.stamp.swap(position + 1, AcqRel);
        if stamp == position { Ok(()) } else { Err((Refused::Discarded, self.take_back(position))) }
    }

    /// Takes a message back that this thread has put into a cell which
    /// [`discard`](Self::discard) has passed by.
    #[cold]
    fn take_back(&self, position: Word) -> M {
        self.empty(self.cells().at(position), position)
    }

    /// Receives a message, if there is one.
    ///
    /// After [`Popped::Message`] the caller looks at `parked`.
    #[inline]
    pub(super) fn pop(&self, term: Word) -> Popped<M> {
        self.pop_if(term, |_| true)
    }

    /// [`pop`](Self::pop), if `wanted` says so of the position of the message. If not, it is as if there
    /// were none.
    #[inline]
    pub(super) fn pop_if(&self, term: Word, wanted: impl Fn(Word) -> bool) -> Popped<M> {
        let (shape, cells) = (self.shape(), self.cells());
        // Ordering: Acquire, as in `push`.
        let mut head = self.head.load(Acquire);
        loop {
            let Some(position) = position_in(head, term) else { return Popped::Ended };
            let cell = cells.at(position);
            // Ordering: Acquire pairs with the Release of the sender that has filled the cell.
            if cell.stamp.load(Acquire) == position + 1 {
                if !wanted(position) {
                    return Popped::Empty;
                }
                let next = shape.next(head);
                // Ordering: Release on success pairs with the Acquire in `positions`, which so finds the
                // tail behind this head. Acquire on failure, as in `push`.
                match self.head.compare_exchange_weak(head, next, Release, Acquire) {
                    Ok(_) => return Popped::Message(self.empty(cell, position)),
                    Err(actual) => head = actual,
                }
            } else {
                // Ordering: Acquire, as in `push`.
                let actual = self.head.load(Acquire);
                if actual == head {
                    return Popped::Empty;
                }
                head = actual;
            }
        }
    }

    /// Takes the message out of a cell that is filled, and whose position is the caller's.
    #[inline]
    pub(super) fn empty(&self, cell: &Cell<M>, position: Word) -> M {
        // SAFETY: the callers have taken the position of a filled cell.
        let message = unsafe { cell.take() };
        // Ordering: Release pairs with the Acquire of the sender a lap later. Acquire pairs with the
        // Release of a sender that has looked before its wait: see the type.
        cell.stamp.swap(self.shape().a_lap_later(position), AcqRel);
        message
    }

    /// Whether a receive would find a message, or another term. A glance, by which nothing is decided.
    ///
    /// It heeds nothing that may stay as it is. Otherwise a receiver would glance again and again, and not
    /// sleep.
    #[inline]
    pub(super) fn may_have_message(&self, term: Word) -> bool {
        // Ordering: Relaxed to look; `pop` decides.
        let position = position_in(self.head.load(Relaxed), term);
        position.is_none_or(|at| self.cells().at(at).stamp.load(Relaxed) == at + 1)
    }

    /// Whether a send would find room, or its end. A glance, by which nothing is decided.
    #[inline]
    pub(super) fn may_have_room(&self, term: Word) -> bool {
        // Ordering: Relaxed to look; `push` decides.
        let position = position_in(self.tail.word.load(Relaxed), term);
        position.is_none_or(|at| self.cells().at(at).stamp.load(Relaxed) == at)
    }

    /// Looks for a message. If there is none, the next one finds the caller counted, which has counted
    /// itself before.
    pub(super) fn look_for_message(&self, term: Word) -> Look {
        // Ordering: Acquire, as in `pop_if`.
        let mut head = self.head.load(Acquire);
        loop {
            let Some(position) = position_in(head, term) else { return Look::Ended };
            // Ordering: Release pairs with the Acquire of the swap that changes the stamp, and Acquire with
            // its Release: see the type.
            if self.cells().at(position).stamp.fetch_or(0, AcqRel) == position + 1 {
                return Look::Ready;
            }
            // Ordering: as in `pop_if`.
            let actual = self.head.load(Acquire);
            if actual == head {
                let is_over = self.is_closed() && self.is_closed_at(head);
                return if is_over { Look::Closed } else { Look::NotYet };
            }
            head = actual;
        }
    }

    /// Looks for room. If there is none, the next room finds the caller counted, which has counted itself
    /// before.
    pub(super) fn look_for_room(&self, term: Word) -> Look {
        // Ordering: Acquire, as in `push`.
        let mut tail = self.tail.word.load(Acquire);
        loop {
            let Some(position) = position_in(tail, term) else { return Look::Ended };
            // Ordering: as in `look_for_message`.
            if self.cells().at(position).stamp.fetch_or(0, AcqRel) == position {
                return Look::Ready;
            }
            // Ordering: as in `push`.
            let actual = self.tail.word.load(Acquire);
            if actual == tail {
                return Look::NotYet;
            }
            tail = actual;
        }
    }

    /// Whether the ring is closed, or was a moment ago.
    #[inline]
    pub(super) fn is_closed(&self) -> bool {
        // Ordering: Relaxed. A receiver that is to wait either is woken by the thread that closes the ring,
        // or has got the lock of the bucket after it, and so finds the hint and the bit.
        self.is_closed.load(Relaxed)
    }

    /// Whether the ring is closed and empty, for a receiver that has found it empty.
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        self.is_closed() && self.is_closed_at(self.head.load(Acquire))
    }

    /// Whether the ring is closed, and ends at `head`, the word of the receivers.
    fn is_closed_at(&self, head: Word) -> bool {
        // Ordering: Acquire, as in `push`.
        self.tail.word.load(Acquire) == head | CLOSED
    }

    /// The term of the ring.
    pub(super) fn term(&self) -> Word {
        // Ordering: Acquire, as in `push`.
        self.tail.word.load(Acquire) & !(POSITION | CLOSED)
    }
}
