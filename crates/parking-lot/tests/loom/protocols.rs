//! Locks and permits as users build them.

use super::*;

/// A lock of one byte: 0 free, 1 held, 2 held and a thread may be parked.
type Lock = (AtomicU8, Data);

fn increment((word, data): &Lock) {
    if word.compare_exchange(0, 1, Acquire, Relaxed).is_err() {
        while word.swap(2, Acquire) != 0 {
            park(word, 2, None, no_arg(), false);
        }
    }
    data.add_one();
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
    Explore::new("byte lock, 2 threads").run(Lock::default, [increment; 2], |lock| {
        assert_eq!(lock.1.get(), 2);
    });
    Explore::new("byte lock, 3 threads").bounded().run(Lock::default, [increment; 3], |lock| {
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
    fn give_twice(permits: &AtomicU32) {
        give(permits);
        give(permits);
    }
    let bodies = [take, take, give_twice];
    Explore::new("permits, 2 takers").bounded().run(AtomicU32::default, bodies, |permits| {
        assert_eq!(permits.load(Relaxed), 0);
    });
}
