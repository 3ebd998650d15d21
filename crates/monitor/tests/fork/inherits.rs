//! What a child can do with what no other thread was inside of: such a monitor needs no `after_fork` of its own.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use pysync_monitor::{Deadlock, Monitor, after_fork, attempt, snapshot};
use pysync_parking_lot::register_fork_handler;
use pysync_testing::{fork, wait_until, watchdog};

/// Calls `jobs`, each on a thread of its own, and `body` meanwhile. The threads are not std's: in the child of a fork its
/// lock of all threads may be one that another thread of the parent had.
fn beside(jobs: &[&(dyn Fn() + Sync)], body: impl FnOnce()) {
    extern "C" fn run(job: *mut libc::c_void) -> *mut libc::c_void {
        // SAFETY: a job, which is there until the thread is joined.
        let job = unsafe { *job.cast::<&(dyn Fn() + Sync)>() };
        job();
        std::ptr::null_mut()
    }
    let threads: Vec<_> = jobs
        .iter()
        .map(|job| {
            let mut thread = std::mem::MaybeUninit::uninit();
            let job = std::ptr::from_ref(job).cast_mut().cast();
            // SAFETY: `run` takes a job.
            let error =
                unsafe { libc::pthread_create(thread.as_mut_ptr(), std::ptr::null(), run, job) };
            assert_eq!(error, 0, "a thread is made");
            // SAFETY: written.
            unsafe { thread.assume_init() }
        })
        .collect();
    body();
    for thread in threads {
        // SAFETY: made above, and joined once.
        assert_eq!(unsafe { libc::pthread_join(thread, std::ptr::null_mut()) }, 0);
    }
}

/// Two threads form a cycle, and one waits for a condition.
pub(crate) fn exercise(a: &Monitor<u32>, b: &Monitor<u32>) {
    let before = (a.enter(|value| *value).unwrap(), b.enter(|value| *value).unwrap());
    let met = AtomicUsize::new(0);
    let go = |first: &Monitor<u32>, second: &Monitor<u32>| {
        attempt(|| -> Result<(), Deadlock> {
            first.enter(|mut value| {
                met.fetch_add(1, SeqCst);
                wait_until(|| met.load(SeqCst) >= 2);
                second.enter(|mut other| *other += 1)?;
                *value += 1;
                Ok(())
            })?
        })
        .unwrap();
    };
    beside(&[&|| go(a, b), &|| go(b, a)], || {
        let is_met = |value: &u32| *value == before.0 + 2;
        a.enter_when(is_met, |_| ()).unwrap();
    });
    assert_eq!(b.enter(|value| *value).unwrap(), before.1 + 2);
}

#[test]
fn a_child_uses_what_is_free() {
    let _watchdog = watchdog();
    register_fork_handler();
    let (a, b) = (Monitor::named("free a", 0), Monitor::named("free b", 0));
    exercise(&a, &b);
    for _ in 0..20 {
        fork(|| {
            // SAFETY: in the child, before all else.
            unsafe { after_fork() };
            exercise(&a, &b);
            true
        });
    }
    exercise(&a, &b);
}

#[test]
fn a_child_stays_inside_of_what_its_thread_was_inside_of() {
    let _watchdog = watchdog();
    register_fork_handler();
    let (monitor, other) = (Monitor::named("inside", 1), Monitor::new(1));
    monitor
        .enter(|mut value| {
            fork(|| {
                // SAFETY: as above.
                unsafe { after_fork() };
                *value += 1;
                assert!(monitor.enter(|_| ()).unwrap_err().is_self());
                let waits = |value: &i32| *value == 7;
                let set = || other.enter(|mut value| *value = 7).unwrap();
                beside(&[&set], || other.enter_when(waits, |_| ()).unwrap());
                *value == 2
            });
            assert_eq!(*value, 1);
        })
        .unwrap();
    assert_eq!(
        (monitor.try_enter(|value| *value), other.try_enter(|value| *value)),
        (Some(1), Some(1))
    );
}

/// Others wait for what the thread that forks is inside of: they are not there in the child.
#[test]
fn a_child_leaves_what_others_waited_for() {
    let _watchdog = watchdog();
    register_fork_handler();
    let monitor = Monitor::named("waited for at a fork", 0);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        monitor
            .enter(|mut value| {
                scope.spawn(|| monitor.enter(|mut value| *value += 1).unwrap());
                wait_until(|| !snapshot().is_empty());
                fork(|| {
                    // SAFETY: as above.
                    unsafe { after_fork() };
                    let (inside, ()) = match value.leave(|| ()) {
                        Ok(left) => left,
                        Err(_) => return false,
                    };
                    value = inside;
                    *value += 10;
                    *value == 10
                });
                is_over.store(true, SeqCst);
            })
            .unwrap();
    });
    assert!(is_over.load(SeqCst));
    assert_eq!(monitor.enter_for(Duration::from_secs(60), |value| *value).unwrap(), 1);
}
