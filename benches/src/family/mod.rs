//! What is measured besides mutexes.

pub(crate) mod bucket;
pub(crate) mod buffer;
pub(crate) mod cond;
pub(crate) mod memory;
pub(crate) mod monitor;
pub(crate) mod ping_pong;
pub(crate) mod rw_lock;
pub(crate) mod semaphore;
pub(crate) mod seq_lock;
pub(crate) mod timeout;
pub(crate) mod wake;
