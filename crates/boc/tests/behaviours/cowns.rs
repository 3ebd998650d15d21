//! What can be asked for, and what the body gets; cowns that a thread holds.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use crate::common::*;
use pysync_boc::{
    Batch, Cown, Deadline, Failed, Group, Held, Lane, LockFlags, NotAcquired, Outcome, Runtime,
    acquire_all, acquire_all_timed, read, when,
};
use pysync_platform::Native;
use pysync_testing::{Sleeper, together, watchdog};

macro_rules! tuples_of_each_length {
    ($(($($name:ident)+))*) => {$({
        let cowns = Vec::from([$(stringify!($name)),+].map(|name| Cown::new(String::from(name))));
        let mut each = cowns.iter();
        $(let $name = each.next().unwrap();)+
        let outcome = when(($($name,)+), |($($name,)+)| {
            $($name.push('!');)+
            [$($name.clone()),+].concat()
        });
        assert_eq!(result(outcome), concat!($(stringify!($name), "!"),+));
        // The same for a thread.
        let mut held = acquire_all(($($name,)+));
        let ($($name,)+) = held.access();
        assert_eq!([$($name.as_str()),+], [$(concat!(stringify!($name), "!")),+]);
    })*};
}

#[test]
#[allow(non_snake_case)]
fn tuples_of_up_to_twelve() {
    let _watchdog = watchdog();
    tuples_of_each_length! {
        (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) (A B C D E F G) (A B C D E F G H)
        (A B C D E F G H I) (A B C D E F G H I J) (A B C D E F G H I J K) (A B C D E F G H I J K L)
    }
}

#[test]
fn arrays_slices_vectors_and_nested_ones() {
    let _watchdog = watchdog();
    let cowns: Vec<_> = (0..6).map(Cown::new).collect();
    let [a, b, c, e, f] = [0, 1, 2, 4, 5].map(|index| &cowns[index]);

    assert_eq!(result(when([c, a, b], |values| values.map(|value| *value))), [2, 0, 1]);
    assert_eq!(result(when(&cowns[2..5], |group| group.iter().sum::<i32>())), 9);
    assert_eq!(result(when(&cowns, |group| (group.len(), group[5]))), (6, 5));
    assert_eq!(result(when(cowns.clone(), |group| (group.is_empty(), group[0]))), (false, 0));
    assert_eq!(result(when((), |()| 7)), 7);
    let none: [&Cown<i32>; 0] = [];
    assert_eq!(result(when(none, |values| values.len())), 0);

    let nested = ((f, [a, b]), (&cowns[2..4], ()), read(e));
    let outcome = when(nested, |((f, [a, b]), (mut group, ()), e)| {
        std::mem::swap(f, a);
        *b += 10;
        group[1] += 20;
        group.for_each(|value| *value += 100);
        *e
    });
    assert_eq!(result(outcome), 4);
    let values: Vec<i32> = cowns.iter().map(|cown| *cown.acquire()).collect();
    assert_eq!(values, [5, 11, 102, 123, 4, 0]);
}

/// bocpy 0.13 left empty groups out, so that what followed shifted.
#[test]
fn empty_groups_keep_their_places() {
    let _watchdog = watchdog();
    let (none, some) = (Vec::<Cown<u8>>::new(), vec![Cown::new(2_u8), Cown::new(3)]);
    let last = Cown::new("last");
    let outcome = when((&none, &some, &none[..], &last), |(first, second, third, last)| {
        (first.len(), second.len(), third.len(), *last)
    });
    assert_eq!(result(outcome), (0, 2, 0, "last"));
    let outcome = when(&none, |group: Group<u8>| (group.is_empty(), group.get(0).copied()));
    assert_eq!(result(outcome), (true, None));
    assert!(acquire_all((&none, &none)).access().1.is_empty());
}

/// Two readers of overlapping groups meet inside of their bodies; a writer of one of these cowns waits for both.
#[test]
fn groups_are_read_in_parallel() {
    let _watchdog = watchdog();
    let runtime = runtime(2);
    let cowns: Vec<_> = (0..4).map(Cown::new).collect();
    let meeting = Arc::new(Barrier::new(2));
    let readers = [read(&cowns[..3]), read(&cowns[1..])].map(|group| {
        let meeting = meeting.clone();
        runtime.when(group, move |group| {
            meeting.wait();
            (group.iter().copied().collect::<Vec<_>>(), group[1], group.get(3).copied())
        })
    });
    let writer = runtime.when((&cowns[1], read(&cowns[2..])), |(one, rest)| {
        *one += rest.iter().sum::<i32>();
        *one
    });
    let [first, second] = readers.map(result);
    assert_eq!(first, (vec![0, 1, 2], 1, None));
    assert_eq!(second, (vec![1, 2, 3], 2, None));
    assert_eq!(result(writer), 6);
    let empty = Vec::<Cown<u8>>::new();
    let named = (read(&empty), read(&cowns), &cowns[..0]);
    let lens = runtime.when(named, |(none, all, last)| (none.is_empty(), all.len(), last.len()));
    assert_eq!(result(lens), (true, 4, 0));
    let mut held = acquire_all((read(&cowns), read(&cowns[..2])));
    let (all, some) = held.access();
    assert_eq!((all[1], some[1]), (6, 6), "the same cown, read twice");
}

/// A few cowns lie on the stack while they are named, more do not.
#[test]
fn any_number_of_cowns_in_any_order() {
    let _watchdog = watchdog();
    let mut random = Seeded::new(1);
    for count in (0..20).chain([63, 64, 65, 1_000]) {
        let mut cowns: Vec<_> = (0..count).map(Cown::new).collect();
        for at in (1..count).rev() {
            cowns.swap(at, random.below(at + 1));
        }
        let named: Vec<_> = cowns.iter().map(|cown| *cown.acquire()).collect();
        let got = when(&cowns, |group| group.iter().copied().collect::<Vec<_>>());
        assert_eq!(result(got), named);
        let mut held = acquire_all(&cowns);
        assert_eq!(held.access().iter().copied().collect::<Vec<_>>(), named);
        assert!(cowns.iter().all(Cown::is_held));
        drop(held);
        assert!(!cowns.iter().any(Cown::is_held));
    }
}

#[test]
fn a_group_gives_its_values_one_or_two_at_a_time() {
    let _watchdog = watchdog();
    let (a, b) = (Cown::new(1), Cown::new(2));
    let outcome = when(vec![a.clone(), b.clone(), a.clone()], |mut group| {
        let (first, second) = group.pair_mut(0, 1).unwrap();
        std::mem::swap(first, second);
        assert!(group.pair_mut(0, 2).is_none(), "the same cown");
        assert!(group.pair_mut(1, 1).is_none() && group.pair_mut(0, 3).is_none());
        *group.get_mut(2).unwrap() *= 10;
        assert_eq!((group.get(0), group.get(3)), (Some(&20), None));
        assert!(group.get_mut(3).is_none());
        let mut turns = 0;
        group.for_each(|value| {
            *value += 1;
            turns += 1;
        });
        (turns, group[0], group[1], group[2])
    });
    assert_eq!(result(outcome), (3, 22, 2, 22));
    let outcome = when(&[a][..], |group| group[1]);
    assert_eq!(panicked(outcome), "a group has fewer cowns");
}

#[test]
fn a_cown_by_value_is_given_away() {
    let _watchdog = watchdog();
    let (runtime, census) = (runtime(1), Census::default());
    let (cown, held) = Cown::held(census.one());
    let outcome = runtime.when((cown, Cown::new(census.one())), |_| ());
    assert_eq!((census.alive(), outcome.is_done()), (2, false));
    drop(held);
    result(outcome);
    assert_eq!(runtime.quiesce(None), Ok(()));
    assert_eq!(census.alive(), 0);
    let cowns = vec![Cown::new(census.one()), Cown::new(census.one())];
    assert_eq!(result(runtime.when(cowns, |group| group.len())), 2);
    assert_eq!(runtime.quiesce(None), Ok(()));
    assert_eq!(census.alive(), 0);
}

#[test]
fn handles_are_equal_ordered_and_hashed_by_identity() {
    let (one, other) = (Cown::new(1), Cown::new(1));
    let clone = one.clone();
    assert!(one == clone && one != other);
    assert_eq!(one.cmp(&clone), std::cmp::Ordering::Equal);
    assert_eq!(one.cmp(&other), other.cmp(&one).reverse());
    assert_eq!(one.partial_cmp(&other), Some(one.cmp(&other)));
    let all = [one, other.clone(), clone, other];
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), 2);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 2);
    let text = format!("{:?}", all[0]);
    assert!(text.starts_with("Cown { addr: 0x") && text.ends_with(", is_held: false }"), "{text}");
}

#[test]
fn what_may_be_sent_and_shared() {
    fn send<T: Send>() {}
    fn send_and_sync<T: Send + Sync>() {}
    send_and_sync::<Cown<std::cell::Cell<u8>>>();
    send_and_sync::<Outcome<std::cell::Cell<u8>>>();
    send_and_sync::<Held<u8>>();
    send::<Held<std::cell::Cell<u8>>>();
    send::<Batch>();
    send::<Group<'_, std::cell::Cell<u8>>>();
    send_and_sync::<(Runtime, Lane)>();
}

#[test]
fn a_held_cown_is_a_promise() {
    let _watchdog = watchdog();
    let (answer, mut promise) = Cown::held(None);
    assert!(answer.is_held() && promise.cown() == &answer);
    let later = when(&answer, |answer| answer.unwrap() + 1);
    assert!(answer.try_acquire().is_none() && !later.is_done());
    // It may be kept by another thread.
    thread::spawn(move || *promise = Some(41)).join().unwrap();
    assert_eq!(result(later), 42);

    // Or by a behaviour, which lets go at its end, whether it has begun or not.
    let (answer, mut promise) = Cown::held(0);
    let given = when((), move |()| *promise = 1);
    result(given);
    assert_eq!(result(when(&answer, |answer| *answer)), 1);
    let (answer, promise) = Cown::held(0);
    let gate = Gate::default();
    let keeps = when((), {
        let gate = gate.clone();
        move |()| {
            gate.pass();
            promise
        }
    });
    let later = when(&answer, |_| ());
    gate.open();
    assert_eq!(*result(keeps), 0);
    result(later);
}

#[test]
fn a_promise_whose_holder_gives_up_is_broken() {
    let _watchdog = watchdog();
    let (answer, promise) = Cown::held(0);
    let later = when(&answer, |answer| *answer);
    let after = when((read(&answer), &Cown::new(0)), |_| ());
    promise.disown();
    assert!(matches!(finished(later), Err(Failed::Disowned)));
    assert!(matches!(finished(after), Err(Failed::Disowned)));
}

#[test]
fn try_acquire_never_waits() {
    let _watchdog = watchdog();
    let cown = Cown::new(1);
    let mut held = cown.try_acquire().unwrap();
    *held += 1;
    assert_eq!(format!("{held:?}"), "Held(2)");
    assert!(cown.try_acquire().is_none());
    assert!(cown.acquire_timed(Some(Duration::ZERO)).is_none());
    let behaviour = when(&cown, |value| *value);
    drop(held);
    assert_eq!(result(behaviour), 2);
    // A reader is in its way too.
    let gate = Gate::default();
    let reader = when(read(&cown), {
        let gate = gate.clone();
        move |_| gate.pass()
    });
    gate.wait_until_reached();
    assert!(cown.try_acquire().is_none());
    gate.open();
    result(reader);
    // A behaviour may try.
    let inside = cown.clone();
    let tried = when((), move |()| inside.try_acquire().map(|held| *held));
    assert_eq!(result(tried), Some(2));
    let inside = cown.clone();
    let tried = when(&cown, move |_| inside.acquire_timed(Some(Duration::ZERO)).is_none());
    assert!(result(tried));
}

/// A thread waits in line with behaviours.
#[test]
fn acquire_is_first_in_first_out_with_behaviours() {
    let _watchdog = watchdog();
    with_workers(|runtime| {
        let (cown, held) = Cown::held(Vec::new());
        let (sleeper, gate) = (Sleeper::new(), Gate::default());
        thread::scope(|scope| {
            runtime.fire(&cown, |list| list.push(1));
            scope.spawn(|| {
                sleeper.enter();
                let mut held = cown.acquire();
                held.push(2);
                gate.pass();
                held.push(3);
            });
            sleeper.wait_until_asleep();
            let later = runtime.when(&cown, |list| list.push(4));
            drop(held);
            gate.wait_until_reached();
            assert!(!later.is_done());
            gate.open();
            result(later);
        });
        assert_eq!(*cown.acquire(), [1, 2, 3, 4]);
    });
}

#[test]
fn acquire_timed_gives_up_and_is_in_no_way() {
    let _watchdog = watchdog();
    let (cown, held) = Cown::held(0);
    let before = when(&cown, |value| *value += 1);
    assert!(cown.acquire_timed(Some(Duration::from_millis(5))).is_none());
    let after = when(&cown, |value| *value += 10);
    drop(held);
    result(before);
    result(after);
    assert_eq!(cown.acquire_timed(None).map(|held| *held), Some(11));
    assert_eq!(cown.acquire_timed(Some(Duration::MAX)).map(|held| *held), Some(11));

    // Readers behind a writer that gives up join those before it at once.
    let (gate, reached) = (Gate::default(), Gate::default());
    let first = when(read(&cown), {
        let gate = gate.clone();
        move |_| gate.pass()
    });
    gate.wait_until_reached();
    let sleeper = Sleeper::new();
    let writer = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            sleeper.enter();
            cown.acquire_timed(Some(Duration::from_millis(50))).is_none()
        });
        sleeper.wait_until_asleep();
        let runtime = runtime(1);
        let second = runtime.when(read(&cown), {
            let reached = reached.clone();
            move |_| reached.pass()
        });
        reached.wait_until_reached();
        reached.open();
        result(second);
        writer.join().unwrap()
    });
    assert!(writer, "a reader is inside");
    gate.open();
    result(first);
}

#[test]
fn acquire_all_takes_all_or_none() {
    let _watchdog = watchdog();
    let cowns: Vec<_> = (0..3).map(|_| Cown::new(0)).collect();
    let middle = cowns[1].acquire();
    let soon = Some(Duration::from_millis(5));
    assert_eq!(acquire_all_timed(&cowns, soon).unwrap_err(), NotAcquired::Timeout);
    assert_eq!(acquire_all_timed(&cowns, Some(Duration::ZERO)).unwrap_err(), NotAcquired::Timeout);
    assert!(!cowns[0].is_held() && !cowns[2].is_held());
    drop(middle);
    let held = acquire_all_timed(&cowns, None).unwrap();
    assert_eq!(format!("{held:?}"), "HeldAll { len: 3 }");
    drop(held);
    // Threads that name them in different orders do not wait for each other.
    together(4, |id| {
        let mut random = Seeded::new(id);
        for _ in 0..500 {
            let [a, b] = random.different(3);
            let mut held = acquire_all([&cowns[a], &cowns[b]]);
            held.access().into_iter().for_each(|value| *value += 1);
        }
    });
    assert_eq!(cowns.iter().map(|cown| *cown.acquire()).sum::<i32>(), 4_000);
    // One that reads only.
    let first = acquire_all((read(&cowns[0]), &cowns[1]));
    let second = acquire_all_timed((read(&cowns[0]), read(&cowns[2])), Some(Duration::ZERO));
    assert!(second.is_ok());
    drop((first, second));
    assert!(!cowns.iter().any(Cown::is_held));
}

#[test]
fn a_disowned_cown_has_no_value_for_anyone() {
    let _watchdog = watchdog();
    let census = Census::default();
    let (cown, other) = (Cown::new(census.one()), Cown::new(0));
    cown.acquire().disown();
    assert_eq!(census.alive(), 0, "dropped at once");
    assert!(matches!(finished(when(&cown, |_| ())), Err(Failed::Disowned)));
    assert!(matches!(finished(when((&other, &cown), |_| ())), Err(Failed::Disowned)));
    result(when(&other, |_| ()));
    assert!(cown.try_acquire().is_none());
    assert!(cown.acquire_timed(None).is_none());
    let found = cown.acquire_in::<Native>(Deadline::NEVER, LockFlags::DETACH).map(drop);
    assert_eq!(found, Err(NotAcquired::Disowned));
    assert_eq!(acquire_all_timed((&other, &cown), None).map(drop), Err(NotAcquired::Disowned));
    pysync_testing::panics_with("the cown's value has been disowned", || cown.acquire());
    pysync_testing::panics_with("the cown's value has been disowned", || acquire_all([&cown]));
    assert!(!cown.is_held() && !other.is_held());
}
