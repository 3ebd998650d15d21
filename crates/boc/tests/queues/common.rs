//! What the tests of the queues share. Not every test file uses all of it.
#![allow(dead_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use pysync_boc::{Limits, QueueStats, Queues, Received};
use pysync_testing::wait_until;

pub(crate) const NOW: Option<Duration> = Some(Duration::ZERO);
/// A deadline that no test lives to see.
pub(crate) const HOUR: Option<Duration> = Some(Duration::from_secs(3600));

pub(crate) const fn millis(count: u64) -> Option<Duration> {
    Some(Duration::from_millis(count))
}

/// Queues with room for so many messages each.
pub(crate) fn with_capacity<M: Send>(capacity: usize) -> Queues<M> {
    Queues::new(Limits { capacity, ..Limits::default() })
}

/// Receives what is there; its number and the index of its tag.
pub(crate) fn take(queues: &Queues<u32>, tags: &[&str]) -> (usize, u32) {
    let Received { index, message } = queues.receive(tags, NOW).expect("a message is there");
    (index, message)
}

/// What the queue of that name says of itself.
///
/// # Panics
/// If there is none.
pub(crate) fn stats<M: Send>(queues: &Queues<M>, name: &str) -> QueueStats {
    let mut all = queues.stats().into_iter();
    all.find(|queue| queue.name == name).unwrap_or_else(|| panic!("no queue {name:?}"))
}

/// How many receivers are parked on that tag; none if it has no queue.
pub(crate) fn receivers<M: Send>(queues: &Queues<M>, name: &str) -> usize {
    let all = queues.stats();
    all.iter().find(|queue| queue.name == name).map_or(0, |queue| queue.parked_receivers)
}

/// How many senders are parked on that tag; none if it has no queue.
pub(crate) fn senders<M: Send>(queues: &Queues<M>, name: &str) -> usize {
    let all = queues.stats();
    all.iter().find(|queue| queue.name == name).map_or(0, |queue| queue.parked_senders)
}

/// Returns once so many receivers are parked on that tag. The caller keeps a watchdog.
pub(crate) fn wait_for_receivers<M: Send>(queues: &Queues<M>, name: &str, count: usize) {
    wait_until(|| receivers(queues, name) == count);
}

/// Returns once so many senders are parked on that tag. The caller keeps a watchdog.
pub(crate) fn wait_for_senders<M: Send>(queues: &Queues<M>, name: &str, count: usize) {
    wait_until(|| senders(queues, name) == count);
}

/// Counts the [`Counted`] values that live.
#[derive(Clone, Debug, Default)]
pub(crate) struct Live(Arc<AtomicUsize>);

impl Live {
    pub(crate) fn count(&self) -> usize {
        self.0.load(SeqCst)
    }

    /// One more.
    pub(crate) fn value(&self, number: usize) -> Counted {
        self.0.fetch_add(1, SeqCst);
        Counted { number, live: self.clone() }
    }
}

/// A message that is counted while it lives, and owns memory, so that a second drop of it is an error
/// that tools see.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) number: usize,
    live: Live,
}

impl Drop for Counted {
    fn drop(&mut self) {
        assert!(self.live.0.fetch_sub(1, SeqCst) > 0, "dropped twice");
    }
}

/// How often the calling thread has slept so far.
#[cfg(target_os = "linux")]
pub(crate) fn sleeps() -> usize {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: writes to a local, which zeroes are valid for.
    unsafe {
        libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr());
        usage.assume_init().ru_nvcsw as usize
    }
}
