//! Locks and permits as users build them.

use super::*;

/// A lock of one byte: 0 free, 1 held, 2 held and somebody may be parked.
type Lock = (AtomicU8, Data);

fn increment((word, data): &Lock) {
    if word.compare_exchange(0, 1, Acquire, Relaxed).is_err() {
        while word.swap(2, Acquire) != 0 {
            park(word, 2, None, no_arg(), false);
        }
    }
    data.add(1);
    if word.compare_exchange(1, 0, Release, Relaxed).is_err() {
        // A store would do. But loom keeps only what it sees happen in order, so that a plain
        // store is not after an exchange that it raced with and that read what it replaced.
        unpark(word, |_| {
            word.swap(0, Release);
        });
    }
}

#[test]
fn a_lock_of_one_byte() {
    exhaustive("byte lock, 2 threads", || {
        let lock = run((AtomicU8::new(0), Data::new()), &[increment, increment]);
        assert_eq!(lock.1.get(), 2);
    });
    bounded("byte lock, 3 threads", || {
        let lock = run((AtomicU8::new(0), Data::new()), &[increment, increment, increment]);
        assert_eq!(lock.1.get(), 3);
    });
}

#[test]
fn permits_are_neither_lost_nor_made_up() {
    fn take(permits: &AtomicU32) {
        loop {
            let left = permits.load(Relaxed);
            if left > 0 {
                if permits.compare_exchange(left, left - 1, AcqRel, Relaxed).is_ok() {
                    return;
                }
            } else {
                park(permits, 0, None, no_arg(), false);
            }
        }
    }
    fn give(permits: &AtomicU32) {
        permits.fetch_add(1, AcqRel);
        unpark(permits, |_| {});
    }
    bounded("permits, 2 takers", || {
        let permits = run(
            AtomicU32::new(0),
            &[take, take, |permits| {
                give(permits);
                give(permits);
            }],
        );
        assert_eq!(permits.load(Relaxed), 0);
    });
}
