//! What fails cancels the others, and all that has failed is told.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use pysync_monitor::{Failure, Failures, Stopped, branch, check, sleep};
use pysync_testing::{panics_with, wait_until, watchdog};

use crate::{Error, LONG, Told, number};

#[test]
fn the_first_failure_cancels_the_others() {
    let _watchdog = watchdog();
    let ready = Barrier::new(3);
    let failures = branch::<(), Error>(|b| {
        b.spawn(|| {
            ready.wait();
            Ok(sleep(LONG)?)
        });
        b.spawn(|| {
            ready.wait();
            // And a branch inside of it.
            let inner = branch::<(), Error>(|b| {
                b.spawn(|| Ok(sleep(LONG)?));
                Ok(sleep(LONG)?)
            });
            assert_eq!(inner.unwrap_err().iter().count(), 2);
            Ok(check()?)
        });
        b.spawn(|| {
            ready.wait();
            number(7)
        });
        Ok(())
    })
    .unwrap_err();
    assert!(matches!(failures.cause(), Some(Failure::Error(Error::Failed(7)))), "{failures:?}");
    let failures = failures.into_vec();
    assert_eq!(failures.len(), 3, "{failures:?}");
    assert!(matches!(failures[2], Failure::Error(Error::Failed(7))), "{failures:?}");
}

#[test]
fn failures_are_in_order_whoever_is_first() {
    let _watchdog = watchdog();
    for first in 0..4 {
        let all = Barrier::new(4);
        let failed = AtomicBool::new(false);
        let fail = |n: usize| {
            all.wait();
            if n != first {
                wait_until(|| failed.load(SeqCst));
            }
            failed.store(true, SeqCst);
            number(n as i32)
        };
        let fail = &fail;
        let failures = branch::<(), Error>(|b| {
            for n in 1..4 {
                b.spawn(move || fail(n));
            }
            fail(0)
        });
        let numbers: Vec<i32> = failures
            .unwrap_err()
            .into_iter()
            .map(|failure| match failure {
                Failure::Error(Error::Failed(number)) => number,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(numbers, [0, 1, 2, 3]);
    }
}

/// safethread forgot those.
#[test]
fn a_thread_made_after_a_failure_is_born_cancelled() {
    let _watchdog = watchdog();
    let (ran, dropped) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (ran, dropped) = (&ran, &dropped);
    let failures = branch::<(), Error>(|b| {
        b.spawn(|| number(1));
        wait_until(|| b.is_cancelled());
        let told = Told(dropped);
        let late = b.spawn(move || {
            let _told = told;
            ran.fetch_add(1, SeqCst);
            Ok(())
        });
        assert_eq!(dropped.load(SeqCst), 1);
        assert!(late.is_finished());
        assert!(matches!(late.join(), Err(Stopped::Cancelled(_))));
        Ok(())
    });
    let failures = failures.unwrap_err();
    assert!(matches!(
        &failures.into_vec()[..],
        [Failure::Error(Error::Failed(1)), Failure::Cancelled]
    ));
    assert_eq!(ran.load(SeqCst), 0);
}

/// It was made before the cancel and begins after it.
#[test]
fn a_thread_that_has_not_begun_does_not_run() {
    let _watchdog = watchdog();
    for _ in 0..200 {
        let (ran, dropped) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (ran, dropped) = (&ran, &dropped);
        let told = Told(dropped);
        let result = branch::<(), Error>(|b| {
            b.spawn(move || {
                let _told = told;
                ran.fetch_add(1, SeqCst);
                Ok(())
            });
            b.cancel();
            Ok(())
        });
        assert_eq!(dropped.load(SeqCst), 1);
        match result {
            Ok(()) => assert_eq!(ran.load(SeqCst), 1),
            Err(failures) => {
                assert!(matches!(&failures.into_vec()[..], [Failure::Cancelled]));
                assert_eq!(ran.load(SeqCst), 0);
            }
        }
    }
}

#[test]
fn a_panic_of_the_body_is_reported_after_all_have_ended() {
    let _watchdog = watchdog();
    let ready = Barrier::new(2);
    let has_ended = AtomicBool::new(false);
    let failures = branch::<(), Error>(|b| {
        b.spawn(|| {
            ready.wait();
            assert!(sleep(LONG).is_err());
            has_ended.store(true, SeqCst);
            Ok(())
        });
        ready.wait();
        panic!("in the body")
    })
    .unwrap_err();
    assert!(has_ended.into_inner());
    assert_eq!(failures.iter().count(), 1);
    assert_eq!(failures.to_string(), "panicked: in the body");
    panics_with("in the body", || _ = failures.resume_panic());
}

#[test]
fn a_panic_of_a_thread_is_a_failure() {
    let _watchdog = watchdog();
    let failures = branch::<(), Error>(|b| {
        b.spawn(|| -> Result<(), _> { panic!("in a thread") });
        Ok(sleep(LONG)?)
    })
    .unwrap_err();
    assert!(matches!(failures.cause(), Some(Failure::Panicked(_))));
    assert_eq!(
        failures.to_string(),
        "2 parts of a branch have failed: cancelled; panicked: in a thread"
    );
    assert!(matches!(&failures.into_vec()[..], [Failure::Error(_), Failure::Panicked(_)]));
}

/// A result that no thread takes is dropped by the thread that has made it, while it counts as one of the branch.
#[test]
fn a_panic_of_a_drop_is_a_failure() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let _watchdog = watchdog();
    let go = Barrier::new(2);
    let failures = branch::<(), Error>(|b| {
        let child = b.spawn(|| {
            go.wait();
            Ok(Bomb)
        });
        drop(child);
        go.wait();
        Ok(())
    });
    panics_with("dropped", || _ = failures.unwrap_err().resume_panic());
}

#[test]
fn no_panic_is_resumed_where_there_is_none() {
    let failures = branch::<(), Error>(|_| number(3)).unwrap_err().resume_panic();
    assert!(matches!(failures.into_single(), Ok(Error::Failed(3))));
}

fn is_cancelled(error: &Error) -> bool {
    matches!(error, Error::Cancelled)
}

#[test]
fn a_single_error_is_told_from_many() {
    let _watchdog = watchdog();
    let with = |errors: [fn() -> Result<(), Error>; 2]| {
        let both = Barrier::new(2);
        let both = &both;
        branch::<(), Error>(|b| {
            for error in errors {
                b.spawn(move || {
                    both.wait();
                    error()
                });
            }
            Ok(())
        })
        .unwrap_err()
    };
    let one = with([|| number(1), || Ok(())]);
    assert!(matches!(one.into_single(), Ok(Error::Failed(1))));
    let two = with([|| number(1), || number(2)]);
    let two = two.into_single().unwrap_err();
    assert_eq!(two.to_string(), "2 parts of a branch have failed: error 1; error 2");
    // With the error of one that was cancelled.
    let both = || with([|| Ok(sleep(LONG)?), || number(2)]);
    assert!(both().into_single().is_err());
    assert!(matches!(both().into_single_unless(is_cancelled), Ok(Error::Failed(2))));
    // A panic is not passed over.
    let panic = with([|| panic!("one"), || Err(Error::Cancelled)]);
    assert!(panic.into_single_unless(is_cancelled).is_err());
    // Cancelled alone.
    let alone = branch::<(), Error>(|_| Err(Error::Cancelled)).unwrap_err();
    assert!(matches!(alone.into_single_unless(is_cancelled), Ok(Error::Cancelled)));
}

#[test]
fn failures_are_an_error_with_a_source() {
    let failures = branch::<(), Error>(|_| number(5)).unwrap_err();
    let error: Box<dyn std::error::Error + Send> = Box::new(failures);
    assert_eq!(error.to_string(), "error 5");
    assert_eq!(error.source().unwrap().to_string(), "error 5");
}

#[test]
fn a_cancel_from_outside_is_not_the_cause_of_itself() {
    let failures: Failures<Error> = branch::<(), Error>(|b| {
        b.cancel();
        Ok(check()?)
    })
    .unwrap_err();
    assert!(failures.cause().is_none());
}

#[test]
fn a_branch_without_failures_may_have_been_cancelled() {
    let result = branch::<_, Error>(|b| {
        assert!(!b.is_cancelled());
        b.cancel();
        assert!(b.is_cancelled());
        Ok(7)
    });
    assert_eq!(result.unwrap(), 7);
    assert!(check().is_ok(), "only the branch is");
}
