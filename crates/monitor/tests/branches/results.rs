//! Threads are made, give results, and are waited for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use pysync_monitor::{Branch, Builder, Child, branch};
use pysync_testing::watchdog;

use crate::{Error, Told, number};

#[test]
fn results_come_in_order() {
    let _watchdog = watchdog();
    let squares = branch::<_, Error>(|b| {
        let children: Vec<_> = (0..20).map(|n| b.spawn(move || Ok(n * n))).collect();
        Ok(children.into_iter().map(Child::join).collect::<Result<Vec<_>, _>>()?)
    });
    assert_eq!(squares.unwrap(), (0..20).map(|n| n * n).collect::<Vec<_>>());
}

#[test]
fn results_are_borrowed_from_outside() {
    let _watchdog = watchdog();
    let words = [String::from("a"), String::from("b")];
    let longest = branch::<_, Error>(|b| {
        let threads = words.each_ref().map(|word| b.spawn(move || Ok(word)));
        let [first, second] = threads.map(|thread| thread.join());
        Ok([first?.as_str(), second?.as_str()])
    });
    assert_eq!(longest.unwrap(), ["a", "b"]);
}

#[test]
fn threads_make_threads_and_all_are_waited_for() {
    fn grow<'s>(b: Branch<'s, '_, Error>, depth: usize, count: &'s AtomicUsize) {
        count.fetch_add(1, SeqCst);
        if depth > 0 {
            for _ in 0..2 {
                b.spawn(move || {
                    grow(b, depth - 1, count);
                    Ok(())
                });
            }
        }
    }
    let _watchdog = watchdog();
    let count = AtomicUsize::new(0);
    branch(|b| {
        grow(b, 4, &count);
        Ok(())
    })
    .unwrap();
    assert_eq!(count.into_inner(), 31);
}

#[test]
fn a_dropped_child_is_waited_for() {
    let _watchdog = watchdog();
    let has_run = AtomicBool::new(false);
    let go = Barrier::new(2);
    branch::<_, Error>(|b| {
        drop(b.spawn(|| {
            go.wait();
            has_run.store(true, SeqCst);
            Ok(())
        }));
        go.wait();
        Ok(())
    })
    .unwrap();
    assert!(has_run.into_inner());
}

/// Neither leaves anything in the branch that it would wait for.
#[test]
fn a_thread_that_is_not_made_leaves_nothing() {
    let _watchdog = watchdog();
    let dropped = AtomicUsize::new(0);
    let dropped = &dropped;
    let failures = branch::<(), Error>(|b| {
        let told = Told(dropped);
        let too_large = Builder::new().stack_size(isize::MAX as usize & !0xffff);
        let not_made = b.try_spawn(too_large, move || {
            let _told = told;
            Ok(())
        });
        assert!(not_made.is_err());
        assert_eq!(dropped.load(SeqCst), 1);
        let bad = catch_unwind(AssertUnwindSafe(|| b.spawn_named("a\0b", || Ok(()))));
        assert!(bad.is_err());
        assert!(!b.is_cancelled());
        assert_eq!(b.spawn(|| Ok(3)).join()?, 3);
        number(1)
    })
    .unwrap_err();
    assert!(matches!(failures.into_single(), Ok(Error::Failed(1))));
}
