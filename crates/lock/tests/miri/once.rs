//! What happens once: the event and the once flag.

use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use pysync_lock::{Event, OnceFlag};
use pysync_testing::{together, watchdog};

use super::{Queued, Unprotected, rounds};

const WAITERS: usize = 3;

#[test]
fn an_event_wakes_all_who_wait_for_it() {
    static QUEUED: Queued = Queued::new();
    let _watchdog = watchdog();
    let (event, value) = (Event::new(), Unprotected::new(0));
    thread::scope(|s| {
        for _ in 0..WAITERS {
            s.spawn(|| {
                QUEUED.count_this_thread();
                event.wait();
                // SAFETY: written before the event was set, and only read from then on.
                assert_eq!(unsafe { value.get() }, 7);
            });
        }
        QUEUED.wait_for(WAITERS);
        // SAFETY: the others look at it once the event is set.
        unsafe { value.set(7) };
        event.notify();
    });
    assert!(event.is_set());
}

#[test]
fn timed_waits_race_with_the_event() {
    let _watchdog = watchdog();
    let unit = Duration::from_micros(if cfg!(miri) { 400 } else { 4 });
    for round in 0..rounds(4, 500) {
        let (event, value) = (Event::new(), Unprotected::new(0));
        thread::scope(|s| {
            for id in 0..2 {
                let (event, value) = (&event, &value);
                s.spawn(move || {
                    let timeout = ((round + id) % 4) as u32 * unit;
                    if event.wait_timed(Some(timeout), true) {
                        // SAFETY: written before the event was set, and only read from then on.
                        assert_eq!(unsafe { value.get() }, 7);
                    }
                });
            }
            thread::yield_now();
            // SAFETY: as above.
            unsafe { value.set(7) };
            event.notify();
        });
    }
}

#[test]
fn an_event_may_go_once_its_waiter_has_returned() {
    let _watchdog = watchdog();
    for _ in 0..rounds(4, 200) {
        let address = AtomicPtr::new(Box::into_raw(Box::new(Event::new())));
        thread::scope(|s| {
            s.spawn(|| {
                let event = address.load(Relaxed);
                // SAFETY: ours to free, and we have not done so.
                unsafe { (*event).wait() };
                // SAFETY: from the box above. That nobody uses it any more is what is tested.
                drop(unsafe { Box::from_raw(event) });
            });
            thread::yield_now();
            // SAFETY: not freed before it is set.
            unsafe { (*address.load(Relaxed)).notify() };
        });
    }
}

#[test]
fn a_once_flag_lets_the_others_wait_for_the_one() {
    static QUEUED: Queued = Queued::new();
    let _watchdog = watchdog();
    let (once, value) = (OnceFlag::new(), Unprotected::new(0));
    let calls = AtomicUsize::new(0);
    together(1 + WAITERS, |_| {
        QUEUED.count_this_thread();
        let done = once.call_once(|| {
            QUEUED.wait_for(WAITERS);
            calls.fetch_add(1, Relaxed);
            // SAFETY: the flag lets in one at a time, and nobody reads before it is done.
            unsafe { value.set(7) };
            Ok::<(), ()>(())
        });
        assert_eq!(done, Ok(()));
        // SAFETY: done, so only read from now on.
        assert_eq!(unsafe { value.get() }, 7);
    });
    assert_eq!(calls.into_inner(), 1);
}

#[test]
fn an_attempt_that_fails_leaves_the_flag_to_those_who_wait() {
    let _watchdog = watchdog();
    for _ in 0..rounds(3, 500) {
        let (once, attempts) = (OnceFlag::new(), Unprotected::new(0));
        together(WAITERS, |_| {
            let _ = once.call_once(|| {
                // SAFETY: the flag lets in one at a time.
                let before = unsafe { attempts.get() };
                // SAFETY: as above.
                unsafe { attempts.set(before + 1) };
                thread::yield_now();
                if before == 1 { Ok(()) } else { Err(()) }
            });
        });
        // SAFETY: the threads have ended.
        assert_eq!(unsafe { attempts.get() }, 2);
        assert!(once.is_initialized());
    }
}
