//! A value in words, to be copied while others may write it.
//!
//! The bytes of a value need not be initialised (padding), and may belong to a pointer. std's
//! atomics copy integers, which are neither. So a word is a `MaybeUninit` here, copied by
//! `atomic-maybe-uninit`, whose loads and stores are one instruction each.
//!
//! That instruction is assembly, which neither the model checkers nor Miri can look into. Models
//! keep the words behind the checker's atomics. Under Miri each copy of a word holds a lock, so that
//! a torn copy is as possible as anywhere, and Miri checks all that is around it.

#[cfg(any(pysync_loom, pysync_shuttle))]
use std::cell::Cell;
#[cfg(any(pysync_loom, pysync_shuttle))]
use std::marker::PhantomData;
use std::mem::{self, MaybeUninit};
#[cfg(any(pysync_loom, pysync_shuttle))]
use std::sync::OnceLock;

#[cfg(not(any(pysync_loom, pysync_shuttle, miri)))]
use atomic_maybe_uninit::AtomicMaybeUninit;
#[cfg(not(any(pysync_loom, pysync_shuttle)))]
use pysync_platform::primitive::UnsafeCell;
#[cfg(not(miri))]
use pysync_platform::primitive::atomic::Ordering;

type Word = usize;
const WORD: usize = mem::size_of::<Word>();

impl<T: Copy> Words<T> {
    const WORDS: usize = mem::size_of::<T>() / WORD;
    const BYTES: usize = mem::size_of::<T>() % WORD;

    /// [`new`](Self::new) for what is no `static`: a loom model's words are made at once.
    pub(super) fn made(value: T) -> Self {
        let this = Self::new(value);
        #[cfg(any(pysync_loom, pysync_shuttle))]
        {
            this.words(model::Seen::default);
            this.bytes(model::Seen::default);
        }
        this
    }

    /// A copy of what the words hold: a `T` if no `store` ran meanwhile.
    pub(super) fn load(&self) -> MaybeUninit<T> {
        let mut copy = MaybeUninit::uninit();
        let to: *mut T = copy.as_mut_ptr();
        for i in 0..Self::WORDS {
            // SAFETY: word `i` lies within the copy.
            unsafe { to.cast::<MaybeUninit<Word>>().add(i).write_unaligned(self.load_word(i)) };
        }
        for i in 0..Self::BYTES {
            let at = Self::WORDS * WORD + i;
            // SAFETY: the byte lies within the copy, behind its words.
            unsafe { to.cast::<MaybeUninit<u8>>().add(at).write(self.load_byte(i)) };
        }
        copy
    }

    /// Overwrites the words. One thread at a time.
    pub(super) fn store(&self, value: T) {
        let value = MaybeUninit::new(value);
        let from: *const T = value.as_ptr();
        for i in 0..Self::WORDS {
            // SAFETY: word `i` lies within the value.
            self.store_word(i, unsafe { from.cast::<MaybeUninit<Word>>().add(i).read_unaligned() });
        }
        for i in 0..Self::BYTES {
            let at = Self::WORDS * WORD + i;
            // SAFETY: the byte lies within the value, behind its words.
            self.store_byte(i, unsafe { from.cast::<MaybeUninit<u8>>().add(at).read() });
        }
    }
}

// SAFETY: shared access is atomic, and a copy of the value is all that any thread gets.
unsafe impl<T: Send> Sync for Words<T> {}

/// Storage for a `T` that is only ever accessed by words: as many as there are, then the bytes
/// that are left.
#[cfg(not(any(pysync_loom, pysync_shuttle)))]
#[repr(C)]
pub(super) struct Words<T> {
    /// Aligns `value` to words.
    aligned: [std::sync::atomic::AtomicUsize; 0],
    value: UnsafeCell<MaybeUninit<T>>,
    #[cfg(miri)]
    turn: std::sync::Mutex<()>,
}

#[cfg(not(any(pysync_loom, pysync_shuttle)))]
impl<T: Copy> Words<T> {
    pub(super) const fn new(value: T) -> Self {
        Self {
            aligned: [],
            value: UnsafeCell::new(MaybeUninit::new(value)),
            #[cfg(miri)]
            turn: std::sync::Mutex::new(()),
        }
    }

    fn word(&self, i: usize) -> *mut MaybeUninit<Word> {
        self.value.with_mut(|value| value.cast::<MaybeUninit<Word>>().wrapping_add(i))
    }

    fn byte(&self, i: usize) -> *mut MaybeUninit<u8> {
        self.word(Self::WORDS).cast::<MaybeUninit<u8>>().wrapping_add(i)
    }
}

// Ordering: Relaxed throughout; the sequence lock's fences order the whole copy.
#[cfg(not(any(pysync_loom, pysync_shuttle, miri)))]
impl<T: Copy> Words<T> {
    fn load_word(&self, i: usize) -> MaybeUninit<Word> {
        // SAFETY: within the value, aligned by `aligned`, and accessed by such atomics only.
        unsafe { AtomicMaybeUninit::<Word>::from_ptr(self.word(i)) }.load(Ordering::Relaxed)
    }

    fn load_byte(&self, i: usize) -> MaybeUninit<u8> {
        // SAFETY: as above.
        unsafe { AtomicMaybeUninit::<u8>::from_ptr(self.byte(i)) }.load(Ordering::Relaxed)
    }

    fn store_word(&self, i: usize, word: MaybeUninit<Word>) {
        // SAFETY: as above.
        unsafe { AtomicMaybeUninit::<Word>::from_ptr(self.word(i)) }.store(word, Ordering::Relaxed);
    }

    fn store_byte(&self, i: usize, byte: MaybeUninit<u8>) {
        // SAFETY: as above.
        unsafe { AtomicMaybeUninit::<u8>::from_ptr(self.byte(i)) }.store(byte, Ordering::Relaxed);
    }
}

#[cfg(all(miri, not(any(pysync_loom, pysync_shuttle))))]
impl<T: Copy> Words<T> {
    fn load_word(&self, i: usize) -> MaybeUninit<Word> {
        let _turn = self.turn.lock();
        // SAFETY: within the value, aligned by `aligned`, and accessed with the lock held only.
        unsafe { self.word(i).read() }
    }

    fn load_byte(&self, i: usize) -> MaybeUninit<u8> {
        let _turn = self.turn.lock();
        // SAFETY: as above.
        unsafe { self.byte(i).read() }
    }

    fn store_word(&self, i: usize, word: MaybeUninit<Word>) {
        let _turn = self.turn.lock();
        // SAFETY: as above.
        unsafe { self.word(i).write(word) };
    }

    fn store_byte(&self, i: usize, byte: MaybeUninit<u8>) {
        let _turn = self.turn.lock();
        // SAFETY: as above.
        unsafe { self.byte(i).write(byte) };
    }
}

/// In models the words are the checker's own, which cannot lie over a `T`. They are made at the
/// first use, so that `new` is const.
#[cfg(any(pysync_loom, pysync_shuttle))]
pub(super) struct Words<T> {
    initial: MaybeUninit<T>,
    words: OnceLock<Vec<model::Atomic<Word>>>,
    bytes: OnceLock<Vec<model::Atomic<u8>>>,
    /// Invariant in `T`, as real words are: a value of a shorter life must not get in.
    value: PhantomData<Cell<T>>,
}

#[cfg(any(pysync_loom, pysync_shuttle))]
impl<T: Copy> Words<T> {
    pub(super) const fn new(value: T) -> Self {
        Self {
            initial: MaybeUninit::new(value),
            words: OnceLock::new(),
            bytes: OnceLock::new(),
            value: PhantomData,
        }
    }

    fn words(&self, make: fn() -> model::Seen) -> &[model::Atomic<Word>] {
        let initial = self.initial.as_ptr().cast::<MaybeUninit<Word>>();
        // SAFETY: word `i` lies within the value.
        let word = |i| unsafe { initial.add(i).read_unaligned() };
        self.words
            .get_or_init(|| (0..Self::WORDS).map(|i| model::Atomic::new(word(i), make())).collect())
    }

    fn bytes(&self, make: fn() -> model::Seen) -> &[model::Atomic<u8>] {
        let initial = self.initial.as_ptr().cast::<MaybeUninit<u8>>();
        // SAFETY: the byte lies within the value, behind its words.
        let byte = |i| unsafe { initial.add(Self::WORDS * WORD + i).read() };
        self.bytes
            .get_or_init(|| (0..Self::BYTES).map(|i| model::Atomic::new(byte(i), make())).collect())
    }

    fn load_word(&self, i: usize) -> MaybeUninit<Word> {
        self.words(model::Seen::new)[i].load(Ordering::Relaxed)
    }

    fn load_byte(&self, i: usize) -> MaybeUninit<u8> {
        self.bytes(model::Seen::new)[i].load(Ordering::Relaxed)
    }

    fn store_word(&self, i: usize, word: MaybeUninit<Word>) {
        self.words(model::Seen::new)[i].store(word, Ordering::Relaxed);
    }

    fn store_byte(&self, i: usize, byte: MaybeUninit<u8>) {
        self.bytes(model::Seen::new)[i].store(byte, Ordering::Relaxed);
    }
}

#[cfg(any(pysync_loom, pysync_shuttle))]
mod model {
    use std::mem::MaybeUninit;
    use std::sync::Mutex;

    use pysync_platform::primitive::Zeroed;
    use pysync_platform::primitive::atomic::{AtomicUsize, Ordering};

    /// Which store a load sees. Zero is the initial value: a `static`'s word is that again in each
    /// execution of a loom model.
    pub(super) type Seen = Zeroed<AtomicUsize>;

    /// An atomic of the checker's for what need not be initialised: it says which of all the
    /// stores a load sees.
    pub(super) struct Atomic<U> {
        seen: Seen,
        stores: Mutex<Vec<MaybeUninit<U>>>,
    }

    impl<U: Copy> Atomic<U> {
        pub(super) fn new(initial: MaybeUninit<U>, seen: Seen) -> Self {
            Self { seen, stores: Mutex::new(vec![initial]) }
        }

        pub(super) fn load(&self, ordering: Ordering) -> MaybeUninit<U> {
            let seen = self.seen.load(ordering);
            self.stores.lock().unwrap()[seen]
        }

        pub(super) fn store(&self, value: MaybeUninit<U>, ordering: Ordering) {
            let newest = {
                let mut stores = self.stores.lock().unwrap();
                stores.push(value);
                stores.len() - 1
            };
            self.seen.store(newest, ordering);
        }
    }
}
