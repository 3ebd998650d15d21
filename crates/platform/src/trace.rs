//! The rules for events on a slow path, for a subscriber of the `tracing` crate.
//!
//! A subscriber is foreign code: it may panic, block, and wait for one of these very locks. So a
//! lock emits an event only where every queue, lock and section is as it should be, and only from
//! threads that wait or notify: no unlock emits any.
//!
//! Inside an event there are no further events, and a wait does not detach. Detached, a subscriber
//! that is handed its buffer's lock would first resume its thread's sections, and so wait for their
//! mutexes with the buffer locked; and the thread that has one of these may be in an event too.
//!
//! Without the feature `tracing` there are no events, and [`is_emitting`] is always false.

#[cfg(feature = "tracing")]
mod imp {
    use std::cell::Cell;
    use std::panic::{self, AssertUnwindSafe};

    use crate::primitive;

    primitive::thread_local! {
        static EMITTING: Cell<bool> = Cell::new(false)
    }

    /// Whether the calling thread is inside an event.
    pub fn is_emitting() -> bool {
        EMITTING.with(Cell::get)
    }

    /// Emits an event, unless the thread is inside another: a subscriber that waits for a lock of
    /// these crates hears nothing of that wait, or it could go on for ever.
    ///
    /// Does not unwind. If the subscriber panics, the panic hook reports it and the caller goes on.
    pub fn emit(event: impl FnOnce()) {
        if EMITTING.with(|emitting| emitting.replace(true)) {
            return;
        }
        let result = panic::catch_unwind(AssertUnwindSafe(|| {
            let result = panic::catch_unwind(AssertUnwindSafe(event));
            // A payload's drop is foreign code too.
            drop(result);
        }));
        EMITTING.with(|emitting| emitting.set(false));
        // And so is the drop of what that has thrown, without end.
        std::mem::forget(result);
    }
}

#[cfg(not(feature = "tracing"))]
mod imp {
    /// Whether the calling thread is inside an event.
    #[inline(always)]
    pub fn is_emitting() -> bool {
        false
    }
}

#[cfg(feature = "tracing")]
pub use imp::emit;
pub use imp::is_emitting;
