//! Initialisers against each other, and what is left by those that die.
#![cfg(all(
    target_os = "linux",
    target_pointer_width = "64",
    not(miri),
    not(any(pysync_loom, pysync_shuttle))
))]

mod common;

use std::sync::atomic::{AtomicU32, Ordering::*};
use std::time::{Duration, Instant};

use common::*;
use pysync_robust::{Error, Kind, RawMutex, SIZE, State, Timeout};
use pysync_testing::{wait_until, watchdog, watchdog_for};

/// Two processes meet before each round and do `begin` at once with a block of their own. Returns how
/// often it was true: in both, in one, in none.
fn two_processes(rounds: usize, prepare: fn(Bytes), begin: fn(RawMutex) -> bool) -> [u32; 3] {
    let mapping = map_shared(rounds * (SIZE + 8));
    let block = |round: usize| {
        // SAFETY: within the mapping, which stays.
        unsafe { Bytes::mapped(mapping.add(round * SIZE)) }
    };
    let count = |round: usize, which: usize| {
        let at = rounds * SIZE + 8 * round + 4 * which;
        // SAFETY: as above.
        unsafe { AtomicU32::from_ptr(mapping.add(at).cast()) }
    };
    (0..rounds).for_each(|round| prepare(block(round)));
    let children = [(); 2].map(|()| {
        Child::start(|| {
            for round in 0..rounds {
                let arrived = count(round, 0);
                arrived.fetch_add(1, SeqCst);
                wait_until(|| arrived.load(SeqCst) >= 2);
                let won = begin(block(round).mutex());
                count(round, 1).fetch_add(won.into(), SeqCst);
                arrived.fetch_add(1, SeqCst);
                wait_until(|| arrived.load(SeqCst) == 4);
                // It is a mutex by now, made by either.
                let mutex = block(round).mutex();
                assert_eq!(mutex.attach(), Ok(()));
                take(mutex);
                mutex.release().unwrap();
            }
            true
        })
    });
    children.into_iter().for_each(Child::succeeds);
    let mut winners = [0; 3];
    for round in 0..rounds {
        winners[count(round, 1).load(SeqCst) as usize] += 1;
        assert_eq!(block(round).u64(CLAIM).load(SeqCst), 0, "a claim is left");
    }
    winners
}

#[test]
fn one_of_two_initialisers_succeeds() {
    const ROUNDS: usize = 1_000;
    let _watchdog = watchdog();
    let initialize: fn(RawMutex) -> bool = |mutex| match mutex.initialize(Kind::Plain) {
        Ok(()) => true,
        Err(Error::AlreadyInitialized | Error::Initializing) => false,
        // Only where there has been a mutex before, which the other has locked.
        Err(Error::Busy) => false,
        Err(error) => panic!("{error:?}"),
    };
    let open: fn(RawMutex) -> bool = |mutex| mutex.open(Kind::Plain, Timeout::Never).unwrap();
    let zeroes: fn(Bytes) = |_| {};
    let garbage: fn(Bytes) = |bytes| bytes.write([0xa5; SIZE]);
    let destroyed: fn(Bytes) = |bytes| {
        bytes.mutex().initialize(Kind::Recursive).unwrap();
        bytes.mutex().destroy().unwrap();
    };
    for prepare in [zeroes, garbage, destroyed] {
        for begin in [initialize, open] {
            assert_eq!(two_processes(ROUNDS, prepare, begin), [0, ROUNDS as u32, 0]);
        }
    }
}

/// What a process is called is in the middle of what the system tells of it.
#[test]
fn an_initialiser_may_be_called_anything() {
    let _watchdog = watchdog();
    for name in [c"\xff\xfe", c"a) Z 1 (", c") X 0 0 0 0 0", c""] {
        // SAFETY: a name that ends with a zero; the child of a fork is called as the thread that forks.
        assert_eq!(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) }, 0);
        let initialiser = Initialiser::start(Kind::Plain);
        let mutex = initialiser.bytes().mutex();
        assert_eq!(mutex.initialize(Kind::Plain), Err(Error::Initializing), "{name:?}");
        initialiser.finish();
        assert_eq!(mutex.attach(), Ok(()));
    }
}

#[test]
fn an_initialiser_is_waited_for() {
    let _watchdog = watchdog();
    let initialiser = Initialiser::start(Kind::Recursive);
    let mutex = initialiser.bytes().mutex();
    assert_eq!(mutex.state(), Ok(State::Initializing));
    assert_eq!(mutex.attach(), Err(Error::Initializing));
    assert_eq!(mutex.initialize(Kind::Plain), Err(Error::Initializing));
    assert_eq!(mutex.open(Kind::Plain, Timeout::Try), Err(Error::Initializing));
    let soon = Timeout::After(Duration::from_millis(20));
    let began = Instant::now();
    assert_eq!(mutex.open(Kind::Plain, soon), Err(Error::TimedOut));
    assert!(began.elapsed() >= Duration::from_millis(20));
    assert_eq!(mutex.acquire(Timeout::Never), Err(Error::Uninitialized));
    let waiters = [(); 2].map(|()| Actor::new());
    let waits = waiters
        .each_ref()
        .map(|waiter| waiter.start(move || mutex.open(Kind::Plain, Timeout::Never)));
    initialiser.finish();
    for wait in waits {
        assert_eq!(wait.recv().unwrap(), Ok(false));
    }
    // It is the initialiser's, and recursive.
    take(mutex);
    take(mutex);
    assert_eq!((mutex.release(), mutex.release()), (Ok(()), Ok(())));
}

#[test]
fn a_dead_initialiser_is_replaced() {
    let _watchdog = watchdog();
    for waits in [false, true] {
        let initialiser = Initialiser::start(Kind::Recursive);
        let mutex = initialiser.bytes().mutex();
        let waiters = [(); 2].map(|()| Actor::new());
        let opened = waiters.each_ref().map(|waiter| {
            waits.then(|| waiter.start(move || mutex.open(Kind::Plain, Timeout::Never)))
        });
        // A zombie from then on, which is as dead as any.
        initialiser.kill();
        if waits {
            let opened = opened.map(|open| open.unwrap().recv().unwrap().unwrap());
            assert!(opened[0] != opened[1], "one of them initialises: {opened:?}");
        } else {
            assert_eq!(mutex.state(), Ok(State::Uninitialized));
            assert_eq!(mutex.attach(), Err(Error::Uninitialized));
            assert_eq!(mutex.initialize(Kind::Plain), Ok(()));
        }
        assert_eq!(mutex.initialize(Kind::Plain), Err(Error::AlreadyInitialized));
        take(mutex);
        assert_eq!(mutex.acquire(Timeout::Never), Err(Error::Deadlock));
        mutex.release().unwrap();
    }
}

/// An initialiser may be killed after each of its stores: to claim it, to empty the state, to make
/// the header and the rest, to make the state ready, and to drop the claim.
#[test]
fn an_initialiser_may_die_at_each_step() {
    let _watchdog = watchdog_for(Duration::from_secs(120));
    let [alive, dead] = [(); 2].map(|()| Initialiser::start(Kind::Plain));
    dead.kill();
    let done = Bytes::zeroed();
    done.mutex().initialize(Kind::Plain).unwrap();
    let done = done.read();
    let old = Bytes::zeroed();
    old.mutex().initialize(Kind::Recursive).unwrap();
    old.u64(BOOT).fetch_xor(0xdead, SeqCst);
    old.seal();
    // A thread of before the reboot has it.
    old.u32(WORD).store(1, SeqCst);
    let fields = [LAYOUT, DEPTH, NAMESPACE, BOOT, CHECK, DATA, INNER, INNER + 8, INNER + 16];
    let ends = [DEPTH, NAMESPACE, BOOT, DATA, END, INNER, INNER + 8, INNER + 16, CLAIM];
    let mut random = Random::new(14);
    let mut steps = 0;
    for before in [[0; SIZE], [0xa5; SIZE], random.bytes(), old.read()] {
        // 0: only the claim; 1: the state is empty; then the fields; last the state is ready.
        for step in 0..=fields.len() + 2 {
            for claim in [alive.claim(), dead.claim()] {
                let bytes = Bytes::zeroed();
                let mutex = bytes.mutex();
                bytes.write(before);
                bytes.u64(CLAIM).store(claim, SeqCst);
                if step > 0 {
                    bytes.u64(STATE).store(0, SeqCst);
                }
                let mut image = bytes.read();
                for (from, to) in fields.into_iter().zip(ends).take(step.saturating_sub(1)) {
                    image[from..to].copy_from_slice(&done[from..to]);
                }
                bytes.write(image);
                let is_ready = step == fields.len() + 2;
                if is_ready {
                    bytes.write(done);
                    bytes.u64(CLAIM).store(claim, SeqCst);
                }
                let is_alive = claim == alive.claim();
                let (attached, initialized) = match (is_ready, is_alive) {
                    (true, _) => (Ok(()), Err(Error::AlreadyInitialized)),
                    (false, true) => (Err(Error::Initializing), Err(Error::Initializing)),
                    (false, false) => (Err(Error::Uninitialized), Ok(())),
                };
                let at = format!("step {step} of {before:?}, alive: {is_alive}");
                assert_eq!(mutex.attach(), attached, "{at}");
                assert_eq!(mutex.initialize(Kind::Plain), initialized, "{at}");
                if is_ready || !is_alive {
                    take(mutex);
                    assert_eq!(mutex.acquire(Timeout::Try), Err(Error::Deadlock));
                    mutex.release().unwrap();
                    assert_eq!(mutex.state(), Ok(State::Free));
                }
                bytes.check_canaries();
                steps += 1;
            }
        }
    }
    println!("{steps} times");
}
