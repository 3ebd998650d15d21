//! Cowns: values that behaviours take in turn.

mod handle;
mod header;
mod held;
mod slot;
mod uses;
mod word;

pub use handle::Cown;
pub use held::{Held, NotAcquired};

pub(crate) use handle::{Value, drop_value};
pub(crate) use header::{Header, Row, Vtable, enqueue};
pub(crate) use held::{block, deadline_after};
pub(crate) use slot::{Grants, Request, Slot};
pub(crate) use uses::{Aliases, Distinct, Use, Uses};
pub(crate) use word::{Mode, Word};
