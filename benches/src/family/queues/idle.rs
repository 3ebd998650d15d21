//! The processor time of receivers that nothing is sent to.

use crate::runner::Plan;

/// Nothing where a process cannot ask for its processor time.
#[cfg(not(unix))]
pub(super) fn plan(_full: bool) -> Option<Plan> {
    None
}

#[cfg(unix)]
pub(super) fn plan(full: bool) -> Option<Plan> {
    Some(unix::plan(full))
}

#[cfg(unix)]
mod unix {
    use std::thread;
    use std::time::{Duration, Instant};

    use crate::family::queues::ends::{Contender, HOUR, Receiver, entrants};
    use crate::harness::processor_time;
    use crate::runner::{Job, Pass, Plan, Sample};

    const RECEIVERS: usize = 8;
    /// After so long a receiver sleeps as long as it ever does.
    const SETTLED: Duration = Duration::from_millis(100);
    /// How long they are watched then.
    const QUICK: Duration = Duration::from_millis(500);
    const FULL: Duration = Duration::from_secs(10);

    /// Timeout of the receives, and how long they are watched.
    type Case = (Option<Duration>, Duration);

    pub(super) fn plan(full: bool) -> Plan {
        let watched = if full { FULL } else { QUICK };
        let mut jobs = Vec::new();
        for (wait, timeout) in [("untimed", None), ("timed", Some(HOUR))] {
            for tags in [1, 4] {
                let case = [("wait", wait.to_owned()), ("tags", tags.to_string())];
                jobs.push(Job::new(case, entrants!(measure(tags, (timeout, watched)))));
            }
        }
        Plan {
            name: "queues idle",
            title: "Queues: processor time of 8 receivers that nothing is sent to, and of who watches them",
            unit: "% of a core",
            higher_is_better: false,
            x: "tags",
            timed_rounds: 0,
            jobs,
        }
    }

    fn measure<C: Contender>(tags: usize, (timeout, watched): Case, pass: Pass) -> Sample {
        // Tests of this program have windows of less than a millisecond.
        let [settled, watched] = if pass.window < Duration::from_millis(1) {
            [pass.window, pass.window]
        } else {
            [SETTLED, watched]
        };
        let (sender, receiver) = C::open(tags);
        thread::scope(|scope| {
            for _ in 0..RECEIVERS {
                let mut receiver = receiver.clone();
                scope.spawn(move || receiver.receive(timeout));
            }
            thread::sleep(settled);
            let (before, started) = (processor_time(), Instant::now());
            thread::sleep(watched);
            let share = (processor_time() - before).div_duration_f64(started.elapsed());
            // Closes the queues.
            drop(sender);
            Sample::new(share * 100.0)
        })
    }
}
