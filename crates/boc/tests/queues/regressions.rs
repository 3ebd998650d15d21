//! Bugs that other channels have had, as tests: each is named by where it was found.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::*;
use pysync_boc::{Limits, Queues, ReceiveError, SendTimedError};
use pysync_testing::{
    Sleeper, StressTime, random, report_stress, sleeping, together, wait_until, watchdog,
};

/// A receiver of several channels hung though messages came, when others received from the same ones.
#[test]
fn flume_44_receivers_of_the_same_tags_do_not_hang() {
    const EACH: usize = 3_000;

    let _watchdog = watchdog();
    let queues = Queues::default();
    let received = AtomicUsize::new(0);
    together(6, |id| {
        if id < 2 {
            for number in 0..EACH {
                queues.send(["a", "b"][(number + id) % 2], number).unwrap();
                // Now and then all must have been received before the next comes.
                if number % 16 == 0 {
                    wait_until(|| queues.is_empty("a") && queues.is_empty("b"));
                }
            }
            if id == 0 {
                wait_until(|| received.load(SeqCst) == 2 * EACH);
                ["a", "b"].iter().for_each(|tag| queues.close(*tag));
            }
        } else {
            let tags = [["a", "b"], ["b", "a"]][id % 2];
            while queues.receive(tags, [None, HOUR][id / 2 % 2]).is_ok() {
                received.fetch_add(1, SeqCst);
            }
        }
    });
    assert_eq!(received.into_inner(), 2 * EACH);
}

/// Two messages for two receivers of the same two channels: the one that was woken for both took one, and
/// the other slept beside the second.
#[test]
fn flume_135_two_messages_wake_two_receivers() {
    let time = StressTime::begin();
    let queues = &Queues::default();
    let [turns, left] = &[const { AtomicUsize::new(0) }; 2];
    let over = &AtomicBool::new(false);
    thread::scope(|scope| {
        for id in 0..2 {
            scope.spawn(move || {
                for round in 0.. {
                    let tags = if (round + id) % 3 == 0 { ["b", "a"] } else { ["a", "b"] };
                    queues.receive(tags, [None, HOUR][round % 2]).unwrap();
                    left.fetch_sub(1, SeqCst);
                    wait_until(|| turns.load(SeqCst) > round);
                    if over.load(SeqCst) {
                        break;
                    }
                }
            });
        }
        for round in 0.. {
            if round % 4 > 0 {
                ["a", "b"].iter().for_each(|tag| wait_for_receivers(queues, tag, 2));
            }
            left.store(2, SeqCst);
            if round % 2 == 0 {
                queues.send("a", 0).unwrap();
                queues.send("b", 0).unwrap();
            } else {
                together(2, |id| queues.send(["a", "b"][id], 0).unwrap());
            }
            wait_until(|| left.load(SeqCst) == 0);
            let is_last = time.is_up();
            over.store(is_last, SeqCst);
            turns.store(round + 1, SeqCst);
            if is_last {
                break;
            }
        }
    });
}

/// A wait that a deadline ends took the message of another with it: what woke it was meant for one that
/// slept on.
#[test]
fn flume_135_a_receiver_that_leaves_passes_its_wake_on() {
    const ROUNDS: u64 = if cfg!(debug_assertions) { 200 } else { 500 };

    let time = StressTime::begin();
    let queues = &Queues::default();
    let mut outcomes = [0; 2];
    for round in (0..ROUNDS).take_while(|_| !time.is_up()) {
        thread::scope(|scope| {
            let timeout = Some(Duration::from_micros(round % 80));
            let timed = scope.spawn(move || queues.receive(["a", "b"], timeout).is_ok());
            let stays = scope.spawn(|| queues.receive(["b", "a"], None).unwrap().message);
            (0..random(2_000)).for_each(|_| std::hint::spin_loop());
            queues.send(["a", "b"][round as usize % 2], round).unwrap();
            // Whichever has got it: if it is the one that leaves, there is another for the other.
            let left_with_it = timed.join().unwrap();
            outcomes[usize::from(left_with_it)] += 1;
            if left_with_it {
                queues.send("b", round).unwrap();
            }
            assert_eq!(stays.join().unwrap(), round);
        });
        assert!(queues.is_empty("a") && queues.is_empty("b"));
    }
    println!("{outcomes:?}");
}

/// A receiver that was woken for one channel took a message of another, and what had woken it stayed beside
/// one that slept.
#[test]
fn flume_135_a_receiver_that_takes_another_message_passes_its_wake_on() {
    const ROUNDS: usize = if cfg!(debug_assertions) { 200 } else { 500 };

    let time = StressTime::begin();
    let queues = &Queues::default();
    let mut outcomes = [0; 2];
    for round in (0..ROUNDS).take_while(|_| !time.is_up()) {
        thread::scope(|scope| {
            let timeout = [None, HOUR][round % 2];
            let first = scope.spawn(move || queues.receive_ordered(["b", "a"], timeout));
            wait_for_receivers(queues, "a", 1);
            let second = scope.spawn(move || queues.receive("a", timeout));
            wait_for_receivers(queues, "a", 2);
            // It wakes the first, which finds the next one, too, unless it is very quick.
            queues.send("a", round).unwrap();
            queues.send("b", round).unwrap();
            let taken = first.join().unwrap().unwrap().index;
            outcomes[taken] += 1;
            if taken == 1 {
                queues.send("a", round).unwrap();
                assert_eq!(queues.drain("b"), 1);
            }
            assert_eq!(second.join().unwrap().unwrap().message, round);
        });
        assert!(queues.is_empty("a") && queues.is_empty("b"));
    }
    println!("{outcomes:?}");
}

/// To wait with nothing to wait for slept for ever, or panicked.
#[test]
fn flume_176_a_wait_without_tags_ends_at_once() {
    let queues = Queues::<u8>::default();
    let none: [&str; 0] = [];
    for timeout in [None, HOUR, NOW] {
        assert_eq!(queues.receive(none, timeout).unwrap_err(), ReceiveError::NoTags);
        assert_eq!(queues.receive_ordered(&none[..], timeout).unwrap_err(), ReceiveError::NoTags);
    }
}

/// Early returns without a fence, or without a second look: the receiver looked at the channel, and the
/// sender at the receivers, before the other had written, and both found nothing. (event-listener 138 and
/// 139, brpc 3539.)
#[test]
fn event_listener_138_a_message_that_comes_as_the_receiver_parks_is_not_missed() {
    const LAST: usize = usize::MAX;

    let time = StressTime::begin();
    let (queues, begun) = (with_capacity(1), AtomicUsize::new(0));
    together(2, |id| {
        for round in 1.. {
            let tags = [&["a"][..], &["a", "b"], &["b", "a"]][round / 16 % 3];
            if id == 0 {
                begun.store(round, Release);
                match queues.receive(tags, [None, HOUR][round % 2]).unwrap().message {
                    LAST => break,
                    message => assert_eq!(message, round),
                }
            } else {
                wait_until(|| begun.load(Acquire) == round);
                // Some time on its way from its first look to its sleep.
                let spins = if round % 64 < 32 { 1_000 } else { 100 };
                (0..random(spins)).for_each(|_| std::hint::spin_loop());
                let is_last = time.is_up();
                queues.send("a", if is_last { LAST } else { round }).unwrap();
                if is_last {
                    report_stress(|| format!("{round} rounds"));
                    break;
                }
            }
        }
    });
    assert_eq!(receivers(&queues, "a"), 0);
}

/// Priorities took years to come, and a biased select could starve: both kinds are there, each by its
/// name. (And 288, 1040.)
#[test]
fn crossbeam_1145_the_order_of_tags_is_a_priority_if_asked_for() {
    let queues = Queues::new(Limits { tags: 2, capacity: 10 });
    let fill = || {
        for name in ["urgent", "other"] {
            while queues.send(name, ()).is_ok() {}
        }
    };
    fill();
    for _ in 0..10 {
        assert_eq!(queues.receive_ordered(["urgent", "other"], None).unwrap().index, 0);
    }
    assert_eq!(queues.receive_ordered(["urgent", "other"], None).unwrap().index, 1);
    // In turn, neither waits for the other to be empty.
    fill();
    let others = (0..10).filter(|_| {
        let received = queues.receive(["urgent", "other"], None).unwrap();
        queues.send(["urgent", "other"][received.index], ()).unwrap();
        received.index == 1
    });
    assert!((2..=8).contains(&others.count()));
}

/// Receivers could not be told to end without losing what was still in the channel. (And 236.)
#[test]
fn crossbeam_959_a_close_loses_no_message() {
    const EACH: usize = 500;

    let time = StressTime::begin();
    while !time.is_up() {
        let (queues, live) = (with_capacity(64), Live::default());
        let [sent, received] = [const { AtomicUsize::new(0) }; 2];
        together(5, |id| match id {
            0 | 1 => {
                for number in 0..EACH {
                    match queues.send_timed(["a", "b"][id], live.value(number), None) {
                        Ok(()) => _ = sent.fetch_add(1, SeqCst),
                        Err(SendTimedError::Closed(_)) => break,
                        Err(error) => panic!("{error}"),
                    }
                }
            }
            2 => {
                wait_until(|| sent.load(SeqCst) > EACH / 4);
                (0..random(2_000)).for_each(|_| std::hint::spin_loop());
                queues.close("b");
                queues.close("a");
            }
            _ => loop {
                match queues.receive(["a", "b"], None) {
                    Ok(_) => _ = received.fetch_add(1, SeqCst),
                    Err(error) => break assert_eq!(error, ReceiveError::Closed),
                }
            },
        });
        assert_eq!(sent.into_inner(), received.into_inner());
        assert_eq!(live.count(), 0);
    }
}

/// The last message and the close come one right after the other, while a receiver looks.
#[test]
fn crossbeam_959_a_message_right_before_the_close_is_received() {
    let time = StressTime::begin();
    let (queues, rounds) = (Queues::default(), [const { AtomicUsize::new(0) }; 2]);
    let over = AtomicBool::new(false);
    together(2, |id| {
        for round in 1.. {
            // The receiver is at work already when the sender begins.
            rounds[id].store(round, SeqCst);
            wait_until(|| id == 1 || rounds[1].load(SeqCst) == round);
            if id == 0 {
                (0..random(200)).for_each(|_| std::hint::spin_loop());
                queues.send("a", round).unwrap();
                queues.close("a");
                wait_until(|| rounds[1].load(SeqCst) != round);
                queues.set_tags(&[]).unwrap();
                over.store(time.is_up(), SeqCst);
                rounds[1].store(usize::MAX, SeqCst);
            } else {
                let received = loop {
                    match queues.receive(["a", "a"], NOW) {
                        Err(ReceiveError::Timeout) => {}
                        received => break received,
                    }
                };
                assert_eq!(received.map(|received| received.message), Ok(round));
                rounds[1].store(0, SeqCst);
                wait_until(|| rounds[1].load(SeqCst) == usize::MAX);
            }
            if over.load(SeqCst) {
                break;
            }
        }
    });
}

/// A channel dropped a message twice when it was dropped while others were at its blocks; here each is
/// dropped once however the queues end.
#[test]
fn crossbeam_1187_each_message_is_dropped_once() {
    let _watchdog = watchdog();
    for round in 0..60 {
        let (queues, live) = (with_capacity(5), Live::default());
        together(4, |id| {
            for number in 0..100 {
                match (id, number % 25) {
                    (0 | 1, _) => drop(queues.send(["a", "b"][number % 2], live.value(number))),
                    (2, 24) => _ = queues.drain(["a", "b"]),
                    (2, _) => drop(queues.receive(["a", "b"], NOW)),
                    (_, 12) => _ = queues.set_tags(&["b", "a"]).unwrap(),
                    _ => _ = queues.receive_many("a", &mut Vec::new(), 3, NOW),
                }
            }
        });
        if round % 2 == 0 {
            queues.set_tags(&[]).unwrap();
            assert_eq!(live.count(), 0);
        }
        drop(queues);
        assert_eq!(live.count(), 0);
    }
}

/// `ready_timeout` came back though nothing was ready. (Solana 21981.) A receive has a message or an error,
/// and `Timeout` is never early.
#[test]
fn crossbeam_ready_timeout_no_timeout_is_early() {
    const TIMEOUT: Duration = Duration::from_millis(3);

    let _watchdog = watchdog();
    let (queues, over) = (Queues::default(), AtomicBool::new(false));
    together(4, |id| {
        if id < 2 {
            // They compete, so that a wake may find nothing left.
            for _ in 0..100 {
                let started = Instant::now();
                if let Err(error) = queues.receive(["a", "b"], Some(TIMEOUT)) {
                    assert_eq!(error, ReceiveError::Timeout);
                    assert!(started.elapsed() >= TIMEOUT, "early");
                }
            }
            over.store(true, SeqCst);
        }
        while id == 2 && !over.load(SeqCst) {
            queues.send(["a", "b"][random(2)], ()).unwrap();
            let _ = queues.receive(["a", "b"], NOW);
            (0..random(100)).for_each(|_| thread::yield_now());
        }
        while id == 3 && !over.load(SeqCst) {
            queues.drain("a");
            thread::yield_now();
        }
    });
}

/// `recv_timeout` panicked when the last sender was dropped, or a message came, as the time was up.
#[test]
fn std_39364_a_message_or_a_close_at_the_deadline_is_one_or_the_other() {
    const ROUNDS: u64 = if cfg!(debug_assertions) { 200 } else { 500 };

    let time = StressTime::begin();
    for round in (0..ROUNDS).take_while(|_| !time.is_up()) {
        let queues = Queues::default();
        let timeout = Duration::from_micros(round % 60);
        let received = thread::scope(|scope| {
            let receiver = scope.spawn(|| queues.receive(["a", "b"], Some(timeout)));
            let started = Instant::now();
            while started.elapsed() < timeout {}
            if round % 2 == 0 {
                queues.send("b", round).unwrap();
            } else {
                ["a", "b"].iter().for_each(|tag| queues.close(*tag));
            }
            receiver.join().unwrap()
        });
        match received {
            Ok(received) => assert_eq!((received.message, round % 2), (round, 0)),
            Err(ReceiveError::Timeout) => {
                // Then the message is still there.
                assert_eq!(queues.receive("b", NOW).is_ok(), round % 2 == 0);
            }
            Err(error) => assert_eq!((error, round % 2), (ReceiveError::Closed, 1)),
        }
    }
}

/// A blocked sender hid the receiver's wake from others: with room for one, senders and receivers that all
/// wait go on, one by one.
#[test]
fn nearcore_3814_blocked_senders_and_receivers_go_on() {
    const SENDERS: usize = 3;
    const EACH: usize = 1_000;

    let _watchdog = watchdog();
    let queues = with_capacity(1);
    let sleepers: [Sleeper; SENDERS] = Default::default();
    queues.send("a", 0).unwrap();
    thread::scope(|scope| {
        for sleeper in &sleepers {
            let queues = &queues;
            scope.spawn(move || {
                sleeper.enter();
                (0..EACH).for_each(|number| queues.send_timed("a", number, None).unwrap());
            });
        }
        wait_for_senders(&queues, "a", SENDERS);
        sleeping(&sleepers);
        for received in 0..=SENDERS * EACH {
            let timeout = [NOW, None, HOUR][received.min(1) * (1 + received % 2)];
            queues.receive(["b", "a"], timeout).unwrap();
        }
    });
    assert_eq!((senders(&queues, "a"), queues.len("a")), (0, 0));
}
