//! Branches whose threads fail, wait, join and make others at any moment.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use pysync_monitor::{Child, Failure, Monitor, Stopped, branch, check, shield, sleep};
use pysync_testing::model::TryOut;
use shuttle::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// A thread fails without more to say.
type Error = crate::error::Error<()>;

fn is_never<T>(_: &T) -> bool {
    false
}

/// A thread fails while the body makes others: each of them is born cancelled or cancelled later. One that were neither
/// would wait for ever.
#[test]
fn failing_while_spawning() {
    TryOut::new("branch, failing while spawning", 10_000).run_model(|| {
        let never = Monitor::new(0);
        let result = branch::<(), Error>(|b| {
            b.spawn(|| Err::<(), _>(Error::Failed(())));
            for _ in 0..2 {
                b.spawn(|| Ok(never.enter_when(is_never, |_| ())?));
            }
            Ok(())
        });
        let failures = result.unwrap_err().resume_panic();
        assert!(matches!(failures.cause(), Some(Failure::Error(Error::Failed(())))));
        assert_eq!(failures.iter().count(), 3);
        for failure in failures.into_iter().skip(1) {
            assert!(matches!(failure, Failure::Error(Error::Cancelled) | Failure::Cancelled));
        }
    });
}

/// And so does a thread of the branch, beside the body.
#[test]
fn failing_while_a_thread_spawns() {
    TryOut::new("branch, failing while a thread spawns", 10_000).run_model(|| {
        let never = Monitor::new(0);
        let never = &never;
        let result = branch::<(), Error>(|b| {
            b.spawn(move || {
                b.spawn(|| Ok(never.enter_when(is_never, |_| ())?));
                Ok(check()?)
            });
            Err(Error::Failed(()))
        });
        let failures = result.unwrap_err().resume_panic().into_vec();
        // The first thread may have run to its end before.
        assert!(matches!(failures[0], Failure::Error(Error::Failed(()))), "{failures:?}");
    });
}

/// A cancel from outside of a branch in a branch, whose thread sleeps, waits or begins to.
#[test]
fn cancelling_a_nested_branch() {
    TryOut::new("branch, a nested one is cancelled", 10_000).run_model(|| {
        let never = Monitor::new(0);
        let never = &never;
        let result = branch::<(), Error>(|outer| {
            outer.spawn(move || {
                let inner = branch::<(), Error>(|b| {
                    b.spawn(|| Ok(never.enter_when(is_never, |_| ())?));
                    Ok(never.enter_when(is_never, |_| ())?)
                });
                _ = inner.unwrap_err().resume_panic();
                Ok(check()?)
            });
            outer.cancel();
            Ok(())
        });
        _ = result.unwrap_err().resume_panic();
    });
}

/// The thread cleans up in a shield: a cancel before, in and after it.
#[test]
fn cancelling_a_shield() {
    TryOut::new("branch, a shield is cancelled", 10_000).run_model(|| {
        let (monitor, never) = (Monitor::new(0), Monitor::new(0));
        let (monitor, never) = (&monitor, &never);
        let result = branch::<(), Error>(|outer| {
            outer.spawn(move || {
                shield(|| {
                    let inner = branch::<_, Error>(|b| {
                        b.spawn(|| Ok(monitor.enter(|mut value| *value = 1)?));
                        Ok(monitor.enter_when(|value| *value == 1, |_| 7)?)
                    });
                    assert_eq!(inner.unwrap(), 7);
                    check().unwrap();
                });
                Ok(never.enter_when(is_never, |_| ())?)
            });
            outer.cancel();
            Ok(())
        });
        _ = result.unwrap_err().resume_panic();
    });
}

/// The holder of a monitor waits for two threads, of which either wants it, at any moment.
#[test]
fn join_edge_with_two_children() {
    TryOut::new("branch, a join of two", 10_000).run_model(|| {
        let (monitor, never) = (Monitor::new(0), Monitor::new(0));
        let result = monitor.enter(|_| {
            branch::<(), Error>(|b| {
                b.spawn(|| Ok(never.enter_when(is_never, |_| ())?));
                b.spawn(|| Ok(monitor.enter(|_| ())?));
                Ok(())
            })
        });
        let failures = result.unwrap().unwrap_err().resume_panic();
        let Some(Failure::Error(Error::Deadlock(deadlock))) = failures.cause() else {
            panic!("{failures:?}")
        };
        assert!(deadlock.has_join());
        assert_eq!(deadlock.cycle().len(), 2);
    });
}

/// As above, where both want it: both lose.
#[test]
fn two_children_that_want_it() {
    TryOut::new("branch, a join of two that want it", 10_000).run_model(|| {
        let monitor = Monitor::new(0);
        let result = monitor.enter(|_| {
            branch::<(), Error>(|b| {
                for _ in 0..2 {
                    b.spawn(|| Ok(monitor.enter(|_| ())?));
                }
                Ok(())
            })
        });
        for failure in result.unwrap().unwrap_err().resume_panic() {
            assert!(matches!(failure, Failure::Error(Error::Deadlock(_)) | Failure::Cancelled));
        }
    });
}

type Later<'s> = Arc<Mutex<Option<Child<'s, ()>>>>;

/// Two threads wait for the end of each other, and the body for both.
#[test]
fn siblings_that_join_each_other() {
    TryOut::new("branch, joins of each other", 10_000).run_model(|| {
        let lost = AtomicUsize::new(0);
        let lost = &lost;
        branch::<(), Error>(|b| {
            let go = Arc::new(Monitor::new(false));
            let handles: [Later<'_>; 2] = Default::default();
            for me in 0..2 {
                let (other, go) = (handles[1 - me].clone(), go.clone());
                let child = b.spawn(move || {
                    go.enter_when(|go| *go, |_| ())?;
                    let other = other.lock().unwrap().take().unwrap();
                    match other.join() {
                        Err(Stopped::Deadlock(_)) => _ = lost.fetch_add(1, SeqCst),
                        other => other?,
                    }
                    Ok(())
                });
                *handles[me].lock().unwrap() = Some(child);
            }
            go.enter(|mut go| *go = true)?;
            Ok(())
        })
        .unwrap();
        // The one may have ended before the other has come to wait.
        assert!(lost.load(SeqCst) <= 1);
    });
}

/// A sleep that begins, is cancelled and runs out at once.
#[test]
fn sleeps() {
    TryOut::new("branch, sleeps", 10_000).run_model(|| {
        let result = branch::<(), Error>(|b| {
            b.spawn(|| Ok(sleep(Duration::from_secs(3600))?));
            b.spawn(|| {
                shield(|| sleep(Duration::from_secs(3600))).unwrap();
                Ok(check()?)
            });
            b.cancel();
            Ok(())
        });
        // Time may have run out first.
        for failure in result.err().into_iter().flatten() {
            assert!(matches!(failure, Failure::Error(Error::Cancelled) | Failure::Cancelled));
        }
    });
}
