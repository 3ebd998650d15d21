//! A value in atomic words, to be copied while others may write it.

use std::hint;
#[cfg(any(loom, shuttle))]
use std::marker::PhantomData;
use std::mem::{self, MaybeUninit};
#[cfg(any(loom, shuttle))]
use std::ptr;

#[cfg(not(any(loom, shuttle)))]
use pysync_parking_lot::primitive::UnsafeCell;
use pysync_parking_lot::primitive::atomic::{AtomicPtr, AtomicU8, Ordering};

const WORD: usize = mem::size_of::<Word>();

/// A word is copied as a pointer, since it may be one: an integer would lose what it points to.
type AtomicWord = AtomicPtr<()>;
type Word = *mut ();

/// Storage for a `T` that is only ever accessed through relaxed atomics: whole words, then the
/// bytes that are left.
#[cfg(not(any(loom, shuttle)))]
#[repr(C)]
pub(super) struct Words<T> {
    /// Aligns `value` to words.
    aligned: [AtomicWord; 0],
    value: UnsafeCell<MaybeUninit<T>>,
}

/// In models the words are the checker's own, which cannot lie over a `T`.
#[cfg(any(loom, shuttle))]
pub(super) struct Words<T> {
    words: Vec<AtomicWord>,
    bytes: Vec<AtomicU8>,
    value: PhantomData<T>,
}

// SAFETY: shared access is atomic, and a copy of the value is all that any thread gets.
unsafe impl<T: Send> Sync for Words<T> {}

impl<T: Copy> Words<T> {
    const WORDS: usize = mem::size_of::<T>() / WORD;
    const BYTES: usize = mem::size_of::<T>() % WORD;

    /// A copy of what the words hold: a `T` if no `store` ran meanwhile.
    pub(super) fn load(&self) -> MaybeUninit<T> {
        let mut copy = MaybeUninit::uninit();
        let to: *mut T = copy.as_mut_ptr();
        // Ordering: Relaxed throughout; the sequence lock's fences order the whole copy.
        for i in 0..Self::WORDS {
            let word = self.word(i).load(Ordering::Relaxed);
            // SAFETY: word `i` lies within the copy.
            unsafe { to.cast::<Word>().add(i).write_unaligned(word) };
        }
        for i in 0..Self::BYTES {
            let byte = self.byte(i).load(Ordering::Relaxed);
            // SAFETY: the byte lies within the copy, behind its words.
            unsafe { to.cast::<u8>().add(Self::WORDS * WORD + i).write(byte) };
        }
        copy
    }

    /// Overwrites the words. One thread at a time.
    pub(super) fn store(&self, value: T) {
        let mut value = MaybeUninit::new(value);
        // Padding is copied like the rest. Through the black box the compiler can no longer see
        // that it was never written, and must treat it as whatever bytes are there.
        let from: *const T = hint::black_box(&raw mut value).cast_const().cast();
        // Ordering: Relaxed, as in `load`.
        for i in 0..Self::WORDS {
            // SAFETY: word `i` lies within the value.
            let word = unsafe { from.cast::<Word>().add(i).read_unaligned() };
            self.word(i).store(word, Ordering::Relaxed);
        }
        for i in 0..Self::BYTES {
            // SAFETY: the byte lies within the value, behind its words.
            let byte = unsafe { from.cast::<u8>().add(Self::WORDS * WORD + i).read() };
            self.byte(i).store(byte, Ordering::Relaxed);
        }
    }
}

#[cfg(not(any(loom, shuttle)))]
impl<T: Copy> Words<T> {
    pub(super) const fn new(value: T) -> Self {
        Self { aligned: [], value: UnsafeCell::new(MaybeUninit::new(value)) }
    }

    fn start(&self) -> *mut u8 {
        self.value.with_mut(|value| value.cast())
    }

    fn word(&self, i: usize) -> &AtomicWord {
        // SAFETY: within the value, aligned by `aligned`, and accessed by atomics only.
        unsafe { AtomicWord::from_ptr(self.start().cast::<Word>().add(i)) }
    }

    fn byte(&self, i: usize) -> &AtomicU8 {
        // SAFETY: as above.
        unsafe { AtomicU8::from_ptr(self.start().add(Self::WORDS * WORD + i)) }
    }
}

#[cfg(any(loom, shuttle))]
impl<T: Copy> Words<T> {
    pub(super) fn new(value: T) -> Self {
        let this = Self {
            words: (0..Self::WORDS).map(|_| AtomicWord::new(ptr::null_mut())).collect(),
            bytes: (0..Self::BYTES).map(|_| AtomicU8::new(0)).collect(),
            value: PhantomData,
        };
        this.store(value);
        this
    }

    fn word(&self, i: usize) -> &AtomicWord {
        &self.words[i]
    }

    fn byte(&self, i: usize) -> &AtomicU8 {
        &self.bytes[i]
    }
}
