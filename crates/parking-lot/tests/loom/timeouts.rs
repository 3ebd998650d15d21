//! One that gives up, and others.

use super::*;

#[test]
fn a_thread_that_timed_out_takes_no_wake_from_another() {
    // One waits for good, one for a time; there is one wake, and the waiter that gets it passes it
    // on. If the one that gave up were still queued, the other would wait for ever.
    fn impatient(word: &AtomicU32) {
        if park(word, 0, SOON, no_arg(), false) == ParkStatus::Ok {
            word.store(1, Release);
            unpark_all(word);
        }
    }
    fn patient(word: &AtomicU32) {
        while word.load(Acquire) == 0 && park(word, 0, None, no_arg(), false) != ParkStatus::Ok {}
    }
    fn wake(word: &AtomicU32) {
        unpark(word, |unparked| {
            if unparked.is_none() {
                word.store(1, Release);
            }
        });
    }
    Explore::new("a timeout and another waiter").bounded().run(
        AtomicU32::default,
        [impatient, patient, wake],
        |_| {},
    );
}

#[test]
fn unpark_all_and_timeouts() {
    type State = (AtomicU8, Data);

    fn impatient((word, data): &State) {
        if park(word, 0, SOON, no_arg(), false) != ParkStatus::Timeout {
            assert_eq!(data.get(), 7);
        }
    }
    fn patient((word, data): &State) {
        park(word, 0, None, no_arg(), false);
        assert_eq!(data.get(), 7);
    }
    fn wake((word, data): &State) {
        unpark_all_with(word, |_| {
            data.set(7);
            word.store(1, Relaxed);
        });
    }
    let bodies = [impatient, patient, wake];
    Explore::new("unpark_all and a timeout").bounded().run(State::default, bodies, |(word, _)| {
        unpark(word, |unparked| assert!(unparked.is_none()));
    });
}

#[test]
fn a_stranger_that_gives_up_leaves_its_neighbour_where_it_is_found() {
    // The bucket keeps the first waiters of its addresses in a tree, so that a waiter that leaves
    // may change the place of others.
    type State = [AtomicU32; 2];

    fn give_up([given_up, _]: &State) {
        assert_eq!(park(given_up, 0, SOON, no_arg(), false), ParkStatus::Timeout);
    }
    fn wait([_, word]: &State) {
        while word.load(Acquire) == 0 {
            park(word, 0, None, no_arg(), false);
        }
    }
    fn wake([_, word]: &State) {
        word.store(1, Release);
        unpark(word, |unparked| {
            assert!(unparked.is_none_or(|unparked| !unparked.has_more_waiters));
        });
    }
    Explore::new("a timeout and a waiter on another address").bounded().run(
        State::default,
        [give_up, wait, wake],
        |words| {
            for word in words {
                unpark(word, |unparked| assert!(unparked.is_none()));
            }
        },
    );
}
