//! Workers, their queues, and where a behaviour that is ready goes. It knows nothing of cowns.
//!
//! | file | holds |
//! |---|---|
//! | `task`, `ready` | what is known of a behaviour here, and a list of those that are ready |
//! | `submit` | where they go |
//! | `run_queue` | a queue of them |
//! | `worker`, `idle`, `current` | a worker's loop, how it sleeps and is woken, and which one a thread is |
//! | `watch` | when it is worth a move to take from another worker |
//! | `runtime`, `builder`, `stats` | workers and their queues together, as a user has them |
//! | `quiesce`, `stop` | the moment in which none is pending, and the end |
//! | `lane` | a queue for a thread of the user's |

pub(crate) mod builder;
pub(crate) mod current;
mod idle;
#[cfg(any(pysync_loom, pysync_shuttle))]
mod inline;
pub(crate) mod lane;
#[cfg(any(test, pysync_loom, pysync_shuttle))]
pub mod model;
mod quiesce;
pub(crate) mod ready;
mod run_queue;
pub(crate) mod runtime;
pub(crate) mod stats;
pub(crate) mod stop;
pub(crate) mod submit;
pub(crate) mod task;
mod trace;
mod watch;
mod worker;
