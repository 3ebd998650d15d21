//! Many waiters at once.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::ptr::null_mut;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use common::{park_announced, unpark_one};
use pysync_parking_lot::{ParkStatus, unpark_all};
use pysync_testing::{wait_until, watchdog_for};

const AT_A_TIME: usize = 2_000;
const ROUNDS: usize = 5;

/// Parks as many threads as that on the words that `word` chooses for them, round by round, has
/// `wake` wake them, and returns how many have been woken.
fn wake_ten_thousand<'a>(
    word: impl Fn(usize) -> &'a AtomicU8 + Sync,
    timeout: Option<Duration>,
    wake: impl Fn(),
) -> usize {
    let _watchdog = watchdog_for(Duration::from_secs(120));
    let woken = AtomicUsize::new(0);
    for _ in 0..ROUNDS {
        let queued = AtomicUsize::new(0);
        thread::scope(|s| {
            let (word, queued, woken) = (&word, &queued, &woken);
            for id in 0..AT_A_TIME {
                thread::Builder::new()
                    .stack_size(64 << 10)
                    .spawn_scoped(s, move || {
                        let status = park_announced(word(id), 0, timeout, null_mut(), queued);
                        assert_eq!(status, ParkStatus::Ok);
                        woken.fetch_add(1, SeqCst);
                    })
                    .expect("room for another thread");
            }
            wait_until(|| queued.load(SeqCst) == AT_A_TIME);
            wake();
        });
    }
    woken.into_inner()
}

fn report(what: &str, woken: usize) {
    println!("{woken} of {} threads woken {what}", ROUNDS * AT_A_TIME);
    assert_eq!(woken, ROUNDS * AT_A_TIME);
}

#[test]
fn ten_thousand_threads_on_distinct_addresses_all_wake() {
    let words: Vec<_> = (0..AT_A_TIME).map(|_| AtomicU8::new(0)).collect();
    let one_each = || {
        for word in &words {
            assert!(unpark_one(word).is_some());
            assert!(unpark_one(word).is_none());
        }
    };
    report("one by one", wake_ten_thousand(|id| &words[id], None, one_each));
}

#[test]
fn ten_thousand_threads_on_equal_addresses_all_wake_one_by_one() {
    let word = AtomicU8::new(0);
    let one_by_one = || {
        for _ in 0..AT_A_TIME {
            assert!(unpark_one(&word).is_some());
        }
        assert!(unpark_one(&word).is_none());
    };
    report("one by one from one address", wake_ten_thousand(|_| &word, None, one_by_one));
}

#[test]
fn ten_thousand_threads_on_equal_addresses_all_wake_together() {
    let word = AtomicU8::new(0);
    let hour = Some(Duration::from_secs(3600));
    let together = || unpark_all(&word);
    report("together", wake_ten_thousand(|_| &word, hour, together));
    assert!(unpark_one(&word).is_none());
}
