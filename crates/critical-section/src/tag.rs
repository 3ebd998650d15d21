//! Tagged pointers to sections: the links of a thread's stack.

use std::fmt;
use std::ptr;

use crate::{CriticalSection, CriticalSection2};

/// The section is suspended: it has unlocked its mutexes. So are all sections around it.
///
/// CPython: Include/internal/pycore_critical_section.h:L19 _Py_CRITICAL_SECTION_INACTIVE
const INACTIVE: usize = 0x1;
/// The section is a [`CriticalSection2`].
///
/// CPython: Include/internal/pycore_critical_section.h:L20 _Py_CRITICAL_SECTION_TWO_MUTEXES
const TWO_MUTEXES: usize = 0x2;
/// CPython: Include/internal/pycore_critical_section.h:L21 _Py_CRITICAL_SECTION_MASK
const MASK: usize = 0x3;

/// The tags need two bits of a section's address.
///
/// CPython: Python/critical_section.c:L7 static_assert
const _: () = assert!(align_of::<CriticalSection>() >= 4);

/// A section's address and its tags in one word, null for no section. C keeps it as a `uintptr_t`.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Tagged(*const CriticalSection);

impl Tagged {
    pub(crate) const NONE: Self = Self(ptr::null());

    pub(crate) fn one(section: &CriticalSection) -> Self {
        Self(section)
    }

    pub(crate) fn two(section: &CriticalSection2) -> Self {
        // Made from the whole, so that it may be cast back to the whole.
        let base: *const CriticalSection = ptr::from_ref(section).cast();
        Self(base.map_addr(|addr| addr | TWO_MUTEXES))
    }

    pub(crate) fn is_none(self) -> bool {
        self.0.is_null()
    }

    /// Whether the link leads to a section that is suspended.
    #[inline]
    pub fn is_inactive(self) -> bool {
        self.0.addr() & INACTIVE != 0
    }

    /// CPython: Include/internal/pycore_critical_section.h:L104 _PyCriticalSection_IsActive
    pub(crate) fn is_active(self) -> bool {
        // L106: there is a section, and it is not suspended.
        !self.is_none() && !self.is_inactive()
    }

    pub(crate) fn has_two_mutexes(self) -> bool {
        self.0.addr() & TWO_MUTEXES != 0
    }

    pub(crate) fn inactive(self) -> Self {
        Self(self.0.map_addr(|addr| addr | INACTIVE))
    }

    pub(crate) fn active(self) -> Self {
        Self(self.0.map_addr(|addr| addr & !INACTIVE))
    }

    /// The section without its tags.
    ///
    /// CPython: Python/critical_section.c:L47 untag_critical_section
    pub(crate) fn untagged(self) -> *const CriticalSection {
        // L49: the address alone.
        self.0.map_addr(|addr| addr & !MASK)
    }

    /// The section as what it is, if it has two mutexes.
    pub(crate) fn untagged2(self) -> Option<*const CriticalSection2> {
        self.has_two_mutexes().then(|| self.untagged().cast())
    }
}

impl fmt::Debug for Tagged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0.addr())
    }
}
