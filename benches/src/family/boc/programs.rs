//! The programs: those of Savina in the shape that behaviours have, and some smaller ones. Each returns how
//! many behaviours it took, once its last one has run.
//!
//! All but [`fib`] end by what they have counted, so that they end too where tasks run in another order.

use std::collections::HashMap;
use std::hint::black_box;

use super::engine::{Engine, arrive, expect, ten_micros, wait};
use crate::harness::{random, seed};
use crate::work::work;

/// Who asks for the behaviours.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// A thread that is no worker.
    Outside,
    /// One behaviour, for all others.
    Inside,
}

/// Has `feed` called outside or inside, and waits for the ends; returns how many behaviours that took.
fn feed<E: Engine>(
    engine: &E,
    by: By,
    ends: usize,
    feed: impl FnOnce(Option<&E>) + Send + 'static,
) -> u64 {
    expect(ends);
    match by {
        By::Outside => feed(Some(engine)),
        By::Inside => E::free(Some(engine), move || feed(None)),
    }
    wait();
    u64::from(by == By::Inside)
}

/// Has `feed` called in one behaviour, after which each closure asks for the next.
fn begin<E: Engine>(engine: &E, ends: usize, begin: impl FnOnce() + Send + 'static) -> u64 {
    feed(engine, By::Inside, ends, move |_| begin())
}

/// `n` behaviours add one to the same cown.
pub(super) fn count<E: Engine>(engine: &E, by: By, n: u64) -> u64 {
    let counter = E::cown(0);
    let add = move |counter: &mut u64| {
        *counter += 1;
        if *counter == n {
            arrive();
        }
    };
    feed(engine, by, 1, move |from| (0..n).for_each(|_| E::one(from, counter.clone(), add))) + n
}

/// `n` behaviours in all, each on the next one of `cowns` cowns.
pub(super) fn round_robin<E: Engine>(engine: &E, by: By, cowns: usize, n: u64) -> u64 {
    let each = n / cowns as u64;
    let cowns: Vec<_> = (0..cowns).map(|_| E::cown(0)).collect();
    let add = move |counter: &mut u64| {
        *counter += 1;
        if *counter == each {
            arrive();
        }
    };
    let (ends, all) = (cowns.len(), each * cowns.len() as u64);
    let feed_all = move |from: Option<&E>| {
        for _ in 0..each {
            cowns.iter().for_each(|cown| E::one(from, cown.clone(), add));
        }
    };
    feed(engine, by, ends, feed_all) + all
}

/// The same, each on two neighbours of a ring.
pub(super) fn pairs<E: Engine>(engine: &E, by: By, cowns: usize, n: u64) -> u64 {
    let each = n / cowns as u64;
    let cowns: Vec<_> = (0..cowns).map(|_| E::cown(0)).collect();
    let add = move |counter: &mut u64| {
        *counter += 1;
        if *counter == 2 * each {
            arrive();
        }
    };
    let (ends, all) = (cowns.len(), each * cowns.len() as u64);
    let feed_all = move |from: Option<&E>| {
        for _ in 0..each {
            for (i, cown) in cowns.iter().enumerate() {
                let next = &cowns[(i + 1) % cowns.len()];
                E::two(from, (cown.clone(), next.clone()), move |a, b| {
                    add(a);
                    add(b);
                });
            }
        }
    };
    feed(engine, by, ends, feed_all) + all
}

/// Each of `cowns` cowns has a behaviour, which asks for the next one on it; `n` in all. Each does `units`
/// of work.
pub(super) fn rescheduling<E: Engine>(engine: &E, cowns: usize, n: u64, units: u32) -> u64 {
    fn step<E: Engine>(cown: E::Cown<u64>, units: u32) {
        let again = cown.clone();
        E::one(None, cown, move |left| {
            black_box(work(1.0, units));
            *left -= 1;
            if *left > 0 { step::<E>(again, units) } else { arrive() }
        });
    }
    let each = n / cowns as u64;
    let first = move || (0..cowns).for_each(|_| step::<E>(E::cown(each), units));
    begin(engine, cowns, first) + each * cowns as u64
}

/// The same, each on two neighbours of a ring of cowns.
pub(super) fn rescheduling_pairs<E: Engine>(engine: &E, cowns: usize, n: u64) -> u64 {
    fn step<E: Engine>(pair: (E::Cown<u64>, E::Cown<u64>), left: u64) {
        let again = pair.clone();
        E::two(None, pair, move |a, b| {
            (*a, *b) = (*a + 1, *b + 1);
            if left > 1 { step::<E>(again, left - 1) } else { arrive() }
        });
    }
    let each = n / cowns as u64;
    let first = move || {
        let cowns: Vec<_> = (0..cowns).map(|_| E::cown(0)).collect();
        for (i, cown) in cowns.iter().enumerate() {
            step::<E>((cown.clone(), cowns[(i + 1) % cowns.len()].clone()), each);
        }
    };
    begin(engine, cowns, first) + each * cowns as u64
}

/// A ball goes between two cowns, `n` times.
pub(super) fn ping_pong<E: Engine>(engine: &E, n: u64) -> u64 {
    fn step<E: Engine>(to: E::Cown<u64>, back: E::Cown<u64>, left: u64) {
        let here = to.clone();
        E::one(None, to, move |hits| {
            *hits += 1;
            if left > 1 { step::<E>(back, here, left - 1) } else { arrive() }
        });
    }
    begin(engine, 1, move || step::<E>(E::cown(0), E::cown(0), n)) + n
}

/// A teller asks for `n` transfers between 1,000 accounts, and each tells it that it is done.
pub(super) fn banking<E: Engine>(engine: &E, n: u64, slow: bool) -> u64 {
    let accounts: Vec<_> = (0..1000_u32).map(|_| E::cown(1_000_000_i64)).collect();
    let teller = E::cown(0);
    let units = if slow { ten_micros() } else { 0 };
    let feed_all = move |from: Option<&E>| {
        let mut state = seed(0);
        let mut next = |below: usize| random(&mut state) as usize % below;
        for _ in 0..n {
            let source = next(accounts.len());
            let target = (source + 1 + next(accounts.len() - 1)) % accounts.len();
            let both = (accounts[source].clone(), accounts[target].clone());
            let teller = teller.clone();
            E::two(from, both, move |source, target| {
                black_box(work(1.0, units));
                (*source, *target) = (*source - 10, *target + 10);
                E::one(None, teller, move |done: &mut u64| {
                    *done += 1;
                    if *done == n {
                        arrive();
                    }
                });
            });
        }
    };
    feed(engine, By::Inside, 1, feed_all) + 2 * n
}

struct Philosopher<E: Engine> {
    forks: (E::Cown<u64>, E::Cown<u64>),
    hunger: u64,
}

/// Philosophers think and eat with two forks, each `meals` times.
pub(super) fn dining<E: Engine>(engine: &E, philosophers: usize, meals: u64, slow: bool) -> u64 {
    fn think<E: Engine>(philosopher: E::Cown<Philosopher<E>>, units: u32) {
        let again = philosopher.clone();
        E::one(None, philosopher, move |philosopher| {
            if philosopher.hunger == 0 {
                return arrive();
            }
            philosopher.hunger -= 1;
            E::two(None, philosopher.forks.clone(), move |left, right| {
                black_box(work(1.0, units));
                (*left, *right) = (*left + 1, *right + 1);
                think::<E>(again, units);
            });
        });
    }
    let units = if slow { ten_micros() } else { 0 };
    let first = move || {
        let forks: Vec<_> = (0..philosophers).map(|_| E::cown(0)).collect();
        // Every second one first. If all sat down in the order of the table, each would wait for the one before
        // from then on, so that one eats at a time: neighbours take turns.
        for i in (0..philosophers).step_by(2).chain((1..philosophers).step_by(2)) {
            let forks = (forks[i].clone(), forks[(i + 1) % philosophers].clone());
            think::<E>(E::cown(Philosopher { forks, hunger: meals }), units);
        }
    };
    begin(engine, philosophers, first) + philosophers as u64 * (2 * meals + 1)
}

struct Mall<E: Engine> {
    meetings: u64,
    waiting: Option<E::Cown<u8>>,
}

/// Creatures of three colours meet in twos, `meetings` times; both change their colour.
pub(super) fn chameneos<E: Engine>(engine: &E, creatures: usize, meetings: u64) -> u64 {
    fn enter<E: Engine>(mall: E::Cown<Mall<E>>, creature: E::Cown<u8>) {
        let back = mall.clone();
        E::one(None, mall, move |mall| {
            if mall.meetings == 0 {
                return arrive();
            }
            let Some(other) = mall.waiting.take() else {
                mall.waiting = Some(creature);
                return;
            };
            mall.meetings -= 1;
            let both = (creature, other);
            E::two(None, both.clone(), move |a, b| {
                if a != b {
                    let third = 3 - *a - *b;
                    (*a, *b) = (third, third);
                }
                enter::<E>(back.clone(), both.0);
                enter::<E>(back, both.1);
            });
        });
    }
    let first = move || {
        let mall = E::cown(Mall { meetings, waiting: None });
        (0..creatures).for_each(|i| enter::<E>(mall.clone(), E::cown((i % 3) as u8)));
    };
    begin(engine, creatures, first) + 3 * meetings + creatures as u64
}

/// `n` times a cown is made, has one behaviour, and that tells the one that waits for all.
pub(super) fn create<E: Engine>(engine: &E, n: u64) -> u64 {
    let total = E::cown((0, 0));
    let feed_all = move |from: Option<&E>| {
        for i in 0..n {
            let total = total.clone();
            E::one(from, E::cown(i), move |value| {
                let square = *value * *value;
                E::one(None, total, move |(done, sum): &mut (u64, u64)| {
                    (*done, *sum) = (*done + 1, sum.wrapping_add(square));
                    if *done == n {
                        arrive();
                    }
                });
            });
        }
    };
    feed(engine, By::Inside, 1, feed_all) + 2 * n
}

/// Cowns hold the numbers of Fibonacci that a tree of additions adds up. An addition waits for those below
/// it by the order of the behaviours.
pub(super) fn fib<E: Engine>(engine: &E, n: u32) -> u64 {
    fn tree<E: Engine>(n: u32) -> E::Cown<u64> {
        if n <= 2 {
            return E::cown(1);
        }
        let (a, b) = (tree::<E>(n - 1), tree::<E>(n - 2));
        E::two(None, (a.clone(), b), |a, b| *a += *b);
        a
    }
    let expected = fibonacci(n);
    feed(engine, By::Inside, 1, move |_| {
        E::one(None, tree::<E>(n), move |result| {
            assert_eq!(*result, expected);
            arrive();
        });
    });
    expected + 1
}

/// There are as many additions as this, less one.
pub(super) fn fibonacci(n: u32) -> u64 {
    (2..n).fold((1, 1), |(a, b), _| (b, a + b)).1
}

struct Client {
    left: u64,
    random: u32,
}

/// Clients ask a dictionary `requests` times each, one in ten to change it.
pub(super) fn dictionary<E: Engine>(engine: &E, clients: usize, requests: u64) -> u64 {
    type Dictionary = HashMap<u32, u32>;
    fn step<E: Engine>(client: E::Cown<Client>, dictionary: E::Shared<Dictionary>) {
        let again = client.clone();
        E::one(None, client, move |client| {
            if client.left == 0 {
                return arrive();
            }
            client.left -= 1;
            let (random, next) = (random(&mut client.random), dictionary.clone());
            let key = random % 512;
            if random >> 16 < (1 << 16) / 10 {
                E::write(None, dictionary, move |dictionary| {
                    dictionary.insert(key, random);
                    step::<E>(again, next);
                });
            } else {
                E::read(None, dictionary, move |dictionary| {
                    black_box(dictionary.get(&key));
                    step::<E>(again, next);
                });
            }
        });
    }
    let first = move || {
        let dictionary = E::shared((0..512).map(|key| (key, key)).collect::<Dictionary>());
        for i in 0..clients {
            let client = E::cown(Client { left: requests, random: seed(i) });
            step::<E>(client, dictionary.clone());
        }
    };
    begin(engine, clients, first) + clients as u64 * (2 * requests + 1)
}
