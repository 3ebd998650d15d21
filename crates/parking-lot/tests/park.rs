//! Park and unpark: what is compared, who is woken, and what the callback is told.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::ptr::null_mut;
use std::sync::Mutex;
use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering::SeqCst,
};
use std::thread;

use common::{park_announced, unpark_one};
use pysync_parking_lot::{
    ParkStatus, bucket_locks_held, park, unpark, unpark_all, unpark_all_with_args,
};
use pysync_testing::{wait_until, watchdog};

macro_rules! each_word {
    ($($name:ident: $atomic:ident, $value:ty;)*) => {$(
        mod $name {
            use super::*;

            const VALUE: $value = <$value>::MAX / 3;

            #[test]
            fn a_difference_in_any_bit_means_again() {
                let _watchdog = watchdog();
                let word = $atomic::new(VALUE);
                for bit in 0..<$value>::BITS {
                    let other = VALUE ^ (1 << bit);
                    assert_eq!(park(&word, other, None, null_mut(), false), ParkStatus::Again);
                    word.store(other, SeqCst);
                    assert_eq!(park(&word, VALUE, None, null_mut(), false), ParkStatus::Again);
                    word.store(VALUE, SeqCst);
                }
                assert!(unpark_one(&word).is_none(), "again means not queued");
            }

            #[test]
            fn only_the_word_is_compared_and_not_its_neighbours() {
                let _watchdog = watchdog();
                let words = [const { $atomic::new(0) }; 3];
                let queued = AtomicUsize::new(0);
                words[1].store(VALUE, SeqCst);
                thread::scope(|s| {
                    let waiter = s.spawn(|| {
                        park_announced(&words[1], VALUE, None, null_mut(), &queued)
                    });
                    wait_until(|| queued.load(SeqCst) == 1);
                    assert!(unpark_one(&words[0]).is_none());
                    assert!(unpark_one(&words[2]).is_none());
                    assert!(unpark_one(&words[1]).is_some());
                    assert_eq!(waiter.join().unwrap(), ParkStatus::Ok);
                });
            }
        }
    )*};
}

each_word! {
    a_byte: AtomicU8, u8;
    two_bytes: AtomicU16, u16;
    four_bytes: AtomicU32, u32;
    eight_bytes: AtomicU64, u64;
    a_usize: AtomicUsize, usize;
}

#[test]
fn threads_are_unparked_in_the_order_in_which_they_parked() {
    const WAITERS: usize = 12;
    let _watchdog = watchdog();
    let word = AtomicU8::new(0);
    let queued = AtomicUsize::new(0);
    let woken = Mutex::new(Vec::new());
    thread::scope(|s| {
        let (word, queued, woken) = (&word, &queued, &woken);
        for id in 0..WAITERS {
            s.spawn(move || {
                let status = park_announced(word, 0, None, null_mut(), queued);
                assert_eq!(status, ParkStatus::Ok);
                woken.lock().unwrap().push(id);
            });
            wait_until(|| queued.load(SeqCst) == id + 1);
        }
        for id in 0..WAITERS {
            assert!(unpark_one(word).is_some());
            wait_until(|| woken.lock().unwrap().len() == id + 1);
        }
    });
    assert_eq!(woken.into_inner().unwrap(), (0..WAITERS).collect::<Vec<_>>());
    assert!(unpark_one(&word).is_none());
}

#[test]
fn the_park_argument_is_lent_to_the_callback() {
    struct Letter {
        question: u32,
        answer: u32,
    }

    let _watchdog = watchdog();
    let word = AtomicU32::new(7);
    let queued = AtomicUsize::new(0);
    thread::scope(|s| {
        let (word, queued) = (&word, &queued);
        for question in [6, 7] {
            let waiter = s.spawn(move || {
                let mut letter = Letter { question, answer: 0 };
                let park_arg = (&raw mut letter).cast();
                assert_eq!(park_announced(word, 7, None, park_arg, queued), ParkStatus::Ok);
                letter.answer
            });
            wait_until(|| queued.load(SeqCst) == 1);
            unpark(word, |unparked| {
                let letter: *mut Letter = unparked.unwrap().park_arg.cast();
                // SAFETY: the waiter keeps its letter until it is woken, after this callback.
                unsafe { (*letter).answer = (*letter).question * 7 };
            });
            assert_eq!(waiter.join().unwrap(), question * 7);
            queued.store(0, SeqCst);
        }
    });
}

#[test]
fn the_callback_runs_before_the_wake_and_with_the_bucket_locked() {
    let _watchdog = watchdog();
    let word = AtomicU8::new(0);
    let queued = AtomicUsize::new(0);
    let in_callback = AtomicBool::new(false);
    let (returned, got_in) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|s| {
        s.spawn(|| {
            assert_eq!(park_announced(&word, 0, None, null_mut(), &queued), ParkStatus::Ok);
            returned.store(true, SeqCst);
        });
        wait_until(|| queued.load(SeqCst) == 1);
        s.spawn(|| {
            wait_until(|| in_callback.load(SeqCst));
            // Compared under the bucket lock, so after the callback.
            assert_eq!(park(&word, 0, None, null_mut(), false), ParkStatus::Again);
            got_in.store(true, SeqCst);
        });
        unpark(&word, |unparked| {
            assert!(unparked.is_some());
            assert_eq!(bucket_locks_held(), 1);
            in_callback.store(true, SeqCst);
            // Ample time for either to go wrong, and no reliance on it when all is right.
            for _ in 0..2_000 {
                thread::yield_now();
            }
            assert!(!returned.load(SeqCst), "woken before the callback was over");
            assert!(!got_in.load(SeqCst), "the bucket was not locked");
            word.store(1, SeqCst);
        });
        assert_eq!(bucket_locks_held(), 0);
    });
}

#[test]
fn the_callback_runs_under_the_lock_when_nobody_waits_too() {
    let _watchdog = watchdog();
    let word = AtomicU8::new(0);
    let in_callback = AtomicBool::new(false);
    let got_in = AtomicBool::new(false);
    thread::scope(|s| {
        s.spawn(|| {
            wait_until(|| in_callback.load(SeqCst));
            assert_eq!(park(&word, 0, None, null_mut(), false), ParkStatus::Again);
            got_in.store(true, SeqCst);
        });
        unpark(&word, |unparked| {
            assert!(unparked.is_none());
            assert_eq!(bucket_locks_held(), 1);
            in_callback.store(true, SeqCst);
            for _ in 0..2_000 {
                thread::yield_now();
            }
            assert!(!got_in.load(SeqCst), "the bucket was not locked");
            word.store(1, SeqCst);
        });
    });
}

#[test]
fn an_unpark_wakes_one_thread_only() {
    let _watchdog = watchdog();
    let word = AtomicU8::new(0);
    let queued = AtomicUsize::new(0);
    let woken = AtomicUsize::new(0);
    thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                assert_eq!(park_announced(&word, 0, None, null_mut(), &queued), ParkStatus::Ok);
                woken.fetch_add(1, SeqCst);
            });
        }
        wait_until(|| queued.load(SeqCst) == 4);
        for n in 1..=4 {
            assert!(unpark_one(&word).is_some());
            wait_until(|| woken.load(SeqCst) == n);
            for _ in 0..200 {
                thread::yield_now();
            }
            assert_eq!(woken.load(SeqCst), n);
        }
    });
}

#[test]
fn an_unpark_that_finds_nobody_is_not_remembered() {
    let _watchdog = watchdog();
    let word = AtomicU8::new(0);
    let queued = AtomicUsize::new(0);
    assert!(unpark_one(&word).is_none());
    unpark_all(&word);
    thread::scope(|s| {
        let waiter = s.spawn(|| park_announced(&word, 0, None, null_mut(), &queued));
        wait_until(|| queued.load(SeqCst) == 1);
        assert!(unpark_one(&word).is_some(), "the thread is still parked");
        assert_eq!(waiter.join().unwrap(), ParkStatus::Ok);
    });
}

#[test]
fn the_word_is_only_a_key_to_an_unpark() {
    let _watchdog = watchdog();
    // Nothing is there.
    unpark(std::ptr::without_provenance::<AtomicU64>(1 << 40), |unparked| {
        assert!(unparked.is_none());
    });
    unpark_all(std::ptr::null::<AtomicU8>());

    // The address counts, not the size.
    let word = AtomicU32::new(0);
    let queued = AtomicUsize::new(0);
    thread::scope(|s| {
        let waiter = s.spawn(|| park_announced(&word, 0, None, null_mut(), &queued));
        wait_until(|| queued.load(SeqCst) == 1);
        let byte: *const AtomicU8 = (&raw const word).cast();
        unpark(byte, |unparked| assert!(unparked.is_some()));
        assert_eq!(waiter.join().unwrap(), ParkStatus::Ok);
    });
}

#[test]
fn unpark_all_tells_its_callback_who_was_parked_there_in_order() {
    let _watchdog = watchdog();
    // Bytes that are as far apart as there are buckets share one.
    let words = [const { AtomicU8::new(0) }; common::NUM_BUCKETS + 1];
    let (word, stranger) = (&words[0], &words[common::NUM_BUCKETS]);
    let args = |word: *const AtomicU8| {
        let mut args = Vec::with_capacity(3);
        unpark_all_with_args(word, |parked| args.extend(parked.map(|arg| arg.addr())));
        args
    };
    assert_eq!(args(word), []);

    let queued = AtomicUsize::new(0);
    thread::scope(|s| {
        for arg in 1..=4 {
            let queued = &queued;
            s.spawn(move || {
                let word = if arg == 2 { stranger } else { word };
                let arg = std::ptr::without_provenance_mut(arg);
                assert_eq!(park_announced(word, 0, None, arg, queued), ParkStatus::Ok);
            });
            wait_until(|| queued.load(SeqCst) == arg);
        }
        assert_eq!(args(word), [1, 3, 4]);
        assert_eq!(args(stranger), [2]);
    });
}
