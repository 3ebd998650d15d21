//! Closed branches in which the last thread that can go on begins to wait, or ends, at any moment.

use pysync_monitor::{Failures, Monitor};
use pysync_monitor::{Stopped, branch_closed};
use pysync_testing::model::TryOut;

fn is_stuck(failures: Failures<Stopped>) {
    let stuck = failures.into_iter().filter(|failure| {
        matches!(failure, pysync_monitor::Failure::Error(Stopped::Deadlock(it)) if it.is_stuck())
    });
    assert_eq!(stuck.count(), 1);
}

/// Two threads each wait for what the other could do after that, and the body for both.
#[test]
fn all_begin_to_wait() {
    TryOut::new("closed, all begin to wait", 10_000).run_model(|| {
        let monitor = Monitor::new(0);
        let result = branch_closed::<(), Stopped>(|b| {
            for turn in [1, 2] {
                b.spawn({
                    let monitor = &monitor;
                    move || {
                        monitor.enter_when(|value| *value == turn, |_| ())?;
                        monitor.enter(|mut value| *value = 3 - turn)?;
                        Ok(())
                    }
                });
            }
            Ok(())
        });
        is_stuck(result.unwrap_err());
    });
}

/// One that could have gone on ends.
#[test]
fn one_ends() {
    TryOut::new("closed, one ends", 10_000).run_model(|| {
        let (monitor, other) = (Monitor::new(0), Monitor::new(0));
        let result = branch_closed::<(), Stopped>(|b| {
            b.spawn(|| monitor.enter_when(|value| *value == 1, |_| ()));
            b.spawn(|| Ok(other.enter(|mut value| *value = 1)?));
            Ok(())
        });
        is_stuck(result.unwrap_err());
    });
}

/// A thread hands the monitor over and then waits: the others go on.
#[test]
fn none_is_stuck_that_is_handed_over() {
    TryOut::new("closed, handed over", 10_000).run_model(|| {
        let monitor = Monitor::new(0);
        branch_closed::<(), Stopped>(|b| {
            for turn in [0, 1] {
                b.spawn({
                    let monitor = &monitor;
                    move || {
                        for round in 0..2 {
                            let turn = round * 2 + turn;
                            monitor.enter_when(|value| *value == turn, |mut value| *value += 1)?;
                        }
                        Ok(())
                    }
                });
            }
            monitor.enter_when(|value| *value == 4, |_| ())
        })
        .unwrap();
    });
}

/// All wait, though the cycle is about to be broken.
#[test]
fn a_cycle_is_no_reason() {
    TryOut::new("closed, beside a cycle", 10_000).run_model(|| {
        let (a, b, monitor) = (Monitor::new(0), Monitor::new(0), Monitor::new(0));
        let (a, b, monitor) = (&a, &b, &monitor);
        branch_closed::<(), Stopped>(|branch| {
            branch.spawn(|| monitor.enter_when(|value| *value == 2, |_| ()));
            for [first, second] in [[a, b], [b, a]] {
                branch.spawn(move || {
                    // It may lose.
                    let _ = first.enter(|_| second.enter(|_| ()))?;
                    Ok(monitor.enter(|mut value| *value += 1)?)
                });
            }
            Ok(())
        })
        .unwrap();
    });
}
