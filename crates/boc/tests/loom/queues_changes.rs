//! Queues whose names are set, that are closed and drained, under the hands of those who use them.

use pysync_boc::{ReceiveError, SendError, SendTimedError};
use pysync_testing::model::Explore;

use crate::queues_model::{Shared, empty, full, receive_one, three};

fn set_tags(s: &Shared) {
    s.sent[1].set(s.queues.set_tags(&["b", "a"]).unwrap() as u32);
}

fn receive_by_tag(s: &Shared) {
    match s.queues.receive(s.a, None) {
        Ok(received) => s.got(0, received.message),
        Err(error) => assert_eq!(error, ReceiveError::Stale),
    }
}

fn send_by_tag(s: &Shared) {
    match s.queues.send(s.a, 1) {
        Ok(()) => s.sent[0].set(1),
        Err(error) => assert!(matches!(error, SendError::Stale(1)), "{error}"),
    }
}

#[test]
fn set_tags_ends_receivers_by_tag() {
    Explore::new("set_tags, receive").bounded().run(empty(1), [receive_by_tag, set_tags], |s| {
        assert_eq!(s.received[0].get(), 0);
        s.is_over();
    });
}

/// One by name goes on with the new queue of that name, or ends.
#[test]
fn set_tags_wakes_receivers_by_name() {
    fn by_name(s: &Shared) {
        match s.queues.receive("a", None) {
            Ok(received) => s.got(0, received.message),
            // The name is gone before the call, or during its wait.
            Err(error) => assert!(matches!(error, ReceiveError::NoTagLeft | ReceiveError::Stale)),
        }
    }
    fn set_others(s: &Shared) {
        s.queues.set_tags(&["b"]).unwrap();
    }
    fn set_and_send(s: &Shared) {
        s.queues.set_tags(&["b", "a"]).unwrap();
        s.queues.send("a", 1).unwrap();
    }
    let model = Explore::new("set_tags, receive by a name that is gone").preemptions(2);
    model.run(empty(1), [by_name, set_others], Shared::is_over);
    let model = Explore::new("set_tags, receive by name").preemptions(2);
    model.run(empty(1), [by_name, set_and_send], |s| {
        assert_eq!(s.received[0].get(), 1);
        s.is_over();
    });
}

/// What has been sent is received or discarded. One that has taken its position before comes back.
#[test]
fn set_tags_discards_or_gives_back() {
    Explore::new("set_tags, send").run(empty(1), [send_by_tag, set_tags], |s| {
        assert_eq!(s.sent[0].get(), s.sent[1].get());
        s.is_over();
    });
    let bodies = [receive_by_tag, send_by_tag, set_tags];
    Explore::new("set_tags, send, receive").preemptions(1).run(empty(1), bodies, |s| {
        assert_eq!(s.sent[0].get(), s.received[0].get() + s.sent[1].get());
        s.is_over();
    });
}

/// A send by name does not fail: it goes to the old queue or to the new one.
#[test]
fn set_tags_lets_sends_by_name_succeed() {
    fn send_two(s: &Shared) {
        s.queues.send("a", 1).unwrap();
        s.queues.send("a", 2).unwrap();
    }
    let model = Explore::new("set_tags, send by name").preemptions(2);
    model.run(empty(2), [send_two, set_tags], |s| {
        assert_eq!(s.queues.drain("a") as u32 + s.sent[1].get(), 2);
        s.is_over();
    });
}

#[test]
fn set_tags_wakes_senders() {
    fn by_name(s: &Shared) {
        s.queues.send_timed("a", 2, None).unwrap();
    }
    fn by_tag(s: &Shared) {
        let error = s.queues.send_timed(s.a, 2, None).unwrap_err();
        assert!(matches!(error, SendTimedError::Stale(2)));
    }
    let model = Explore::new("set_tags, send_timed by name").preemptions(2);
    model.run(full, [by_name, set_tags], |s| {
        assert_eq!((s.sent[1].get(), s.queues.drain("a")), (1, 1));
        s.is_over();
    });
    let model = Explore::new("set_tags, send_timed by tag").bounded();
    model.run(full, [by_tag, set_tags], Shared::is_over);
}

/// The cell of a sender that was preempted is free again once it has taken its message back.
#[test]
fn set_tags_leaves_a_cell_to_its_sender_for_a_while() {
    fn set_and_send(s: &Shared) {
        set_tags(s);
        s.queues.send_timed("b", 2, None).unwrap();
    }
    let model = Explore::new("set_tags, send_timed after a send").preemptions(2);
    model.run(empty(1), [send_by_tag, set_and_send], |s| {
        assert_eq!((s.sent[0].get(), s.queues.drain("b")), (s.sent[1].get(), 1));
        s.is_over();
    });
}

/// No look-up finds the new slot of a name with the old number of changes: that is the tag of `b`.
#[test]
fn set_tags_is_one_step_for_a_look_up() {
    fn look_up(s: &Shared) {
        assert_ne!(s.queues.tag("a").unwrap(), s.b);
    }
    let model = Explore::new("set_tags, look-up").preemptions(2);
    model.run(empty(1), [look_up, set_tags], Shared::is_over);
}

fn close(s: &Shared) {
    s.queues.close(s.a);
}

/// A receiver that may find the queue closed.
fn receive_or_end(s: &Shared, thread: usize) -> bool {
    match s.queues.receive(s.a, None) {
        Ok(received) => s.got(thread, received.message),
        Err(error) => {
            assert_eq!(error, ReceiveError::Closed);
            return false;
        }
    }
    true
}

fn receive_all(s: &Shared) {
    while receive_or_end(s, 0) {}
}

/// What is there is received first.
#[test]
fn close_ends_receivers_once_all_is_received() {
    fn send_and_close(s: &Shared) {
        s.send(0, s.a, 1);
        close(s);
        assert!(matches!(s.queues.send(s.a, 2), Err(SendError::Closed(2))));
    }
    Explore::new("close, receive").bounded().run(empty(1), [receive_all, send_and_close], |s| {
        assert_eq!(s.received[0].get(), 1);
        s.is_over();
    });

    fn close_both(s: &Shared) {
        s.queues.close(s.a);
        s.queues.close(s.b);
    }
    fn either(s: &Shared) {
        assert_eq!(s.queues.receive([s.a, s.b], None), Err(ReceiveError::Closed));
    }
    Explore::new("close both of 2").bounded().run(empty(1), [either, close_both], Shared::is_over);
}

fn send_or_fail(s: &Shared) {
    match s.queues.send(s.a, 1) {
        Ok(()) => s.sent[0].set(1),
        Err(error) => assert!(matches!(error, SendError::Closed(1))),
    }
}

/// The last message may be one whose sender has taken its position before the close.
#[test]
fn close_waits_for_a_sender_that_was_preempted() {
    three("close, send, receive").run(empty(1), [receive_all, send_or_fail, close], |s| {
        assert_eq!(s.received[0].get(), s.sent[0].get());
        s.is_over();
    });
}

/// The receiver that takes the last message wakes the other: both may have parked after the close, since
/// the sender had taken its position before and was preempted.
#[test]
fn close_ends_all_receivers() {
    fn one(s: &Shared) {
        receive_or_end(s, 0);
    }
    fn close_and_receive(s: &Shared) {
        close(s);
        receive_or_end(s, 1);
    }
    let model = Explore::new("close, 2 receivers").preemptions(1);
    model.run(empty(1), [one, close_and_receive, send_or_fail], |s| {
        assert_eq!(s.received[0].get() + s.received[1].get(), s.sent[0].get());
        s.is_over();
    });
}

/// Room that a drain makes is given to a sender that waits; a close ends its wait.
#[test]
fn drain_and_close_wake_senders() {
    fn send(s: &Shared) {
        s.queues.send_timed(s.a, 2, None).unwrap();
    }
    fn drain(s: &Shared) {
        s.sent[1].set(s.queues.drain(s.a) as u32);
    }
    Explore::new("drain, send_timed").bounded().run(full, [send, drain], |s| {
        assert!(s.sent[1].get() >= 1);
        assert_eq!(s.sent[1].get() as usize + s.queues.drain(s.a), 2);
        s.is_over();
    });

    fn send_until_closed(s: &Shared) {
        let error = s.queues.send_timed(s.a, 2, None).unwrap_err();
        assert!(matches!(error, SendTimedError::Closed(2)));
    }
    Explore::new("close, send_timed").bounded().run(full, [send_until_closed, close], |s| {
        assert_eq!(s.queues.drain(s.a), 1);
        s.is_over();
    });
}

#[test]
fn drain_takes_no_message_twice() {
    fn drain_then_send(s: &Shared) {
        s.queues.drain(s.a);
        s.send(1, s.a, 2);
    }
    Explore::new("drain, receive").bounded().run(full, [receive_one, drain_then_send], |s| {
        s.queues.drain(s.a);
        s.is_over();
    });
}
