//! The clock that deadlines are on.

/// The monotonic clock in nanoseconds, the one that deadlines are on. Its origin is arbitrary: only
/// differences mean something.
///
/// On Unix this is CLOCK_MONOTONIC, which a futex deadline is on too. On Apple's systems it is the
/// clock of std's timed waits, which stands still while the machine sleeps. In a model it is the
/// model's, and moves only when it is read.
#[inline]
pub fn monotonic_now() -> u64 {
    imp::now()
}

#[cfg(all(unix, not(any(pysync_loom, pysync_shuttle))))]
mod imp {
    #[cfg(target_vendor = "apple")]
    const CLOCK: libc::clockid_t = libc::CLOCK_UPTIME_RAW;
    #[cfg(not(target_vendor = "apple"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;

    #[inline]
    pub(super) fn now() -> u64 {
        // SAFETY: numbers, and on some 32-bit systems padding that has no name.
        let mut now: libc::timespec = unsafe { std::mem::zeroed() };
        // SAFETY: writes to a local; the clock exists on every such system, so it cannot fail.
        unsafe { libc::clock_gettime(CLOCK, &raw mut now) };
        now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
    }
}

#[cfg(all(not(unix), not(any(pysync_loom, pysync_shuttle))))]
mod imp {
    use std::sync::OnceLock;
    use std::time::Instant;

    /// Counted from the first reading. Where there is `fork` this would not do: a child made
    /// during that reading would wait for a thread that it does not have.
    pub(super) fn now() -> u64 {
        static ORIGIN: OnceLock<Instant> = OnceLock::new();
        let nanos = ORIGIN.get_or_init(Instant::now).elapsed().as_nanos();
        u64::try_from(nanos).unwrap_or(u64::MAX - 1)
    }
}

#[cfg(any(pysync_loom, pysync_shuttle))]
mod imp {
    pub(super) use crate::model::now;
}
