//! Two threads that wait for a condition in turn.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use core_affinity::CoreId;
use pysync_monitor::Stopped;

use crate::family::monitor::{self, Monitor, Notify};
use crate::family::ping_pong::placements;
use crate::harness::switches;
use crate::runner::{Entrant, Job, Pass, Plan, Sample};

pub(super) fn plan() -> Plan {
    let job = |(name, cores): (&str, Option<[CoreId; 2]>)| {
        let entrants = vec![
            Entrant::new("std", move |pass| measure::<Notified<monitor::Std>>(cores, pass)),
            Entrant::new("pl-0.13", move |pass| measure::<Notified<monitor::Pl013>>(cores, pass)),
            Entrant::new("cond", move |pass| measure::<Notified<monitor::Pysync>>(cores, pass)),
            Entrant::new("pysync", move |pass| measure::<Evaluated>(cores, pass)),
        ];
        Job::new([("placement", name.to_owned())], entrants)
    };
    Plan {
        name: "deadlock turns",
        title: "Monitor: a round trip of two threads that wait until it is their turn",
        unit: "µs",
        higher_is_better: false,
        x: "placement",
        timed_rounds: 0,
        jobs: placements().into_iter().map(job).collect(),
    }
}

struct Turn {
    of: usize,
    is_last: bool,
}

const FIRST: Turn = Turn { of: 0, is_last: false };

impl Turn {
    /// Gives it to the other; whether this was the last.
    fn pass(&mut self, is_last: bool) -> bool {
        self.of = 1 - self.of;
        self.is_last |= is_last;
        self.is_last
    }
}

trait Turns: Sync {
    fn new() -> Self;
    /// Waits for the turn of `side`, and gives it to the other; whether it was the last.
    fn take(&self, side: usize, is_last: bool) -> bool;
}

/// By a mutex, with one condition variable for each, of which a thread notifies the other's once it has unlocked.
struct Notified<M: Monitor> {
    turn: M::Mutex<Turn>,
    condvars: [M::Condvar; 2],
}

impl<M: Monitor> Turns for Notified<M> {
    fn new() -> Self {
        Self { turn: M::mutex(FIRST), condvars: Default::default() }
    }

    fn take(&self, side: usize, is_last: bool) -> bool {
        let mut turn = M::lock(&self.turn);
        while turn.of != side {
            turn = M::wait(&self.condvars[side], turn);
        }
        let is_last = turn.pass(is_last);
        Notify::AfterUnlock.unlock(turn, || M::notify_one(&self.condvars[1 - side]));
        is_last
    }
}

/// By a monitor: the thread that leaves evaluates what the other waits for.
struct Evaluated(pysync_monitor::Monitor<Turn>);

impl Turns for Evaluated {
    fn new() -> Self {
        Self(pysync_monitor::Monitor::new(FIRST))
    }

    fn take(&self, side: usize, is_last: bool) -> bool {
        let taken: Result<bool, Stopped> =
            self.0.with(|turn| Ok(turn.wait_until(|turn| turn.of == side)?.pass(is_last)));
        taken.expect("the other thread takes its turn")
    }
}

fn measure<T: Turns>(cores: Option<[CoreId; 2]>, pass: Pass) -> Sample {
    const WARM_UP: u32 = 10;
    let turns = T::new();
    let ready = Barrier::new(2);
    let enter = |side: usize| {
        if let Some(cores) = cores {
            core_affinity::set_for_current(cores[side]);
        }
        ready.wait();
    };
    thread::scope(|scope| {
        let (enter, turns) = (&enter, &turns);
        scope.spawn(move || {
            enter(1);
            while !turns.take(1, false) {}
        });
        let pinger = scope.spawn(move || {
            enter(0);
            (0..WARM_UP).for_each(|_| _ = turns.take(0, false));
            let (before, started, mut count) = (switches().0, Instant::now(), 0_u32);
            let elapsed = loop {
                turns.take(0, false);
                count += 1;
                let elapsed = started.elapsed();
                if elapsed >= pass.window {
                    break elapsed;
                }
            };
            let sleeps = (switches().0 - before) as f64;
            turns.take(0, true);
            Sample::new(elapsed.as_nanos() as f64 / f64::from(count) / 1e3)
                .with("sleeps_per_1000", sleeps * 1000.0 / f64::from(count))
        });
        pinger.join().expect("the pinger does not panic")
    })
}
