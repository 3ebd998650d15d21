//! Processes that count together, and are killed while they do.
//!
//! `cargo run -p pysync-robust --example counter`
//!
//! Two numbers are equal whenever the mutex is free. Each worker adds one to both, and some workers are
//! killed between the two. The next one is told, and repairs: no count is lost that was finished.

use std::env;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use pysync_robust::{Error, Segment, Shared, Timeout};

const WORKERS: usize = 4;
const KILLS: usize = 50;

/// The numbers, and how often they were repaired.
type Counts = [u64; 3];

fn open(name: &str) -> Result<Shared<Counts, pysync_robust::Part>, Error> {
    // SAFETY: the name is this program's, which uses the memory by `Shared` only, and in one piece.
    let segment = unsafe { Segment::open(name) }?;
    Ok(Shared::open(segment.part(0, segment.len())?, 1, [0; 3], Timeout::Never)?.0)
}

fn work(name: &str) -> Result<(), Error> {
    let counts = open(name)?;
    loop {
        let mut counts = counts.acquire(Timeout::Never)?.repaired(|counts| {
            counts[1] = counts[0];
            counts[2] += 1;
        });
        assert_eq!(counts[0], counts[1], "not repaired, and no owner was told");
        counts[0] += 1;
        // Time for a kill.
        std::hint::black_box((0..1_000).fold(0_u32, |sum, next| sum ^ std::hint::black_box(next)));
        counts[1] += 1;
    }
}

fn start(name: &str) -> Child {
    let program = env::current_exe().expect("the program has a path");
    Command::new(program).arg(name).spawn().expect("the program runs again")
}

fn main() -> Result<(), Error> {
    if let Some(name) = env::args().nth(1) {
        return work(&name);
    }
    let name = format!("/pysync-counter-{}", std::process::id());
    // SAFETY: as in `open`.
    let _segment = unsafe { Segment::create(&name, 4096) }?;
    let counts = open(&name)?;
    let mut workers: Vec<Child> = (0..WORKERS).map(|_| start(&name)).collect();
    let patience = Timeout::After(Duration::from_secs(10));

    for kill in 0..KILLS {
        let before = counts.acquire(patience)?.repaired(|counts| counts[1] = counts[0])[0];
        // Until there is progress: a worker may be in the middle of its work by then.
        let deadline = Instant::now() + Duration::from_secs(10);
        while counts.acquire(patience)?.repaired(|counts| counts[1] = counts[0])[0] < before + 10 {
            assert!(Instant::now() < deadline, "no worker counts");
            std::thread::yield_now();
        }
        let worker = &mut workers[kill % WORKERS];
        worker.kill().expect("a child can be killed");
        worker.wait().expect("a child can be waited for");
        *worker = start(&name);
    }
    for worker in &mut workers {
        worker.kill().expect("a child can be killed");
        worker.wait().expect("a child can be waited for");
    }
    Segment::unlink(&name)?;
    let counts = counts.acquire(patience)?.repaired(|counts| counts[1] = counts[0]);
    println!("{} counts, {KILLS} kills, {} repairs by workers", counts[0], counts[2]);
    Ok(())
}
