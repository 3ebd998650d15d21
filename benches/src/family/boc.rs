//! Behaviours over cowns, beside tasks that lock: how many run, whether a second worker helps, how soon an
//! idle worker begins, and what one takes that is pending.

mod engine;
mod locks;
mod memory;
mod natural;
mod ours;
mod program;
mod programs;
mod tasks;
pub(crate) mod trace;
mod verona;
mod wake;

use std::path::Path;
use std::time::{Duration, Instant};

use engine::Engine;
use locks::{Happy, Rayon, Std};
use ours::Ours;
use program::{ALL, Program, Size};
use tasks::Tokio;

use crate::cli::Matrix;
use crate::harness::processor_time;
use crate::runner::{Entrant, Job, Pass, Plan, Sample};

/// `verona` is a program that runs the same on verona-rt.
pub(crate) fn plans(matrix: &Matrix, full: bool, verona: Option<&Path>) -> Vec<Plan> {
    vec![rates(matrix, full, verona), scaling(full, verona), wake::plan(), memory::plan()]
}

fn rates(matrix: &Matrix, full: bool, verona: Option<&Path>) -> Plan {
    let mut jobs = Vec::new();
    for program in ALL {
        for workers in matrix.threads_or(&[1, 2]) {
            let mut entrants = natural::entrants(program, full, workers);
            // In which order tasks lock is left to chance, and an addition would come before its summands.
            if program != Program::Fib {
                entrants.push(entrant::<Rayon<Std>>(program, full, workers));
                entrants.push(entrant::<Rayon<Happy>>(program, full, workers));
                entrants.push(entrant::<Tokio>(program, full, workers));
            }
            entrants.extend(verona.map(|binary| verona::entrant(binary, program, full, workers)));
            entrants.push(entrant::<Ours<false>>(program, full, workers));
            if matches!(program, Program::Count(_) | Program::SelfOne) {
                entrants.push(entrant::<Ours<true>>(program, full, workers));
            }
            let case = [
                ("program", program.what().to_owned()),
                ("asked by", program.by().to_owned()),
                ("workers", workers.to_string()),
            ];
            jobs.push(Job::new(case, entrants));
        }
    }
    Plan {
        name: "boc",
        title: "Behaviours: how many run, asked for outside, by one behaviour, or each by the one before",
        unit: "M/s",
        higher_is_better: true,
        x: "workers",
        timed_rounds: 0,
        jobs,
    }
}

fn entrant<E: Engine>(program: Program, full: bool, workers: usize) -> Entrant {
    Entrant::new(E::NAME, move |pass| measure::<E>(program, full, workers, pass))
}

fn measure<E: Engine>(program: Program, full: bool, workers: usize, pass: Pass) -> Sample {
    run::<E>(program, Size::new(full, pass), workers, pass.window).sample()
}

/// What runs of a program took.
struct Run {
    behaviours: u64,
    elapsed: Duration,
    /// Of all threads of the process. Other work on the machine adds less to it than to the time.
    processor: Duration,
}

impl Run {
    /// Millions of behaviours a second.
    fn rate(&self) -> f64 {
        self.behaviours as f64 / self.elapsed.as_secs_f64() / 1e6
    }

    fn sample(&self) -> Sample {
        let each = |time: Duration| time.as_nanos() as f64 / self.behaviours as f64;
        Sample::new(self.rate())
            .with("nanos_each", each(self.elapsed))
            .with("processor_nanos_each", each(self.processor))
    }
}

/// Runs the program for a window, at least once.
fn run<E: Engine>(program: Program, size: Size, workers: usize, window: Duration) -> Run {
    let engine = E::new(workers);
    program.run(&engine, size.warm_up());
    repeat(window, || program.run(&engine, size))
}

fn repeat(window: Duration, mut program: impl FnMut() -> u64) -> Run {
    let (started, before, mut behaviours) = (Instant::now(), processor_time(), 0);
    loop {
        behaviours += program();
        let elapsed = started.elapsed();
        if elapsed >= window {
            break Run { behaviours, elapsed, processor: processor_time() - before };
        }
    }
}

/// The rate of a program that is called for a window.
fn rate(pass: Pass, program: impl FnMut() -> u64) -> Sample {
    repeat(pass.window, program).sample()
}

/// Two workers beside one, each for half of the window, one right after the other.
fn scaling(full: bool, verona: Option<&Path>) -> Plan {
    fn ratio(pass: Pass, run: impl Fn(usize, Pass) -> Run) -> Sample {
        let half = Pass { window: pass.window / 2, ..pass };
        let [two, one] = [2, 1].map(|workers| run(workers, half));
        Sample::new(two.rate() / one.rate())
    }
    fn entrant<E: Engine>(program: Program, full: bool) -> Entrant {
        Entrant::new(E::NAME, move |pass| {
            ratio(pass, |workers, half| {
                run::<E>(program, Size::new(full, pass), workers, half.window)
            })
        })
    }
    let mut jobs = Vec::new();
    for program in ALL {
        let mut entrants = Vec::new();
        if program != Program::Fib {
            entrants.push(entrant::<Rayon<Std>>(program, full));
        }
        if let Some(binary) = verona.map(Path::to_owned) {
            entrants.push(Entrant::new("verona-rt", move |pass| {
                ratio(pass, |workers, half| {
                    verona::run(&binary, program, Size::new(full, pass), workers, half)
                })
            }));
        }
        entrants.push(entrant::<Ours<false>>(program, full));
        let case = [("program", program.what().to_owned()), ("asked by", program.by().to_owned())];
        jobs.push(Job::new(case, entrants));
    }
    Plan {
        name: "boc scaling",
        title: "Behaviours: the rate of two workers by that of one",
        unit: "by one",
        higher_is_better: true,
        x: "asked by",
        timed_rounds: 0,
        jobs,
    }
}
