use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use pysync_lock::{SeqLock, guarded};
use pysync_testing::{together, watchdog};

use super::rounds;

#[test]
fn readers_see_whole_writes() {
    let _watchdog = watchdog();
    let rounds = rounds(10, 2_000);
    let lock = SeqLock::new();
    let pair = [const { AtomicUsize::new(0) }; 2];
    together(3, |id| {
        for _ in 0..rounds {
            if id == 0 {
                let sequence = lock.begin_read();
                let [a, b] = pair.each_ref().map(|word| word.load(Relaxed));
                if lock.end_read(sequence) {
                    assert_eq!(a, b);
                }
            } else {
                lock.lock_write();
                pair.iter().for_each(|word| word.store(word.load(Relaxed) + 1, Relaxed));
                lock.unlock_write();
            }
        }
    });
    assert_eq!(pair.map(AtomicUsize::into_inner), [2 * rounds; 2]);
}

/// Writes the values in turn on two threads; a third checks what it reads.
fn copies<T: Copy + Send + Sync>(values: &[T], check: impl Fn(T) + Sync) {
    let _watchdog = watchdog();
    let lock = guarded::SeqLock::new(values[0]);
    check(lock.read());
    together(3, |id| {
        for round in 0..rounds(4, 1_000) {
            if id == 0 {
                lock.try_read().into_iter().for_each(&check);
                check(lock.read());
            } else {
                lock.write(values[(id + round) % values.len()]);
            }
        }
    });
    check(lock.read());
}

#[test]
fn a_value_may_have_padding() {
    let values = [(1_u8, 1_u32), (2, 2), (3, 3)];
    copies(&values, |(a, b)| assert_eq!(u32::from(a), b));
}

#[test]
fn a_value_may_be_uninitialised() {
    copies(&[MaybeUninit::<u64>::uninit(), MaybeUninit::new(1)], |_| ());
}

#[test]
fn a_value_may_hold_pointers_that_lie_across_words() {
    #[derive(Clone, Copy)]
    #[repr(C, packed)]
    struct Packed(u8, &'static u32);

    static NUMBERS: [u32; 3] = [10, 11, 12];
    let values = [0, 1, 2].map(|i| Packed(i, &NUMBERS[usize::from(i)]));
    copies(&values, |Packed(i, number)| assert_eq!(*number, 10 + u32::from(i)));
}

#[test]
fn a_value_may_be_a_slice() {
    const VALUES: [&[usize]; 3] = [&[], &[1], &[2, 2]];
    copies(&VALUES, |slice| assert!(slice.iter().all(|&number| number == slice.len())));
}

#[test]
fn a_value_may_be_smaller_than_a_word_or_nothing() {
    copies(&[[1_u8; 3], [2; 3]], |bytes| assert_eq!(bytes[0], bytes[2]));
    copies(&[()], |()| ());
}
