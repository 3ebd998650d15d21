//! verona-rt beside ours: a program that runs the same programs on it, as a process. `benches/verona/README.md`
//! says how to build it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::Run;
use super::engine::ten_micros;
use super::program::{Program, Size};
use crate::runner::{Entrant, Pass};

/// Measures with `binary`, which is given the program, who asks, how large it is, the number of workers, the
/// window in milliseconds, and the units of work in 10 µs. It prints how many behaviours ran, in how many
/// seconds, and how many seconds of processor time that took.
pub(super) fn entrant(binary: &Path, program: Program, full: bool, workers: usize) -> Entrant {
    let binary = binary.to_owned();
    Entrant::new("verona-rt", move |pass| {
        run(&binary, program, Size::new(full, pass), workers, pass).sample()
    })
}

pub(super) fn run(binary: &Path, program: Program, size: Size, workers: usize, pass: Pass) -> Run {
    let mut command = Command::new(binary);
    command.args([program.what(), program.by()]);
    command.args(
        [program.size(size), workers as u64, pass.window.as_millis() as u64].map(|n| n.to_string()),
    );
    command.arg(ten_micros().to_string());
    let failed = |what: &str| -> ! { panic!("--verona {}: {what}", binary.display()) };
    let output = command.output().unwrap_or_else(|error| failed(&error.to_string()));
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Result<Vec<f64>, _> = text.split_whitespace().map(str::parse).collect();
    match numbers.as_deref() {
        Ok(&[behaviours, elapsed, processor]) if output.status.success() => Run {
            behaviours: behaviours as u64,
            elapsed: Duration::from_secs_f64(elapsed),
            processor: Duration::from_secs_f64(processor),
        },
        _ => failed(&format!("{}, {text:?}", output.status)),
    }
}
