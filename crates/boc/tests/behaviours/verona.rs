//! Counterparts of verona-rt's functional tests, by their names there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use crate::common::*;
use pysync_boc::{Batch, Cown, Failed, Use, acquire_all, read, when};
use pysync_testing::{together, watchdog};

/// Two batches over the same cowns in opposite orders: one of them has both cowns first.
#[test]
fn atomic_sched() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        for _ in 0..scaled(500) {
            let (a, b) = (Cown::new(Vec::new()), Cown::new(Vec::new()));
            together(2, |id| {
                let mut batch = Batch::on(runtime);
                let (first, second) = if id == 0 { (&a, &b) } else { (&b, &a) };
                batch.when(first, move |list| list.push(id));
                batch.when(second, move |list| list.push(id));
                batch.schedule();
            });
            assert_eq!(*a.acquire(), *b.acquire());
        }
    });
}

/// `backpressure/unblock`, without muting, which verona-rt has no more: many senders over few receivers, each
/// of which forwards.
#[test]
fn backpressure_unblock() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        let (slow, proxies) = (Cown::new(0), [(); 3].map(|()| Cown::new(0)));
        let messages = scaled(10_000);
        for index in 0..messages {
            let slow = slow.clone();
            runtime.fire(&proxies[index % 3], move |count| {
                *count += 1;
                when(&slow, |count| *count += 1);
            });
        }
        assert_eq!(runtime.quiesce(None), Ok(()));
        assert_eq!(*slow.acquire(), messages);
        assert_eq!(proxies.map(|proxy| *proxy.acquire()).iter().sum::<usize>(), messages);
    });
}

/// A cown that has the next one, and so on: each is reached by a behaviour on the one before, and the whole
/// chain goes when the last behaviour has.
#[test]
fn cownchain() {
    struct Link {
        next: Option<Cown<Link>>,
        _counted: Counted,
    }

    fn walk(link: &mut Link, log: Arc<AtomicUsize>) {
        log.fetch_add(1, SeqCst);
        if let Some(next) = link.next.take() {
            when(next, move |link| walk(link, log));
        }
    }

    let _watchdog = watchdog();
    let length = scaled(20_000);
    with_workers(|runtime| {
        let (census, reached) = (Census::default(), Arc::new(AtomicUsize::new(0)));
        let mut first = Cown::new(Link { next: None, _counted: census.one() });
        for _ in 1..length {
            first = Cown::new(Link { next: Some(first), _counted: census.one() });
        }
        let log = reached.clone();
        runtime.fire(first, move |link| walk(link, log));
        assert_eq!(runtime.quiesce(None), Ok(()));
        assert_eq!((reached.load(SeqCst), census.alive()), (length, 0));
    });
}

/// `diningphilosophers`: each asks for all its forks at once, again and again until it has had enough. Here
/// with 2 and 3 workers, 2 to 4 philosophers, hunger 1 to 5, 2 to 5 forks each.
#[test]
fn diningphilosophers() {
    fn eat(forks: Vec<Cown<usize>>, hunger: usize) {
        if hunger == 0 {
            return;
        }
        let again = forks.clone();
        when(forks, move |mut forks| {
            forks.for_each(|fork| *fork += 1);
            eat(again, hunger - 1);
        });
    }

    let _watchdog = watchdog();
    for workers in [2, 3] {
        let runtime = runtime(workers);
        for philosophers in 2..=4 {
            for hunger in 1..=5 {
                for each in 2..=5 {
                    let forks: Vec<_> = (0..philosophers.max(each)).map(|_| Cown::new(0)).collect();
                    for id in 0..philosophers {
                        let own = (0..each).map(|fork| forks[(id + fork) % forks.len()].clone());
                        let own: Vec<_> = own.collect();
                        runtime.fire((), move |()| eat(own, hunger));
                    }
                    assert_eq!(runtime.quiesce(None), Ok(()));
                    let used = forks.iter().map(|fork| *fork.acquire()).sum::<usize>();
                    assert_eq!(used, philosophers * hunger * each);
                }
            }
        }
    }
}

/// `dynamic-cownset` and `dynamic-cownset-readonly`: sets whose size is known at run time, in every position
/// beside others, to be changed and to be read.
#[test]
fn dynamic_cownset() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        for count in [0, 1, 2, 7, 8, 9, 100] {
            let set: Vec<_> = (0..count).map(Cown::new).collect();
            let (single, sum) = (Cown::new(1_000), set.iter().map(|cown| *cown.acquire()).sum());
            let before = runtime.when((&set, &single), |(set, n)| set.iter().sum::<i32>() + *n);
            let behind = runtime.when((&single, &set), |(n, set)| set.iter().sum::<i32>() + *n);
            let half = count as usize / 2;
            let two = runtime.when((&set[..half], &single, &set[half..]), |(a, n, b)| {
                a.iter().chain(b.iter()).sum::<i32>() + *n
            });
            let sum: i32 = sum;
            assert_eq!([before, behind, two].map(result), [sum + 1_000; 3]);
            let uses: Vec<_> = set.iter().map(Use::read).chain([Use::write(&single)]).collect();
            let read_only = runtime.when_any(&uses, move |held| {
                let sum: i32 = (0..count as usize).map(|at| held.get::<i32>(at).unwrap()).sum();
                *held.get_mut::<i32>(count as usize).unwrap() += sum;
                sum
            });
            assert_eq!(result(read_only), sum);
            assert_eq!(*single.acquire(), 1_000 + sum);
        }
    });
}

/// `early_release`: a body cannot give up a cown before its end, but what it hands to the next may wait for
/// less.
#[test]
fn early_release() {
    let _watchdog = watchdog();
    let runtime = runtime(2);
    let (a, b, gate) = (Cown::new(0), Cown::new(0), Gate::default());
    // It has done with `a`, and goes on with `b` in a behaviour that follows at once.
    let rest = b.clone();
    let outcome = runtime.when((&a, &b), {
        let gate = gate.clone();
        move |(a, _)| {
            *a += 1;
            when(&rest, move |b| {
                gate.pass();
                *b += 1;
            })
        }
    });
    gate.wait_until_reached();
    assert_eq!(*a.acquire(), 1, "it is free while the rest runs");
    gate.open();
    result(result(outcome));
    assert_eq!(*b.acquire(), 1);
}

/// `promise`: readers of a value that comes later, and of one that never comes.
#[test]
fn promise() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        let (value, mut promise) = Cown::held(None);
        let readers: Vec<_> =
            (0..4).map(|_| runtime.when(read(&value), |value| value.unwrap())).collect();
        // Fulfilled by a behaviour.
        runtime.fire((), move |()| *promise = Some(42));
        assert!(readers.into_iter().map(result).all(|value| value == 42));
        let (value, promise) = Cown::held(());
        let readers: Vec<_> = (0..4).map(|_| runtime.when(read(&value), |_| ())).collect();
        runtime.fire((), move |()| promise.disown());
        let broken = |reader| matches!(finished(reader), Err(Failed::Disowned));
        assert!(readers.into_iter().all(broken));
    });
}

/// `readonly`: readers of one cown, each with a cown of its own, and a writer behind them.
#[test]
fn readonly() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        let shared = Cown::new(0);
        let own: Vec<_> = (0..10).map(|_| Cown::new(Vec::new())).collect();
        for round in 0..scaled(500) {
            for cown in &own {
                runtime.fire((read(&shared), cown), |(shared, list)| list.push(*shared));
            }
            runtime.fire(&shared, move |shared| *shared = round + 1);
        }
        let expected: Vec<_> = (0..scaled(500)).collect();
        assert!(own.iter().all(|cown| *cown.acquire() == expected));
    });
}

/// `readonly_cascade`, by which verona-rt #81 was found: a writer, three readers, several chains on several
/// workers, with the last reader leaving while others join.
#[test]
fn readonly_cascade() {
    let _watchdog = watchdog();
    for seed in 0..scaled(60) {
        for workers in 2..=4 {
            let runtime = runtime(workers);
            let shared = Cown::new(0_usize);
            let inside = Arc::new(AtomicUsize::new(0));
            together(4, |chain| {
                let mut random = Seeded::new(seed * 4 + chain);
                for _ in 0..20 {
                    let inside_of_writer = inside.clone();
                    runtime.fire(&shared, move |count| {
                        assert_eq!(inside_of_writer.swap(100, SeqCst), 0);
                        *count += 1;
                        inside_of_writer.store(0, SeqCst);
                    });
                    for _ in 0..random.below(4) {
                        let (inside, nested) = (inside.clone(), shared.clone());
                        runtime.fire(read(&shared), move |_| {
                            assert!(inside.fetch_add(1, SeqCst) < 100);
                            when(read(&nested), |_| ());
                            inside.fetch_sub(1, SeqCst);
                        });
                    }
                }
            });
            assert_eq!(runtime.quiesce(None), Ok(()));
            assert_eq!((*shared.acquire(), runtime.stats().panicked()), (80, 0));
        }
    }
}

/// `simp_read`: a reader of one account and a writer of another, nested.
#[test]
fn simp_read() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        let (a, b) = (Cown::new(10), Cown::new(0));
        let names = (a.clone(), b.clone());
        let outer = runtime.when(read(&a), move |_| {
            let copied = when((read(&names.0), &names.1), |(a, b)| *b = *a);
            let seen = when((read(&names.0), read(&names.1)), |(a, b)| a == b);
            (copied, seen)
        });
        let (copied, seen) = result(outer);
        result(copied);
        assert!(result(seen));
    });
}

/// `when-repeated-cown`: aliases in each position, to be read and to be changed, again and again.
#[test]
fn when_repeated_cown() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        let (a, b) = (Cown::new(0), Cown::new(0));
        for seed in 0..scaled(2_000) {
            let mut random = Seeded::new(seed);
            let uses: Vec<_> = (0..1 + random.below(12))
                .map(|_| match random.below(4) {
                    0 => Use::read(&a),
                    1 => Use::read(&b),
                    2 => Use::write(&a),
                    _ => Use::write(&b),
                })
                .collect();
            drop(runtime.when_any(&uses, |held| {
                for index in 0..held.len() {
                    let before = *held.get::<i32>(index).unwrap();
                    if let Some(value) = held.get_mut::<i32>(index) {
                        assert_eq!(*value, before);
                        *value += 1;
                    }
                }
            }));
        }
        assert_eq!(runtime.quiesce(None), Ok(()));
        assert!(!a.is_held() && !b.is_held());
        assert_eq!(runtime.stats().panicked(), 0);
    });
}

/// `when-transfer`: cowns and values that are moved into behaviours, which need no count of their own.
#[test]
fn when_transfer() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        let census = Census::default();
        for _ in 0..scaled(1_000) {
            let (cown, value) = (Cown::new(vec![census.one()]), census.one());
            let outcome = runtime.when(cown, move |list| {
                list.push(value);
                std::mem::take(list)
            });
            runtime.fire(&outcome, |list| list.as_mut().unwrap().clear());
        }
        assert_eq!(runtime.quiesce(None), Ok(()));
        assert_eq!(census.alive(), 0);
    });
}

/// `yield`: a body that is not through asks for itself again, behind what has come meanwhile.
#[test]
fn yield_and_rerun() {
    fn work(cown: Cown<Vec<usize>>, left: usize) {
        let again = cown.clone();
        when(cown, move |list| {
            list.push(left);
            if left > 0 {
                work(again, left - 1);
            }
        });
    }

    let _watchdog = watchdog();
    with_workers(|runtime| {
        let (list, held) = Cown::held(Vec::new());
        let first = list.clone();
        result(runtime.when((), move |()| work(first, 3)));
        runtime.fire(&list, |list| list.push(100));
        drop(held);
        assert_eq!(runtime.quiesce(None), Ok(()));
        assert_eq!(*list.acquire(), [3, 100, 2, 1, 0]);
    });
}

/// cs431's `message_passing_determines_order`: what a behaviour has been told of comes after.
#[test]
fn message_passing_determines_order() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        for _ in 0..scaled(200) {
            let (a, b) = (Cown::new(0), Cown::new(0));
            let (to_a, to_b) = (a.clone(), b.clone());
            runtime.fire((), move |()| {
                when(&to_a, |a| *a = 1);
                when(&to_b, move |_| {
                    // Asked for by one that was asked for later.
                    when(&to_a, |a| assert_eq!(std::mem::replace(a, 2), 1));
                });
            });
            assert_eq!(runtime.quiesce(None), Ok(()));
            assert_eq!(*acquire_all((&a, &b)).access().0, 2);
        }
        assert_eq!(runtime.stats().panicked(), 0);
    });
}

/// cs431's banking: a transfer, its limit, and what it leaves.
#[test]
fn transfer_limit() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        let accounts: Vec<_> = [100, 0, 30].map(Cown::new).to_vec();
        let transfer = |from: usize, to: usize, amount: i32, limit: i32| {
            runtime.when((&accounts[from], &accounts[to]), move |(from, to)| {
                let is_moved = amount <= limit && *from >= amount;
                if is_moved {
                    *from -= amount;
                    *to += amount;
                }
                is_moved
            })
        };
        let moved = [
            transfer(0, 1, 60, 100),
            transfer(1, 2, 70, 100),
            transfer(1, 2, 50, 40),
            transfer(2, 0, 30, 30),
        ];
        assert_eq!(moved.map(result), [true, false, false, true]);
        assert_eq!(accounts.iter().map(|cown| *cown.acquire()).collect::<Vec<_>>(), [70, 60, 0]);
    });
}

/// cs431's fibonacci and merge sort: each node a behaviour over the outcomes of its two halves.
#[test]
fn fibonacci() {
    fn fib(n: usize) -> Cown<Result<usize, Failed>> {
        let outcome = match n {
            0 | 1 => when((), move |()| n),
            _ => when([&fib(n - 1), &fib(n - 2)], |halves| {
                halves.into_iter().map(|half| *half.as_ref().unwrap()).sum()
            }),
        };
        (*outcome).clone()
    }

    let _watchdog = watchdog();
    with_workers(|runtime| {
        let outcome = result(runtime.when((), |()| fib(15)));
        assert_eq!(*outcome.acquire().as_ref().unwrap(), 610);
    });
}
