//! Mutexes between processes, and what becomes of a waiter when the owner dies.
//!
//! | file | what it measures |
//! |---|---|
//! | `pair.rs` | to acquire and to release without contention |
//! | `contended.rs` | processes that acquire, work and release |
//! | `death.rs` | from the death of an owner to the return of a waiter |
//! | `waiter.rs` | the processor time of a waiter that is not woken |

mod contended;
mod contender;
mod death;
mod pair;
pub(in crate::family) mod processes;
mod waiter;

use crate::cli::Matrix;
use crate::runner::Plan;

pub(crate) fn plans(matrix: &Matrix, full: bool) -> Vec<Plan> {
    vec![pair::plan(), contended::plan(matrix), death::plan(full), waiter::plan(full)]
}
