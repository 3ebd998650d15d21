//! Readers have a cown together, writers alone, and all in the order in which they asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use pysync_boc::{Batch, Cown, Held, Runtime, acquire_all, read};

use super::{Log, Model, Place, SOON, log, logs};

/// What readers have seen, in no order. The model's own, and no step of it.
#[derive(Clone, Default)]
struct Seen(Arc<AtomicU32>);

impl Seen {
    fn add(&self, log: &Log) {
        self.0.fetch_add(1000 + log.0.get(), Relaxed);
    }

    /// How many readers there were, and the sum of what they saw.
    fn all(&self) -> (u32, u32) {
        let all = self.0.load(Relaxed);
        (all / 1000, all % 1000)
    }
}

struct Shared {
    cown: Cown<Log>,
    /// Each behind a cown, so that different threads run what waits for them.
    gates: [Cown<Log>; 2],
    held: [Place<Held<Log>>; 2],
    seen: Seen,
}

/// A cown that is free, and two gates that are held.
fn free(_: &Runtime) -> Shared {
    let [cown, first, second] = logs();
    let gates = [first, second];
    let held = gates.each_ref().map(|gate| Place::new(gate.acquire()));
    Shared { cown, gates, held, seen: Seen::default() }
}

fn read_it(s: &Shared, runtime: &Runtime) {
    let seen = s.seen.clone();
    assert!(runtime.fire(read(&s.cown), move |log: &Log| seen.add(log)));
}

fn read_behind(s: &Shared, runtime: &Runtime, gate: usize) {
    let seen = s.seen.clone();
    let body = move |(log, _): (&Log, &mut Log)| seen.add(log);
    assert!(runtime.fire((read(&s.cown), &s.gates[gate]), body));
}

fn write(s: &Shared, runtime: &Runtime, digit: u32) {
    assert!(runtime.fire(&s.cown, move |log: &mut Log| log.add(digit)));
}

#[test]
fn readers_and_a_writer_that_all_come_at_once() {
    Model::new("R, W").preemptions(4).run(
        free,
        [read_it, |s, runtime| write(s, runtime, 1)],
        |s| assert!([(1, 0), (1, 1)].contains(&s.seen.all())),
    );
    Model::new("R, R, W").run(free, [read_it, read_it, |s, runtime| write(s, runtime, 1)], |s| {
        assert!([(2, 0), (2, 1), (2, 2)].contains(&s.seen.all()));
        assert_eq!(Log::of(&s.cown), 1);
    });
}

/// The last of two readers lets the writer in, whichever it is, and the writer two more.
#[test]
fn the_last_reader_lets_the_writer_in() {
    fn queue(runtime: &Runtime) -> Shared {
        let s = free(runtime);
        read_behind(&s, runtime, 0);
        read_behind(&s, runtime, 1);
        write(&s, runtime, 1);
        read_it(&s, runtime);
        read_it(&s, runtime);
        write(&s, runtime, 2);
        s
    }
    let model = Model::new("R, R, W, R, R, W").preemptions(4);
    model.run(queue, [|s, _| drop(s.held[0].take()), |s, _| drop(s.held[1].take())], |s| {
        assert_eq!(s.seen.all(), (4, 2));
        assert_eq!(Log::of(&s.cown), 12);
    });
}

/// A reader comes as the last one that has the cown leaves, with or without a writer between them.
#[test]
fn a_reader_comes_as_the_last_one_leaves() {
    fn queue(runtime: &Runtime) -> Shared {
        let s = free(runtime);
        read_behind(&s, runtime, 0);
        s
    }
    Model::new("R leaves, R").preemptions(4).run(
        queue,
        [|s, _| drop(s.held[0].take()), read_it],
        |s| {
            assert_eq!(s.seen.all(), (2, 0));
            assert_eq!(Log::of(&s.cown), 0);
        },
    );
    let write_and_read: fn(&Shared, &Runtime) = |s, runtime| {
        write(s, runtime, 1);
        read_it(s, runtime);
    };
    Model::new("R leaves, W, R").preemptions(2).run(
        queue,
        [|s, _| drop(s.held[0].take()), write_and_read],
        |s| assert_eq!(s.seen.all(), (2, 1)),
    );
}

/// Two readers are let in by a writer that leaves, as another writer comes.
#[test]
fn a_writer_comes_as_readers_are_served() {
    fn queue(runtime: &Runtime) -> Shared {
        let s = free(runtime);
        let body = |(log, _): (&mut Log, &mut Log)| log.add(1);
        assert!(runtime.fire((&s.cown, &s.gates[0]), body));
        read_it(&s, runtime);
        read_behind(&s, runtime, 1);
        s
    }
    Model::new("W leaves, R, R, and W comes").preemptions(1).run(
        queue,
        [
            |s, _| drop(s.held[0].take()),
            |s, _| drop(s.held[1].take()),
            |s, runtime| write(s, runtime, 2),
        ],
        |s| {
            assert_eq!(s.seen.all(), (2, 2));
            assert_eq!(Log::of(&s.cown), 12);
        },
    );
}

/// The cown has a reader all the time, so that the writer waits in vain. The readers behind it do not.
#[test]
fn a_writer_that_gives_up_lets_readers_pass() {
    fn queue(runtime: &Runtime) -> Shared {
        let s = free(runtime);
        read_behind(&s, runtime, 0);
        s
    }
    Model::new("R stays, W gives up, R").preemptions(4).run(
        queue,
        [|s, _| assert!(s.cown.acquire_timed(SOON).is_none()), read_it],
        |s| {
            assert_eq!(s.seen.all(), (1, 0), "a reader is stranded");
            drop(s.held[0].take());
            assert_eq!(s.seen.all(), (2, 0));
        },
    );
}

/// The second reader of a batch comes behind its writer, and no other behaviour in between.
#[test]
fn a_batch_of_readers_and_a_writer() {
    fn batch(s: &Shared, runtime: &Runtime) {
        let (before, after) = (s.seen.clone(), s.seen.clone());
        let mut batch = Batch::on(runtime);
        drop(batch.when(read(&s.cown), move |log| before.add(log)));
        drop(batch.when(&s.cown, |log| log.add(1)));
        drop(batch.when(read(&s.cown), move |log| after.add(log)));
        batch.schedule();
    }
    Model::new("batch R W R, W").run(free, [batch, |s, runtime| write(s, runtime, 2)], |s| {
        let seen = (Log::of(&s.cown), s.seen.all());
        assert!([(12, (2, 1)), (21, (2, 23))].contains(&seen));
    });
    Model::new("batch R W R, R").run(free, [batch, read_it], |s| {
        assert!([(3, 1), (3, 2)].contains(&s.seen.all()));
    });
}

/// A thread that reads, and one that writes.
#[test]
fn threads_read_and_write() {
    fn one(_: &Runtime) -> Cown<Log> {
        log()
    }
    Model::new("thread reads, W").preemptions(4).run(
        one,
        [
            |cown, _| {
                let mut held = acquire_all(read(cown));
                assert!([0, 1].contains(&held.access().0.get()));
            },
            |cown, _| cown.acquire().add(1),
        ],
        |cown| assert_eq!(Log::of(cown), 1),
    );
}
