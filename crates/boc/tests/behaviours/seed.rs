//! The tests of behaviours of the seed and of bocpy, each with its numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use crate::common::*;
use pysync_boc::{Cown, Outcome, Runtime, read, when};
use pysync_testing::{hush_panics, watchdog};

fn each<R: Send + 'static>(outcomes: impl IntoIterator<Item = Outcome<R>>) -> Vec<R> {
    outcomes.into_iter().map(result).collect()
}

#[test]
fn fifty_increments() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        let count = Cown::new(0);
        let seen = each((0..50).map(|_| {
            runtime.when(&count, |count| {
                *count += 1;
                *count
            })
        }));
        assert_eq!(seen, (1..=50).collect::<Vec<_>>());
        assert_eq!(*count.acquire(), 50);
    });
}

#[test]
fn transfer() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        let (from, to) = (Cown::new(100), Cown::new(0));
        let move_30 = |(from, to): (&mut i32, &mut i32)| {
            let is_enough = *from >= 30;
            if is_enough {
                *from -= 30;
                *to += 30;
            }
            is_enough
        };
        let moved = each((0..4).map(|_| runtime.when((&from, &to), move_30)));
        assert_eq!(moved, [true, true, true, false]);
        assert_eq!((*from.acquire(), *to.acquire()), (10, 90));
    });
}

/// 2, 5, 20, 13, each in place.
#[test]
fn chain_on_one_cown() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        let cown = Cown::new(2);
        let steps: [fn(&mut i32); 3] = [|n| *n += 3, |n| *n *= 4, |n| *n -= 7];
        let seen = each(steps.map(|step| {
            runtime.when(&cown, move |n| {
                step(n);
                *n
            })
        }));
        assert_eq!(seen, [5, 20, 13]);
    });
}

#[test]
fn dining_philosophers() {
    const PHILOSOPHERS: usize = 5;
    const MEALS: usize = 100;

    fn eat(forks: [Cown<usize>; 2], hunger: usize) {
        if hunger > 0 {
            when([&forks[0], &forks[1]], |forks| forks.into_iter().for_each(|fork| *fork += 1));
            // It is hungry again once it has eaten.
            let again = forks.clone();
            when((), move |()| eat(again, hunger - 1));
        }
    }

    let _watchdog = watchdog();
    with_workers(|runtime| {
        let forks: Vec<_> = (0..PHILOSOPHERS).map(|_| Cown::new(0)).collect();
        for id in 0..PHILOSOPHERS {
            let own = [forks[id].clone(), forks[(id + 1) % PHILOSOPHERS].clone()];
            runtime.fire((), move |()| eat(own, MEALS));
        }
        assert_eq!(runtime.quiesce(None), Ok(()));
        assert!(forks.iter().all(|fork| *fork.acquire() == 2 * MEALS));
    });
}

/// One behaviour asks for a thousand, over 32 cowns: each cown has its exact share.
#[test]
fn fan_out_of_1_000_over_32() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        let cowns: Vec<_> = (0..32).map(|_| Cown::new(0)).collect();
        let names = cowns.clone();
        let outcomes = runtime.when((), move |()| {
            let name = |index: usize| &names[index % 32];
            (0..1_000).map(|index| when(name(index), |count| *count += 1)).collect::<Vec<_>>()
        });
        each(result(outcomes));
        let counts: Vec<_> = cowns.iter().map(|cown| *cown.acquire()).collect();
        let shares: Vec<_> =
            (0..32).map(|index| 1_000 / 32 + i32::from(index < 1_000 % 32)).collect();
        assert_eq!(counts, shares);
    });
}

fn adjacent_pairs(runtime: &Runtime, behaviours: usize, cowns: usize) {
    let cowns: Vec<_> = (0..cowns).map(|_| Cown::new(0)).collect();
    let outcomes: Vec<_> = (0..behaviours)
        .map(|index| {
            let pair = (&cowns[index % cowns.len()], &cowns[(index + 1) % cowns.len()]);
            runtime.when(pair, |(left, right)| {
                *left += 1;
                *right += 1;
            })
        })
        .collect();
    each(outcomes);
    assert_eq!(cowns.iter().map(|cown| *cown.acquire()).sum::<usize>(), 2 * behaviours);
}

#[test]
fn adjacent_pairs_500_over_8() {
    let _watchdog = watchdog();
    with_workers(|runtime| adjacent_pairs(runtime, 500, 8));
}

#[test]
fn adjacent_pairs_1_000_over_16() {
    let _watchdog = watchdog();
    with_workers(|runtime| adjacent_pairs(runtime, 1_000, 16));
}

/// A ring of 64 cowns, whose neighbours are locked 10,000 times, from outside and from inside, with 1, 2, 4
/// and 8 workers.
#[test]
fn ring_of_64_with_10_000_pair_locks() {
    const RING: usize = 64;
    const LOCKS: usize = 10_000;

    fn step(ring: Arc<Vec<Cown<usize>>>, left: usize) {
        let at = left % RING;
        let next = ring.clone();
        when((&ring[at], &ring[(at + 1) % RING]), move |(a, b)| {
            *a += 1;
            *b += 1;
            if left >= 8 {
                step(next, left - 8);
            }
        });
    }

    let _watchdog = watchdog();
    with_workers(|runtime| {
        adjacent_pairs(runtime, LOCKS, RING);

        let ring: Arc<Vec<_>> = Arc::new((0..RING).map(|_| Cown::new(0_usize)).collect());
        // Eight walkers, each of which asks for its next pair while it has one.
        for walker in 1..=8 {
            let ring = ring.clone();
            runtime.fire((), move |()| step(ring, LOCKS - walker));
        }
        assert_eq!(runtime.quiesce(None), Ok(()));
        assert_eq!(ring.iter().map(|cown| *cown.acquire()).sum::<usize>(), 2 * LOCKS);
    });
}

#[test]
fn two_hundred_panics_then_fifty_good() {
    hush_panics("one of two hundred");
    let _watchdog = watchdog();
    with_workers(|runtime| {
        let cown = Cown::new(0);
        let bad: Vec<_> = (0..200)
            .map(|_| runtime.when(&cown, |_| -> () { panic!("one of two hundred") }))
            .collect();
        let good: Vec<_> = (0..50).map(|_| runtime.when(&cown, |count| *count += 1)).collect();
        each(good);
        for outcome in bad {
            assert_eq!(panicked(outcome), "one of two hundred");
        }
        assert_eq!(*cown.acquire(), 50);
        assert_eq!(runtime.stats().panicked(), 200);
    });
}

/// Behaviours are asked for by many threads at a time.
#[test]
fn eight_threads_of_200() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        let cowns = [(); 4].map(|()| Cown::new(0));
        pysync_testing::together(8, |id| {
            for index in 0..200 {
                let (a, b) = (id % 4, (id + 1 + index % 3) % 4);
                runtime.fire((&cowns[a], &cowns[b]), |(a, b)| {
                    *a += 1;
                    *b += 1;
                });
            }
        });
        assert_eq!(runtime.quiesce(None), Ok(()));
        assert_eq!(cowns.map(|cown| *cown.acquire()).iter().sum::<i32>(), 2 * 8 * 200);
    });
}

/// A deep tree of nested behaviours, each with a cown of its own that its parent waits for by a behaviour.
#[test]
fn a_tree_of_outcomes() {
    fn count(depth: usize) -> Cown<usize> {
        if depth == 0 {
            return Cown::new(1);
        }
        let (left, right) = (count(depth - 1), count(depth - 1));
        let (sum, promise) = Cown::held(0);
        let promise = pysync_lock::guarded::Mutex::new(Some(promise));
        when((read(&left), read(&right)), move |(left, right)| {
            let mut promise = promise.lock().take().unwrap();
            *promise = left + right;
        });
        sum
    }

    let _watchdog = watchdog();
    with_workers(|runtime| {
        let tree = result(runtime.when((), |()| count(10)));
        assert_eq!(*tree.acquire(), 1_024);
    });
}

/// A worker that is idle takes part: many bodies that wait for each other in pairs.
#[test]
fn behaviours_on_different_cowns_run_at_the_same_time() {
    let _watchdog = watchdog();
    let runtime = runtime(2);
    for _ in 0..100 {
        let meeting = Arc::new(AtomicUsize::new(0));
        let outcomes: Vec<_> = (0..2)
            .map(|_| {
                let meeting = meeting.clone();
                runtime.when((), move |()| {
                    meeting.fetch_add(1, SeqCst);
                    pysync_testing::wait_until(|| meeting.load(SeqCst) == 2);
                })
            })
            .collect();
        each(outcomes);
    }
}
