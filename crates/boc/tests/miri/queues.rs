//! Undefined behaviour by the letter: small tests of queues for Miri, and natively with more rounds.
//!
//! The messages are neither atomic nor locked but by the queues, so that Miri reports a race where these do
//! not order the accesses.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use pysync_boc::{Limits, Queues, ReceiveError, SendTimedError};
use pysync_testing::{together, watchdog};

const ROUNDS: usize = if cfg!(miri) { 8 } else { 4_000 };

/// Boxes go from two senders to two receivers, through rings that are full and empty all the time.
#[test]
fn messages_move_from_thread_to_thread() {
    let _watchdog = watchdog();
    for capacity in [1, 2, 3] {
        let queues = Queues::new(Limits { tags: 2, capacity });
        let sum = AtomicUsize::new(0);
        together(4, |id| {
            let tags = ["first", "the second"];
            for round in 0..ROUNDS {
                if id % 2 == 0 {
                    queues.send_timed(tags[round % 2], Box::new(round), None).unwrap();
                } else {
                    let received = queues.receive(tags, None).unwrap();
                    sum.fetch_add(*received.message, Relaxed);
                }
            }
        });
        assert_eq!(sum.into_inner(), ROUNDS * (ROUNDS - 1));
    }
}

/// Names are set while others look them up, send and receive; names grow, so that they get other memory.
#[test]
fn names_are_set_under_the_hands_of_their_users() {
    let _watchdog = watchdog();
    let queues: Queues<Box<usize>> = Queues::new(Limits { tags: 2, capacity: 2 });
    let names = ["a", "a name of some length", "b"];
    let [sent, gone] = [const { AtomicUsize::new(0) }; 2];
    let soon = Some(Duration::from_micros(if cfg!(miri) { 2_000 } else { 20 }));
    together(3, |id| {
        for round in 0..ROUNDS {
            let name = names[round % 3];
            match id {
                0 => match queues.send_timed(name, Box::new(round), soon) {
                    Ok(()) => _ = sent.fetch_add(1, Relaxed),
                    Err(SendTimedError::Closed(_)) => panic!("it was not closed"),
                    Err(_) => {}
                },
                1 => match queues.receive(name, soon) {
                    Ok(_) => _ = gone.fetch_add(1, Relaxed),
                    Err(error) => assert_ne!(error, ReceiveError::Closed),
                },
                _ => {
                    let set = [names[round % 3], names[(round + 1) % 3]];
                    gone.fetch_add(queues.set_tags(&set).unwrap(), Relaxed);
                }
            }
        }
    });
    assert_eq!(sent.into_inner(), gone.into_inner() + queues.drain(names));
}

/// Each message is dropped once, though one of the drops panics.
#[test]
fn drops_go_on_after_a_panic() {
    static DROPS: AtomicUsize = AtomicUsize::new(0);

    struct Message(u32);

    impl Drop for Message {
        fn drop(&mut self) {
            DROPS.fetch_add(1, Relaxed);
            assert_ne!(self.0, 1, "a panic in a drop");
        }
    }

    let queues = Queues::default();
    let send_three = || (0..3).for_each(|n| assert!(queues.send("a", Message(n)).is_ok()));
    send_three();
    assert!(catch_unwind(|| queues.drain("a")).is_err());
    assert_eq!(DROPS.load(Relaxed), 3);
    send_three();
    assert!(catch_unwind(|| queues.set_tags(&["a"])).is_err());
    assert_eq!(DROPS.load(Relaxed), 6);
    send_three();
    assert!(catch_unwind(AssertUnwindSafe(|| drop(queues))).is_err());
    assert_eq!(DROPS.load(Relaxed), 9);
}
