use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use pysync_cond::Barrier;
use pysync_testing::model::TryOut;

const PARTIES: usize = 3;
const ROUNDS: usize = 4;

struct Shared {
    barrier: Barrier,
    // The test's own counts, and no step of the model: one thread runs at a time.
    tickets: AtomicUsize,
    come: AtomicUsize,
    gone: AtomicUsize,
    leaders: AtomicUsize,
}

fn shared() -> Shared {
    Shared {
        barrier: Barrier::new(PARTIES as u32),
        tickets: AtomicUsize::new(0),
        come: AtomicUsize::new(0),
        gone: AtomicUsize::new(0),
        leaders: AtomicUsize::new(0),
    }
}

/// Waits once. As many have gone on by then as complete rounds have parties, at most.
fn wait(s: &Shared) {
    s.come.fetch_add(1, SeqCst);
    if s.barrier.wait() {
        s.leaders.fetch_add(1, SeqCst);
    }
    let gone = s.gone.fetch_add(1, SeqCst) + 1;
    assert!(gone <= s.come.load(SeqCst) / PARTIES * PARTIES, "one has gone on too soon");
}

fn wait_each_round(s: &Shared) {
    (0..ROUNDS).for_each(|_| wait(s));
}

/// Waits while the threads have not made all rounds: any of them make one.
fn wait_for_a_share(s: &Shared) {
    while s.tickets.fetch_add(1, SeqCst) < PARTIES * ROUNDS {
        wait(s);
    }
}

fn rounds_were_made(s: &Shared, rounds: usize) {
    assert_eq!(s.gone.load(SeqCst), PARTIES * rounds);
    assert_eq!(s.leaders.load(SeqCst), rounds);
}

fn all_rounds_were_made(s: &Shared) {
    rounds_were_made(s, ROUNDS);
}

#[test]
fn barrier_makes_round_after_round() {
    let model = TryOut::new("barrier, 3 threads", 8_000);
    model.run(shared, [wait_each_round; PARTIES], all_rounds_were_made);
}

#[test]
fn barrier_more_threads_than_parties_make_full_rounds() {
    let model = TryOut::new("barrier, 6 threads", 16_000);
    model.run(shared, [wait_for_a_share; 6], all_rounds_were_made);
}

/// Nobody comes twice, so that one that goes on too soon is seen: those of the second round may be
/// queued when the first leader wakes.
#[test]
fn barrier_a_leader_wakes_those_of_its_round_only() {
    let model = TryOut::new("barrier, 6 threads, once", 16_000);
    model.run(shared, [wait; 2 * PARTIES], |s| rounds_were_made(s, 2));
}
