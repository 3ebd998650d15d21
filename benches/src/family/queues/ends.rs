//! The contenders: what messages go into, and what they come out of.

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use pysync_boc::{Limits, Queues, Tag};
use pysync_parking_lot::{park, unpark};

use crate::runner::{Entrant, Pass, Sample};

/// The room in each queue: ours by default.
const CAPACITY: usize = 16_384;

/// A deadline that no run lives to see.
pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// One or several queues. They are closed once all of its senders or all of its receivers are dropped, at
/// the latest.
pub(super) trait Contender {
    const NAME: &'static str;

    type Sender: Sender;
    type Receiver: Receiver;

    /// So many queues, and one end of each kind, of which there can be clones.
    fn open(tags: usize) -> (Self::Sender, Self::Receiver);
}

pub(super) trait Sender: Send + Clone {
    /// Waits for room; false once the queues are closed.
    fn send(&mut self, tag: usize, message: u64) -> bool;
}

pub(super) trait Receiver: Send + Clone {
    /// From any of the queues; `None` at the deadline, or once they are closed.
    fn receive(&mut self, timeout: Option<Duration>) -> Option<u64>;
}

/// Ours.
#[derive(Clone)]
pub(super) struct Ours(Arc<Queues<u64>>, [Tag; 16], usize);

/// The same with names instead of tags.
pub(super) struct ByName;

#[derive(Clone)]
pub(super) struct NamedEnd(Arc<Queues<u64>>, usize);

const NAMES: [&str; 16] =
    ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"];

fn queues() -> Arc<Queues<u64>> {
    Arc::new(Queues::new(Limits { tags: 16, capacity: CAPACITY }))
}

impl Contender for Ours {
    const NAME: &'static str = "pysync";

    type Sender = Self;
    type Receiver = Self;

    fn open(tags: usize) -> (Self, Self) {
        let queues = queues();
        let all = NAMES.map(|name| queues.tag(name).expect("there are as many as names"));
        let ends = Self(queues, all, tags);
        (ends.clone(), ends)
    }
}

impl Sender for Ours {
    #[inline(always)]
    fn send(&mut self, tag: usize, message: u64) -> bool {
        self.0.send_timed(self.1[tag], message, None).is_ok()
    }
}

impl Receiver for Ours {
    #[inline(always)]
    fn receive(&mut self, timeout: Option<Duration>) -> Option<u64> {
        let received = match self.2 {
            1 => self.0.receive(self.1[0], timeout),
            tags => self.0.receive(&self.1[..tags], timeout),
        };
        Some(received.ok()?.message)
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.1.iter().for_each(|tag| self.0.close(tag));
    }
}

impl Contender for ByName {
    const NAME: &'static str = "pysync names";

    type Sender = NamedEnd;
    type Receiver = NamedEnd;

    fn open(tags: usize) -> (NamedEnd, NamedEnd) {
        let end = NamedEnd(queues(), tags);
        (end.clone(), end)
    }
}

impl Sender for NamedEnd {
    #[inline(always)]
    fn send(&mut self, tag: usize, message: u64) -> bool {
        self.0.send_timed(NAMES[tag], message, None).is_ok()
    }
}

impl Receiver for NamedEnd {
    #[inline(always)]
    fn receive(&mut self, timeout: Option<Duration>) -> Option<u64> {
        let received = match self.1 {
            1 => self.0.receive(NAMES[0], timeout),
            tags => self.0.receive(&NAMES[..tags], timeout),
        };
        Some(received.ok()?.message)
    }
}

impl Drop for NamedEnd {
    fn drop(&mut self) {
        NAMES.iter().for_each(|name| self.0.close(*name));
    }
}

/// One park and one unpark of ours, around a single message: the least that a wake takes.
pub(super) struct Park;

#[derive(Clone, Default)]
pub(super) struct ParkEnd(Arc<(AtomicU32, AtomicU64)>);

impl Contender for Park {
    const NAME: &'static str = "park";

    type Sender = ParkEnd;
    type Receiver = ParkEnd;

    fn open(_tags: usize) -> (ParkEnd, ParkEnd) {
        let end = ParkEnd::default();
        (end.clone(), end)
    }
}

impl Sender for ParkEnd {
    fn send(&mut self, _tag: usize, message: u64) -> bool {
        let (word, sent) = &*self.0;
        sent.store(message, Ordering::Relaxed);
        word.store(1, Ordering::Release);
        unpark(ptr::from_ref(word), |_| {});
        true
    }
}

impl Receiver for ParkEnd {
    fn receive(&mut self, timeout: Option<Duration>) -> Option<u64> {
        let (word, sent) = &*self.0;
        while word.compare_exchange(1, 0, Ordering::Acquire, Ordering::Relaxed).is_err() {
            park(word, 0, timeout, ptr::null_mut(), false);
        }
        // As a closed channel does.
        Some(sent.load(Ordering::Relaxed)).filter(|&message| message != u64::MAX)
    }
}

impl Drop for ParkEnd {
    fn drop(&mut self) {
        self.send(0, u64::MAX);
    }
}

/// Whether there are as many senders as tags is all the same: each holds one of each channel.
macro_rules! sender {
    ($sender:ty) => {
        impl Sender for Vec<$sender> {
            #[inline(always)]
            fn send(&mut self, tag: usize, message: u64) -> bool {
                self[tag].send(message).is_ok()
            }
        }
    };
}
sender!(crossbeam_channel::Sender<u64>);
sender!(flume::Sender<u64>);
sender!(kanal::Sender<u64>);

/// crossbeam's channels, with one `Select` for all receives: what that costs to make is not counted.
pub(super) struct Crossbeam {
    // Before the receivers, which it borrows.
    select: crossbeam_channel::Select<'static>,
    receivers: Vec<crossbeam_channel::Receiver<u64>>,
}

impl Crossbeam {
    fn new(receivers: Vec<crossbeam_channel::Receiver<u64>>) -> Self {
        let mut select = crossbeam_channel::Select::new();
        for receiver in &receivers {
            // SAFETY: neither the vector nor what is in it is changed or moved before the `Select` is
            // dropped; the vector's memory stays where it is when its owner moves.
            select.recv(unsafe { &*ptr::from_ref(receiver) });
        }
        Self { select, receivers }
    }
}

impl Clone for Crossbeam {
    fn clone(&self) -> Self {
        Self::new(self.receivers.clone())
    }
}

impl Contender for Crossbeam {
    const NAME: &'static str = "crossbeam";

    type Sender = Vec<crossbeam_channel::Sender<u64>>;
    type Receiver = Self;

    fn open(tags: usize) -> (Self::Sender, Self) {
        let (senders, receivers) =
            (0..tags).map(|_| crossbeam_channel::bounded(CAPACITY)).collect();
        (senders, Self::new(receivers))
    }
}

impl Receiver for Crossbeam {
    #[inline(always)]
    fn receive(&mut self, timeout: Option<Duration>) -> Option<u64> {
        match (&self.receivers[..], timeout) {
            ([one], None) => one.recv().ok(),
            ([one], Some(timeout)) => one.recv_timeout(timeout).ok(),
            (receivers, timeout) => {
                let operation = match timeout {
                    None => self.select.select(),
                    Some(timeout) => self.select.select_timeout(timeout).ok()?,
                };
                let receiver = &receivers[operation.index()];
                operation.recv(receiver).ok()
            }
        }
    }
}

/// crossbeam's channels with its macro, for four of them.
#[derive(Clone)]
pub(super) struct Select4(Vec<crossbeam_channel::Receiver<u64>>);

impl Contender for Select4 {
    const NAME: &'static str = "cb select!";

    type Sender = Vec<crossbeam_channel::Sender<u64>>;
    type Receiver = Self;

    fn open(tags: usize) -> (Self::Sender, Self) {
        assert_eq!(tags, 4, "the macro has as many arms");
        let (senders, receivers) =
            (0..tags).map(|_| crossbeam_channel::bounded(CAPACITY)).collect();
        (senders, Self(receivers))
    }
}

impl Receiver for Select4 {
    #[inline(always)]
    fn receive(&mut self, timeout: Option<Duration>) -> Option<u64> {
        let [a, b, c, d] = &self.0[..] else { unreachable!("opened with four") };
        let received = if let Some(timeout) = timeout {
            crossbeam_channel::select! {
                recv(a) -> received => received,
                recv(b) -> received => received,
                recv(c) -> received => received,
                recv(d) -> received => received,
                default(timeout) => return None,
            }
        } else {
            crossbeam_channel::select! {
                recv(a) -> received => received,
                recv(b) -> received => received,
                recv(c) -> received => received,
                recv(d) -> received => received,
            }
        };
        received.ok()
    }
}

/// flume's channels, with a `Selector`, which is good for one receive.
pub(super) struct Flume;

impl Contender for Flume {
    const NAME: &'static str = "flume";

    type Sender = Vec<flume::Sender<u64>>;
    type Receiver = Vec<flume::Receiver<u64>>;

    fn open(tags: usize) -> (Self::Sender, Self::Receiver) {
        (0..tags).map(|_| flume::bounded(CAPACITY)).collect()
    }
}

impl Receiver for Vec<flume::Receiver<u64>> {
    #[inline(always)]
    fn receive(&mut self, timeout: Option<Duration>) -> Option<u64> {
        match (&self[..], timeout) {
            ([one], None) => one.recv().ok(),
            ([one], Some(timeout)) => one.recv_timeout(timeout).ok(),
            (receivers, timeout) => {
                let selector =
                    receivers.iter().fold(flume::Selector::new(), |selector, receiver| {
                        selector.recv(receiver, |received| received.ok())
                    });
                match timeout {
                    None => selector.wait(),
                    Some(timeout) => selector.wait_timeout(timeout).ok()?,
                }
            }
        }
    }
}

/// kanal's channel. There is no way to receive from several.
pub(super) struct Kanal;

impl Contender for Kanal {
    const NAME: &'static str = "kanal";

    type Sender = Vec<kanal::Sender<u64>>;
    type Receiver = kanal::Receiver<u64>;

    fn open(tags: usize) -> (Self::Sender, Self::Receiver) {
        assert_eq!(tags, 1, "it has no select");
        let (sender, receiver) = kanal::bounded(CAPACITY);
        (vec![sender], receiver)
    }
}

impl Receiver for kanal::Receiver<u64> {
    #[inline(always)]
    fn receive(&mut self, timeout: Option<Duration>) -> Option<u64> {
        match timeout {
            None => self.recv().ok(),
            Some(timeout) => self.recv_timeout(timeout).ok(),
        }
    }
}

pub(super) fn entrant<C: Contender>(measure: impl Fn(Pass) -> Sample + 'static) -> Entrant {
    Entrant::new(C::NAME, measure)
}

/// The channels, and ours, that can do with so many tags; each calls a function that is generic over the
/// contender.
macro_rules! entrants {
    ($measure:ident($tags:expr, $case:expr)) => {{
        use $crate::family::queues::ends::*;
        let (tags, case) = ($tags, $case);
        let mut entrants: Vec<$crate::runner::Entrant> =
            vec![entrant::<Crossbeam>(move |pass| $measure::<Crossbeam>(tags, case, pass))];
        if tags == 4 {
            entrants.push(entrant::<Select4>(move |pass| $measure::<Select4>(tags, case, pass)));
        }
        entrants.push(entrant::<Flume>(move |pass| $measure::<Flume>(tags, case, pass)));
        if tags == 1 {
            entrants.push(entrant::<Kanal>(move |pass| $measure::<Kanal>(tags, case, pass)));
        }
        entrants.push(entrant::<Ours>(move |pass| $measure::<Ours>(tags, case, pass)));
        entrants.push(entrant::<ByName>(move |pass| $measure::<ByName>(tags, case, pass)));
        entrants
    }};
}
pub(super) use entrants;
