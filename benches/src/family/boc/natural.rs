//! Programs in the form that is natural to a peer, where that is not tasks that lock.

use std::thread;
use std::time::Instant;

use crossbeam_channel::unbounded;

use super::engine::Engine;
use super::locks::{Rayon, Std};
use super::program::{Program, Size};
use super::programs::fibonacci;
use super::tasks::Tokio;
use super::{Run, rate};
use crate::harness::processor_time;
use crate::runner::{Entrant, Pass, Sample};

/// The peers that have such a form of the program.
pub(super) fn entrants(program: Program, full: bool, workers: usize) -> Vec<Entrant> {
    let size = move |pass| Size::new(full, pass);
    match (program, workers) {
        // A producer and an actor, which has the count to itself.
        (Program::Count(super::programs::By::Outside), 1) => {
            vec![Entrant::new("actors", move |pass| counting(program.size(size(pass)), pass))]
        }
        // Two actors.
        (Program::PingPong, 2) => {
            vec![Entrant::new("actors", move |pass| in_turn(program.size(size(pass)), pass))]
        }
        // A call of `join` lends what is on the stack, allocates nothing, and its caller waits for it.
        (Program::Fib, _) => vec![
            Entrant::new("rayon join", move |pass| {
                let rayon = Rayon::<Std>::new(workers);
                let n = size(pass).fib();
                rate(pass, || {
                    assert_eq!(rayon.pool.install(|| joined(n)), fibonacci(n));
                    fibonacci(n) - 1
                })
            })
            .beside(),
            Entrant::new("tokio", move |pass| {
                let Tokio(tokio) = Tokio::new(workers);
                let n = size(pass).fib();
                rate(pass, || {
                    let root = tokio.spawn(awaited(n));
                    assert_eq!(tokio.block_on(root).expect("no panic"), fibonacci(n));
                    fibonacci(n) - 1
                })
            }),
        ],
        _ => Vec::new(),
    }
}

fn joined(n: u32) -> u64 {
    if n <= 2 {
        return 1;
    }
    let (a, b) = rayon::join(|| joined(n - 1), || joined(n - 2));
    a + b
}

/// Half of the tree are tasks of their own.
fn awaited(n: u32) -> std::pin::Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        if n <= 2 {
            return 1;
        }
        let a = tokio::spawn(awaited(n - 1));
        awaited(n - 2).await + a.await.expect("no panic")
    })
}

/// Messages to an actor on a thread of its own.
fn counting(n: u64, pass: Pass) -> Sample {
    rate(pass, || {
        let (sender, receiver) = unbounded::<()>();
        let actor = thread::spawn(move || receiver.iter().count() as u64);
        (0..n).for_each(|_| sender.send(()).expect("the actor receives"));
        drop(sender);
        assert_eq!(actor.join().expect("the actor does not panic"), n);
        n
    })
}

/// A message goes between two actors, each on a thread of its own.
fn in_turn(n: u64, pass: Pass) -> Sample {
    let (ping, pings) = unbounded::<()>();
    let (pong, pongs) = unbounded::<()>();
    let ponger = thread::spawn(move || pings.iter().for_each(|()| _ = pong.send(())));
    let (started, before) = (Instant::now(), processor_time());
    let mut trips = 0;
    // A trip may take as long as a thread takes to wake: the window ends it, not `n`.
    while trips < n && (trips == 0 || started.elapsed() < pass.window) {
        ping.send(()).expect("the ponger receives");
        pongs.recv().expect("the ponger answers");
        trips += 1;
    }
    let elapsed = started.elapsed();
    drop(ping);
    ponger.join().expect("the ponger does not panic");
    Run { behaviours: 2 * trips, elapsed, processor: processor_time() - before }.sample()
}
