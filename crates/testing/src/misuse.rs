use std::any::Any;
use std::env;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::Duration;

use crate::watchdog_for;

/// Set in a child of [`aborts_with`], to the test that it is to run.
const CHILD_OF: &str = "PYSYNC_ABORTS_WITH";

/// Runs `body` in a process of its own and panics unless that aborts with `message` among what it
/// writes to standard error.
///
/// The process is this test binary again, told to run `test` alone, so `test` must be the name by
/// which the harness knows the calling test: with the modules around it, without the crate. What
/// the test does before it calls this, the child does too.
///
/// ```no_run
/// # fn misuse() -> ! { std::process::abort() }
/// #[test]
/// fn misuse_is_fatal() {
///     pysync_testing::aborts_with("misuse_is_fatal", "you may not do that", || misuse());
/// }
/// ```
pub fn aborts_with<T>(test: &str, message: &str, body: impl FnOnce() -> T) {
    if env::var(CHILD_OF).is_ok_and(|name| name == test) {
        let _watchdog = watchdog_for(Duration::from_secs(30));
        leave_no_core();
        body();
        eprintln!("{test}: did not abort");
        std::process::exit(0);
    }

    let output = Command::new(env::current_exe().expect("the path of the test binary"))
        .args([test, "--exact", "--nocapture", "--include-ignored"])
        .env(CHILD_OF, test)
        .output()
        .expect("the test binary runs again");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        stdout.contains("running 1 test"),
        "the harness knows no test called {test}:\n{stdout}{stderr}"
    );
    assert!(aborted(&output.status), "expected an abort, got {}:\n{stderr}", output.status);
    assert!(stderr.contains(message), "expected {message:?} in:\n{stderr}");
}

/// Runs `body` and panics unless that panics with exactly `message`.
pub fn panics_with<T>(message: &str, body: impl FnOnce() -> T) {
    let payload = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(_) => panic!("expected a panic: {message}"),
        Err(payload) => payload,
    };
    assert_eq!(text(&*payload), Some(message), "it panicked, but not with the right message");
}

/// The message of a panic.
fn text(payload: &(dyn Any + Send)) -> Option<&str> {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

/// Stops printing panics with exactly `message`, for tests that cause many.
pub fn hush_panics(message: &'static str) {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if text(info.payload()) != Some(message) {
            print(info);
        }
    }));
}

#[cfg(unix)]
fn aborted(status: &std::process::ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    status.signal() == Some(libc::SIGABRT)
}

#[cfg(not(unix))]
fn aborted(status: &std::process::ExitStatus) -> bool {
    !status.success()
}

fn leave_no_core() {
    #[cfg(unix)]
    {
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: reads a local.
        unsafe { libc::setrlimit(libc::RLIMIT_CORE, &none) };
    }
}
