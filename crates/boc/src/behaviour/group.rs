//! What the body of a behaviour gets for a slice or a vector of cowns.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Index, IndexMut};
use std::ptr::NonNull;

use crate::cown::{Header, Value};

/// A group of cowns that a behaviour has, one at a time: the same cown may be in it twice.
pub struct Group<'a, T> {
    cowns: &'a [NonNull<Header>],
    values: PhantomData<&'a mut T>,
}

// SAFETY: it gives what a mutable reference to each value does.
unsafe impl<T: Send> Send for Group<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Group<'_, T> {}

impl<'a, T> Group<'a, T> {
    /// # Safety
    /// The cowns are held as writers for `'a`, and their values are given to no other.
    pub(crate) unsafe fn new(cowns: &'a [NonNull<Header>]) -> Self {
        Self { cowns, values: PhantomData }
    }

    /// How many cowns there are.
    pub fn len(&self) -> usize {
        self.cowns.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.cowns.is_empty()
    }

    /// The value at `index`.
    pub fn get(&self, index: usize) -> Option<&T> {
        // SAFETY: held as a writer, and this is borrowed.
        self.cowns.get(index).map(|&cown| unsafe { &*Value::<T>::get(cown) })
    }

    /// The value at `index`, to be changed.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        // SAFETY: held as a writer, and this is borrowed, so that there is no other reference to any.
        self.cowns.get(index).map(|&cown| unsafe { &mut *Value::<T>::get_mut(cown) })
    }

    /// Two values at a time. There are none if one is missing, or if both are of one cown.
    pub fn pair_mut(&mut self, first: usize, second: usize) -> Option<(&mut T, &mut T)> {
        let (first, second) = (*self.cowns.get(first)?, *self.cowns.get(second)?);
        if first == second {
            return None;
        }
        // SAFETY: held as writers, this is borrowed, and they are two.
        Some(unsafe { (&mut *Value::<T>::get_mut(first), &mut *Value::<T>::get_mut(second)) })
    }

    /// The values, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        // SAFETY: held as writers, and this is borrowed.
        self.cowns.iter().map(|&cown| unsafe { &*Value::<T>::get(cown) })
    }

    /// Calls `change` with each value, in order. A cown that is there twice has two turns.
    pub fn for_each(&mut self, mut change: impl FnMut(&mut T)) {
        // SAFETY: as in `get_mut`.
        self.cowns.iter().for_each(|&cown| change(unsafe { &mut *Value::<T>::get_mut(cown) }));
    }
}

impl<T> Index<usize> for Group<'_, T> {
    type Output = T;

    fn index(&self, index: usize) -> &T {
        self.get(index).expect("a group has fewer cowns")
    }
}

impl<T> IndexMut<usize> for Group<'_, T> {
    fn index_mut(&mut self, index: usize) -> &mut T {
        self.get_mut(index).expect("a group has fewer cowns")
    }
}

impl<T> fmt::Debug for Group<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("len", &self.len()).finish()
    }
}

/// A group of cowns of which a behaviour reads: what it gets for [`read`](crate::read) of a slice.
pub struct ReadGroup<'a, T> {
    cowns: &'a [NonNull<Header>],
    values: PhantomData<&'a T>,
}

impl<T> Clone for ReadGroup<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for ReadGroup<'_, T> {}

// SAFETY: it gives what a shared reference to each value does.
unsafe impl<T: Sync> Send for ReadGroup<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for ReadGroup<'_, T> {}

impl<'a, T> ReadGroup<'a, T> {
    /// # Safety
    /// The cowns are held for `'a`.
    pub(crate) unsafe fn new(cowns: &'a [NonNull<Header>]) -> Self {
        Self { cowns, values: PhantomData }
    }

    /// How many cowns there are.
    pub fn len(&self) -> usize {
        self.cowns.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.cowns.is_empty()
    }

    /// The value at `index`.
    pub fn get(&self, index: usize) -> Option<&'a T> {
        // SAFETY: held as a reader.
        self.cowns.get(index).map(|&cown| unsafe { &*Value::<T>::get(cown) })
    }

    /// The values, in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a T> + use<'a, T> {
        // SAFETY: held as readers.
        self.cowns.iter().map(|&cown| unsafe { &*Value::<T>::get(cown) })
    }
}

impl<T> Index<usize> for ReadGroup<'_, T> {
    type Output = T;

    fn index(&self, index: usize) -> &T {
        self.get(index).expect("a group has fewer cowns")
    }
}

impl<T> fmt::Debug for ReadGroup<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadGroup").field("len", &self.len()).finish()
    }
}
