//! `guarded::OnceCell`: once, dropped as often as made, and as `once_cell`'s own cell behaves.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::*};
use std::thread;

use once_cell::sync::OnceCell as Reference;
use pysync_lock::guarded::OnceCell;
use pysync_testing::watchdog;

/// Small, deterministic, good enough to choose operations with (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }
}

/// Runs `body` and turns a panic into an error, without a message on the terminal.
fn caught<T>(body: impl FnOnce() -> T) -> Result<T, ()> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|_| ())
}

/// The same operation on both cells; what it returns, as text.
macro_rules! step {
    ($cell:expr, $operation:expr, $n:expr) => {{
        let (cell, n): (_, u32) = (&mut $cell, $n);
        match $operation {
            0 => format!("get {:?}", cell.get()),
            1 => format!("set {:?}", cell.set(n.to_string())),
            2 => format!("get_or_init {:?}", cell.get_or_init(|| n.to_string())),
            3 => format!(
                "get_or_try_init {:?}",
                cell.get_or_try_init(|| if n % 2 == 0 { Ok(n.to_string()) } else { Err(n) })
            ),
            4 => format!(
                "panic {:?}",
                caught(|| cell.get_or_init(|| resume_unwind(Box::new(()))).clone())
            ),
            5 => format!("get_mut {:?}", cell.get_mut().map(|value| value.push('!'))),
            6 => format!("take {:?}", cell.take()),
            _ => format!("into_inner {:?}", std::mem::take(cell).into_inner()),
        }
    }};
}

#[test]
fn it_behaves_as_once_cells_own() {
    let mut filled = 0;
    for seed in 0..2_000 {
        let mut random = Random(seed);
        let (mut ours, mut reference) = (OnceCell::new(), Reference::new());
        let mut history = Vec::new();
        for _ in 0..random.below(24) {
            let (operation, n) = (random.below(8), random.below(100) as u32);
            let (a, b) = (step!(ours, operation, n), step!(reference, operation, n));
            history.push(a.clone());
            assert_eq!(a, b, "seed {seed} after {history:#?}");
        }
        filled += usize::from(ours.get().is_some());
        assert_eq!(ours.into_inner(), reference.into_inner(), "seed {seed}");
    }
    println!("{filled} of 2,000 cells were full at the end");
    assert!((200..1_800).contains(&filled));
}

/// Counts how many of it there are.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(alive: &'a AtomicUsize) -> Self {
        alive.fetch_add(1, Relaxed);
        Self(alive)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[test]
fn the_value_is_dropped_once_whichever_way_it_leaves() {
    let alive = AtomicUsize::new(0);
    let count = || alive.load(Relaxed);
    let full = || {
        let cell = OnceCell::new();
        cell.get_or_init(|| Counted::new(&alive));
        assert_eq!(count(), 1);
        cell
    };

    drop(full());
    assert_eq!(count(), 0, "dropped with its cell");

    let mut cell = full();
    let value = cell.take();
    assert_eq!(count(), 1);
    drop(cell);
    assert_eq!(count(), 1, "taken, so no longer the cell's");
    drop(value);
    assert_eq!(count(), 0);

    let value = full().into_inner();
    assert_eq!(count(), 1);
    drop(value);
    assert_eq!(count(), 0);

    let cell = full();
    let refused = cell.set(Counted::new(&alive));
    assert_eq!(count(), 2);
    drop(refused);
    assert_eq!(count(), 1);
    drop(cell);

    let mut cell = full();
    cell.take();
    cell.get_or_init(|| Counted::new(&alive));
    assert_eq!(count(), 1, "full again");
    drop(cell);
    assert_eq!(count(), 0);
}

#[test]
fn failed_attempts_leave_nothing_behind() {
    let alive = AtomicUsize::new(0);
    let cell = OnceCell::new();
    for _ in 0..3 {
        let failed = cell.get_or_try_init(|| {
            let _dropped = Counted::new(&alive);
            Err("no luck")
        });
        assert_eq!(failed.err(), Some("no luck"));
        caught(|| {
            cell.get_or_init(|| {
                let _dropped = Counted::new(&alive);
                resume_unwind(Box::new(()))
            });
        })
        .unwrap_err();
        assert!(cell.get().is_none());
        assert_eq!(alive.load(Relaxed), 0);
    }
    assert!(cell.set(Counted::new(&alive)).is_ok());
    drop(cell);
    drop(OnceCell::<Counted<'_>>::new());
    assert_eq!(alive.load(Relaxed), 0);
}

#[test]
fn of_many_threads_one_makes_the_value_and_all_get_it() {
    let _watchdog = watchdog();
    for _ in 0..200 {
        let (cell, made) = (OnceCell::new(), AtomicUsize::new(0));
        thread::scope(|scope| {
            for i in 0..4 {
                let (cell, made) = (&cell, &made);
                scope.spawn(move || {
                    // Every other thread fails the first time.
                    let first = cell.get_or_try_init(|| match i % 2 {
                        0 => Err(i),
                        _ => Ok(made.fetch_add(1, Relaxed) + 1),
                    });
                    let value = first
                        .copied()
                        .unwrap_or_else(|_| *cell.get_or_init(|| made.fetch_add(1, Relaxed) + 1));
                    assert_eq!(value, 1);
                    assert_eq!(cell.get(), Some(&1));
                    assert_eq!(cell.set(7), Err(7));
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
        assert_eq!(cell.into_inner(), Some(1));
    }
}

#[test]
fn debug_shows_the_value_if_there_is_one() {
    let cell = OnceCell::new();
    assert_eq!(format!("{cell:?}"), "OnceCell(None)");
    cell.set(1).unwrap();
    assert_eq!(format!("{cell:?}"), "OnceCell(Some(1))");
}
