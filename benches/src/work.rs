//! What threads do inside and outside their locks.

use std::fmt;
use std::hint::black_box;
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// An amount of work: units, or as many of them as a time takes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Work {
    label: String,
    amount: Amount,
}

#[derive(Clone, Debug, PartialEq)]
enum Amount {
    Units(u32),
    Nanos(f64),
}

impl Work {
    pub(crate) fn units(&self) -> u32 {
        match self.amount {
            Amount::Units(units) => units,
            Amount::Nanos(nanos) => (nanos / unit_ns()).round() as u32,
        }
    }
}

impl FromStr for Work {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let problem = || format!("{text:?} is no amount of work; give units (5) or a time (10us)");
        let amount = if let Some(micros) = text.strip_suffix("us") {
            let micros: f64 = micros.parse().map_err(|_| problem())?;
            if !(0.0..=100_000.0).contains(&micros) {
                return Err(format!("{text:?} is not between 0us and 100000us"));
            }
            Amount::Nanos(micros * 1000.0)
        } else {
            Amount::Units(text.parse().map_err(|_| problem())?)
        };
        Ok(Self { label: text.to_owned(), amount })
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

/// One unit is a multiplication and an addition that wait for the last ones. The value tends to
/// 1000, so that it neither overflows nor gets denormal and slow.
#[inline(always)]
pub(crate) fn work(mut value: f64, units: u32) -> f64 {
    for _ in 0..units {
        value = value * 0.999 + 1.0;
    }
    value
}

/// What a unit takes on this machine, the best of several tries.
pub(crate) fn unit_ns() -> f64 {
    const UNITS: u32 = 100_000;
    static UNIT_NS: OnceLock<f64> = OnceLock::new();
    *UNIT_NS.get_or_init(|| {
        let time = |_| {
            let started = Instant::now();
            black_box(work(black_box(1.0), black_box(UNITS)));
            started.elapsed()
        };
        let best = (0..20).map(time).min().unwrap_or(Duration::ZERO);
        best.as_nanos() as f64 / f64::from(UNITS)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_given_in_units_or_in_microseconds() {
        assert_eq!("7".parse::<Work>().unwrap().units(), 7);
        assert!("10us".parse::<Work>().unwrap().units() > 100);
        for wrong in ["", "x", "-1", "10ms", "-1us", "1e9us", "NaNus"] {
            assert!(wrong.parse::<Work>().is_err(), "{wrong}");
        }
    }
}
