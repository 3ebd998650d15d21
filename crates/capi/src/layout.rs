//! The sizes and offsets that `build.rs` has taken from the headers, and the check that the Rust
//! types fit them.

use pysync_critical_section::{CriticalSection, CriticalSection2};
use pysync_lock::{Event, Mutex, OnceFlag, RawMutex, RecursiveMutex, RwMutex, SeqLock};
use pysync_parking_lot::Parker;

include!(concat!(env!("OUT_DIR"), "/layout.rs"));

// Types that C callers look into have the same sizes. `layout.c` has compared the offsets.
const _: () = {
    assert!(size_of::<Mutex>() == SIZEOF_MUTEX, "PyMutex has another size in the headers");
    assert!(size_of::<Event>() == SIZEOF_EVENT, "PyEvent has another size in the headers");
    assert!(size_of::<OnceFlag>() == SIZEOF_ONCE_FLAG, "_PyOnceFlag has another size");
    assert!(size_of::<SeqLock>() == SIZEOF_SEQ_LOCK, "_PySeqLock has another size");
    assert!(size_of::<RawMutex>() == SIZEOF_RAW_MUTEX, "_PyRawMutex has another size");
    assert!(size_of::<RwMutex>() == SIZEOF_RW_MUTEX, "_PyRWMutex has another size");
    assert!(size_of::<RecursiveMutex>() == SIZEOF_RECURSIVE_MUTEX, "_PyRecursiveMutex: size");
    assert!(size_of::<CriticalSection>() == SIZEOF_CRITICAL_SECTION, "PyCriticalSection: size");
    assert!(size_of::<CriticalSection2>() == SIZEOF_CRITICAL_SECTION2, "PyCriticalSection2: size");
};

// C callers do not look into a semaphore, so ours only has to fit in.
const _: () = assert!(size_of::<Parker>() <= SIZEOF_SEMAPHORE, "_PySemaphore is too small");
const _: () = assert!(align_of::<Parker>() <= ALIGNOF_SEMAPHORE, "_PySemaphore: alignment");
