//! Signals on threads that wait for monitors: none is heard, no place is lost, and no time is added.
// The portable parker sleeps through signals, so there is nothing to see.
#![cfg(all(target_os = "linux", not(any(pysync_loom, pysync_shuttle, pysync_portable))))]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use pysync_monitor::{Deadlock, EnterError, Monitor, MonitorId, attempt, snapshot};
use pysync_platform::{Deadline, LockFlags, Native, PendingCallError};
use pysync_testing::{
    Target, ThreadId, alone, rain, rain_until, signals_handled, wait_until, watchdog,
};

fn waiting(name: &str) -> usize {
    snapshot().iter().filter(|link| link.wants.is_some_and(|id| id.name() == Some(name))).count()
}

/// A thread waits under fire until `end`, which is called inside of what it waits for.
fn under_fire<T: Send>(monitor: &Monitor<u32>, wait: impl FnOnce() -> T + Send, end: u32) -> T {
    let _watchdog = watchdog();
    let target = Target::default();
    thread::scope(|scope| {
        let waiter = monitor
            .enter(|mut value| {
                let waiter = scope.spawn(|| {
                    target.enter();
                    wait()
                });
                let threads = [target.thread()];
                wait_until(|| waiting("under fire") == 1);
                // SAFETY: joined later.
                unsafe { rain(&threads, 200) };
                assert!(!waiter.is_finished());
                *value = end;
                waiter
            })
            .unwrap();
        waiter.join().unwrap()
    })
}

#[test]
fn entries_sleep_through_signals() {
    let _alone = alone();
    let monitor = Monitor::named("under fire", 0);
    assert_eq!(under_fire(&monitor, || monitor.enter(|value| *value).unwrap(), 1), 1);
    let hour = Duration::from_secs(3_600);
    assert_eq!(under_fire(&monitor, || monitor.enter_for(hour, |value| *value).unwrap(), 2), 2);
    assert_eq!(under_fire(&monitor, || attempt(|| monitor.enter(|value| *value)).unwrap(), 3), 3);
    assert!(signals_handled() > 0);
}

/// The wait for a condition goes on, and its place is kept: those that wait are let in by their order.
#[test]
fn conditions_sleep_through_signals() {
    let _alone = alone();
    let _watchdog = watchdog();
    let monitor = Monitor::new(0);
    let (looks, order) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let target = Target::default();
    let waits = |expected: usize| {
        let is_ready = |value: &i32| {
            looks.fetch_add(1, SeqCst);
            *value == 1
        };
        let waited =
            monitor.enter_when(is_ready, |_| assert_eq!(order.fetch_add(1, SeqCst), expected));
        waited.unwrap();
    };
    thread::scope(|scope| {
        let first = scope.spawn(|| {
            target.enter();
            waits(0);
        });
        let threads = [target.thread()];
        // Each looks before it waits, and when it leaves.
        wait_until(|| looks.load(SeqCst) == 2);
        // SAFETY: joined later.
        unsafe { rain(&threads, 200) };
        // It is where it was: the second looks at the condition of the first as well, when it leaves.
        let second = scope.spawn(|| waits(1));
        wait_until(|| looks.load(SeqCst) == 5);
        // SAFETY: as above.
        unsafe { rain(&threads, 200) };
        assert!(!first.is_finished() && !second.is_finished());
        monitor.enter(|mut value| *value = 1).unwrap();
        first.join().unwrap();
        second.join().unwrap();
    });
}

#[test]
fn signals_neither_lengthen_nor_shorten_a_timeout() {
    let _alone = alone();
    let _watchdog = watchdog();
    let monitor = Monitor::new(0);
    let (time, target) = (Duration::from_millis(50), Target::default());
    monitor
        .enter(|_| {
            thread::scope(|scope| {
                let waiter = scope.spawn(|| {
                    target.enter();
                    let start = Instant::now();
                    let result = monitor.enter_for(time, |_| ());
                    assert!(matches!(result, Err(EnterError::Timeout)));
                    assert!(start.elapsed() >= time);
                });
                // SAFETY: joined later.
                unsafe { rain_until(&[target.thread()], || waiter.is_finished()) };
                waiter.join().unwrap();
            });
        })
        .unwrap();
    let target = Target::default();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            target.enter();
            let start = Instant::now();
            let waited =
                monitor.enter(|inside| inside.wait_until_for(time, |_| false).map(|(_, is)| is));
            assert!(!waited.unwrap().unwrap() && start.elapsed() >= time);
        });
        // SAFETY: joined later.
        unsafe { rain_until(&[target.thread()], || waiter.is_finished()) };
        waiter.join().unwrap();
    });
}

/// A pending call panics in a wait. The thread is inside of nothing, and its next wait has an age of its own.
#[test]
fn a_pending_call_that_panics() {
    fn panics() -> Result<(), PendingCallError> {
        resume_unwind(Box::new("pending"))
    }
    let _alone = alone();
    let _watchdog = watchdog();
    let monitor = Monitor::named("pending calls", 0);
    let (target, has_panicked) = (Target::default(), AtomicUsize::new(0));
    let age = || {
        let wants = |id: MonitorId| id.name() == Some("pending calls");
        wait_until(|| waiting("pending calls") == 1);
        snapshot().iter().find(|link| link.wants.is_some_and(wants)).unwrap().age
    };
    thread::scope(|scope| {
        _ = monitor.enter(|_| {
            scope.spawn(|| {
                target.enter();
                Native::set_pending_calls(Some(panics));
                let flags = LockFlags::DETACH | LockFlags::HANDLE_SIGNALS;
                let enter = || _ = monitor.enter_in::<Native, _>(Deadline::NEVER, flags, |_| ());
                assert!(catch_unwind(AssertUnwindSafe(enter)).is_err());
                Native::set_pending_calls(None);
                has_panicked.store(1, SeqCst);
                monitor.enter(|_| ()).unwrap();
            });
            let threads = [target.thread()];
            let first = age();
            // SAFETY: the thread ends after this.
            unsafe { rain_until(&threads, || has_panicked.load(SeqCst) == 1) };
            assert!(age() > first);
        });
    });
}

/// A ring that is built and broken again and again while each of its threads is hit.
#[test]
fn cycles_are_broken_under_fire() {
    const THREADS: usize = 4;
    let _alone = alone();
    let _watchdog = watchdog();
    let monitors = [(); THREADS].map(|()| Monitor::new(0));
    let (targets, ended) = ([(); THREADS].map(|()| Target::default()), AtomicUsize::new(0));
    thread::scope(|scope| {
        for (id, target) in targets.iter().enumerate() {
            let (monitors, ended) = (&monitors, &ended);
            scope.spawn(move || {
                target.enter();
                for _ in 0..100 {
                    attempt(|| -> Result<(), Deadlock> {
                        monitors[id].enter(|mut mine| {
                            thread::yield_now();
                            monitors[(id + 1) % THREADS].enter(|mut next| *next += 1)?;
                            *mine += 1;
                            Ok(())
                        })?
                    })
                    .unwrap();
                }
                ended.fetch_add(1, SeqCst);
                // The signals are for a thread that is there.
                wait_until(|| ended.load(SeqCst) > THREADS);
            });
        }
        let threads: Vec<ThreadId> = targets.iter().map(Target::thread).collect();
        // SAFETY: the threads wait for the count.
        unsafe { rain_until(&threads, || ended.load(SeqCst) == THREADS) };
        ended.fetch_add(1, SeqCst);
    });
    assert!(monitors.iter().all(|monitor| monitor.enter(|value| *value).unwrap() == 200));
}
