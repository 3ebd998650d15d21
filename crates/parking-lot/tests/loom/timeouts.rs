//! One that gives up, and others.

use super::*;

#[test]
fn a_thread_that_timed_out_takes_no_wake_from_another() {
    // One waits for good, one for a time; there is one wake. Whoever gets it passes it on, so
    // that if the one that gave up were still queued, the other would wait for ever.
    bounded("a timeout and another waiter", || {
        run(
            AtomicU32::new(0),
            &[
                |word| {
                    if park(word, 0, SOON, no_arg(), false) == ParkStatus::Ok {
                        word.store(1, Release);
                        unpark_all(word);
                    }
                },
                |word| {
                    while word.load(Acquire) == 0
                        && park(word, 0, None, no_arg(), false) != ParkStatus::Ok
                    {
                    }
                },
                |word| {
                    unpark(word, |unparked| {
                        if unparked.is_none() {
                            word.store(1, Release);
                        }
                    });
                },
            ],
        );
    });
}

#[test]
fn unpark_all_and_timeouts() {
    bounded("unpark_all and a timeout", || {
        let state = run(
            (AtomicU8::new(0), Data::new()),
            &[
                |(word, data)| {
                    if park(word, 0, SOON, no_arg(), false) != ParkStatus::Timeout {
                        assert_eq!(data.get(), 7);
                    }
                },
                |(word, data)| {
                    park(word, 0, None, no_arg(), false);
                    assert_eq!(data.get(), 7);
                },
                |(word, data)| {
                    unpark_all_with(word, |_| {
                        data.set(7);
                        word.store(1, Relaxed);
                    });
                },
            ],
        );
        unpark(&state.0, |unparked| assert!(unparked.is_none()));
    });
}

#[test]
fn a_stranger_that_gives_up_leaves_its_neighbour_where_it_is_found() {
    // The bucket keeps the first waiters of its addresses in a tree, so that who leaves may
    // change the place of others.
    bounded("a timeout and a waiter on another address", || {
        let state = run(
            [AtomicU32::new(0), AtomicU32::new(0)],
            &[
                |[given_up, _]| {
                    assert_eq!(park(given_up, 0, SOON, no_arg(), false), ParkStatus::Timeout);
                },
                |[_, word]| {
                    while word.load(Acquire) == 0 {
                        park(word, 0, None, no_arg(), false);
                    }
                },
                |[_, word]| {
                    word.store(1, Release);
                    unpark(word, |unparked| {
                        assert!(unparked.is_none_or(|unparked| !unparked.has_more_waiters));
                    });
                },
            ],
        );
        for word in &*state {
            unpark(word, |unparked| assert!(unparked.is_none()));
        }
    });
}
