//! Several threads or processes at one mutex.
#![cfg(all(
    target_os = "linux",
    target_pointer_width = "64",
    not(miri),
    not(any(pysync_loom, pysync_shuttle))
))]

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::*};
use std::time::{Duration, Instant};

use common::*;
use pysync_platform::{LockFlags, Native, PendingCallError, Runtime};
use pysync_robust::{Error, Kind, Ownership, RawMutex, SIZE, State, Timeout};
use pysync_testing::{together, wait_until, watchdog};

/// A number that is read and written in two steps, and right only if no other owner is between them.
fn add_one(number: &AtomicU32, slowly: bool) {
    let seen = number.load(Relaxed);
    if slowly {
        std::thread::yield_now();
    }
    number.store(seen + 1, Relaxed);
}

/// Adds one `turns` times, with timeouts of all kinds.
fn add(mutex: RawMutex, number: &AtomicU32, turns: u32) {
    for turn in 0..turns {
        let timeout = match turn % 4 {
            0 => Timeout::Try,
            1 => Timeout::After(Duration::from_micros(50)),
            _ => Timeout::Never,
        };
        loop {
            match mutex.acquire(timeout) {
                Ok(how) => break assert_eq!(how, Ownership::Clean),
                Err(error) => assert!(matches!(error, Error::Busy | Error::TimedOut), "{error:?}"),
            }
        }
        add_one(number, turn % 8 == 0);
        mutex.release().unwrap();
    }
}

#[test]
fn threads_keep_each_other_out() {
    let _watchdog = watchdog();
    for kind in [Kind::Plain, Kind::Recursive] {
        let (mutex, number) = (made(kind), AtomicU32::new(0));
        together(4, |_| add(mutex, &number, 2_000));
        assert_eq!((number.into_inner(), mutex.state()), (8_000, Ok(State::Free)));
    }
}

/// A mutex and the numbers behind it, in a mapping that children share.
fn shared<const N: usize>(kind: Kind) -> (RawMutex, &'static [AtomicU32; N]) {
    let mapping = map_shared(SIZE + 4 * N);
    // SAFETY: within the mapping, which stays, and is aligned.
    let (bytes, numbers) = unsafe { (Bytes::mapped(mapping), &*mapping.add(SIZE).cast()) };
    bytes.mutex().initialize(kind).unwrap();
    (bytes.mutex(), numbers)
}

#[test]
fn threads_of_several_processes_keep_each_other_out() {
    let _watchdog = watchdog();
    let (mutex, [number]) = shared(Kind::Recursive);
    let children = [(); 2].map(|()| {
        Child::start(|| {
            together(2, |_| add(mutex, number, 2_000));
            true
        })
    });
    together(2, |_| add(mutex, number, 2_000));
    children.into_iter().for_each(Child::succeeds);
    assert_eq!((number.load(SeqCst), mutex.state()), (12_000, Ok(State::Free)));
}

#[test]
fn a_mutex_may_be_mapped_twice() {
    let _watchdog = watchdog();
    for kind in [Kind::Plain, Kind::Recursive] {
        // SAFETY: the mappings stay.
        let [here, there] = map_twice(SIZE).map(|at| unsafe { Bytes::mapped(at) }.mutex());
        assert_ne!(here, there);
        here.initialize(kind).unwrap();
        let waiter = Actor::new();
        for (one, other) in [(here, there), (there, here)] {
            take(one);
            let again = other.acquire(Timeout::Never);
            match kind {
                Kind::Plain => assert_eq!(again, Err(Error::Deadlock)),
                Kind::Recursive => {
                    assert_eq!(again, Ok(Ownership::Clean));
                    one.release().unwrap();
                }
            }
            // A thread that waits through the one is woken by a release through the other.
            let waits = waiter.start_to_sleep(move || {
                take(one);
                Instant::now()
            });
            let released = Instant::now();
            other.release().unwrap();
            let woken = waits.recv().unwrap();
            println!("woken after {:?}", woken.saturating_duration_since(released));
            assert_eq!(one.release(), Err(Error::NotOwner));
            waiter.run(move || other.release()).unwrap();
            // One that dies with the one is reported through the other.
            in_a_short_life(move || take(one));
            assert_eq!(other.acquire(Timeout::Never), Ok(Ownership::OwnerDied));
            one.make_consistent().unwrap();
            one.release().unwrap();
        }
    }
}

/// Waiters that have begun to sleep, and come back from it when the gate is open.
#[derive(Default)]
struct Gate {
    sleep: AtomicUsize,
    is_open: AtomicBool,
}

enum Gated {}

thread_local! {
    static GATE: Cell<Option<&'static Gate>> = const { Cell::new(None) };
    static HAS_LOOKED: Cell<bool> = const { Cell::new(false) };
}

impl Runtime for Gated {
    type Detached = &'static Gate;

    fn detach() -> Option<Self::Detached> {
        // Before it sleeps, a waiter looks for the mutex for a while, detached too.
        if !HAS_LOOKED.replace(true) {
            return None;
        }
        let gate = GATE.get()?;
        gate.sleep.fetch_add(1, SeqCst);
        Some(gate)
    }

    fn attach(gate: Self::Detached) {
        wait_until(|| gate.is_open.load(SeqCst));
    }

    fn make_pending_calls() -> Result<(), PendingCallError> {
        Ok(())
    }

    fn thread_ident() -> u64 {
        Native::thread_ident()
    }

    fn fatal_error(function: &'static str, message: &str) -> ! {
        panic!("{function}: {message}")
    }
}

/// Whose holder can release the mutex only once the waiter has detached.
enum Lends {}

/// The bytes of a mutex, what has its holder release it, and what says that it has. Tells whether the waiter
/// was about to sleep.
type Lent = (Bytes, Box<dyn Fn()>, Rc<AtomicBool>);

thread_local! {
    static LENT: Cell<Option<Lent>> = const { Cell::new(None) };
}

impl Runtime for Lends {
    type Detached = ();

    fn detach() -> Option<()> {
        if let Some((bytes, release, slept)) = LENT.take() {
            slept.store(bytes.u32(WORD).load(SeqCst) & WAITERS != 0, SeqCst);
            release();
        }
        Some(())
    }

    fn attach((): ()) {}

    fn make_pending_calls() -> Result<(), PendingCallError> {
        Ok(())
    }

    fn thread_ident() -> u64 {
        Native::thread_ident()
    }

    fn fatal_error(function: &'static str, message: &str) -> ! {
        panic!("{function}: {message}")
    }
}

/// A holder that must attach before it can release would wait for a waiter that looks attached. Of a thousand
/// waiters one at least has time to look before its patience is over.
#[test]
fn a_waiter_looks_for_the_mutex_detached() {
    let _watchdog = watchdog();
    let (holder, slept) = (Rc::new(Actor::new()), Rc::new(AtomicBool::new(true)));
    let bytes = Bytes::zeroed();
    let mutex = bytes.mutex();
    mutex.initialize(Kind::Plain).unwrap();
    let has_looked = (0..1_000).any(|_| {
        holder.run(move || take(mutex));
        let own = holder.clone();
        let release = move || own.run(move || mutex.release().unwrap());
        LENT.set(Some((bytes, Box::new(release), slept.clone())));
        let acquired = mutex.acquire_in::<Lends>(Timeout::Never, LockFlags::DETACH);
        assert_eq!(acquired, Ok(Ownership::Clean));
        mutex.release().unwrap();
        !slept.load(SeqCst)
    });
    assert!(has_looked, "each was attached until it slept");
}

/// Three threads wait for the mutex, which this one holds. Then comes `meanwhile`, and only after it
/// do they look again. Each releases what it gets.
fn while_three_wait(
    kind: Kind,
    meanwhile: impl FnOnce(RawMutex),
    expected: Result<Ownership, Error>,
) {
    let _watchdog = watchdog();
    let (mutex, gate) = (made(kind), &*Box::leak(Box::<Gate>::default()));
    take(mutex);
    let waiters = [(); 3].map(|()| Actor::new());
    let timeouts = [Timeout::Never, Timeout::After(Duration::from_secs(3600)), Timeout::Never];
    let waits: Vec<_> = (waiters.iter().zip(timeouts))
        .map(|(waiter, timeout)| {
            waiter.start(move || {
                GATE.set(Some(gate));
                let acquired = mutex.acquire_in::<Gated>(timeout, LockFlags::DETACH);
                if acquired.is_ok() {
                    mutex.release().unwrap();
                }
                acquired
            })
        })
        .collect();
    wait_until(|| gate.sleep.load(SeqCst) == 3);
    meanwhile(mutex);
    gate.is_open.store(true, SeqCst);
    for wait in waits {
        assert_eq!(wait.recv().unwrap(), expected);
    }
}

#[test]
fn waiters_are_told_that_the_mutex_was_destroyed() {
    for kind in [Kind::Plain, Kind::Recursive] {
        let destroy = |mutex: RawMutex| {
            assert_eq!(mutex.destroy(), Err(Error::Busy));
            mutex.release().unwrap();
            mutex.destroy().unwrap();
        };
        while_three_wait(kind, destroy, Err(Error::Destroyed));
    }
}

#[test]
fn waiters_are_told_that_the_data_was_given_up() {
    for kind in [Kind::Plain, Kind::Recursive] {
        while_three_wait(kind, |mutex| mutex.give_up().unwrap(), Err(Error::NotRecoverable));
        let give_up_after_a_death = |mutex: RawMutex| {
            mutex.release().unwrap();
            in_a_short_life(move || take(mutex));
            assert_eq!(mutex.acquire(Timeout::Try), Ok(Ownership::OwnerDied));
            mutex.release().unwrap();
        };
        while_three_wait(kind, give_up_after_a_death, Err(Error::NotRecoverable));
    }
}

#[test]
fn waiters_of_before_wait_for_the_mutex_of_after() {
    for kind in [Kind::Plain, Kind::Recursive] {
        let destroy_and_initialize = |mutex: RawMutex| {
            mutex.release().unwrap();
            mutex.destroy().unwrap();
            mutex.initialize(kind).unwrap();
        };
        while_three_wait(kind, destroy_and_initialize, Ok(Ownership::Clean));
        let give_up_and_initialize = |mutex: RawMutex| {
            mutex.give_up().unwrap();
            mutex.initialize(kind).unwrap();
        };
        while_three_wait(kind, give_up_and_initialize, Ok(Ownership::Clean));
        let give_up_destroy_and_open = |mutex: RawMutex| {
            mutex.give_up().unwrap();
            mutex.destroy().unwrap();
            assert_eq!(mutex.open(kind, Timeout::Try), Ok(true));
            assert_eq!(mutex.open(kind, Timeout::Try), Ok(false));
        };
        while_three_wait(kind, give_up_destroy_and_open, Ok(Ownership::Clean));
    }
}

/// The mutex is held again before a waiter looks, so that all wait on.
#[test]
fn waiters_wait_on_if_the_mutex_of_after_is_held() {
    let _watchdog = watchdog();
    let holder = Actor::new();
    let hold = |mutex: RawMutex| {
        mutex.release().unwrap();
        mutex.destroy().unwrap();
        mutex.initialize(Kind::Plain).unwrap();
        holder.run(move || take(mutex));
        holder.start(move || {
            std::thread::yield_now();
            mutex.release().unwrap();
        });
    };
    while_three_wait(Kind::Plain, hold, Ok(Ownership::Clean));
}

/// Without a gate: the waiters sleep, and it is the calls that wake them.
#[test]
fn sleeping_waiters_end_when_the_mutex_does() {
    type End = fn(RawMutex) -> Result<(), Error>;

    let give_up: End = |mutex| mutex.give_up();
    let destroy: End = |mutex| {
        mutex.release()?;
        mutex.destroy()
    };
    let _watchdog = watchdog();
    let waiters = [(); 3].map(|()| Actor::new());
    for (end, error) in [(give_up, Error::NotRecoverable), (destroy, Error::Destroyed)] {
        let mut slowest = Duration::ZERO;
        for _ in 0..100 {
            let mutex = made(Kind::Plain);
            take(mutex);
            let waits = waiters.each_ref().map(|waiter| {
                waiter.start_to_sleep(move || {
                    let acquired = mutex.acquire(Timeout::Never);
                    if acquired.is_ok() {
                        mutex.release().unwrap();
                    }
                    (acquired, Instant::now())
                })
            });
            let ended = Instant::now();
            let result = end(mutex);
            // A waiter may be quicker than the destroyer; then there is another attempt.
            if error == Error::NotRecoverable || result != Err(Error::Busy) {
                result.unwrap();
            } else {
                wait_until(|| mutex.destroy() != Err(Error::Busy));
            }
            for wait in waits {
                let (acquired, at) = wait.recv().unwrap();
                slowest = slowest.max(at.saturating_duration_since(ended));
                let in_time = error == Error::Destroyed && acquired == Ok(Ownership::Clean);
                assert!(in_time || acquired == Err(error), "{acquired:?}");
            }
        }
        println!("{error:?}: after {slowest:?} at most");
    }
}

/// A thread destroys the mutex again and again, and two initialise it. Each destruction is undone once.
#[test]
fn of_those_who_revive_a_mutex_one_succeeds() {
    let _watchdog = watchdog();
    let mutex = made(Kind::Plain);
    let [initialized, destroyed] = [(); 2].map(|()| AtomicUsize::new(0));
    let is_over = AtomicBool::new(false);
    together(3, |id| {
        if id == 0 {
            // On a busy machine it does fewer in that time.
            let began = Instant::now();
            while destroyed.load(SeqCst) < 20_000 && began.elapsed() < Duration::from_secs(2) {
                destroyed.fetch_add(mutex.destroy().is_ok().into(), SeqCst);
            }
            is_over.store(true, SeqCst);
        }
        while !is_over.load(SeqCst) {
            initialized.fetch_add(mutex.initialize(Kind::Plain).is_ok().into(), SeqCst);
        }
    });
    let is_ready = mutex.attach().is_ok();
    let [initialized, destroyed] = [initialized, destroyed].map(AtomicUsize::into_inner);
    println!("{destroyed} times");
    assert_eq!(initialized + 1, destroyed + usize::from(is_ready));
}

/// A thread destroys and revives the mutex, while two acquire it. Who has it, has it ready, and who is
/// told that it is destroyed has nothing.
#[test]
fn nobody_holds_what_is_destroyed() {
    let _watchdog = watchdog();
    let mutex = made(Kind::Plain);
    let (is_over, ends) = (AtomicBool::new(false), AtomicUsize::new(0));
    together(3, |id| {
        if id == 0 {
            // On a busy machine it does fewer in that time.
            let began = Instant::now();
            while ends.load(SeqCst) < 100_000 && began.elapsed() < Duration::from_secs(2) {
                if mutex.destroy().is_ok() {
                    ends.fetch_add(1, SeqCst);
                    wait_until(|| mutex.initialize(Kind::Plain).is_ok());
                }
            }
            is_over.store(true, SeqCst);
        }
        while !is_over.load(SeqCst) {
            match mutex.acquire(Timeout::Try) {
                Ok(how) => {
                    assert_eq!(how, Ownership::Clean);
                    assert_eq!(mutex.destroy(), Err(Error::Busy));
                    assert_eq!(mutex.release(), Ok(()));
                }
                Err(error) => assert!(matches!(error, Error::Busy | Error::Destroyed), "{error:?}"),
            }
        }
    });
    println!("{} times", ends.into_inner());
    assert_eq!(mutex.state(), Ok(State::Free));
}
