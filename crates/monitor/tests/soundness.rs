//! Attacks by safe code: what conditions, hooks and destructors do must not let two threads in.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::cell::Cell;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use pysync_monitor::{
    Branch, Deadlock, EnterError, Inside, Monitor, branch, set_deadlock_hook, snapshot,
};
use pysync_platform::{Native, ThreadHooks};
use pysync_testing::{hush_panics, panics_with, wait_until, watchdog};

const SOON: Duration = Duration::from_millis(20);

/// A value that notices a second thread.
#[derive(Default)]
struct Alone(AtomicBool);

impl Alone {
    /// Ends the process if another thread stays inside: the lock is beyond repair then.
    fn check(&self) {
        if self.0.load(SeqCst) {
            _ = std::io::stderr().write_all(b"two threads are inside\n");
            std::process::abort();
        }
    }

    /// Stays for as long as `stay` is true.
    fn stay(&self, stay: impl Fn() -> bool) {
        self.0.store(true, SeqCst);
        wait_until(|| !stay());
        self.0.store(false, SeqCst);
    }
}

fn is_waited_for(name: &str) -> bool {
    snapshot().iter().any(|link| link.wants.is_some_and(|id| id.name() == Some(name)))
}

thread_local! {
    static IS_LEAVER: Cell<bool> = const { Cell::new(false) };
}

/// What a condition that enters has said.
const BUSY: &str = "a condition must not enter a monitor";

/// The leaver is itself about to wait for a condition, and the condition of another thread that it evaluates then enters
/// a monitor, slowly, so that it is handed over. That wait must not be taken for the first.
#[test]
fn a_condition_that_waits_to_enter() {
    let _watchdog = watchdog();
    let contended = Monitor::named("a condition's", ());
    let monitor = Monitor::named("waited in", Alone::default());
    let (is_held, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
    let (has_returned, looks) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let condition = |_: &Alone| {
                looks.fetch_add(1, SeqCst);
                if IS_LEAVER.get() {
                    _ = contended.enter(|_| ());
                }
                is_over.load(SeqCst)
            };
            panics_with(BUSY, || monitor.enter(|inside| inside.wait_until(condition).map(|_| ())));
        });
        // First before the wait, then when the waiter leaves.
        wait_until(|| looks.load(SeqCst) == 2);
        scope.spawn(|| {
            _ = contended.enter(|_| {
                is_held.store(true, SeqCst);
                // Longer than that after which a waiter is handed the monitor.
                let start = Instant::now();
                wait_until(|| is_waited_for("a condition's") || start.elapsed() > 10 * SOON);
                thread::sleep(SOON);
            });
        });
        wait_until(|| is_held.load(SeqCst));
        let leaver = scope.spawn(|| {
            _ = monitor.enter(|inside| {
                IS_LEAVER.set(true);
                let waited = inside.wait_until_for(10 * SOON, |_| false);
                IS_LEAVER.set(false);
                if let Ok((inside, _)) = waited {
                    inside.check();
                }
                has_returned.store(true, SeqCst);
            });
            has_returned.store(true, SeqCst);
        });
        wait_until(|| is_waited_for("a condition's") || leaver.is_finished());
        // Gets in as soon as the leaver is out, and stays for longer than that waits.
        _ = monitor.enter(|inside| {
            let start = Instant::now();
            inside.stay(|| !has_returned.load(SeqCst) && start.elapsed() < 30 * SOON);
        });
        is_over.store(true, SeqCst);
        while !waiter.is_finished() {
            _ = monitor.enter(|_| ());
            thread::yield_now();
        }
    });
}

static HOOK_HELD: AtomicBool = AtomicBool::new(false);
static HOOK_MONITOR: Monitor<u32> = Monitor::named("a hook's", 0);
thread_local! {
    static HOOK_ENTERS: Cell<bool> = const { Cell::new(false) };
}

fn enter_before_sleep() -> bool {
    if HOOK_ENTERS.replace(false) {
        HOOK_MONITOR.enter(|mut count| *count += 1).unwrap();
    }
    false
}

/// A hook of a thread runs while that is queued for one monitor, and enters another, for which it waits: as if it were
/// another thread, so that what becomes of the one wait is not taken for the other's.
#[test]
fn a_thread_hook_that_waits_to_enter() {
    static HOOKS: ThreadHooks = ThreadHooks { detach: enter_before_sleep, attach: || () };
    let _watchdog = watchdog();
    let monitor = Monitor::named("entered", Alone::default());
    let has_returned = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            _ = HOOK_MONITOR.enter(|_| {
                HOOK_HELD.store(true, SeqCst);
                let start = Instant::now();
                wait_until(|| is_waited_for("a hook's") || start.elapsed() > 20 * SOON);
                thread::sleep(SOON);
            });
        });
        wait_until(|| HOOK_HELD.load(SeqCst));
        _ = monitor.enter(|inside| {
            scope.spawn(|| {
                Native::set_thread_hooks(Some(&HOOKS));
                HOOK_ENTERS.set(true);
                let result = monitor.enter_for(10 * SOON, |inside| inside.check());
                Native::set_thread_hooks(None);
                assert!(matches!(result, Err(EnterError::Timeout)));
                has_returned.store(true, SeqCst);
            });
            inside.stay(|| !has_returned.load(SeqCst));
        });
    });
    assert_eq!(HOOK_MONITOR.enter(|count| *count).unwrap(), 1);
}

/// A thread that waits for a condition is in the graph while it still evaluates the conditions of others, and walkers
/// read of what it is inside of: so a condition must not enter even what is free.
#[test]
fn a_condition_that_enters_while_others_look() {
    let _watchdog = watchdog();
    hush_panics(BUSY);
    let other = Monitor::new(0);
    let monitor = Monitor::named("entered by conditions", 0);
    let condition = |value: &i32| {
        _ = other.try_enter(|mut count| *count += 1);
        *value == 1
    };
    panics_with(BUSY, || monitor.enter(|inside| inside.wait_until(condition).map(|_| ())));
    let looks = AtomicUsize::new(0);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            panics_with(BUSY, || {
                let condition = |value: &i32| match looks.fetch_add(1, SeqCst) {
                    0..2 => false,
                    _ => condition(value),
                };
                monitor.enter(|inside| inside.wait_until(condition).map(|_| ()))
            });
        });
        wait_until(|| looks.load(SeqCst) == 2);
        let lookers = [(); 2].map(|()| {
            scope.spawn(|| {
                for _ in 0..if cfg!(miri) { 8 } else { 200 } {
                    let soon = Duration::from_micros(100);
                    _ = monitor.enter(|inside| inside.wait_until_for(soon, |_| false).map(|_| ()));
                    snapshot();
                }
            })
        });
        lookers.into_iter().for_each(|looker| looker.join().unwrap());
        waiter.join().unwrap();
    });
    assert_eq!(other.try_enter(|count| *count), Some(0));
}

/// A hook of deadlocks runs on a thread that has lost, before it has its error: it may enter what it likes, and panic.
#[test]
fn a_deadlock_hook_that_enters_and_one_that_panics() {
    static NOTED: Monitor<usize> = Monitor::new(0);
    /// Other tests have deadlocks of their own.
    fn is_ours(deadlock: &Deadlock) -> bool {
        deadlock.cycle()[0].wants.unwrap().to_string().starts_with("hook")
    }
    fn enters(deadlock: &Deadlock) {
        if is_ours(deadlock) {
            _ = NOTED.enter(|mut count| *count += 1);
        }
    }
    fn panics(deadlock: &Deadlock) {
        if is_ours(deadlock) {
            panic!("the hook");
        }
    }
    let _watchdog = watchdog();
    hush_panics("the hook");
    let (a, b) = (Monitor::named("hook a", 0), Monitor::named("hook b", 0));
    let lose = |hook: fn(&Deadlock)| {
        set_deadlock_hook(Some(hook));
        thread::scope(|scope| {
            let older = a
                .enter(|_| {
                    let older = scope.spawn(|| b.enter(|_| a.enter(|mut value| *value += 1)));
                    wait_until(|| is_waited_for("hook a"));
                    let lost = catch_unwind(AssertUnwindSafe(|| b.enter(|_| ())));
                    match lost {
                        Ok(result) => assert!(!result.unwrap_err().is_self()),
                        Err(payload) => assert_eq!(payload.downcast_ref(), Some(&"the hook")),
                    }
                    older
                })
                .unwrap();
            older.join().unwrap().unwrap().unwrap();
        });
        set_deadlock_hook(None);
    };
    lose(enters);
    assert_eq!(NOTED.enter(|count| *count).unwrap(), 1);
    lose(panics);
    assert_eq!(a.try_enter(|value| *value), Some(2));
    assert!(b.try_enter(|_| ()).is_some());
}

/// What enters a monitor when it is dropped.
struct EntersInDrop<'a>(&'a Monitor<usize>);

impl Drop for EntersInDrop<'_> {
    fn drop(&mut self) {
        // It is entered already where the drop happens inside.
        match self.0.enter(|mut count| *count += 1) {
            Ok(()) => (),
            Err(deadlock) => assert!(deadlock.is_self()),
        }
    }
}

#[test]
fn destructors_enter_while_a_panic_unwinds() {
    let _watchdog = watchdog();
    let (outer, inner) = (Monitor::new(0), Monitor::new(0));
    panics_with("in the inner one", || {
        _ = outer.enter(|_inside| {
            let _inner = EntersInDrop(&inner);
            let _outer = EntersInDrop(&outer);
            _ = inner.enter(|_inside| {
                let _itself = EntersInDrop(&inner);
                panic!("in the inner one");
            });
        });
    });
    assert_eq!((outer.try_enter(|v| *v), inner.try_enter(|v| *v)), (Some(0), Some(1)));
}

/// A condition that panics while the thread that evaluates it leaves by a panic of its own.
#[test]
fn a_condition_panics_while_a_panic_unwinds() {
    let _watchdog = watchdog();
    hush_panics("the condition");
    let (monitor, looks) = (Monitor::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            panics_with("the condition", || {
                let condition = |value: &i32| {
                    looks.fetch_add(1, SeqCst);
                    if *value == 1 { panic!("the condition") } else { false }
                };
                _ = monitor.enter(|inside| inside.wait_until(condition).map(|_| ()));
            });
        });
        wait_until(|| looks.load(SeqCst) == 2);
        panics_with("the body", || {
            _ = monitor.enter(|mut value| {
                *value = 1;
                panic!("the body");
            });
        });
        waiter.join().unwrap();
    });
    assert_eq!(monitor.try_enter(|value| *value), Some(1));
}

/// One is the handle of the inner entry, and is used as if it were that of the outer one.
#[test]
fn handles_that_are_swapped() {
    let _watchdog = watchdog();
    let (outer, inner) = (Monitor::new(1), Monitor::new(2));
    outer
        .enter(|first| {
            inner
                .enter(move |second| {
                    let (mut first, mut second) = (first, second);
                    std::mem::swap(&mut first, &mut second);
                    assert_eq!((*first, *second), (2, 1));
                    let soon = Duration::from_millis(1);
                    // This is the innermost, whatever its name.
                    let (first, is_true) = first.wait_until_for(soon, |_| false).unwrap();
                    assert!(!is_true && *first == 2);
                    _ = first;
                    panics_with(
                        "a wait in a monitor inside of which another one was entered",
                        || _ = second.wait_until(|_| false),
                    );
                })
                .unwrap();
            assert!(outer.try_enter(|_| ()).is_none());
            assert!(inner.try_enter(|_| ()).is_some());
        })
        .unwrap();
    assert!(outer.try_enter(|_| ()).is_some());
}

/// The handle is forgotten, and the monitor is left all the same.
#[test]
fn a_handle_that_is_forgotten() {
    let _watchdog = watchdog();
    let monitor = Monitor::new(0);
    monitor.enter(|inside| _ = std::mem::ManuallyDrop::new(inside)).unwrap();
    assert!(monitor.try_enter(|_| ()).is_some());
    let result = monitor.enter(|inside| {
        inside.leave(|| monitor.enter(|inside| _ = std::mem::ManuallyDrop::new(inside))).map(|_| ())
    });
    result.unwrap().unwrap();
    assert!(monitor.try_enter(|_| ()).is_some());
}

/// A wait has lost, and the thread goes on in the closure of the monitor that it is no longer inside of.
#[test]
fn what_is_lost_may_be_entered_again_at_once() {
    let _watchdog = watchdog();
    let (a, b) = (Monitor::named("lost a", 0), Monitor::named("lost b", 0));
    let has_lost = AtomicBool::new(false);
    thread::scope(|scope| {
        b.enter(|_| {
            scope.spawn(|| {
                a.enter(|mut value| {
                    *value = 1;
                    b.enter(|_| ()).unwrap();
                })
                .unwrap();
                // The older one has got through; `a` was kept for it by then.
                assert!(has_lost.load(SeqCst));
            });
            wait_until(|| is_waited_for("lost b"));
            // Waits for `a`, which the thread has that waits for `b`.
            let error = a.enter(|_| ()).unwrap_err();
            assert!(!error.is_self() && error.cycle().len() == 2);
            has_lost.store(true, SeqCst);
        })
        .unwrap();
    });
    let lost = a.enter(|inside| {
        let (inside, is_true) = inside.wait_until_for(Duration::ZERO, |_| false).unwrap();
        assert!(!is_true);
        _ = inside;
        // Still inside: the handle is gone, the entry is not.
        assert!(a.enter(|_| ()).unwrap_err().is_self());
    });
    lost.unwrap();
}

/// Destructors of thread locals run before and after that which gives back the node of the thread.
#[test]
fn a_thread_that_enters_as_it_ends() {
    static ENTERED: Monitor<usize> = Monitor::new(0);
    struct AtEnd;
    impl Drop for AtEnd {
        fn drop(&mut self) {
            ENTERED
                .enter(|count| {
                    let mut count = count.wait_until_for(SOON / 20, |_| false).unwrap().0;
                    *count += 1;
                    assert!(ENTERED.enter(|_| ()).unwrap_err().is_self());
                })
                .unwrap();
        }
    }
    thread_local! {
        static FIRST: AtEnd = const { AtEnd };
        static LAST: AtEnd = const { AtEnd };
    }
    let _watchdog = watchdog();
    for _ in 0..20 {
        let threads = [(); 4].map(|()| {
            thread::spawn(|| {
                FIRST.with(|_| ());
                ENTERED.enter(|_| ()).unwrap();
                LAST.with(|_| ());
            })
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
    assert_eq!(ENTERED.enter(|count| *count).unwrap(), 20 * 4 * 2);
}

/// A result of a child that makes more threads when it is dropped, after the parent has waited for all of them.
#[test]
fn a_result_that_spawns_in_its_destructor() {
    struct Spawns<'s, 'env, 'a>(Branch<'s, 'env, ()>, &'a AtomicUsize)
    where
        'a: 's;
    impl Drop for Spawns<'_, '_, '_> {
        fn drop(&mut self) {
            let count = self.1;
            self.0.spawn(move || {
                count.fetch_add(1, SeqCst);
                Ok(())
            });
        }
    }
    let _watchdog = watchdog();
    let count = AtomicUsize::new(0);
    for _ in 0..if cfg!(miri) { 3 } else { 100 } {
        let count = &count;
        let result = branch::<(), ()>(|b| {
            b.spawn(move || Ok(Spawns(b, count)));
            Ok(())
        });
        assert!(result.is_ok());
    }
    assert!(count.load(SeqCst) > 0);
}

/// A panic outside, while another thread is inside: what is unwound does not leave what it has left already.
#[test]
fn a_panic_outside_leaves_the_one_inside_alone() {
    let _watchdog = watchdog();
    let monitor = Monitor::new(Alone::default());
    let (is_inside, may_leave) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        panics_with("outside", || {
            monitor.enter(|inside| {
                let left = inside.leave(|| {
                    scope.spawn(|| {
                        let stays = |inside: Inside<'_, Alone>| {
                            is_inside.store(true, SeqCst);
                            inside.stay(|| !may_leave.load(SeqCst));
                        };
                        monitor.enter(stays).unwrap();
                    });
                    wait_until(|| is_inside.load(SeqCst));
                    panic!("outside");
                });
                left.map(|_: (_, ())| ())
            })
        });
        let has_entered = monitor.try_enter(|_| ()).is_some();
        may_leave.store(true, SeqCst);
        assert!(!has_entered, "two threads are inside");
    });
    assert!(monitor.try_enter(|_| ()).is_some());
}
