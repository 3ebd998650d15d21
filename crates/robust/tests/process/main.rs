//! The mutex between processes: kills after every instruction, deaths of every kind, and the wakes that
//! die with the woken. All on Linux with 64 bits; what steps by instructions is for x86-64.
#![cfg(all(
    target_os = "linux",
    any(target_env = "gnu", target_env = "musl"),
    target_pointer_width = "64",
    not(any(miri, pysync_loom, pysync_shuttle))
))]

#[cfg(target_arch = "x86_64")]
mod between;
mod by_name;
mod common;
mod deaths;
#[cfg(target_arch = "x86_64")]
mod lost_wake;
#[cfg(target_arch = "x86_64")]
mod region;
#[cfg(target_arch = "x86_64")]
mod step;
#[cfg(target_arch = "x86_64")]
mod trace;
#[cfg(target_arch = "x86_64")]
mod waiter;
#[cfg(target_arch = "x86_64")]
mod wakes;
