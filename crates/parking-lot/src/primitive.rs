//! The seam to the platform: the only module that names the atomics, cells, hints and thread
//! locals of std, loom or shuttle.
//!
//! Building with `RUSTFLAGS="--cfg loom"` or `"--cfg shuttle"` swaps what is behind these names,
//! in this crate and in every crate above it. It is a cfg and not a Cargo feature on purpose:
//! features unify across a build, and a model checker's atomics must never reach a program by
//! way of some dependency.

#[cfg(not(any(loom, shuttle)))]
mod imp {
    pub use std::hint;
    pub use std::sync::atomic;
    pub use std::thread;

    /// `thread_local!` with a const initialiser of a type that needs no dropping. Where the linker
    /// has thread locals that is a plain variable, as good as the thread is old. Elsewhere
    /// (windows-gnu, Android) std boxes it at its first use and frees it among the destructors of
    /// the thread's other locals; a use after that makes a new one. So no address of one is kept
    /// from one use to the next, and none is an identity.
    #[doc(hidden)]
    #[macro_export]
    macro_rules! __pysync_thread_local {
        ($(#[$meta:meta])* $vis:vis static $name:ident: $ty:ty = $init:expr) => {
            ::std::thread_local! { $(#[$meta])* $vis static $name: $ty = const { $init } }
        };
    }

    /// A static table that models build afresh for each execution.
    #[doc(hidden)]
    #[macro_export]
    macro_rules! __pysync_static {
        ($(#[$meta:meta])* static $name:ident: $ty:ty = $init:expr) => {
            $(#[$meta])* static $name: $ty = $init;
        };
    }
}

#[cfg(loom)]
mod imp {
    /// For the macros below, so that crates above need no dependency of their own.
    pub use loom as model;
    pub use loom::hint;
    pub use loom::sync::atomic;
    pub use loom::thread;
}

#[cfg(all(shuttle, not(loom)))]
mod imp {
    pub use shuttle as model;
    pub use shuttle::hint;
    pub use shuttle::sync::atomic;
    pub use shuttle::thread;
}

#[cfg(any(loom, shuttle))]
mod model_macros {
    #[doc(hidden)]
    #[macro_export]
    macro_rules! __pysync_thread_local {
        ($(#[$meta:meta])* $vis:vis static $name:ident: $ty:ty = $init:expr) => {
            $crate::primitive::model::thread_local! { $(#[$meta])* $vis static $name: $ty = $init }
        };
    }

    #[doc(hidden)]
    #[macro_export]
    macro_rules! __pysync_static {
        ($(#[$meta:meta])* static $name:ident: $ty:ty = $init:expr) => {
            $crate::primitive::model::lazy_static! { $(#[$meta])* static ref $name: $ty = $init; }
        };
    }
}

/// std's atomics in every build, for state that is no part of what a model explores.
pub use std::sync::atomic as plain;

pub use crate::__pysync_static as model_static;
pub use crate::__pysync_thread_local as thread_local;
pub use imp::*;

#[cfg(loom)]
pub use loom::cell::UnsafeCell;

/// `std::cell::UnsafeCell` behind loom's closure interface, so that models see every access and
/// real builds see none of the closures.
#[cfg(not(loom))]
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> UnsafeCell<T> {
    #[inline(always)]
    pub const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    /// Calls `f` with a pointer that is good for reads.
    #[inline(always)]
    pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    /// Calls `f` with a pointer that is good for reads and writes.
    #[inline(always)]
    pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }

    #[inline(always)]
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

/// Declares a function that is `const` except in models, whose atomics cannot be built in a
/// const context.
#[doc(hidden)]
#[macro_export]
macro_rules! __pysync_const_fn {
    ($(#[$meta:meta])* $vis:vis const fn $($rest:tt)*) => {
        #[cfg(not(any(loom, shuttle)))]
        $(#[$meta])* $vis const fn $($rest)*

        #[cfg(any(loom, shuttle))]
        #[allow(clippy::new_without_default)]
        $(#[$meta])* $vis fn $($rest)*
    };
}
pub use crate::__pysync_const_fn as const_fn;

/// Gives the processor to another thread.
///
/// CPython: Python/lock.c:L43 _Py_yield
#[inline]
pub fn yield_now() {
    // L45-L49: `sched_yield` on Unix, `SwitchToThread` on Windows; std chooses.
    thread::yield_now();
}
