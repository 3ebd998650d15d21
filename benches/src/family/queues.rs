//! Queues with tags beside channels, of which several are received from by a select.
//!
//! | file | what it measures |
//! |---|---|
//! | `ends.rs` | nothing: the contenders |
//! | `pair.rs` | a message sent and received by the same thread |
//! | `wake.rs` | from a send to the return of a receiver that was parked |
//! | `stream.rs` | how many messages go through |
//! | `ping_pong.rs` | a message there and one back |
//! | `idle.rs` | the processor time of receivers that nothing is sent to |

mod ends;
mod idle;
mod pair;
mod ping_pong;
mod stream;
mod wake;

use crate::runner::Plan;

pub(crate) fn plans(full: bool) -> Vec<Plan> {
    let mut plans = vec![pair::plan(), wake::plan(full), stream::plan(), ping_pong::plan()];
    plans.extend(idle::plan(full));
    plans
}
