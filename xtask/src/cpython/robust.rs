//! What breaks locks in the field, on purpose: forks, signals, a shutdown, a crowd.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::cli::RobustArgs;
use super::command::{Ended, progress, run_limited, say};
use super::work::{Variant, Work};
use crate::Outcome;

/// Each scenario is a program that ends by itself, and well.
const SCENARIOS: [(&str, &str); 5] = [
    ("fork: 200 forks with threads parked on locks", include_str!("robust/fork.py")),
    ("signals: rained on Lock.acquire", include_str!("robust/signals.py")),
    ("shutdown: daemon threads blocked on locks", include_str!("robust/shutdown.py")),
    ("crowd: 1,000 threads", include_str!("robust/crowd.py")),
    ("subinterpreters: locks and sections in each", include_str!("robust/subinterpreters.py")),
];

/// A hang.
const LIMIT: Duration = Duration::from_secs(300);

pub(crate) fn run(work: &Work, args: &RobustArgs) -> Result<Outcome> {
    let mut problems = false;
    for (title, program) in SCENARIOS {
        let name = title.split(':').next().unwrap_or(title);
        let script = work.root.join("logs").join(format!("robust-{name}.py"));
        fs::write(&script, program)?;
        let mut bad = [0; 2];
        let started = Instant::now();
        for time in 0..args.times {
            for (variant, bad) in Variant::BOTH.into_iter().zip(&mut bad) {
                progress(&format!("{title}, {}, {} of {}", variant.name(), time + 1, args.times));
                let log = work.log(&format!("robust-{name}-{}", variant.name()));
                let mut command = work.command(work.python(variant), variant);
                command.arg("-Xfaulthandler").arg(&script);
                let well = matches!(run_limited(&mut command, &log, LIMIT)?,
                    Ended::Exit(status) if status.success());
                *bad += usize::from(!well);
            }
        }
        let [baseline, rust] = bad;
        let verdict = |bad: usize| match bad {
            0 => "ok".to_owned(),
            bad => format!("{bad} of {} FAILED", args.times),
        };
        say(&format!(
            "{title:<48} baseline {}, rust {}  {:.0} s",
            verdict(baseline),
            verdict(rust),
            started.elapsed().as_secs_f64()
        ));
        problems |= rust > baseline;
    }
    Ok(Outcome::of(problems))
}
