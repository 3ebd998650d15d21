use std::alloc::{self, Layout};
use std::ptr::NonNull;

use crate::ALIGN;

/// Bytes that stay where they are: what a [`RobustMutex`](crate::RobustMutex) is in.
///
/// # Safety
/// [`bytes`](Self::bytes) is the same each time, wherever the value is moved. For as long as the value
/// lives, and for ever if it is forgotten:
///
/// - the bytes are initialised, mapped, readable and writable, at this address;
/// - nothing in this process accesses them but this crate. Nothing in another process does, or it is
///   this crate there too;
/// - values whose bytes overlap have the same bytes.
pub unsafe trait Memory {
    /// Where the bytes are.
    fn bytes(&self) -> NonNull<[u8]>;
}

/// Zeroed memory of this process, aligned to 8: for a mutex among its threads.
///
/// Does not reach the child of a fork: that gets a copy, in which what was held stays held.
#[derive(Debug)]
pub struct Private {
    bytes: NonNull<[u8]>,
}

// SAFETY: a value owns its bytes.
unsafe impl Send for Private {}
// SAFETY: it gives out their address only.
unsafe impl Sync for Private {}

impl Private {
    /// So many bytes.
    ///
    /// # Panics
    /// If they are more than `isize::MAX`.
    ///
    /// # Aborts
    /// If there is no memory left.
    pub fn new(len: usize) -> Self {
        let layout = Self::layout(len);
        // SAFETY: the layout has a byte at least.
        let bytes = NonNull::new(unsafe { alloc::alloc_zeroed(layout) })
            .unwrap_or_else(|| alloc::handle_alloc_error(layout));
        Self { bytes: NonNull::slice_from_raw_parts(bytes, len) }
    }

    fn layout(len: usize) -> Layout {
        Layout::from_size_align(len.max(1), ALIGN).expect("at most isize::MAX bytes")
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        // SAFETY: allocated with the same layout.
        unsafe { alloc::dealloc(self.bytes.cast().as_ptr(), Self::layout(self.bytes.len())) };
    }
}

// SAFETY: the allocation does not move, is zeroed, and is freed by drop only; no other code has
// its address.
unsafe impl Memory for Private {
    fn bytes(&self) -> NonNull<[u8]> {
        self.bytes
    }
}

/// Bytes that are borrowed for ever: a `static mut`, or a leaked box.
///
/// ```
/// # #[cfg(all(target_os = "linux", target_pointer_width = "64"))] {
/// use pysync_robust::{Forever, Kind, RobustMutex};
///
/// let bytes: &'static mut [u64] = Box::leak(Box::new([0; 16]));
/// let mutex = RobustMutex::initialize(Forever::from(bytes), Kind::Plain)?;
/// # }
/// # Ok::<_, pysync_robust::Error>(())
/// ```
#[derive(Debug)]
pub struct Forever {
    bytes: NonNull<[u8]>,
}

// SAFETY: a value has the only reference to its bytes.
unsafe impl Send for Forever {}
// SAFETY: it gives out their address only.
unsafe impl Sync for Forever {}

impl From<&'static mut [u8]> for Forever {
    fn from(bytes: &'static mut [u8]) -> Self {
        Self { bytes: NonNull::from(bytes) }
    }
}

/// Words are aligned, as bytes may not be.
impl From<&'static mut [u64]> for Forever {
    fn from(words: &'static mut [u64]) -> Self {
        Self { bytes: NonNull::from(bytemuck::cast_slice_mut(words)) }
    }
}

// SAFETY: the reference was unique, and is for ever.
unsafe impl Memory for Forever {
    fn bytes(&self) -> NonNull<[u8]> {
        self.bytes
    }
}
