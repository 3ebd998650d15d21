//! `guarded::SeqLock`: values of many sizes and shapes, never torn.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::thread;

use pysync_lock::guarded::SeqLock;
use pysync_testing::watchdog;

const VALUES: u64 = 64;

/// Two writers write `make(n)` for one `n` after the other while two readers check that each
/// copy is one of these.
fn never_torn<T: Copy + PartialEq + Debug + Send + Sync>(make: fn(u64) -> T) {
    let _watchdog = watchdog();
    let values: Vec<T> = (0..VALUES).map(make).collect();
    let lock = SeqLock::new(values[0]);
    let (stop, reads) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let writers = [0, 1].map(|i| {
            let (lock, values) = (&lock, &values);
            scope.spawn(move || {
                for j in 0..1_500 {
                    lock.write(values[(i + j) % values.len()]);
                    if j % 64 == 0 {
                        thread::yield_now();
                    }
                }
            })
        });
        for i in 0..2 {
            let (lock, values, stop, reads) = (&lock, &values, &stop, &reads);
            scope.spawn(move || {
                while !stop.load(Relaxed) {
                    let copy = match i {
                        0 => lock.read(),
                        _ => match lock.try_read() {
                            Some(copy) => copy,
                            None => continue,
                        },
                    };
                    assert!(values.contains(&copy), "torn: {copy:?}");
                    reads.fetch_add(1, Relaxed);
                }
            });
        }
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        stop.store(true, Relaxed);
    });
    assert!(values.contains(&lock.read()));
    println!("{} whole copies", reads.into_inner());
}

/// Every byte depends on `n`.
fn bytes<const N: usize>(n: u64) -> [u8; N] {
    std::array::from_fn(|i| (n.wrapping_mul(7).wrapping_add(i as u64) % 251) as u8)
}

#[test]
fn values_of_no_size_are_never_torn() {
    never_torn(|_| ());
    never_torn(bytes::<0>);
}

#[test]
fn values_of_less_than_a_word_are_never_torn() {
    never_torn(bytes::<1>);
    never_torn(bytes::<3>);
    never_torn(|n| n % 2 == 0);
    never_torn(|n| char::from_u32(n as u32 + 0x1F600).unwrap());
}

#[test]
fn values_of_words_and_a_rest_are_never_torn() {
    never_torn(bytes::<8>);
    never_torn(bytes::<12>);
    never_torn(bytes::<24>);
    never_torn(bytes::<100>);
    never_torn(|n| [n as u32; 3]);
    never_torn(|n| [n; 3]);
}

/// Holes after the first, the third and the last field.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
struct Padded {
    a: u8,
    b: u64,
    c: u16,
    d: u32,
    e: u8,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    Nothing,
    Small(u8),
    Large { a: u64, b: u16 },
}

#[test]
fn values_with_padding_are_never_torn() {
    never_torn(|n| Padded { a: n as u8, b: n, c: n as u16, d: n as u32, e: n as u8 });
    never_torn(|n| (n as u8, n as u32));
    never_torn(|n| match n % 3 {
        0 => Shape::Nothing,
        1 => Shape::Small(n as u8),
        _ => Shape::Large { a: n, b: n as u16 },
    });
    never_torn(|n| (n % 2 == 0).then_some(n));
}

#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(align(32))]
struct Aligned([u64; 4]);

#[test]
fn values_of_more_than_a_words_alignment_are_never_torn() {
    never_torn(|n| u128::from(n) << 64 | u128::from(n));
    never_torn(|n| Aligned([n; 4]));
    assert_eq!(align_of::<SeqLock<Aligned>>(), 32);
}

#[test]
fn pointers_survive_the_copy() {
    static TEXTS: [&str; 3] = ["park", "unpark", "unpark_all"];
    let lock = SeqLock::new(TEXTS[0]);
    for text in TEXTS {
        lock.write(text);
        assert_eq!(lock.read(), text);
    }
    let lock = SeqLock::new(str::len as fn(&str) -> usize);
    assert_eq!(lock.read()(TEXTS[1]), 6);
}

#[test]
fn a_read_sees_the_last_write_of_its_own_thread() {
    let lock = SeqLock::new([0_u64; 5]);
    for n in 0..100 {
        lock.write([n; 5]);
        assert_eq!(lock.read(), [n; 5]);
        assert_eq!(lock.try_read(), Some([n; 5]));
    }
    // SAFETY: no other thread has the lock, and this one is not writing.
    assert!(!unsafe { lock.after_fork([7; 5]) });
    assert_eq!(lock.read(), [99; 5]);
}

#[test]
fn debug_shows_the_value() {
    assert_eq!(format!("{:?}", SeqLock::new((1, 2))), "SeqLock((1, 2))");
}
