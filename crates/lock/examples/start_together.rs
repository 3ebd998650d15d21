//! Two workers wait for one start, let one of them prepare, and share what a lock guards.
//!
//! ```sh
//! cargo run --package pysync-lock --example start_together
//! cargo +nightly miri run --package pysync-lock --example start_together
//! ```
//!
//! `ci/miri.sh` runs the second line, which shows that Miri can check a program that uses these
//! crates.

use std::convert::Infallible;
use std::thread;

use pysync_lock::guarded::RwLock;
use pysync_lock::{Event, OnceFlag};

#[derive(Default)]
struct Shared {
    start: Event,
    prepared: OnceFlag,
    lines: RwLock<Vec<String>>,
}

impl Shared {
    fn work(&self, id: usize) {
        self.start.wait();
        // Whichever worker comes first does this, and the other waits for it.
        let Ok(()) = self.prepared.call_once(|| {
            self.lines.write().push("prepared".into());
            thread::yield_now();
            Ok::<_, Infallible>(())
        });
        for round in 0..3 {
            self.lines.write().push(format!("worker {id}, round {round}"));
            thread::yield_now();
            assert_eq!(self.lines.read()[0], "prepared");
        }
    }
}

fn main() {
    let shared = Shared::default();
    thread::scope(|scope| {
        for id in 0..2 {
            let shared = &shared;
            scope.spawn(move || shared.work(id));
        }
        // The workers may fall asleep, for the start and then for the lines.
        let lines = shared.lines.write();
        (0..100).for_each(|_| thread::yield_now());
        shared.start.notify();
        (0..100).for_each(|_| thread::yield_now());
        drop(lines);
    });
    let lines = shared.lines.into_inner();
    assert_eq!(lines.len(), 7);
    println!("{}", lines.join("\n"));
}
