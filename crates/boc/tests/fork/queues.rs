//! Children of a process whose threads wait at queues: a child inherits the memory and one thread, and must
//! get on with both.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use crate::queues_common::*;
use pysync_boc::{Limits, Queues, ReceiveError, SendError, SendTimedError};
use pysync_parking_lot::register_fork_handler;
use pysync_testing::{child_succeeds, fork, random, wait_until, watchdog, watchdog_for};

/// Uses queues with room for three that are empty, with a second thread that parks.
fn exercise(queues: &Queues<u64>) -> bool {
    let names = ["a", "b", "c"];
    assert!(names.iter().all(|name| queues.is_empty(*name)));
    assert_eq!(queues.receive(names, NOW).unwrap_err(), ReceiveError::Timeout);
    assert_eq!(queues.receive(names, millis(1)).unwrap_err(), ReceiveError::Timeout);
    for name in names {
        (0..3).for_each(|number| queues.send(name, number).unwrap());
        assert!(matches!(queues.send(name, 3), Err(SendError::Full(3))));
        assert!(matches!(queues.send_timed(name, 3, millis(1)), Err(SendTimedError::Timeout(3))));
    }
    thread::scope(|scope| {
        let sender = scope.spawn(|| queues.send_timed("b", 3, None).is_ok());
        wait_for_senders(queues, "b", 1);
        for number in 0..4 {
            assert_eq!(queues.receive("b", None).unwrap().message, number);
        }
        assert!(sender.join().unwrap());
        let receiver = scope.spawn(|| queues.receive(["b", "new"], None).unwrap());
        wait_for_receivers(queues, "new", 1);
        queues.send("b", 5).unwrap();
        assert_eq!(receiver.join().unwrap().message, 5);
    });
    let all = queues.stats();
    assert!(all.iter().all(|queue| (queue.parked_receivers, queue.parked_senders) == (0, 0)));
    queues.drain(names) == 6
}

#[test]
fn children_use_queues_that_others_wait_at() {
    const CHILDREN: usize = 200;

    let _watchdog = watchdog_for(Duration::from_secs(240));
    register_fork_handler();
    let queues = &Queues::new(Limits { tags: 4, capacity: 3 });
    let old = queues.tag("a").unwrap();
    thread::scope(|scope| {
        // Two of each: at the front of a list and behind it.
        let waiters: Vec<_> = (0..4)
            .map(|id| {
                let tags = if id % 2 == 0 { &["a"][..] } else { &["b", "a"] };
                let timeout = [None, HOUR][id / 2];
                scope.spawn(move || queues.receive(tags, timeout).unwrap().message)
            })
            .collect();
        wait_for_receivers(queues, "a", 4);
        (0..3).for_each(|number| queues.send("c", number).unwrap());
        let sender = scope.spawn(|| queues.send_timed("c", 3, None).unwrap());
        wait_for_senders(queues, "c", 1);

        for _ in 0..CHILDREN {
            fork(|| {
                // SAFETY: the child of a fork, with one thread.
                unsafe { queues.after_fork() };
                assert_eq!(queues.receive(old, NOW).unwrap_err(), ReceiveError::Stale);
                exercise(queues) && exercise(queues)
            });
        }

        // The parent's own are none the wiser.
        assert_eq!((queues.len("c"), senders(queues, "c")), (3, 1));
        assert_eq!(receivers(queues, "a"), 4);
        (0..4).for_each(|number| queues.send_timed(old, number, None).unwrap());
        let mut received: Vec<_> =
            waiters.into_iter().map(|receiver| receiver.join().unwrap()).collect();
        received.sort_unstable();
        assert_eq!(received, [0, 1, 2, 3]);
        assert_eq!(queues.receive("c", NOW).unwrap().message, 0);
        sender.join().unwrap();
    });
}

/// A fork at any point of a send, a receive, a drain or a swap: rings are torn and locks are held by threads
/// that are not there.
#[test]
fn children_use_queues_that_others_were_in_the_middle_of() {
    const CHILDREN: usize = 300;
    const THREADS: usize = 4;

    let _watchdog = watchdog_for(Duration::from_secs(240));
    register_fork_handler();
    let queues = &Queues::new(Limits { tags: 4, capacity: 3 });
    let (over, turns) = (&AtomicBool::new(false), &AtomicUsize::new(0));
    thread::scope(|scope| {
        for id in 0..THREADS {
            scope.spawn(move || {
                let tags = [["a", "b"], ["b", "c"], ["c", "a"]][id % 3];
                while !over.load(SeqCst) {
                    let soon = Some(Duration::from_micros(random(50) as u64));
                    match random(24) {
                        0..8 => _ = queues.send_timed(tags[0], 1, soon).is_ok(),
                        8..12 => _ = queues.send(tags[1], 1).is_ok(),
                        12..16 => _ = queues.receive(tags, soon).is_ok(),
                        16..20 => _ = queues.receive(tags[1], NOW).is_ok(),
                        20 => _ = queues.drain(tags),
                        21 => queues.close(tags[0]),
                        22 => _ = queues.set_tags(&["a", "b", "c", "new"]).unwrap(),
                        _ => _ = queues.set_tags(&[]).unwrap(),
                    }
                    turns.fetch_add(1, SeqCst);
                }
            });
        }
        for _ in 0..CHILDREN {
            let seen = turns.load(SeqCst);
            wait_until(|| turns.load(SeqCst) > seen + random(20));
            fork(|| {
                // SAFETY: the child of a fork, with one thread.
                unsafe { queues.after_fork() };
                exercise(queues)
            });
        }
        over.store(true, SeqCst);
    });
    queues.set_tags(&[]).unwrap();
    assert!(exercise(queues));
}

/// A process of one thread has nothing to forget, and its child has what it had.
#[test]
fn a_child_of_quiet_queues_has_their_messages() {
    let _watchdog = watchdog();
    register_fork_handler();
    let queues = Queues::new(Limits { tags: 4, capacity: 3 });
    for number in 0..3 {
        queues.send("a", number).unwrap();
    }
    fork(|| {
        for number in 0..3 {
            assert_eq!(queues.receive(["b", "a"], NOW).unwrap().message, number);
        }
        exercise(&queues)
    });
    assert_eq!(queues.len("a"), 3);
}

/// A message that forks when it is dropped, if it is the first one.
struct Forks;

impl Drop for Forks {
    fn drop(&mut self) {
        if let Some(fork) = FORK.take() {
            fork();
        }
    }
}

thread_local! {
    static FORK: Cell<Option<Box<dyn FnOnce()>>> = const { Cell::new(None) };
}

/// The child goes on in the call that was dropping a message, which has nothing left to drop then.
#[test]
fn a_fork_in_the_drop_of_a_message_leaves_the_call_usable() {
    let _watchdog = watchdog();
    register_fork_handler();
    let queues = Rc::new(Queues::new(Limits { tags: 4, capacity: 3 }));
    let calls: [&dyn Fn() -> usize; 3] =
        [&|| queues.drain(["a", "b"]), &|| queues.set_tags(&["a"]).unwrap(), &|| {
            queues.preset_tags(&["a"]).unwrap()
        }];
    for call in calls {
        queues.set_tags(&[]).unwrap();
        for name in ["a", "a", "b"] {
            queues.send(name, Forks).unwrap();
        }
        let pid = Rc::new(Cell::new(None));
        let (of_drop, forked) = (queues.clone(), pid.clone());
        FORK.set(Some(Box::new(move || {
            // SAFETY: the child goes on as this thread, and leaves by `_exit`.
            forked.set(Some(unsafe { libc::fork() }));
            if forked.get() == Some(0) {
                // SAFETY: the child of a fork, with one thread, in the drop of a message.
                unsafe { of_drop.after_fork() };
            }
        })));
        let dropped = call();
        if pid.get() == Some(0) {
            let ok = (1..=3).contains(&dropped) && queues.stats().is_empty();
            let ok = ok && queues.send("new", Forks).is_ok() && queues.drain("new") == 1;
            // SAFETY: ends the process.
            unsafe { libc::_exit(if ok { 0 } else { 1 }) }
        }
        child_succeeds(pid.get().unwrap());
        assert_eq!(dropped, 3);
    }
}
