/// What threads park on: an address, which need not point to anything.
///
/// [`park`](crate::park) and [`unpark`](crate::unpark) make one of the word that they are given. The
/// operations that C does not have take a key, since they need no word.
///
/// ```
/// use pysync_parking_lot::Key;
/// use std::sync::atomic::AtomicU32;
///
/// let words = [AtomicU32::new(0), AtomicU32::new(0)];
/// assert_eq!(Key::of(&words[0]), Key::of(&words[0]));
/// assert_ne!(Key::of(&words[0]), Key::of(&words[1]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(usize);

impl Key {
    /// The address of `place`, which is not looked at.
    #[inline]
    pub fn of<T: ?Sized>(place: *const T) -> Self {
        Self(place.cast::<()>().addr())
    }

    /// The address itself.
    #[inline]
    pub const fn addr(self) -> usize {
        self.0
    }

    /// The key of an address that is known as a number.
    pub(crate) const fn at(addr: usize) -> Self {
        Self(addr)
    }
}
