//! Numbers for threads.

use std::cell::Cell;

use crate::abort::abort;
use crate::primitive;
use crate::primitive::plain::Ordering;

/// The last number that was given out. Not a model's atomic: models only compare idents.
#[cfg(target_has_atomic = "64")]
static LAST: primitive::plain::AtomicU64 = primitive::plain::AtomicU64::new(0);
#[cfg(not(target_has_atomic = "64"))]
static LAST: primitive::plain::AtomicUsize = primitive::plain::AtomicUsize::new(0);

primitive::thread_local! {
    static IDENT: Cell<u64> = Cell::new(0)
}

/// The calling thread's number, never 0 and never another thread's, living or not.
///
/// It is counted and not an address: the C library gives a dead thread's stack and thread locals
/// to the next one, in the child of a fork to the first new one.
#[inline]
pub(crate) fn current() -> u64 {
    IDENT.with(|ident| match ident.get() {
        0 => number(ident),
        number => number,
    })
}

#[cold]
#[allow(clippy::unnecessary_cast)] // Not where the counter has 32 bits.
fn number(ident: &Cell<u64>) -> u64 {
    // Ordering: Relaxed; the numbers differ, and that is all.
    let Ok(last) =
        LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| last.checked_add(1))
    else {
        abort("there have been too many threads to number");
    };
    // Fits: the addition above has not overflowed.
    let number = last as u64 + 1;
    ident.set(number);
    number
}

#[cfg(all(test, not(any(pysync_loom, pysync_shuttle))))]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_number_is_never_given_out_twice() {
        let mine = current();
        assert_ne!(mine, 0);
        assert_eq!(current(), mine);
        // One after the other, so that the system may give each the stack of the last.
        let mut numbers: Vec<u64> =
            (0..8).map(|_| thread::spawn(current).join().unwrap()).chain([mine]).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 9);
    }
}
