//! Who is woken by what: one thread, which waits for that, and in the order in which they came.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use crate::common::*;
use pysync_boc::{Limits, Queues, Received, SendTimedError};
use pysync_testing::{Sleeper, sleeping, wait_until, watchdog};

/// With and without a deadline, on one tag and on several.
#[test]
fn a_send_wakes_the_receiver_that_is_parked() {
    let _watchdog = watchdog();
    let queues = &Queues::default();
    for timeout in [None, HOUR] {
        for tags in [&["x"][..], &["x", "y"], &["a", "b", "c", "x"]] {
            thread::scope(|scope| {
                let receiver = scope.spawn(move || queues.receive(tags, timeout).unwrap());
                wait_for_receivers(queues, "x", 1);
                queues.send("x", 5).unwrap();
                let received = receiver.join().unwrap();
                assert_eq!((tags[received.index], received.message), ("x", 5));
            });
            assert!(tags.iter().all(|tag| receivers(queues, tag) == 0));
        }
    }
}

/// As many as there can be, and in any order.
#[test]
fn a_receiver_may_wait_for_a_thousand_tags() {
    let _watchdog = watchdog();
    let queues = &Queues::new(Limits { tags: 1_024, capacity: 1 });
    let names: &Vec<String> = &(0..1_024).map(|number| format!("tag {number}")).collect();
    for (index, name) in names.iter().enumerate().step_by(97) {
        queues.send(name, index).unwrap();
        assert_eq!(queues.receive(names, NOW), Ok(Received { index, message: index }));
        let backwards: Vec<_> = names.iter().rev().collect();
        thread::scope(|scope| {
            let receiver = scope.spawn(|| queues.receive(&backwards, HOUR).unwrap());
            wait_for_receivers(queues, name, 1);
            wait_for_receivers(queues, &names[0], 1);
            queues.send(name, index).unwrap();
            let Received { index: place, message } = receiver.join().unwrap();
            assert_eq!((place, message), (1_023 - index, index));
        });
    }
    assert!(queues.stats().iter().all(|queue| queue.parked_receivers == 0));
}

/// Receivers of other tags and senders that wait for room came first, and sleep on.
#[test]
fn a_message_wakes_a_receiver_of_its_tag() {
    const ROUNDS: usize = 20;

    let _watchdog = watchdog();
    let queues = &with_capacity(1);
    let (others, mine): (_, [Sleeper; ROUNDS]) =
        ([const { Sleeper::new() }; 3], [const { Sleeper::new() }; ROUNDS]);
    queues.send("full", 0).unwrap();
    thread::scope(|scope| {
        let others = &others;
        let enter = move |other: usize| others[other].enter();
        let one = scope.spawn(move || {
            enter(0);
            queues.receive("other", None).unwrap().message
        });
        let several = scope.spawn(move || {
            enter(1);
            queues.receive(["other", "another"], HOUR).unwrap().message
        });
        let sender = scope.spawn(move || {
            enter(2);
            queues.send_timed("full", 1, None)
        });
        wait_for_receivers(queues, "other", 2);
        wait_for_receivers(queues, "another", 1);
        wait_for_senders(queues, "full", 1);
        sleeping(others);
        for (number, sleeper) in mine.iter().enumerate() {
            let receiver = scope.spawn(move || {
                sleeper.enter();
                let tags = [&["full too", "mine"][..], &["mine"]][number % 2];
                queues.receive(tags, None).unwrap().message
            });
            wait_for_receivers(queues, "mine", 1);
            sleeper.wait_until_asleep();
            queues.send("mine", number).unwrap();
            assert_eq!(receiver.join().unwrap(), number);
            assert!(others.iter().all(Sleeper::is_asleep));
        }
        assert_eq!((receivers(queues, "other"), senders(queues, "full")), (2, 1));
        queues.send("another", 7).unwrap();
        assert_eq!(several.join().unwrap(), 7);
        queues.send("other", 8).unwrap();
        assert_eq!(one.join().unwrap(), 8);
        queues.close("full");
        assert!(matches!(sender.join().unwrap(), Err(SendTimedError::Closed(1))));
    });
}

/// The others sleep on. (marl 162.)
#[cfg(target_os = "linux")]
#[test]
fn a_message_wakes_one_receiver() {
    const RECEIVERS: usize = 16;

    let _watchdog = watchdog();
    let (queues, ended) = (Queues::default(), AtomicUsize::new(0));
    let sleepers: [Sleeper; RECEIVERS] = Default::default();
    let sleeps: usize = thread::scope(|scope| {
        let receivers = sleepers.each_ref().map(|sleeper| {
            let (queues, ended) = (&queues, &ended);
            scope.spawn(move || {
                sleeper.enter();
                let before = sleeps();
                queues.receive(["b", "a"], None).unwrap();
                ended.fetch_add(1, SeqCst);
                sleeps() - before
            })
        });
        wait_for_receivers(&queues, "a", RECEIVERS);
        sleeping(&sleepers);
        for sent in 1..=RECEIVERS {
            queues.send(["a", "b"][sent % 2], sent).unwrap();
            wait_until(|| ended.load(SeqCst) == sent);
            wait_for_receivers(&queues, "a", RECEIVERS - sent);
            wait_for_receivers(&queues, "b", RECEIVERS - sent);
        }
        receivers.map(|receiver| receiver.join().unwrap()).into_iter().sum()
    });
    // One each, and a few for locks that were held. If all were woken each time it would be 136.
    assert!(sleeps < 4 * RECEIVERS, "they slept {sleeps} times");
}

#[test]
fn senders_get_room_in_the_order_in_which_they_came() {
    const SENDERS: usize = 5;

    let _watchdog = watchdog();
    let (queues, sleepers): (_, [Sleeper; SENDERS]) = (&with_capacity(1), Default::default());
    queues.send("a", 0).unwrap();
    thread::scope(|scope| {
        for (before, sleeper) in sleepers.iter().enumerate() {
            let number = before + 1;
            scope.spawn(move || {
                sleeper.enter();
                queues.send_timed("a", number, [None, HOUR][number % 2]).unwrap();
            });
            // Counted, and past its last look at the ring.
            wait_for_senders(queues, "a", number);
            sleeper.wait_until_asleep();
        }
        for number in 0..=SENDERS {
            wait_until(|| queues.len("a") == 1);
            assert_eq!(queues.receive("a", None).unwrap().message, number);
        }
    });
}
