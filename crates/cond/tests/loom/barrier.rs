use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use pysync_cond::Barrier;
use pysync_testing::model::{Data, Explore};

struct Shared {
    barrier: Barrier,
    data: [Data; 2],
    // The test's own count, and no step of the model: one thread runs at a time.
    tickets: AtomicUsize,
    come: AtomicUsize,
    gone: AtomicUsize,
    leaders: AtomicUsize,
}

fn of_two() -> Shared {
    Shared {
        barrier: Barrier::new(2),
        data: Default::default(),
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
    let complete = s.come.load(SeqCst) / 2;
    assert!(gone <= 2 * complete, "one has gone on too soon");
}

fn wait_twice(s: &Shared) {
    wait(s);
    wait(s);
}

/// Waits while the threads have not waited four times in all: any two of them make a round.
fn wait_for_a_share(s: &Shared) {
    while s.tickets.fetch_add(1, SeqCst) < 4 {
        wait(s);
    }
}

fn rounds(s: &Shared, rounds: usize) {
    assert_eq!(s.gone.load(SeqCst), 2 * rounds);
    assert_eq!(s.leaders.load(SeqCst), rounds);
}

#[test]
fn barrier_both_see_what_the_other_did_before() {
    fn first(s: &Shared) {
        s.data[0].add_one();
        _ = s.barrier.wait();
        assert_eq!(s.data[1].get(), 1);
        // The second round orders this with the look of the other.
        _ = s.barrier.wait();
        s.data[1].add_one();
    }

    fn second(s: &Shared) {
        s.data[1].add_one();
        _ = s.barrier.wait();
        assert_eq!(s.data[0].get(), 1);
        _ = s.barrier.wait();
        s.data[0].add_one();
    }

    Explore::new("barrier, 2 threads, 2 rounds").run(of_two, [first, second], |s| {
        assert_eq!((s.data[0].get(), s.data[1].get()), (2, 2));
    });
}

#[test]
fn barrier_each_round_has_a_leader() {
    let model = Explore::new("barrier, leaders").preemptions(3);
    model.run(of_two, [wait_twice, wait_twice], |s| rounds(s, 2));
}

#[test]
fn barrier_three_threads_make_rounds_of_two() {
    let model = Explore::new("barrier, 3 threads").preemptions(2);
    model.run(of_two, [wait_for_a_share; 3], |s| rounds(s, 2));
}
