//! Outcomes: cancelled, waited for, taken, dropped and followed, each against the completion.

use std::sync::Arc;

use pysync_boc::{Batch, Cown, Failed, Held, Outcome, Runtime, acquire_all};
use pysync_testing::model::Data;

use super::{Dropped, Log, Model, Place, SOON, logs};

/// A behaviour over a cown that is held. Its closure and its result count their drops.
struct Shared {
    cown: Cown<Log>,
    held: Place<Held<Log>>,
    outcome: Place<Outcome<Dropped>>,
    closures: Arc<Data>,
    results: Arc<Data>,
}

fn pending(runtime: &Runtime) -> Shared {
    let (cown, held) = Cown::held(Log::default());
    let (closures, results) = (Arc::new(Data::default()), Arc::new(Data::default()));
    let (closure, result) = (Dropped(closures.clone()), Dropped(results.clone()));
    let outcome = runtime.when(&cown, move |log| {
        log.add(2);
        drop(closure);
        result
    });
    Shared { cown, held: Place::new(held), outcome: Place::new(outcome), closures, results }
}

fn release(s: &Shared, _: &Runtime) {
    let held = s.held.take();
    held.add(1);
    drop(held);
}

/// Each was dropped once, and the body has run or not.
fn is_over(s: &Shared, logs: &[u32]) {
    assert_eq!(s.closures.get(), 1);
    // A closure that does not run takes the result with it.
    assert_eq!(s.results.get(), 1);
    let log = Log::of(&s.cown);
    assert!(logs.contains(&log), "{log}");
}

#[test]
fn a_canceller_and_the_executor_want_it() {
    fn cancel(s: &Shared, _: &Runtime) {
        let outcome = s.outcome.take();
        if outcome.cancel() {
            assert_eq!(s.closures.get(), 1);
            assert!(outcome.is_done() && !outcome.cancel());
            assert!(matches!(outcome.wait(SOON), Ok(Err(Failed::Cancelled))));
        }
    }
    let model = Model::new("cancel, dispatch").preemptions(4);
    model.run(pending, [cancel, release], |s| is_over(s, &[1, 12]));
    let model = Model::new("cancel and drop, dispatch").preemptions(4);
    let cancel_and_drop: fn(&Shared, &Runtime) = |s, _| _ = s.outcome.take().cancel();
    model.run(pending, [cancel_and_drop, release], |s| is_over(s, &[1, 12]));
}

/// A cancelled behaviour keeps its place, and lets the next one have its turn.
#[test]
fn one_behind_a_cancelled_one_has_its_turn() {
    fn follow(s: &Shared, runtime: &Runtime) {
        assert!(runtime.fire(&s.cown, |log: &mut Log| log.add(3)));
    }
    let cancel: fn(&Shared, &Runtime) = |s, _| _ = s.outcome.take().cancel();
    Model::new("cancel, dispatch, follow").run(pending, [cancel, release, follow], |s| {
        is_over(s, &[13, 123, 132]);
    });
}

#[test]
fn the_handle_is_dropped_as_the_behaviour_completes() {
    Model::new("drop, completion").preemptions(4).run(
        pending,
        [|s, _| drop(s.outcome.take()), release],
        |s| is_over(s, &[12]),
    );
}

#[test]
fn a_result_is_waited_for() {
    fn wait(s: &Shared, _: &Runtime) {
        let result = s.outcome.take().wait(None).unwrap().unwrap();
        assert_eq!(s.results.get(), 0);
        drop(result);
    }
    let model = Model::new("wait, completion").preemptions(4);
    model.run(pending, [wait, release], |s| is_over(s, &[12]));
}

#[test]
fn a_result_comes_as_the_time_is_up() {
    fn wait(s: &Shared, _: &Runtime) {
        match s.outcome.take().wait(SOON) {
            Ok(result) => drop(result.unwrap()),
            Err(outcome) => drop(outcome),
        }
    }
    let model = Model::new("wait for a time, completion").preemptions(4);
    model.run(pending, [wait, release], |s| is_over(s, &[12]));
}

/// Who is done says so no sooner than it is.
#[test]
fn a_look_at_an_outcome() {
    fn look(s: &Shared, _: &Runtime) {
        let outcome = s.outcome.take();
        if outcome.is_done() {
            assert_eq!(s.closures.get(), 1);
        }
        if let Some(result) = outcome.try_look() {
            assert!(result.is_ok() && outcome.is_done());
        }
    }
    let model = Model::new("is_done, try_look, completion").preemptions(4);
    model.run(pending, [look, release], |s| is_over(s, &[12]));
}

/// Of two that want the result one gets it, and the other learns that it is gone.
#[test]
fn a_result_is_taken_once() {
    type Result = std::result::Result<Dropped, Failed>;
    struct Two {
        outcome: Place<Outcome<Dropped>>,
        /// The outcome, and another one.
        cowns: [Cown<Result>; 2],
        results: Arc<Data>,
    }
    fn done(runtime: &Runtime) -> Two {
        let results = Arc::new(Data::default());
        // A result that is dropped twice is to fail an assertion, and not to free this.
        std::mem::forget(results.clone());
        let done = || {
            let result = Dropped(results.clone());
            runtime.when((), move |()| result)
        };
        let mut outcomes = [done(), done()];
        // As for `logs`.
        outcomes.sort_by(|a, b| Cown::cmp(a, b));
        let cowns = outcomes.each_ref().map(|outcome| Cown::clone(outcome));
        let [outcome, _] = outcomes;
        Two { outcome: Place::new(outcome), cowns, results }
    }
    fn wait(s: &Two, _: &Runtime) {
        drop(s.outcome.take().wait(None).unwrap());
    }
    fn end(s: &Two) {
        assert_eq!(s.results.get(), 1);
        assert!(s.cowns[0].try_acquire().is_none(), "the result has been taken");
    }
    /// Both cowns are locked for a moment, while the other thread may have the outcome.
    fn follow(s: &Two, runtime: &Runtime) {
        let body = |[first, second]: [&mut Result; 2]| assert!(first.is_ok() && second.is_ok());
        assert!(runtime.fire([&s.cowns[0], &s.cowns[1]], body));
    }
    Model::new("wait, follow").preemptions(4).run(done, [wait, follow], end);
    fn acquire(s: &Two, _: &Runtime) {
        if let Some(result) = s.cowns[0].acquire_timed(SOON) {
            assert!(result.is_ok());
        }
    }
    Model::new("wait, acquire").preemptions(4).run(done, [wait, acquire], end);
}

/// A behaviour follows another one's outcome, as that one completes.
#[test]
fn an_outcome_is_followed() {
    fn follow(s: &Shared, runtime: &Runtime) {
        let outcome = s.outcome.take();
        let next = runtime.when(&outcome, |result| result.is_ok());
        drop(outcome);
        assert!(next.wait(None).unwrap().unwrap());
    }
    let model = Model::new("follow, completion").preemptions(3);
    model.run(pending, [follow, release], |s| is_over(s, &[12]));
}

/// A batch is dropped. What follows its outcomes runs, and finds them cancelled.
#[test]
fn a_batch_is_dropped_and_its_outcome_followed() {
    struct Dropping {
        batch: Place<Batch>,
        outcome: Cown<Result<(), Failed>>,
        cown: Cown<Log>,
    }
    fn batch(runtime: &Runtime) -> Dropping {
        let mut batch = Batch::on(runtime);
        let [cown] = logs();
        let outcome = batch.when(&cown, |log| log.add(1));
        Dropping { batch: Place::new(batch), outcome: Cown::clone(&outcome), cown }
    }
    fn follow(s: &Dropping, runtime: &Runtime) {
        let next = runtime.when(&s.outcome, |result| matches!(result, Err(Failed::Cancelled)));
        assert!(next.wait(None).unwrap().unwrap());
    }
    let model = Model::new("drop of a batch, follow").preemptions(4);
    model.run(batch, [|s, _| drop(s.batch.take()), follow], |s| assert_eq!(Log::of(&s.cown), 0));
}

/// The value is dropped by the last of two handles, and sees what both have done.
#[test]
fn the_last_handle_drops_the_value() {
    struct Handles([Place<Cown<Dropped>>; 2], Arc<Data>);
    fn handles(_: &Runtime) -> Handles {
        let drops = Arc::new(Data::default());
        let cown = Cown::new(Dropped(drops.clone()));
        Handles([Place::new(cown.clone()), Place::new(cown)], drops)
    }
    Model::new("two handles").preemptions(4).run(
        handles,
        [
            |Handles([first, _], _), _| drop(acquire_all(&first.take())),
            |Handles([_, second], _), runtime| {
                assert!(runtime.fire(second.take(), |value: &mut Dropped| _ = &value.0));
            },
        ],
        |Handles(_, drops)| assert_eq!(drops.get(), 1),
    );
}
