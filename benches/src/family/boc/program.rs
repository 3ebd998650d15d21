//! Which programs there are, and how large they are.

use super::engine::{Engine, ten_micros};
use super::programs::{self, By};
use crate::runner::Pass;

/// A program.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    Count(By),
    Disjoint,
    Pairs(By),
    PingPong,
    SelfOne,
    Self32,
    SelfPairs,
    Self32Slow,
    Create,
    Throughput,
    Fib,
    Banking { slow: bool },
    Dining { slow: bool },
    Chameneos,
    Dictionary,
}

pub(super) const ALL: [Program; 19] = [
    Program::Count(By::Outside),
    Program::Count(By::Inside),
    Program::Disjoint,
    Program::Pairs(By::Outside),
    Program::Pairs(By::Inside),
    Program::PingPong,
    Program::SelfOne,
    Program::Self32,
    Program::SelfPairs,
    Program::Create,
    Program::Throughput,
    Program::Fib,
    Program::Banking { slow: false },
    Program::Dining { slow: false },
    Program::Chameneos,
    Program::Dictionary,
    Program::Self32Slow,
    Program::Banking { slow: true },
    Program::Dining { slow: true },
];

/// By what the programs of Savina are divided.
#[derive(Clone, Copy)]
pub(super) struct Size(u64);

impl Size {
    /// All of it with `--full`, else a tenth. Tests of this program have windows of less than a millisecond.
    pub(super) fn new(full: bool, pass: Pass) -> Self {
        Self(if pass.window.as_micros() < 1000 {
            1000
        } else if full {
            1
        } else {
            10
        })
    }

    /// For a run before those that count.
    pub(super) fn warm_up(self) -> Self {
        Self(self.0 * 10)
    }

    pub(super) fn of(self, n: u64) -> u64 {
        (n / self.0).max(64)
    }

    /// The tree of [`fib`](programs::fib) has fewer levels instead.
    pub(super) fn fib(self) -> u32 {
        25 - 5 * self.0.min(1000).ilog10()
    }
}

impl Program {
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Count(_) => "count",
            Self::Disjoint => "32 cowns",
            Self::Pairs(_) => "32 pairs",
            Self::PingPong => "ping-pong",
            Self::SelfOne => "1 cown",
            Self::Self32 => "32 cowns",
            Self::SelfPairs => "32 pairs",
            Self::Self32Slow => "32 cowns, 10 us",
            Self::Create => "fork-join create",
            Self::Throughput => "fork-join 60",
            Self::Fib => "fib",
            Self::Banking { slow: false } => "banking",
            Self::Banking { slow: true } => "banking, 10 us",
            Self::Dining { slow: false } => "dining",
            Self::Dining { slow: true } => "dining, 10 us",
            Self::Chameneos => "chameneos",
            Self::Dictionary => "dictionary",
        }
    }

    /// Who asks for the behaviours: a thread outside, one behaviour, or each for the next.
    pub(super) fn by(self) -> &'static str {
        match self {
            Self::Count(By::Outside) | Self::Disjoint | Self::Pairs(By::Outside) => "outside",
            Self::Count(By::Inside)
            | Self::Pairs(By::Inside)
            | Self::Create
            | Self::Throughput
            | Self::Fib
            | Self::Banking { .. } => "one",
            _ => "each",
        }
    }

    /// Its size: how many behaviours, transfers, meals of each philosopher, and so on.
    pub(super) fn size(self, size: Size) -> u64 {
        match self {
            Self::Count(_) | Self::SelfOne => size.of(1_000_000),
            Self::Disjoint | Self::Pairs(_) | Self::Self32 | Self::SelfPairs => size.of(640_000),
            Self::PingPong => size.of(80_000),
            Self::Self32Slow => size.of(32_000),
            Self::Create => size.of(40_000),
            Self::Throughput => size.of(600_000),
            Self::Fib => u64::from(size.fib()),
            Self::Banking { slow: false } => size.of(50_000),
            Self::Banking { slow: true } => size.of(10_000),
            Self::Dining { slow: false } | Self::Dictionary => size.of(10_000),
            Self::Dining { slow: true } => size.of(1000),
            Self::Chameneos => size.of(200_000),
        }
    }

    /// Runs it; returns how many behaviours it took.
    pub(super) fn run<E: Engine>(self, engine: &E, size: Size) -> u64 {
        let n = self.size(size);
        match self {
            Self::Count(by) => programs::count(engine, by, n),
            Self::Disjoint => programs::round_robin(engine, By::Outside, 32, n),
            Self::Pairs(by) => programs::pairs(engine, by, 32, n),
            Self::PingPong => programs::ping_pong(engine, n),
            Self::SelfOne => programs::rescheduling(engine, 1, n, 0),
            Self::Self32 => programs::rescheduling(engine, 32, n, 0),
            Self::SelfPairs => programs::rescheduling_pairs(engine, 32, n),
            Self::Self32Slow => programs::rescheduling(engine, 32, n, ten_micros()),
            Self::Create => programs::create(engine, n),
            Self::Throughput => programs::round_robin(engine, By::Inside, 60, n),
            Self::Fib => programs::fib(engine, size.fib()),
            Self::Banking { slow } => programs::banking(engine, n, slow),
            Self::Dining { slow } => programs::dining(engine, 20, n, slow),
            Self::Chameneos => programs::chameneos(engine, 100, n),
            Self::Dictionary => programs::dictionary(engine, 20, n),
        }
    }
}
