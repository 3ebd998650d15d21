//! The seam to the platform: the only module that names the atomics, cells, hints, threads and thread
//! locals of std, loom or shuttle.
//!
//! | name | is |
//! |---|---|
//! | [`atomic`] | the atomics, `Ordering` and `fence` |
//! | [`UnsafeCell`] | a cell whose accesses a model sees |
//! | [`Zeroed`], [`StaticCell`] | the same for the state of a lock, whose `new` is `const` in every build |
//! | [`hint`]`::spin_loop`, [`yield_now`] | what a thread does that waits for a moment |
//! | [`thread`] | `spawn`, `current`, `park` |
//! | [`thread_local!`](thread_local) | a thread local with a const initialiser |
//! | [`model_static!`](model_static) | a static table that a model builds afresh for each execution |
//! | [`const_fn!`](const_fn) | a function that is `const`, except in a model |
//! | [`plain`] | std's atomics in every build, for state that is no part of what a model explores |
//!
//! `--cfg pysync_loom` or `--cfg pysync_shuttle` swaps what is behind these names, in this crate and
//! in every crate above it. These are cfgs and not only Cargo features on purpose: features unify
//! across a build, and a model checker's atomics must never reach a program by way of some
//! dependency.

/// std's atomics in every build, for state that is no part of what a model explores.
pub use std::sync::atomic as plain;

#[cfg(not(any(pysync_loom, pysync_shuttle)))]
use std as checker;

/// The model checker itself, for the macros of this module.
#[cfg(pysync_loom)]
#[doc(hidden)]
pub use loom as checker;
#[cfg(pysync_shuttle)]
#[doc(hidden)]
pub use shuttle as checker;

/// The atomics of this build.
pub mod atomic {
    #[cfg(target_has_atomic = "64")]
    pub use super::checker::sync::atomic::AtomicU64;
    pub use super::checker::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicUsize, Ordering, fence,
    };
}

/// What a thread does that is about to look again.
pub mod hint {
    pub use super::checker::hint::spin_loop;
}

/// The threads of this build.
pub mod thread {
    pub use super::checker::thread::{JoinHandle, Thread, current, park, spawn, yield_now};
}

pub use crate::__pysync_const_fn as const_fn;
pub use crate::__pysync_static as model_static;
pub use crate::__pysync_thread_local as thread_local;

/// `thread_local!` with a const initialiser of a type that needs no dropping. Where the linker has
/// thread locals that is a plain variable, as good as the thread is old. Elsewhere (windows-gnu,
/// Android) std boxes it at its first use and frees it among the destructors of the thread's other
/// locals; a use after that makes a new one. So no address of one is kept from one use to the next,
/// and none is an identity.
#[cfg(not(any(pysync_loom, pysync_shuttle)))]
#[doc(hidden)]
#[macro_export]
macro_rules! __pysync_thread_local {
    ($(#[$meta:meta])* $vis:vis static $name:ident: $ty:ty = $init:expr) => {
        ::std::thread_local! { $(#[$meta])* $vis static $name: $ty = const { $init } }
    };
}

/// A static table that models build afresh for each execution.
#[cfg(not(any(pysync_loom, pysync_shuttle)))]
#[doc(hidden)]
#[macro_export]
macro_rules! __pysync_static {
    ($(#[$meta:meta])* static $name:ident: $ty:ty = $init:expr) => {
        $(#[$meta])* static $name: $ty = $init;
    };
}

/// Declares a function that is `const` except in models, whose atomics cannot be built in a
/// const context.
#[cfg(not(any(pysync_loom, pysync_shuttle)))]
#[doc(hidden)]
#[macro_export]
macro_rules! __pysync_const_fn {
    ($(#[$meta:meta])* $vis:vis const fn $($rest:tt)*) => {
        $(#[$meta])* $vis const fn $($rest)*
    };
}

#[cfg(any(pysync_loom, pysync_shuttle))]
mod model_macros {
    #[doc(hidden)]
    #[macro_export]
    macro_rules! __pysync_thread_local {
        ($(#[$meta:meta])* $vis:vis static $name:ident: $ty:ty = $init:expr) => {
            $crate::primitive::checker::thread_local! { $(#[$meta])* $vis static $name: $ty = $init }
        };
    }

    #[doc(hidden)]
    #[macro_export]
    macro_rules! __pysync_static {
        ($(#[$meta:meta])* static $name:ident: $ty:ty = $init:expr) => {
            $crate::primitive::checker::lazy_static! { $(#[$meta])* static ref $name: $ty = $init; }
        };
    }

    #[doc(hidden)]
    #[macro_export]
    macro_rules! __pysync_const_fn {
        ($(#[$meta:meta])* $vis:vis const fn $($rest:tt)*) => {
            #[allow(clippy::new_without_default)]
            $(#[$meta])* $vis fn $($rest)*
        };
    }
}

#[cfg(pysync_loom)]
pub use loom::cell::UnsafeCell;

/// `std::cell::UnsafeCell` behind loom's closure interface, so that models see every access and
/// real builds see none of the closures.
#[cfg(not(pysync_loom))]
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(pysync_loom))]
impl<T> UnsafeCell<T> {
    /// A cell with a value in it.
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

    /// The value.
    #[inline(always)]
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

/// What begins as zero: an atomic, or a null pointer.
pub trait Zero {
    /// Zero.
    fn zero() -> Self;
}

/// An atomic that begins as zero: the state of a lock. Its `new` is `const` in every build, so that
/// the lock can stand in a `static`, in a model too.
///
/// loom's atomics cannot be made in a const context. In a loom model one that comes from
/// [`new`](Self::new) is made at its first use, anew in each execution, and its first use comes
/// before every other. That may hide an ordering which the model is to judge: what the first user
/// did before is seen by all. One that comes from [`default`](Self::default) is made at once and
/// hides nothing. In all other builds the two are the same.
#[repr(transparent)]
pub struct Zeroed<A: Zero + 'static>(imp::Zeroed<A>);

impl<A: Zero> Default for Zeroed<A> {
    #[inline]
    fn default() -> Self {
        Self(imp::Zeroed::made(A::zero()))
    }
}

impl<A: Zero> std::ops::Deref for Zeroed<A> {
    type Target = A;

    #[inline(always)]
    fn deref(&self) -> &A {
        self.0.get()
    }
}

/// An [`UnsafeCell`] whose `new` is `const` in every build. In a loom model its accesses are seen,
/// and what [`Zeroed`] says of the first use holds for it too.
#[derive(Default)]
pub struct StaticCell<T> {
    value: std::cell::UnsafeCell<T>,
    /// Is accessed as the value is.
    #[cfg(pysync_loom)]
    shadow: Zeroed<UnsafeCell<()>>,
}

impl<T> StaticCell<T> {
    /// A cell with a value in it.
    #[inline(always)]
    pub const fn new(value: T) -> Self {
        Self {
            value: std::cell::UnsafeCell::new(value),
            #[cfg(pysync_loom)]
            shadow: Zeroed::<UnsafeCell<()>>::new(),
        }
    }

    /// Calls `f` with a pointer that is good for reads.
    #[inline(always)]
    pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        #[cfg(pysync_loom)]
        return self.shadow.with(|_| f(self.value.get()));
        #[cfg(not(pysync_loom))]
        f(self.value.get())
    }

    /// Calls `f` with a pointer that is good for reads and writes.
    #[inline(always)]
    pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        #[cfg(pysync_loom)]
        return self.shadow.with_mut(|_| f(self.value.get()));
        #[cfg(not(pysync_loom))]
        f(self.value.get())
    }

    /// The value.
    #[inline(always)]
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

macro_rules! zero {
    ($([$($param:ident)?] $ty:ty, $zero:expr;)*) => {$(
        impl$(<$param>)? Zero for $ty {
            #[inline]
            fn zero() -> Self {
                $zero
            }
        }

        impl$(<$param>)? Zeroed<$ty> {
            /// Zero.
            #[inline]
            #[allow(clippy::new_without_default)]
            pub const fn new() -> Self {
                #[cfg(pysync_loom)]
                return Self(imp::Zeroed::lazy());
                #[cfg(not(pysync_loom))]
                Self(imp::Zeroed::made($zero))
            }
        }
    )*};
}

zero! {
    [] atomic::AtomicU8, atomic::AtomicU8::new(0);
    [] atomic::AtomicU16, atomic::AtomicU16::new(0);
    [] atomic::AtomicU32, atomic::AtomicU32::new(0);
    [] atomic::AtomicUsize, atomic::AtomicUsize::new(0);
    [T] atomic::AtomicPtr<T>, atomic::AtomicPtr::new(std::ptr::null_mut());
}
#[cfg(target_has_atomic = "64")]
zero! { [] atomic::AtomicU64, atomic::AtomicU64::new(0); }
#[cfg(pysync_loom)]
zero! { [] UnsafeCell<()>, UnsafeCell::new(()); }

#[cfg(not(pysync_loom))]
mod imp {
    #[repr(transparent)]
    pub(super) struct Zeroed<A>(A);

    impl<A> Zeroed<A> {
        #[inline]
        pub(super) const fn made(atomic: A) -> Self {
            Self(atomic)
        }

        #[inline(always)]
        pub(super) fn get(&self) -> &A {
            &self.0
        }
    }
}

#[cfg(pysync_loom)]
mod imp {
    use std::marker::PhantomData;
    use std::sync::OnceLock;

    use loom::lazy_static::Lazy;

    use super::Zero;

    pub(super) enum Zeroed<A: Zero + 'static> {
        Made(A),
        /// loom keeps what a `Lazy` has made until the end of the execution, and knows it by the
        /// address of the `Lazy`. So each of ours has one that is never freed: ours may be moved,
        /// and another may lie where ours has been.
        Lazy(OnceLock<&'static Lazy<A>>),
    }

    impl<A: Zero + 'static> Zeroed<A> {
        pub(super) const fn made(atomic: A) -> Self {
            Self::Made(atomic)
        }

        pub(super) const fn lazy() -> Self {
            Self::Lazy(OnceLock::new())
        }

        pub(super) fn get(&self) -> &A {
            let lazy = match self {
                Self::Made(atomic) => return atomic,
                Self::Lazy(lazy) => lazy,
            };
            lazy.get_or_init(|| Box::leak(Box::new(Lazy { init: A::zero, _p: PhantomData }))).get()
        }
    }
}

/// Gives the processor to another thread.
///
/// CPython: Python/lock.c:L43 _Py_yield
#[inline]
pub fn yield_now() {
    // L45-L49: `sched_yield` on Unix, `SwitchToThread` on Windows; std chooses.
    thread::yield_now();
}
