//! Receives by their documentation: from one tag and from several, what there is or what comes.

use std::thread;

use crate::common::*;
use pysync_boc::{Deadline, LockFlags, Queues, ReceiveError, SendError, SendTimedError};
use pysync_platform::Native;
use pysync_testing::{wait_until, watchdog};

#[test]
fn a_receive_from_no_tags_is_an_error() {
    let queues = Queues::<u8>::default();
    let none: [&str; 0] = [];
    assert_eq!(queues.receive(none, HOUR).unwrap_err(), ReceiveError::NoTags);
    assert_eq!(queues.receive_ordered(&none[..], NOW).unwrap_err(), ReceiveError::NoTags);
    assert_eq!(queues.receive_many(none, &mut vec![], 1, None), Err(ReceiveError::NoTags));
    assert_eq!(queues.drain(none), 0);
    assert_eq!(queues.stats().len(), 0);
}

/// Many tags, with a message on one of them, wherever that stands.
#[test]
fn a_timeout_of_zero_looks_at_every_tag_once() {
    let names: Vec<String> = (0..16).map(|number| number.to_string()).collect();
    let queues = Queues::default();
    for (index, name) in names.iter().enumerate() {
        queues.send(name, index).unwrap();
        let received = match index % 3 {
            0 => queues.receive(&names, NOW),
            1 => queues.receive_ordered(&names, NOW),
            _ => queues.receive_in::<Native>(&names, Deadline::NOW, LockFlags::empty()),
        };
        let received = received.unwrap();
        assert_eq!((received.index, received.message), (index, index));
        assert_eq!(queues.receive(&names, NOW).unwrap_err(), ReceiveError::Timeout);
    }
}

/// Fills each tag with so many messages.
fn fill(queues: &Queues<u32>, names: [&str; 4], each: u32) {
    for name in names {
        (0..each).for_each(|number| queues.send(name, number).unwrap());
    }
}

#[test]
fn receive_starves_no_tag() {
    const EACH: u32 = 400;
    let (queues, names) = (Queues::default(), ["a", "b", "c", "d"]);
    fill(&queues, names, EACH);
    let mut counts = [0; 4];
    for _ in 0..EACH {
        let (index, message) = take(&queues, &names);
        assert_eq!(message, counts[index], "in order within its tag");
        counts[index] += 1;
    }
    assert!(counts.iter().all(|&count| count >= EACH / 8), "a tag starves: {counts:?}");
    assert_eq!(queues.drain(names), (3 * EACH) as usize);
}

#[test]
fn receive_ordered_takes_from_the_first_tag_that_has_a_message() {
    const EACH: u32 = 50;
    let (queues, names) = (Queues::default(), ["a", "b", "c", "d"]);
    for order in [[2, 0, 3, 1], [1, 2, 3, 0]] {
        fill(&queues, names, EACH);
        let tags = order.map(|index| names[index]);
        for place in 0..4 {
            for message in 0..EACH {
                let received = queues.receive_ordered(tags, NOW).unwrap();
                assert_eq!((received.index, received.message), (place, message));
            }
        }
        // One on an earlier tag goes before what is left of a later one.
        fill(&queues, names, 2);
        queues.drain([tags[0], tags[1]]);
        assert_eq!(queues.receive_ordered(tags, NOW).unwrap().index, 2);
        queues.send(tags[1], 7).unwrap();
        assert_eq!(queues.receive_ordered(tags, NOW).unwrap().index, 1);
        assert_eq!(queues.receive_ordered(tags, NOW).unwrap().index, 2);
        queues.drain(names);
    }
}

#[test]
fn receive_many_takes_up_to_a_number_and_appends() {
    let queues = Queues::default();
    (0..10).for_each(|number| queues.send("a", number).unwrap());
    let mut into = vec![99];
    assert_eq!(queues.receive_many("a", &mut into, 0, None), Ok(0));
    assert_eq!(queues.receive_many("a", &mut into, 4, NOW), Ok(4));
    assert_eq!(into, [99, 0, 1, 2, 3]);
    assert_eq!(queues.receive_many("a", &mut into, usize::MAX, HOUR), Ok(6));
    assert_eq!(into, [99, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(queues.receive_many("a", &mut into, 4, NOW), Err(ReceiveError::Timeout));
    assert_eq!(queues.receive_many("a", &mut into, 4, millis(1)), Err(ReceiveError::Timeout));

    // From several tags, until there is none left.
    for number in 0..6 {
        queues.send(["a", "b", "c"][number as usize % 3], number).unwrap();
    }
    let mut all = Vec::new();
    while let Ok(count) = queues.receive_many(["a", "b", "c"], &mut all, 100, NOW) {
        assert!(count > 0);
    }
    assert_eq!(all.len(), 6);
    for first in 0..3 {
        let place = |number| all.iter().position(|&it| it == number).unwrap();
        assert!(place(first) < place(first + 3), "in order within its tag: {all:?}");
    }
    queues.close("a");
    assert_eq!(queues.receive_many("a", &mut into, 4, NOW), Err(ReceiveError::Closed));
    assert_eq!(into.len(), 11);
}

#[test]
fn receive_many_parks_for_the_first_message_only() {
    let _watchdog = watchdog();
    let queues = Queues::default();
    thread::scope(|scope| {
        let receiver = scope.spawn(|| {
            let mut into = Vec::new();
            let received = queues.receive_many(["a", "b"], &mut into, 10, None);
            (received, into)
        });
        wait_for_receivers(&queues, "b", 1);
        queues.send("b", 7).unwrap();
        assert_eq!(receiver.join().unwrap(), (Ok(1), vec![7]));
    });
}

#[test]
fn drain_drops_what_is_there_and_says_how_many() {
    let (queues, live) = (Queues::default(), Live::default());
    for number in 0..30 {
        queues.send(["a", "b", "c"][number % 3], live.value(number)).unwrap();
    }
    assert_eq!(queues.drain(["a", "c"]), 20);
    assert_eq!((live.count(), queues.len("b")), (10, 10));
    assert_eq!(queues.drain(["a", "c", "never seen"]), 0);
    assert_eq!(queues.drain("b"), 10);
    assert_eq!(live.count(), 0);
    queues.send("a", live.value(0)).unwrap();
    assert_eq!(queues.receive("a", NOW).unwrap().message.number, 0);
}

#[test]
fn a_closed_tag_is_drained_first_and_then_says_so() {
    let queues = Queues::default();
    queues.send("a", 1).unwrap();
    queues.send("a", 2).unwrap();
    queues.close("a");
    assert!(matches!(queues.send("a", 3), Err(SendError::Closed(3))));
    assert!(matches!(queues.send_timed("a", 3, None), Err(SendTimedError::Closed(3))));
    queues.close("a");
    assert_eq!(queues.len("a"), 2);
    assert_eq!(queues.receive("a", None).unwrap().message, 1);
    assert_eq!(queues.receive_ordered("a", None).unwrap().message, 2);
    assert_eq!(queues.receive("a", None).unwrap_err(), ReceiveError::Closed);
    assert_eq!(queues.receive("a", NOW).unwrap_err(), ReceiveError::Closed);

    // Of several, the others are still open.
    assert_eq!(queues.receive(["a", "b"], NOW).unwrap_err(), ReceiveError::Timeout);
    queues.send("b", 4).unwrap();
    assert_eq!(take(&queues, &["a", "b"]), (1, 4));
    queues.send("b", 5).unwrap();
    queues.close("b");
    assert_eq!(take(&queues, &["a", "b"]), (1, 5));
    assert_eq!(queues.receive(["a", "b"], None).unwrap_err(), ReceiveError::Closed);
    assert_eq!(queues.drain(["a", "b"]), 0);

    // A name that is new is closed too.
    queues.close("new");
    assert!(matches!(queues.send("new", 6), Err(SendError::Closed(6))));
    assert_eq!(queues.receive("new", None).unwrap_err(), ReceiveError::Closed);
    assert!(queues.stats().iter().all(|queue| queue.is_closed));
}

/// A tag that is asked for twice is one tag.
#[test]
fn a_tag_may_be_asked_for_twice() {
    let _watchdog = watchdog();
    let queues = &Queues::default();
    queues.send("a", 1).unwrap();
    assert_eq!(take(queues, &["a", "a", "a"]).1, 1);
    let many = ["a"; 40];
    assert_eq!(queues.receive(many, NOW).unwrap_err(), ReceiveError::Timeout);
    thread::scope(|scope| {
        for tags in [&["a", "b", "a"][..], &many] {
            let receiver = scope.spawn(move || queues.receive(tags, None).unwrap());
            wait_until(|| receivers(queues, "a") > 0);
            queues.send("a", 2).unwrap();
            let received = receiver.join().unwrap();
            assert_eq!((tags[received.index], received.message), ("a", 2));
            assert_eq!((receivers(queues, "a"), receivers(queues, "b")), (0, 0));
        }
    });
    assert_eq!(queues.drain(["a", "a"]), 0);
}
