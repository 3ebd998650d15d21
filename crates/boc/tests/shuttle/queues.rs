//! Queues with more threads than loom can take, whose waits end at signals, deadlines, closes and changes
//! of the names.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use pysync_boc::{Limits, Queues, ReceiveError, SendTimedError, Tag};
use pysync_parking_lot::{Native, PendingCallError};
use pysync_platform::{Deadline, LockFlags};
use pysync_testing::model::TryOut;
use shuttle::rand::Rng;

const SOON: Option<Duration> = Some(Duration::from_millis(5));
const AT_ONCE: Option<Duration> = Some(Duration::ZERO);
const SCHEDULES: usize = 8_000;

struct Shared {
    queues: Queues<Message>,
    a: Tag,
    b: Tag,
    received: AtomicUsize,
}

/// A message that can be received once.
#[derive(Debug, PartialEq, Eq)]
struct Message(Box<u32>);

impl Shared {
    fn new(capacity: usize) -> Self {
        let queues = Queues::new(Limits { tags: 2, capacity });
        let (a, b) = (queues.tag("a").unwrap(), queues.tag("b").unwrap());
        Self { queues, a, b, received: AtomicUsize::new(0) }
    }

    fn got(&self, message: Message) {
        assert!(*message.0 < 2);
        self.received.fetch_add(1, Relaxed);
    }

    fn send(&self, to: Tag) {
        self.queues.send_timed(to, Message(Box::new(u32::from(to == self.b))), None).unwrap();
    }

    /// So many messages have been received in all, and none is left.
    fn is_over(&self, messages: usize) {
        while let Ok(received) = self.queues.receive([self.a, self.b], AT_ONCE) {
            self.got(received.message);
        }
        assert_eq!(self.received.load(Relaxed), messages);
        self.is_quiet();
    }

    fn is_quiet(&self) {
        for stats in self.queues.stats() {
            assert_eq!((stats.parked_receivers, stats.parked_senders, stats.len), (0, 0, 0));
        }
    }
}

fn random(below: u32) -> u32 {
    shuttle::rand::thread_rng().gen_range(0..below)
}

fn receive_a(s: &Shared) {
    s.got(s.queues.receive(s.a, None).unwrap().message);
}

fn receive_either(s: &Shared) {
    s.got(s.queues.receive([s.a, s.b], None).unwrap().message);
}

fn receive_b_first(s: &Shared) {
    s.got(s.queues.receive_ordered([s.b, s.a], None).unwrap().message);
}

fn receive_in_time(s: &Shared) {
    match s.queues.receive_ordered([s.b, s.a], SOON) {
        Ok(received) => s.got(received.message),
        Err(error) => assert_eq!(error, ReceiveError::Timeout),
    }
}

fn receive_until_a_signal(s: &Shared) {
    let flags = LockFlags::FAIL_IF_INTERRUPTED;
    match s.queues.receive_in::<Native>([s.a, s.b], Deadline::NEVER, flags) {
        Ok(received) => s.got(received.message),
        Err(error) => assert_eq!(error, ReceiveError::Interrupted),
    }
}

fn receive_until_a_pending_call_fails(s: &Shared) {
    Native::set_pending_calls(Some(|| if random(2) == 0 { Err(PendingCallError) } else { Ok(()) }));
    let flags = LockFlags::HANDLE_SIGNALS;
    match s.queues.receive_in::<Native>(s.a, Deadline::NEVER, flags) {
        Ok(received) => s.got(received.message),
        Err(error) => assert_eq!(error, ReceiveError::Interrupted),
    }
}

fn receive_many(s: &Shared) {
    let mut messages = Vec::new();
    let received = s.queues.receive_many([s.a, s.b], &mut messages, 2, None).unwrap();
    assert_eq!(received, messages.len());
    assert!((1..=2).contains(&received));
    messages.into_iter().for_each(|message| s.got(message));
}

fn send_a(s: &Shared) {
    s.send(s.a);
}

fn send_both(s: &Shared) {
    s.send(s.b);
    s.send(s.a);
}

fn send_two_to_a(s: &Shared) {
    s.send(s.a);
    s.send(s.a);
}

/// There are as many messages of `a` as receivers that may take one.
#[test]
fn queues_lose_no_message_and_no_wake() {
    for capacity in [1, 2] {
        let bodies = [receive_a, receive_a, receive_a, send_a, send_two_to_a];
        let model = TryOut::new(format!("3 receivers, 2 senders, capacity {capacity}"), SCHEDULES);
        model.run(move || Shared::new(capacity), bodies, |s| s.is_over(3));
        let bodies = [receive_either, receive_a, receive_b_first, send_both, send_two_to_a];
        let model = TryOut::new(format!("overlapping sets, capacity {capacity}"), SCHEDULES);
        model.run(move || Shared::new(capacity), bodies, |s| s.is_over(4));
    }
    // There is room for what is left over.
    let shared = || Shared::new(5);
    let bodies = [receive_either, receive_a, receive_in_time, send_both, send_two_to_a];
    let model = TryOut::new("overlapping sets, one in time", SCHEDULES);
    model.run(shared, bodies, |s| s.is_over(4));
    let bodies = [receive_many, receive_a, send_both, send_two_to_a];
    let model = TryOut::new("overlapping sets, one takes many", SCHEDULES);
    model.run(shared, bodies, |s| s.is_over(4));
    let bodies = [
        receive_a,
        receive_until_a_signal,
        receive_until_a_pending_call_fails,
        receive_either,
        send_both,
        send_two_to_a,
        send_two_to_a,
    ];
    TryOut::new("signals", SCHEDULES).run(shared, bodies, |s| s.is_over(6));
}

/// Six messages through a ring of one or two, each receiver leaves in its own way.
#[test]
fn queues_senders_and_receivers_wait_for_each_other() {
    fn receive_three(s: &Shared) {
        (0..3).for_each(|_| receive_a(s));
    }
    fn send_three(s: &Shared) {
        (0..3).for_each(|_| s.send(s.a));
    }
    fn send_in_time(s: &Shared) {
        match s.queues.send_timed(s.a, Message(Box::new(0)), SOON) {
            Ok(()) => s.queues.receive(s.a, None).map(drop).unwrap(),
            Err(error) => assert!(matches!(error, SendTimedError::Timeout(_))),
        }
    }
    fn send_until_a_signal(s: &Shared) {
        let (message, flags) = (Message(Box::new(0)), LockFlags::FAIL_IF_INTERRUPTED);
        match s.queues.send_in::<Native>(s.a, message, Deadline::NEVER, flags) {
            Ok(()) => s.queues.receive(s.a, None).map(drop).unwrap(),
            Err(error) => assert!(matches!(error, SendTimedError::Interrupted(_))),
        }
    }
    for capacity in [1, 2] {
        let check = |name: &str| TryOut::new(format!("{name}, capacity {capacity}"), SCHEDULES);
        let shared = move || Shared::new(capacity);
        let bodies = [receive_three, receive_three, send_three, send_three];
        check("6 through it").run(shared, bodies, |s| s.is_over(6));
        let bodies = [receive_three, send_three, send_in_time, send_until_a_signal];
        check("6 through it, some in time").run(shared, bodies, |s| s.is_over(3));
    }
}

/// All end, and the messages are received, left, or discarded.
#[test]
fn queues_close_wakes_all() {
    fn receive_all(s: &Shared) {
        loop {
            match s.queues.receive([s.a, s.b], None) {
                Ok(received) => s.got(received.message),
                Err(error) => break assert_eq!(error, ReceiveError::Closed),
            }
        }
    }
    fn send_until_closed(s: &Shared) {
        for _ in 0..3 {
            match s.queues.send_timed(s.a, Message(Box::new(0)), None) {
                // One that has been sent comes out.
                Ok(()) => _ = s.received.fetch_sub(1, Relaxed),
                Err(error) => assert!(matches!(error, SendTimedError::Closed(_))),
            }
        }
    }
    fn close(s: &Shared) {
        s.queues.close(s.a);
        s.queues.close("b");
    }
    for capacity in [1, 2] {
        let name = format!("close, capacity {capacity}");
        let bodies = [receive_all, receive_all, send_until_closed, send_until_closed, close];
        TryOut::new(name, SCHEDULES).run(move || Shared::new(capacity), bodies, |s| s.is_over(0));
    }
}

#[test]
fn queues_drain_wakes_senders() {
    fn send_three(s: &Shared) {
        (0..3).for_each(|_| s.send(s.a));
    }
    fn drain_until_all_have_come(s: &Shared) {
        while s.received.load(Relaxed) < 6 {
            s.received.fetch_add(s.queues.drain([s.a, s.b]), Relaxed);
            shuttle::thread::yield_now();
        }
    }
    TryOut::new("drain", SCHEDULES).run(
        || Shared::new(1),
        [send_three, send_three, drain_until_all_have_come],
        |s| s.is_over(6),
    );
}

/// By name all goes on, by tag all ends; what is sent is received, left or discarded.
#[test]
fn queues_set_tags_wakes_all() {
    fn by_name(s: &Shared) {
        for _ in 0..2 {
            s.queues.send_timed("a", Message(Box::new(0)), None).unwrap();
            s.received.fetch_sub(1, Relaxed);
        }
    }
    fn by_tag(s: &Shared) {
        loop {
            match s.queues.receive([s.a, s.b], None) {
                Ok(received) => s.got(received.message),
                Err(error) => break assert_eq!(error, ReceiveError::Stale),
            }
        }
    }
    fn send_by_tag(s: &Shared) {
        for _ in 0..2 {
            match s.queues.send_timed(s.a, Message(Box::new(0)), None) {
                Ok(()) => _ = s.received.fetch_sub(1, Relaxed),
                Err(error) => assert!(matches!(error, SendTimedError::Stale(_))),
            }
        }
    }
    fn set_tags(s: &Shared) {
        s.received.fetch_add(s.queues.set_tags(&["b", "a"]).unwrap(), Relaxed);
    }
    fn receive_by_name(s: &Shared) {
        s.got(s.queues.receive(["b", "a"], None).unwrap().message);
    }
    fn set_tags_then_send(s: &Shared) {
        set_tags(s);
        by_name(s);
    }
    fn over(s: &Shared) {
        s.received.fetch_add(s.queues.drain(["a", "b"]), Relaxed);
        assert_eq!(s.received.load(Relaxed), 0);
        s.is_quiet();
    }
    for capacity in [2, 4] {
        let shared = move || Shared::new(capacity);
        let check = |name: &str| TryOut::new(format!("{name}, capacity {capacity}"), SCHEDULES);
        let bodies = [by_tag, by_tag, send_by_tag, set_tags];
        check("set_tags, by tag").run(shared, bodies, over);
        let bodies = [by_tag, receive_by_name, receive_by_name, set_tags_then_send, send_by_tag];
        check("set_tags, by name").run(shared, bodies, over);
    }
    // Those who set them last send after that, as many as there are receivers.
    let bodies =
        [by_name, by_tag, set_tags_then_send, receive_by_name, receive_by_name, set_tags_then_send];
    TryOut::new("set_tags twice", SCHEDULES).run(|| Shared::new(6), bodies, over);
}
