//! Behaviours over several cowns have one order on all that they share, and each runs once.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use pysync_boc::{Batch, Cown, Runtime, Use, fire, read};

use super::{Log, Model, log, logs, only};

/// Adds the digit to each of the cowns.
fn write<const N: usize>(runtime: &Runtime, digit: u32, cowns: [&Cown<Log>; N]) {
    let add = move |logs: [&mut Log; N]| logs.into_iter().for_each(|log| log.add(digit));
    assert!(runtime.fire(cowns, add));
}

fn one(_: &Runtime) -> Cown<Log> {
    log()
}

fn two(_: &Runtime) -> [Cown<Log>; 2] {
    logs()
}

fn four(_: &Runtime) -> [Cown<Log>; 4] {
    logs()
}

fn both<S: AsRef<[Cown<Log>]>>(s: &S) -> u32 {
    let cowns = s.as_ref();
    let (a, b) = (Log::of(&cowns[0]), Log::of(&cowns[1]));
    assert_eq!(a, b, "two orders");
    a
}

#[test]
fn two_that_name_the_same_cowns_the_other_way_round() {
    Model::new("{a, b}, {b, a}").preemptions(3).run(
        two,
        [|[a, b], runtime| write(runtime, 1, [a, b]), |[a, b], runtime| write(runtime, 2, [b, a])],
        |s| assert!([12, 21].contains(&both(s))),
    );
}

/// Of three threads two may be parked until the third one has unlocked.
#[test]
fn three_that_name_the_same_cowns() {
    /// The cowns, and how many threads have begun: no step of the model.
    struct Shared([Cown<Log>; 2], AtomicU32);

    fn next(Shared([a, b], begun): &Shared, runtime: &Runtime) {
        let digit = begun.fetch_add(1, Relaxed) + 1;
        if digit == 2 { write(runtime, digit, [b, a]) } else { write(runtime, digit, [a, b]) }
    }
    Model::new("3 × {a, b}").preemptions(1).run(
        |runtime| Shared(two(runtime), AtomicU32::new(0)),
        [next; 3],
        |s| assert!([123, 132, 213, 231, 312, 321].contains(&both(&s.0))),
    );
}

/// Each two have a cown in common that the third has not.
#[test]
fn three_that_overlap_in_pairs() {
    Model::new("{a, b, d}, {a, c, d}").preemptions(3).run(
        four,
        [
            |[a, b, _, d], runtime| write(runtime, 1, [a, b, d]),
            |[a, _, c, d], runtime| write(runtime, 2, [d, c, a]),
        ],
        |[a, b, c, d]| {
            let logs = [a, b, c, d].map(Log::of);
            assert!([[12, 1, 2, 12], [21, 1, 2, 21]].contains(&logs));
        },
    );
    Model::new("{a, b}, {b, c}, {c, a}").preemptions(1).run(
        four,
        [
            |[a, b, ..], runtime| write(runtime, 1, [a, b]),
            |[_, b, c, _], runtime| write(runtime, 2, [b, c]),
            |[a, _, c, _], runtime| write(runtime, 3, [c, a]),
        ],
        |[a, b, c, _]| {
            let logs = [a, b, c].map(Log::of);
            // All but the two circles.
            assert!(logs != [31, 12, 23] && logs != [13, 21, 32]);
            assert!(logs.iter().all(|&log| log > 10 && log < 40));
        },
    );
}

/// The exchange of one that has to wait for nothing, and the lock of one that has.
#[test]
fn one_releases_while_another_is_queued() {
    Model::new("release and enqueue").preemptions(6).run(
        one,
        [|a, runtime| write(runtime, 1, [a]), |a, runtime| write(runtime, 2, [a])],
        |a| assert!([12, 21].contains(&Log::of(a))),
    );
    Model::new("release and enqueue, 3 threads").run(
        one,
        [
            |a, runtime| write(runtime, 1, [a]),
            |a, runtime| write(runtime, 2, [a]),
            |a, runtime| write(runtime, 3, [a]),
        ],
        |a| assert_eq!(Log::of(a).to_string().len(), 3),
    );
}

/// What one thread asks for first comes first, if the two share a cown.
#[test]
fn two_of_one_thread_keep_their_order() {
    Model::new("1 and 2 of one thread").run(
        two,
        [
            |[a, b], runtime| {
                write(runtime, 1, [a]);
                write(runtime, 2, [a, b]);
            },
            |[a, b], runtime| write(runtime, 3, [a, b]),
        ],
        |[a, b]| {
            let (a, b) = (Log::of(a), Log::of(b));
            assert!([123, 132, 312].contains(&a));
            assert_eq!(b, only(a, |digit| digit != 1));
        },
    );
}

/// A behaviour that a body asks for comes behind all that are queued by then, and not before the body ends.
#[test]
fn one_of_a_body_comes_behind() {
    Model::new("nested").run(
        two,
        [
            |[a, b], runtime| {
                let again = a.clone();
                let body = move |[a, b]: [&mut Log; 2]| {
                    assert!(fire(again, |a: &mut Log| a.add(2)));
                    a.add(1);
                    b.add(1);
                };
                assert!(runtime.fire([a, b], body));
            },
            |[a, _], runtime| write(runtime, 3, [a]),
        ],
        |[a, b]| {
            assert!([123, 132, 312].contains(&Log::of(a)));
            assert_eq!(Log::of(b), 1);
        },
    );
}

/// The two holders of a behaviour's cowns release them at the same time: one of them runs it.
#[test]
fn the_last_of_several_holders_makes_it_ready() {
    use super::Place;
    use pysync_boc::Held;

    struct Shared {
        cowns: [Cown<Log>; 3],
        held: [Place<Held<Log>>; 2],
    }
    fn release(s: &Shared, index: usize) {
        let held = s.held[index].take();
        held.add(index as u32 + 1);
        drop(held);
    }
    Model::new("two release, one is ready").run(
        |runtime| {
            let cowns = logs();
            let [a, b, c] = &cowns;
            let held = [a, b].map(|cown| Place::new(cown.acquire()));
            write(runtime, 3, [a, b, c]);
            Shared { cowns, held }
        },
        [|s, _| release(s, 0), |s, _| release(s, 1)],
        |s| assert_eq!(s.cowns.each_ref().map(Log::of), [13, 23, 3]),
    );
}

/// A cown that is named several times counts once.
#[test]
fn one_that_names_a_cown_often_runs_once() {
    fn often([a, b]: &[Cown<Log>; 2], runtime: &Runtime) {
        let uses = [Use::write(a), Use::read(b), Use::read(a), Use::write(b), Use::write(a)];
        let outcome = runtime.when_any(&uses, |held| {
            held.get::<Log>(2).unwrap().add(1);
            held.get_mut::<Log>(3).unwrap().add(1);
        });
        drop(outcome);
    }
    Model::new("{a, a, a, b, b}, {b, a}").run(
        two,
        [often, |[a, b], runtime| write(runtime, 2, [b, a])],
        |s| assert!([12, 21].contains(&both(s))),
    );
    // It reads b, and writes b: so it has b alone.
    Model::new("{a, a, a, b, b}, R of b").preemptions(3).run(
        two,
        [often, |[_, b], runtime| {
            let look = |log: &Log| assert!([0, 1].contains(&log.0.get()));
            assert!(runtime.fire(read(b), look));
        }],
        |s| assert_eq!(both(s), 1),
    );
}

/// Asks for 1 on a, 2 on both, and 3 on b, in one step.
fn batch([a, b]: &[Cown<Log>; 2], runtime: &Runtime) {
    let mut batch = Batch::on(runtime);
    drop(batch.when(a, |a| a.add(1)));
    drop(batch.when((b, a), |(b, a)| {
        a.add(2);
        b.add(2);
    }));
    drop(batch.when(b, |b| b.add(3)));
    batch.schedule();
}

#[test]
fn nothing_comes_inside_a_batch() {
    Model::new("batch, {a, b}").run(
        two,
        [batch, |[a, b], runtime| write(runtime, 5, [a, b])],
        |[a, b]| assert!([(125, 235), (512, 523)].contains(&(Log::of(a), Log::of(b)))),
    );
    Model::new("batch, {b}, {a}").preemptions(1).run(
        two,
        [batch, |[_, b], runtime| write(runtime, 5, [b]), |[a, _], runtime| write(runtime, 6, [a])],
        |[a, b]| {
            assert!([126, 612].contains(&Log::of(a)));
            assert!([235, 523].contains(&Log::of(b)));
        },
    );
}

#[test]
fn two_batches_do_not_mix() {
    fn other([a, b]: &[Cown<Log>; 2], runtime: &Runtime) {
        let mut batch = Batch::on(runtime);
        drop(batch.when(b, |b| b.add(5)));
        drop(batch.when(a, |a| a.add(6)));
        batch.schedule();
    }
    Model::new("batch, batch").run(two, [batch, other], |[a, b]| {
        assert!([(126, 235), (612, 523)].contains(&(Log::of(a), Log::of(b))));
    });
}
