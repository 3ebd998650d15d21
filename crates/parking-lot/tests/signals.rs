//! Signals that arrive while threads sleep. The tests take turns: what a handler counts is
//! everybody's.
#![cfg(all(unix, not(any(pysync_loom, pysync_shuttle))))]

mod common;

use std::cell::{Cell, UnsafeCell};
use std::pin::pin;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use common::{park_announced, unpark_one};
use pysync_parking_lot::{
    Deadline, Key, LockFlags, Native, ParkStatus, Parker, Position, RawMutex, Waiter, unpark,
    unpark_all,
};
use pysync_testing::{
    ThreadId, Watchdog, rain, rain_until, signals_handled, wait_until, watch_signals, watchdog,
};

/// The futex parker tells a signal from a wake. std, and so the portable one, does not.
const SIGNALS_END_WAITS: bool = cfg!(all(target_os = "linux", not(pysync_portable)));

const HOUR: Option<Duration> = Some(Duration::from_secs(3600));

fn my_turn() -> (MutexGuard<'static, ()>, Watchdog) {
    static TURN: Mutex<()> = Mutex::new(());
    watch_signals();
    (TURN.lock().unwrap_or_else(PoisonError::into_inner), watchdog())
}

/// A thread that runs `sleep`, and its identifier, while `meanwhile` runs; what each returned.
/// The thread is not joined before `meanwhile` is over, so it may be sent signals till then.
fn with_sleeper<T: Send, U>(
    sleep: impl FnOnce() -> T + Send,
    meanwhile: impl FnOnce(ThreadId, &dyn Fn() -> bool) -> U,
) -> (T, U) {
    let sleeper = Mutex::new(None);
    let done = AtomicBool::new(false);
    thread::scope(|s| {
        let thread = s.spawn(|| {
            *sleeper.lock().unwrap() = Some(ThreadId::current());
            let result = sleep();
            done.store(true, SeqCst);
            result
        });
        wait_until(|| sleeper.lock().unwrap().is_some());
        let id = sleeper.lock().unwrap().unwrap();
        let seen = meanwhile(id, &|| done.load(SeqCst));
        (thread.join().unwrap(), seen)
    })
}

#[test]
#[cfg_attr(
    not(all(target_os = "linux", not(pysync_portable))),
    ignore = "this parker sleeps through signals"
)]
fn a_signal_ends_a_wait_whether_it_is_timed_or_not() {
    let (_turn, _watchdog) = my_turn();
    for timeout in [None, HOUR, Some(Duration::MAX)] {
        let word = AtomicU8::new(0);
        let queued = AtomicUsize::new(0);
        let (status, ()) = with_sleeper(
            || park_announced(&word, 0, timeout, null_mut(), &queued),
            |thread, done| {
                wait_until(|| queued.load(SeqCst) == 1);
                // One that comes before the sleep only runs its handler, so send until it ends.
                // SAFETY: not joined before this is over.
                unsafe { rain_until(&[thread], done) };
            },
        );
        assert_eq!(status, ParkStatus::Interrupted);
        assert!(unpark_one(&word).is_none(), "and it has left the queue");

        let semaphore = Parker::new();
        let (status, _) = with_sleeper(
            || semaphore.wait(timeout, false),
            // SAFETY: as above.
            |thread, done| unsafe { rain_until(&[thread], done) },
        );
        assert_eq!(status, ParkStatus::Interrupted);
        semaphore.wakeup();
        let status = semaphore.wait(Some(Duration::ZERO), false);
        assert_eq!(status, ParkStatus::Ok, "no wakeup was made up or lost");
        assert_eq!(semaphore.wait(Some(Duration::ZERO), false), ParkStatus::Timeout);
    }
}

/// A waiter that sleeps as `flags` have it. A hundred signals reach it, or if they are to end its sleep,
/// as many as that takes: those that come before the sleep only run their handler.
fn sleep_under_signals(flags: LockFlags, to_the_end: bool) -> ParkStatus {
    let (word, is_queued) = (AtomicU8::new(0), AtomicBool::new(false));
    let sleep = || {
        let waiter = pin!(Waiter::new(null_mut()));
        let waiter = waiter.as_ref();
        // SAFETY: no code reads the park arguments of this key.
        assert!(unsafe { waiter.queue(Key::of(&word), Position::Back, || true) });
        is_queued.store(true, SeqCst);
        waiter.sleep::<Native>(Deadline::NEVER, flags)
    };
    let (status, ()) = with_sleeper(sleep, |thread, done| {
        wait_until(|| is_queued.load(SeqCst));
        let before = signals_handled();
        // SAFETY: not joined before this is over.
        unsafe {
            rain_until(&[thread], || done() || !to_the_end && signals_handled() - before >= 100)
        };
        if !to_the_end {
            assert!(unpark_one(&word).is_some(), "it has lost its place");
        }
    });
    status
}

#[test]
fn a_waiter_keeps_its_place_through_signals_unless_its_flags_heed_them() {
    let (_turn, _watchdog) = my_turn();
    for flags in [LockFlags::empty(), LockFlags::DETACH] {
        assert_eq!(sleep_under_signals(flags, false), ParkStatus::Ok);
    }
    if SIGNALS_END_WAITS {
        for flags in [LockFlags::HANDLE_SIGNALS, LockFlags::FAIL_IF_INTERRUPTED] {
            assert_eq!(sleep_under_signals(flags, true), ParkStatus::Interrupted);
        }
    }
}

#[test]
#[cfg_attr(
    all(target_os = "linux", not(pysync_portable)),
    ignore = "this parker's waits end with a signal"
)]
fn without_a_parker_that_can_tell_a_signal_is_slept_through() {
    let (_turn, _watchdog) = my_turn();
    for timeout in [None, HOUR] {
        let word = AtomicU8::new(0);
        let queued = AtomicUsize::new(0);
        let (status, ()) = with_sleeper(
            || park_announced(&word, 0, timeout, null_mut(), &queued),
            |thread, done| {
                wait_until(|| queued.load(SeqCst) == 1);
                // SAFETY: not joined before this is over.
                unsafe { rain(&[thread], 200) };
                assert!(!done());
                assert!(unpark_one(&word).is_some());
            },
        );
        assert_eq!(status, ParkStatus::Ok);
    }
    let limit = Duration::from_millis(20);
    let start = Instant::now();
    let semaphore = Parker::new();
    let (status, _) = with_sleeper(
        || semaphore.wait(Some(limit), false),
        // SAFETY: as above.
        |thread, done| unsafe { rain_until(&[thread], done) },
    );
    assert_eq!(status, ParkStatus::Timeout);
    assert!(start.elapsed() >= limit);
}

#[test]
#[cfg(all(target_os = "linux", not(pysync_portable)))]
fn a_handler_with_sa_restart_ends_only_timed_waits() {
    static HANDLED: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn count(_: libc::c_int) {
        HANDLED.fetch_add(1, SeqCst);
    }

    let (_turn, _watchdog) = my_turn();
    // SAFETY: a zeroed sigaction is an empty one; the handler only adds to an atomic.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = count as extern "C" fn(libc::c_int) as usize;
        action.sa_flags = libc::SA_RESTART;
        assert_eq!(libc::sigaction(libc::SIGUSR2, &action, null_mut()), 0);
    }
    let id = AtomicUsize::new(0);
    let send = || {
        // SAFETY: the thread is not joined before the last of these.
        unsafe { libc::pthread_kill(id.load(SeqCst) as libc::pthread_t, libc::SIGUSR2) };
        thread::yield_now();
    };
    for timeout in [None, HOUR] {
        let word = AtomicU8::new(0);
        let queued = AtomicUsize::new(0);
        let (status, ()) = with_sleeper(
            || {
                // SAFETY: always succeeds.
                id.store(unsafe { libc::pthread_self() } as usize, SeqCst);
                park_announced(&word, 0, timeout, null_mut(), &queued)
            },
            |_, done| {
                wait_until(|| queued.load(SeqCst) == 1);
                if timeout.is_none() {
                    HANDLED.store(0, SeqCst);
                    while HANDLED.load(SeqCst) < 200 {
                        send();
                    }
                    assert!(!done());
                    assert!(unpark_one(&word).is_some());
                } else {
                    while !done() {
                        send();
                    }
                }
            },
        );
        let expected = if timeout.is_none() { ParkStatus::Ok } else { ParkStatus::Interrupted };
        assert_eq!(status, expected);
    }
}

/// What a waiter lends to the thread that unparks it.
#[repr(C)]
struct Letter {
    waiter: usize,
    wakes: Cell<usize>,
    not: usize,
}

#[test]
fn a_hundred_thousand_signals_lose_no_wake_and_corrupt_nothing() {
    const WAITERS: usize = 8;
    const SIGNALS: usize = 100_000;
    let (_turn, _watchdog) = my_turn();
    let words = [const { AtomicU8::new(0) }; 3];
    let stop = AtomicBool::new(false);
    let stopped = AtomicUsize::new(0);
    let threads = Mutex::new(Vec::new());
    let [woken, interrupted, timed_out] = [const { AtomicUsize::new(0) }; 3];
    let sent = AtomicUsize::new(0);

    let unpark_one_of = |word: &AtomicU8| {
        let mut anybody = false;
        unpark(word, |unparked| {
            let Some(unparked) = unparked else { return };
            anybody = true;
            // SAFETY: a waiter's letter, until it is woken.
            let letter = unsafe { &*unparked.park_arg.cast::<Letter>() };
            assert!(letter.not == !letter.waiter && letter.waiter < WAITERS, "no such waiter");
            letter.wakes.set(letter.wakes.get() + 1);
            sent.fetch_add(1, SeqCst);
        });
        anybody
    };

    let handled = thread::scope(|s| {
        for waiter in 0..WAITERS {
            let (words, stop, stopped) = (&words, &stop, &stopped);
            let (threads, woken, interrupted, timed_out) =
                (&threads, &woken, &interrupted, &timed_out);
            s.spawn(move || {
                threads.lock().unwrap().push(ThreadId::current());
                let queued = AtomicUsize::new(0);
                let mut turn = waiter;
                while !stop.load(SeqCst) {
                    let mut letter = Letter { waiter, wakes: Cell::new(0), not: !waiter };
                    let timeout = (turn % 4 == 0).then(|| Duration::from_micros(turn as u64 % 90));
                    let word = &words[turn % words.len()];
                    let park_arg = (&raw mut letter).cast();
                    let status = park_announced(word, 0, timeout, park_arg, &queued);
                    let wakes = usize::from(status == ParkStatus::Ok);
                    assert_eq!(letter.wakes.get(), wakes, "{status:?}");
                    match status {
                        ParkStatus::Ok => woken.fetch_add(1, SeqCst),
                        ParkStatus::Interrupted => interrupted.fetch_add(1, SeqCst),
                        ParkStatus::Timeout => timed_out.fetch_add(1, SeqCst),
                        ParkStatus::Again => panic!("the words never change"),
                    };
                    turn += 1;
                }
                stopped.fetch_add(1, SeqCst);
                // Signals may still be on their way to this thread.
                wait_until(|| stopped.load(SeqCst) > WAITERS);
            });
        }
        s.spawn(|| {
            let mut turn = 0;
            while stopped.load(SeqCst) < WAITERS {
                if !unpark_one_of(&words[turn % words.len()]) {
                    thread::yield_now();
                }
                turn += 1;
            }
        });
        wait_until(|| threads.lock().unwrap().len() == WAITERS);
        let threads = threads.lock().unwrap().clone();
        // SAFETY: the threads leave when `stopped` says that this is over.
        let handled = unsafe { rain(&threads, SIGNALS) };
        stop.store(true, SeqCst);
        wait_until(|| stopped.load(SeqCst) == WAITERS);
        stopped.fetch_add(1, SeqCst);
        handled
    });

    let [woken, interrupted, timed_out] =
        [woken, interrupted, timed_out].map(AtomicUsize::into_inner);
    println!(
        "{handled} signals handled; {woken} waits woken, {interrupted} interrupted, \
         {timed_out} timed out"
    );
    assert!(handled >= SIGNALS);
    assert_eq!(woken, sent.load(SeqCst), "each wake that was sent has arrived, and once");
    assert!(woken > 0);
    assert_eq!(interrupted > 0, SIGNALS_END_WAITS);
    for word in &words {
        assert!(!unpark_one_of(word), "nobody was left behind");
    }
}

#[test]
fn gh_148820_signals_do_not_disturb_those_who_wait_for_a_raw_mutex() {
    struct Guarded(UnsafeCell<[usize; 2]>);
    // SAFETY: every access is made with the mutex held.
    unsafe impl Sync for Guarded {}
    impl Guarded {
        fn get(&self) -> *mut [usize; 2] {
            self.0.get()
        }
    }

    const THREADS: usize = 8;
    const SIGNALS: usize = 50_000;
    let (_turn, _watchdog) = my_turn();
    let mutex = RawMutex::new();
    let guarded = Guarded(UnsafeCell::new([0; 2]));
    let stop = AtomicBool::new(false);
    let stopped = AtomicUsize::new(0);
    let turns = AtomicUsize::new(0);
    let threads = Mutex::new(Vec::new());
    let handled = thread::scope(|s| {
        for _ in 0..THREADS {
            s.spawn(|| {
                threads.lock().unwrap().push(ThreadId::current());
                let mut own_turns = 0;
                while !stop.load(SeqCst) {
                    mutex.lock();
                    // SAFETY: the mutex is held.
                    let [first, second] = unsafe { &mut *guarded.get() };
                    *first += 1;
                    // So that others run into the lock and sleep.
                    thread::yield_now();
                    *second += 1;
                    assert_eq!(first, second, "two threads inside");
                    mutex.unlock();
                    own_turns += 1;
                }
                turns.fetch_add(own_turns, SeqCst);
                stopped.fetch_add(1, SeqCst);
                wait_until(|| stopped.load(SeqCst) > THREADS);
            });
        }
        wait_until(|| threads.lock().unwrap().len() == THREADS);
        let threads = threads.lock().unwrap().clone();
        // SAFETY: the threads leave when `stopped` says that this is over.
        let handled = unsafe { rain(&threads, SIGNALS) };
        stop.store(true, SeqCst);
        wait_until(|| stopped.load(SeqCst) == THREADS);
        stopped.fetch_add(1, SeqCst);
        handled
    });
    let turns = turns.into_inner();
    assert_eq!(guarded.0.into_inner(), [turns; 2]);
    assert!(!mutex.is_locked());
    println!("{handled} signals handled; {turns} turns");
}

#[test]
fn gh_148820_a_signal_does_not_wake_a_raw_mutex_waiter() {
    let (_turn, _watchdog) = my_turn();
    let mutex = RawMutex::new();
    let word = || {
        // SAFETY: `RawMutex` is transparent over an atomic of a pointer's size.
        unsafe { (*(&raw const mutex).cast::<AtomicUsize>()).load(SeqCst) }
    };
    mutex.lock();
    let locked = word();
    let ((), ()) = with_sleeper(
        || {
            mutex.lock();
            mutex.unlock();
        },
        |thread, done| {
            wait_until(|| word() != locked);
            let queued = word();
            // SAFETY: not joined before this is over.
            unsafe { rain(&[thread], 500) };
            assert!(!done());
            assert_eq!(word(), queued, "it has not queued itself a second time either");
            mutex.unlock();
        },
    );
    assert!(!mutex.is_locked());
}

#[test]
fn a_signal_and_an_unpark_at_once_are_either_but_never_neither() {
    // The unpark takes the entry off its queue while the thread wakes from the signal: the park
    // must wait for the wake that is on its way.
    const TURNS: usize = 2_000;
    let (_turn, _watchdog) = my_turn();
    let word = AtomicU8::new(0);
    let queued = AtomicUsize::new(0);
    let before = signals_handled();
    let finished = AtomicUsize::new(0);
    let (statuses, ()) = with_sleeper(
        || {
            let mut statuses = [0; 2];
            for turn in 0..TURNS {
                let wakes = Cell::new(0);
                let park_arg = (&raw const wakes).cast_mut().cast();
                let status = park_announced(&word, 0, None, park_arg, &queued);
                let is_wake = status == ParkStatus::Ok;
                assert!(is_wake || status == ParkStatus::Interrupted);
                assert_eq!(wakes.get(), u32::from(is_wake));
                statuses[usize::from(is_wake)] += 1;
                finished.store(turn + 1, SeqCst);
            }
            wait_until(|| finished.load(SeqCst) > TURNS);
            statuses
        },
        |thread, _| {
            for turn in 0..TURNS {
                wait_until(|| queued.load(SeqCst) > turn);
                // SAFETY: the thread waits until `finished` says that this is over.
                unsafe { thread.interrupt() };
                if turn % 3 != 0 {
                    thread::yield_now();
                }
                while finished.load(SeqCst) <= turn {
                    unpark(&word, |unparked| {
                        let Some(unparked) = unparked else { return };
                        // SAFETY: the waiter's, until it is woken.
                        let wakes = unsafe { &*unparked.park_arg.cast::<Cell<u32>>() };
                        wakes.set(wakes.get() + 1);
                    });
                }
            }
            wait_until(|| finished.load(SeqCst) == TURNS);
            finished.store(TURNS + 1, SeqCst);
        },
    );
    let [interrupted, woken] = statuses;
    println!("{interrupted} interrupted, {woken} woken, {} signals", signals_handled() - before);
    unpark_all(&word);
}
