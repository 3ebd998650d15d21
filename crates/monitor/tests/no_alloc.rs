//! A thread that has to wait does not allocate, unless a cycle is found.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use pysync_monitor::{Deadlock, Monitor, attempt, branch, sleep};
use pysync_testing::{
    CountingAllocator, Sleeper, allocations, report_stress, sleeping, together, wait_until,
    watchdog,
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Threads get their nodes.
fn warm() {
    Monitor::new(()).enter(|_| ()).unwrap();
}

/// Three threads sleep in `wait` until `go`; none of the four allocates.
fn none_allocates(wait: impl Fn() + Sync, go: impl FnOnce()) {
    let _watchdog = watchdog();
    let sleepers: [Sleeper; 3] = Default::default();
    warm();
    thread::scope(|scope| {
        let waiters = sleepers.each_ref().map(|sleeper| {
            let wait = &wait;
            scope.spawn(move || {
                warm();
                sleeper.enter();
                allocations(wait)
            })
        });
        sleeping(&sleepers);
        assert_eq!(allocations(go), 0, "leaving allocates");
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), 0, "waiting allocates");
        }
    });
}

#[test]
fn the_count_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(7)))), 2);
}

#[test]
fn entries_do_not_allocate() {
    let (outer, inner) = (Monitor::new(0), Monitor::new(0));
    let monitor = Monitor::new(0);
    let wait = || {
        attempt(|| monitor.enter(|mut value| *value += 1)).unwrap();
        monitor.enter_or_panic(|mut value| *value += 1);
        monitor.with(|_| Ok::<_, Deadlock>(())).unwrap();
        assert!(monitor.enter(|_| monitor.try_enter(|_| ()).is_none()).unwrap());
        let second = Duration::from_secs(1);
        monitor.enter_for(second, |inside| inside.leave(|| ()).map(|_| ()).unwrap()).unwrap();
        // A chain of two.
        outer.enter(|_| inner.enter(|mut value| *value += 1)).unwrap().unwrap();
    };
    monitor
        .enter(|_| {
            // The threads sleep for what this one is inside of, and it leaves then.
            let _watchdog = watchdog();
            let sleepers: [Sleeper; 3] = Default::default();
            warm();
            thread::scope(|scope| {
                let waiters = sleepers.each_ref().map(|sleeper| {
                    let monitor = &monitor;
                    scope.spawn(move || {
                        warm();
                        sleeper.enter();
                        allocations(|| {
                            let soon = Duration::from_millis(2);
                            assert!(monitor.enter_for(soon, |_| ()).is_err());
                        })
                    })
                });
                for waiter in waiters {
                    assert_eq!(waiter.join().unwrap(), 0, "a wait that times out allocates");
                }
            });
        })
        .unwrap();
    together(4, |_| {
        warm();
        for _ in 0..300 {
            assert_eq!(allocations(wait), 0);
        }
    });
}

#[test]
fn conditions_do_not_allocate() {
    let monitor = Monitor::new(0);
    none_allocates(
        || {
            monitor.enter(|inside| _ = inside.wait_until(|value| *value == 1).unwrap()).unwrap();
            monitor.enter_when(|value| *value == 1, |_| ()).unwrap();
        },
        || monitor.enter(|mut value| *value = 1).unwrap(),
    );
    let soon = Duration::from_millis(2);
    none_allocates(
        || {
            let timed = monitor.enter(|inside| {
                let (_, is_true) = inside.wait_until_for(soon, |value| *value == 2).unwrap();
                is_true
            });
            assert!(!timed.unwrap());
        },
        || (),
    );
    none_allocates(|| sleep(soon).unwrap(), || ());
}

/// Walkers that come to a thread which waits for others note whom it waits for, on the heap.
#[test]
fn how_much_a_join_allocates() {
    let _watchdog = watchdog();
    let (monitor, may_end) = (Monitor::new(()), AtomicBool::new(false));
    let counted = AtomicUsize::new(usize::MAX);
    thread::scope(|scope| {
        monitor
            .enter(|_| {
                scope.spawn(|| {
                    warm();
                    let count = allocations(|| {
                        _ = monitor.enter_for(Duration::from_millis(5), |_| ());
                    });
                    counted.store(count, SeqCst);
                    may_end.store(true, SeqCst);
                });
                branch::<(), Deadlock>(|b| {
                    b.spawn(|| {
                        wait_until(|| may_end.load(SeqCst));
                        Ok(())
                    });
                    Ok(())
                })
                .unwrap();
            })
            .unwrap();
    });
    report_stress(|| format!("{counted:?} allocations of a walk that comes to a join"));
}
