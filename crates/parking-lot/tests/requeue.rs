//! To choose among the waiters of a key, and to move them to another.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::pin::Pin;
use std::ptr::{null_mut, without_provenance_mut};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use common::{BucketMates, NUM_BUCKETS, unpark_one};
use pysync_parking_lot::{
    Choice, Deadline, Key, LockFlags, Native, ParkStatus, Position, UnparkResult, Waiter, inspect,
    unpark_all, unpark_filter, unpark_requeue,
};
use pysync_testing::{wait_until, watchdog};

const SOON: Option<Duration> = Some(Duration::from_millis(1));

/// A waiter on `key` whose park argument is `number`.
fn queue_one(number: usize, key: Key) -> Pin<Box<Waiter>> {
    let waiter = Box::pin(Waiter::new(without_provenance_mut(number)));
    // SAFETY: nothing reads the park arguments of a test's own word but as numbers.
    assert!(unsafe { waiter.as_ref().queue(key, Position::Back, || true) });
    waiter
}

/// Waiters on `key`, whose park arguments are 1, 2, 3 and so on.
fn queue(count: usize, key: Key) -> Vec<Pin<Box<Waiter>>> {
    (1..=count).map(|number| queue_one(number, key)).collect()
}

fn on(key: Key) -> Vec<usize> {
    inspect(key, |args| args.map(|arg| arg.addr()).collect())
}

/// Moves or wakes the waiters of `from` by their numbers, with `to` as the target of all.
fn requeue(from: Key, to: Key, choose: impl Fn(usize) -> Choice) -> UnparkResult {
    let mut told = None;
    // SAFETY: nothing reads the park arguments of a test's own words but as numbers.
    let result = unsafe {
        unpark_requeue(
            from,
            |_| Some(to),
            |candidate| {
                assert!(candidate.can_requeue);
                choose(candidate.park_arg.addr())
            },
            |result| told = Some(result),
        )
    };
    assert_eq!(told, Some(result), "`done` runs in any case, once");
    result
}

fn result(unparked: usize, requeued: usize, has_more_waiters: bool) -> UnparkResult {
    UnparkResult { unparked, requeued, has_more_waiters }
}

/// Two words in one bucket, two in two buckets one way round and the other.
fn pairs(test: impl Fn(&AtomicU8, &AtomicU8)) {
    let mates = BucketMates::new();
    let [first, second, _] = mates.get(3);
    test(first, second);
    test(second, first);
    let [other, ..] = mates.get(5);
    assert_ne!(Key::of(first).addr() % NUM_BUCKETS, Key::of(other).addr() % NUM_BUCKETS);
    test(first, other);
    test(other, first);
}

#[test]
fn a_filter_unparks_whom_it_names() {
    let _watchdog = watchdog();
    let word = AtomicU8::new(0);
    let key = Key::of(&word);
    let waiters = queue(5, key);
    let mut asked = Vec::new();
    let victim = |arg: *mut ()| {
        asked.push(arg.addr());
        if arg.addr() == 3 { Choice::Unpark } else { Choice::Skip }
    };
    assert_eq!(
        unpark_filter(key, victim, |told| assert!(told.has_more_waiters)),
        result(1, 0, true)
    );
    assert_eq!(asked, [1, 2, 3, 4, 5]);
    assert_eq!(on(key), [1, 2, 4, 5], "the others stay in their places");
    assert!(waiters[2].as_ref().leave());

    // Some from the front, as a release of two permits does.
    let mut permits = 2;
    let release = |_| {
        permits -= 1;
        if permits >= 0 { Choice::Unpark } else { Choice::Stop }
    };
    assert_eq!(unpark_filter(key, release, |_| ()), result(2, 0, true));
    assert_eq!(on(key), [4, 5]);
    assert_eq!(unpark_filter(key, |_| Choice::Requeue, |_| ()), result(2, 0, false), "woken");
    assert_eq!(unpark_filter(key, |_| panic!("no waiter"), |_| ()), result(0, 0, false));
    for waiter in [0, 1, 3, 4].map(|index| waiters[index].as_ref()) {
        assert_eq!(waiter.sleep::<Native>(Deadline::NEVER, LockFlags::empty()), ParkStatus::Ok);
    }
}

#[test]
fn moved_waiters_keep_their_order_behind_those_who_are_there() {
    let _watchdog = watchdog();
    pairs(|from, to| {
        let (from_key, to_key) = (Key::of(from), Key::of(to));
        let there = queue(2, to_key);
        let waiters = queue(6, from_key);
        let odd = |number: usize| match number {
            1 => Choice::Unpark,
            2 => Choice::Skip,
            6 => Choice::Stop,
            _ => Choice::Requeue,
        };
        assert_eq!(requeue(from_key, to_key, odd), result(1, 3, true));
        assert_eq!(on(from_key), [2, 6]);
        assert_eq!(on(to_key), [1, 2, 3, 4, 5]);
        assert!(waiters[0].as_ref().leave(), "the first was woken");
        for expected in [1, 2, 3, 4, 5] {
            assert_eq!(unpark_one(to).unwrap().park_arg.addr(), expected);
        }
        for waiter in there.iter().chain(&waiters[2..5]) {
            assert_eq!(
                waiter.as_ref().sleep::<Native>(Deadline::NEVER, LockFlags::empty()),
                ParkStatus::Ok
            );
        }
        for waiter in [&waiters[1], &waiters[5]] {
            assert!(!waiter.as_ref().leave());
        }
    });
}

#[test]
fn a_moved_waiter_neither_times_out_nor_loses_its_place() {
    let _watchdog = watchdog();
    pairs(|from, to| {
        let (queued, moved, ended) =
            (AtomicUsize::new(0), AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|s| {
            for number in 1..=3 {
                let (queued, moved, ended) = (&queued, &moved, &ended);
                s.spawn(move || {
                    let waiter = queue_one(number, Key::of(from));
                    queued.fetch_add(1, SeqCst);
                    wait_until(|| moved.load(SeqCst));
                    // It has passed when the thread looks for the first time.
                    let deadline = Deadline::after(SOON.filter(|_| number != 2));
                    assert_eq!(
                        waiter.as_ref().sleep::<Native>(deadline, LockFlags::empty()),
                        ParkStatus::Ok
                    );
                    ended.fetch_add(1, SeqCst);
                });
                wait_until(|| queued.load(SeqCst) == number);
            }
            let told = requeue(Key::of(from), Key::of(to), |_| Choice::Requeue);
            assert_eq!(told, result(0, 3, false));
            moved.store(true, SeqCst);
            // For the deadlines to pass, not to order anything.
            thread::sleep(Duration::from_millis(10));
            assert_eq!((on(Key::of(from)), on(Key::of(to))), (vec![], vec![1, 2, 3]));
            for number in 1..=3 {
                assert_eq!(ended.load(SeqCst), number - 1);
                assert_eq!(unpark_one(to).unwrap().park_arg.addr(), number);
                wait_until(|| ended.load(SeqCst) == number);
            }
        });
    });
}

#[test]
fn a_waiter_that_leaves_is_found_where_it_was_moved_to() {
    let _watchdog = watchdog();
    pairs(|from, to| {
        let waiters = queue(3, Key::of(from));
        assert_eq!(requeue(Key::of(from), Key::of(to), |_| Choice::Requeue), result(0, 3, false));
        assert!(!waiters[1].as_ref().leave());
        assert_eq!(on(Key::of(to)), [1, 3]);
        // And moved back.
        assert_eq!(requeue(Key::of(to), Key::of(from), |_| Choice::Requeue), result(0, 2, false));
        assert_eq!(on(Key::of(from)), [1, 3]);
        drop(waiters);
        assert_eq!(on(Key::of(from)), []);
    });
}

#[test]
fn a_waiter_with_another_target_is_woken_and_not_moved() {
    let _watchdog = watchdog();
    pairs(|from, to| {
        let stranger = AtomicU8::new(0);
        let waiters = queue(4, Key::of(from));
        let target = |arg: *mut ()| match arg.addr() {
            1 | 3 => Some(Key::of(to)),
            2 => Some(Key::of(&stranger)),
            _ => None,
        };
        let mut can_requeue = Vec::new();
        // SAFETY: nothing reads the park arguments of a test's own words but as numbers.
        let told = unsafe {
            unpark_requeue(
                Key::of(from),
                target,
                |candidate| {
                    can_requeue.push(candidate.can_requeue);
                    Choice::Requeue
                },
                |_| (),
            )
        };
        assert_eq!(can_requeue, [true, false, true, false]);
        assert_eq!(told, result(2, 2, false));
        assert_eq!((on(Key::of(to)), on(Key::of(&stranger))), (vec![1, 3], vec![]));
        unpark_all(to);
        assert!(waiters.iter().all(|waiter| waiter.as_ref().leave()));
    });
}

#[test]
fn without_a_target_all_are_woken() {
    let _watchdog = watchdog();
    let word = AtomicU8::new(0);
    let waiters = queue(3, Key::of(&word));
    // SAFETY: no waiter is moved.
    let told = unsafe { unpark_requeue(Key::of(&word), |_| None, |_| Choice::Requeue, |_| ()) };
    assert_eq!(told, result(3, 0, false));
    assert!(waiters.iter().all(|waiter| waiter.as_ref().leave()));
    // And of none, none.
    // SAFETY: as above.
    let told = unsafe { unpark_requeue(Key::of(&word), |_| None, |_| Choice::Unpark, |_| ()) };
    assert_eq!(told, result(0, 0, false));
}

#[test]
fn a_thousand_are_moved_and_woken_one_by_one_by_the_other_key() {
    let _watchdog = watchdog();
    pairs(|from, to| {
        let waiters = queue(1000, Key::of(from));
        assert_eq!(
            requeue(Key::of(from), Key::of(to), |_| Choice::Requeue),
            result(0, 1000, false)
        );
        for number in 1..=1000 {
            assert_eq!(unpark_one(to).unwrap().park_arg.addr(), number);
        }
        assert!(unpark_one(to).is_none());
        assert!(waiters.iter().all(|waiter| waiter.as_ref().leave()));
    });
}

#[test]
fn moves_between_two_keys_in_both_directions_lose_no_thread() {
    // Both orders of the buckets at once: in the wrong one two movers would wait for each other.
    let _watchdog = watchdog();
    let mates = BucketMates::new();
    let ([a, ..], [b, ..]) = (mates.get(3), mates.get(200));
    let (turns, threads) = (2_000, 4);
    let left = AtomicUsize::new(threads);
    thread::scope(|s| {
        for number in 0..threads {
            let left = &left;
            s.spawn(move || {
                let word = if number % 2 == 0 { a } else { b };
                for turn in 0..turns {
                    let timeout = if turn % 3 == 0 { SOON } else { None };
                    let status = pysync_parking_lot::park(word, 0, timeout, null_mut(), false);
                    assert_ne!(status, ParkStatus::Again);
                }
                left.fetch_sub(1, SeqCst);
            });
        }
        for (from, to) in [(a, b), (b, a)] {
            let left = &left;
            s.spawn(move || {
                while left.load(SeqCst) > 0 {
                    let mut turn = 0;
                    // SAFETY: all park arguments are null, and not read.
                    unsafe {
                        unpark_requeue(
                            Key::of(from),
                            |_| Some(Key::of(to)),
                            |_| {
                                turn += 1;
                                if turn % 2 == 0 { Choice::Requeue } else { Choice::Unpark }
                            },
                            |_| (),
                        )
                    };
                    thread::yield_now();
                }
            });
        }
    });
    assert_eq!((on(Key::of(a)), on(Key::of(b))), (vec![], vec![]));
}
