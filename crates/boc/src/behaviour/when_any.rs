//! Behaviours over cowns whose number and types are known only at run time: for bindings.

use std::any::TypeId;
use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;

use super::when::{here, schedule_returned};
use crate::cown::{Aliases, Header, Mode, Uses, Value};
use crate::scheduler::runtime::{Runtime, Shared};
use crate::{Cown, Outcome};

/// A cown that [`when_any`] is to have, and how.
#[derive(Clone, Copy)]
pub struct Use<'c> {
    cown: NonNull<Header>,
    mode: Mode,
    handle: PhantomData<&'c ()>,
}

impl<'c> Use<'c> {
    /// To change the value.
    pub fn write<T: Send + 'static>(cown: &'c Cown<T>) -> Self {
        Self { cown: cown.header(), mode: Mode::Write, handle: PhantomData }
    }

    /// To read it, together with other readers.
    pub fn read<T: Send + Sync + 'static>(cown: &'c Cown<T>) -> Self {
        Self { cown: cown.header(), mode: Mode::Read, handle: PhantomData }
    }
}

impl fmt::Debug for Use<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Use").field("cown", &self.cown).field("mode", &self.mode).finish()
    }
}

/// What the body of [`when_any`] gets: the cowns by their index.
pub struct HeldSet<'a> {
    named: &'a [NonNull<Header>],
    uses: &'a [Mode],
}

impl HeldSet<'_> {
    /// How many cowns there are.
    pub fn len(&self) -> usize {
        self.named.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    fn is_of<T: 'static>(&self, index: usize) -> Option<NonNull<Header>> {
        let cown = *self.named.get(index)?;
        // SAFETY: the behaviour has a handle of it.
        let type_id = unsafe { cown.as_ref() }.vtable.type_id;
        (type_id() == TypeId::of::<T>()).then_some(cown)
    }

    /// The value at `index`. There is none if it is of another type, or the index is too large.
    pub fn get<T: 'static>(&self, index: usize) -> Option<&T> {
        // SAFETY: held; and of this type. No mutable reference is about, since this is borrowed.
        self.is_of::<T>(index).map(|cown| unsafe { &*Value::<T>::get(cown) })
    }

    /// The value at `index`, to be changed. There is none if it is of another type or named to be read, or
    /// the index is too large.
    pub fn get_mut<T: 'static>(&mut self, index: usize) -> Option<&mut T> {
        let cown = self.is_of::<T>(index).filter(|_| self.uses[index] == Mode::Write)?;
        // SAFETY: held as a writer, of this type, and this is borrowed.
        Some(unsafe { &mut *Value::<T>::get_mut(cown) })
    }

    /// Two values to be changed, as [`get_mut`](Self::get_mut) has them. There are none if both are of one
    /// cown.
    pub fn pair_mut<T: 'static, U: 'static>(
        &mut self,
        first: usize,
        second: usize,
    ) -> Option<(&mut T, &mut U)> {
        let writes = |index: usize| self.uses.get(index) == Some(&Mode::Write);
        if !writes(first) || !writes(second) {
            return None;
        }
        let (first, second) = (self.is_of::<T>(first)?, self.is_of::<U>(second)?);
        if first == second {
            return None;
        }
        // SAFETY: held as writers, of these types, two, and this is borrowed.
        Some(unsafe { (&mut *Value::<T>::get_mut(first), &mut *Value::<U>::get_mut(second)) })
    }

    /// Whether both are the same cown.
    pub fn is_same(&self, first: usize, second: usize) -> bool {
        self.named.get(first).is_some_and(|cown| self.named.get(second) == Some(cown))
    }
}

impl fmt::Debug for HeldSet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldSet").field("len", &self.len()).finish()
    }
}

/// [`when`](crate::when) over cowns of any number and types. A cown may be named more than once: the body
/// reaches its one value by each index. If it is to be changed by one of them, the behaviour has it alone.
///
/// # Panics
/// If cowns are of two lanes. If the threads of the global runtime cannot be started.
///
/// ```
/// use pysync_boc::{Cown, Use, when_any};
///
/// let (count, name) = (Cown::new(1), Cown::new(String::from("a")));
/// let uses = [Use::write(&count), Use::read(&name), Use::write(&count)];
/// let outcome = when_any(&uses, |held| {
///     *held.get_mut::<i32>(0).unwrap() += 1;
///     (*held.get::<i32>(2).unwrap(), held.get::<String>(1).unwrap().len())
/// });
/// assert_eq!(outcome.wait(None).unwrap().unwrap(), (2, 1));
/// ```
pub fn when_any<R, F>(uses: &[Use<'_>], body: F) -> Outcome<R>
where
    R: Send + 'static,
    F: FnOnce(&mut HeldSet<'_>) -> R + Send + 'static,
{
    when_any_on(here(), uses, body)
}

impl Runtime {
    /// [`when_any`] on this runtime.
    ///
    /// # Panics
    /// As `when_any` does.
    pub fn when_any<R, F>(&self, uses: &[Use<'_>], body: F) -> Outcome<R>
    where
        R: Send + 'static,
        F: FnOnce(&mut HeldSet<'_>) -> R + Send + 'static,
    {
        when_any_on(self.shared(), uses, body)
    }
}

fn when_any_on<R, F>(runtime: NonNull<Shared>, uses: &[Use<'_>], body: F) -> Outcome<R>
where
    R: Send + 'static,
    F: FnOnce(&mut HeldSet<'_>) -> R + Send + 'static,
{
    let mut named = Uses::new();
    for used in uses {
        // SAFETY: the use borrows a handle, of which this is one more.
        unsafe {
            used.cown.as_ref().share();
            named.push(used.cown, used.mode);
        }
    }
    let modes: Box<[Mode]> = uses.iter().map(|used| used.mode).collect();
    let body = move |named: &[NonNull<Header>]| body(&mut HeldSet { named, uses: &modes });
    schedule_returned(runtime, &mut named, Aliases::Allowed, body)
}
