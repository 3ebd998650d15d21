//! What a request is going to use: cowns in the order in which the caller has named them.

use std::mem::MaybeUninit;
use std::panic::Location;
use std::ptr::NonNull;

use super::header::Header;
use super::word::Mode;
use crate::scheduler::lane;

/// Whether a cown may be named twice.
pub(crate) enum Aliases<'a> {
    Allowed,
    /// Not by the caller at this place.
    Refused(&'a Location<'a>),
}

/// How many lie on the stack.
const FEW: usize = 8;

/// One cown that is named. It owns a handle.
///
/// Two fields of different sizes, so that a copy moves each by itself: the processor cannot forward two stores to
/// one load that covers both, and waits for the cache.
#[derive(Clone, Copy)]
pub(crate) struct Use {
    pub(crate) cown: NonNull<Header>,
    /// Bit 0: it is to be read. The others: which argument of the caller's it is part of.
    tag: u32,
}

const READ: u32 = 1;

impl Use {
    #[inline]
    pub(crate) fn new(cown: NonNull<Header>, mode: Mode) -> Self {
        Self::of_argument(cown, mode, 0)
    }

    #[inline]
    fn of_argument(cown: NonNull<Header>, mode: Mode, argument: u32) -> Self {
        Self { cown, tag: argument << 1 | if mode == Mode::Read { READ } else { 0 } }
    }

    #[inline]
    pub(crate) fn mode(self) -> Mode {
        if self.tag & READ == 0 { Mode::Write } else { Mode::Read }
    }

    fn argument(self) -> u32 {
        self.tag >> 1
    }
}

/// The cowns that are named, in order, with a handle of each.
pub(crate) struct Uses {
    few: [MaybeUninit<Use>; FEW],
    len: usize,
    /// All of them, once there are more.
    many: Vec<Use>,
    argument: u32,
    lane: *const lane::Shared,
}

impl Uses {
    #[inline]
    pub(crate) fn new() -> Self {
        Self {
            few: [MaybeUninit::uninit(); FEW],
            len: 0,
            many: Vec::new(),
            argument: 0,
            lane: std::ptr::null(),
        }
    }

    /// Names a cown.
    ///
    /// # Panics
    /// If it belongs to another lane than one before it. The handle is given up then.
    ///
    /// # Safety
    /// The caller gives a handle.
    #[inline]
    pub(crate) unsafe fn push(&mut self, cown: NonNull<Header>, mode: Mode) {
        let used = Use::of_argument(cown, mode, self.argument);
        if self.len < FEW {
            self.few[self.len].write(used);
        } else {
            self.push_many(used);
        }
        self.len += 1;
        // SAFETY: a handle keeps it.
        if let Some(lane) = unsafe { cown.as_ref().vtable.lane } {
            // SAFETY: as above.
            self.go_to(unsafe { lane(cown) });
        }
    }

    #[cold]
    fn push_many(&mut self, used: Use) {
        if self.many.is_empty() {
            // SAFETY: all of these have been written.
            self.many.extend(self.few.iter().map(|few| unsafe { few.assume_init() }));
        }
        self.many.push(used);
    }

    #[cold]
    fn go_to(&mut self, lane: *const lane::Shared) {
        assert!(
            self.lane.is_null() || self.lane == lane,
            "the cowns of a behaviour belong to two lanes"
        );
        self.lane = lane;
    }

    /// What is named from here on is part of the caller's next argument.
    #[inline]
    pub(crate) fn next_argument(&mut self) {
        self.argument += 1;
    }

    /// The lane on which a behaviour over these is to run, or null.
    #[inline]
    pub(crate) fn lane(&self) -> *const lane::Shared {
        self.lane
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[Use] {
        if self.len > FEW {
            return &self.many;
        }
        // SAFETY: that many have been written.
        unsafe { std::slice::from_raw_parts(self.few.as_ptr().cast(), self.len) }
    }

    /// Gives the handles to the caller.
    #[inline]
    pub(crate) fn give(&mut self) {
        self.len = 0;
        self.many.clear();
    }
}

impl Drop for Uses {
    #[inline]
    fn drop(&mut self) {
        for index in 0..self.len {
            // SAFETY: the handles are ours.
            unsafe { Header::give_up(self.as_slice()[index].cown) };
        }
    }
}

/// Cowns in the order of their addresses, each once. The mode is that of a writer, if it is named so anywhere.
pub(crate) struct Distinct {
    few: [MaybeUninit<Use>; FEW],
    /// All of them, if they are more.
    many: Vec<Use>,
    len: usize,
}

impl Distinct {
    #[inline]
    pub(crate) fn new() -> Self {
        Self { few: [MaybeUninit::uninit(); FEW], many: Vec::new(), len: 0 }
    }

    /// The distinct ones of what is named.
    ///
    /// # Panics
    /// If `aliases` are refused, and a cown is named twice, by two arguments and not by readers alone.
    #[inline]
    pub(crate) fn of<'a>(&'a mut self, uses: &'a Uses, aliases: Aliases<'_>) -> &'a [Use] {
        // Those that are in order need no copy.
        if uses.as_slice().is_sorted_by(|a, b| a.cown < b.cown) {
            return uses.as_slice();
        }
        self.sort(uses.as_slice());
        self.merge(&aliases);
        self.as_slice()
    }

    fn sort(&mut self, uses: &[Use]) {
        self.len = uses.len();
        if uses.len() > FEW {
            self.many = uses.to_vec();
            self.many.sort_by_key(|used| used.cown);
            return;
        }
        for (index, &used) in uses.iter().enumerate() {
            let mut at = index;
            while at > 0 {
                // SAFETY: written by an earlier round.
                let before = unsafe { self.few[at - 1].assume_init() };
                if before.cown <= used.cown {
                    break;
                }
                self.few[at].write(before);
                at -= 1;
            }
            self.few[at].write(used);
        }
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[Use] {
        if !self.many.is_empty() {
            return &self.many[..self.len];
        }
        // SAFETY: that many have been written.
        unsafe { std::slice::from_raw_parts(self.few.as_ptr().cast(), self.len) }
    }

    fn as_mut_slice(&mut self) -> &mut [Use] {
        if !self.many.is_empty() {
            return &mut self.many[..self.len];
        }
        // SAFETY: that many have been written.
        unsafe { std::slice::from_raw_parts_mut(self.few.as_mut_ptr().cast(), self.len) }
    }

    /// Makes one of those that name the same cown.
    fn merge(&mut self, aliases: &Aliases<'_>) {
        let uses = self.as_mut_slice();
        let mut kept = 0;
        for index in 0..uses.len() {
            let used = uses[index];
            if kept > 0 && uses[kept - 1].cown == used.cown {
                let before = &mut uses[kept - 1];
                let both_read = before.tag & used.tag & READ != 0;
                if let Aliases::Refused(caller) = aliases {
                    if !both_read && before.argument() != used.argument() {
                        refuse(before.argument(), used.argument(), caller);
                    }
                }
                if !both_read {
                    before.tag &= !READ;
                }
            } else {
                uses[kept] = used;
                kept += 1;
            }
        }
        self.len = kept;
    }
}

#[cold]
fn refuse(first: u32, second: u32, caller: &Location<'_>) -> ! {
    let (first, second) = (first.min(second) + 1, first.max(second) + 1);
    panic!(
        "arguments {first} and {second} of a behaviour are the same cown, and not both read it ({caller}); \
         `when_any` allows that"
    );
}
