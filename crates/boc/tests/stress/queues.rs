//! Many senders and receivers on overlapping tags, under oversubscription, with plain data in the messages
//! for ThreadSanitizer and AddressSanitizer. What is sent is received, drained or discarded, each message
//! once, and those of one sender in order.
//!
//! Each test takes a second, or as many as `PYSYNC_STRESS_SECONDS` in the environment says:
//!
//! ```text
//! PYSYNC_STRESS_SECONDS=60 cargo test --release -p pysync-boc --test stress -- --nocapture
//! ```

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::thread;
use std::time::Duration;

use crate::queues_common::*;
use pysync_boc::{Limits, Queues, ReceiveError, Received, SendError, SendTimedError};
use pysync_testing::{StressTime, random, report_stress, together, wait_until};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// The sets of tags that receivers ask for: each tag is in several.
const SETS: [&[usize]; 8] =
    [&[0], &[1, 0], &[0, 1, 2, 3], &[3, 2], &[2, 3, 1], &[3], &[1, 2], &[3, 2, 1, 0]];

/// The numbers of one sender's messages to one tag grow.
struct Message {
    sender: usize,
    tag: usize,
    number: usize,
    /// Of the message alone.
    counted: Counted,
}

/// What one receiver has got: the last number of each sender and tag.
#[derive(Default)]
struct Got {
    last: [[usize; NAMES.len()]; 16],
    count: usize,
    many: Vec<Message>,
}

impl Got {
    fn take(&mut self, message: Message, expected_tag: Option<usize>) {
        let Message { sender, tag, number, counted } = message;
        assert!(expected_tag.is_none_or(|expected| expected == tag), "from another tag");
        assert_eq!(counted.number, number, "torn");
        let last = &mut self.last[sender][tag];
        assert!(*last < number, "{number} of sender {sender} to {tag} after {last}");
        *last = number;
        self.count += 1;
    }

    /// Receives once, in one of the ways that there are.
    fn receive(
        &mut self,
        queues: &Queues<Message>,
        set: &[usize],
        timeout: Option<Duration>,
    ) -> Result<(), ReceiveError> {
        let mut names = [""; NAMES.len()];
        let names = &mut names[..set.len()];
        names.iter_mut().zip(set).for_each(|(name, &tag)| *name = NAMES[tag]);
        let names = &*names;
        let received = match random(4) {
            0 => {
                let mut many = std::mem::take(&mut self.many);
                let max = 1 + random(4);
                let received = queues.receive_many(names, &mut many, max, timeout);
                assert!(
                    many.len() <= max
                        && received.is_ok_and(|it| it == many.len()) != many.is_empty()
                );
                many.drain(..).for_each(|message| self.take(message, None));
                self.many = many;
                return received.map(|_| ());
            }
            1 => queues.receive_ordered(names, timeout),
            _ => queues.receive(names, timeout),
        };
        received.map(|received| self.take(received.message, Some(set[received.index])))
    }
}

/// None, one that a message can come before or after, or one that has passed.
fn any_timeout() -> Option<Duration> {
    match random(4) {
        0 => HOUR,
        1 => NOW,
        _ => Some(Duration::from_nanos(random(200_000) as u64)),
    }
}

/// The numbers of one sender.
struct Sending<'a> {
    queues: &'a Queues<Message>,
    live: &'a Live,
    sender: usize,
    numbers: [usize; NAMES.len()],
}

impl<'a> Sending<'a> {
    fn new(queues: &'a Queues<Message>, live: &'a Live, sender: usize) -> Self {
        Self { queues, live, sender, numbers: [0; NAMES.len()] }
    }

    /// Sends once, in one of the ways that there are; whether it was sent.
    fn send(&mut self, tag: usize, timeout: Option<Duration>) -> bool {
        self.numbers[tag] += 1;
        let number = self.numbers[tag];
        let counted = self.live.value(number);
        let message = Message { sender: self.sender, tag, number, counted };
        let back = if timeout == NOW && random(2) == 0 {
            match self.queues.send(NAMES[tag], message) {
                Ok(()) => return true,
                Err(SendError::Full(message) | SendError::Closed(message)) => message,
                Err(error) => panic!("{error}"),
            }
        } else {
            match self.queues.send_timed(NAMES[tag], message, timeout) {
                Ok(()) => return true,
                Err(SendTimedError::Timeout(message)) if timeout.is_some() => message,
                Err(SendTimedError::Closed(message)) => message,
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(
            (back.sender, back.tag, back.number, back.counted.number),
            (self.sender, tag, number, number)
        );
        false
    }
}

/// Receivers wait for ever, or leave when their time is up; no message comes later that would heal a wake
/// that was lost. Each round ends when all messages of it are there.
#[test]
fn every_message_of_a_round_is_received() {
    const SENDERS: usize = 4;
    const RECEIVERS: usize = 6;
    const EACH: usize = 250;

    let (time, live, mut rounds) = (StressTime::begin(), Live::default(), 0);
    let timeouts = AtomicUsize::new(0);
    while !time.is_up() {
        let capacity = [1, 2, 3, 64][rounds % 4];
        let queues = Queues::new(Limits { tags: 4, capacity });
        let received = AtomicUsize::new(0);
        together(SENDERS + RECEIVERS, |id| {
            if id < SENDERS {
                let mut sending = Sending::new(&queues, &live, id);
                let mut sent = 0;
                while sent < EACH {
                    let timeout = [None, any_timeout()][random(2)];
                    sent += usize::from(sending.send(random(NAMES.len()), timeout));
                    // Now and then all must be there before the next comes.
                    if random(32) == 0 {
                        wait_until(|| NAMES.iter().all(|name| queues.is_empty(*name)));
                    }
                }
                return;
            }
            let mut got = Got::default();
            // The first two have every tag, and wait for ever.
            let patient = id < SENDERS + 2;
            loop {
                let before = got.count;
                let set = if patient { SETS[2 + 5 * (id % 2)] } else { SETS[random(SETS.len())] };
                let timeout = if patient || random(3) == 0 { None } else { any_timeout() };
                let result = got.receive(&queues, set, timeout);
                let total = received.fetch_add(got.count - before, SeqCst) + got.count - before;
                if got.count > before && total == SENDERS * EACH {
                    // For those that wait for another.
                    NAMES.iter().for_each(|name| queues.close(*name));
                }
                match result {
                    Ok(()) => {}
                    Err(ReceiveError::Timeout) => _ = timeouts.fetch_add(1, Relaxed),
                    Err(error) => break assert_eq!(error, ReceiveError::Closed),
                }
            }
        });
        assert_eq!(received.into_inner(), SENDERS * EACH);
        for queue in queues.stats() {
            assert_eq!((queue.len, queue.parked_receivers, queue.parked_senders), (0, 0, 0));
            assert_eq!(queue.sent, queue.received);
        }
        assert_eq!(live.count(), 0);
        rounds += 1;
    }
    let (messages, timeouts) = (rounds * SENDERS * EACH, timeouts.into_inner());
    report_stress(|| format!("{messages} messages, {timeouts} timeouts"));
}

/// The same while tags are swapped, drained and closed at random. Every message that a sender was told is
/// sent was received, or counted by a drain or a swap.
#[test]
fn what_is_sent_is_received_drained_or_discarded() {
    const SENDERS: usize = 3;
    const RECEIVERS: usize = 4;

    let (time, live) = (StressTime::begin(), Live::default());
    let queues = Queues::new(Limits { tags: 4, capacity: 5 });
    let (over, senders_left) = (AtomicBool::new(false), AtomicUsize::new(SENDERS));
    let [sent, received, drained, discarded, swaps] = [const { AtomicUsize::new(0) }; 5];
    // Every name stays, so that no call by name has a reason to fail for good.
    let orders = [["a", "b", "c", "d"], ["d", "c", "b", "a"], ["b", "a", "d", "c"]];
    together(SENDERS + RECEIVERS + 1, |id| {
        if id < SENDERS {
            let mut sending = Sending::new(&queues, &live, id);
            let mut my_sent = 0;
            while !over.load(Relaxed) {
                let timeout = [None, any_timeout()][random(2)];
                my_sent += usize::from(sending.send(random(NAMES.len()), timeout));
            }
            sent.fetch_add(my_sent, SeqCst);
            senders_left.fetch_sub(1, SeqCst);
        } else if id < SENDERS + RECEIVERS {
            let mut got = Got::default();
            loop {
                let timeout = [None, any_timeout()][random(2)];
                match got.receive(&queues, SETS[random(SETS.len())], timeout) {
                    Ok(()) | Err(ReceiveError::Timeout) => {}
                    Err(error) => {
                        assert_eq!(error, ReceiveError::Closed);
                        if over.load(SeqCst) {
                            break;
                        }
                        thread::yield_now();
                    }
                }
            }
            received.fetch_add(got.count, SeqCst);
        } else {
            let swap = || {
                let names = orders.get(random(4)).map_or(&[][..], |names| &names[..]);
                discarded.fetch_add(queues.set_tags(names).unwrap(), SeqCst);
                swaps.fetch_add(1, Relaxed);
            };
            while !time.is_up() {
                match random(16) {
                    0 => swap(),
                    1 => queues.close(NAMES[random(4)]),
                    2 | 3 => _ = drained.fetch_add(queues.drain(NAMES[random(4)]), SeqCst),
                    4 => _ = drained.fetch_add(queues.drain(NAMES), SeqCst),
                    5 => _ = queues.stats(),
                    _ => (0..random(20)).for_each(|_| thread::yield_now()),
                }
            }
            // Senders end first: to open all and to close all wakes them.
            over.store(true, SeqCst);
            swap();
            while senders_left.load(SeqCst) > 0 {
                NAMES.iter().for_each(|name| queues.close(*name));
                thread::yield_now();
            }
            NAMES.iter().for_each(|name| queues.close(*name));
        }
    });
    let left = queues.drain(NAMES);
    let [sent, received, drained, discarded, swaps] =
        [sent, received, drained, discarded, swaps].map(AtomicUsize::into_inner);
    report_stress(|| {
        format!(
            "{sent} sent, {received} received, {drained} drained, {discarded} discarded by {swaps} swaps"
        )
    });
    assert_eq!(sent, received + drained + discarded + left);
    assert_eq!(live.count(), 0);
    assert!(received > 0);
    for queue in queues.stats() {
        assert_eq!((queue.parked_receivers, queue.parked_senders), (0, 0));
    }
}

/// Tags that are swapped all the time, and calls by tag: what they do is done to the queue that they were
/// made for, or fails as stale.
#[test]
fn no_call_by_tag_reaches_a_later_queue() {
    const THREADS: usize = 4;

    let (time, live) = (StressTime::begin(), Live::default());
    let queues = Queues::<Counted>::new(Limits { tags: 2, capacity: 4 });
    let (over, ended) = (AtomicBool::new(false), AtomicUsize::new(0));
    // The number of a message is the number of swaps before its tag was made.
    let generation = AtomicUsize::new(0);
    let [sent, stale, discarded, received] = [const { AtomicUsize::new(0) }; 4];
    together(THREADS + 1, |id| {
        if id == THREADS {
            while !time.is_up() {
                discarded.fetch_add(queues.set_tags(&["a", "b"]).unwrap(), SeqCst);
                generation.fetch_add(1, SeqCst);
                (0..random(30)).for_each(|_| thread::yield_now());
            }
            over.store(true, SeqCst);
            // Those that are parked by tag end, also one that has got its tag just now.
            while ended.load(SeqCst) < THREADS {
                discarded.fetch_add(queues.set_tags(&["a", "b"]).unwrap(), SeqCst);
                thread::yield_now();
            }
        }
        while id < THREADS && !over.load(SeqCst) {
            let at_least = generation.load(SeqCst);
            let Ok(tag) = queues.tag(NAMES[random(2)]) else { continue };
            for _ in 0..random(20) {
                if id % 2 == 0 {
                    let error = match queues.send_timed(tag, live.value(at_least), any_timeout()) {
                        Ok(()) => {
                            sent.fetch_add(1, SeqCst);
                            continue;
                        }
                        Err(error) => error,
                    };
                    if matches!(error, SendTimedError::Stale(_)) {
                        stale.fetch_add(1, SeqCst);
                        break;
                    }
                    assert!(matches!(error, SendTimedError::Timeout(_)), "{error}");
                } else {
                    match queues.receive(tag, any_timeout()) {
                        Ok(message) => {
                            received.fetch_add(1, SeqCst);
                            let at_most = generation.load(SeqCst);
                            assert!(message.message.number <= at_most);
                        }
                        Err(ReceiveError::Timeout) => {}
                        Err(error) => {
                            assert_eq!(error, ReceiveError::Stale);
                            stale.fetch_add(1, SeqCst);
                            break;
                        }
                    }
                }
            }
        }
        if id < THREADS {
            ended.fetch_add(1, SeqCst);
        }
    });
    let left = queues.drain(["a", "b"]);
    let [sent, stale, discarded, received] =
        [sent, stale, discarded, received].map(AtomicUsize::into_inner);
    report_stress(|| format!("{sent} sent, {received} received, {stale} stale"));
    assert_eq!(sent, received + discarded + left);
    assert_eq!(live.count(), 0);
    assert!(stale > 0);
}

/// Messages that take a while to be moved in and out, and swaps that come in the middle.
#[test]
fn a_swap_in_the_middle_of_a_send_or_a_receive_loses_no_message() {
    struct Big([u64; 1_000], Counted);

    let (time, live) = (StressTime::begin(), Live::default());
    let (queues, over) = (with_capacity(3), AtomicBool::new(false));
    let [sent, received, discarded, swaps] = [const { AtomicUsize::new(0) }; 4];
    together(4, |id| match id {
        0 => {
            while !time.is_up() {
                discarded.fetch_add(queues.set_tags(&["a"]).unwrap(), Relaxed);
                swaps.fetch_add(1, Relaxed);
                (0..random(500)).for_each(|_| std::hint::spin_loop());
                if random(16) == 0 {
                    thread::yield_now();
                }
            }
            over.store(true, SeqCst);
        }
        1 | 2 => {
            while !over.load(SeqCst) {
                let number = random(1_000);
                match queues.send("a", Big([number as u64; 1_000], live.value(number))) {
                    Ok(()) => _ = sent.fetch_add(1, Relaxed),
                    // Before the first swap it is no error either.
                    Err(SendError::Full(back)) => assert_eq!(back.0[999], number as u64),
                    Err(error) => panic!("{error}"),
                }
            }
        }
        _ => {
            while !over.load(SeqCst) {
                if let Ok(Received { message: Big(words, counted), .. }) = queues.receive("a", NOW)
                {
                    assert!(words.iter().all(|&word| word == counted.number as u64), "torn");
                    received.fetch_add(1, Relaxed);
                }
            }
        }
    });
    let left = queues.drain("a");
    let [sent, received, discarded, swaps] =
        [sent, received, discarded, swaps].map(AtomicUsize::into_inner);
    report_stress(|| format!("{sent} sent, {received} received, {discarded} discarded by {swaps}"));
    assert_eq!(sent, received + discarded + left);
    assert_eq!(live.count(), 0);
}
