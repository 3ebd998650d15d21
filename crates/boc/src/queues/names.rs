//! Which queue a name stands for.

use std::ptr;

use pysync_lock::Mutex;
use pysync_platform::primitive::UnsafeCell;
use pysync_platform::primitive::atomic::{
    AtomicPtr, AtomicU16, AtomicU32, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};

use super::NoTagLeft;

/// The table of names.
///
/// To look a name up takes no lock as long as `set_tags` is not at work: a reader notes the version,
/// looks, and finds the version unchanged. All that it reads are atomics, which stay as long as the table
/// does. So what it reads while the table changes is worth nothing, and does no harm.
///
/// A claim adds a name, and changes none. So it leaves the version as it is.
pub(super) struct Names {
    /// Twice how often the names have been set; odd while they are being set.
    version: AtomicU32,
    /// The places of the slots, by the hashes of their names: a slot plus one, or 0. At least a half
    /// are 0.
    index: Box<[AtomicU16]>,
    slots: Box<[Name]>,
    /// Guards `state` and all changes.
    mutex: Mutex,
    state: UnsafeCell<State>,
}

struct State {
    /// How many slots have names: the first ones.
    used: usize,
    /// Whether no other names are let in.
    is_fixed: bool,
}

// SAFETY: the state is reached with the mutex locked, and the rest are atomics.
unsafe impl Sync for Names {}

/// The name of a slot.
struct Name {
    hash: AtomicUsize,
    /// In bytes.
    len: AtomicUsize,
    letters: AtomicPtr<Letters>,
}

/// Room for a name. A longer name gets another one, and this one is kept for readers that still use it. As
/// each is at least twice as long as the one before, all of a slot together are less than twice as long as
/// its last.
struct Letters {
    words: Box<[AtomicUsize]>,
    older: *mut Letters,
}

const WORD_BYTES: usize = size_of::<usize>();

/// The bytes of a name as words, the last one filled up with zeroes.
#[inline]
fn words(name: &str) -> impl Iterator<Item = usize> + '_ {
    name.as_bytes().chunks(WORD_BYTES).map(|chunk| match <[u8; WORD_BYTES]>::try_from(chunk) {
        Ok(word) => usize::from_le_bytes(word),
        Err(_) => chunk.iter().rev().fold(0, |word, &byte| (word << 8) | usize::from(byte)),
    })
}

#[inline]
fn hash(name: &str) -> usize {
    // The golden ratio, as a fraction of a word.
    const RATIO: usize = 0x9E37_79B9_7F4A_7C15_u64 as usize;
    let mixed =
        words(name).fold(name.len(), |hash, word| (hash.rotate_left(5) ^ word).wrapping_mul(RATIO));
    mixed ^ (mixed >> (usize::BITS / 2))
}

impl Name {
    fn new() -> Self {
        Self {
            hash: AtomicUsize::new(0),
            len: AtomicUsize::new(0),
            letters: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Whether it is `name`, whose hash is `hash`.
    #[inline]
    fn is(&self, name: &str, hash: usize) -> bool {
        // Ordering: Relaxed, see `find_in_index`.
        if self.hash.load(Relaxed) != hash || self.len.load(Relaxed) != name.len() {
            return false;
        }
        // Ordering: Acquire pairs with the Release in `set`: the words are there.
        let letters = self.letters.load(Acquire);
        // SAFETY: null, or made by `set` and kept until the table is dropped.
        let words_of = unsafe { letters.as_ref() }.map_or(&[][..], |letters| &letters.words[..]);
        words_of.len() * WORD_BYTES >= name.len()
            && words(name).zip(words_of).all(|(word, ours)| ours.load(Relaxed) == word)
    }

    /// Changes the name. The mutex is locked.
    fn set(&self, name: &str, hash: usize) {
        self.hash.store(hash, Relaxed);
        self.len.store(name.len(), Relaxed);
        let needed = name.len().div_ceil(WORD_BYTES);
        // Ordering: Relaxed; the mutex orders the changes.
        let older = self.letters.load(Relaxed);
        // SAFETY: as in `is`.
        let mut letters = unsafe { older.as_ref() };
        if letters.is_none_or(|letters| letters.words.len() < needed) {
            let words = (0..needed.next_power_of_two()).map(|_| AtomicUsize::new(0)).collect();
            let new = Box::into_raw(Box::new(Letters { words, older }));
            // Ordering: Release pairs with the Acquire in `is`.
            self.letters.store(new, Release);
            // SAFETY: just made.
            letters = Some(unsafe { &*new });
        }
        for (place, word) in letters.expect("made above").words.iter().zip(words(name)) {
            place.store(word, Relaxed);
        }
    }

    /// The mutex is locked.
    fn text(&self) -> String {
        // SAFETY: as in `is`.
        let letters = unsafe { self.letters.load(Relaxed).as_ref() };
        let words = letters.map_or(&[][..], |letters| &letters.words[..]);
        let bytes = words.iter().flat_map(|word| word.load(Relaxed).to_le_bytes());
        let bytes: Vec<u8> = bytes.take(self.len.load(Relaxed)).collect();
        String::from_utf8(bytes).expect("written from a `str`")
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let mut letters = self.letters.load(Relaxed);
        while !letters.is_null() {
            // SAFETY: made by `set`, and there is no reader any more.
            letters = unsafe { Box::from_raw(letters) }.older;
        }
    }
}

/// Where a name is: its slot, and how often the names had been set.
pub(super) type Found = (usize, u32);

impl Names {
    pub(super) fn new(slots: usize) -> Self {
        Self {
            version: AtomicU32::new(0),
            index: (0..(2 * slots).next_power_of_two()).map(|_| AtomicU16::new(0)).collect(),
            slots: (0..slots).map(|_| Name::new()).collect(),
            mutex: Mutex::default(),
            state: UnsafeCell::new(State { used: 0, is_fixed: false }),
        }
    }

    /// Whether the names have been set so often, and are not being set.
    #[inline]
    pub(super) fn are_of(&self, generation: u32) -> bool {
        // Ordering: Relaxed. A thread that has got the generation from `find` has acquired what belongs to
        // it. A thread that finds its ring closed has acquired, by the fence in `change`, that it is over.
        self.version.load(Relaxed) == generation.wrapping_mul(2)
    }

    /// The slot of a name; `None` if it has none. Waits while the names are being set.
    #[inline]
    pub(super) fn find(&self, name: &str) -> Option<Found> {
        let hash = hash(name);
        // Ordering: Acquire pairs with the Release at the end of `change`: the rings are open.
        let version = self.version.load(Acquire);
        if version % 2 == 0 {
            let slot = self.find_in_index(name, hash);
            // Ordering: pairs with the fence in `change`. If the look has read what that has written, the
            // load finds another version.
            fence(Acquire);
            if self.version.load(Relaxed) == version {
                return Some((slot?, version / 2));
            }
        }
        self.lock().find(name, hash)
    }

    #[inline]
    fn find_in_index(&self, name: &str, hash: usize) -> Option<usize> {
        // At least a half of the places are free. While the names are being set, what a look finds is
        // worth nothing, and it ends nevertheless.
        for step in 0..self.index.len() {
            // Ordering: Relaxed. If the slot has its name not yet, or no more, the name is looked up again
            // with the mutex locked.
            let place = self.place_in_index(hash, step).load(Relaxed);
            let slot = usize::from(place).checked_sub(1)?;
            if self.slots[slot].is(name, hash) {
                return Some(slot);
            }
        }
        None
    }

    /// Where a slot is looked for after so many steps.
    #[inline]
    fn place_in_index(&self, hash: usize, step: usize) -> &AtomicU16 {
        &self.index[hash.wrapping_add(step) & (self.index.len() - 1)]
    }

    /// The slot of a name, which is claimed for it if it is new. Waits while the names are being set.
    #[inline]
    pub(super) fn find_or_claim(&self, name: &str) -> Result<Found, NoTagLeft> {
        match self.find(name) {
            Some(place) => Ok(place),
            None => self.claim(name),
        }
    }

    #[cold]
    fn claim(&self, name: &str) -> Result<Found, NoTagLeft> {
        let hash = hash(name);
        let mut locked = self.lock();
        if let Some(place) = locked.find(name, hash) {
            return Ok(place);
        }
        let state = locked.state();
        if state.is_fixed || state.used == self.slots.len() {
            return Err(NoTagLeft);
        }
        let slot = state.used;
        self.slots[slot].set(name, hash);
        locked.state().used += 1;
        self.add(slot, hash);
        Ok((slot, locked.generation()))
    }

    /// Puts a slot into the index. The mutex is locked.
    fn add(&self, slot: usize, hash: usize) {
        let mut places = (0..self.index.len()).map(|step| self.place_in_index(hash, step));
        let free = places.find(|place| place.load(Relaxed) == 0).expect("half of them are free");
        // Ordering: Relaxed, see `find_in_index`.
        free.store(slot as u16 + 1, Relaxed);
    }

    /// Keeps claims and other changes off, and look-ups that begin while the names are being set.
    pub(super) fn lock(&self) -> Locked<'_> {
        self.mutex.lock();
        Locked(self)
    }

    /// Unlocks the names, whichever thread held the lock.
    ///
    /// # Safety
    /// The calling thread is the only one that uses the names.
    pub(super) unsafe fn after_fork(&self) {
        // SAFETY: by contract.
        unsafe { self.mutex.after_fork() };
    }
}

/// Locked [`Names`].
pub(super) struct Locked<'a>(&'a Names);

impl Locked<'_> {
    fn state(&mut self) -> &mut State {
        // SAFETY: the mutex is locked.
        self.0.state.with_mut(|state| unsafe { &mut *state })
    }

    /// How often the names have been set.
    pub(super) fn generation(&self) -> u32 {
        // Ordering: Relaxed; the mutex orders the changes.
        self.0.version.load(Relaxed) / 2
    }

    fn find(&self, name: &str, hash: usize) -> Option<Found> {
        let slot = self.0.find_in_index(name, hash)?;
        Some((slot, self.generation()))
    }

    /// How many slots have names.
    pub(super) fn used(&mut self) -> usize {
        self.state().used
    }

    /// The name of a slot that has one.
    pub(super) fn name(&self, slot: usize) -> String {
        self.0.slots[slot].text()
    }

    /// Sets the names, with a call of `swap_rings` in between. Others are let in later, unless these
    /// `are_all`. `swap_rings` gets the new generation. It must not panic.
    pub(super) fn change(&mut self, names: &[&str], are_all: bool, swap_rings: impl FnOnce(u32)) {
        let version = self.0.version.load(Relaxed) & !1;
        // Ordering: Relaxed. The fence pairs with the one in `find`, and with the Acquire of a thread that
        // finds a ring which `swap_rings` has closed: both then find this version.
        self.0.version.store(version + 1, Relaxed);
        fence(Release);
        swap_rings((version / 2).wrapping_add(1));
        self.0.index.iter().for_each(|place| place.store(0, Relaxed));
        for (slot, name) in names.iter().enumerate() {
            let hash = hash(name);
            self.0.slots[slot].set(name, hash);
            self.0.add(slot, hash);
        }
        *self.state() = State { used: names.len(), is_fixed: are_all };
        // Ordering: Release pairs with the Acquire of the look-ups.
        self.0.version.store(version.wrapping_add(2), Release);
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.0.mutex.unlock();
    }
}
