//! Threads that wait for cowns, for a time or for ever, between behaviours.

use pysync_boc::{Cown, Held, Runtime, acquire_all, acquire_all_timed};

use super::{Log, Model, Place, SOON, log, logs, only};

fn one(_: &Runtime) -> Cown<Log> {
    log()
}

fn two(_: &Runtime) -> [Cown<Log>; 2] {
    logs()
}

struct Shared {
    cowns: [Cown<Log>; 2],
    held: Place<Held<Log>>,
}

/// Two cowns, of which the first is held.
fn one_held(_: &Runtime) -> Shared {
    let cowns: [_; 2] = logs();
    let held = Place::new(cowns[0].acquire());
    Shared { cowns, held }
}

/// Two cowns, of which the second is held.
fn other_held(_: &Runtime) -> Shared {
    let cowns: [_; 2] = logs();
    let held = Place::new(cowns[1].acquire());
    Shared { cowns, held }
}

fn write(cown: &Cown<Log>, runtime: &Runtime, digit: u32) {
    assert!(runtime.fire(cown, move |log: &mut Log| log.add(digit)));
}

fn release(s: &Shared, _: &Runtime) {
    let held = s.held.take();
    held.add(1);
    drop(held);
}

#[test]
fn a_thread_and_a_behaviour_take_turns() {
    Model::new("acquire, behaviour").preemptions(4).run(
        one,
        [
            |cown, _| {
                cown.acquire().add(1);
                cown.acquire().add(2);
            },
            |cown, runtime| write(cown, runtime, 3),
        ],
        |cown| assert!([123, 132, 312].contains(&Log::of(cown))),
    );
}

/// Either the thread has the cown, or it is out of the way.
#[test]
fn a_grant_comes_as_the_time_is_up() {
    fn timed(s: &Shared, _: &Runtime) {
        if let Some(held) = s.cowns[0].acquire_timed(SOON) {
            assert!([1, 13].contains(&held.0.get()));
            held.add(2);
        }
    }
    Model::new("acquire_timed, release").preemptions(4).run(one_held, [timed, release], |s| {
        assert!([1, 12].contains(&Log::of(&s.cowns[0])));
    });
    Model::new("acquire_timed, release, behaviour").preemptions(1).run(
        one_held,
        [timed, release, |s, runtime| write(&s.cowns[0], runtime, 3)],
        |s| {
            let log = Log::of(&s.cowns[0]);
            assert!([13, 123, 132].contains(&log), "{log}");
        },
    );
}

/// Those who ask are served in the order in which they have asked, the one that gives up aside.
#[test]
fn two_threads_wait_and_one_gives_up() {
    Model::new("acquire_timed, acquire, release").preemptions(1).run(
        one_held,
        [|s, _| drop(s.cowns[0].acquire_timed(SOON)), |s, _| s.cowns[0].acquire().add(2), release],
        |s| assert_eq!(Log::of(&s.cowns[0]), 12),
    );
}

/// Behaviours before and behind it on the queue keep their places, and one that comes later finds its own.
#[test]
fn one_gives_up_in_the_middle_of_the_queue() {
    fn ask(s: &Shared, runtime: &Runtime) {
        let cown = &s.cowns[0];
        write(cown, runtime, 2);
        drop(cown.acquire_timed(SOON));
        write(cown, runtime, 3);
    }
    let model = Model::new("behaviour, acquire_timed, behaviour; release").preemptions(3);
    model.run(one_held, [ask, release], |s| assert_eq!(Log::of(&s.cowns[0]), 123));
    Model::new("behaviour, acquire_timed, behaviour; release; behaviour").preemptions(1).run(
        one_held,
        [ask, release, |s, runtime| write(&s.cowns[0], runtime, 4)],
        |s| assert_eq!(only(Log::of(&s.cowns[0]), |digit| digit != 4), 123),
    );
}

fn timed_both(s: &Shared, _: &Runtime) {
    if let Ok(mut both) = acquire_all_timed(&s.cowns[..], SOON) {
        both.access().iter().for_each(|log| log.add(2));
    }
}

/// The one cown is free, the other is released as the time is up.
#[test]
fn a_grant_of_the_second_cown_comes_as_the_time_is_up() {
    for (name, held) in [
        ("acquire_all_timed, release of the first", one_held as fn(&Runtime) -> Shared),
        ("acquire_all_timed, release of the second", other_held),
    ] {
        Model::new(name).preemptions(4).run(held, [timed_both, release], |s| {
            let logs = (Log::of(&s.cowns[0]), Log::of(&s.cowns[1]));
            assert!([(1, 0), (0, 1), (12, 2), (2, 12)].contains(&logs));
        });
    }
}

/// The held cown stays so. The thread that waits for both has the other one, and gives it up.
#[test]
fn one_that_gives_up_keeps_nothing() {
    for (name, held, free) in [
        ("first held, second passed on", one_held as fn(&Runtime) -> Shared, 1),
        ("second held, first passed on", other_held, 0),
    ] {
        let behaviour: fn(&Shared, &Runtime) = match free {
            0 => |s, runtime| write(&s.cowns[0], runtime, 3),
            _ => |s, runtime| write(&s.cowns[1], runtime, 3),
        };
        let after: fn(&Shared) = match free {
            0 => |s| assert_eq!(Log::of(&s.cowns[0]), 3),
            _ => |s| assert_eq!(Log::of(&s.cowns[1]), 3),
        };
        Model::new(name).preemptions(4).run(held, [timed_both, behaviour], after);
    }
}

/// All waiters withdraw at once, from several cowns.
#[test]
fn two_that_wait_for_both_give_up() {
    Model::new("2 × acquire_all_timed").run(one_held, [timed_both, timed_both], |s| {
        assert_eq!(Log::of(&s.cowns[1]), 0);
        drop(s.held.take());
        assert_eq!(Log::of(&s.cowns[0]), 0);
    });
}

#[test]
fn two_threads_acquire_the_same_cowns_the_other_way_round() {
    Model::new("acquire_all (a, b), (b, a)").run(
        two,
        [
            |[a, b], _| {
                let mut held = acquire_all((a, b));
                let (a, b) = held.access();
                a.add(1);
                b.add(1);
            },
            |[a, b], _| {
                let mut held = acquire_all((b, a));
                let (b, a) = held.access();
                a.add(2);
                b.add(2);
            },
        ],
        |[a, b]| {
            let (a, b) = (Log::of(a), Log::of(b));
            assert!(a == b && [12, 21].contains(&a));
        },
    );
}

/// A thread acquires a cown, and a behaviour that another thread runs releases it.
#[test]
fn a_held_cown_goes_to_another_thread() {
    Model::new("Held is sent").preemptions(3).run(
        one_held,
        [
            |s, runtime| {
                let held = s.cowns[1].acquire();
                held.add(2);
                let body = move |log: &mut Log| {
                    log.add(3);
                    held.add(4);
                };
                assert!(runtime.fire(&s.cowns[0], body));
                write(&s.cowns[1], runtime, 5);
            },
            release,
        ],
        |s| {
            assert_eq!(Log::of(&s.cowns[0]), 13);
            assert_eq!(Log::of(&s.cowns[1]), 245);
        },
    );
}

/// An attempt is admitted at once or not at all, and passes none that waits.
#[test]
fn attempts_between_behaviours() {
    Model::new("try_acquire, behaviours").preemptions(4).run(
        one,
        [
            |cown, _| {
                if let Some(held) = cown.try_acquire() {
                    held.add(1);
                }
            },
            |cown, runtime| {
                write(cown, runtime, 2);
                write(cown, runtime, 3);
            },
        ],
        |cown| assert!([23, 123, 213, 231].contains(&Log::of(cown))),
    );
}
