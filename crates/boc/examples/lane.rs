//! A program with a user interface: only its thread may touch the window, and what takes long runs elsewhere.
//! The window is a cown on a lane, which that thread pumps in its event loop.
//!
//! ```sh
//! cargo run --release --package pysync-boc --example lane
//! ```

use std::sync::mpsc;
use std::thread::{self, ThreadId};

use pysync_boc::{Bounds, Cown, Lane, Runtime, when};

/// It may be touched by one thread only, and says so.
struct Window {
    owner: ThreadId,
    lines: Vec<String>,
}

impl Window {
    fn draw(&mut self, line: String) {
        assert_eq!(thread::current().id(), self.owner, "not the thread of the window");
        println!("{line}");
        self.lines.push(line);
    }
}

enum Event {
    /// Behaviours are ready on the lane.
    Ready,
    Click(u64),
    Close,
}

/// The sum of the squares below `n`, the slow way.
fn work(n: u64) -> u64 {
    (0..n).map(|n| n * n).sum()
}

fn main() {
    let (events, queue) = mpsc::channel();
    let lane = Lane::new();
    let wake = events.clone();
    // The loop may have ended.
    lane.on_ready(move || _ = wake.send(Event::Ready));
    let window = Cown::on(&lane, Window { owner: thread::current().id(), lines: Vec::new() });

    // The user.
    let user = thread::spawn(move || {
        for n in [10, 1_000, 100_000] {
            events.send(Event::Click(n)).unwrap();
        }
        events.send(Event::Close).unwrap();
    });

    let mut is_open = true;
    while is_open {
        match queue.recv().unwrap() {
            Event::Ready => _ = lane.pump(Bounds::default()),
            Event::Click(n) => {
                // On a worker; then, over its outcome and the window, here.
                let sum = when((), move |()| work(n));
                when((&sum, &window), move |(sum, window)| {
                    window
                        .draw(format!("the squares below {n} sum up to {}", sum.as_ref().unwrap()));
                });
            }
            Event::Close => is_open = false,
        }
    }
    user.join().unwrap();

    // What is under way comes to its end before the window goes.
    while Runtime::global().quiesce(Some(std::time::Duration::ZERO)).is_err() {
        lane.wait(Some(std::time::Duration::from_millis(1)));
        lane.pump(Bounds::default());
    }
    let lines = std::mem::take(&mut window.acquire().lines);
    assert_eq!(lines.len(), 3);
    assert!(lines.contains(&format!("the squares below 10 sum up to {}", 285)));
}
