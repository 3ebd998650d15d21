//! Slow-path events, for a subscriber of the `tracing` crate. Without the feature this is empty.

use crate::tag::Tagged;

#[cfg(feature = "tracing")]
mod imp {
    use super::*;
    use pysync_platform::trace::emit;

    /// The sections with a mutex that a detach is about to suspend: the address of the innermost
    /// one, and their number.
    pub(crate) struct Active {
        addr: usize,
        sections: usize,
    }

    pub(crate) fn active(top: Tagged) -> Active {
        let (mut tagged, mut active) = (top, Active { addr: 0, sections: 0 });
        while tagged.is_active() {
            let section = tagged.untagged();
            // SAFETY: a section on the stack is pinned and has begun but not ended.
            unsafe {
                if !(*section).mutex.get().is_null() {
                    active.addr = if active.sections == 0 { section.addr() } else { active.addr };
                    active.sections += 1;
                }
                tagged = (*section).prev.get();
            }
        }
        active
    }

    /// The sections have unlocked their mutexes, and the thread has detached.
    pub(crate) fn suspend(Active { addr, sections }: Active) {
        if sections > 0 {
            emit(|| tracing::trace!(target: "pysync", addr, sections, "suspend"));
        }
    }

    /// The section at `addr` has its mutexes again.
    pub(crate) fn resume(addr: usize) {
        emit(|| tracing::trace!(target: "pysync", addr, "resume"));
    }
}

#[cfg(not(feature = "tracing"))]
mod imp {
    use super::*;

    /// Nothing to remember.
    pub(crate) struct Active;

    #[inline(always)]
    pub(crate) fn active(_top: Tagged) -> Active {
        Active
    }

    #[inline(always)]
    pub(crate) fn suspend(_active: Active) {}

    #[inline(always)]
    pub(crate) fn resume(_addr: usize) {}
}

pub(crate) use imp::*;
