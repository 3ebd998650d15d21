//! What is done to a ring as a whole: to close it, to begin another term, to count.

use pysync_platform::primitive::atomic::Ordering::{Acquire, Relaxed, Release};

use super::ring::{Popped, Ring};
use super::word::{CLOSED, POSITION, Word};

impl<M> Ring<M> {
    /// Has all sends fail that have not taken a position yet.
    pub(super) fn close(&self) {
        // Ordering: Relaxed. That the names are being set is published by the fence in `Names::change`.
        self.tail.word.fetch_or(CLOSED, Relaxed);
        // Ordering: Relaxed, see `is_closed`.
        self.is_closed.store(true, Relaxed);
    }

    /// Moves all messages of a closed ring `into` a vector. Positions that are taken and not filled yet are
    /// passed by, and their senders take their messages back.
    pub(super) fn discard(&self, into: &mut Vec<M>) {
        loop {
            // Ordering: Acquire, as in `pop_if`. The tail does not change any more.
            let (head, tail) = (self.head.load(Acquire), self.tail.word.load(Acquire));
            let position = head & POSITION;
            if position == tail & POSITION {
                return;
            }
            let cell = self.cells().at(position);
            let next = self.shape().next(head);
            // Ordering: as in `pop_if`.
            let stamp = cell.stamp.load(Acquire);
            if stamp == position + 1 {
                if self.head.compare_exchange(head, next, Release, Relaxed).is_ok() {
                    into.push(self.empty(cell, position));
                }
            } else if stamp == position {
                let passed_by = position | CLOSED;
                // Ordering: Relaxed. It publishes nothing: the sender touches its own message only.
                let marked = cell.stamp.compare_exchange(position, passed_by, Relaxed, Relaxed);
                if marked.is_ok() {
                    // Ordering: Release, as in `pop_if`.
                    let moved = self.head.compare_exchange(head, next, Release, Relaxed);
                    debug_assert!(moved.is_ok(), "a cell that was not filled has been emptied");
                }
            }
        }
    }

    /// Opens a ring that is closed and empty, for another term.
    pub(super) fn reopen(&self, term: Word) {
        // Ordering: Relaxed: a closed tail is the caller's alone.
        let position = self.tail.word.load(Relaxed) & POSITION;
        self.begin_statistics(position);
        // Ordering: Relaxed. The version of the names publishes it to receivers of the new term.
        self.is_closed.store(false, Relaxed);
        // Ordering: Release pairs with the Acquire of the looks in the new term.
        self.head.store(term | position, Release);
        self.tail.word.store(term | position, Release);
    }

    /// Forgets all threads that are at work on the ring, moves its messages `into` a vector, and opens it
    /// for another term. A message that was just being sent or received is leaked.
    ///
    /// # Safety
    /// The calling thread is the only one that uses the ring.
    pub(super) unsafe fn reset(&self, term: Word, into: &mut Vec<M>) {
        // Ordering: Relaxed, in the whole function. There is no other thread.
        self.parked.store(0, Relaxed);
        self.is_closed.store(false, Relaxed);
        let mut position = self.head.load(Relaxed) & POSITION;
        let tail = self.tail.word.load(Relaxed) & POSITION;
        if self.memory.is_allocated() {
            while position != tail {
                let cell = self.cells().at(position);
                if cell.stamp.load(Relaxed) == position + 1 {
                    // SAFETY: filled, and there is no other thread.
                    into.push(unsafe { cell.take() });
                }
                position = self.shape().next(position);
            }
            for _ in 0..self.shape().capacity() {
                self.cells().at(position).stamp.store(position, Relaxed);
                position = self.shape().next(position);
            }
        }
        self.begin_statistics(tail);
        self.head.store(term | tail, Relaxed);
        self.tail.word.store(term | tail, Relaxed);
    }

    /// Takes a message out, for a caller that has the ring for itself.
    pub(super) fn pop_mut(&mut self) -> Option<M> {
        if !self.memory.is_allocated() {
            return None;
        }
        // Ordering: Relaxed. There is no other thread.
        match self.pop(self.head.load(Relaxed) & !POSITION) {
            Popped::Message(message) => Some(message),
            Popped::Empty | Popped::Ended => None,
        }
    }

    /// Counts a send that has found the ring full.
    #[cold]
    pub(super) fn count_full(&self) {
        // Ordering: Relaxed, here and for all statistics. They order nothing.
        self.tail.full.fetch_add(1, Relaxed);
    }

    /// How many messages have been sent in this term, how many of these have been received, and how many
    /// sends have found the ring full.
    pub(super) fn statistics(&self) -> (u64, u64, u64) {
        let (head, tail) = self.positions();
        let before = self.tail.sent_before.load(Relaxed);
        let since = |position| (self.shape().count(position) as usize).wrapping_sub(before) as u64;
        (since(tail), since(head), self.tail.full.load(Relaxed) as u64)
    }

    /// A term begins at `position`.
    fn begin_statistics(&self, position: Word) {
        self.tail.sent_before.store(self.shape().count(position) as usize, Relaxed);
        self.tail.full.store(0, Relaxed);
    }

    /// How many messages there are, those included that are just being filled in.
    pub(super) fn len(&self) -> usize {
        let (head, tail) = self.positions();
        self.shape().distance(head, tail)
    }

    /// Tells of a position at which a receive may take place from now on, whether it has been sent by now.
    pub(super) fn sent_by_now(&self) -> impl Fn(Word) -> bool + '_ {
        let (head, tail) = self.positions();
        let len = self.shape().distance(head, tail);
        move |position| self.shape().distance(head, position) < len
    }

    /// The positions of the receivers and of the senders, at one moment.
    fn positions(&self) -> (Word, Word) {
        loop {
            // Ordering: Acquire, so that the loads come one after the other.
            let tail = self.tail.word.load(Acquire) & POSITION;
            // Ordering: Acquire pairs with the Release in `pop_if`. If the head is further than
            // `tail`, the load below finds another tail.
            let head = self.head.load(Acquire) & POSITION;
            if self.tail.word.load(Relaxed) & POSITION == tail {
                return (head, tail);
            }
        }
    }
}
