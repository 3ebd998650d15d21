use std::sync::atomic::Ordering::Relaxed;

use loom::sync::atomic::AtomicUsize;
use pysync_lock::OnceFlag;
use pysync_testing::model::{Data, Explore};

#[derive(Default)]
struct Shared {
    once: OnceFlag,
    data: Data,
    /// How many calls are to fail.
    failures: AtomicUsize,
}

fn with_a_failure() -> Shared {
    Shared { failures: AtomicUsize::new(1), ..Shared::default() }
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

fn is_done(s: &Shared) {
    assert!(s.once.is_initialized());
    assert_eq!(s.failures.load(Relaxed), 0);
}

#[test]
fn once_flag_calls_once_and_publishes() {
    Explore::new("once flag, 2 threads").run(Shared::default, [call, call], is_done);
}

#[test]
fn once_flag_is_initialized_publishes() {
    Explore::new("once flag, is_initialized").run(Shared::default, [call, look], is_done);
}

#[test]
fn once_flag_a_failure_lets_another_try_and_shows_it_what_was_done() {
    let model = Explore::new("once flag, 2 threads, a failure").preemptions(4);
    model.run(with_a_failure, [call, call], is_done);
}

#[test]
fn once_flag_wakes_all() {
    let model = Explore::new("once flag, 3 threads").preemptions(2);
    model.run(Shared::default, [call; 3], is_done);
}

#[test]
fn once_flag_a_failure_wakes_all() {
    let model = Explore::new("once flag, 3 threads, a failure").preemptions(2);
    model.run(with_a_failure, [call; 3], is_done);
}
