//! Ours against CPython's own, test by test.

use std::collections::BTreeSet;
use std::fs;

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::super::command::say;
use super::super::work::Work;
use super::Runs;
use super::module::{Run, Status};

/// Stands for the module itself, where its process died.
const PROCESS: &str = "(the process)";

/// How often a test failed, of how many runs of its module.
#[derive(Debug, Serialize)]
struct Failing {
    module: String,
    test: String,
    baseline: String,
    rust: String,
}

#[derive(Debug, Serialize)]
struct Row {
    module: String,
    tests: usize,
    skipped: usize,
    baseline_seconds: f64,
    rust_seconds: f64,
}

/// The whole comparison.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    /// Failed in ours, more than once, and never in the baseline.
    only_in_rust: Vec<Failing>,
    /// Failed in ours once and never in the baseline, and passed whenever it was repeated.
    once_in_rust: Vec<Failing>,
    in_both: Vec<Failing>,
    only_in_baseline: Vec<Failing>,
    modules: Vec<Row>,
}

/// Tests that have failed in ours and not in the baseline, so far.
pub(super) fn only_in_rust(runs: &Runs) -> BTreeSet<String> {
    let (baseline, rust) = (failed(&runs.baseline), failed(&runs.rust));
    rust.difference(&baseline).cloned().collect()
}

fn failed(runs: &[Run]) -> BTreeSet<String> {
    let tests = |run: &Run| -> Vec<String> {
        let failed = run.tests.iter().filter(|(_, status)| **status == Status::Failed);
        let process = run.died.iter().map(|_| PROCESS.to_owned());
        failed.map(|(name, _)| name.clone()).chain(process).collect()
    };
    runs.iter().flat_map(tests).collect()
}

impl Comparison {
    pub(super) fn of(all: &[Runs]) -> Self {
        let mut comparison = Self {
            only_in_rust: Vec::new(),
            once_in_rust: Vec::new(),
            in_both: Vec::new(),
            only_in_baseline: Vec::new(),
            modules: Vec::new(),
        };
        for runs in all {
            let (baseline, rust) = (failed(&runs.baseline), failed(&runs.rust));
            for test in baseline.union(&rust) {
                let (times_baseline, times_rust) =
                    (times(&runs.baseline, test), times(&runs.rust, test));
                let list = match (times_baseline, times_rust) {
                    (0, 1) if runs.rust.len() > 1 => &mut comparison.once_in_rust,
                    (0, _) => &mut comparison.only_in_rust,
                    (_, 0) => &mut comparison.only_in_baseline,
                    _ => &mut comparison.in_both,
                };
                list.push(Failing {
                    module: runs.module.clone(),
                    test: test.clone(),
                    baseline: format!("{times_baseline} of {}", runs.baseline.len()),
                    rust: format!("{times_rust} of {}", runs.rust.len()),
                });
            }
            comparison.modules.push(Row {
                module: runs.module.clone(),
                tests: runs.rust[0].tests.len(),
                skipped: runs.rust[0].skipped(),
                baseline_seconds: runs.baseline[0].seconds,
                rust_seconds: runs.rust[0].seconds,
            });
        }
        comparison
    }

    pub(super) fn has_problems(&self) -> bool {
        !self.only_in_rust.is_empty()
    }

    /// Prints the comparison and leaves it in `report/`.
    pub(super) fn show(&self, work: &Work) -> Result<()> {
        let tests: usize = self.modules.iter().map(|row| row.tests).sum();
        let skipped: usize = self.modules.iter().map(|row| row.skipped).sum();
        say(&format!(
            "\n{} modules, {tests} tests, of which {skipped} skipped themselves",
            self.modules.len()
        ));
        let lists = [
            ("fails only with ours", &self.only_in_rust),
            ("failed with ours once, and passed when repeated", &self.once_in_rust),
            ("fails with both", &self.in_both),
            ("fails only with the baseline", &self.only_in_baseline),
        ];
        for (title, list) in lists {
            say(&format!("{title}: {}", if list.is_empty() { "none" } else { "" }));
            if !list.is_empty() {
                say(&table(list).trim_fmt());
            }
        }
        let path = work.report("tests", "json")?;
        fs::write(&path, serde_json::to_string_pretty(self)?)?;
        say(&format!("in {}", path.display()));
        Ok(())
    }
}

fn times(runs: &[Run], test: &str) -> usize {
    let failed = |run: &&Run| {
        if test == PROCESS {
            run.died.is_some()
        } else {
            run.tests.get(test) == Some(&Status::Failed)
        }
    };
    runs.iter().filter(failed).count()
}

fn table(list: &[Failing]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["  test", "baseline", "rust"]);
    for failing in list {
        let test = format!("  {}", failing.test.replace(PROCESS, &failing.module));
        table.add_row([&test, &failing.baseline, &failing.rust]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
