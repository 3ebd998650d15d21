//! A fence of which one side is nearly free: the dropper's, which is passed at each drop, while the drainer
//! has the kernel interrupt the other threads.
//!
//! Linux's `membarrier` does that. Elsewhere, and where the kernel refuses, both sides have a fence.

#[cfg(all(target_os = "linux", not(any(pysync_loom, pysync_shuttle, miri))))]
mod imp {
    use pysync_platform::preserve_errno;
    use pysync_platform::primitive::plain::{
        AtomicU8,
        Ordering::{Relaxed, SeqCst},
        compiler_fence, fence,
    };

    /// The kernel has not been asked.
    const UNKNOWN: u8 = 0;
    const BARRIERS: u8 = 1;
    const FENCES: u8 = 2;

    static KIND: AtomicU8 = AtomicU8::new(UNKNOWN);

    fn membarrier(command: libc::c_int) -> bool {
        // SAFETY: numbers.
        preserve_errno(|| unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) } == 0)
    }

    pub(crate) fn prepare() {
        // Ordering: Relaxed. A thread that does not see it has a fence, which is enough for both sides.
        if KIND.load(Relaxed) == UNKNOWN {
            let command = libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED;
            let kind = if membarrier(command) { BARRIERS } else { FENCES };
            KIND.store(kind, Relaxed);
        }
    }

    #[inline(always)]
    pub(crate) fn light() {
        if KIND.load(Relaxed) == BARRIERS {
            compiler_fence(SeqCst);
        } else {
            fence(SeqCst);
        }
    }

    pub(crate) fn heavy() {
        fence(SeqCst);
        if KIND.load(Relaxed) == BARRIERS {
            // It does not fail once it has been prepared. Without it a last drop might be noticed late.
            membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED);
        }
    }

    pub(crate) fn after_fork() {
        if KIND.swap(UNKNOWN, Relaxed) != UNKNOWN {
            prepare();
        }
    }
}

#[cfg(not(all(target_os = "linux", not(any(pysync_loom, pysync_shuttle, miri)))))]
mod imp {
    use pysync_platform::primitive::atomic::{Ordering::SeqCst, fence};

    pub(crate) fn prepare() {}

    #[inline(always)]
    pub(crate) fn light() {
        fence(SeqCst);
    }

    pub(crate) fn heavy() {
        fence(SeqCst);
    }

    pub(crate) fn after_fork() {}
}

pub(crate) use imp::{after_fork, heavy, light, prepare};
