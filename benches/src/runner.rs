//! Runs what is planned: contenders in turn, round after round, so that whatever else the machine
//! does meets them all.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::model::{Cell, Family, Outcome};
use crate::stats::median;

/// One measurement: a value in the family's unit and whatever else was seen.
pub(crate) struct Sample {
    value: f64,
    extra: Vec<(&'static str, f64)>,
}

impl Sample {
    pub(crate) fn new(value: f64) -> Self {
        Self { value, extra: Vec::new() }
    }

    /// Names that begin with `longest` keep their largest value over the rounds, others their
    /// median.
    pub(crate) fn extra(&mut self, name: &'static str, value: f64) {
        self.extra.push((name, value));
    }

    pub(crate) fn with(mut self, name: &'static str, value: f64) -> Self {
        self.extra(name, value);
        self
    }
}

/// What a measurement is told.
#[derive(Clone, Copy)]
pub(crate) struct Pass {
    pub(crate) window: Duration,
    /// Time single waits. The value of the sample is not used then, only what else it saw.
    pub(crate) timed: bool,
}

pub(crate) struct Entrant {
    pub(crate) name: String,
    /// Whether it does all that ours does. One that does less is shown, and is never the best peer.
    pub(crate) is_peer: bool,
    pub(crate) measure: Box<dyn Fn(Pass) -> Sample>,
}

impl Entrant {
    pub(crate) fn new(name: &str, measure: impl Fn(Pass) -> Sample + 'static) -> Self {
        Self { name: name.to_owned(), is_peer: true, measure: Box::new(measure) }
    }

    /// The same beside the peers, since it does less.
    pub(crate) fn beside(self) -> Self {
        Self { is_peer: false, ..self }
    }
}

pub(crate) struct Job {
    pub(crate) case: Vec<(String, String)>,
    pub(crate) entrants: Vec<Entrant>,
}

impl Job {
    pub(crate) fn new<const N: usize>(case: [(&str, String); N], entrants: Vec<Entrant>) -> Self {
        Self { case: case.map(|(key, value)| (key.to_owned(), value)).into(), entrants }
    }
}

pub(crate) struct Plan {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) higher_is_better: bool,
    pub(crate) x: &'static str,
    /// Rounds that time single waits, after those that count.
    pub(crate) timed_rounds: usize,
    pub(crate) jobs: Vec<Job>,
}

impl Plan {
    /// How many measurements there are in all.
    pub(crate) fn runs(&self, rounds: usize) -> usize {
        let entrants: usize = self.jobs.iter().map(|job| job.entrants.len()).sum();
        entrants * (rounds + self.timed_rounds)
    }
}

/// Shows how far it is on standard error: a bar on a terminal, else a line now and then.
pub(crate) struct Progress {
    bar: ProgressBar,
    started: Instant,
    last_line: Instant,
    lines: bool,
}

const LINE_EVERY: Duration = Duration::from_secs(30);

impl Progress {
    pub(crate) fn new(runs: usize) -> Self {
        let style = ProgressStyle::with_template("{bar:30} {percent:>3}% {eta:>4} left  {msg}");
        let bar = ProgressBar::new(runs as u64);
        bar.set_style(style.expect("the template is right"));
        let now = Instant::now();
        Self { bar, started: now, last_line: now, lines: !std::io::stderr().is_terminal() }
    }

    fn step(&mut self) {
        self.bar.inc(1);
        if self.lines && self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            let (done, all) = (self.bar.position(), self.bar.length().unwrap_or(0));
            let left = self.started.elapsed().as_secs_f64() * (all - done) as f64 / done as f64;
            eprintln!("lockbench: {done} of {all} runs, about {left:.0} s left");
        }
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

pub(crate) fn run(plan: &Plan, rounds: usize, window: Duration, progress: &mut Progress) -> Family {
    let cells = plan
        .jobs
        .iter()
        .map(|job| {
            let mut samples: Vec<Vec<Sample>> = job.entrants.iter().map(|_| Vec::new()).collect();
            let mut timed: Vec<Vec<Sample>> = job.entrants.iter().map(|_| Vec::new()).collect();
            for round in 0..rounds + plan.timed_rounds {
                let pass = Pass { window, timed: round >= rounds };
                for turn in 0..job.entrants.len() {
                    // Another one begins each round: to come first may be an advantage.
                    let i = (turn + round) % job.entrants.len();
                    let entrant = &job.entrants[i];
                    progress.bar.set_message(format!("{} {}", plan.name, entrant.name));
                    let sample = (entrant.measure)(pass);
                    if pass.timed {
                        timed[i].push(sample)
                    } else {
                        samples[i].push(sample)
                    };
                    progress.step();
                }
            }
            let results = job.entrants.iter().zip(samples.iter().zip(&timed));
            Cell {
                case: job.case.clone(),
                results: results
                    .map(|(entrant, (samples, timed))| outcome(entrant, samples, timed))
                    .collect(),
            }
        })
        .collect();
    Family {
        name: plan.name.to_owned(),
        title: plan.title.to_owned(),
        unit: plan.unit.to_owned(),
        higher_is_better: plan.higher_is_better,
        x: plan.x.to_owned(),
        cells,
    }
}

fn outcome(entrant: &Entrant, samples: &[Sample], timed: &[Sample]) -> Outcome {
    let values: Vec<f64> = samples.iter().map(|sample| sample.value).collect();
    let mut extra: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for &(name, value) in samples.iter().chain(timed).flat_map(|sample| &sample.extra) {
        extra.entry(name.to_owned()).or_default().push(value);
    }
    let summarise = |(name, values): (String, Vec<f64>)| {
        let value = if name.starts_with("longest") {
            values.iter().copied().fold(0.0, f64::max)
        } else {
            median(&values)
        };
        (name, value)
    };
    Outcome {
        contender: entrant.name.clone(),
        is_peer: entrant.is_peer,
        median: median(&values),
        samples: values,
        extra: extra.into_iter().map(summarise).collect(),
    }
}
