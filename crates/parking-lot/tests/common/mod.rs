//! How a test knows that a thread is parked: a thread detaches after it has queued itself, so a
//! runtime can tell.

#![allow(dead_code)] // Each test file uses its part.

use std::cell::Cell;
use std::ptr;
#[cfg(unix)]
use std::sync::atomic::AtomicBool;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use pysync_parking_lot::{
    Deadline, ParkStatus, ParkWord, PendingCallError, Runtime, Unparked, park, park_in, unpark,
    unpark_all,
};
#[cfg(unix)]
use pysync_testing::fork;
use pysync_testing::wait_until;

pub(crate) const NUM_BUCKETS: usize = 257;

thread_local! {
    static QUEUED: Cell<*const AtomicUsize> = const { Cell::new(ptr::null()) };
}

struct Announce;

impl Runtime for Announce {
    type Detached = ();

    fn detach() -> Option<()> {
        // SAFETY: `park_announced` borrows the counter until this thread has parked.
        unsafe { (*QUEUED.get()).fetch_add(1, SeqCst) };
        None
    }

    fn attach((): ()) {}

    fn make_pending_calls() -> Result<(), PendingCallError> {
        Ok(())
    }

    fn thread_ident() -> u64 {
        1
    }

    fn fatal_error(_: &'static str, message: &str) -> ! {
        panic!("{message}")
    }
}

/// Parks, and adds one to `queued` when the thread is on its queue: from then on an unpark finds
/// it. Nothing is added if the word does not hold the expected value.
pub(crate) fn park_announced<W: ParkWord>(
    word: &W,
    expected: W::Value,
    timeout: Option<Duration>,
    park_arg: *mut (),
    queued: &AtomicUsize,
) -> ParkStatus {
    park_until_announced(word, expected, Deadline::after(timeout), park_arg, queued)
}

/// [`park_announced`] until a deadline.
pub(crate) fn park_until_announced<W: ParkWord>(
    word: &W,
    expected: W::Value,
    deadline: Deadline,
    park_arg: *mut (),
    queued: &AtomicUsize,
) -> ParkStatus {
    QUEUED.set(queued);
    park_in::<Announce, W>(word, expected, deadline, park_arg, true)
}

/// Unparks one thread and says what the callback was told.
pub(crate) fn unpark_one<W: ParkWord>(word: &W) -> Option<Unparked> {
    let mut told = None;
    unpark(word, |unparked| told = Some(unparked));
    told.expect("the callback runs in any case")
}

/// Words whose addresses fall into one bucket.
pub(crate) struct BucketMates([AtomicU8; 3 * NUM_BUCKETS]);

impl BucketMates {
    pub(crate) const fn new() -> Self {
        Self([const { AtomicU8::new(0) }; 3 * NUM_BUCKETS])
    }

    /// Three words, each other's mates. `offset` chooses the bucket.
    pub(crate) fn get(&self, offset: usize) -> [&AtomicU8; 3] {
        [0, 1, 2].map(|mate| &self.0[offset + mate * NUM_BUCKETS])
    }
}

/// Forks `forks` times with threads parked on `words`, and has each child park and unpark on them.
/// `at_birth` is what the child does first. `hammers` threads use the same buckets meanwhile, so
/// that some are locked when the child is made. Returns how many children came through: all.
#[cfg(unix)]
pub(crate) fn fork_with_parked_threads(
    words: &[&AtomicU8],
    forks: usize,
    hammers: usize,
    at_birth: impl Fn(),
) -> usize {
    /// Ends the threads even if a child has failed.
    struct Release<'a>(&'a AtomicBool, &'a [&'a AtomicU8]);

    impl Drop for Release<'_> {
        fn drop(&mut self) {
            self.0.store(true, SeqCst);
            for word in self.1 {
                unpark_all(*word);
            }
        }
    }

    let queued = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let mut survivors = 0;
    thread::scope(|s| {
        let _release = Release(&stop, words);
        for word in words.iter().flat_map(|word| [word; 2]) {
            let queued = &queued;
            s.spawn(move || {
                assert_eq!(park_announced(*word, 0, None, ptr::null_mut(), queued), ParkStatus::Ok);
            });
        }
        wait_until(|| queued.load(SeqCst) == 2 * words.len());
        for _ in 0..hammers {
            s.spawn(|| {
                while !stop.load(SeqCst) {
                    for word in words {
                        // Again, or a callback, either under the bucket lock.
                        park(*word, 1, None, ptr::null_mut(), false);
                        unpark(ptr::from_ref(*word).wrapping_add(99 * NUM_BUCKETS), |_| {});
                    }
                }
            });
        }
        for _ in 0..forks {
            fork(|| {
                at_birth();
                child_parks_and_unparks(words);
                true
            });
            survivors += 1;
        }
        // The parent has lost nobody.
        for word in words {
            assert!(unpark_one(*word).is_some());
            assert!(unpark_one(*word).is_some());
            assert!(unpark_one(*word).is_none());
        }
    });
    survivors
}

fn child_parks_and_unparks(words: &[&AtomicU8]) {
    for word in words {
        assert!(unpark_one(*word).is_none(), "a thread that does not exist is still parked");
        let zero = Some(Duration::ZERO);
        assert_eq!(park(*word, 0, zero, ptr::null_mut(), false), ParkStatus::Timeout);
        unpark_all(*word);
    }
    let queued = AtomicUsize::new(0);
    thread::scope(|s| {
        for word in words {
            let queued = &queued;
            s.spawn(move || {
                assert_eq!(park_announced(*word, 0, None, ptr::null_mut(), queued), ParkStatus::Ok);
            });
        }
        wait_until(|| queued.load(SeqCst) == words.len());
        for word in words {
            assert!(unpark_one(*word).is_some());
            assert!(unpark_one(*word).is_none());
        }
    });
}
