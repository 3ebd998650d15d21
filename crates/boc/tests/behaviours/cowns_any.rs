//! Cowns whose number and types are known only at run time, and which may be named more than once: bocpy's
//! tests of duplicates, over `when_any`.

use std::time::Duration;

use crate::common::*;
use pysync_boc::{Cown, Failed, HeldSet, Use, read, when, when_any};
use pysync_testing::watchdog;

fn value<'a>(held: &'a mut HeldSet<'_>, index: usize) -> &'a mut i32 {
    held.get_mut(index).expect("a cown of an i32")
}

#[test]
fn the_same_cown_twice() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        let c = Cown::new(5);
        let outcome = runtime.when_any(&[Use::write(&c), Use::write(&c)], |held| {
            let other = *value(held, 1);
            *value(held, 0) += other;
        });
        result(outcome);
        assert_eq!(*c.acquire(), 10);
    });
}

#[test]
fn the_same_cown_thrice() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        let c = Cown::new(3);
        let outcome = runtime.when_any(&[Use::write(&c); 3], |held| {
            (0..3).map(|index| *value(held, index)).sum::<i32>()
        });
        assert_eq!(result(outcome), 9);
    });
}

#[test]
fn duplicates_that_are_not_adjacent() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        let (a, b) = (Cown::new(10), Cown::new(20));
        let uses = [Use::write(&a), Use::write(&b), Use::write(&a)];
        let outcome =
            runtime.when_any(&uses, |held| (0..3).map(|index| *value(held, index)).sum::<i32>());
        assert_eq!(result(outcome), 40);
        assert!(!a.is_held() && !b.is_held());
    });
}

#[test]
fn duplicates_within_a_group_and_outside_of_it() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        let (a, b) = (Cown::new(1), Cown::new(2));
        let group = [&a, &b, &a, &b];
        let mut uses = group.map(Use::write).to_vec();
        uses.push(Use::write(&b));
        let outcome = runtime
            .when_any(&uses, |held| (0..held.len()).map(|index| *value(held, index)).sum::<i32>());
        assert_eq!(result(outcome), 8);
        // The typed form has the same of a group by itself.
        let group: Vec<_> = group.map(Cown::clone).to_vec();
        let outcome = runtime.when(&group, |group| group.iter().sum::<i32>());
        assert_eq!(result(outcome), 6);
    });
}

#[test]
fn a_change_is_seen_through_each_alias() {
    let _watchdog = watchdog();
    let c = Cown::new(0);
    let outcome = when_any(&[Use::write(&c), Use::write(&c)], |held| {
        *value(held, 0) = 7;
        *value(held, 1) += 1;
        (*value(held, 0), held.is_same(0, 1), held.pair_mut::<i32, i32>(0, 1).is_none())
    });
    assert_eq!(result(outcome), (8, true, true));
}

#[test]
fn a_hundred_behaviours_that_name_a_cown_twice() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        let c = Cown::new(0);
        let twice = [Use::write(&c), Use::write(&c)];
        let outcomes: Vec<_> =
            (0..100).map(|_| runtime.when_any(&twice, |held| *value(held, 1) += 1)).collect();
        outcomes.into_iter().for_each(result);
        assert_eq!(*c.acquire(), 100);
    });
}

#[test]
fn types_modes_and_places_are_checked() {
    let _watchdog = watchdog();
    let (number, text, last) = (Cown::new(1), Cown::new(String::from("a")), Cown::new(0.5_f32));
    let uses = [Use::write(&number), Use::read(&text), Use::write(&last)];
    let outcome = when_any(&uses, |held| {
        assert_eq!((held.len(), held.is_empty()), (3, false));
        assert_eq!(format!("{held:?}"), "HeldSet { len: 3 }");
        assert!(held.get::<u32>(0).is_none(), "another type");
        assert!(held.get_mut::<String>(1).is_none(), "named to be read");
        assert!(held.get::<String>(1).is_some());
        assert!(held.get::<i32>(3).is_none() && held.get_mut::<i32>(3).is_none());
        assert!(held.pair_mut::<i32, String>(0, 1).is_none());
        assert!(held.pair_mut::<i32, i32>(0, 2).is_none());
        assert!(held.pair_mut::<i32, f32>(0, 3).is_none());
        assert!(!held.is_same(0, 1) && !held.is_same(3, 3));
        let (number, last) = held.pair_mut::<i32, f32>(0, 2).unwrap();
        *number += 1;
        *last *= 2.0;
        (*held.get::<i32>(0).unwrap(), *held.get::<f32>(2).unwrap())
    });
    assert_eq!(result(outcome), (2, 1.0));
    assert!(result(when_any(&[], |held| held.is_empty())));
}

/// A cown that is named to be read and to be changed is held alone; one that is only read, with others.
#[test]
fn to_change_wins_over_to_read() {
    let _watchdog = watchdog();
    let runtime = runtime(2);
    let (c, other) = (Cown::new(1), Cown::new(0));
    for uses in [[Use::read(&c), Use::write(&c)], [Use::write(&c), Use::read(&c)]] {
        let gate = Gate::default();
        let outcome = runtime.when_any(&uses, {
            let gate = gate.clone();
            move |held| {
                gate.pass();
                let writes = [0, 1].map(|index| held.get_mut::<i32>(index).is_some());
                (writes[0] != writes[1], *held.get::<i32>(0).unwrap())
            }
        });
        gate.wait_until_reached();
        let reader = runtime.when((read(&c), &other), |_| ());
        let soon = Some(Duration::from_millis(20));
        let reader = reader.wait(soon).expect_err("it waits");
        assert!(other.is_held());
        gate.open();
        assert_eq!(result(outcome), (true, 1));
        result(reader);
    }
    let gates = [Gate::default(), Gate::default()];
    let readers = gates.clone().map(|gate| {
        runtime.when_any(&[Use::read(&c), Use::read(&c)], move |held| {
            gate.pass();
            held.get::<i32>(0).copied()
        })
    });
    gates.iter().for_each(Gate::wait_until_reached);
    gates.iter().for_each(Gate::open);
    assert!(readers.into_iter().map(result).all(|value| value == Some(1)));
}

/// An outcome is a cown, here too.
#[test]
fn outcomes_can_be_named() {
    let _watchdog = watchdog();
    let first = when((), |()| 20);
    let uses = [Use::write(&first), Use::write(&first)];
    let second = when_any(&uses, |held| {
        let result: &Result<i32, Failed> = held.get(1).unwrap();
        *result.as_ref().unwrap() + 1
    });
    assert_eq!((result(second), result(first)), (21, 20));
    let disowned = when((), |()| 0);
    let later = when_any(&[Use::write(&disowned)], |_| ());
    result(later);
    let again = [Use::write(&disowned)];
    disowned.acquire().disown();
    assert!(matches!(finished(when_any(&again, |_| ())), Err(Failed::Disowned)));
    assert!(matches!(finished(when(&disowned, |_| ())), Err(Failed::Disowned)));
}
