//! Undefined behaviour by the letter: small tests for Miri, which `ci/miri.sh` runs with several seeds. They
//! run natively too, with more rounds.
//!
//! The values are neither atomic nor locked but by the counts, so that Miri reports a race where these do not
//! order the accesses.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use pysync_reclaim::{Deadline, Finalize, Finalized, Finalizer, Shared, Spread, away};
use pysync_testing::{together, watchdog};

const ROUNDS: usize = if cfg!(miri) { 4 } else { 1_000 };

/// Written by its drop, without an atomic.
struct Plain<'a>(Box<usize>, &'a AtomicUsize);

impl Drop for Plain<'_> {
    fn drop(&mut self) {
        *self.0 += 1;
        self.1.fetch_add(*self.0, Relaxed);
    }
}

#[test]
fn handles_move_from_thread_to_thread() {
    static SUM: AtomicUsize = AtomicUsize::new(0);
    let _watchdog = watchdog();
    let place = Mutex::new(None);
    together(3, |id| {
        for round in 0..ROUNDS {
            let own = Shared::new(Plain(Box::new(0), &SUM));
            let other = place.lock().unwrap().replace(own.clone());
            if let Some(other) = &other {
                assert_eq!(*other.0, 0);
            }
            match (id + round) % 3 {
                0 => away(|| drop((own, other))),
                1 => {
                    let again = own.clone();
                    drop((other, own));
                    assert_eq!(*again.0, 0);
                }
                _ => drop((own, other)),
            }
        }
    });
    drop(place);
    Shared::collect();
    assert_eq!(SUM.load(Relaxed), 3 * ROUNDS);
}

#[test]
fn spread_objects_end_under_the_hands_of_their_users() {
    static SUM: AtomicUsize = AtomicUsize::new(0);
    let _watchdog = watchdog();
    for _ in 0..ROUNDS {
        let base = Mutex::new(Some(Shared::spread(&Shared::new(Plain(Box::new(0), &SUM)))));
        let share = || base.lock().unwrap().as_ref().map(Spread::share);
        let handles = Mutex::new([share(), share(), share()]);
        together(3, |id| {
            let mut own = handles.lock().unwrap()[id].take().unwrap();
            for round in 0..3 {
                own = own.clone();
                assert_eq!(*own.0, 0);
                if (id, round) == (1, 1) {
                    drop(base.lock().unwrap().take());
                }
            }
        });
    }
    assert_eq!(SUM.load(Relaxed), ROUNDS);
}

struct Core(Box<usize>, &'static AtomicUsize);

impl Finalize for Core {
    fn finalize(mut self) {
        *self.0 += 1;
        self.1.fetch_add(*self.0, Relaxed);
    }
}

#[test]
fn cores_go_to_their_finalizer() {
    static SUM: AtomicUsize = AtomicUsize::new(0);
    let _watchdog = watchdog();
    let finalizer = Finalizer::new("miri").unwrap();
    together(2, |id| {
        for _ in 0..ROUNDS {
            let shared = Shared::new(Finalized::new_on(&finalizer, Core(Box::new(0), &SUM)));
            drop(shared.clone());
            drop(shared);
            drop(Finalized::disarm(Finalized::new_on(&finalizer, Core(Box::new(0), &SUM))));
        }
        if id == 0 {
            finalizer.shutdown(Deadline::NOW);
        }
    });
    assert_eq!(finalizer.shutdown(Deadline::NEVER).left, 0);
    assert_eq!(SUM.load(Relaxed), 2 * ROUNDS);
}

#[test]
fn values_are_taken_out() {
    let mut own = Shared::new(Box::new(1));
    **Shared::get_mut(&mut own).unwrap() += 1;
    together(2, |_| drop(own.clone()));
    assert_eq!(Shared::try_unwrap(own), Ok(Box::new(2)));
}
