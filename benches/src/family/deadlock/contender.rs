//! The locks, each used as its users would.

use pysync_monitor::Monitor;

use crate::mutex::contender::{Contender, Data};

impl Contender for Monitor<Data> {
    fn new() -> Self {
        Self::default()
    }

    #[inline(always)]
    fn locked<R>(&self, f: impl FnOnce(&mut Data) -> R) -> R {
        self.enter(|mut data| f(&mut data)).expect("no thread waits for itself")
    }
}

#[cfg(target_os = "linux")]
impl Contender for deloxide::Mutex<Data> {
    fn new() -> Self {
        Self::new(Data::default())
    }

    #[inline(always)]
    fn locked<R>(&self, f: impl FnOnce(&mut Data) -> R) -> R {
        f(&mut self.lock())
    }
}

/// One [`Entrant`](crate::runner::Entrant) for each lock that has no detection, and one for monitors: `measure::<L>`
/// with what it captures.
macro_rules! entrants {
    ($measure:ident($($argument:expr),*)) => {
        vec![
            entrants!(std::sync::Mutex<_>, "std", $measure($($argument),*)),
            entrants!(parking_lot_0_13::Mutex<_>, "pl-0.13", $measure($($argument),*)),
            entrants!(pysync_lock::guarded::Mutex<_>, "guarded", $measure($($argument),*)),
            entrants!(pysync_monitor::Monitor<_>, "pysync", $measure($($argument),*)),
        ]
    };
    ($lock:ty, $name:literal, $measure:ident($($argument:expr),*)) => {
        $crate::runner::Entrant::new($name, move |pass| $measure::<$lock>($($argument,)* pass))
    };
}
pub(super) use entrants;
