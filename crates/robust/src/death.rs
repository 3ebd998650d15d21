//! Where a thread of a model may die: before each access to a word of a block. Elsewhere this is
//! nothing.

#[cfg(not(any(pysync_loom, pysync_shuttle)))]
#[inline(always)]
pub(crate) fn may_come() {}

#[cfg(any(pysync_loom, pysync_shuttle))]
pub(crate) use model::may_come;
#[cfg(any(pysync_loom, pysync_shuttle))]
pub use model::{Lived, live};

#[cfg(any(pysync_loom, pysync_shuttle))]
mod model {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    use pysync_platform::primitive;

    primitive::thread_local! {
        static STEPS_LEFT: Cell<Option<u32>> = Cell::new(None)
    }

    /// What the unwinding carries.
    struct Death;

    /// How a thread that might have died has ended.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Lived {
        /// It has come to its end.
        ToTheEnd,
        /// It has died before.
        NotSoLong,
    }

    /// Runs `body`, and has the thread die before its access number `steps`, counted from 0. The
    /// caller then does what the kernel does: [`Block::owner_dies`](crate::model::Block).
    pub fn live(steps: u32, body: impl FnOnce()) -> Lived {
        STEPS_LEFT.with(|left| left.set(Some(steps)));
        let end = catch_unwind(AssertUnwindSafe(body));
        STEPS_LEFT.with(|left| left.set(None));
        match end {
            Ok(()) => Lived::ToTheEnd,
            Err(payload) if payload.is::<Death>() => Lived::NotSoLong,
            Err(payload) => resume_unwind(payload),
        }
    }

    /// Ends the thread here if its time has come. To unwind is no death: what would be dropped on
    /// the way must be nothing that touches a block.
    pub(crate) fn may_come() {
        match STEPS_LEFT.with(Cell::get) {
            None => {}
            Some(0) => {
                STEPS_LEFT.with(|left| left.set(None));
                resume_unwind(Box::new(Death));
            }
            Some(steps) => STEPS_LEFT.with(|left| left.set(Some(steps - 1))),
        }
    }
}
