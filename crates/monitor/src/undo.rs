//! What is to be done to a value if the body that has changed it fails.

use crate::frame::Frame;

/// Puts a value right.
type Action<T> = Box<dyn FnOnce(&mut T)>;

/// One thing to do, and those that were given before it. Behind the `undo` of a frame, which has no type.
struct Undo<T: ?Sized> {
    action: Action<T>,
    before: *mut Undo<T>,
}

/// Adds an action, which comes before those that there are.
pub(crate) fn add<T: ?Sized>(frame: &Frame, action: Action<T>) {
    let undo = Undo { action, before: frame.undo.get().cast() };
    frame.undo.set(Box::into_raw(Box::new(undo)).cast());
}

/// Takes the last action.
///
/// # Safety
/// The frame is one of an entry into a monitor of `T`.
unsafe fn take<T: ?Sized>(frame: &Frame) -> Option<Action<T>> {
    let last = frame.undo.get().cast::<Undo<T>>();
    if last.is_null() {
        return None;
    }
    // SAFETY: `add` has made it of this type, by contract.
    let last = unsafe { Box::from_raw(last) };
    frame.undo.set(last.before.cast());
    Some(last.action)
}

/// The body has failed: does what there is to do, last first.
///
/// # Safety
/// As for `take`; and the value is the calling thread's.
#[cold]
pub(crate) unsafe fn roll_back<T: ?Sized>(frame: &Frame, value: *mut T) {
    // SAFETY: by contract.
    while let Some(action) = unsafe { take::<T>(frame) } {
        // SAFETY: by contract.
        action(unsafe { &mut *value });
    }
}

/// What has been done is to stay: drops what there is to do.
///
/// # Safety
/// As for `take`.
#[cold]
pub(crate) unsafe fn commit<T: ?Sized>(frame: &Frame) {
    // SAFETY: by contract.
    while unsafe { take::<T>(frame) }.is_some() {}
}
