//! The safe forms: guards over memory that is kept, scopes over memory that is borrowed.
#![cfg(all(
    target_os = "linux",
    target_pointer_width = "64",
    not(any(pysync_loom, pysync_shuttle))
))]

use std::mem::{self, MaybeUninit};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use pysync_robust::{
    Acquired, BorrowedMutex, Error, Forever, Guard, Kind, Memory, Private, RobustMutex, SIZE,
    State, Timeout,
};
use pysync_testing::{hush_panics, together, watchdog};

const TRY: Timeout = Timeout::Try;
const NEVER: Timeout = Timeout::Never;

fn mutex(kind: Kind) -> RobustMutex<Private> {
    RobustMutex::initialize(Private::new(SIZE), kind).unwrap()
}

/// The guard of a mutex whose owner lives, or has released it.
fn clean<M: Memory>(acquired: Result<Acquired<'_, M>, Error>) -> Guard<'_, M> {
    match acquired {
        Ok(Acquired::Clean(guard)) => guard,
        other => panic!("{other:?}"),
    }
}

/// Has a thread acquire the mutex, and die with it.
fn die_with<M: Memory + Sync>(mutex: &RobustMutex<M>) {
    thread::scope(|s| {
        s.spawn(|| mem::forget(mutex.acquire(NEVER).unwrap())).join().unwrap();
    });
}

#[test]
fn a_guard_releases_when_it_is_dropped() {
    let mutex = mutex(Kind::Plain);
    let guard = clean(mutex.acquire(NEVER));
    assert!(matches!(mutex.state(), Ok(State::Held { inconsistent: false, .. })));
    assert_eq!(mutex.acquire(NEVER).map(drop), Err(Error::Deadlock));
    drop(guard);
    assert_eq!(mutex.state(), Ok(State::Free));
    drop(clean(mutex.acquire(TRY)));
}

#[test]
fn guards_of_a_recursive_mutex_nest() {
    let mutex = mutex(Kind::Recursive);
    let guards: Vec<_> = (0..10).map(|_| clean(mutex.acquire(TRY))).collect();
    thread::scope(|s| {
        for guard in guards {
            s.spawn(|| assert_eq!(mutex.acquire(TRY).map(drop), Err(Error::Busy))).join().unwrap();
            drop(guard);
        }
        s.spawn(|| drop(clean(mutex.acquire(TRY)))).join().unwrap();
    });
}

#[test]
fn a_death_is_told_once_and_repaired() {
    let _watchdog = watchdog();
    let mutex = mutex(Kind::Plain);
    die_with(&mutex);
    let Ok(Acquired::OwnerDied(died)) = mutex.acquire(NEVER) else { panic!("the owner has died") };
    drop(died.make_consistent());
    drop(clean(mutex.acquire(TRY)));

    die_with(&mutex);
    let mut repairs = 0;
    drop(mutex.acquire(NEVER).unwrap().repaired(|| repairs += 1));
    drop(mutex.acquire(NEVER).unwrap().repaired(|| repairs += 1));
    assert_eq!(repairs, 1);
}

#[test]
fn what_nobody_repairs_is_not_recoverable() {
    let mutex = mutex(Kind::Plain);
    for way in 0..3 {
        die_with(&mutex);
        let acquired = mutex.acquire(NEVER).unwrap();
        match (way, acquired) {
            (0, Acquired::OwnerDied(died)) => died.give_up(),
            (1, acquired) => drop(acquired),
            (_, acquired) => {
                hush_panics("cannot repair");
                let repair = AssertUnwindSafe(|| acquired.repaired(|| panic!("cannot repair")));
                assert!(catch_unwind(repair).is_err());
            }
        }
        assert_eq!(mutex.state(), Ok(State::NotRecoverable));
        assert_eq!(mutex.acquire(NEVER).map(drop), Err(Error::NotRecoverable));
        mutex.reinitialize(Kind::Plain).unwrap();
        drop(clean(mutex.acquire(TRY)));
    }
}

#[test]
fn an_inner_guard_repairs_for_the_outer_one() {
    let mutex = mutex(Kind::Recursive);
    die_with(&mutex);
    let outer = mutex.acquire(TRY).unwrap();
    assert!(matches!(outer, Acquired::OwnerDied(_)));
    let inner = mutex.acquire(TRY).unwrap();
    assert!(matches!(inner, Acquired::OwnerDied(_)), "not repaired yet");
    drop(inner.repaired(|| ()));
    drop(clean(mutex.acquire(TRY)));
    drop(outer);
    drop(clean(mutex.acquire(TRY)));

    die_with(&mutex);
    let outer = mutex.acquire(TRY).unwrap();
    drop(mutex.acquire(TRY).unwrap());
    assert_eq!(mutex.acquire(TRY).map(drop), Err(Error::NotRecoverable));
    // Still held: the outer one has not gone.
    assert_eq!(mutex.reinitialize(Kind::Plain), Err(Error::Busy));
    drop(outer.repaired(|| ()));
    assert_eq!(mutex.acquire(TRY).map(drop), Err(Error::NotRecoverable));
}

#[test]
fn threads_exclude_each_other() {
    let _watchdog = watchdog();
    let mutex = mutex(Kind::Plain);
    let (inside, count) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let rounds = if cfg!(miri) { 20 } else { 10_000 };
    together(4, |id| {
        for round in 0..rounds {
            let timeout = match (id + round) % 3 {
                0 => NEVER,
                1 => Timeout::After(Duration::from_secs(50)),
                _ => TRY,
            };
            match mutex.acquire(timeout) {
                Ok(acquired) => {
                    assert_eq!(inside.fetch_add(1, SeqCst), 0);
                    count.fetch_add(1, SeqCst);
                    inside.fetch_sub(1, SeqCst);
                    drop(acquired);
                }
                Err(error) => assert_eq!((error, timeout), (Error::Busy, TRY)),
            }
        }
    });
    assert!(count.into_inner() >= 4 * rounds * 2 / 3);
}

#[test]
fn a_scope_ends_with_a_release() {
    let mutex = mutex(Kind::Plain);
    assert_eq!(mutex.scope(TRY, |entered| entered.owner_died()), Ok(false));
    hush_panics("in a scope");
    let scope = AssertUnwindSafe(|| mutex.scope(TRY, |_| panic!("in a scope")));
    assert!(catch_unwind(scope).is_err());
    assert_eq!(mutex.state(), Ok(State::Free));

    die_with(&mutex);
    let repaired = mutex.scope(TRY, |entered| {
        assert!(entered.owner_died());
        entered.make_consistent();
        assert!(!entered.owner_died());
    });
    assert_eq!(repaired, Ok(()));
    assert_eq!(mutex.state(), Ok(State::Free));

    die_with(&mutex);
    assert_eq!(mutex.scope(TRY, |entered| entered.owner_died()), Ok(true));
    assert_eq!(mutex.scope(TRY, |_| ()), Err(Error::NotRecoverable));
}

#[test]
fn a_borrowed_mutex_is_held_in_scopes() {
    let _watchdog = watchdog();
    let mut words = [0_u64; SIZE / 8 + 1];
    let bytes = bytemuck::cast_slice_mut::<u64, u8>(&mut words);
    assert_eq!(BorrowedMutex::attach(bytes).map(drop), Err(Error::Uninitialized));
    let mutex = BorrowedMutex::initialize(bytes, Kind::Recursive).unwrap();
    let mut count = 0;
    let shared = NonNull::from(&mut count).as_ptr() as usize;
    together(3, |_| {
        for _ in 0..100 {
            let added = mutex.scope(NEVER, |_| {
                // SAFETY: only in scopes, and the count outlives the threads.
                mutex.scope(TRY, |_| unsafe {
                    *std::ptr::with_exposed_provenance_mut::<u32>(shared) += 1
                })
            });
            assert_eq!(added, Ok(Ok(())));
        }
    });
    assert_eq!(count, 300);
    hush_panics("in a borrowed scope");
    let scope = AssertUnwindSafe(|| mutex.scope(TRY, |_| panic!("in a borrowed scope")));
    assert!(catch_unwind(scope).is_err());
    assert_eq!(mutex.state(), Ok(State::Free));
    mutex.destroy().unwrap();
    assert_eq!(mutex.scope(TRY, |_| ()), Err(Error::Destroyed));
    // The mutex has not touched what is behind it, and the borrow has ended.
    assert_eq!(words[SIZE / 8], 0);
    let bytes = bytemuck::cast_slice_mut::<u64, u8>(&mut words);
    assert!(BorrowedMutex::open(bytes, Kind::Plain, TRY).unwrap().1);
    let bytes = bytemuck::cast_slice_mut::<u64, u8>(&mut words);
    assert!(!BorrowedMutex::open(bytes, Kind::Plain, TRY).unwrap().1);
}

#[test]
fn buffers_that_will_not_do_are_refused() {
    let mut words = [0_u64; SIZE / 8 + 2];
    let bytes = bytemuck::cast_slice_mut::<u64, u8>(&mut words);
    for by in 1..8 {
        let refused = BorrowedMutex::initialize(&mut bytes[by..], Kind::Plain).map(drop);
        assert_eq!(refused, Err(Error::Misaligned { by }));
    }
    for len in [0, 1, SIZE - 1] {
        let refused = BorrowedMutex::initialize(&mut bytes[..len], Kind::Plain).map(drop);
        assert_eq!(refused, Err(Error::TooSmall { len, need: SIZE }));
    }
    assert!(bytes.iter().all(|byte| *byte == 0), "a refused buffer is left alone");
    let small = RobustMutex::initialize(Private::new(1), Kind::Plain).map(drop);
    assert_eq!(small, Err(Error::TooSmall { len: 1, need: SIZE }));
}

/// Memory that says when it is freed.
struct Told<'a> {
    memory: Private,
    freed: &'a AtomicUsize,
}

// SAFETY: as for `Private`. The counter is not of the memory.
unsafe impl Memory for Told<'_> {
    fn bytes(&self) -> NonNull<[u8]> {
        self.memory.bytes()
    }
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.freed.fetch_add(1, SeqCst);
    }
}

#[test]
fn the_memory_goes_with_the_mutex_unless_a_guard_was_leaked() {
    let freed = AtomicUsize::new(0);
    let mutex = || {
        let memory = Told { memory: Private::new(SIZE), freed: &freed };
        RobustMutex::initialize(memory, Kind::Recursive).unwrap()
    };
    let dropped = mutex();
    drop(clean(dropped.acquire(TRY)));
    drop(dropped);
    assert_eq!(freed.load(SeqCst), 1);
    for released in 0..3 {
        let leaked = mutex();
        mem::forget(leaked.acquire(TRY));
        (0..released).for_each(|_| drop(clean(leaked.acquire(TRY))));
        drop(leaked);
        assert_eq!(freed.load(SeqCst), 1, "{released} others were released");
    }
}

/// What a leaked guard leaves in the thread's list of held mutexes must stay a list, which the next lock
/// and the end of the thread go through.
#[cfg(not(miri))]
#[test]
fn a_leaked_guard_corrupts_nothing() {
    let mut words = Vec::new();
    thread::scope(|s| {
        s.spawn(|| {
            for _ in 0..50 {
                let leaked = mutex(Kind::Plain);
                words.push(word_of(&leaked));
                mem::forget(leaked.acquire(TRY));
                drop(leaked);
                // What would be in the place of freed memory now, and be written to.
                let strangers: Vec<Box<[u8; SIZE]>> =
                    (0..8).map(|_| Box::new([0xaa; SIZE])).collect();
                let other = mutex(Kind::Plain);
                let guard = clean(other.acquire(TRY));
                assert_eq!(held()[0], word_of(&other));
                let mut expected = words.clone();
                expected.reverse();
                assert_eq!(held()[1..], expected, "the list leads through all that were leaked");
                drop(guard);
                assert!(strangers.iter().all(|stranger| **stranger == [0xaa; SIZE]));
            }
        })
        .join()
        .unwrap();
    });
    // The kernel has marked each of them.
    for word in words {
        // SAFETY: leaked memory.
        let word = unsafe { std::ptr::with_exposed_provenance::<u32>(word).read_volatile() };
        assert_eq!(word & 0x7fff_ffff, 0x4000_0000);
    }
}

/// Where the word of the mutex is: `docs/robust.md` has the layout.
#[cfg(not(miri))]
fn word_of(mutex: &RobustMutex<Private>) -> usize {
    let in_library = if cfg!(target_env = "musl") { 4 } else { 0 };
    mutex.memory().bytes().cast::<u8>().as_ptr().expose_provenance() + 40 + in_library
}

/// The addresses of the words of all robust mutexes that the calling thread holds, as the kernel would
/// go through them.
#[cfg(not(miri))]
fn held() -> Vec<usize> {
    let mut head = MaybeUninit::<*const [usize; 3]>::uninit();
    let mut len = 0_usize;
    // SAFETY: writes to locals; the list is the thread's own.
    unsafe {
        let failed = libc::syscall(libc::SYS_get_robust_list, 0, head.as_mut_ptr(), &raw mut len);
        assert_eq!(failed, 0);
        let head = head.assume_init();
        let (mut entry, offset) = ((*head)[0], (*head)[1]);
        let mut words = Vec::new();
        while entry != head.addr() {
            words.push(entry.wrapping_add(offset));
            assert!(words.len() < 1_000, "the list has no end");
            entry = *std::ptr::with_exposed_provenance::<usize>(entry);
        }
        words
    }
}

#[test]
fn bytes_can_be_borrowed_for_ever() {
    let words: &'static mut [u64] = Box::leak(Box::new([0; SIZE / 8]));
    let mutex = RobustMutex::initialize(Forever::from(words), Kind::Plain).unwrap();
    mem::forget(mutex.acquire(TRY));
    drop(mutex);
}
