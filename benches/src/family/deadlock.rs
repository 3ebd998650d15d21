//! Monitors that break deadlocks, beside mutexes that know of none and beside deloxide, which reports them.
//!
//! | file | what it measures |
//! |---|---|
//! | `contender.rs` | nothing: the locks |
//! | `pair.rs` | to enter and to leave without contention, one monitor and two |
//! | `contended.rs` | threads that enter, work and leave |
//! | `hand_over.rs` | from a leave to the return of a thread that was parked |
//! | `ring.rs` | from the last wait of a deadlock to the error |
//! | `convoy.rs` | many threads that wait for one that runs: what detection costs each |
//! | `turns.rs` | two threads that wait for a condition in turn |
//! | `attempts.rs` | threads that need several monitors, in any order |
//!
//! `guarded` is pysync's mutex with guards: the same parking lot, without detection. parking_lot detects by a feature
//! that makes all its locks slower, also those of the other families, and so is here without it.

mod attempts;
mod contended;
mod contender;
mod convoy;
mod hand_over;
mod pair;
mod ring;
mod turns;

use crate::cli::Matrix;
use crate::runner::Plan;

pub(crate) fn plans(matrix: &Matrix, full: bool) -> Vec<Plan> {
    vec![
        pair::plan(),
        contended::plan(matrix),
        hand_over::plan(),
        ring::plan(matrix),
        convoy::plan(full),
        turns::plan(),
        attempts::plan(matrix),
    ]
}
