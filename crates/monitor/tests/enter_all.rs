//! Several monitors, by their addresses.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::cell::RefCell;
use std::thread;

use pysync_monitor::{Monitor, MonitorId, enter_all, snapshot};
use pysync_testing::{panics_with, wait_until, watchdog};

#[test]
fn tuples_arrays_and_slices() {
    let (a, b, c) = (Monitor::new(1), Monitor::new("two"), Monitor::new([3, 4]));
    let got = enter_all((&c, &a, &b), |(mut c, a, b)| {
        c[0] = 5;
        assert!(a.to_string() == "1" && c.len() == 2);
        b.len()
    });
    assert_eq!(got.unwrap(), 3);
    assert_eq!(enter_all((&c,), |(c,)| c[0]).unwrap(), 5);
    let many: Vec<_> = (0..10).map(Monitor::new).collect();
    let sum = enter_all([&many[3], &many[1], &many[2]], |[x, y, z]| *x * 100 + *y * 10 + *z);
    assert_eq!(sum.unwrap(), 312);
    let all: Vec<_> = many.iter().rev().collect();
    let sum = enter_all(&all[..], |mut all| {
        all.iter_mut().for_each(|value| **value += 1);
        all.iter().map(|value| **value).collect::<Vec<_>>()
    });
    assert_eq!(sum.unwrap(), (1..=10).rev().collect::<Vec<_>>());
    assert_eq!(enter_all(&[] as &[&Monitor<i32>], |none| none.len()).unwrap(), 0);
    // All have been left.
    assert!(many.iter().all(|monitor| monitor.try_enter(|_| ()).is_some()));
    let dynamic: &Monitor<dyn std::fmt::Debug + Send> = &a;
    assert_eq!(enter_all((dynamic, &b), |(a, _)| format!("{:?}", &*a)).unwrap(), "1");
}

#[test]
fn the_same_twice_is_an_error_before_any_is_entered() {
    let (a, b) = (Monitor::named("twice", 1), Monitor::new(2));
    let error = enter_all((&a, &b, &a), |_| unreachable!("not entered")).unwrap_err();
    assert!(error.is_self() && error.cycle()[0].wants.unwrap().name() == Some("twice"), "{error}");
    // Also if one is entered already: the others are left.
    let error = b.enter(|_| enter_all((&a, &b), |_| unreachable!("not entered")).unwrap_err());
    assert!(error.unwrap().is_self());
    assert!(a.try_enter(|_| ()).is_some() && b.try_enter(|_| ()).is_some());
}

/// Each has entered the first that it has named by the time the middle one is left, if it enters them as named.
#[test]
fn two_that_name_them_in_opposite_orders_do_not_lose() {
    let _watchdog = watchdog();
    const NAMES: [&str; 3] = ["first", "middle", "last"];
    let [a, middle, b] = &NAMES.map(|name| Monitor::named(name, ()));
    let is_one = |id: MonitorId| id.name().is_some_and(|name| NAMES.contains(&name));
    let both_wait = || snapshot().iter().filter(|link| link.wants.is_some_and(is_one)).count() == 2;
    thread::scope(|scope| {
        middle
            .enter(|_| {
                scope.spawn(|| enter_all((a, middle, b), |_| ()).unwrap());
                scope.spawn(|| enter_all((b, middle, a), |_| ()).unwrap());
                wait_until(both_wait);
            })
            .unwrap();
    });
}

/// Threads that enter the same ones in every order never lose.
#[test]
fn none_loses() {
    const ROUNDS: usize = 3_000;
    let _watchdog = watchdog();
    let monitors: [Monitor<usize>; 4] = Default::default();
    thread::scope(|scope| {
        for thread in 0..4 {
            let monitors = &monitors;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let at = |i: usize| &monitors[(round + i * (thread % 2 * 2 + 1)) % 4];
                    enter_all([at(0), at(1), at(2)], |all| {
                        for mut value in all {
                            *value += 1;
                        }
                    })
                    .unwrap();
                }
            });
        }
    });
    assert_eq!(monitors.into_iter().map(Monitor::into_inner).sum::<usize>(), 4 * 3 * ROUNDS);
}

#[test]
fn a_panic_leaves_all() {
    let monitors = [Monitor::new(RefCell::new(1)), Monitor::new(RefCell::new(2))];
    let [a, b] = &monitors;
    panics_with("the body", || _ = enter_all([a, b], |_| panic!("the body")));
    assert_eq!(enter_all([a, b], |[a, b]| *a.borrow() + *b.borrow()).unwrap(), 3);
}

/// Only the one with the highest address can be waited in.
#[test]
fn a_wait_is_for_the_last() {
    let monitors = [Monitor::new(1), Monitor::new(2)];
    let [low, high] = &monitors;
    enter_all([high, low], |[high, _low]| {
        assert!(high.wait_until_for(std::time::Duration::ZERO, |_| false).is_ok());
    })
    .unwrap();
    panics_with("a wait in a monitor inside of which another one was entered", || {
        _ = enter_all([high, low], |[_high, low]| _ = low.wait_until(|_| false));
    });
    assert_eq!(enter_all([low, high], |[low, high]| *low + *high).unwrap(), 3);
}
