//! One run of one test module, remembered for the next time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::super::command::{Ended, run_limited};
use super::super::work::{Variant, Work};
use super::junit;
use crate::workspace::write_whole;

/// After this, in seconds, a test dumps its threads and dies.
const TEST_LIMIT: u64 = 900;
/// After this the whole module does.
const MODULE_LIMIT: Duration = Duration::from_secs(2700);

/// What became of one test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Passed,
    Skipped,
    Failed,
}

/// What became of a module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) tests: BTreeMap<String, Status>,
    /// How the process ended, if not well, in words.
    pub(super) died: Option<String>,
    /// What a sanitizer reported, each once.
    #[serde(default)]
    pub(super) reports: BTreeSet<String>,
    pub(super) seconds: f64,
}

impl Run {
    fn count(&self, status: Status) -> usize {
        self.tests.values().filter(|test| **test == status).count()
    }

    pub(super) fn passed(&self) -> usize {
        self.count(Status::Passed)
    }

    pub(super) fn skipped(&self) -> usize {
        self.count(Status::Skipped)
    }

    pub(super) fn is_clean(&self) -> bool {
        self.died.is_none() && self.count(Status::Failed) == 0
    }

    pub(super) fn summary(&self) -> String {
        let mut summary = format!("{} passed", self.passed());
        for (count, what) in [(self.count(Status::Failed), "FAILED"), (self.skipped(), "skipped")] {
            if count > 0 {
                summary += &format!(", {count} {what}");
            }
        }
        if let Some(died) = &self.died {
            summary += &format!(", {died}");
        }
        summary + &format!(", {:.0} s", self.seconds)
    }
}

/// Runs `python -m test ARGS`, or returns what it gave for this very interpreter before.
pub(super) fn run_module(work: &Work, variant: Variant, args: &[&str], name: &str) -> Result<Run> {
    let folder = folder(work, variant)?;
    let remembered = folder.join(format!("{name}.json"));
    if let Ok(text) = fs::read_to_string(&remembered)
        && let Ok(run) = serde_json::from_str(&text)
    {
        return Ok(run);
    }

    let xml = folder.join(format!("{name}.xml"));
    let _ = fs::remove_file(&xml);
    let started = Instant::now();
    let mut command = work.command(work.python(variant), variant);
    command
        .args(["-m", "test", "--timeout", &TEST_LIMIT.to_string(), "--junit-xml"])
        .arg(&xml)
        .args(args);
    let log = folder.join(format!("{name}.log"));
    let ended = run_limited(&mut command, &log, MODULE_LIMIT)?;
    let said = fs::read(&log).unwrap_or_default();
    let reports = String::from_utf8_lossy(&said)
        .lines()
        .filter_map(|line| line.strip_prefix("SUMMARY: "))
        .map(str::to_owned)
        .collect();

    let tests = fs::read_to_string(&xml).map(|text| junit::tests(&text)).unwrap_or_default();
    let failed = tests.values().any(|status| *status == Status::Failed);
    let died = match ended {
        Ended::TimedOut => Some("timed out".to_owned()),
        // regrtest's own codes: 2 says that tests failed, 4 that there were none to run.
        Ended::Exit(status) if status.success() => None,
        Ended::Exit(status) if status.code() == Some(2) && failed => None,
        Ended::Exit(status) if status.code() == Some(4) => None,
        Ended::Exit(status) => Some(format!("ended with {status}")),
    };
    let run = Run { tests, died, reports, seconds: started.elapsed().as_secs_f64() };
    write_whole(&remembered, &serde_json::to_string_pretty(&run)?)?;
    Ok(run)
}

/// Results belong to one build of an interpreter; those of others are forgotten.
fn folder(work: &Work, variant: Variant) -> Result<PathBuf> {
    let results = work.root.join(work.tagged("results")).join(variant.name());
    let folder = results.join(work.stamp(variant)?);
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}
