//! The command line, and what is measured if it does not say.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::builder::styling::Styles;
use clap::{Parser, ValueEnum};

use crate::mutex::{CONTENDERS, PYMUTEX};
use crate::work::Work;

/// Contended locks beside their peers: throughput and fairness together.
///
/// Contenders run in turn, round after round; a cell is the median of its rounds. A unit of work
/// is a multiplication and an addition that wait for the last ones.
#[derive(Debug, Parser)]
#[command(name = "lockbench", styles = Styles::plain(), after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// What to measure.
    #[arg(value_enum, default_value = "mutex")]
    pub(crate) families: Vec<FamilyName>,

    /// The picture in a minute (the default).
    #[arg(long, conflicts_with = "full")]
    pub(crate) quick: bool,

    /// Every cell, for most of an hour a family.
    #[arg(long)]
    pub(crate) full: bool,

    /// Numbers of threads.
    #[arg(long, value_delimiter = ',', value_name = "N,…", value_parser = at_least_one)]
    threads: Vec<usize>,

    /// Work while a lock is held, in units or as a time: 1,5,100,10us.
    #[arg(long, value_delimiter = ',', value_name = "WORK,…")]
    inside: Vec<Work>,

    /// Work between two locks.
    #[arg(long, value_delimiter = ',', value_name = "WORK,…")]
    outside: Vec<Work>,

    /// Numbers of locks; each operation takes one at random.
    #[arg(long, value_delimiter = ',', value_name = "N,…", value_parser = at_least_one)]
    locks: Vec<usize>,

    /// Threads where the system puts them, or each on one processor.
    #[arg(long, value_enum, value_delimiter = ',')]
    placement: Vec<Placement>,

    /// The mutexes to measure [possible values: std, pl-0.12, pl-0.13, usync, pthread, pysync,
    /// faithful, and PyMutex with --libpython].
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    contenders: Vec<String>,

    /// The build folder of a free-threaded CPython, whose own PyMutex then competes.
    #[arg(long, value_name = "DIR")]
    pub(crate) libpython: Option<PathBuf>,

    /// A program that runs the programs of `boc` on verona-rt: see benches/verona.
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) verona: Option<PathBuf>,

    /// Measures nothing, and writes a picture of a run of behaviours to FILE.
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,

    /// How often each cell is measured.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = at_least_one)]
    pub(crate) rounds: usize,

    /// How long a measurement lasts [default: what fits into a minute, or 200 ms with --full].
    #[arg(long, value_name = "MS", value_parser = window)]
    pub(crate) window: Option<Duration>,

    /// The tables to print.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["value", "jain", "wait"])]
    pub(crate) show: Vec<Metric>,

    /// Writes everything to FILE, for --compare and other tools.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Writes one page with the plots and tables to FILE.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,

    /// Says what has changed since an earlier run, beyond the noise of both.
    #[arg(long, value_name = "OLD.json")]
    pub(crate) compare: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  lockbench --quick                                the picture in a minute
  lockbench --quick --libpython ~/cpython/build    the same with the C's own PyMutex
  lockbench --threads 16 --inside 100 --outside 0  one cell
  lockbench --full --json new.json --html new.html everything, with plots
  lockbench --quick --compare old.json             what has changed
  lockbench rwlock seqlock --quick                 other locks
  lockbench all --quick --window 20                a taste of everything

Exit code: 0 measured, 2 could not.";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FamilyName {
    /// The contended matrix of the mutexes
    Mutex,
    /// Readers-writer locks by share of reads
    Rwlock,
    /// Readers of sequence locks with no writer and with one
    Seqlock,
    /// An event that wakes 1 to 1,000 threads
    Wake,
    /// Two threads that park and unpark each other
    PingPong,
    /// The cost of an unpark beside threads parked elsewhere
    Bucket,
    /// Condition variables: notify nobody, in turn, and all of 10 to 1,000 threads
    Cond,
    /// A bounded buffer on condition variables
    Buffer,
    /// Counting semaphores
    Semaphore,
    /// How late a timed wait ends
    Timeout,
    /// Bytes per lock
    Memory,
    /// Mutexes between processes: uncontended, contended, and when their owner dies
    Robust,
    /// Queues with tags beside channels: wakes, streams, in turn, idle
    Queues,
    /// Behaviours over cowns: rates, two workers by one, wakes and bytes
    Boc,
    /// Monitors that break deadlocks: enter and leave, rings, convoys, turns, attempts
    Deadlock,
    /// Reference counts: clones by the owner, by others and by many, new objects
    Counts,
    /// All of the above
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Placement {
    Free,
    Pinned,
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Free => "free",
            Self::Pinned => "pinned",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Metric {
    /// What is measured: the median of the rounds
    Value,
    /// How far the rounds lie apart
    Spread,
    /// Jain's index of fairness: 1 if all threads get as much
    Jain,
    /// The thread that got least by the one that got most
    MinMax,
    /// The longest single wait
    Wait,
    /// Release by one thread to lock by another that waited: percentiles
    HandOff,
    /// How often threads slept, per 1,000 operations
    Switches,
    /// Deadlocks broken per attempt
    Aborts,
}

/// The cells of the mutexes, and what the other families take from them.
pub(crate) struct Matrix {
    pub(crate) threads: Vec<usize>,
    /// The same, if it was given.
    given_threads: Vec<usize>,
    /// Inside and outside.
    pub(crate) work: Vec<(Work, Work)>,
    pub(crate) locks: Vec<usize>,
    pub(crate) placement: Vec<Placement>,
    pub(crate) contenders: Vec<String>,
    pub(crate) timed_rounds: usize,
}

impl Cli {
    /// The families in the order given, each once.
    pub(crate) fn families(&self) -> Vec<FamilyName> {
        let all = || FamilyName::value_variants().iter().filter(|&&name| name != FamilyName::All);
        let mut families = Vec::new();
        for &family in &self.families {
            let wanted =
                if family == FamilyName::All { all().copied().collect() } else { vec![family] };
            for family in wanted {
                if !families.contains(&family) {
                    families.push(family);
                }
            }
        }
        families
    }

    pub(crate) fn matrix(&self) -> Result<Matrix> {
        Ok(Matrix {
            threads: or(&self.threads, vec![1, 2, 4, 8, 16]),
            given_threads: self.threads.clone(),
            work: self.work(),
            locks: or(&self.locks, if self.full { vec![1, 2, 24] } else { vec![1] }),
            placement: or(
                &self.placement,
                if self.full {
                    vec![Placement::Free, Placement::Pinned]
                } else {
                    vec![Placement::Free]
                },
            ),
            contenders: self.contenders()?,
            timed_rounds: 1,
        })
    }

    /// Every inside with every outside, but for the quick matrix, which is three pairs.
    fn work(&self) -> Vec<(Work, Work)> {
        let work = |text: &str| -> Work { text.parse().expect("a valid amount") };
        if !self.full && self.inside.is_empty() && self.outside.is_empty() {
            return [("1", "0"), ("5", "20"), ("100", "0")].map(|(i, o)| (work(i), work(o))).into();
        }
        let inside = or(&self.inside, ["1", "5", "100", "10us"].map(work).into());
        let outside = or(&self.outside, ["0", "20", "200"].map(work).into());
        let pairs = inside.iter().flat_map(|i| outside.iter().map(move |o| (i.clone(), o.clone())));
        pairs.collect()
    }

    fn contenders(&self) -> Result<Vec<String>> {
        let mut known: Vec<&str> = CONTENDERS.to_vec();
        if self.libpython.is_some() {
            known.insert(known.len() - 1, PYMUTEX);
        }
        for name in &self.contenders {
            if name == PYMUTEX && self.libpython.is_none() {
                bail!("--contenders {name}: needs --libpython DIR");
            }
            if !known.contains(&name.as_str()) {
                bail!("--contenders {name}: not one of {}", known.join(", "));
            }
        }
        let asked_for = |name: &&&str| {
            self.contenders.is_empty() || self.contenders.iter().any(|n| n == **name)
        };
        Ok(known.iter().filter(asked_for).map(|&name| name.to_owned()).collect())
    }
}

impl Matrix {
    /// The numbers of threads that were asked for, or else these.
    pub(crate) fn threads_or(&self, default: &[usize]) -> Vec<usize> {
        or(&self.given_threads, default.to_vec())
    }
}

fn or<T: Clone>(given: &[T], default: Vec<T>) -> Vec<T> {
    if given.is_empty() { default } else { given.to_vec() }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=10_000) => Ok(number),
        _ => Err("give a number from 1 to 10000".to_owned()),
    }
}

fn window(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(millis) if (0.1..=60_000.0).contains(&millis) => {
            Ok(Duration::from_secs_f64(millis / 1000.0))
        }
        _ => Err("give milliseconds from 0.1 to 60000".to_owned()),
    }
}
