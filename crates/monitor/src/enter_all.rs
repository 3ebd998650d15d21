//! To enter several monitors that are known beforehand.

use std::panic::Location;
use std::ptr;

use crate::frame::Frame;
use crate::inside::Inside;
use crate::lock::Lock;
use crate::monitor::{Monitor, enter_lock, leave_frame, settle_frame};
use crate::node::Node;
use crate::nodes;
use crate::report::Deadlock;
use private::{Me, Part};

/// Calls `f` inside of several monitors: a tuple of references to up to eight, an array or a slice of references.
///
/// They are entered in the order of their addresses. So threads that enter only so, and are inside of nothing before,
/// never make a cycle. Where the monitors are known beforehand this is the way: nothing is undone and tried again.
///
/// A wait in one of them panics, but in the one that was entered last, which is the one with the highest address.
///
/// # Errors
/// As for [`enter`](Monitor::enter); also, before any is entered, if two are the same. The thread has left all of them
/// then.
///
/// # Panics
/// If `f` panics.
///
/// ```
/// # #[cfg(not(any(pysync_loom, pysync_shuttle)))] {
/// use pysync_monitor::{Monitor, enter_all};
///
/// let (from, to) = (Monitor::new(10), Monitor::new("nothing".to_string()));
/// enter_all((&from, &to), |(mut from, mut to)| {
///     *from -= 1;
///     *to = "one".to_string();
/// })
/// .unwrap();
/// # }
/// ```
#[track_caller]
pub fn enter_all<M: Monitors, R>(
    monitors: M,
    f: impl FnOnce(M::Insides<'_>) -> R,
) -> Result<R, Deadlock> {
    body(monitors, Location::caller(), f, |_| true)
}

/// [`enter_all`] for bodies that return results: an error undoes what `f` has left to [`undo`](Inside::undo).
///
/// # Errors
/// Those of `f`, and those of [`enter_all`] as one of them.
///
/// # Panics
/// If `f` panics.
#[track_caller]
pub fn with_all<M: Monitors, R, E: From<Deadlock>>(
    monitors: M,
    f: impl FnOnce(M::Insides<'_>) -> Result<R, E>,
) -> Result<R, E> {
    body(monitors, Location::caller(), f, Result::is_ok)?
}

fn body<M: Monitors, R>(
    monitors: M,
    at: &'static Location<'static>,
    f: impl FnOnce(M::Insides<'_>) -> R,
    is_good: impl FnOnce(&R) -> bool,
) -> Result<R, Deadlock> {
    let me = nodes::current();
    let frames = monitors.frames(at);
    let mut parts = monitors.parts(&frames);
    let parts = parts.as_mut();
    parts.sort_unstable_by_key(|part| part.lock.addr());
    if let Some(pair) = parts.windows(2).find(|pair| pair[0].lock == pair[1].lock) {
        // SAFETY: borrowed by `monitors`.
        return Err(Deadlock::with_itself(me, unsafe { &*pair[0].lock }, at));
    }
    let mut entered = Entered { me, parts, count: 0 };
    while let Some(part) = entered.parts.get(entered.count) {
        // SAFETY: borrowed by `monitors`; the frame stays here until `entered` is dropped.
        unsafe {
            enter_lock(&*part.lock, me, at)?;
            (*part.frame).push(me);
        }
        entered.count += 1;
    }
    // SAFETY: entered by these frames, and left by the drop of `entered`.
    let result = f(unsafe { monitors.insides(&frames, Me(me)) });
    entered.settle(is_good(&result));
    Ok(result)
}

/// Monitors that [`enter_all`] and [`with_all`] enter: a tuple of references to up to eight, an array or a slice of references.
pub trait Monitors: private::Sealed {}

impl<S: private::Sealed> Monitors for S {}

/// The monitors that the thread has entered. Leaves them in the reverse order, also by a panic.
struct Entered<'a> {
    me: &'static Node,
    parts: &'a [Part],
    count: usize,
}

impl Entered<'_> {
    /// The body has returned, or panicked: what it has left to undo is dropped, or done.
    fn settle(&self, is_good: bool) {
        for part in self.parts[..self.count].iter().rev() {
            // SAFETY: the frame is on the stack of `enter_all`, which has made the part of a monitor and this frame.
            unsafe { (part.settle)(part.monitor, &*part.frame, is_good) };
        }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        // Anything is left to undo only if the body has panicked.
        self.settle(false);
        for part in self.parts[..self.count].iter().rev() {
            // SAFETY: as above, and the monitor is borrowed.
            unsafe { leave_frame(&*part.lock, &*part.frame, self.me) };
        }
    }
}

mod private {
    use super::*;

    /// The place of an entry.
    pub struct Place(Frame);

    /// The node of the calling thread.
    #[derive(Clone, Copy)]
    pub struct Me(pub(super) &'static Node);

    /// One of the monitors, without its type.
    #[derive(Clone, Copy)]
    pub struct Part {
        pub(super) lock: *const Lock,
        pub(super) frame: *const Frame,
        /// A reference to the monitor, of type `&Monitor<T>`.
        pub(super) monitor: *const (),
        pub(super) settle: unsafe fn(*const (), &Frame, bool),
    }

    impl Part {
        fn new<T: ?Sized>(monitor: &&Monitor<T>, frame: &Frame) -> Self {
            /// # Safety
            /// `monitor` is a `&&Monitor<T>`, and the calling thread is inside by `frame`.
            unsafe fn settle<T: ?Sized>(monitor: *const (), frame: &Frame, is_good: bool) {
                // SAFETY: by contract.
                unsafe { settle_frame(*monitor.cast::<&Monitor<T>>(), frame, is_good) };
            }
            Self {
                lock: &raw const monitor.lock,
                frame,
                monitor: ptr::from_ref(monitor).cast(),
                settle: settle::<T>,
            }
        }
    }

    pub trait Sealed {
        /// What the body is given, in the form of the monitors.
        type Insides<'i>;
        type Frames;
        type Parts: AsMut<[Part]>;

        fn frames(&self, at: &'static Location<'static>) -> Self::Frames;

        fn parts(&self, frames: &Self::Frames) -> Self::Parts;

        /// # Safety
        /// As for [`Inside::new`], each by its frame.
        unsafe fn insides<'i>(&self, frames: &Self::Frames, me: Me) -> Self::Insides<'i>;
    }

    macro_rules! tuple {
        ($count:literal: $($T:ident $at:tt),+) => {
            impl<$($T: ?Sized),+> Sealed for ($(&Monitor<$T>,)+) {
                type Insides<'i> = ($(Inside<'i, $T>,)+);
                type Frames = [Place; $count];
                type Parts = [Part; $count];

                fn frames(&self, at: &'static Location<'static>) -> Self::Frames {
                    [$(Place(Frame::new(&raw const self.$at.lock, at))),+]
                }

                fn parts(&self, frames: &Self::Frames) -> Self::Parts {
                    [$(Part::new(&self.$at, &frames[$at].0)),+]
                }

                unsafe fn insides<'i>(
                    &self,
                    frames: &Self::Frames,
                    me: Me,
                ) -> Self::Insides<'i> {
                    // SAFETY: by contract.
                    unsafe { ($(Inside::new(self.$at, &frames[$at].0, me.0),)+) }
                }
            }
        };
    }

    tuple!(1: A 0);
    tuple!(2: A 0, B 1);
    tuple!(3: A 0, B 1, C 2);
    tuple!(4: A 0, B 1, C 2, D 3);
    tuple!(5: A 0, B 1, C 2, D 3, E 4);
    tuple!(6: A 0, B 1, C 2, D 3, E 4, F 5);
    tuple!(7: A 0, B 1, C 2, D 3, E 4, F 5, G 6);
    tuple!(8: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

    impl<T: ?Sized, const N: usize> Sealed for [&Monitor<T>; N] {
        type Insides<'i> = [Inside<'i, T>; N];
        type Frames = [Place; N];
        type Parts = [Part; N];

        fn frames(&self, at: &'static Location<'static>) -> Self::Frames {
            self.map(|monitor| Place(Frame::new(&raw const monitor.lock, at)))
        }

        fn parts(&self, frames: &Self::Frames) -> Self::Parts {
            std::array::from_fn(|at| Part::new(&self[at], &frames[at].0))
        }

        unsafe fn insides<'i>(&self, frames: &Self::Frames, me: Me) -> Self::Insides<'i> {
            // SAFETY: by contract.
            std::array::from_fn(|at| unsafe { Inside::new(self[at], &frames[at].0, me.0) })
        }
    }

    /// Allocates.
    impl<T: ?Sized> Sealed for &[&Monitor<T>] {
        type Insides<'i> = Vec<Inside<'i, T>>;
        type Frames = Vec<Place>;
        type Parts = Vec<Part>;

        fn frames(&self, at: &'static Location<'static>) -> Self::Frames {
            self.iter().map(|monitor| Place(Frame::new(&raw const monitor.lock, at))).collect()
        }

        fn parts(&self, frames: &Self::Frames) -> Self::Parts {
            self.iter().zip(frames).map(|(monitor, frame)| Part::new(monitor, &frame.0)).collect()
        }

        unsafe fn insides<'i>(&self, frames: &Self::Frames, me: Me) -> Self::Insides<'i> {
            let each = self.iter().zip(frames);
            // SAFETY: by contract.
            each.map(|(monitor, frame)| unsafe { Inside::new(monitor, &frame.0, me.0) }).collect()
        }
    }
}
