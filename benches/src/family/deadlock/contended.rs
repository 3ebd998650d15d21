//! Threads that enter one monitor, work and leave.

use super::contender::entrants;
use crate::cli::Matrix;
use crate::mutex::contender::Contender;
use crate::mutex::contest::{self, Contest};
use crate::runner::{Job, Pass, Plan, Sample};

pub(super) fn plan(matrix: &Matrix) -> Plan {
    let mut jobs = Vec::new();
    for (inside, outside) in &matrix.work {
        for threads in matrix.threads_or(&[2, 4, 8, 16]) {
            let case = [
                ("inside", inside.to_string()),
                ("outside", outside.to_string()),
                ("threads", threads.to_string()),
            ];
            let work = (inside.units(), outside.units());
            jobs.push(Job::new(case, entrants!(measure(threads, work))));
        }
    }
    Plan {
        name: "deadlock contended",
        title: "Monitor: enter, work, leave, work",
        unit: "Mops/s",
        higher_is_better: true,
        x: "threads",
        timed_rounds: matrix.timed_rounds,
        jobs,
    }
}

fn measure<L: Contender>(threads: usize, (inside, outside): (u32, u32), pass: Pass) -> Sample {
    let cores = Vec::new();
    let contest = Contest { threads, inside, outside, locks: 1, cores, window: pass.window };
    contest::run::<L>(&contest, pass.timed)
}
