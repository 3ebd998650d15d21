use std::sync::atomic::Ordering::Relaxed;

use loom::sync::atomic::AtomicUsize;
use pysync_lock::OnceFlag;

use crate::explore::{Body, Data, EXHAUSTIVE, Unlock, explore};

struct Shared {
    once: OnceFlag,
    data: Data,
    /// How many calls are to fail.
    failures: AtomicUsize,
}

fn shared() -> Shared {
    Shared { once: OnceFlag::new(), data: Data::new(), failures: AtomicUsize::new(0) }
}

fn shared_with_a_failure() -> Shared {
    Shared { failures: AtomicUsize::new(1), ..shared() }
}

/// Calls until a call succeeds, not necessarily one's own.
fn call(s: &Shared) {
    loop {
        let result = s.once.call_once(|| {
            // Each call builds on what those before it have left behind.
            s.data.add_one();
            if s.failures.load(Relaxed) == 0 {
                return Ok(());
            }
            s.failures.fetch_sub(1, Relaxed);
            Err(())
        });
        if result.is_ok() {
            break;
        }
    }
    s.data.get();
}

fn look(s: &Shared) {
    if s.once.is_initialized() {
        assert_eq!(s.data.get(), 1);
    }
}

fn check<const N: usize>(
    name: &str,
    preemptions: Option<usize>,
    shared: fn() -> Shared,
    bodies: [Body<Shared>; N],
) {
    let name = format!("once flag, {name}");
    explore(&name, Unlock::Wakes, preemptions, shared, bodies, |s| {
        assert!(s.once.is_initialized());
        assert_eq!(s.failures.load(Relaxed), 0);
    });
}

#[test]
fn once_flag_calls_once_and_publishes() {
    check("2 threads", EXHAUSTIVE, shared, [call, call]);
}

#[test]
fn once_flag_is_initialized_publishes() {
    check("is_initialized", EXHAUSTIVE, shared, [call, look]);
}

#[test]
fn once_flag_a_failure_lets_another_try_and_shows_it_what_was_done() {
    check("2 threads, a failure", Some(4), shared_with_a_failure, [call, call]);
}

#[test]
fn once_flag_wakes_all() {
    check("3 threads", Some(2), shared, [call; 3]);
}

#[test]
fn once_flag_a_failure_wakes_all() {
    check("3 threads, a failure", Some(2), shared_with_a_failure, [call; 3]);
}
