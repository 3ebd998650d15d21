//! Defects of bocpy's queues as tests: each is named by what it was about.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::thread;

use crate::common::*;
use pysync_boc::{Limits, Queues, ReceiveError, SendError, SendTimedError};
use pysync_testing::{Sleeper, StressTime, random, together, wait_until, watchdog};

/// A receiver resolved its queue once and parked on it after `set_tags` had replaced that: no send reached
/// it any more. (0.3.0 to 0.14.0.)
#[test]
fn bocpy_6_no_receiver_parks_on_a_queue_that_is_gone() {
    const ROUNDS: usize = if cfg!(debug_assertions) { 300 } else { 3_000 };

    let time = StressTime::begin();
    let queues = Queues::default();
    for round in (0..ROUNDS).take_while(|_| !time.is_up()) {
        let begun = AtomicBool::new(false);
        thread::scope(|scope| {
            let receiver = scope.spawn(|| {
                begun.store(true, SeqCst);
                match round % 3 {
                    0 => queues.receive("a", None),
                    1 => queues.receive(["b", "a"], None),
                    _ => queues.receive(["a", "b"], HOUR),
                }
            });
            wait_until(|| begun.load(SeqCst));
            (0..random(300)).for_each(|_| std::hint::spin_loop());
            // While it is on its way to park. The slots of the two change places.
            queues.set_tags([&["a", "b"], &["b", "a"]][round / 3 % 2]).unwrap();
            queues.send("a", round).unwrap();
            assert_eq!(receiver.join().unwrap().unwrap().message, round);
        });
    }
}

/// While `set_tags` ran, receivers and senders by name failed with errors that were true neither before
/// nor after.
#[test]
fn bocpy_set_tags_gives_those_who_name_kept_tags_no_error() {
    let time = StressTime::begin();
    let (queues, over) = (Queues::new(Limits { tags: 3, capacity: 4 }), AtomicBool::new(false));
    queues.set_tags(&["kept", "x"]).unwrap();
    together(3, |id| {
        let mut count = 0;
        while id > 0 && !over.load(SeqCst) {
            let error = match (id, count % 4) {
                (1, 0) => {
                    queues.send_timed("kept", count, millis(1)).err().and_then(|it| match it {
                        SendTimedError::Timeout(_) => None,
                        error => Some(format!("{error:?}")),
                    })
                }
                (1, _) => queues.send("kept", count).err().and_then(|it| match it {
                    SendError::Full(_) => None,
                    error => Some(format!("{error:?}")),
                }),
                (_, turn) => {
                    let timeout = if turn == 0 { NOW } else { millis(1) };
                    let received = queues.receive("kept", timeout);
                    received
                        .err()
                        .filter(|&it| it != ReceiveError::Timeout)
                        .map(|it| it.to_string())
                }
            };
            assert_eq!(error, None);
            count += 1;
        }
        if id == 0 {
            for swap in 0.. {
                if time.is_up() {
                    break;
                }
                queues.set_tags([&["kept", "x"], &["y", "kept"]][swap % 2]).unwrap();
                if swap % 8 == 0 {
                    thread::yield_now();
                }
            }
            over.store(true, SeqCst);
        }
    });
}

/// (a): a message on the second of two tags, and a timeout of zero.
#[test]
fn bocpy_a_zero_timeout_sees_a_message_on_the_second_tag() {
    let queues = Queues::default();
    for _ in 0..20 {
        queues.send("b", 1).unwrap();
        assert_eq!(queues.receive(["a", "b"], NOW).unwrap().index, 1);
        queues.send("b", 2).unwrap();
        assert_eq!(queues.receive_ordered(["a", "b"], NOW).unwrap().index, 1);
    }
}

/// A receive with a deadline, or of several tags, polled with sleeps of up to a millisecond. Here it sleeps
/// once, and uses no processor.
#[cfg(target_os = "linux")]
#[test]
fn bocpy_a_receive_with_a_deadline_parks_once() {
    let _watchdog = watchdog();
    let queues = &Queues::<u8>::default();
    for (tags, timeout) in [(&["a"][..], HOUR), (&["a", "b"], None), (&["a", "b", "c"], HOUR)] {
        let sleeper = Sleeper::new();
        thread::scope(|scope| {
            let receiver = scope.spawn(|| {
                sleeper.enter();
                let before = sleeps();
                queues.receive(tags, timeout).unwrap();
                sleeps() - before
            });
            wait_for_receivers(queues, "a", 1);
            sleeper.wait_until_asleep();
            // Time in which a receiver that polls would wake a hundred times.
            _ = queues.receive("other", millis(100)).unwrap_err();
            queues.send("a", 1).unwrap();
            let sleeps = receiver.join().unwrap();
            // One for the message, and a few for locks that were held.
            assert!((1..20).contains(&sleeps), "it slept {sleeps} times");
        });
    }
}

/// `set_tags` with a bad element left the slots up to it disabled until the next good call.
#[test]
fn bocpy_set_tags_with_a_bad_element_leaves_every_slot_usable() {
    let queues = Queues::default();
    queues.send("a", 1).unwrap();
    for _ in 0..3 {
        queues.set_tags(&["a", "b", "a"]).unwrap_err();
        queues.set_tags(&["x"; 17]).unwrap_err();
    }
    for number in 1..16 {
        queues.send(number.to_string(), 1).unwrap();
    }
    assert!(matches!(queues.send("16", 1), Err(SendError::NoTagLeft(1))));
    assert_eq!(queues.receive("a", NOW).unwrap().message, 1);
}

/// To start the runtime took three tags away and dropped what had been sent. Two queues do not meet.
#[test]
fn bocpy_queues_of_two_owners_do_not_meet() {
    let [ours, theirs] = [Queues::default(), Queues::default()];
    for number in 0..16 {
        ours.send(format!("{number}"), number).unwrap();
    }
    assert_eq!(theirs.set_tags(&["boc_behavior", "boc_cleanup", "boc_noticeboard"]).unwrap(), 0);
    theirs.drain("boc_behavior");
    for number in 0..16 {
        assert_eq!(ours.receive(format!("{number}"), NOW).unwrap().message, number);
    }
}

/// A drain did not return while senders went on.
#[test]
fn bocpy_a_drain_ends_while_senders_go_on() {
    const SENDERS: usize = 3;

    let _watchdog = watchdog();
    let (queues, over) = (with_capacity(64), AtomicBool::new(false));
    let (sent, drained) = (AtomicUsize::new(0), AtomicUsize::new(0));
    together(SENDERS + 1, |id| {
        if id < SENDERS {
            while !over.load(SeqCst) {
                let _ = queues.send(["a", "b"][id % 2], id).map(|()| sent.fetch_add(1, SeqCst));
            }
            return;
        }
        let drain_until = |enough: &dyn Fn() -> bool| {
            while !enough() {
                let count = queues.drain(["a", "b"]);
                // What is there at the call and no more, though room is made all the time.
                assert!(count <= 2 * 64, "{count}");
                drained.fetch_add(count, SeqCst);
            }
        };
        drain_until(&|| drained.load(SeqCst) > 20_000);
        over.store(true, SeqCst);
    });
    let left = queues.drain(["a", "b"]);
    assert_eq!(sent.into_inner(), drained.into_inner() + left);
}

/// Slots without sequence numbers: a consumer spun while a producer that was preempted had claimed but not
/// filled a slot. Many more threads than processors, and every receiver looks only once.
#[test]
fn bocpy_a_preempted_sender_keeps_no_receiver_busy() {
    const SENDERS: usize = 8;
    const EACH: usize = 2_000;

    let _watchdog = watchdog();
    let (queues, received) = (with_capacity(16), AtomicUsize::new(0));
    together(SENDERS + 2, |id| {
        if id < SENDERS {
            for number in 0..EACH {
                queues.send_timed("a", number, None).unwrap();
            }
        } else {
            while received.load(SeqCst) < SENDERS * EACH {
                match queues.receive("a", NOW) {
                    Ok(_) => _ = received.fetch_add(1, SeqCst),
                    Err(ReceiveError::Timeout) => thread::yield_now(),
                    Err(error) => panic!("{error}"),
                }
            }
        }
    });
    assert!(queues.is_empty("a"));
}
