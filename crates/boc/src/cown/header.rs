//! The head of a cown: all of it but the value.

use std::any::TypeId;
use std::ptr::{self, NonNull};

use pysync_platform::primitive::UnsafeCell;
use pysync_platform::primitive::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

use super::slot::{Grants, Request, Slot};
use super::word::{Mode, State, Word};
use crate::behaviour::OutcomeVtable;
use crate::scheduler::lane;

/// The head of a cown.
#[repr(C)]
pub(crate) struct Header {
    pub(crate) word: Word,
    /// How many handles there are. A behaviour that waits for the cown has one.
    handles: AtomicU32,
    /// The requests that wait, under the lock of the word.
    queue: UnsafeCell<Queue>,
    pub(crate) vtable: &'static Vtable,
}

/// First in, first out.
struct Queue {
    first: *mut Slot,
    /// Meaningless if it is empty.
    last: *mut Slot,
}

pub(crate) struct Vtable {
    /// What type the value is of.
    pub(crate) type_id: fn() -> TypeId,
    /// Drops the value, if there is one, and frees the cown, whose last handle is gone.
    pub(crate) free: unsafe fn(NonNull<Header>),
    /// Whether that runs code of a user's.
    pub(crate) needs_drop: bool,
    /// The lane to which the cown belongs.
    pub(crate) lane: Option<unsafe fn(NonNull<Header>) -> *const lane::Shared>,
    /// The cown is an outcome.
    pub(crate) outcome: Option<OutcomeVtable>,
}

/// More handles than any program has, which leak: `mem::forget` in a loop.
const MOST_HANDLES: u32 = u32::MAX / 2;

impl Header {
    #[inline]
    pub(crate) fn new(vtable: &'static Vtable, word: Word, handles: u32) -> Self {
        let queue = Queue { first: ptr::null_mut(), last: ptr::null_mut() };
        let handles = AtomicU32::new(handles);
        Self { word, handles, queue: UnsafeCell::new(queue), vtable }
    }

    /// One handle more.
    #[inline]
    pub(crate) fn share(&self) {
        // Ordering: Relaxed. The caller's own handle keeps the cown.
        if self.handles.fetch_add(1, Relaxed) > MOST_HANDLES {
            pysync_platform::abort("too many handles of one cown");
        }
    }

    /// One handle less. The last one frees the cown, and a panic in the drop of the value unwinds, with all
    /// else done.
    ///
    /// # Safety
    /// The caller gives up a handle.
    #[inline]
    pub(crate) unsafe fn give_up(this: NonNull<Self>) {
        // SAFETY: by contract; there is no handle any more if it was the last.
        unsafe {
            if Self::leave(this) {
                (this.as_ref().vtable.free)(this);
            }
        }
    }

    /// One handle less; true if it was the last, and the caller is to free the cown. Else it may be gone.
    ///
    /// # Safety
    /// The caller gives up a handle.
    #[inline]
    pub(crate) unsafe fn leave(this: NonNull<Self>) -> bool {
        // SAFETY: the handle keeps it until here.
        let handles = unsafe { &(*this.as_ptr()).handles };
        // Ordering: Release pairs with the Acquire of the last one, which frees what all have used.
        let is_last = handles.fetch_sub(1, Release) == 1;
        if is_last {
            // Ordering: Acquire, of what all the others have released; a fence is hidden from
            // ThreadSanitizer.
            handles.load(Acquire);
        }
        is_last
    }

    /// Adds a slot to the queue.
    ///
    /// # Safety
    /// The caller has the lock of the word, and the slot stays until it is taken off the queue.
    #[inline]
    unsafe fn append(&self, slot: NonNull<Slot>) {
        // SAFETY: under the lock.
        self.queue.with_mut(|queue| unsafe {
            Slot::set_next(slot, ptr::null_mut());
            match NonNull::new((*queue).first) {
                None => (*queue).first = slot.as_ptr(),
                Some(_) => Slot::set_next(NonNull::new_unchecked((*queue).last), slot.as_ptr()),
            }
            (*queue).last = slot.as_ptr();
        });
    }

    /// Admits those at the head of the queue that may be. Returns what becomes of `state`.
    ///
    /// # Safety
    /// The caller has the lock of the word.
    #[inline]
    unsafe fn serve(&self, state: State, grants: &mut Grants) -> State {
        let mut state = state.without_queue();
        // SAFETY: under the lock; a slot on the queue is there.
        self.queue.with_mut(|queue| unsafe {
            while let Some(first) = NonNull::new((*queue).first) {
                let Some(admitted) = state.admit(first.as_ref().mode()) else {
                    state = state.queued();
                    return;
                };
                state = admitted;
                (*queue).first = Slot::next(first);
                let request = first.as_ref().request();
                if Request::admit(request) {
                    grants.push(request);
                }
            }
        });
        state
    }

    /// Takes a slot off the queue, if it is on it.
    ///
    /// # Safety
    /// The caller has the lock of the word.
    unsafe fn remove(&self, slot: NonNull<Slot>) -> bool {
        // SAFETY: under the lock; a slot on the queue is there.
        self.queue.with_mut(|queue| unsafe {
            let mut before: Option<NonNull<Slot>> = None;
            let mut at = (*queue).first;
            while let Some(found) = NonNull::new(at) {
                let next = Slot::next(found);
                if found == slot {
                    match before {
                        None => (*queue).first = next,
                        Some(before) => Slot::set_next(before, next),
                    }
                    if let (true, Some(before)) = (next.is_null(), before) {
                        (*queue).last = before.as_ptr();
                    }
                    return true;
                }
                before = Some(found);
                at = next;
            }
            false
        })
    }

    /// Releases the cown, and admits those who wait for that.
    ///
    /// # Safety
    /// The caller holds the cown in this mode, and keeps a handle.
    #[inline]
    pub(crate) unsafe fn release(&self, mode: Mode, grants: &mut Grants) {
        let Some(state) = self.word.leave_or_lock(mode) else { return };
        // SAFETY: locked.
        let state = unsafe { self.serve(state.leave(mode), grants) };
        self.word.unlock(state);
    }
}

/// The slots of one request, or of several that are to be queued in one step: in the order of their
/// cowns' addresses, and for one cown in the order in which they are to have it.
pub(crate) trait Slots: Copy {
    fn len(self) -> usize;
    /// # Safety
    /// `index` is less than `len`.
    unsafe fn get(self, index: usize) -> NonNull<Slot>;
}

/// Those of one request, which lie side by side.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) first: NonNull<Slot>,
    pub(crate) len: usize,
}

impl Slots for Row {
    #[inline]
    fn len(self) -> usize {
        self.len
    }

    #[inline]
    unsafe fn get(self, index: usize) -> NonNull<Slot> {
        // SAFETY: within the row, by contract.
        unsafe { self.first.add(index) }
    }
}

impl Slots for &[NonNull<Slot>] {
    #[inline]
    fn len(self) -> usize {
        <[_]>::len(self)
    }

    #[inline]
    unsafe fn get(self, index: usize) -> NonNull<Slot> {
        self[index]
    }
}

/// Queues requests for their cowns, all in one step: no other request comes in between, on any of the
/// cowns. `complete` is called for each that is admitted to all its cowns by that.
///
/// The step is two-phase locking. The locks of all cowns are taken in the order of their addresses, so
/// that no two threads wait for each other; no lock is released before the last is taken. From its first
/// unlock on, a request that is not complete may be gone.
///
/// # Safety
/// The slots are ordered as [`Slots`] says, and stay until they are admitted and released. A handle keeps
/// each cown. No other thread can see the requests.
#[inline]
pub(crate) unsafe fn enqueue(slots: impl Slots, mut complete: impl FnMut(NonNull<Request>)) {
    // SAFETY: by contract, for all that follows; the header of a slot is kept by a handle.
    unsafe {
        let slot = |index| slots.get(index).as_ref();
        let header = |index: usize| slot(index).cown.as_ref();
        let mut admit = |index| {
            let request = slot(index).request();
            if request.as_ref().admit_unseen() {
                complete(request);
            }
        };
        // Once the other locks are held, the last cown is the end of the first phase. So if it is free,
        // the exchange that admits the request need not lock it.
        let mut locked = slots.len();
        let Some(last) = locked.checked_sub(1) else { return };
        let is_alone = last == 0 || slot(last - 1).cown != slot(last).cown;
        for index in 0..last {
            if index == 0 || slot(index).cown != slot(index - 1).cown {
                header(index).word.lock();
            }
        }
        if is_alone && header(last).word.admit_or_lock(slot(last).mode()).is_none() {
            admit(last);
            locked = last;
        }
        // What each slot is going to find. A request is told how many it waits for before the first
        // unlock, from which on others may admit it.
        let mut state = None;
        for index in 0..locked {
            if index == 0 || slot(index).cown != slot(index - 1).cown {
                state = None;
            }
            let before = state.unwrap_or_else(|| header(index).word.locked_state());
            let after = before.admit(slot(index).mode());
            if after.is_some() {
                admit(index);
            }
            state = Some(after.unwrap_or(before.queued()));
        }
        let mut state = None;
        for index in 0..locked {
            let cown = slot(index).cown;
            let before: State = state.unwrap_or_else(|| cown.as_ref().word.locked_state());
            let after = before.admit(slot(index).mode()).unwrap_or_else(|| {
                cown.as_ref().append(slots.get(index));
                before.queued()
            });
            // The next slot is there still: its cown is locked.
            if index + 1 < locked && slot(index + 1).cown == cown {
                state = Some(after);
            } else {
                state = None;
                cown.as_ref().word.unlock(after);
            }
        }
    }
}

/// Gives up a request: true if it holds none of its cowns, and waits for none. False if it has been
/// admitted to all, which its waiter is told or has been.
///
/// # Safety
/// The request has been queued, and is a [`Blocked`](super::slot::Blocked) one's.
pub(crate) unsafe fn withdraw(slots: Row, grants: &mut Grants) -> bool {
    // SAFETY: by contract.
    unsafe {
        let slot = |index| slots.get(index);
        let header = |index| slot(index).as_ref().cown.as_ref();
        // With all locks held, no admission is under way.
        for index in 0..slots.len {
            header(index).word.lock();
        }
        let is_complete = slot(0).as_ref().request().as_ref().is_complete();
        for index in 0..slots.len {
            let header = header(index);
            let mut state = header.word.locked_state();
            if !is_complete {
                if !header.remove(slot(index)) {
                    state = state.leave(slot(index).as_ref().mode());
                }
                // Those behind it may be readers, which only this one had wait.
                state = header.serve(state, grants);
            }
            header.word.unlock(state);
        }
        !is_complete
    }
}
