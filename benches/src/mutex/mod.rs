//! The contended matrix of the mutexes.

pub(crate) mod contender;
pub(crate) mod contest;
mod faithful;
pub(crate) mod libpython;

use std::time::Duration;

use contender::{Bare, Data, Pthread};
use contest::Contest;
use faithful::Faithful;

use crate::cli::{Matrix, Placement};
use crate::runner::{Entrant, Job, Pass, Plan, Sample};

/// Everybody but the C's own PyMutex, which has to be loaded.
pub(crate) const CONTENDERS: [&str; 7] =
    ["std", "pl-0.12", "pl-0.13", "usync", "pthread", "pysync", "faithful"];
pub(crate) const PYMUTEX: &str = "PyMutex";

type Measure = fn(&Contest, bool) -> Sample;

fn measure(contender: &str) -> Option<Measure> {
    Some(match contender {
        "std" => contest::run::<std::sync::Mutex<Data>>,
        "pl-0.12" => contest::run::<parking_lot_0_12::Mutex<Data>>,
        "pl-0.13" => contest::run::<parking_lot_0_13::Mutex<Data>>,
        "usync" => contest::run::<usync::Mutex<Data>>,
        "pthread" => contest::run::<Bare<Pthread>>,
        PYMUTEX => contest::run::<Bare<libpython::PyMutex>>,
        "pysync" => contest::run::<Bare<pysync_lock::Mutex>>,
        "faithful" => contest::run::<Bare<Faithful>>,
        _ => return None,
    })
}

pub(crate) fn plan(matrix: &Matrix) -> Plan {
    let mut jobs = Vec::new();
    for &placement in &matrix.placement {
        for &locks in &matrix.locks {
            for (inside, outside) in &matrix.work {
                for &threads in &matrix.threads {
                    let contest = Contest {
                        threads,
                        inside: inside.units(),
                        outside: outside.units(),
                        locks,
                        cores: cores(placement),
                        window: Duration::ZERO,
                    };
                    let case = [
                        ("placement", placement.to_string()),
                        ("locks", locks.to_string()),
                        ("inside", inside.to_string()),
                        ("outside", outside.to_string()),
                        ("threads", threads.to_string()),
                    ];
                    jobs.push(Job::new(case, entrants(matrix, &contest)));
                }
            }
        }
    }
    Plan {
        name: "mutex",
        title: "Mutex: lock, work, unlock, work",
        unit: "Mops/s",
        higher_is_better: true,
        x: "threads",
        timed_rounds: matrix.timed_rounds,
        jobs,
    }
}

/// The processors to pin threads to, in turn; none if they are not to be pinned.
pub(crate) fn cores(placement: Placement) -> Vec<core_affinity::CoreId> {
    match placement {
        Placement::Free => Vec::new(),
        Placement::Pinned => core_affinity::get_core_ids().unwrap_or_default(),
    }
}

fn entrants(matrix: &Matrix, contest: &Contest) -> Vec<Entrant> {
    let entrant = |name: &String| {
        let (measure, contest) = (measure(name)?, contest.clone());
        Some(Entrant::new(name, move |Pass { window, timed }| {
            measure(&Contest { window, ..contest.clone() }, timed)
        }))
    };
    matrix.contenders.iter().filter_map(entrant).collect()
}
