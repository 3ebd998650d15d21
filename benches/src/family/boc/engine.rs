//! What runs the programs: an engine, to which a program hands closures over what it shares.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, Thread};

use crossbeam_utils::CachePadded;
use pysync_lock::guarded::Mutex;

/// Runs closures that have what they name to themselves: on cowns, or as tasks that lock.
///
/// `from` is the engine where a thread outside of it asks, and `None` inside a closure that it runs.
/// Handles are given away: one that is still needed is cloned before.
pub(super) trait Engine: Sized + 'static {
    const NAME: &'static str;
    /// A handle of something that one closure at a time has.
    type Cown<T: Send + Sync + 'static>: Clone + Send + Sync + 'static;
    /// A handle of something that many may read at a time.
    type Shared<T: Send + Sync + 'static>: Clone + Send + Sync + 'static;

    fn new(workers: usize) -> Self;

    fn cown<T: Send + Sync + 'static>(value: T) -> Self::Cown<T>;

    fn shared<T: Send + Sync + 'static>(value: T) -> Self::Shared<T>;

    /// Nothing is named.
    fn free(from: Option<&Self>, body: impl FnOnce() + Send + 'static);

    fn one<T: Send + Sync + 'static>(
        from: Option<&Self>,
        cown: Self::Cown<T>,
        body: impl FnOnce(&mut T) + Send + 'static,
    );

    /// Two that differ.
    fn two<T: Send + Sync + 'static, U: Send + Sync + 'static>(
        from: Option<&Self>,
        cowns: (Self::Cown<T>, Self::Cown<U>),
        body: impl FnOnce(&mut T, &mut U) + Send + 'static,
    );

    fn read<T: Send + Sync + 'static>(
        from: Option<&Self>,
        shared: Self::Shared<T>,
        body: impl FnOnce(&T) + Send + 'static,
    );

    fn write<T: Send + Sync + 'static>(
        from: Option<&Self>,
        shared: Self::Shared<T>,
        body: impl FnOnce(&mut T) + Send + 'static,
    );
}

/// How many ends of the program that runs are outstanding. One program runs at a time, and a handle of
/// this in each closure would cost each a count.
static LEFT: CachePadded<AtomicUsize> = CachePadded::new(AtomicUsize::new(0));
static WAITER: Mutex<Option<Thread>> = Mutex::new(None);

/// The calling thread is going to [`wait`] for so many ends.
pub(super) fn expect(ends: usize) {
    *WAITER.lock() = Some(thread::current());
    // Ordering: Relaxed. What runs the program is told later, by the engine.
    LEFT.store(ends, Ordering::Relaxed);
}

/// One end of the program.
pub(super) fn arrive() {
    // Ordering: AcqRel. What each has done is visible to the thread that waits.
    if LEFT.fetch_sub(1, Ordering::AcqRel) == 1 {
        let waiter = WAITER.lock().take();
        waiter.expect("a program expects its ends").unpark();
    }
}

/// Waits for all ends.
pub(super) fn wait() {
    while LEFT.load(Ordering::Acquire) != 0 {
        thread::park();
    }
}

/// Units of work that take ten microseconds on this machine.
pub(super) fn ten_micros() -> u32 {
    static UNITS: OnceLock<u32> = OnceLock::new();
    *UNITS.get_or_init(|| "10us".parse::<crate::work::Work>().expect("an amount").units())
}
