//! Several cowns for a thread, outside of behaviours.

use std::fmt;
use std::panic::Location;
use std::ptr::NonNull;
use std::time::Duration;

use pysync_platform::{Deadline, LockFlags, Native};

use super::cowns::{Cowns, Cursor};
use crate::NotAcquired;
use crate::cown::{Aliases, Distinct, Grants, Header, Use, Uses, block, deadline_after};

/// Acquires cowns for the calling thread, all together, behind all behaviours and threads that have asked for
/// any of them before. Blocks through signals, and detached while it sleeps. Two threads that acquire the same
/// cowns in different orders do not wait for each other.
///
/// # Panics
/// Inside a behaviour, whose worker would wait for itself. If a cown is named twice, as with
/// [`when`](crate::when). If a value has been disowned.
///
/// ```
/// use pysync_boc::{Cown, acquire_all};
///
/// let (left, right) = (Cown::new(1), Cown::new(2));
/// let mut held = acquire_all((&left, &right));
/// let (left, right) = held.access();
/// std::mem::swap(left, right);
/// ```
#[track_caller]
pub fn acquire_all<C: Cowns>(cowns: C) -> HeldAll<C> {
    match acquire_until(cowns, Deadline::NEVER, Location::caller()) {
        Ok(held) => held,
        Err(error) => panic!("{error}"),
    }
}

/// [`acquire_all`] for a time: `None` waits for ever, and `Some(ZERO)` not at all.
///
/// # Errors
/// Why they have not been acquired; none of them is held.
///
/// # Panics
/// Inside a behaviour, if the timeout is not zero. If a cown is named twice.
#[track_caller]
pub fn acquire_all_timed<C: Cowns>(
    cowns: C,
    timeout: Option<Duration>,
) -> Result<HeldAll<C>, NotAcquired> {
    acquire_until(cowns, deadline_after(timeout), Location::caller())
}

#[track_caller]
fn acquire_until<C: Cowns>(
    cowns: C,
    deadline: Deadline,
    caller: &Location<'_>,
) -> Result<HeldAll<C>, NotAcquired> {
    let mut uses = Uses::new();
    let shape = cowns.name(&mut uses);
    let mut distinct = Distinct::new();
    let cowns: Box<[Use]> = distinct.of(&uses, Aliases::Refused(caller)).into();
    let named = uses.as_slice().iter().map(|used| used.cown).collect();
    // SAFETY: in order and distinct; the handles are in `uses`.
    unsafe { block::<Native>(&cowns, deadline, LockFlags::DETACH) }?;
    let held = HeldAll { shape, named, cowns, _uses: uses };
    // SAFETY: a handle keeps each.
    if held.named.iter().any(|cown| unsafe { cown.as_ref() }.word.is_disowned()) {
        return Err(NotAcquired::Disowned);
    }
    Ok(held)
}

/// Cowns that a thread has acquired together. The drop releases them.
#[must_use = "the cowns are released when this is dropped"]
pub struct HeldAll<C: Cowns> {
    shape: C::Shape,
    /// All have a value.
    named: Box<[NonNull<Header>]>,
    /// The distinct ones, in the order of their addresses.
    cowns: Box<[Use]>,
    /// The handles.
    _uses: Uses,
}

// SAFETY: it gives what mutable references to values that may be sent do, and shared ones to values that may be
// shared: `Cowns` asks for that. A release may come from any thread.
unsafe impl<C: Cowns> Send for HeldAll<C> {}

impl<C: Cowns> HeldAll<C> {
    /// The values, as the body of a behaviour gets them.
    pub fn access(&mut self) -> C::Access<'_> {
        // SAFETY: held for as long as this is borrowed.
        unsafe { C::access(self.shape, &mut Cursor::new(&self.named)) }
    }
}

impl<C: Cowns> Drop for HeldAll<C> {
    fn drop(&mut self) {
        Grants::handing_over(|grants| {
            for used in &self.cowns[..] {
                // SAFETY: held in this mode, and kept by a handle.
                unsafe { used.cown.as_ref().release(used.mode(), grants) };
            }
        });
    }
}

impl<C: Cowns> fmt::Debug for HeldAll<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldAll").field("len", &self.named.len()).finish()
    }
}
