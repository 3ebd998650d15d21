//! A thread that forks in the middle of its own wait: in a signal handler that interrupted it, in
//! the hook that detaches it, in a callback. In the child it goes on with a wait that the table has
//! forgotten.
#![cfg(all(unix, not(any(pysync_loom, pysync_shuttle))))]

mod common;

use std::pin::pin;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use common::park_announced;
use pysync_parking_lot::{
    Choice, Deadline, Key, LockFlags, Native, ParkStatus, PendingCallError, Position, Runtime,
    Waiter, after_fork, inspect, park, park_in, register_fork_handler, unpark, unpark_filter,
    unpark_requeue,
};
use pysync_testing::{Watchdog, aborts_with, child_succeeds, wait_until, watchdog};

/// The tests take turns: they look for a child's pid in one place.
fn my_turn() -> (MutexGuard<'static, ()>, Watchdog) {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    register_fork_handler();
    CHILD.store(NONE, SeqCst);
    (turn, watchdog())
}

const NONE: i32 = -1;
/// What `fork` returned: 0 in the child.
static CHILD: AtomicI32 = AtomicI32::new(NONE);

/// Ends a child with what it found; in the parent, waits for the child that did so.
fn in_the_child(ok: impl FnOnce() -> bool) {
    match CHILD.load(SeqCst) {
        NONE => panic!("there was no fork"),
        // SAFETY: ends the child.
        0 => unsafe { libc::_exit(i32::from(!ok())) },
        pid => child_succeeds(pid),
    }
}

/// A park and an unpark of two threads on `word`, as a sign that the table is sound.
fn two_threads_meet(word: &'static AtomicU8) -> bool {
    let woken = AtomicBool::new(false);
    thread::scope(|s| {
        s.spawn(|| {
            let status = park(word, 0, None, null_mut(), false);
            woken.store(status == ParkStatus::Ok, SeqCst);
        });
        wait_until(|| {
            let mut found = false;
            unpark(word, |unparked| found = unparked.is_some());
            found
        });
    });
    woken.into_inner()
}

#[cfg(all(target_os = "linux", not(pysync_portable)))]
mod signal {
    use super::*;
    use pysync_testing::{Sleeper, ThreadId};
    use std::sync::OnceLock;

    extern "C" fn fork_here(_: libc::c_int) {
        // SAFETY: the child goes on as the parent does.
        CHILD.store(unsafe { libc::fork() }, SeqCst);
    }

    fn fork_on_signal(flags: libc::c_int) {
        // SAFETY: a zeroed sigaction is an empty one.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = fork_here as extern "C" fn(libc::c_int) as usize;
            action.sa_flags = flags;
            assert_eq!(libc::sigaction(libc::SIGUSR1, &action, null_mut()), 0);
        }
    }

    /// Parks one thread, between `before` others and `after` more, and has it fork in a handler
    /// while it sleeps. The last pair is how its wait ends.
    fn fork_while_parked(
        (flags, timeout): (libc::c_int, Option<Duration>),
        (before, after): (usize, usize),
        (in_parent, in_child): (ParkStatus, ParkStatus),
    ) {
        static WORD: AtomicU8 = AtomicU8::new(0);
        fork_on_signal(flags);
        let (queued, target, sleeper) = (AtomicUsize::new(0), OnceLock::new(), Sleeper::new());
        let park = |timeout| park_announced(&WORD, 0, timeout, null_mut(), &queued);
        let found = || {
            let mut found = false;
            unpark(&WORD, |unparked| found = unparked.is_some());
            found
        };
        thread::scope(|s| {
            for n in 1..=before {
                s.spawn(|| assert_eq!(park(None), ParkStatus::Ok));
                wait_until(|| queued.load(SeqCst) == n);
            }
            let forks = s.spawn(|| {
                target.set(ThreadId::current()).unwrap();
                sleeper.enter();
                let status = park(timeout);
                in_the_child(|| status == in_child && two_threads_meet(&WORD));
                assert_eq!(status, in_parent);
            });
            wait_until(|| queued.load(SeqCst) == before + 1);
            for n in 1..=after {
                s.spawn(|| assert_eq!(park(None), ParkStatus::Ok));
                wait_until(|| queued.load(SeqCst) == before + 1 + n);
            }
            sleeper.wait_until_asleep();
            // SAFETY: joined below.
            unsafe { target.get().unwrap().interrupt() };
            wait_until(|| CHILD.load(SeqCst) != NONE);
            if in_parent == ParkStatus::Ok {
                assert!(found(), "the thread has left, but was to sleep on");
            }
            forks.join().unwrap();
            // The parent has lost none of the others.
            assert!((0..before + after).all(|_| found()) && !found());
        });
    }

    const INTERRUPTED: (ParkStatus, ParkStatus) =
        (ParkStatus::Interrupted, ParkStatus::Interrupted);

    /// A5.
    #[test]
    fn a_parked_thread_forks_in_a_signal_handler() {
        let (_turn, _watchdog) = my_turn();
        fork_while_parked((0, None), (0, 0), INTERRUPTED);
    }

    #[test]
    fn a_thread_parked_with_a_timeout_forks_in_a_signal_handler() {
        let (_turn, _watchdog) = my_turn();
        let timeout = Some(Duration::from_secs(3600));
        fork_while_parked((0, timeout), (0, 0), INTERRUPTED);
        fork_while_parked((libc::SA_RESTART, timeout), (0, 0), INTERRUPTED);
    }

    #[test]
    fn a_thread_parked_behind_others_forks_in_a_signal_handler() {
        let (_turn, _watchdog) = my_turn();
        fork_while_parked((0, None), (2, 0), INTERRUPTED);
    }

    #[test]
    fn a_thread_parked_between_others_forks_in_a_signal_handler() {
        let (_turn, _watchdog) = my_turn();
        fork_while_parked((0, None), (1, 2), INTERRUPTED);
    }

    /// The system call goes on after the handler, in the child too, where no thread is left to end
    /// it.
    #[test]
    fn a_parked_thread_forks_in_a_handler_that_restarts_its_wait() {
        let (_turn, _watchdog) = my_turn();
        let ends = (ParkStatus::Ok, ParkStatus::Again);
        fork_while_parked((libc::SA_RESTART, None), (0, 0), ends);
    }
}

/// A5. The hook runs when the thread is queued. In the child another thread parks on the same word
/// before the hook returns, so that the queue is not empty and yet another one.
#[test]
fn a_waiter_that_was_queued_or_moved_is_on_no_queue_in_the_child() {
    let _turn = my_turn();
    static WORDS: [AtomicU8; 2] = [AtomicU8::new(0), AtomicU8::new(0)];
    let [from, to] = [Key::of(&WORDS[0]), Key::of(&WORDS[1])];
    let waiter = pin!(Waiter::new(null_mut()));
    let waiter = waiter.as_ref();
    // SAFETY: nothing reads the park arguments of a test's own words.
    let queue = || unsafe { waiter.queue(from, Position::Back, || true) };
    // SAFETY: as above.
    let moved = || unsafe { unpark_requeue(from, |_| Some(to), |_| Choice::Requeue, |_| ()) };
    for is_moved in [false, true] {
        assert!(queue());
        if is_moved {
            assert_eq!(moved().requeued, 1);
        }
        for sleeps in [false, true] {
            pysync_testing::fork(|| {
                let parked = [from, to].map(|key| inspect(key, |args| args.count()));
                let ended = if sleeps {
                    waiter.sleep::<Native>(Deadline::NEVER, LockFlags::empty()) == ParkStatus::Again
                } else {
                    !waiter.is_unparked() && !waiter.leave()
                };
                // It can be queued in the child, and be woken there.
                parked == [0, 0]
                    && ended
                    && queue()
                    && waiter.sleep::<Native>(Deadline::NOW, LockFlags::empty())
                        == ParkStatus::Timeout
                    && queue()
                    && moved().requeued == 1
                    && unpark_filter(to, |_| Choice::Unpark, |_| ()).unparked == 1
                    && waiter.sleep::<Native>(Deadline::NEVER, LockFlags::empty()) == ParkStatus::Ok
                    && two_threads_meet(&WORDS[0])
            });
        }
        assert_eq!(inspect(if is_moved { to } else { from }, |args| args.count()), 1);
        assert!(!waiter.leave());
    }
}

#[test]
fn a_queued_thread_forks_as_it_detaches() {
    static WORD: AtomicU8 = AtomicU8::new(0);
    static QUEUED: AtomicUsize = AtomicUsize::new(0);

    struct Forks;

    impl Runtime for Forks {
        type Detached = ();

        fn detach() -> Option<()> {
            // SAFETY: the child goes on as the parent does.
            CHILD.store(unsafe { libc::fork() }, SeqCst);
            if CHILD.load(SeqCst) == 0 {
                thread::spawn(|| park_announced(&WORD, 0, None, null_mut(), &QUEUED));
                wait_until(|| QUEUED.load(SeqCst) == 1);
            }
            Some(())
        }

        fn attach((): ()) {}

        fn make_pending_calls() -> Result<(), PendingCallError> {
            Ok(())
        }

        fn thread_ident() -> u64 {
            1
        }

        fn fatal_error(_: &'static str, message: &str) -> ! {
            panic!("{message}")
        }
    }

    let (_turn, _watchdog) = my_turn();
    let soon = Deadline::after(Some(Duration::from_millis(50)));
    let status = park_in::<Forks, _>(&WORD, 0, soon, null_mut(), true);
    in_the_child(|| {
        let mut waiters = 0;
        unpark(&WORD, |unparked| waiters += i32::from(unparked.is_some()));
        unpark(&WORD, |unparked| waiters += i32::from(unparked.is_some()));
        status == ParkStatus::Again && waiters == 1 && two_threads_meet(&WORD)
    });
    assert_eq!(status, ParkStatus::Timeout);
}

/// B11. What a fork in a handler does that interrupted a holder of the bucket lock: the child comes
/// back to a queue that has been emptied under its hands.
#[test]
fn a_child_that_comes_back_to_a_bucket_lock_aborts() {
    static WORD: AtomicU8 = AtomicU8::new(0);
    let message =
        "pysync: a signal handler forked inside park or unpark, and the child came back to it";
    aborts_with("a_child_that_comes_back_to_a_bucket_lock_aborts", message, || {
        unpark(&WORD, |_| {
            // SAFETY: the only thread that uses the table. In the callback, which the contract
            // rules out, for the sake of the message.
            unsafe { after_fork() };
        });
    });
}
