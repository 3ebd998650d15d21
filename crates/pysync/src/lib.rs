//! CPython's free-threading synchronization layer in one crate: what the layers export, a module
//! for each.
//!
//! | module | feature | crate |
//! |---|---|---|
//! | [`parking_lot`] | always | `pysync-parking-lot` |
//! | [`lock`] | `lock` | `pysync-lock` |
//! | [`critical_section`] | `critical-section` | `pysync-critical-section` |
//! | [`cond`] | `cond` | `pysync-cond` |
//! | [`boc`] | `boc` | `pysync-boc` |
//! | [`monitor`] | `monitor` | `pysync-monitor` |
//! | [`reclaim`] | `reclaim` | `pysync-reclaim` |
//! | `robust` | `robust` | `pysync-robust` |
//!
//! These features are on by default, but for `robust`, which brings other crates, and `tracing`. Depend on
//! a layer's own crate to have just that one. The platforms are [those of the parking lot](parking_lot#platforms).
//!
//! ```
//! use pysync::critical_section::{ThreadState, critical_section};
//! use pysync::lock::Mutex;
//!
//! static MUTEX: Mutex = Mutex::new();
//!
//! let _attached = ThreadState::attach();
//! critical_section(&MUTEX, || assert!(MUTEX.is_locked()));
//! ```

#[cfg(feature = "boc")]
pub use pysync_boc as boc;
#[cfg(feature = "cond")]
pub use pysync_cond as cond;
#[cfg(feature = "critical-section")]
pub use pysync_critical_section as critical_section;
#[cfg(feature = "lock")]
pub use pysync_lock as lock;
#[cfg(feature = "monitor")]
pub use pysync_monitor as monitor;
pub use pysync_parking_lot as parking_lot;
#[cfg(feature = "reclaim")]
pub use pysync_reclaim as reclaim;
#[cfg(feature = "robust")]
pub use pysync_robust as robust;

/// The README's examples, as tests.
#[cfg(all(doctest, feature = "critical-section", feature = "cond", feature = "boc"))]
#[doc = include_str!("../../../README.md")]
struct Readme;
