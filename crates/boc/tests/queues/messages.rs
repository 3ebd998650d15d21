//! Queues by their documentation: what is sent is received, in order, up to the limit, and every error
//! gives back what it was given.

use std::cell::Cell;
use std::collections::HashSet;
use std::error::Error;
use std::thread;
use std::time::Instant;

use crate::common::*;
use pysync_boc::{Limits, NoTagLeft, Queues, ReceiveError, Received, SendError, SendTimedError};
use pysync_testing::{panics_with, wait_until, watchdog};

#[test]
fn messages_come_in_the_order_in_which_they_were_sent() {
    let queues = Queues::default();
    for number in 0..5_000 {
        queues.send("fifo", number).unwrap();
    }
    assert_eq!(queues.len("fifo"), 5_000);
    for number in 0..5_000 {
        assert_eq!(take(&queues, &["fifo"]), (0, number));
    }
    assert!(queues.is_empty("fifo"));
    assert_eq!(queues.receive("fifo", NOW).unwrap_err(), ReceiveError::Timeout);
}

#[test]
fn tags_are_given_by_name_or_by_tag_alone_or_in_lists() {
    let queues = Queues::default();
    let [a, b] = ["a", "b"].map(|name| queues.tag(name).unwrap());
    let (name, owned) = ("b", String::from("b"));
    queues.send(a, 1).unwrap();
    queues.send(a, 2).unwrap();
    queues.send("a", 3).unwrap();
    queues.send(String::from("a"), 4).unwrap();
    assert_eq!(queues.len(a), 4);

    let mut received = Vec::new();
    let mut keep = |received_now: Result<Received<u32>, ReceiveError>| {
        let Received { index, message } = received_now.unwrap();
        received.push((index, message));
    };
    keep(queues.receive(a, NOW));
    keep(queues.receive(a, NOW));
    keep(queues.receive("a", NOW));
    keep(queues.receive([b, a], NOW));
    for number in 5..10 {
        queues.send(b, number).unwrap();
    }
    keep(queues.receive([a, b], NOW));
    keep(queues.receive(&[a, b][..], NOW));
    keep(queues.receive(&vec![a, b], NOW));
    keep(queues.receive(["a", name], NOW));
    keep(queues.receive(&[&owned][..], NOW));
    let expected = [(0, 1), (0, 2), (0, 3), (1, 4), (1, 5), (1, 6), (1, 7), (1, 8), (0, 9)];
    assert_eq!(received, expected);
}

/// The capacity is the limit itself, and no power of two above it; on every lap of the ring.
#[test]
fn a_queue_takes_as_many_messages_as_its_capacity_says_and_not_one_more() {
    for capacity in [1, 2, 3, 5, 1_000, 16_384] {
        let queues = with_capacity(capacity);
        let (mut sent, mut received) = (0_u64, 0_u64);
        for lap in 0..if capacity > 100 { 3 } else { 40 } {
            while queues.len("q") < capacity {
                queues.send("q", sent).unwrap();
                sent += 1;
            }
            for _ in 0..2 {
                let Err(SendError::Full(message)) = queues.send("q", sent) else {
                    panic!("more than {capacity}");
                };
                assert_eq!(message, sent);
            }
            assert!(matches!(queues.send_timed("q", sent, NOW), Err(SendTimedError::Timeout(_))));
            // Some of them, so that the ring is full at another place the next time.
            for _ in 0..1.max(capacity * (lap % 4) / 3) {
                assert_eq!(queues.receive("q", NOW).unwrap().message, received);
                received += 1;
            }
        }
        let pysync_boc::QueueStats { len, capacity: said, .. } = stats(&queues, "q");
        assert_eq!((len as u64, said), (sent - received, capacity));
    }
}

#[test]
fn limits_that_make_no_sense_panic() {
    let limits = |tags, capacity| Limits { tags, capacity };
    assert_eq!(Limits::default(), limits(16, 16_384));
    let tags = "the number of tags must be between 1 and 1024";
    let too_great = "the capacity is too great";
    for (message, bad) in [
        (tags, limits(0, 1)),
        (tags, limits(1_025, 1)),
        (tags, limits(u16::MAX, 1)),
        ("the capacity must be 1 or more", limits(1, 0)),
        (too_great, limits(1, usize::MAX)),
        (too_great, limits(1, isize::MAX as usize)),
    ] {
        panics_with(message, || Queues::<u8>::new(bad));
    }
    for good in [limits(1, 1), limits(1_024, 1)] {
        Queues::new(good).send("a", 1).unwrap();
    }
}

#[test]
fn a_full_closed_queue_is_closed_and_not_full() {
    let queues = with_capacity(1);
    queues.send("a", 1).unwrap();
    queues.close("a");
    assert!(matches!(queues.send("a", 2), Err(SendError::Closed(2))));
    assert!(matches!(queues.send_timed("a", 2, NOW), Err(SendTimedError::Closed(2))));
}

#[test]
fn send_timed_waits_for_room() {
    let _watchdog = watchdog();
    let queues = &with_capacity(1);
    queues.send("a", 0).unwrap();
    let started = Instant::now();
    assert!(matches!(queues.send_timed("a", 1, millis(20)), Err(SendTimedError::Timeout(1))));
    assert!(started.elapsed() >= millis(20).unwrap());
    thread::scope(|scope| {
        for (number, timeout) in [(1, None), (2, HOUR)] {
            let sender = scope.spawn(move || queues.send_timed("a", number, timeout));
            wait_for_senders(queues, "a", 1);
            assert_eq!(queues.receive("a", NOW).unwrap().message, number - 1);
            sender.join().unwrap().unwrap();
            assert_eq!(queues.len("a"), 1);
        }
        // A drain makes room too.
        let sender = scope.spawn(|| queues.send_timed("a", 3, None));
        wait_for_senders(queues, "a", 1);
        assert_eq!(queues.drain("a"), 1);
        sender.join().unwrap().unwrap();
        // And a close ends the wait.
        let sender = scope.spawn(|| queues.send_timed("a", 4, None));
        wait_for_senders(queues, "a", 1);
        queues.close("a");
        assert!(matches!(sender.join().unwrap(), Err(SendTimedError::Closed(4))));
        assert_eq!(queues.receive("a", NOW).unwrap().message, 3);
    });
    assert_eq!(senders(queues, "a"), 0);
}

#[test]
fn messages_of_any_size_and_alignment_come_through() {
    #[derive(Debug, PartialEq)]
    #[repr(align(256))]
    struct Aligned(u8);

    let units = with_capacity(3);
    (0..3).for_each(|_| units.send("a", ()).unwrap());
    assert!(matches!(units.send("a", ()), Err(SendError::Full(()))));
    assert_eq!(units.drain("a"), 3);

    let big = with_capacity(2);
    big.send("a", [7_u64; 4_096]).unwrap();
    assert!(big.receive("a", NOW).unwrap().message.iter().all(|&word| word == 7));

    let aligned = with_capacity(5);
    (0..5).for_each(|number| aligned.send("a", Aligned(number)).unwrap());
    for number in 0..5 {
        let Received { message, .. } = aligned.receive("a", NOW).unwrap();
        assert_eq!((message.0, (&raw const message).addr() % 256), (number, 0));
    }
}

/// A message may be of a type that cannot be shared.
#[test]
fn queues_are_shared_if_messages_can_be_sent() {
    fn is_shared<T: Send + Sync>(_: &T) {}
    let queues = Queues::default();
    is_shared(&queues);
    queues.send("a", Cell::new(1)).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| queues.receive("a", NOW).unwrap().message.set(2));
    });
}

#[test]
fn errors_say_one_sentence_and_ask_nothing_of_the_message() {
    struct Mute;
    fn said<E: Error>(error: E) -> String {
        let (display, debug) = (error.to_string(), format!("{error:?}"));
        assert!(display.len() > 8 && !display.contains('\n') && !debug.is_empty(), "{display}");
        assert!(!display.ends_with('.') && error.source().is_none(), "{display}");
        display
    }
    use {ReceiveError as R, SendError as S, SendTimedError as T};
    let sends = [S::Full(Mute), S::Closed(Mute), S::Stale(Mute), S::NoTagLeft(Mute)].map(said);
    assert_eq!(HashSet::from(sends).len(), 4);
    let timed = [
        T::Timeout(Mute),
        T::Closed(Mute),
        T::Interrupted(Mute),
        T::Stale(Mute),
        T::NoTagLeft(Mute),
    ];
    assert_eq!(HashSet::from(timed.map(said)).len(), 5);
    let receives = [R::Timeout, R::Closed, R::Interrupted, R::Stale, R::NoTags, R::NoTagLeft];
    assert_eq!(HashSet::from(receives.map(said)).len(), 6);
    said(NoTagLeft);
    let _: Mute = S::Full(Mute).into_message();
    let _: Mute = T::Timeout(Mute).into_message();
}

#[test]
fn statistics_count_what_has_happened() {
    let _watchdog = watchdog();
    let queues = with_capacity(2);
    assert!(queues.stats().is_empty());
    for number in 0..4 {
        let _ = queues.send("a", number);
    }
    queues.receive("a", NOW).unwrap();
    _ = queues.tag("b").unwrap();
    let pysync_boc::QueueStats {
        len,
        capacity,
        sent,
        received,
        full,
        parked_receivers,
        parked_senders,
        ..
    } = stats(&queues, "a");
    assert_eq!((len, capacity, sent, received), (1, 2, 2, 1));
    assert_eq!((full, parked_receivers, parked_senders), (2, 0, 0));
    let of_b = stats(&queues, "b");
    assert_eq!((of_b.len, of_b.sent, of_b.received, of_b.full), (0, 0, 0, 0));
    thread::scope(|scope| {
        (0..3).for_each(|_| _ = scope.spawn(|| queues.receive(["b", "c"], None).unwrap()));
        wait_for_receivers(&queues, "b", 3);
        wait_for_receivers(&queues, "c", 3);
        for received in 1..=3 {
            queues.send("c", 1).unwrap();
            wait_until(|| stats(&queues, "c").received == received);
            wait_for_receivers(&queues, "b", 3 - received as usize);
            wait_for_receivers(&queues, "c", 3 - received as usize);
        }
    });
    assert_eq!((stats(&queues, "c").sent, stats(&queues, "c").received), (3, 3));
}

#[test]
fn what_was_not_received_is_dropped_with_the_queues() {
    let live = Live::default();
    let queues = with_capacity(7);
    for number in 0..100 {
        // The ring has gone round, and is in the middle of a lap.
        if let Err(error) = queues.send(["a", "b"][number % 2], live.value(number)) {
            drop(error.into_message());
            drop(queues.receive(["a", "b"], NOW).unwrap());
        }
    }
    assert!(live.count() > 7);
    drop(queues);
    assert_eq!(live.count(), 0);
}
