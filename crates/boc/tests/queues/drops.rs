//! Messages whose drop does something: panics, sends, receives, swaps the tags. No queue is locked while
//! a message is dropped.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Weak};
use std::thread;

use crate::common::*;
use pysync_boc::{Limits, Queues, ReceiveError, SendError};
use pysync_testing::{hush_panics, watchdog};

const BANG: &str = "a drop panics";

/// A message that may panic when it is dropped.
struct Bomb {
    _counted: Counted,
    is_live: bool,
}

impl Bomb {
    /// Drops it without a panic.
    fn defuse(mut self) {
        self.is_live = false;
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.is_live && !thread::panicking() {
            panic!("{BANG}");
        }
    }
}

/// Queues of which every second message panics.
fn with_bombs(live: &Live, count: usize) -> Queues<Bomb> {
    hush_panics(BANG);
    let queues = with_capacity(count);
    for number in 0..count {
        let bomb = Bomb { _counted: live.value(number), is_live: number % 2 == 1 };
        assert!(queues.send("a", bomb).is_ok());
    }
    queues
}

fn explodes(body: impl FnOnce()) {
    let payload = catch_unwind(AssertUnwindSafe(body)).unwrap_err();
    assert_eq!(payload.downcast_ref::<String>().map(String::as_str), Some(BANG));
}

/// The queues are as good as new after one of their messages has panicked.
fn assert_usable(queues: &Queues<Bomb>, live: &Live) {
    let _watchdog = watchdog();
    let before = live.count();
    let send = || queues.send("a", Bomb { _counted: live.value(0), is_live: false });
    thread::scope(|scope| {
        let receiver =
            scope.spawn(|| queues.receive(["a", "a"], None).map(|it| it.message.defuse()).is_ok());
        while !receiver.is_finished() {
            let _ = send();
            thread::yield_now();
        }
        assert!(receiver.join().unwrap());
    });
    while let Ok(received) = queues.receive("a", NOW) {
        received.message.defuse();
    }
    assert!(live.count() <= before);
    let all = stats(queues, "a").capacity;
    (0..all).for_each(|_| assert!(send().is_ok()));
    assert!(matches!(send(), Err(SendError::Full(_))));
    assert_eq!(queues.drain("a"), all);
}

#[test]
fn a_message_that_panics_in_a_drain_leaves_the_queue_usable() {
    let live = Live::default();
    let queues = with_bombs(&live, 10);
    explodes(|| _ = queues.drain("a"));
    assert_usable(&queues, &live);
    assert_eq!(live.count(), 0);
}

#[test]
fn a_message_that_panics_in_set_tags_leaves_the_queues_usable() {
    for names in [&["a"][..], &["b", "a"], &[]] {
        let live = Live::default();
        let queues = with_bombs(&live, 10);
        let old = queues.tag("a").unwrap();
        explodes(|| _ = queues.set_tags(names).unwrap());
        // The swap is complete: the panic came after it.
        assert_eq!(queues.receive(old, NOW).map(|_| ()).unwrap_err(), ReceiveError::Stale);
        assert_usable(&queues, &live);
        assert_eq!(live.count(), 0);
    }
}

/// And wakes those who are parked.
#[test]
fn a_message_that_panics_in_set_tags_keeps_no_wake_back() {
    let _watchdog = watchdog();
    let live = Live::default();
    let queues = with_bombs(&live, 3);
    let [full, idle] = ["a", "idle"].map(|name| queues.tag(name).unwrap());
    thread::scope(|scope| {
        let receiver = scope.spawn(|| queues.receive(idle, None).map(|_| ()));
        let bomb = Bomb { _counted: live.value(9), is_live: false };
        let sender = scope.spawn(|| queues.send_timed(full, bomb, None).is_ok());
        wait_for_receivers(&queues, "idle", 1);
        wait_for_senders(&queues, "a", 1);
        explodes(|| _ = queues.set_tags(&["x"]).unwrap());
        assert_eq!(receiver.join().unwrap(), Err(ReceiveError::Stale));
        assert!(!sender.join().unwrap());
    });
    assert_eq!(live.count(), 0);
}

#[test]
fn a_message_that_panics_in_the_drop_of_the_queues_leaks_no_other() {
    let live = Live::default();
    let queues = with_bombs(&live, 10);
    assert!(queues.send("b", Bomb { _counted: live.value(0), is_live: false }).is_ok());
    explodes(|| drop(queues));
    assert_eq!(live.count(), 0);
}

#[test]
fn a_panic_while_messages_are_taken_leaves_what_was_not_taken() {
    let live = Live::default();
    let queues = with_bombs(&live, 10);
    explodes(|| {
        let mut many = Vec::new();
        assert_eq!(queues.receive_many("a", &mut many, 4, NOW), Ok(4));
        drop(many);
    });
    assert_eq!((queues.len("a"), live.count()), (6, 6));
    explodes(|| drop(queues));
}

/// What a message does with the queues that it was in.
type Deed = fn(&Queues<Busybody>);

/// A message that does something with the queues when it is dropped.
struct Busybody {
    queues: Weak<Queues<Busybody>>,
    dropped: Arc<AtomicUsize>,
    deed: Deed,
}

impl Drop for Busybody {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, SeqCst);
        if let Some(queues) = self.queues.upgrade() {
            (self.deed)(&queues);
        }
    }
}

/// Calls `body` with queues whose two tags each hold two messages that do `deed`.
fn with_busybodies(deed: Deed, body: impl FnOnce(&Queues<Busybody>)) {
    let _watchdog = watchdog();
    let dropped = Arc::new(AtomicUsize::new(0));
    let queues = Arc::new(Queues::new(Limits { tags: 2, capacity: 2 }));
    let idle: Deed = |_| {};
    for (name, deed) in [("a", deed), ("b", deed), ("a", idle), ("b", idle)] {
        let queues_too = Arc::downgrade(&queues);
        let message = Busybody { queues: queues_too, dropped: dropped.clone(), deed };
        assert!(queues.send(name, message).is_ok());
    }
    body(&queues);
    drop(queues);
    assert!(dropped.load(SeqCst) >= 4, "{dropped:?}");
}

/// One more of a kind that does nothing.
fn idle_message() -> Busybody {
    Busybody { queues: Weak::new(), dropped: Arc::default(), deed: |_| {} }
}

const DEEDS: [Deed; 8] = [
    |queues| drop(queues.send("a", idle_message())),
    |queues| drop(queues.send("c", idle_message())),
    |queues| drop(queues.receive(["a", "b"], NOW)),
    |queues| _ = queues.drain(["a", "b"]),
    |queues| _ = queues.set_tags(&["b", "c"]).unwrap(),
    |queues| _ = queues.set_tags(&[]).unwrap(),
    |queues| ["a", "b"].iter().for_each(|tag| queues.close(*tag)),
    |queues| _ = (queues.stats().len(), queues.len("a"), queues.tag("d").is_ok()),
];

#[test]
fn a_message_may_use_the_queues_in_its_drop() {
    for deed in DEEDS {
        with_busybodies(deed, |queues| _ = queues.drain("a"));
        with_busybodies(deed, |queues| _ = queues.drain(["a", "b"]));
        with_busybodies(deed, |queues| _ = queues.set_tags(&["a", "b"]).unwrap());
        with_busybodies(deed, |queues| _ = queues.set_tags(&[]).unwrap());
        with_busybodies(deed, |queues| drop(queues.receive("b", NOW)));
        with_busybodies(deed, |queues| drop(queues.send("a", idle_message())));
        with_busybodies(deed, |_| {});
    }
}

/// A drain ends though every message that it drops sends another.
#[test]
fn a_drain_of_messages_that_send_again_ends() {
    struct Again(Weak<Queues<Again>>);

    impl Drop for Again {
        fn drop(&mut self) {
            if let Some(queues) = self.0.upgrade() {
                let back = queues.send("a", Again(self.0.clone())).map_err(SendError::into_message);
                std::mem::forget(back);
            }
        }
    }

    let _watchdog = watchdog();
    let queues = Arc::new(with_capacity(8));
    for _ in 0..8 {
        assert!(queues.send("a", Again(Arc::downgrade(&queues))).is_ok());
    }
    for _ in 0..3 {
        assert_eq!(queues.drain("a"), 8);
        assert_eq!(queues.len("a"), 8);
    }
    assert_eq!(queues.set_tags(&["a"]).unwrap(), 8);
    assert_eq!(queues.len("a"), 8);
}
