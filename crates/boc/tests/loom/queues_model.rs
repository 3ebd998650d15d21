//! What the models of queues share.

use std::time::Duration;

use pysync_boc::{Limits, Queues, ReceiveError, SendError, Tag};
use pysync_testing::model::{Data, Explore};

pub(crate) const SOON: Option<Duration> = Some(Duration::from_millis(5));
pub(crate) const AT_ONCE: Option<Duration> = Some(Duration::ZERO);

/// Two queues, and what became of the messages. Each message is a digit, and each place for messages a
/// number whose digits they are, in their order.
pub(crate) struct Shared {
    pub(crate) queues: Queues<u32>,
    pub(crate) a: Tag,
    pub(crate) b: Tag,
    /// What the threads have received, each its own.
    pub(crate) received: [Data; 2],
    /// What the threads have sent or discarded, each its own.
    pub(crate) sent: [Data; 2],
}

/// Queues of that capacity, which are empty.
pub(crate) fn empty(capacity: usize) -> impl Fn() -> Shared {
    move || {
        let queues = Queues::new(Limits { tags: 2, capacity });
        let (a, b) = (queues.tag("a").unwrap(), queues.tag("b").unwrap());
        let (received, sent) = Default::default();
        // The rings are allocated before the threads start.
        assert_eq!(queues.receive([a, b], AT_ONCE), Err(ReceiveError::Timeout));
        Shared { queues, a, b, received, sent }
    }
}

/// Queues with room for one message, the first of which has it.
pub(crate) fn full() -> Shared {
    let s = empty(1)();
    s.send(0, s.a, 1);
    s
}

/// Three threads, in all orders with at most two preemptions.
pub(crate) fn three(name: &str) -> Explore {
    Explore::new(name).preemptions(2)
}

impl Shared {
    pub(crate) fn got(&self, thread: usize, message: u32) {
        self.received[thread].update(|got| *got = *got * 10 + message);
    }

    pub(crate) fn receive(&self, thread: usize, from: Tag) {
        self.got(thread, self.queues.receive(from, None).unwrap().message);
    }

    /// Receives if there is a message, or if one comes in time.
    pub(crate) fn try_receive(&self, thread: usize, from: Tag, timeout: Option<Duration>) {
        match self.queues.receive(from, timeout) {
            Ok(received) => self.got(thread, received.message),
            Err(error) => assert_eq!(error, ReceiveError::Timeout),
        }
    }

    /// Sends if there is room.
    pub(crate) fn send(&self, thread: usize, to: Tag, message: u32) {
        match self.queues.send(to, message) {
            Ok(()) => self.sent[thread].update(|sent| *sent = *sent * 10 + message),
            Err(SendError::Full(back)) => assert_eq!(back, message),
            Err(other) => panic!("{other}"),
        }
    }

    /// All that has been received, and what is left in the queues.
    pub(crate) fn all(&self) -> u32 {
        let left = [self.a, self.b].map(|tag| {
            let messages = std::iter::from_fn(|| self.queues.receive(tag, AT_ONCE).ok());
            messages.fold(0, |left, received| left * 10 + received.message)
        });
        let [first, second] = self.received.each_ref().map(Data::get);
        [second, left[0], left[1]].into_iter().fold(first, and)
    }

    /// No thread is parked, as the counts have it, and nothing is left.
    pub(crate) fn is_over(&self) {
        for stats in self.queues.stats() {
            let parked = (stats.parked_receivers, stats.parked_senders);
            assert_eq!((parked, stats.len), ((0, 0), 0), "{}", stats.name);
        }
    }
}

/// Appends the digits of `b` to those of `a`.
pub(crate) fn and(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { a * 10_u32.pow(b.ilog10() + 1) + b }
}

/// The same digits in their order, for messages that may come in any.
pub(crate) fn sorted(digits: u32) -> u32 {
    let mut digits = digits.to_string().into_bytes();
    digits.sort_unstable();
    String::from_utf8(digits).unwrap().parse().unwrap()
}

pub(crate) fn receive_one(s: &Shared) {
    s.receive(0, s.a);
}

pub(crate) fn send_one(s: &Shared) {
    s.send(0, s.a, 1);
}
