//! What has changed since an earlier run.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::number;
use crate::model::{Outcome, Report, SCHEMA};

/// Changes smaller than this are never mentioned.
const SMALLEST: f64 = 0.02;

/// Reads a file that `--json` wrote.
pub(crate) fn read(path: &Path) -> Result<Report> {
    let name = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("--compare {name}"))?;
    let report: Report = serde_json::from_str(&text)
        .with_context(|| format!("--compare {name}: not a file that --json wrote"))?;
    if report.schema != SCHEMA {
        bail!("--compare {name}: has the form {}, and this program reads {SCHEMA}", report.schema);
    }
    Ok(report)
}

/// One line for each change: the rounds of the one run all lie above those of the other.
pub(crate) fn render(old: &Report, new: &Report) -> String {
    let mut lines: Vec<(f64, String)> = Vec::new();
    let (mut same, mut missing) = (0, 0);
    for family in &new.families {
        let Some(old_family) = old.families.iter().find(|old| old.name == family.name) else {
            missing += family.cells.iter().map(|cell| cell.results.len()).sum::<usize>();
            continue;
        };
        for cell in &family.cells {
            let old_cell = old_family.cells.iter().find(|old| old.case == cell.case);
            for result in &cell.results {
                let Some(old) = old_cell.and_then(|cell| cell.result(&result.contender)) else {
                    missing += 1;
                    continue;
                };
                let Some(change) = change(old, result) else {
                    same += 1;
                    continue;
                };
                let better = (change > 0.0) == family.higher_is_better;
                lines.push((
                    change.abs(),
                    format!(
                        "{:<6} {:>+6.1} %  {:<8} {} {}: {} -> {} {}",
                        if better { "better" } else { "worse" },
                        change * 100.0,
                        result.contender,
                        family.name,
                        cell.label(),
                        number(old.median),
                        number(result.median),
                        family.unit,
                    ),
                ));
            }
        }
    }
    lines.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut out = String::new();
    let _ = writeln!(
        out,
        "changed beyond the noise: {}; within it: {same}; not in the old file: {missing}",
        lines.len()
    );
    if (old.window_ms, &old.machine.cpu) != (new.window_ms, &new.machine.cpu) {
        let _ = writeln!(
            out,
            "beware: measured for {:.1} ms on {:?} then, and for {:.1} ms on {:?} now",
            old.window_ms, old.machine.cpu, new.window_ms, new.machine.cpu
        );
    }
    for (_, line) in lines {
        let _ = writeln!(out, "{line}");
    }
    out
}

/// The relative change of the median, if no round of the one run lies among those of the other.
fn change(old: &Outcome, new: &Outcome) -> Option<f64> {
    let ((old_min, old_max), (new_min, new_max)) = (old.range(), new.range());
    let change = new.median / old.median - 1.0;
    let apart = new_min > old_max || new_max < old_min;
    (apart && change.abs() >= SMALLEST).then_some(change)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(samples: &[f64]) -> Outcome {
        Outcome {
            contender: "x".to_owned(),
            is_peer: true,
            samples: samples.to_vec(),
            median: crate::stats::median(samples),
            extra: Default::default(),
        }
    }

    #[test]
    fn rounds_that_overlap_are_noise() {
        assert_eq!(change(&outcome(&[1.0, 2.0, 3.0]), &outcome(&[2.9, 4.0, 5.0])), None);
        assert_eq!(change(&outcome(&[1.0, 2.0, 3.0]), &outcome(&[3.1, 4.0, 5.0])), Some(1.0));
        assert_eq!(change(&outcome(&[3.0, 4.0, 5.0]), &outcome(&[1.0, 1.0, 2.0])), Some(-0.75));
        assert_eq!(change(&outcome(&[1.0, 1.0]), &outcome(&[1.01, 1.01])), None);
    }
}
