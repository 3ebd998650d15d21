//! Where the result of a behaviour goes.

use std::mem::{MaybeUninit, needs_drop};
use std::ptr::NonNull;

use super::stage::Stage;
use super::{Behaviour, Body};
use crate::Failed;
use crate::cown::{Grants, Header, Mode, Value, Word, drop_value};

/// Where the result of a behaviour goes.
pub(crate) trait Output: Sized {
    type Result: Send + 'static;
    /// Whether a handle of the outcome may cancel the behaviour.
    const CANCELS: bool;

    /// Made with one handle for the behaviour, and one for the caller.
    fn new<F: Body<Self::Result>>() -> Self;

    /// Puts the result there, once, and releases the outcome. Returns the result if there is no outcome.
    ///
    /// # Safety
    /// The caller has claimed the behaviour.
    unsafe fn complete(
        this: NonNull<Self>,
        stage: &Stage,
        result: Result<Self::Result, Failed>,
        grants: &mut Grants,
    ) -> Option<Result<Self::Result, Failed>>;

    /// The behaviour is over: gives up its handle of the outcome. True if there is no other handle, so that
    /// the caller is to drop the result and to free the memory.
    ///
    /// # Safety
    /// Called once, after which the memory may be gone.
    unsafe fn leave(this: NonNull<Self>) -> bool;

    /// Whether there is nothing in the result to be dropped.
    ///
    /// # Safety
    /// No handle is left, and the result has not been dropped.
    unsafe fn is_trivial(this: NonNull<Self>) -> bool;

    /// Drops the result, if it is still there.
    ///
    /// # Safety
    /// As for `is_trivial`.
    unsafe fn drop_result(this: NonNull<Self>);
}

/// No outcome.
pub(crate) struct Fired;

impl Output for Fired {
    type Result = ();
    const CANCELS: bool = false;

    fn new<F: Body<()>>() -> Self {
        Self
    }

    unsafe fn complete(
        _: NonNull<Self>,
        _: &Stage,
        result: Result<(), Failed>,
        _: &mut Grants,
    ) -> Option<Result<(), Failed>> {
        Some(result)
    }

    unsafe fn leave(_: NonNull<Self>) -> bool {
        true
    }

    unsafe fn is_trivial(_: NonNull<Self>) -> bool {
        true
    }

    unsafe fn drop_result(_: NonNull<Self>) {}
}

/// An outcome, which the behaviour holds until it has the result.
#[repr(transparent)]
pub(crate) struct Returned<R>(pub(crate) Value<Result<R, Failed>>);

impl<R: Send + 'static> Output for Returned<R> {
    type Result = R;
    const CANCELS: bool = true;

    fn new<F: Body<R>>() -> Self {
        let vtable = &Behaviour::<F, Self>::OUTCOME;
        Self(Value::new(vtable, Word::held(), 2, MaybeUninit::uninit()))
    }

    unsafe fn complete(
        this: NonNull<Self>,
        stage: &Stage,
        result: Result<R, Failed>,
        grants: &mut Grants,
    ) -> Option<Result<R, Failed>> {
        let outcome = this.cast::<Header>();
        // SAFETY: the behaviour holds the outcome as a writer, until the release; a handle keeps it.
        unsafe {
            Value::<Result<R, Failed>>::get_mut(outcome).write(result);
            stage.complete(|| outcome.as_ref().release(Mode::Write, grants));
        }
        None
    }

    unsafe fn leave(this: NonNull<Self>) -> bool {
        // SAFETY: the behaviour's own handle.
        unsafe { Header::leave(this.cast()) }
    }

    unsafe fn is_trivial(this: NonNull<Self>) -> bool {
        // SAFETY: the last one; there is a result, or it is disowned.
        !needs_drop::<R>()
            && unsafe {
                this.as_ref().0.header.word.is_disowned()
                    || (*Value::<Result<R, Failed>>::get(this.cast())).is_ok()
            }
    }

    unsafe fn drop_result(this: NonNull<Self>) {
        // SAFETY: no handle is left, and the behaviour has left a result.
        drop_value(unsafe { &this.as_ref().0 });
    }
}
