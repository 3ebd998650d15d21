//! Which tags there are: a claim on first use, a limit, `set_tags` that changes all of them in one step
//! or nothing, and tags that outlive their queues.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use crate::common::*;
use pysync_boc::{
    Limits, NoTagLeft, Queues, ReceiveError, SendError, SendTimedError, SetTagsError, Tag,
};
use pysync_testing::{Sleeper, sleeping, together, wait_until, watchdog};

#[test]
fn a_tag_is_known_by_its_exact_name() {
    let long = "n".repeat(10_000);
    let names = ["", " ", "a", "A", "a ", "a\0", "ä", "__timeout__", &long, &long[1..]];
    let queues = Queues::default();
    let tags = names.map(|name| queues.tag(name).unwrap());
    assert_eq!(tags.iter().collect::<HashSet<_>>().len(), names.len());
    for (number, name) in (0..).zip(names) {
        queues.send(name, number).unwrap();
    }
    for (number, tag) in (0..).zip(tags) {
        assert_eq!(queues.receive(tag, NOW).unwrap().message, number);
    }
    assert_eq!(names.map(|name| queues.tag(name).unwrap()), tags, "a name keeps its tag");
}

#[test]
fn one_tag_more_than_the_limit_is_an_error_and_gives_the_message_back() {
    for limit in [1, 2, 16, 1024] {
        let queues = Queues::new(Limits { tags: limit, capacity: 4 });
        for tag in 0..limit {
            queues.send(format!("tag {tag}"), u32::from(tag)).unwrap();
        }
        let next = "one too many";
        assert_eq!(queues.tag(next), Err(NoTagLeft));
        assert!(matches!(queues.send(next, 7), Err(SendError::NoTagLeft(7))));
        assert!(matches!(queues.send_timed(next, 7, HOUR), Err(SendTimedError::NoTagLeft(7))));
        assert_eq!(queues.receive(next, HOUR).unwrap_err(), ReceiveError::NoTagLeft);
        let known_first = ["tag 0", next];
        assert_eq!(queues.receive(known_first, HOUR).unwrap_err(), ReceiveError::NoTagLeft);
        assert_eq!(
            queues.receive_many(next, &mut Vec::new(), 1, HOUR),
            Err(ReceiveError::NoTagLeft)
        );
        assert_eq!((queues.drain(next), queues.len(next)), (0, 0));
        queues.close(next);

        assert_eq!(queues.stats().len(), usize::from(limit));
        for tag in 0..limit {
            let received = queues.receive(format!("tag {tag}"), NOW).unwrap();
            assert_eq!(received.message, u32::from(tag));
        }
    }
}

/// Threads that claim the same names, and more of them than there are slots, at the same time.
#[test]
fn a_name_is_claimed_once_whoever_comes_first() {
    const THREADS: usize = 4;

    let _watchdog = watchdog();
    for _ in 0..200 {
        let queues = Queues::<u8>::new(Limits { tags: 8, capacity: 1 });
        let (ready, claimed) = (AtomicUsize::new(0), AtomicUsize::new(0));
        together(THREADS, |id| {
            ready.fetch_add(1, SeqCst);
            wait_until(|| ready.load(SeqCst) == THREADS);
            let mut tags = Vec::new();
            for turn in 0..12 {
                let name = format!("{}", (turn + 3 * id) % 12);
                if let Ok(tag) = queues.tag(&name) {
                    assert_eq!(queues.tag(&name), Ok(tag));
                    tags.push(tag);
                }
            }
            assert_eq!(tags.len(), tags.iter().collect::<HashSet<_>>().len());
            claimed.fetch_add(tags.len(), SeqCst);
        });
        let names: HashSet<_> = queues.stats().into_iter().map(|queue| queue.name).collect();
        assert_eq!(names.len(), 8);
        // Each thread asked for all names, the last ones when there was no slot left.
        assert!(claimed.into_inner() <= 8 * THREADS);
    }
}

#[test]
fn set_tags_fixes_the_names_until_it_is_given_none() {
    let queues = Queues::new(Limits { tags: 3, capacity: 4 });
    _ = ["a", "b"].map(|name| queues.send(name, 1).unwrap());
    assert_eq!(queues.set_tags(&["b", "c"]).unwrap(), 2);
    assert_eq!(queues.tag("a"), Err(NoTagLeft));
    assert!(matches!(queues.send("a", 2), Err(SendError::NoTagLeft(2))));
    assert_eq!(queues.receive("a", HOUR).unwrap_err(), ReceiveError::NoTagLeft);
    assert_eq!(queues.receive(["b", "c"], NOW).unwrap_err(), ReceiveError::Timeout);
    queues.send("c", 3).unwrap();
    let names: Vec<_> = queues.stats().into_iter().map(|queue| queue.name).collect();
    assert_eq!(names, ["b", "c"]);

    // The same names again are other queues.
    assert_eq!(queues.set_tags(&["b", "c"]).unwrap(), 1);
    assert!(queues.is_empty("c"));
    assert_eq!(queues.set_tags(&[]).unwrap(), 0);
    assert!(queues.stats().is_empty());
    _ = ["x", "y", "z"].map(|name| queues.send(name, 1).unwrap());
    assert_eq!(queues.tag("b"), Err(NoTagLeft));
    assert_eq!(queues.set_tags(&[]).unwrap(), 3);
    _ = ["b", "c", "d"].map(|name| queues.send(name, 1).unwrap());
}

#[test]
fn preset_tags_lets_others_claim_what_is_left() {
    let queues = Queues::new(Limits { tags: 3, capacity: 4 });
    _ = ["a", "b", "c"].map(|name| queues.send(name, 1).unwrap());
    let old = queues.tag("b").unwrap();
    assert_eq!(queues.preset_tags(&["b", "d"]).unwrap(), 3);
    assert!(matches!(queues.send(old, 2), Err(SendError::Stale(2))));
    assert_eq!(queues.receive(["b", "d"], NOW).unwrap_err(), ReceiveError::Timeout);
    queues.send("a", 2).unwrap();
    assert_eq!(queues.tag("c"), Err(NoTagLeft));
    let names: Vec<_> = queues.stats().into_iter().map(|queue| queue.name).collect();
    assert_eq!(names, ["b", "d", "a"]);
    assert_eq!(
        queues.preset_tags(&["x", "x"]),
        Err(SetTagsError::Duplicate { first: 0, second: 1 })
    );
    assert_eq!(queues.len("a"), 1);
    assert_eq!(queues.set_tags(&["b"]).unwrap(), 1);
    assert_eq!(queues.tag("a"), Err(NoTagLeft));
    assert_eq!(queues.preset_tags(&[]).unwrap(), 0);
    _ = ["x", "y", "z"].map(|name| queues.send(name, 1).unwrap());
}

#[test]
fn set_tags_discards_every_message_and_counts_them() {
    let (queues, live) = (with_capacity(50), Live::default());
    for number in 0..100 {
        queues.send(["a", "b", "c"][number % 3], live.value(number)).unwrap();
    }
    drop(queues.receive("a", NOW).unwrap());
    assert_eq!(live.count(), 99);
    assert_eq!(queues.set_tags(&["a"]).unwrap(), 99);
    assert_eq!(live.count(), 0);
    assert_eq!(queues.receive("a", NOW).unwrap_err(), ReceiveError::Timeout);
    assert_eq!((stats(&queues, "a").sent, stats(&queues, "a").received), (0, 0));
}

/// Everything is checked before anything changes: the tags, their messages and those who are parked.
#[test]
fn set_tags_with_a_bad_name_changes_nothing() {
    let _watchdog = watchdog();
    let (queues, sleepers): (_, [Sleeper; 2]) =
        (Queues::new(Limits { tags: 4, capacity: 2 }), Default::default());
    let tags = ["a", "b", "c", "d"].map(|name| queues.tag(name).unwrap());
    queues.send("a", 1).unwrap();
    queues.send("a", 2).unwrap();
    let before = format!("{:?}", queues.stats());
    let bad: [&[&str]; 6] = [
        &["a", "b", "c", "d", "e"],
        &["a", "a"],
        &["x", "y", "x"],
        &["", ""],
        &["1", "2", "3", "2"],
        &["a"; 1_000],
    ];
    for names in bad {
        let error = queues.set_tags(names).unwrap_err();
        match (names, error) {
            (["a", "b", "c", "d", "e"], SetTagsError::TooMany { given: 5, limit: 4 }) => {}
            (["a", "a"], SetTagsError::Duplicate { first: 0, second: 1 }) => {}
            (["x", "y", "x"], SetTagsError::Duplicate { first: 0, second: 2 }) => {}
            (["", ""] | ["1", ..], SetTagsError::Duplicate { .. }) => {}
            (_, SetTagsError::TooMany { given: 1_000, limit: 4 }) => {}
            (names, error) => panic!("{error} for {names:?}"),
        }
        assert_eq!(format!("{:?}", queues.stats()), before);
    }
    assert_eq!(["a", "b", "c", "d"].map(|name| queues.tag(name).unwrap()), tags);

    thread::scope(|scope| {
        let receiver = scope.spawn(|| {
            sleepers[0].enter();
            queues.receive([tags[1], tags[2]], None).unwrap().index
        });
        let sender = scope.spawn(|| {
            sleepers[1].enter();
            queues.send_timed(tags[0], 3, None)
        });
        wait_for_receivers(&queues, "b", 1);
        wait_for_senders(&queues, "a", 1);
        sleeping(&sleepers);
        for names in bad {
            _ = queues.set_tags(names).unwrap_err();
        }
        assert_eq!((receivers(&queues, "c"), senders(&queues, "a")), (1, 1));
        assert_eq!(queues.receive(tags[0], NOW).unwrap().message, 1);
        queues.send(tags[2], 4).unwrap();
        assert_eq!(receiver.join().unwrap(), 1);
        sender.join().unwrap().unwrap();
    });
    let left = [(); 2].map(|()| queues.receive("a", NOW).unwrap().message);
    assert_eq!(left, [2, 3]);
}

/// Whatever is done with it, a tag of before does not reach the queue of now, of the same name or in
/// the same slot.
#[test]
fn a_tag_of_before_set_tags_is_stale() {
    let queues = Queues::default();
    let old: Tag = queues.tag("a").unwrap();
    for names in [&["a"][..], &["b"], &[]] {
        queues.send(queues.tag("a").unwrap_or(old), 0).unwrap();
        queues.set_tags(names).unwrap();
        let name = names.first().copied().unwrap_or("a");
        queues.send(name, 1).unwrap();
        assert_ne!(queues.tag(name).unwrap(), old);
        assert!(matches!(queues.send(old, 2), Err(SendError::Stale(2))));
        assert!(matches!(queues.send_timed(old, 2, HOUR), Err(SendTimedError::Stale(2))));
        assert_eq!(queues.receive(old, NOW).unwrap_err(), ReceiveError::Stale);
        assert_eq!(queues.receive(old, None).unwrap_err(), ReceiveError::Stale);
        let mut into = Vec::new();
        assert_eq!(queues.receive_many(old, &mut into, 1, None), Err(ReceiveError::Stale));
        // One stale tag among good ones.
        let good = queues.tag(name).unwrap();
        assert_eq!(queues.receive([good, old], NOW).unwrap_err(), ReceiveError::Stale);
        assert_eq!(queues.receive_ordered([good, old], None).unwrap_err(), ReceiveError::Stale);
        assert_eq!((queues.drain(old), queues.len(old)), (0, 0));
        assert!(queues.is_empty(old));
        queues.close(old);
        assert_eq!(queues.receive(good, NOW).unwrap().message, 1);
        queues.set_tags(&[]).unwrap();
        queues.tag("a").unwrap();
    }
}

/// Many swaps do not bring a tag back to life.
#[test]
fn a_generation_does_not_come_round() {
    let queues = Queues::new(Limits { tags: 1, capacity: 1 });
    let old = queues.tag("a").unwrap();
    for _ in 0..70_000 {
        queues.set_tags(&["a"]).unwrap();
    }
    assert!(matches!(queues.send(old, ()), Err(SendError::Stale(()))));
}

/// A tag of other queues reaches no slot that is not there.
#[test]
fn a_tag_of_other_queues_does_no_harm() {
    let many = Queues::<Box<u8>>::new(Limits { tags: 1_024, capacity: 1 });
    let few = Queues::<Box<u8>>::new(Limits { tags: 1, capacity: 1 });
    let foreign: Vec<Tag> = (0..1_024).map(|it| many.tag(&it.to_string()).unwrap()).collect();
    few.send("a", Box::new(1)).unwrap();
    for tag in foreign {
        // The check is as far as is cheap: what counts is that no message is lost or made up.
        match few.send(tag, Box::new(2)) {
            Ok(()) => panic!("there is no room"),
            Err(error) => assert_eq!(*error.into_message(), 2),
        }
        assert!(few.len(tag) <= 1);
    }
    assert_eq!(*few.receive("a", NOW).unwrap().message, 1);
}

#[test]
fn a_closed_tag_is_open_again_after_set_tags() {
    let queues = Queues::default();
    queues.close("a");
    assert!(matches!(queues.send("a", 1), Err(SendError::Closed(1))));
    queues.set_tags(&["a"]).unwrap();
    queues.send("a", 1).unwrap();
    queues.close("a");
    queues.set_tags(&[]).unwrap();
    queues.send("a", 1).unwrap();
    assert_eq!(queues.receive("a", NOW).unwrap().message, 1);
}

/// By name, a receiver that is parked goes on with the new queue of that name. By tag its wait ends, and
/// so it does if a name of its is gone.
#[test]
fn a_receiver_that_is_parked_across_set_tags_goes_on_by_name_and_ends_by_tag() {
    let _watchdog = watchdog();
    for timeout in [None, HOUR] {
        let queues = &Queues::<u32>::default();
        let [a, b] = ["a", "b"].map(|name| queues.tag(name).unwrap());
        thread::scope(|scope| {
            let by_names = scope.spawn(move || queues.receive(["a", "b"], timeout));
            let by_name = scope.spawn(move || queues.receive("b", timeout));
            let by_tag = scope.spawn(move || queues.receive(b, timeout));
            let by_tags = scope.spawn(move || queues.receive_ordered([b, a], timeout));
            let gone = scope.spawn(move || queues.receive("gone", timeout));
            let one_gone = scope
                .spawn(move || queues.receive_many(["b", "gone"], &mut Vec::new(), 1, timeout));
            wait_for_receivers(queues, "a", 2);
            wait_for_receivers(queues, "b", 5);
            wait_for_receivers(queues, "gone", 2);
            assert_eq!(queues.set_tags(&["x", "b", "a"]).unwrap(), 0);
            assert_eq!(by_tag.join().unwrap().unwrap_err(), ReceiveError::Stale);
            assert_eq!(by_tags.join().unwrap().unwrap_err(), ReceiveError::Stale);
            assert_eq!(gone.join().unwrap().unwrap_err(), ReceiveError::Stale);
            assert_eq!(one_gone.join().unwrap(), Err(ReceiveError::Stale));

            wait_for_receivers(queues, "a", 1);
            wait_for_receivers(queues, "b", 2);
            queues.send("a", 1).unwrap();
            let received = by_names.join().unwrap().unwrap();
            assert_eq!((received.index, received.message), (0, 1));
            // Where every name may be claimed, it is claimed again.
            assert_eq!(queues.set_tags(&[]).unwrap(), 0);
            wait_for_receivers(queues, "b", 1);
            queues.send("b", 2).unwrap();
            assert_eq!(by_name.join().unwrap().unwrap().message, 2);
        });
    }
}

/// The same for senders that wait for room. The new queue has room.
#[test]
fn a_sender_that_is_parked_across_set_tags_goes_on_by_name_and_ends_by_tag() {
    let _watchdog = watchdog();
    for timeout in [None, HOUR] {
        let queues = &with_capacity(1);
        let tag = queues.tag("a").unwrap();
        _ = ["a", "gone"].map(|name| queues.send(name, 0).unwrap());
        thread::scope(|scope| {
            let by_name = scope.spawn(move || queues.send_timed("a", 1, timeout));
            let by_tag = scope.spawn(move || queues.send_timed(tag, 2, timeout));
            let gone = scope.spawn(move || queues.send_timed("gone", 3, timeout));
            wait_for_senders(queues, "a", 2);
            wait_for_senders(queues, "gone", 1);
            assert_eq!(queues.set_tags(&["a"]).unwrap(), 2);
            assert!(matches!(by_tag.join().unwrap(), Err(SendTimedError::Stale(2))));
            assert!(matches!(gone.join().unwrap(), Err(SendTimedError::Stale(3))));
            by_name.join().unwrap().unwrap();
        });
        assert_eq!(queues.receive("a", NOW).unwrap().message, 1);
        assert_eq!(queues.receive("a", NOW).unwrap_err(), ReceiveError::Timeout);
    }
}
