//! The kernel looks at 2,048 robust mutexes of a thread that dies. So a thread may hold as many, and no
//! death is forgotten.
#![cfg(all(
    target_os = "linux",
    target_pointer_width = "64",
    not(miri),
    not(any(pysync_loom, pysync_shuttle))
))]

mod common;

use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::time::Duration;

use common::*;
use pysync_robust::{Error, Kind, Ownership, RawMutex, State, Timeout};
use pysync_testing::{watchdog, watchdog_for};

const LIMIT: usize = 2_048;

unsafe extern "C" {
    fn pthread_mutexattr_setrobust(
        attributes: *mut libc::pthread_mutexattr_t,
        robust: libc::c_int,
    ) -> libc::c_int;
}

/// The addresses of the words of all robust mutexes that the calling thread holds, as the kernel sees
/// them.
fn held() -> BTreeSet<usize> {
    // The first entry, and what to add to an entry for its word.
    let (mut head, mut len) = (std::ptr::null::<(usize, isize)>(), 0_usize);
    // SAFETY: writes to the two locals.
    let failed =
        unsafe { libc::syscall(libc::SYS_get_robust_list, 0, &raw mut head, &raw mut len) };
    assert_eq!(failed, 0);
    let mut words = BTreeSet::new();
    if head.is_null() {
        return words;
    }
    // SAFETY: the calling thread's own list, which does not change meanwhile.
    unsafe {
        let mut entry = std::ptr::addr_of!((*head).0).read();
        let offset = head.cast::<isize>().add(1).read();
        while entry != head.addr() {
            assert!(words.insert(entry.wrapping_add_signed(offset)), "the list has a loop");
            entry = std::ptr::with_exposed_provenance::<usize>(entry).read();
        }
    }
    words
}

fn words<'a>(mutexes: impl IntoIterator<Item = &'a RawMutex>) -> BTreeSet<usize> {
    mutexes.into_iter().map(|mutex| mutex.as_ptr().addr() + WORD).collect()
}

fn many(count: usize, kind: Kind) -> Vec<RawMutex> {
    (0..count).map(|_| made(kind)).collect()
}

fn one_more_is_too_many(mutex: RawMutex) {
    for timeout in [Timeout::Never, Timeout::Try, Timeout::After(Duration::from_secs(3600))] {
        let error = mutex.acquire(timeout).unwrap_err();
        assert_eq!((error, error.errno()), (Error::TooManyHeld, libc::ENOLCK));
    }
}

#[test]
fn a_thread_holds_2048_and_its_death_is_reported_for_each() {
    let _watchdog = watchdog_for(Duration::from_secs(120));
    for kind in [Kind::Plain, Kind::Recursive] {
        let (owner, mutexes) = (Actor::new(), many(LIMIT, kind));
        let one_more = made(kind);
        owner.run({
            let mutexes = mutexes.clone();
            move || {
                mutexes.iter().copied().for_each(take);
                assert_eq!(held(), words(&mutexes));
                one_more_is_too_many(one_more);
                // Nothing has happened to it.
                assert_eq!(one_more.state(), Ok(State::Free));
                assert_eq!(held(), words(&mutexes));
                // It could not be locked in order to destroy it or make it ready either.
                assert_eq!(one_more.destroy(), Err(Error::TooManyHeld));
                // After a release there is room for one.
                for released in [0, LIMIT / 2, LIMIT - 1] {
                    mutexes[released].release().unwrap();
                    take(one_more);
                    one_more_is_too_many(mutexes[released]);
                    one_more.release().unwrap();
                    take(mutexes[released]);
                    one_more_is_too_many(one_more);
                }
                assert_eq!(held(), words(&mutexes));
            }
        });
        // It is the thread's limit, and not the process's or the mutex's.
        take(one_more);
        one_more.release().unwrap();
        owner.die();
        for (number, mutex) in mutexes.iter().enumerate() {
            assert_eq!(mutex.state(), Ok(State::OwnerDied), "mutex {number}");
            let acquired = mutex.acquire(Timeout::Try);
            assert_eq!(acquired, Ok(Ownership::OwnerDied), "mutex {number}");
            mutex.make_consistent().unwrap();
            mutex.release().unwrap();
        }
        assert_eq!(held(), BTreeSet::new());
    }
}

/// To acquire what the thread holds already takes no room in its list.
#[test]
fn at_the_limit_a_mutex_can_be_acquired_again() {
    let _watchdog = watchdog();
    in_a_short_life(|| {
        let mut mutexes = many(LIMIT - 1, Kind::Recursive);
        mutexes.push(made(Kind::Plain));
        mutexes.iter().copied().for_each(take);
        assert_eq!(mutexes[LIMIT - 1].acquire(Timeout::Try), Err(Error::Deadlock));
        for mutex in &mutexes[..LIMIT - 1] {
            take(*mutex);
            mutex.release().unwrap();
        }
        one_more_is_too_many(made(Kind::Recursive));
        assert_eq!(held(), words(&mutexes));
    });
}

/// The C library's robust mutexes, locked.
fn lock_c_mutexes(count: usize) -> Vec<&'static mut libc::pthread_mutex_t> {
    let lock = |_| {
        let mutex = Box::leak(Box::new(MaybeUninit::<libc::pthread_mutex_t>::uninit()));
        let mut attributes = MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
        let attributes = attributes.as_mut_ptr();
        // SAFETY: both are initialised here, and the mutex stays.
        unsafe {
            assert_eq!(libc::pthread_mutexattr_init(attributes), 0);
            let shared = libc::PTHREAD_PROCESS_SHARED;
            assert_eq!(libc::pthread_mutexattr_setpshared(attributes, shared), 0);
            assert_eq!(pthread_mutexattr_setrobust(attributes, 1), 0);
            assert_eq!(libc::pthread_mutex_init(mutex.as_mut_ptr(), attributes), 0);
            assert_eq!(libc::pthread_mutex_lock(mutex.as_mut_ptr()), 0);
            mutex.assume_init_mut()
        }
    };
    (0..count).map(lock).collect()
}

/// Takes one after another until it is refused, and returns how many it took.
fn take_until_refused(mutexes: &[RawMutex]) -> usize {
    for (taken, mutex) in mutexes.iter().enumerate() {
        match mutex.acquire(Timeout::Try) {
            Ok(how) => assert_eq!(how, Ownership::Clean),
            Err(error) => {
                assert_eq!(error, Error::TooManyHeld);
                return taken;
            }
        }
    }
    panic!("it was never refused");
}

#[test]
fn what_c_has_locked_counts() {
    let _watchdog = watchdog();
    for (before, of_c) in [(0, 1_000), (1, 500), (1_000, 20), (0, LIMIT), (0, LIMIT + 10)] {
        let mutexes = many(LIMIT + 1, Kind::Plain);
        in_a_short_life(move || {
            mutexes[..before].iter().copied().for_each(take);
            let mut c_mutexes = lock_c_mutexes(of_c);
            assert_eq!(held().len(), before + of_c);
            let taken = before + take_until_refused(&mutexes[before..]);
            assert_eq!(taken, LIMIT.saturating_sub(of_c), "after {before} and {of_c} of C");
            // If C gives some back, there is room.
            for mutex in c_mutexes.drain(..of_c.saturating_sub(LIMIT) + 3) {
                // SAFETY: locked by this thread.
                assert_eq!(unsafe { libc::pthread_mutex_unlock(mutex) }, 0);
            }
            assert_eq!(take_until_refused(&mutexes[taken..]), 3);
            assert_eq!(held().len(), LIMIT);
        });
    }
}

/// No owner can hold so many, but an heir of two could.
#[test]
fn what_is_taken_over_from_the_dead_counts() {
    let _watchdog = watchdog();
    let mutexes = many(LIMIT + 100, Kind::Plain);
    for half in mutexes.chunks(LIMIT / 2 + 50) {
        let half = half.to_vec();
        in_a_short_life(move || half.into_iter().for_each(take));
    }
    in_a_short_life(move || {
        for mutex in &mutexes[..LIMIT] {
            assert_eq!(mutex.acquire(Timeout::Try), Ok(Ownership::OwnerDied));
        }
        for mutex in &mutexes[LIMIT..] {
            one_more_is_too_many(*mutex);
            assert_eq!(mutex.state(), Ok(State::OwnerDied), "it is left to another heir");
        }
        assert_eq!(held(), words(&mutexes[..LIMIT]));
    });
}

/// Whatever is done, what is counted is what the list has.
#[test]
fn the_count_is_right_after_many_calls() {
    let _watchdog = watchdog_for(Duration::from_secs(120));
    let other = Actor::new();
    in_a_short_life(move || {
        let mutexes = many(40, Kind::Recursive);
        let mut random = Random::new(3);
        let mut mine = BTreeSet::new();
        for _ in 0..20_000 {
            let mutex = random.pick(&mutexes);
            let word = words([&mutex]);
            match random.below(8) {
                0..3 if mutex.acquire(Timeout::Try).is_ok() => mine.extend(word),
                3..5 if mutex.release().is_ok() && !held().is_superset(&word) => {
                    mine.retain(|held| !word.contains(held));
                }
                5 if mutex.destroy().is_ok() => mutex.initialize(Kind::Recursive).unwrap(),
                6 if mutex.give_up().is_ok() => {
                    while mutex.release().is_ok() {}
                    mine.retain(|held| !word.contains(held));
                    mutex.initialize(Kind::Recursive).unwrap();
                }
                7 => {
                    let turn =
                        move || mutex.release().or_else(|_| mutex.acquire(Timeout::Try).map(drop));
                    _ = other.run(turn);
                }
                _ => {}
            }
            assert_eq!(held(), mine);
        }
        other.die();
        for mutex in &mutexes {
            while mutex.release().is_ok() {}
        }
        assert_eq!(held(), BTreeSet::new());
        // Deaths that were taken over count as any.
        let mut left = mutexes.iter().filter(|mutex| mutex.state() == Ok(State::OwnerDied));
        assert!(left.all(|mutex| mutex.acquire(Timeout::Try) == Ok(Ownership::OwnerDied)));
        let taken_over = held().len();
        assert!(taken_over > 0);
        assert_eq!(take_until_refused(&many(LIMIT + 1, Kind::Plain)), LIMIT - taken_over);
        assert_eq!(held().len(), LIMIT);
    });
}
