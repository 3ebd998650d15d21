//! What can be asked for together: cowns, readers, groups, and tuples and arrays of these.

use std::ptr::NonNull;

use super::group::{Group, ReadGroup};
use crate::cown::{Header, Mode, Uses, Value};
use crate::{Cown, Outcome};

/// What [`when`](crate::when) and [`acquire_all`](crate::acquire_all) take: the cowns that a behaviour is to
/// have, all together.
///
/// | asked for | the body gets |
/// |---|---|
/// | `&Cown<T>`, or `Cown<T>` by value | `&mut T` |
/// | `&Outcome<R>` | `&mut Result<R, Failed>` |
/// | `&[Cown<T>]`, `&Vec<Cown<T>>`, `Vec<Cown<T>>` | [`Group<T>`](crate::Group) |
/// | [`read`]`(&cown)` | `&T`, together with other readers |
/// | `read(&cowns[..])`, `read(&vec)` | [`ReadGroup<T>`](ReadGroup), the same |
/// | `()` | `()` |
/// | a tuple of up to twelve of these, an array | a tuple, an array |
///
/// A cown that is given by value costs no count.
///
/// Sealed: no type outside of this crate can be one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is nothing that a behaviour can have",
    note = "give `&Cown<T>`, `read(&cown)`, `&Outcome<R>`, a slice of cowns, or a tuple of these",
    note = "what is read must be `Sync`"
)]
pub trait Cowns: Sized {
    /// What the body gets.
    type Access<'a>;

    /// What is to be known of it besides the cowns: the lengths of groups.
    #[doc(hidden)]
    type Shape: Copy + Send + 'static;

    /// Names the cowns.
    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn name(self, uses: &mut Uses) -> Self::Shape;

    /// Gives access to those that were named, in the same order.
    ///
    /// # Safety
    /// They are held for `'a`, each in the mode in which it was named, and given to no other.
    #[doc(hidden)]
    #[allow(private_interfaces)]
    unsafe fn access<'a>(shape: Self::Shape, held: &mut Cursor<'a>) -> Self::Access<'a>;
}

/// The heads of the cowns that were named, in order.
pub(crate) struct Cursor<'a>(&'a [NonNull<Header>]);

impl<'a> Cursor<'a> {
    #[inline]
    pub(crate) fn new(named: &'a [NonNull<Header>]) -> Self {
        Self(named)
    }

    #[inline]
    fn next(&mut self) -> NonNull<Header> {
        self.take(1)[0]
    }

    #[inline]
    fn take(&mut self, n: usize) -> &'a [NonNull<Header>] {
        let (taken, rest) = self.0.split_at(n);
        self.0 = rest;
        taken
    }
}

/// Cowns of which a behaviour only reads: what [`read`] returns.
#[derive(Clone, Copy, Debug)]
pub struct Read<C>(C);

/// Asks for a cown to read, or for a slice or a vector of them. The body gets `&T` or a
/// [`ReadGroup`], at the same time as other readers. Readers and writers have the cown in the
/// order in which they asked: a reader behind a writer waits for that one.
///
/// ```
/// use pysync_boc::{Cown, read, when};
///
/// let (prices, total) = (Cown::new(vec![3, 4]), Cown::new(0));
/// let sum = when((read(&prices), &total), |(prices, total)| *total = prices.iter().sum());
/// sum.wait(None).unwrap().unwrap();
/// assert_eq!(*total.acquire(), 7);
/// ```
pub fn read<C>(cowns: C) -> Read<C>
where
    Read<C>: Cowns,
{
    Read(cowns)
}

#[allow(private_interfaces)]
impl<T: Send + 'static> Cowns for Cown<T> {
    type Access<'a> = &'a mut T;
    type Shape = ();

    #[inline]
    fn name(self, uses: &mut Uses) {
        // SAFETY: the handle itself.
        unsafe { uses.push(self.into_raw(), Mode::Write) }
        uses.next_argument();
    }

    #[inline]
    unsafe fn access<'a>((): (), held: &mut Cursor<'a>) -> &'a mut T {
        // SAFETY: held as a writer, by contract.
        unsafe { &mut *Value::<T>::get_mut(held.next()) }
    }
}

#[allow(private_interfaces)]
impl<T: Send + 'static> Cowns for &Cown<T> {
    type Access<'a> = &'a mut T;
    type Shape = ();

    #[inline]
    fn name(self, uses: &mut Uses) {
        self.clone().name(uses);
    }

    #[inline]
    unsafe fn access<'a>((): (), held: &mut Cursor<'a>) -> &'a mut T {
        // SAFETY: by contract.
        unsafe { <Cown<T> as Cowns>::access((), held) }
    }
}

#[allow(private_interfaces)]
impl<R: Send + 'static> Cowns for &Outcome<R> {
    type Access<'a> = &'a mut Result<R, crate::Failed>;
    type Shape = ();

    fn name(self, uses: &mut Uses) {
        <&Cown<_> as Cowns>::name(self, uses);
    }

    unsafe fn access<'a>((): (), held: &mut Cursor<'a>) -> Self::Access<'a> {
        // SAFETY: by contract.
        unsafe { <Cown<_> as Cowns>::access((), held) }
    }
}

#[allow(private_interfaces)]
impl<T: Send + Sync + 'static> Cowns for Read<&Cown<T>> {
    type Access<'a> = &'a T;
    type Shape = ();

    #[inline]
    fn name(self, uses: &mut Uses) {
        // SAFETY: a handle more.
        unsafe { uses.push(self.0.share(), Mode::Read) }
        uses.next_argument();
    }

    #[inline]
    unsafe fn access<'a>((): (), held: &mut Cursor<'a>) -> &'a T {
        // SAFETY: held as a reader, by contract.
        unsafe { &*Value::<T>::get(held.next()) }
    }
}

/// Names a group, as one argument. Returns how many cowns it has.
fn name_group<T>(cowns: &[Cown<T>], mode: Mode, uses: &mut Uses) -> usize {
    // SAFETY: a handle more of each.
    cowns.iter().for_each(|cown| unsafe { uses.push(cown.share(), mode) });
    uses.next_argument();
    cowns.len()
}

macro_rules! groups {
    ($($group:ty),*) => {$(
        #[allow(private_interfaces)]
        impl<T: Send + 'static> Cowns for $group {
            type Access<'a> = Group<'a, T>;
            type Shape = usize;

            fn name(self, uses: &mut Uses) -> usize {
                name_group(&self, Mode::Write, uses)
            }

            unsafe fn access<'a>(len: usize, held: &mut Cursor<'a>) -> Group<'a, T> {
                // SAFETY: held as writers, and given to no other, by contract.
                unsafe { Group::new(held.take(len)) }
            }
        }
    )*};
}

groups! { &[Cown<T>], &Vec<Cown<T>>, Vec<Cown<T>> }

macro_rules! read_groups {
    ($($group:ty),*) => {$(
        #[allow(private_interfaces)]
        impl<T: Send + Sync + 'static> Cowns for Read<$group> {
            type Access<'a> = ReadGroup<'a, T>;
            type Shape = usize;

            fn name(self, uses: &mut Uses) -> usize {
                name_group(self.0, Mode::Read, uses)
            }

            unsafe fn access<'a>(len: usize, held: &mut Cursor<'a>) -> ReadGroup<'a, T> {
                // SAFETY: held as readers, by contract.
                unsafe { ReadGroup::new(held.take(len)) }
            }
        }
    )*};
}

read_groups! { &[Cown<T>], &Vec<Cown<T>> }

#[allow(private_interfaces)]
impl<C: Cowns, const N: usize> Cowns for [C; N] {
    type Access<'a> = [C::Access<'a>; N];
    type Shape = [C::Shape; N];

    fn name(self, uses: &mut Uses) -> Self::Shape {
        self.map(|cowns| cowns.name(uses))
    }

    unsafe fn access<'a>(shape: Self::Shape, held: &mut Cursor<'a>) -> Self::Access<'a> {
        // SAFETY: by contract.
        shape.map(|shape| unsafe { C::access(shape, held) })
    }
}

#[allow(private_interfaces)]
impl Cowns for () {
    type Access<'a> = ();
    type Shape = ();

    fn name(self, uses: &mut Uses) {
        uses.next_argument();
    }

    unsafe fn access<'a>((): (), _held: &mut Cursor<'a>) {}
}

macro_rules! tuples {
    ($(($($name:ident)+))*) => {$(
        #[allow(private_interfaces, non_snake_case)]
        impl<$($name: Cowns),+> Cowns for ($($name,)+) {
            type Access<'a> = ($($name::Access<'a>,)+);
            type Shape = ($($name::Shape,)+);

            #[inline]
            fn name(self, uses: &mut Uses) -> Self::Shape {
                let ($($name,)+) = self;
                ($($name.name(uses),)+)
            }

            #[inline]
            unsafe fn access<'a>(shape: Self::Shape, held: &mut Cursor<'a>) -> Self::Access<'a> {
                let ($($name,)+) = shape;
                // SAFETY: by contract.
                unsafe { ($($name::access($name, held),)+) }
            }
        }
    )*};
}

tuples! {
    (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) (A B C D E F G) (A B C D E F G H)
    (A B C D E F G H I) (A B C D E F G H I J) (A B C D E F G H I J K) (A B C D E F G H I J K L)
}
