//! Undefined behaviour by the letter: small tests for Miri, which `ci/miri.sh` runs with several
//! seeds. They run natively too, with more rounds.
//!
//! Under Miri the C library's mutex is a fake of one word, since Miri has no robust mutex. So it judges
//! what this crate does around it: the bytes and who has references to them, the guards, the data. What
//! the threads pass to each other is neither atomic nor locked but by the code under test, so that Miri
//! reports a race where that does not order their accesses.
#![cfg(all(
    target_os = "linux",
    any(target_env = "gnu", target_env = "musl"),
    target_pointer_width = "64",
    not(any(pysync_loom, pysync_shuttle))
))]

use std::cell::UnsafeCell;
use std::mem::forget;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pysync_robust::{
    Acquired, BorrowedMutex, Error, Forever, Kind, Memory, Ownership, Private, RawMutex,
    RobustMutex, SIZE, Shared, SharedAcquired, State, Timeout,
};
use pysync_testing::{together, watchdog};

/// `native` rounds of a test, or `miri` ones, which take a thousand times as long each.
const fn rounds(miri: usize, native: usize) -> usize {
    if cfg!(miri) { miri } else { native }
}

/// A timeout about as long as the other threads take for a step.
fn soon(step: usize) -> Timeout {
    let unit = if cfg!(miri) { 300_000 } else { 500 };
    match step as u64 % 4 {
        0 => Timeout::Try,
        some => Timeout::After(Duration::from_nanos(some * unit)),
    }
}

/// Room for a mutex and some data.
const ROOM: usize = 4 * SIZE;

/// Memory that several values share, as processes share a mapping.
#[derive(Clone)]
struct Common(Arc<Bytes>);

#[repr(C, align(8))]
struct Bytes(UnsafeCell<[u8; ROOM]>);

// SAFETY: the code under test is to keep accesses apart.
unsafe impl Sync for Bytes {}

impl Common {
    fn new() -> Self {
        Self(Arc::new(Bytes(UnsafeCell::new([0; ROOM]))))
    }

    fn raw(&self) -> RawMutex {
        // SAFETY: the tests keep a clone for as long as they use the mutex.
        unsafe { RawMutex::at(self.bytes().cast().as_ptr()) }.unwrap()
    }
}

// SAFETY: the bytes do not move, live as long as any clone, and no other code has their address.
unsafe impl Memory for Common {
    fn bytes(&self) -> NonNull<[u8]> {
        NonNull::new(self.0.0.get()).expect("not null")
    }
}

/// A value that nothing protects but the mutex under test.
struct Plain(UnsafeCell<usize>);

// SAFETY: as for `Bytes`.
unsafe impl Sync for Plain {}

impl Plain {
    const fn new(value: usize) -> Self {
        Self(UnsafeCell::new(value))
    }

    fn get(&self) -> usize {
        // SAFETY: by the caller, who holds the mutex.
        unsafe { *self.0.get() }
    }

    fn add_one(&self) {
        // SAFETY: as above.
        unsafe { *self.0.get() += 1 };
    }
}

#[test]
fn a_raw_mutex_guards_what_is_behind_it() {
    let _watchdog = watchdog();
    let each = rounds(4, 5_000);
    for kind in [Kind::Plain, Kind::Recursive] {
        let (memory, count) = (Common::new(), Plain::new(0));
        let mutex = memory.raw();
        mutex.initialize(kind).unwrap();
        together(3, |id| {
            for round in 0..each {
                let timeout = if id == 0 { Timeout::Never } else { soon(id + round) };
                match mutex.acquire(timeout) {
                    Ok(ownership) => {
                        assert_eq!(ownership, Ownership::Clean);
                        count.add_one();
                        mutex.release().unwrap();
                    }
                    Err(error) => assert!(matches!(error, Error::Busy | Error::TimedOut)),
                }
                assert_eq!(mutex.release(), Err(Error::NotOwner));
            }
        });
        assert!((each..=3 * each).contains(&count.get()));
        assert_eq!(mutex.state(), Ok(State::Free));
    }
}

#[test]
fn threads_make_it_end_it_and_make_it_again() {
    let _watchdog = watchdog();
    let (memory, count) = (Common::new(), Plain::new(0));
    let mutex = memory.raw();
    together(3, |id| {
        for round in 0..rounds(4, 2_000) {
            let opened = mutex.open(Kind::Plain, Timeout::Never);
            assert!(opened.is_ok(), "{opened:?}");
            match mutex.acquire(Timeout::Never) {
                Ok(_) => {
                    count.add_one();
                    mutex.release().unwrap();
                }
                Err(error) => assert_eq!(error, Error::Destroyed),
            }
            if (id + round) % 3 == 0
                && let Err(error) = mutex.destroy()
            {
                assert!(matches!(error, Error::Busy | Error::Destroyed));
            }
        }
    });
}

#[test]
fn data_is_stored_by_one_and_seen_by_all() {
    let _watchdog = watchdog();
    for _ in 0..rounds(3, 300) {
        let memory = Common::new();
        together(3, |id| {
            let value = [id as u64; 6];
            let opened = Shared::open(memory.clone(), 7, value, Timeout::Never);
            let (shared, made) = opened.unwrap();
            let mut held = shared.acquire(Timeout::Never).unwrap().repaired(|_| ());
            assert!(held.iter().all(|word| *word == held[0]));
            assert!(!made || held[0] >= id as u64);
            held.iter_mut().for_each(|word| *word += 3);
        });
        let shared = Shared::<[u64; 6], _>::attach(memory.clone(), 7).unwrap();
        assert!(shared.acquire(Timeout::Try).unwrap().repaired(|_| ())[0] >= 9);
        assert!(matches!(Shared::<[u64; 5], _>::attach(memory, 7), Err(Error::Data { .. })));
    }
}

#[test]
fn guards_of_all_kinds_release() {
    let _watchdog = watchdog();
    let memory = Common::new();
    let mutex = RobustMutex::initialize(memory.clone(), Kind::Recursive).unwrap();
    let again = RobustMutex::attach(memory).unwrap();
    let outer = mutex.acquire(Timeout::Never).unwrap().repaired(|| ());
    let inner = again.acquire(Timeout::Never).unwrap();
    // Not in the order in which they came.
    drop(outer);
    assert!(matches!(again.state(), Ok(State::Held { .. })));
    drop(mutex);
    assert!(matches!(inner, Acquired::Clean(_)));
    drop(inner);
    assert_eq!(again.state(), Ok(State::Free));

    let entered = again.scope(Timeout::Never, |entered| {
        assert!(!entered.owner_died());
        again.scope(Timeout::Try, |_| 42).unwrap()
    });
    assert_eq!(entered, Ok(42));
    let panic = || again.scope(Timeout::Never, |_| resume_unwind(Box::new("inside")));
    let panic: Result<Result<(), Error>, _> = catch_unwind(AssertUnwindSafe(panic));
    assert!(panic.is_err());
    assert_eq!(again.state(), Ok(State::Free));
}

#[test]
fn a_borrowed_buffer_is_given_back() {
    let _watchdog = watchdog();
    let mut words = [0_u64; ROOM / 8];
    let total = 2 * rounds(3, 2_000);
    let count = Plain::new(0);
    for _ in 0..2 {
        let buffer: &mut [u64] = &mut words;
        // SAFETY: any bytes are bytes.
        let (before, bytes, after) = unsafe { buffer.align_to_mut::<u8>() };
        assert!(before.is_empty() && after.is_empty());
        let mutex = BorrowedMutex::initialize(bytes, Kind::Recursive).unwrap();
        together(2, |_| {
            for _ in 0..total / 2 {
                let entered = mutex.scope(Timeout::Never, |_| {
                    mutex.scope(Timeout::Never, |_| count.add_one()).unwrap();
                });
                entered.unwrap();
            }
        });
        let panic = || mutex.scope(Timeout::Never, |_| resume_unwind(Box::new("inside")));
        let panic: Result<Result<(), Error>, _> = catch_unwind(AssertUnwindSafe(panic));
        assert!(panic.is_err());
        // Released, or this would be refused.
        assert_eq!(mutex.destroy(), Ok(()));
        assert_eq!(mutex.scope(Timeout::Never, |_| ()), Err(Error::Destroyed));
        assert_eq!(mutex.reinitialize(Kind::Plain), Ok(()));
        assert_eq!(mutex.scope(Timeout::Never, |_| mutex.destroy()), Ok(Err(Error::Busy)));
        // All of it is the caller's again.
        words.fill(0);
    }
    assert_eq!(count.get(), 2 * total);
}

/// What a test leaks, so that Miri can tell it from what it should not.
static LEAKED: Mutex<Vec<Common>> = Mutex::new(Vec::new());

#[test]
fn a_forgotten_guard_keeps_the_memory() {
    let _watchdog = watchdog();
    let memory = Common::new();
    LEAKED.lock().unwrap().push(memory.clone());
    let mutex = RobustMutex::initialize(memory.clone(), Kind::Plain).unwrap();
    forget(mutex.acquire(Timeout::Never).unwrap());
    assert_eq!(Arc::strong_count(&memory.0), 3);
    drop(mutex);
    assert_eq!(Arc::strong_count(&memory.0), 3, "the memory went with the mutex");
    // The thread holds it still, and another mutex goes in and out of its list.
    let other = RobustMutex::initialize(Private::new(SIZE), Kind::Plain).unwrap();
    drop(other.acquire(Timeout::Never).unwrap());
    let mutex = RobustMutex::attach(memory).unwrap();
    assert!(matches!(mutex.acquire(Timeout::Try), Err(Error::Deadlock)));

    let memory = Common::new();
    LEAKED.lock().unwrap().push(memory.clone());
    let shared = Shared::initialize(memory.clone(), 1, 5_u64).unwrap();
    forget(shared.acquire(Timeout::Never).unwrap());
    drop(shared);
    assert_eq!(Arc::strong_count(&memory.0), 3);
}

#[test]
fn memory_of_each_kind_goes_when_the_mutex_does() {
    let _watchdog = watchdog();
    let mutex = RobustMutex::initialize(Private::new(SIZE), Kind::Plain).unwrap();
    drop(mutex.acquire(Timeout::Never).unwrap());
    drop(mutex);
    assert!(matches!(
        RobustMutex::initialize(Private::new(SIZE - 1), Kind::Plain),
        Err(Error::TooSmall { len, need: SIZE }) if len == SIZE - 1
    ));

    let words = Box::into_raw(Box::new([0_u64; ROOM / 8]));
    {
        // SAFETY: from the box above; freed below, when all that has it is gone.
        let words: &'static mut [u64] = unsafe { &mut *words };
        let shared = Shared::initialize(Forever::from(words), 1, 5_u64).unwrap();
        let held = shared.acquire(Timeout::Never).unwrap();
        assert!(matches!(&held, SharedAcquired::Clean(guard) if **guard == 5));
    }
    // SAFETY: as above.
    drop(unsafe { Box::from_raw(words) });
}

/// Miri has no kernel that tells the next owner.
#[test]
#[cfg(not(miri))]
fn a_dead_owner_is_told_of() {
    let _watchdog = watchdog();
    for round in 0..300 {
        let memory = Common::new();
        LEAKED.lock().unwrap().push(memory.clone());
        let shared = Shared::initialize(memory, 1, [0_u64; 2]).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut held = shared.acquire(Timeout::Never).unwrap().repaired(|_| ());
                held[0] = 1;
                forget(held);
            });
        });
        let SharedAcquired::OwnerDied(mut died) = shared.acquire(Timeout::Never).unwrap() else {
            panic!("the owner has died");
        };
        assert_eq!(*died, [1, 0]);
        if round % 2 == 0 {
            died[1] = 1;
            assert_eq!(*died.make_consistent(), [1, 1]);
        } else {
            died.give_up();
            assert!(matches!(shared.acquire(Timeout::Never), Err(Error::NotRecoverable)));
            shared.reinitialize([2, 2]).unwrap();
        }
        let held = shared.acquire(Timeout::Never).unwrap().repaired(|_| unreachable!());
        assert_eq!(held[0], held[1]);
    }
}
