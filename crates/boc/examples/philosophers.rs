//! Philosophers at a round table, each of whom needs the two forks beside it to eat. One that is hungry asks
//! for both forks at once, and gets them in its turn.
//!
//! ```sh
//! cargo run --release --package pysync-boc --example philosophers
//! ```

use pysync_boc::{Cown, Runtime, when};

const PHILOSOPHERS: usize = 5;
const MEALS: usize = 1_000;

struct Philosopher {
    left: Cown<Fork>,
    right: Cown<Fork>,
    meals: usize,
}

#[derive(Default)]
struct Fork {
    uses: usize,
}

/// The philosopher eats, thinks, and is hungry again.
fn dine(mut philosopher: Philosopher) {
    let forks = (philosopher.left.clone(), philosopher.right.clone());
    when(forks, move |(left, right)| {
        left.uses += 1;
        right.uses += 1;
        philosopher.meals += 1;
        if philosopher.meals < MEALS {
            // It asks while it still has both, and so comes behind its neighbours.
            dine(philosopher);
        }
    });
}

fn main() {
    let runtime = Runtime::global();
    let forks: Vec<_> = (0..PHILOSOPHERS).map(|_| Cown::new(Fork::default())).collect();
    for seat in 0..PHILOSOPHERS {
        let (left, right) = (forks[seat].clone(), forks[(seat + 1) % PHILOSOPHERS].clone());
        dine(Philosopher { left, right, meals: 0 });
    }
    runtime.quiesce(None).unwrap();

    let uses: Vec<_> = forks.iter().map(|fork| fork.acquire().uses).collect();
    println!("the forks have been used {uses:?} times");
    assert_eq!(uses, [2 * MEALS; PHILOSOPHERS]);
}
