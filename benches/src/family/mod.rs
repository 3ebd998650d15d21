//! What is measured besides mutexes.

pub(crate) mod boc;
pub(crate) mod bucket;
pub(crate) mod buffer;
pub(crate) mod cond;
pub(crate) mod counts;
pub(crate) mod deadlock;
pub(crate) mod memory;
pub(crate) mod monitor;
pub(crate) mod ping_pong;
pub(crate) mod queues;
#[cfg(all(
    target_os = "linux",
    any(target_env = "gnu", target_env = "musl"),
    target_pointer_width = "64"
))]
pub(crate) mod robust;
#[cfg(not(all(
    target_os = "linux",
    any(target_env = "gnu", target_env = "musl"),
    target_pointer_width = "64"
)))]
pub(crate) mod robust {
    //! There are no robust mutexes on this system.

    pub(crate) fn plans(_: &crate::cli::Matrix, _: bool) -> Vec<crate::runner::Plan> {
        Vec::new()
    }
}
pub(crate) mod rw_lock;
pub(crate) mod semaphore;
pub(crate) mod seq_lock;
pub(crate) mod timeout;
pub(crate) mod wake;
