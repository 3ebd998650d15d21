//! Merge sort by fork and join: a behaviour over the outcomes of the two halves joins them. No thread waits
//! for a half, and so a few workers are enough for any depth.
//!
//! ```sh
//! cargo run --release --package pysync-boc --example sort
//! ```

use std::iter::Peekable;

use pysync_boc::{Cown, Held, when};

/// Short enough to be sorted in one go.
const SHORT: usize = 1_000;

/// A cown that is going to have the sorted list.
fn sort(list: Vec<u32>) -> Cown<Vec<u32>> {
    let (sorted, promise) = Cown::held(list);
    when((), move |()| split(promise));
    sorted
}

/// Sorts what the promise has, or has its halves sorted. The promise is kept once they are.
fn split(mut promise: Held<Vec<u32>>) {
    if promise.len() <= SHORT {
        promise.sort_unstable();
        return;
    }
    let middle = promise.len() / 2;
    let right = sort(promise.split_off(middle));
    let left = sort(std::mem::take(&mut *promise));
    when((left, right), move |(left, right)| {
        *promise = merge(left.drain(..).peekable(), right.drain(..).peekable());
    });
}

fn merge(
    mut left: Peekable<impl Iterator<Item = u32>>,
    mut right: Peekable<impl Iterator<Item = u32>>,
) -> Vec<u32> {
    let mut merged = Vec::new();
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        merged.extend(if a <= b { left.next() } else { right.next() });
    }
    merged.extend(left.chain(right));
    merged
}

fn main() {
    let numbers: Vec<u32> = (0..200_000_u32).map(|n| n.wrapping_mul(2_654_435_761) >> 8).collect();
    let mut expected = numbers.clone();
    expected.sort_unstable();

    let sorted = sort(numbers);
    let sorted = sorted.acquire();
    println!("{} numbers from {} to {}", sorted.len(), sorted[0], sorted[sorted.len() - 1]);
    assert_eq!(*sorted, expected);
}
