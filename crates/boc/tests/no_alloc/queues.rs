//! After the first use of a tag nothing allocates, least of all a thread that has to wait.

use std::thread;

use pysync_boc::{Limits, Queues, ReceiveError};
use pysync_testing::{Sleeper, allocations, sleeping, watchdog};

use crate::queues_common::*;

const NAMES: [&str; 16] =
    ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"];

/// Queues with room for two of each name, each of which has been used.
fn queues() -> Queues<u64> {
    let queues = Queues::new(Limits { tags: 16, capacity: 2 });
    NAMES.iter().for_each(|name| queues.send(*name, 0).unwrap());
    assert_eq!(queues.drain(NAMES), 16);
    queues
}

#[test]
fn the_count_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(7)))), 2);
    assert_eq!(allocations(|| {}), 0);
}

/// A ring that no tag uses is not allocated.
#[test]
fn a_ring_is_allocated_on_the_first_use_of_its_tag() {
    let few = allocations(|| drop(Queues::<u64>::new(Limits { tags: 1, capacity: 1 })));
    let many = allocations(|| drop(Queues::<u64>::new(Limits { tags: 1_024, capacity: 1 << 40 })));
    assert_eq!(few, many);
    let queues = Queues::<u64>::new(Limits { tags: 2, capacity: 2 });
    for name in ["a", "b"] {
        assert!(allocations(|| queues.send(name, 1).unwrap()) > 0);
        assert_eq!(allocations(|| queues.send(name, 1).unwrap()), 0);
    }
}

#[test]
fn calls_that_do_not_wait_do_not_allocate() {
    let queues = queues();
    let tags = NAMES.map(|name| queues.tag(name).unwrap());
    let mut many = Vec::with_capacity(100);
    let count = allocations(|| {
        for _ in 0..5 {
            for (name, tag) in NAMES.into_iter().zip(tags) {
                queues.send(name, 1).unwrap();
                queues.send_timed(tag, 1, None).unwrap();
                assert!(queues.send(tag, 1).is_err() && queues.send_timed(tag, 1, NOW).is_err());
                assert!(queues.len(name) == 2 && !queues.is_empty(tag));
                assert!(queues.tag(name) == Ok(tag) && queues.tag("unknown").is_err());
            }
            queues.receive(NAMES, NOW).unwrap();
            queues.receive_ordered(tags, None).unwrap();
            queues.receive_many(&tags[..], &mut many, 5, HOUR).unwrap();
            _ = queues.receive(tags[3], NOW);
            queues.drain(tags);
            assert_eq!(queues.receive(NAMES, NOW), Err(ReceiveError::Timeout));
        }
        queues.close("p");
        assert_eq!(queues.receive("p", None), Err(ReceiveError::Closed));
        assert_eq!(queues.receive("unknown", None), Err(ReceiveError::NoTagLeft));
    });
    assert_eq!(count, 0);
}

/// Three threads sleep in `wait` until `wake`; none of the four allocates.
fn no_thread_allocates(wait: impl Fn() + Sync, wake: impl FnOnce()) {
    let _watchdog = watchdog();
    let sleepers: [Sleeper; 3] = Default::default();
    thread::scope(|scope| {
        let waiters = sleepers.each_ref().map(|sleeper| {
            let wait = &wait;
            scope.spawn(move || {
                sleeper.enter();
                allocations(wait)
            })
        });
        sleeping(&sleepers);
        assert_eq!(allocations(wake), 0, "to wake allocates");
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), 0, "to wait allocates");
        }
    });
}

#[test]
fn a_receiver_that_parks_does_not_allocate() {
    let queues = queues();
    let tags = NAMES.map(|name| queues.tag(name).unwrap());
    for count in [1, 2, 4, 16] {
        for timeout in [None, HOUR] {
            let wake = || (0..3).for_each(|number| queues.send_timed("a", number, None).unwrap());
            no_thread_allocates(|| _ = queues.receive(&NAMES[..count], timeout).unwrap(), wake);
            no_thread_allocates(
                || _ = queues.receive_ordered(&tags[..count], timeout).unwrap(),
                wake,
            );
        }
        let timed = || {
            for _ in 0..3 {
                assert!(queues.receive(&NAMES[..count], millis(1)).is_err());
            }
        };
        no_thread_allocates(timed, || {});
    }
    let closed = || assert_eq!(queues.receive(["a", "b"], None), Err(ReceiveError::Closed));
    no_thread_allocates(closed, || {
        queues.close("a");
        queues.close("b");
    });
}

#[test]
fn a_sender_that_parks_does_not_allocate() {
    let queues = queues();
    (0..2).for_each(|number| queues.send("a", number).unwrap());
    for timeout in [None, HOUR] {
        let wake = || (0..3).for_each(|_| _ = queues.receive("a", None).unwrap());
        no_thread_allocates(|| queues.send_timed("a", 1, timeout).unwrap(), wake);
    }
    let timed = || assert!(queues.send_timed("a", 1, millis(1)).is_err());
    no_thread_allocates(timed, || {});
    let closed = || assert!(queues.send_timed("a", 1, None).is_err());
    no_thread_allocates(closed, || queues.close("a"));
}
