//! The thread that breaks a cycle is held up at each of its steps, until the wait that it has found is over and the
//! thread that has given it up waits again. It allocates at these steps, so the allocator holds it up.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use pysync_monitor::{Deadlock, Monitor, attempt, snapshot};
use pysync_testing::{Sleeper, wait_until, watchdog};

/// Holds the calling thread up at one of its allocations.
struct Holds;

thread_local! {
    /// How many allocations come before that, and that; 0 for none.
    static COUNTDOWN: Cell<usize> = const { Cell::new(0) };
}

static IS_HELD: AtomicBool = AtomicBool::new(false);
static GO: AtomicBool = AtomicBool::new(false);

#[global_allocator]
static ALLOCATOR: Holds = Holds;

// SAFETY: the system's.
unsafe impl GlobalAlloc for Holds {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let left = COUNTDOWN.get();
        COUNTDOWN.set(left.saturating_sub(1));
        if left == 1 {
            IS_HELD.store(true, SeqCst);
            wait_until(|| GO.load(SeqCst));
        }
        // SAFETY: by contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: by contract.
        unsafe { System.dealloc(ptr, layout) }
    }
}

fn waits_in(name: &str) -> bool {
    snapshot().iter().any(|link| link.wants.is_some_and(|id| id.name() == Some(name)))
}

/// Says whether the breaker was held up at its allocation of this number.
fn break_late(allocation: usize) -> bool {
    let (a, b, c) = (Monitor::named("a", ()), Monitor::named("b", ()), Monitor::named("c", ()));
    let (is_in_b, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
    let sleeper = Sleeper::new();
    IS_HELD.store(false, SeqCst);
    GO.store(false, SeqCst);
    // The older one, for it waits first.
    let breaks = || {
        attempt(|| -> Result<(), Deadlock> {
            b.enter(|_| {
                is_in_b.store(true, SeqCst);
                c.enter(|_| ())?;
                wait_until(|| waits_in("b"));
                // It has looked for a cycle itself.
                sleeper.wait_until_asleep();
                COUNTDOWN.set(allocation);
                let result = a.enter(|_| ());
                COUNTDOWN.set(0);
                result
            })?
        })
    };
    let gives_up = || {
        sleeper.enter();
        _ = a.enter(|_| b.enter_for(Duration::from_millis(200), |_| ()));
        is_over.store(true, SeqCst);
        b.enter(|_| ())
    };
    thread::scope(|scope| {
        let breaker = c.enter(|_| {
            let breaker = scope.spawn(breaks);
            wait_until(|| is_in_b.load(SeqCst) && waits_in("c"));
            breaker
        });
        let other = scope.spawn(gives_up);
        // The first wait is over, and the second has begun, or the breaker was not held up.
        wait_until(|| is_over.load(SeqCst) && (waits_in("b") || other.is_finished()));
        GO.store(true, SeqCst);
        breaker.unwrap().join().unwrap().expect("the older one");
        other.join().unwrap().expect("inside of nothing");
    });
    IS_HELD.load(SeqCst)
}

#[test]
fn the_next_wait_is_not_lost() {
    let _watchdog = watchdog();
    let held = (1..20).take_while(|allocation| break_late(*allocation)).count();
    assert!(held > 0, "it was held up nowhere");
}
