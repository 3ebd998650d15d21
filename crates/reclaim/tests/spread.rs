//! Spread counts: objects that many threads clone and drop.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::thread;

use pysync_reclaim::{Shared, Spread, away};
use pysync_testing::{together, watchdog};

struct Probe(Arc<AtomicUsize>);

impl Drop for Probe {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// The slots are the process's: a test that wants them all is alone.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn probe() -> (Shared<Probe>, Arc<AtomicUsize>) {
    let drops = Arc::<AtomicUsize>::default();
    (Shared::new(Probe(drops.clone())), drops)
}

fn elsewhere<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    thread::scope(|s| s.spawn(f).join().unwrap())
}

#[test]
fn the_last_handle_drops_the_value() {
    let _alone = alone();
    // The base goes first, or last.
    for base_is_last in [false, true] {
        let (handle, drops) = probe();
        let base = Shared::spread(&handle);
        let share = Spread::share(&base);
        elsewhere(|| drop(share.clone()));
        if base_is_last {
            drop((handle, share));
            assert_eq!(drops.load(SeqCst), 0);
            drop(base);
        } else {
            drop((handle, base));
            assert_eq!(drops.load(SeqCst), 0);
            drop(share);
        }
        assert_eq!(drops.load(SeqCst), 1);
    }
}

/// Clones of one thread are dropped by another, so that no row is balanced.
#[test]
fn clones_travel() {
    let _watchdog = watchdog();
    let _alone = alone();
    let (handle, drops) = probe();
    let base = Shared::spread(&handle);
    drop(handle);
    let (sender, receiver) = mpsc::sync_channel(8);
    thread::scope(|s| {
        s.spawn(move || receiver.into_iter().for_each(drop));
        let base = &base;
        s.spawn(move || (0..1000).for_each(|_| sender.send(Spread::share(base)).unwrap()));
    });
    assert_eq!(drops.load(SeqCst), 0);
    drop(base);
    assert_eq!(drops.load(SeqCst), 1);
}

/// The base is dropped while threads clone and drop: the last of them drops the value.
#[test]
fn the_base_goes_while_the_object_is_in_use() {
    let _watchdog = watchdog();
    let _alone = alone();
    for _ in 0..if cfg!(miri) { 3 } else { 200 } {
        let (handle, drops) = probe();
        let base = Mutex::new(Some(Shared::spread(&handle)));
        let handles = Mutex::new(vec![handle.clone(), handle.clone(), handle.clone(), handle]);
        together(4, |id| {
            let handle = handles.lock().unwrap().pop().unwrap();
            for round in 0..20 {
                drop(handle.clone());
                if id == 0 && round == 10 {
                    drop(base.lock().unwrap().take());
                }
            }
            assert_eq!(drops.load(SeqCst), 0);
            drop(handle);
        });
        assert_eq!(drops.load(SeqCst), 1);
    }
}

/// A thread that is not the owner spreads an object: at once if the owner is away or has ended, and else when
/// the owner has looked.
#[test]
fn a_thread_that_is_not_the_owner_spreads() {
    let _alone = alone();
    let (handle, drops) = elsewhere(probe);
    let base = Shared::spread(&handle);
    drop(handle);
    drop(base);
    assert_eq!(drops.load(SeqCst), 1);

    let (handle, drops) = probe();
    let base = elsewhere(|| Shared::spread(&handle));
    let share = Spread::share(&base);
    Shared::collect();
    drop(share);
    drop(handle);
    assert_eq!(drops.load(SeqCst), 0);
    drop(base);
    assert_eq!(drops.load(SeqCst), 1);

    // The base goes before the owner looks.
    let (handle, drops) = probe();
    elsewhere(|| drop(Shared::spread(&handle)));
    drop(handle);
    Shared::collect();
    assert_eq!(drops.load(SeqCst), 1);
}

#[test]
fn an_object_is_spread_twice_and_again() {
    let _alone = alone();
    let (handle, drops) = probe();
    let (first, second) = (Shared::spread(&handle), elsewhere(|| Shared::spread(&handle)));
    drop(first);
    elsewhere(|| drop(handle.clone()));
    drop(second);
    let third = elsewhere(|| Shared::spread(&handle));
    drop(handle);
    let last = Spread::share(&third);
    drop(third);
    assert_eq!(drops.load(SeqCst), 0);
    elsewhere(move || drop(last));
    assert_eq!(drops.load(SeqCst), 1);
}

#[test]
fn the_value_is_given_out_to_the_only_handle() {
    let _alone = alone();
    let mut handle = Shared::new(1);
    let base = Shared::spread(&handle);
    assert_eq!(Shared::get_mut(&mut handle), None);
    elsewhere(|| drop(handle.clone()));
    drop(base);
    *Shared::get_mut(&mut handle).unwrap() += 1;
    let another = handle.clone();
    assert_eq!(Shared::get_mut(&mut handle), None);
    drop(another);
    assert_eq!(Shared::try_unwrap(handle), Ok(2));
    // The slot is free, and what its rows sum up to does no harm to the next.
    the_slots_are_used_again();
}

fn the_slots_are_used_again() {
    for _ in 0..1100 {
        let (handle, drops) = probe();
        let base = Shared::spread(&handle);
        // Cloned in a row, and dropped in the shared word, so that the row stays out of balance.
        let shares = [Spread::share(&base), Spread::share(&base)];
        drop(handle);
        drop(base);
        assert_eq!(drops.load(SeqCst), 0);
        drop(shares);
        assert_eq!(drops.load(SeqCst), 1);
    }
}

/// More objects than there are slots: the others are counted as they were.
#[test]
fn there_are_more_objects_than_slots() {
    let _watchdog = watchdog();
    let _alone = alone();
    let objects: Vec<_> = (0..600).map(|_| probe()).collect();
    let bases: Vec<_> = objects.iter().map(|(handle, _)| Shared::spread(handle)).collect();
    elsewhere(|| bases.iter().for_each(|base| drop(Spread::share(base))));
    let drops: Vec<_> = objects.iter().map(|(_, drops)| drops.clone()).collect();
    drop(objects);
    assert!(drops.iter().all(|drops| drops.load(SeqCst) == 0));
    drop(bases);
    Shared::collect();
    assert!(drops.iter().all(|drops| drops.load(SeqCst) == 1));
    the_slots_are_used_again();
}

/// Threads come and go, and take the rows of those before.
#[test]
fn threads_end_with_rows_that_are_not_balanced() {
    let _alone = alone();
    let (handle, drops) = probe();
    let base = Shared::spread(&handle);
    drop(handle);
    let mut kept = Vec::new();
    for _ in 0..20 {
        kept.extend(elsewhere(|| [Spread::share(&base), Spread::share(&base)]));
        drop(kept.pop());
    }
    drop(base);
    elsewhere(move || drop(kept));
    assert_eq!(drops.load(SeqCst), 1);
}

/// A thread that is away, or about to end, counts in the shared word.
#[test]
fn threads_without_a_node_count_too() {
    let _alone = alone();
    let (handle, drops) = probe();
    let base = Shared::spread(&handle);
    away(|| {
        let clone = handle.clone();
        drop(handle);
        let another = clone.clone();
        drop(clone);
        drop(base);
        assert_eq!(drops.load(SeqCst), 0);
        drop(another);
    });
    assert_eq!(drops.load(SeqCst), 1);
}

/// A destructor drops another object that is spread.
#[test]
fn spread_objects_in_spread_objects() {
    let _alone = alone();
    let (inner, drops) = probe();
    let base = Shared::spread(&inner);
    let outer = Shared::spread(&Shared::new((inner, base)));
    elsewhere(|| drop(Spread::share(&outer)));
    assert_eq!(drops.load(SeqCst), 0);
    drop(outer);
    assert_eq!(drops.load(SeqCst), 1);
}

#[test]
fn a_base_looks_like_its_handle() {
    let _alone = alone();
    let base = Shared::spread(&Shared::new(7));
    assert!(format!("{base:?}").contains('7'));
    assert_eq!(**base, 7);
    let clone: Shared<i32> = base.clone();
    assert!(Shared::ptr_eq(&clone, &base));
}
