//! What a run has measured, in the form in which it is saved, shown and compared.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The form of the JSON file; a file of another form is not compared.
pub(crate) const SCHEMA: &str = "pysync-lockbench/1";

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) schema: String,
    pub(crate) machine: Machine,
    pub(crate) rounds: usize,
    pub(crate) window_ms: f64,
    /// What one unit of work takes.
    pub(crate) unit_ns: f64,
    pub(crate) families: Vec<Family>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    /// Seconds since 1970.
    pub(crate) unix_time: u64,
    /// The load average when the run began and when it ended: a busy machine measures its load.
    pub(crate) load: (f64, f64),
}

/// One kind of lock or of wait, measured over a matrix of cases.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) unit: String,
    pub(crate) higher_is_better: bool,
    /// The part of the case that goes on the x axis of a plot.
    pub(crate) x: String,
    pub(crate) cells: Vec<Cell>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Cell {
    /// What is varied and how, in the order of the columns.
    pub(crate) case: Vec<(String, String)>,
    pub(crate) results: Vec<Outcome>,
}

/// One contender in one cell.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) contender: String,
    /// Whether it does all that ours does.
    #[serde(default = "yes")]
    pub(crate) is_peer: bool,
    /// One value a round, in the family's unit.
    pub(crate) samples: Vec<f64>,
    pub(crate) median: f64,
    pub(crate) extra: BTreeMap<String, f64>,
}

/// What files from before the field say.
fn yes() -> bool {
    true
}

impl Cell {
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.case.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    pub(crate) fn result(&self, contender: &str) -> Option<&Outcome> {
        self.results.iter().find(|result| result.contender == contender)
    }

    /// `threads=2 inside=1`, to name the cell in a line of text.
    pub(crate) fn label(&self) -> String {
        let parts: Vec<String> =
            self.case.iter().map(|(key, value)| format!("{key}={value}")).collect();
        parts.join(" ")
    }
}

impl Family {
    /// Every contender of the family, in the order in which they run.
    pub(crate) fn contenders(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for result in self.cells.iter().flat_map(|cell| &cell.results) {
            if !names.contains(&result.contender.as_str()) {
                names.push(&result.contender);
            }
        }
        names
    }

    /// How `result` does beside `other`: above 1 it is the better one.
    pub(crate) fn ratio(&self, result: &Outcome, other: &Outcome) -> f64 {
        if self.higher_is_better {
            result.median / other.median
        } else {
            other.median / result.median
        }
    }

    /// The best contender of the cell that is not ours.
    pub(crate) fn best_peer<'a>(&self, cell: &'a Cell) -> Option<&'a Outcome> {
        let peers =
            cell.results.iter().filter(|result| result.is_peer && !is_ours(&result.contender));
        peers.reduce(|best, peer| if self.ratio(peer, best) > 1.0 { peer } else { best })
    }

    /// Our first contender in the cell.
    pub(crate) fn ours<'a>(&self, cell: &'a Cell) -> Option<&'a Outcome> {
        cell.results.iter().find(|result| is_ours(&result.contender))
    }
}

pub(crate) fn is_ours(contender: &str) -> bool {
    contender.starts_with("pysync") || contender == "faithful"
}

impl Outcome {
    /// How far the rounds lie apart, as a share of their median.
    pub(crate) fn spread(&self) -> f64 {
        let (min, max) = self.range();
        (max - min) / self.median
    }

    pub(crate) fn range(&self) -> (f64, f64) {
        let min = self.samples.iter().copied().fold(f64::INFINITY, f64::min);
        let max = self.samples.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (min, max)
    }
}

impl Machine {
    /// The machine that this runs on; what it does not tell is left empty.
    pub(crate) fn here() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let cpu = read("/proc/cpuinfo")
            .lines()
            .find_map(|line| {
                line.strip_prefix("model name")?.split_once(": ").map(|(_, cpu)| cpu.to_owned())
            })
            .unwrap_or_default();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self {
            cpu,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            unix_time: now.map_or(0, |since| since.as_secs()),
            load: (load(), load()),
        }
    }
}

/// The load average of the last minute.
pub(crate) fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0)
}
