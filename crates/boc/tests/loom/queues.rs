//! Queues: the ring, and receivers and senders that park.

use pysync_boc::SendTimedError;
use pysync_testing::model::Explore;

use crate::queues_model::{
    AT_ONCE, SOON, Shared, and, empty, full, receive_one, send_one, sorted, three,
};

fn send_two(s: &Shared) {
    s.send(0, s.a, 1);
    s.send(0, s.a, 2);
}

fn send_another(s: &Shared) {
    s.send(1, s.a, 2);
}

fn receive_another(s: &Shared) {
    s.receive(1, s.a);
}

fn receive_two(s: &Shared) {
    s.receive(0, s.a);
    s.receive(0, s.a);
}

fn try_twice(s: &Shared) {
    s.try_receive(0, s.a, AT_ONCE);
    s.try_receive(0, s.a, AT_ONCE);
}

/// What is sent is received once and in its order, in a ring that wraps around, is full and is empty.
#[test]
fn ring_wraps_around_and_is_full_and_empty() {
    fn send_three(s: &Shared) {
        (1..4).for_each(|message| s.send(0, s.a, message));
    }
    for capacity in [1, 2] {
        let model = Explore::new(format!("ring of {capacity}, 3 messages"));
        model.run(empty(capacity), [send_three, try_twice], |s| {
            assert_eq!(s.all(), s.sent[0].get());
            s.is_over();
        });
    }
}

/// Each message is received by one thread, though a sender or a receiver is preempted.
#[test]
fn ring_gives_each_message_to_one_receiver() {
    fn try_once(s: &Shared) {
        s.try_receive(0, s.a, AT_ONCE);
    }
    fn try_too(s: &Shared) {
        s.try_receive(1, s.a, AT_ONCE);
    }
    for capacity in [1, 2] {
        let model = three(&format!("ring of {capacity}, 2 senders"));
        model.run(empty(capacity), [send_one, send_another, try_twice], |s| {
            assert_eq!(sorted(s.all()), sorted(and(s.sent[0].get(), s.sent[1].get())));
            s.is_over();
        });
    }
    // The second finds the cell taken that is its own a lap later, and does not wait for the first.
    Explore::new("ring of 1, 2 receivers").run(full, [try_once, try_too], |s| {
        assert_eq!(s.all(), 1);
        s.is_over();
    });
    three("ring of 2, 2 receivers").run(empty(2), [send_two, try_once, try_too], |s| {
        assert_eq!(sorted(s.all()), 12);
        s.is_over();
    });
}

/// Whatever a thread sees of the two ends of a ring, there are not more messages than were sent.
#[test]
fn ring_is_counted_at_one_moment() {
    fn send_and_receive(s: &Shared) {
        send_one(s);
        try_twice(s);
    }
    fn count(s: &Shared) {
        assert!(s.queues.len(s.a) <= 1);
    }
    Explore::new("len").run(empty(2), [send_and_receive, count], Shared::is_over);
    let bodies = [send_one, receive_one, count];
    three("len, 3 threads").run(empty(2), bodies, Shared::is_over);
}

#[test]
fn receiver_that_parks_is_woken() {
    fn in_time(s: &Shared) {
        s.try_receive(0, s.a, SOON);
    }
    Explore::new("park, send").bounded().run(empty(2), [receive_one, send_one], |s| {
        assert_eq!(s.received[0].get(), 1);
        s.is_over();
    });
    Explore::new("timed park, send").bounded().run(empty(2), [in_time, send_one], |s| {
        assert_eq!(s.all(), 1);
        s.is_over();
    });
    let bodies = [receive_another, in_time, send_two];
    Explore::new("park and timed park, send 2").preemptions(1).run(empty(2), bodies, |s| {
        assert_eq!(sorted(s.all()), 12);
        s.is_over();
    });
}

/// A receiver that meets a position which is taken but not filled parks, and the sender wakes it.
#[test]
fn receiver_is_woken_by_a_sender_that_was_preempted() {
    three("park, 2 senders").run(empty(2), [receive_one, send_one, send_another], |s| {
        assert_eq!(sorted(s.all()), 12);
        s.is_over();
    });
    let bodies = [receive_two, send_one, send_another];
    Explore::new("park twice, 2 senders").preemptions(1).run(empty(2), bodies, |s| {
        assert_eq!(sorted(s.all()), 12);
        s.is_over();
    });
}

/// The receiver is woken once for each, and both messages come out.
#[test]
fn receiver_on_two_tags_gets_both_messages() {
    fn receive_either_twice(s: &Shared) {
        for _ in 0..2 {
            let received = s.queues.receive([s.a, s.b], None).unwrap();
            assert_eq!(received.index as u32 + 1, received.message);
            s.got(0, received.message);
        }
    }
    fn send_to_b(s: &Shared) {
        s.send(1, s.b, 2);
    }
    let model = Explore::new("2 tags, 2 senders").preemptions(1);
    model.run(empty(1), [receive_either_twice, send_one, send_to_b], |s| {
        assert_eq!(sorted(s.all()), 12);
        s.is_over();
    });
}

fn b_only(s: &Shared) {
    s.receive(1, s.b);
}

/// A receiver that was woken for a message of `b`, and leaves with one of `a`, lets the other have it.
#[test]
fn receiver_that_leaves_with_another_message_passes_its_wake_on() {
    fn a_first(s: &Shared) {
        let received = s.queues.receive_ordered([s.a, s.b], None).unwrap();
        s.got(0, received.message);
        if received.message == 2 {
            // The other one needs it.
            s.send(1, s.b, 2);
        }
    }
    fn send_b_and_a(s: &Shared) {
        s.send(0, s.b, 2);
        s.send(0, s.a, 1);
    }
    let model = Explore::new("overlapping sets").preemptions(1);
    model.run(empty(2), [a_first, b_only, send_b_and_a], |s| {
        assert_eq!(s.received[1].get(), 2);
        _ = s.all();
        s.is_over();
    });
}

/// The message of a receiver that times out is there for the next one.
#[test]
fn receiver_that_leaves_with_nothing_takes_no_wake_with_it() {
    fn either_in_time(s: &Shared) {
        if let Ok(received) = s.queues.receive_ordered([s.a, s.b], SOON) {
            s.got(0, received.message);
        }
    }
    fn send_b_twice(s: &Shared) {
        s.send(0, s.b, 2);
        s.send(0, s.b, 3);
    }
    let model = Explore::new("overlapping sets, one in time").preemptions(1);
    model.run(empty(2), [either_in_time, b_only, send_b_twice], |s| {
        assert_eq!(sorted(s.all()), 23);
        s.is_over();
    });
}

#[test]
fn sender_that_waits_for_room_is_woken() {
    fn send_three(s: &Shared) {
        (1..4).for_each(|message| s.queues.send_timed(s.a, message, None).unwrap());
    }
    for capacity in [1, 2] {
        let model = Explore::new(format!("3 through {capacity}")).preemptions(2);
        model.run(empty(capacity), [send_three, receive_two], |s| {
            assert_eq!(s.all(), 123);
            s.is_over();
        });
    }

    fn send_two_in_time(s: &Shared) {
        for message in 1..3 {
            match s.queues.send_timed(s.a, message, SOON) {
                Ok(()) => s.sent[0].update(|sent| *sent = *sent * 10 + message),
                Err(error) => assert!(matches!(error, SendTimedError::Timeout(_))),
            }
        }
    }
    let model = Explore::new("2 through 1 in time").bounded();
    model.run(empty(1), [send_two_in_time, receive_one], |s| {
        assert_eq!(s.all(), s.sent[0].get());
        s.is_over();
    });
}

/// The one that gets the room wakes the next as soon as there is more.
#[test]
fn senders_that_wait_for_room_are_woken_one_by_one() {
    fn send_too(s: &Shared) {
        s.queues.send_timed(s.a, 2, None).unwrap();
    }
    fn send_as_well(s: &Shared) {
        s.queues.send_timed(s.a, 3, None).unwrap();
    }
    let model = Explore::new("2 senders wait for room").preemptions(0);
    model.run(full, [send_too, send_as_well, receive_two], |s| {
        assert_eq!(sorted(s.all()), 123);
        s.is_over();
    });
}
