//! Cowns that are named twice, or that do not go together: the panic says what, and nothing is queued.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::common::*;
use pysync_boc::{Batch, Cown, Lane, acquire_all, acquire_all_timed, fire, read, when};
use pysync_testing::{wait_until, watchdog};

/// Asks for cowns in a way that is refused: no cown is held or asked for by that, the closure is gone, and
/// so are the handles. Returns what the panic says.
fn refused(cowns: &[&Cown<Counted>], ask: impl FnOnce(Counted)) -> String {
    let census = Census::default();
    let closure = census.one();
    let payload = catch_unwind(AssertUnwindSafe(|| ask(closure))).expect_err("it is refused");
    assert_eq!(census.alive(), 0, "the closure");
    assert!(!cowns.iter().any(|cown| cown.is_held()), "a cown");
    payload.downcast_ref::<String>().expect("a text").clone()
}

#[test]
fn a_cown_named_twice_is_refused_before_anything_is_queued() {
    let _watchdog = watchdog();
    let (census, runtime) = (Census::default(), runtime(1));
    let [a, b, c] = [(); 3].map(|()| Cown::new(census.one()));
    let all = [&a, &b, &c];
    let group = vec![b.clone(), c.clone()];
    let pair = |first: u32, second: u32| {
        format!("arguments {first} and {second} of a behaviour are the same cown, ")
    };
    let mut batch = Batch::on(&runtime);
    let messages = [
        (pair(1, 2), refused(&all, |x| drop(when((&c, &c), move |_| drop(x))))),
        (pair(1, 3), refused(&all, |x| drop(when((&a, &b, &a), move |_| drop(x))))),
        (pair(1, 2), refused(&all, |x| drop(when([&c, &c, &c], move |_| drop(x))))),
        (pair(2, 3), refused(&all, |x| drop(when((&a, &group, &c), move |_| drop(x))))),
        (pair(1, 2), refused(&all, |x| drop(when((&group, &group[..]), move |_| drop(x))))),
        (pair(1, 2), refused(&all, |x| drop(when((a.clone(), &a), move |_| drop(x))))),
        (pair(1, 2), refused(&all, |x| _ = fire((&c, &c), move |_| drop(x)))),
        (pair(1, 2), refused(&all, |x| drop(runtime.when((&c, &c), move |_| drop(x))))),
        (pair(1, 2), refused(&all, |x| _ = runtime.fire((&c, &c), move |_| drop(x)))),
        (pair(1, 2), refused(&all, |x| drop(batch.when((&c, &c), move |_| drop(x))))),
        (pair(1, 2), refused(&all, |_| drop(acquire_all((&c, &c))))),
        (pair(1, 2), refused(&all, |_| drop(acquire_all_timed((&c, &c), Some(Duration::ZERO))))),
        // More than lie on the stack.
        (pair(2, 12), {
            refused(&all, |x| {
                let more = [(); 10].map(|()| Cown::new(x.another()));
                let [d, e, f, g, h, i, j, k, l, _] = &more;
                drop(when((d, &a, e, f, g, h, i, j, k, l, &b, &a), move |_| drop(x)));
            })
        }),
    ];
    for (expected, message) in &messages {
        assert!(message.starts_with(expected), "{message:?} is not {expected:?}");
        assert!(message.contains(&format!("({}:", file!())), "{message}");
        assert!(message.ends_with("`when_any` allows that"), "{message}");
    }
    batch.schedule();
    assert_eq!(runtime.stats().scheduled(), 0);
    drop((group, a, b, c));
    assert_eq!(census.alive(), 0, "a handle");
}

/// The message counts the arguments of the outermost call as its reader does.
#[test]
fn a_nested_cown_named_twice_is_named_by_its_places() {
    let _watchdog = watchdog();
    let census = Census::default();
    let [a, b, c] = [(); 3].map(|()| Cown::new(census.one()));
    let all = [&a, &b, &c];
    let message = refused(&all, |x| drop(when(((&a, &b), (&c, &a)), move |_| drop(x))));
    assert!(message.starts_with("arguments 1 and 4 of a behaviour"), "{message}");
    let message = refused(&all, |x| drop(when(((&a, &a), &c), move |_| drop(x))));
    assert!(message.starts_with("arguments 1 and 2 of a behaviour"), "{message}");
    let message = refused(&all, |x| drop(when(([&a, &b], [&c, &b]), move |_| drop(x))));
    assert!(message.starts_with("arguments 2 and 4 of a behaviour"), "{message}");
}

#[test]
fn readers_may_name_a_cown_twice_and_a_writer_may_not() {
    let _watchdog = watchdog();
    let cown = Cown::new(5);
    let outcome =
        when((read(&cown), read(&cown), read(&cown)), |(a, b, c)| (a + b + c, std::ptr::eq(a, b)));
    assert_eq!(result(outcome), (15, true));
    assert!(catch_unwind(AssertUnwindSafe(|| when((read(&cown), &cown), |_| ()))).is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| when((&cown, read(&cown)), |_| ()))).is_err());
    let readers_first = || when((read(&cown), read(&cown), &cown), |_| ());
    assert!(catch_unwind(AssertUnwindSafe(readers_first)).is_err());
    assert!(!cown.is_held());
    // A group may repeat a cown. All of it is one argument.
    let group = vec![cown.clone(), cown.clone()];
    assert_eq!(result(when(&group, |group| group[0] + group[1])), 10);
}

#[test]
fn cowns_of_two_lanes_are_refused() {
    let _watchdog = watchdog();
    let (runtime, census) = (runtime(1), Census::default());
    let lanes = [Lane::new(), Lane::new()];
    let on = |lane: usize| Cown::on(&lanes[lane], census.one());
    let (first, second, neither) = (on(0), on(1), Cown::new(census.one()));
    let all = [&first, &second, &neither];
    let message = refused_static(&all, |x| {
        drop(runtime.when((&first, &neither, &second), move |_| drop(x)));
    });
    assert_eq!(message, "the cowns of a behaviour belong to two lanes");
    let outcome = runtime.when((&first, &neither), |_| ());
    wait_until(|| lanes[0].len() == 1);
    assert_eq!(lanes[0].pump(Default::default()).executed, 1);
    result(outcome);
    drop((first, second, neither));
    assert_eq!(census.alive(), 0);
}

/// [`refused`] with a message that is no `String`.
fn refused_static(cowns: &[&Cown<Counted>], ask: impl FnOnce(Counted)) -> &'static str {
    let mut said = "";
    refused(cowns, |closure| {
        let payload = catch_unwind(AssertUnwindSafe(|| ask(closure))).expect_err("it is refused");
        said = payload.downcast_ref::<&'static str>().expect("a text");
        std::panic::resume_unwind(Box::new(String::new()));
    });
    said
}
