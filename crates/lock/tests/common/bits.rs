//! The state words, read through the layouts that the crate promises.

use std::mem;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::SeqCst};

use pysync_lock::{Event, Mutex, OnceFlag, RecursiveMutex, RwMutex, SeqLock};

/// The atomic that `lock` consists of.
fn word<L, W>(lock: &L) -> &W {
    assert_eq!(mem::size_of::<L>(), mem::size_of::<W>());
    // SAFETY: only ever called with a lock that is nothing but the atomic `W`; the size is right,
    // and atomics may be shared.
    unsafe { &*std::ptr::from_ref(lock).cast() }
}

pub(crate) fn mutex_bits(mutex: &Mutex) -> u8 {
    word::<_, AtomicU8>(mutex).load(SeqCst)
}

pub(crate) fn event_bits(event: &Event) -> u8 {
    word::<_, AtomicU8>(event).load(SeqCst)
}

pub(crate) fn once_bits(once: &OnceFlag) -> u8 {
    word::<_, AtomicU8>(once).load(SeqCst)
}

pub(crate) fn rw_bits(lock: &RwMutex) -> usize {
    word::<_, AtomicUsize>(lock).load(SeqCst)
}

pub(crate) fn seq_bits(lock: &SeqLock) -> u32 {
    word::<_, AtomicU32>(lock).load(SeqCst)
}

/// The mutex, the owner's ident and the level of a recursive mutex that nobody is using, or that
/// the caller holds.
pub(crate) fn recursive_parts(mutex: &RecursiveMutex) -> (u8, u64, usize) {
    assert_eq!(mem::size_of::<RecursiveMutex>(), 24);
    let base: *const u8 = std::ptr::from_ref(mutex).cast();
    // SAFETY: C's layout: the mutex at 0, the ident at 8, the level at 16. The level is written
    // by the owner only, which is the caller or nobody.
    unsafe {
        (
            (*base.cast::<AtomicU8>()).load(SeqCst),
            (*base.add(8).cast::<AtomicU64>()).load(SeqCst),
            base.add(16).cast::<usize>().read(),
        )
    }
}

/// Makes `lock`'s word one that only a fork or billions of steps would.
pub(crate) fn set_rw_bits(lock: &RwMutex, bits: usize) {
    word::<_, AtomicUsize>(lock).store(bits, SeqCst);
}

pub(crate) fn set_seq_bits(lock: &SeqLock, bits: u32) {
    word::<_, AtomicU32>(lock).store(bits, SeqCst);
}

pub(crate) fn set_once_bits(once: &OnceFlag, bits: u8) {
    word::<_, AtomicU8>(once).store(bits, SeqCst);
}
