//! The clock that deadlines are on.

/// The monotonic clock in nanoseconds: CLOCK_MONOTONIC, which a futex deadline is on too, and on
/// Apple's systems the clock of std's timed waits, which stands still while the machine sleeps.
#[cfg(unix)]
#[inline]
pub(crate) fn monotonic_now() -> u64 {
    #[cfg(target_vendor = "apple")]
    const CLOCK: libc::clockid_t = libc::CLOCK_UPTIME_RAW;
    #[cfg(not(target_vendor = "apple"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;

    // SAFETY: numbers, and on some 32-bit systems padding that has no name.
    let mut now: libc::timespec = unsafe { std::mem::zeroed() };
    // SAFETY: writes to a local; the clock exists on every such system, so it cannot fail.
    unsafe { libc::clock_gettime(CLOCK, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// The monotonic clock in nanoseconds, counted from its first reading. Where there is `fork` this
/// would not do: a child made during that reading would wait for a thread that it does not have.
#[cfg(not(unix))]
pub(crate) fn monotonic_now() -> u64 {
    use std::sync::OnceLock;
    use std::time::Instant;

    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    let nanos = ORIGIN.get_or_init(Instant::now).elapsed().as_nanos();
    u64::try_from(nanos).unwrap_or(u64::MAX - 1)
}
