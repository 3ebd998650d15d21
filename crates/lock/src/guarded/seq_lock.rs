use std::fmt;
use std::mem::MaybeUninit;

use super::words::Words;

/// A value that is copied out without a lock: a reader that meets a writer tries again.
///
/// Readers write nothing and so do not disturb each other. For small values that are read often
/// and written seldom. The value is copied word by word with relaxed atomics, so that a torn
/// copy is a thing to throw away and never a data race.
///
/// Nothing here parks: readers and writers pause and yield while another writes.
///
/// ```
/// use pysync_lock::guarded::SeqLock;
///
/// static POINT: SeqLock<(u64, u64)> = SeqLock::new((0, 0));
/// POINT.write((3, 4));
/// assert_eq!(POINT.read(), (3, 4));
/// ```
///
/// It is no place for a value that lives for less long than its type says:
///
/// ```compile_fail
/// # use pysync_lock::guarded::SeqLock;
/// fn shorten<'a>(lock: &'a SeqLock<&'static str>) -> &'a SeqLock<&'a str> {
///     lock
/// }
/// ```
pub struct SeqLock<T> {
    lock: crate::SeqLock,
    words: Words<T>,
}

impl<T: Copy> SeqLock<T> {
    /// A lock around `value`.
    pub const fn new(value: T) -> Self {
        Self { lock: crate::SeqLock::new(), words: Words::new(value) }
    }

    /// A copy of the value; tries again for as long as writers interfere.
    pub fn read(&self) -> T {
        loop {
            if let Some(value) = self.try_read() {
                return value;
            }
        }
    }

    /// A copy of the value, unless a writer interfered. Waits for one that is there already.
    pub fn try_read(&self) -> Option<T> {
        let sequence = self.lock.begin_read();
        let copy: MaybeUninit<T> = self.words.load();
        // SAFETY: no thread wrote between the first word and the last, so that the copy is one that
        // a writer stored whole.
        self.lock.end_read(sequence).then(|| unsafe { copy.assume_init() })
    }

    /// Replaces the value, once no other thread writes.
    pub fn write(&self, value: T) {
        self.lock.lock_write();
        self.words.store(value);
        self.lock.unlock_write();
    }

    /// Ends a write that a `fork` cut off, in the child, by storing `value`; false says that
    /// there was none, and the value is as it was.
    ///
    /// ```compile_fail,E0133
    /// # use pysync_lock::guarded::SeqLock;
    /// // Beside a writer it would let in a second one, and a reader would take what the two wrote
    /// // for one value: of a slice the address of the one and the length of the other.
    /// SeqLock::new(&[1, 2, 3][..]).after_fork(&[]);
    /// ```
    ///
    /// # Safety
    /// The calling thread is the only one in the process, and is not inside a write of this lock.
    pub unsafe fn after_fork(&self, value: T) -> bool {
        let cut_off = self.lock.after_fork();
        if cut_off {
            self.write(value);
        }
        cut_off
    }
}

impl<T: Copy + Default> Default for SeqLock<T> {
    fn default() -> Self {
        Self::from(T::default())
    }
}

/// A lock around the value; in a loom model its state is made at once, and not at its first use.
impl<T: Copy> From<T> for SeqLock<T> {
    fn from(value: T) -> Self {
        Self { lock: crate::SeqLock::default(), words: Words::made(value) }
    }
}

impl<T: Copy + fmt::Debug> fmt::Debug for SeqLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SeqLock").field(&self.read()).finish()
    }
}
