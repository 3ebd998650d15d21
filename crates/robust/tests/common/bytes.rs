//! The bytes that a mutex lies in, and what is where in them. The numbers are those of the table in
//! `src/block.rs`: another process may have another build of this crate, so they are for ever.

use std::ptr;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::SeqCst};

use pysync_robust::{RawMutex, SIZE};

pub(crate) const STATE: usize = 0;
pub(crate) const LAYOUT: usize = 8;
pub(crate) const DEPTH: usize = 12;
pub(crate) const NAMESPACE: usize = 16;
pub(crate) const BOOT: usize = 24;
pub(crate) const DATA: usize = 32;
pub(crate) const INNER: usize = 40;
pub(crate) const CLAIM: usize = 88;
pub(crate) const CHECK: usize = 96;
/// Where the fields end.
pub(crate) const END: usize = 104;

/// Where the word with the owner's id is.
pub(crate) const WORD: usize = INNER + if cfg!(target_env = "musl") { 4 } else { 0 };
/// The bit of that word that says that threads sleep on it.
pub(crate) const WAITERS: u32 = 0x8000_0000;

// The state word.
pub(crate) const READY: u64 = 1 << 28;
pub(crate) const RETIRED: u64 = 3 << 28;
pub(crate) const PHASE: u64 = 0xf << 28;
pub(crate) const INCONSISTENT: u64 = 2 << 24;

/// How the hashes of a block begin.
pub(crate) const FNV: u64 = 0xcbf2_9ce4_8422_2325;

/// How the hashes of a block go on.
pub(crate) fn mix(hash: u64, word: u64) -> u64 {
    let hash = (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3);
    hash ^ hash >> 29
}

/// What there is before and after a mutex, and must stay.
const CANARY: u8 = 0xc5;
const MARGIN: usize = 128;

/// The bytes of a mutex with others around them. They are never freed, so that a thread may die with
/// the mutex at any time.
#[derive(Clone, Copy)]
pub(crate) struct Bytes {
    at: *mut u8,
}

// SAFETY: all accesses are atomic.
unsafe impl Send for Bytes {}
// SAFETY: as above.
unsafe impl Sync for Bytes {}

#[repr(align(64))]
struct Around([u8; MARGIN + SIZE + MARGIN]);

impl Bytes {
    /// Zeroes.
    pub(crate) fn zeroed() -> Self {
        Self::at_offset(0)
    }

    /// Zeroes, at so many bytes after an address that is a multiple of 64.
    pub(crate) fn at_offset(offset: usize) -> Self {
        assert!(offset < 64);
        let mut around = Around([CANARY; MARGIN + SIZE + MARGIN]);
        around.0[MARGIN + offset..][..SIZE].fill(0);
        let around = Box::leak(Box::new(around));
        Self { at: around.0[MARGIN + offset..].as_mut_ptr() }
    }

    /// [`SIZE`] bytes of a mapping.
    ///
    /// # Safety
    /// They stay mapped, and are accessed by atomics only.
    pub(crate) unsafe fn mapped(at: *mut u8) -> Self {
        Self { at }
    }

    pub(crate) fn as_ptr(self) -> *mut u8 {
        self.at
    }

    /// The mutex there.
    pub(crate) fn mutex(self) -> RawMutex {
        // SAFETY: the bytes stay, and nothing accesses them but by atomics.
        unsafe { RawMutex::at(self.at) }.unwrap()
    }

    fn byte(self, at: usize) -> &'static AtomicU8 {
        assert!(at < SIZE);
        // SAFETY: within the bytes, which stay.
        unsafe { AtomicU8::from_ptr(self.at.add(at)) }
    }

    pub(crate) fn u32(self, at: usize) -> &'static AtomicU32 {
        assert!(at + 4 <= SIZE);
        // SAFETY: within the bytes, which stay. `at` is one of the offsets above.
        unsafe { AtomicU32::from_ptr(self.at.add(at).cast()) }
    }

    pub(crate) fn u64(self, at: usize) -> &'static AtomicU64 {
        assert!(at + 8 <= SIZE);
        // SAFETY: as above.
        unsafe { AtomicU64::from_ptr(self.at.add(at).cast()) }
    }

    /// Inverts a bit, of which there are `8 * SIZE`.
    pub(crate) fn flip(self, bit: usize) {
        self.byte(bit / 8).fetch_xor(1 << (bit % 8), SeqCst);
    }

    pub(crate) fn read(self) -> [u8; SIZE] {
        std::array::from_fn(|at| self.byte(at).load(SeqCst))
    }

    /// The bytes that are this crate's own: all but the inner mutex.
    pub(crate) fn read_own(self) -> [u8; SIZE] {
        let mut bytes = self.read();
        bytes[INNER..CLAIM].fill(0);
        bytes
    }

    pub(crate) fn write(self, bytes: [u8; SIZE]) {
        for (at, byte) in bytes.into_iter().enumerate() {
            self.byte(at).store(byte, SeqCst);
        }
    }

    /// Makes the header what it would be with the layout, namespace and boot that are there.
    pub(crate) fn seal(self) {
        let [namespace, boot] = [NAMESPACE, BOOT].map(|at| self.u64(at).load(SeqCst));
        let layout = self.u32(LAYOUT).load(SeqCst).into();
        let check = mix(mix(mix(FNV, layout), namespace), boot);
        self.u64(CHECK).store(check, SeqCst);
    }

    /// Panics if a byte before or after the mutex has changed. Not for a mapping.
    pub(crate) fn check_canaries(self) {
        let offset = self.at.addr() % 64;
        // SAFETY: what `at_offset` has allocated; nothing writes to it.
        unsafe {
            let before = ptr::slice_from_raw_parts(self.at.sub(MARGIN + offset), MARGIN + offset);
            let after = ptr::slice_from_raw_parts(self.at.add(SIZE), MARGIN - offset);
            for bytes in [&*before, &*after] {
                assert!(bytes.iter().all(|byte| *byte == CANARY), "bytes outside were written to");
            }
        }
    }
}

/// A mapping that is shared with the children of forks. It stays for ever.
pub(crate) fn map_shared(len: usize) -> *mut u8 {
    map(len, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1)
}

/// Two mappings of the same bytes.
pub(crate) fn map_twice(len: usize) -> [*mut u8; 2] {
    // SAFETY: a name that ends with a zero; the size of the new file.
    let file = unsafe {
        let file = libc::memfd_create(c"twice".as_ptr(), 0);
        assert!(file >= 0 && libc::ftruncate(file, len as libc::off_t) == 0);
        file
    };
    let mappings = [(); 2].map(|()| map(len, libc::MAP_SHARED, file));
    // SAFETY: the mappings do not need it.
    unsafe { libc::close(file) };
    mappings
}

fn map(len: usize, flags: libc::c_int, file: libc::c_int) -> *mut u8 {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a mapping of its own.
    let at = unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, file, 0) };
    assert_ne!(at, libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
    at.cast()
}
