//! Signals on threads that wait, what runs around their sleeps, and `errno`.
#![cfg(all(
    target_os = "linux",
    target_pointer_width = "64",
    not(miri),
    not(any(pysync_loom, pysync_shuttle))
))]

mod common;

use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use common::*;
use pysync_platform::{LockFlags, Native, PendingCallError, ThreadHooks};
use pysync_robust::{Error, Kind, Ownership, RawMutex, State, Timeout};
use pysync_testing::{Target, alone, rain, rain_until, wait_until, watchdog};

const NONE: LockFlags = LockFlags::empty();
const DETACH: LockFlags = LockFlags::DETACH;
const HANDLE: LockFlags = LockFlags::HANDLE_SIGNALS;
const FAIL: LockFlags = LockFlags::FAIL_IF_INTERRUPTED;
const HOUR: Timeout = Timeout::After(Duration::from_secs(3600));

thread_local! {
    /// How often the thread has run its pending calls.
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

fn succeed() -> Result<(), PendingCallError> {
    CALLS.set(CALLS.get() + 1);
    Ok(())
}

/// Fails the fourth time.
fn fail() -> Result<(), PendingCallError> {
    CALLS.set(CALLS.get() + 1);
    if CALLS.get() < 4 { Ok(()) } else { Err(PendingCallError) }
}

/// A thread waits under fire, for a mutex that this one holds, until its wait ends by itself. Returns
/// how it ended and how often the thread has run its pending calls.
fn under_fire(
    timeout: Timeout,
    flags: LockFlags,
    calls: fn() -> Result<(), PendingCallError>,
) -> (Result<Ownership, Error>, usize) {
    let _watchdog = watchdog();
    let (mutex, target) = (made(Kind::Plain), Target::default());
    take(mutex);
    let ended = thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            Native::set_pending_calls(Some(calls));
            target.enter();
            let acquired = mutex.acquire_in::<Native>(timeout, flags);
            // Whatever has ended it, nothing is left of the wait.
            assert_eq!(mutex.release(), Err(Error::NotOwner));
            (acquired, CALLS.get())
        });
        // SAFETY: joined below.
        unsafe { rain_until(&[target.thread()], || waiter.is_finished()) };
        waiter.join().unwrap()
    });
    // Another waiter is not kept from it.
    let waiter = Actor::new();
    let wait = waiter.start_to_sleep(move || take(mutex));
    mutex.release().unwrap();
    wait.recv().unwrap();
    ended
}

#[test]
fn a_signal_ends_a_wait_only_if_its_flags_ask_for_it() {
    let _alone = alone();
    for timeout in [Timeout::Never, HOUR] {
        for detach in [NONE, DETACH] {
            let ended = under_fire(timeout, FAIL | detach, succeed);
            assert_eq!(ended, (Err(Error::Interrupted), 0));
            // The stronger of the two.
            let ended = under_fire(timeout, FAIL | HANDLE | detach, succeed);
            assert_eq!(ended.0, Err(Error::Interrupted));
            let ended = under_fire(timeout, HANDLE | detach, fail);
            assert_eq!(ended, (Err(Error::Interrupted), 4), "until they fail");
        }
    }
}

/// A thread waits under fire until many signals were handled, and still waits. Then it gets the
/// mutex.
#[test]
fn a_wait_goes_on_through_any_number_of_signals() {
    let _alone = alone();
    let _watchdog = watchdog();
    for timeout in [Timeout::Never, HOUR] {
        for flags in [NONE, DETACH, HANDLE, HANDLE | DETACH] {
            let (mutex, target) = (made(Kind::Plain), Target::default());
            take(mutex);
            thread::scope(|scope| {
                let waiter = scope.spawn(|| {
                    Native::set_pending_calls(Some(succeed));
                    target.enter();
                    let acquired = mutex.acquire_in::<Native>(timeout, flags);
                    assert_eq!(acquired, Ok(Ownership::Clean));
                    mutex.release().unwrap();
                    CALLS.get()
                });
                let thread = target.thread();
                target.sleeper.wait_until_asleep();
                // SAFETY: joined below.
                unsafe { rain(&[thread], 200) };
                assert!(!waiter.is_finished());
                mutex.release().unwrap();
                assert_eq!(waiter.join().unwrap() > 0, flags.contains(HANDLE), "{flags:?}");
            });
            assert_eq!(mutex.state(), Ok(State::Free));
        }
    }
}

#[test]
fn a_rain_of_signals_does_not_move_the_end_of_a_timed_wait() {
    const TIMEOUT: Duration = Duration::from_millis(200);
    let _alone = alone();
    for flags in [NONE, DETACH, HANDLE] {
        let began = Instant::now();
        let (ended, _) = under_fire(Timeout::After(TIMEOUT), flags, succeed);
        let took = began.elapsed();
        println!("{flags:?}: {took:?}");
        assert_eq!(ended, Err(Error::TimedOut));
        assert!(took >= TIMEOUT, "{took:?} is too early");
        assert!(took < TIMEOUT + Duration::from_secs(5), "{took:?} is late");
    }
}

/// The signal may have come to another thread, or just before the sleep.
#[test]
fn pending_calls_run_without_a_signal_too() {
    let _watchdog = watchdog();
    let mutex = made(Kind::Plain);
    take(mutex);
    for (timeout, flags) in [(Timeout::Never, HANDLE), (HOUR, HANDLE | DETACH)] {
        in_a_short_life(move || {
            Native::set_pending_calls(Some(fail));
            let began = Instant::now();
            let acquired = mutex.acquire_in::<Native>(timeout, flags);
            println!("{:?} for {} calls", began.elapsed(), CALLS.get());
            assert_eq!((acquired, CALLS.get()), (Err(Error::Interrupted), 4));
        });
    }
    mutex.release().unwrap();
}

#[test]
fn pending_calls_do_not_run_if_nobody_has_to_sleep() {
    let (mutex, owner) = (made(Kind::Recursive), Actor::new());
    owner.run(move || {
        Native::set_pending_calls(Some(|| panic!("there is no wait")));
        for _ in 0..2 {
            let acquired = mutex.acquire_in::<Native>(Timeout::Never, HANDLE | FAIL);
            assert_eq!(acquired, Ok(Ownership::Clean));
        }
    });
    let other = in_a_short_life(move || {
        Native::set_pending_calls(Some(|| panic!("there is no wait")));
        mutex.acquire_in::<Native>(Timeout::Try, HANDLE | FAIL)
    });
    assert_eq!(other, Err(Error::Busy));
}

#[test]
fn a_pending_call_may_panic() {
    let _watchdog = watchdog();
    let (mutex, owner) = (made(Kind::Plain), Actor::new());
    owner.run(move || take(mutex));
    in_a_short_life(move || {
        Native::set_pending_calls(Some(|| resume_unwind(Box::new("in a pending call"))));
        let wait = || mutex.acquire_in::<Native>(Timeout::Never, HANDLE | DETACH);
        let payload = catch_unwind(AssertUnwindSafe(wait)).unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&"in a pending call"));
        assert_eq!(mutex.release(), Err(Error::NotOwner));
    });
    owner.run(move || mutex.release()).unwrap();
    take(mutex);
    mutex.release().unwrap();
}

thread_local! {
    static ATTACHED: Cell<bool> = const { Cell::new(true) };
    /// How often the thread has detached, and attached again.
    static HOOKED: Cell<[usize; 2]> = const { Cell::new([0; 2]) };
    static WAITS_FOR: Cell<Option<RawMutex>> = const { Cell::new(None) };
}

/// The same as `ATTACHED` of the one thread that has the hooks, for others.
static IS_DETACHED: AtomicBool = AtomicBool::new(false);

/// A panic in a hook ends the process.
static HOOKS: ThreadHooks = ThreadHooks {
    detach: || {
        IS_DETACHED.store(true, SeqCst);
        HOOKED.set([HOOKED.get()[0] + 1, HOOKED.get()[1]]);
        does_not_hold_it();
        ATTACHED.replace(false)
    },
    attach: || {
        IS_DETACHED.store(false, SeqCst);
        HOOKED.set([HOOKED.get()[0], HOOKED.get()[1] + 1]);
        does_not_hold_it();
        assert!(!ATTACHED.replace(true));
    },
};

/// While it is detached, and as long as it attaches.
fn does_not_hold_it() {
    if let Some(mutex) = WAITS_FOR.get() {
        // SAFETY: only asks.
        let me = unsafe { libc::gettid() } as u32;
        let state = mutex.state().unwrap();
        assert!(!matches!(state, State::Held { owner, .. } if owner == me));
    }
}

#[test]
fn a_thread_is_detached_while_it_sleeps_and_attached_when_it_takes_the_mutex() {
    let _watchdog = watchdog();
    let (mutex, waiter) = (made(Kind::Recursive), Actor::new());
    waiter.run(|| _ = Native::set_thread_hooks(Some(&HOOKS)));
    // Nothing to sleep for: free, its own, and another's.
    let not_called = move |timeout| {
        waiter.run(move || {
            let acquired = mutex.acquire_in::<Native>(timeout, DETACH);
            assert_eq!(HOOKED.get(), [0; 2]);
            acquired
        })
    };
    for _ in 0..2 {
        assert_eq!(not_called(Timeout::Never), Ok(Ownership::Clean));
    }
    // It dies with the mutex.
    drop(not_called);
    assert_eq!(mutex.acquire(Timeout::Try), Ok(Ownership::OwnerDied));
    mutex.make_consistent().unwrap();

    let waiter = Actor::new();
    waiter.run(move || {
        _ = Native::set_thread_hooks(Some(&HOOKS));
        WAITS_FOR.set(Some(mutex));
        assert_eq!(mutex.acquire_in::<Native>(Timeout::Try, DETACH), Err(Error::Busy));
        let soon = Timeout::After(Duration::from_millis(3));
        assert_eq!(mutex.acquire_in::<Native>(soon, NONE), Err(Error::TimedOut));
        assert_eq!(HOOKED.get(), [0; 2], "it was not asked for");
        assert_eq!(mutex.acquire_in::<Native>(soon, DETACH), Err(Error::TimedOut));
        let [detached, attached] = HOOKED.get();
        assert!(detached > 0 && detached == attached && ATTACHED.get());
    });
    let wait = waiter.start_to_sleep(move || {
        HOOKED.set([0; 2]);
        assert_eq!(mutex.acquire(Timeout::Never), Ok(Ownership::Clean));
        assert!(ATTACHED.get());
        HOOKED.get()
    });
    // It attaches between two sleeps.
    wait_until(|| IS_DETACHED.load(SeqCst));
    mutex.release().unwrap();
    let [detached, attached] = wait.recv().unwrap();
    println!("{detached} sleeps");
    assert!(detached > 0 && detached == attached);
    // A thread that was not attached is not attached by us.
    let waiter = Actor::new();
    waiter.run(move || {
        _ = Native::set_thread_hooks(Some(&HOOKS));
        ATTACHED.set(false);
        let soon = Timeout::After(Duration::from_millis(3));
        assert_eq!(mutex.acquire(soon), Err(Error::TimedOut));
        let [detached, attached] = HOOKED.get();
        assert!(detached > 0 && attached == 0 && !ATTACHED.get());
    });
}

/// Fails a call of the system, does `call`, and panics if `errno` is another then.
fn keeps_errno<T>(call: impl FnOnce() -> T) -> T {
    // SAFETY: a path that ends with a zero.
    let file = unsafe { libc::open(c"/nonexistent".as_ptr(), libc::O_RDONLY) };
    assert_eq!(file, -1);
    let result = call();
    assert_eq!(io::Error::last_os_error().raw_os_error(), Some(libc::ENOENT));
    result
}

#[test]
fn errno_is_left_alone() {
    let _alone = alone();
    let _watchdog = watchdog();
    let (mutex, target) = (made(Kind::Recursive), Target::default());
    // On a thread that has never locked anything, too.
    in_a_short_life(move || {
        for _ in 0..2 {
            assert!(keeps_errno(|| mutex.acquire(Timeout::Never)).is_ok());
        }
        while keeps_errno(|| mutex.release()).is_ok() {}
        assert_eq!(keeps_errno(|| mutex.make_consistent()), Err(Error::NotOwner));
        take(mutex);
    });
    assert_eq!(keeps_errno(|| mutex.acquire(Timeout::Try)), Ok(Ownership::OwnerDied));
    keeps_errno(|| mutex.make_consistent()).unwrap();
    let waits = AtomicUsize::new(0);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            target.enter();
            assert_eq!(keeps_errno(|| mutex.acquire(Timeout::Try)), Err(Error::Busy));
            let acquire = |timeout, flags| {
                waits.fetch_add(1, SeqCst);
                keeps_errno(|| mutex.acquire_in::<Native>(timeout, flags))
            };
            let soon = Timeout::After(Duration::from_millis(5));
            for _ in 0..10 {
                assert_eq!(acquire(soon, NONE), Err(Error::TimedOut));
                assert_eq!(acquire(Timeout::Never, FAIL), Err(Error::Interrupted));
            }
            assert_eq!(acquire(Timeout::Never, DETACH), Ok(Ownership::Clean));
            keeps_errno(|| mutex.give_up()).unwrap();
        });
        let threads = [target.thread()];
        // SAFETY: joined by the scope.
        unsafe { rain_until(&threads, || waits.load(SeqCst) == 21) };
        target.sleeper.wait_until_asleep();
        // SAFETY: as above.
        unsafe { rain(&threads, 100) };
        keeps_errno(|| mutex.release()).unwrap();
        waiter.join().unwrap();
    });
    assert_eq!(keeps_errno(|| mutex.acquire(Timeout::Never)), Err(Error::NotRecoverable));
    keeps_errno(|| mutex.destroy()).unwrap();
}
