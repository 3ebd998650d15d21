//! Conditions whose waiters are cancelled. One whose evaluation panics is a model of loom's: to shuttle all threads unwind
//! with the one that does.

use pysync_monitor::{Cancelled, Failure, Monitor, Stopped, branch};
use pysync_testing::model::TryOut;

/// A condition that becomes true while its waiter is cancelled: the waiter is inside with its condition, or it is outside
/// and cancelled. In the second case the monitor is not left to it.
#[test]
fn handed_over_while_cancelled() {
    TryOut::new("condition, handed over while cancelled", 10_000).run_model(|| {
        let monitor = Monitor::new(0);
        let result = branch::<_, Stopped>(|outer| {
            let waiter = outer.spawn(|| {
                let waited = branch::<(), Stopped>(|b| {
                    // It is cancelled alone.
                    b.spawn(move || {
                        shuttle::thread::yield_now();
                        b.cancel();
                        Ok(())
                    });
                    monitor.enter_when(
                        |value| {
                            shuttle::thread::yield_now();
                            *value == 1
                        },
                        |mut value| *value = 2,
                    )
                });
                Ok(waited.is_ok())
            });
            monitor.enter(|mut value| *value = 1)?;
            waiter.join()
        });
        let had_it = result.unwrap();
        assert_eq!(monitor.enter(|value| *value).unwrap(), if had_it { 2 } else { 1 });
    });
}

/// Its condition is false each time that it is looked at.
#[test]
fn evaluated_while_cancelled() {
    TryOut::new("condition, evaluated while cancelled", 10_000).run_model(|| {
        let monitor = Monitor::new(0);
        let result = branch::<(), Cancelled>(|b| {
            b.spawn(|| {
                let ready = |value: &i32| {
                    shuttle::thread::yield_now();
                    *value == 3
                };
                match monitor.enter_when(ready, |_| ()) {
                    Err(Stopped::Cancelled(cancelled)) => Err::<(), _>(cancelled),
                    other => panic!("{other:?}"),
                }
            });
            b.spawn(|| {
                (0..2).for_each(|_| monitor.enter(|mut value| *value += 1).unwrap());
                Ok(())
            });
            b.cancel();
            Ok(())
        });
        let failures = result.unwrap_err().resume_panic().into_vec();
        assert!(
            failures.iter().all(|it| matches!(it, Failure::Error(Cancelled) | Failure::Cancelled))
        );
    });
}
