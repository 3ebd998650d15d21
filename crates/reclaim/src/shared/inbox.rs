//! The inbox of an owner: objects that other threads have queued for it.
//!
//! | inbox word | means | set by | cleared by |
//! |---|---|---|---|
//! | null | the owner is there, and nothing is queued | the owner, in `open` and `take` | |
//! | pointer | the owner is there, and these are queued, the last first | a dropper, in `push` | the owner, in `take` and `close` |
//! | [`CLOSED`] | the owner is away or has ended: a dropper merges by itself, under the lock | the owner, in `close` | the owner in `open`, under the lock; or the next thread that takes the node, once the other one's objects are all merged |
//!
//! Each queued object holds a reference to itself: the one that its dropper has given up.

use std::ptr::{self, NonNull};

use pysync_platform::primitive::atomic::{
    AtomicPtr,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use super::header::Header;
use super::references;
use crate::locked::Locked;

const CLOSED: usize = 1;

pub(crate) struct Inbox {
    word: AtomicPtr<Header>,
    /// Held by a dropper that merges while the owner is away, and by an owner that comes back.
    merging: Locked<()>,
}

fn is_closed(word: *mut Header) -> bool {
    word.addr() == CLOSED
}

impl Inbox {
    /// One that is closed: its owner has not come yet.
    pub(super) fn new() -> Self {
        Self { word: AtomicPtr::new(ptr::without_provenance_mut(CLOSED)), merging: Locked::new(()) }
    }

    /// Queues an object for the owner; merges it here and now if the owner is not there.
    ///
    /// # Safety
    /// The inbox is that of the object's owner. The caller has set `QUEUED` in its shared word, and gives up
    /// a reference.
    pub(super) unsafe fn push(&self, object: NonNull<Header>) {
        // Ordering: Acquire pairs with the Release of `close`: the counts of an owner that is away.
        let mut word = self.word.load(Acquire);
        loop {
            if is_closed(word) {
                // SAFETY: by contract.
                if unsafe { self.merge_if_closed(object) } {
                    // SAFETY: the reference that the caller gives up.
                    unsafe { references::release_foreign(object) };
                    return;
                }
                word = self.word.load(Acquire);
                continue;
            }
            // SAFETY: the object is queued once, and this thread is the one that does it.
            unsafe { Header::of(object).link.with_mut(|link| *link = word) };
            // Ordering: Release pairs with the Acquire in `take`: the owner sees the link, and what the
            // dropper did with the object.
            match self.word.compare_exchange(word, object.as_ptr(), Release, Acquire) {
                Ok(_) => return,
                Err(actual) => word = actual,
            }
        }
    }

    /// Merges the counts of an object whose owner is not there; says whether that is so.
    ///
    /// # Safety
    /// The inbox is that of the object's owner, and the caller has a reference.
    pub(super) unsafe fn merge_if_closed(&self, object: NonNull<Header>) -> bool {
        self.merging.with(|()| {
            // Ordering: Acquire, as in `push`; the lock orders it with the merges of other droppers and with
            // the owner's return.
            let is_closed = is_closed(self.word.load(Acquire));
            if is_closed {
                // SAFETY: under the lock the owner does not come back, and no other thread but the owner
                // merges without it.
                unsafe { references::merge(object) };
            }
            is_closed
        })
    }

    /// The owner is there.
    pub(super) fn open(&self) {
        // Ordering: Relaxed. The lock orders the merges of others before, and the pointer says nothing.
        self.merging.with(|()| self.word.store(ptr::null_mut(), Relaxed));
    }

    /// The owner goes, and settles what is queued. It does not act as the owner any more.
    pub(super) fn close(&self) {
        // Ordering: Release pairs with the Acquire in `push`, for the counts of the owner; Acquire, as in
        // `take`.
        let queued = self.word.swap(ptr::without_provenance_mut(CLOSED), AcqRel);
        if !is_closed(queued) {
            // Under the lock: another thread that has a handle may want to merge one of them too.
            // SAFETY: of this inbox, which is closed.
            unsafe { settle(queued, |object| self.merging.with(|()| references::merge(object))) };
        }
    }

    /// The owner looks whether something is queued.
    #[inline]
    pub(super) fn look(&self) {
        // Ordering: Relaxed, a hint; `take` reads it again.
        if !self.word.load(Relaxed).is_null() {
            self.take();
        }
    }

    #[cold]
    fn take(&self) {
        // Ordering: Acquire pairs with the Release of `push`.
        let queued = self.word.swap(ptr::null_mut(), Acquire);
        debug_assert!(!is_closed(queued), "the owner is there");
        // SAFETY: the calling thread is the owner, and there.
        unsafe { settle(queued, |object| references::merge(object)) };
    }

    /// # Safety
    /// The calling thread is the only one in the process.
    pub(super) unsafe fn after_fork(&self) {
        // SAFETY: by contract; the lock is not held across a call of a user's.
        unsafe { self.merging.after_fork() };
    }
}

/// Merges each object of a list by `merge`, and gives up the reference that it holds to itself.
///
/// # Safety
/// They have been queued. `merge` may be called for an object to which the caller has a reference, and is
/// called once for each.
unsafe fn settle(first: *mut Header, merge: impl Fn(NonNull<Header>)) {
    struct Rest<F: Fn(NonNull<Header>)>(*mut Header, F);
    impl<F: Fn(NonNull<Header>)> Rest<F> {
        /// False if there is none.
        fn settle_first(&mut self) -> bool {
            let Some(object) = NonNull::new(self.0) else { return false };
            // SAFETY: queued, so it holds a reference to itself, and its link is ours.
            self.0 = unsafe { Header::of(object) }.link.with(|link| unsafe { *link });
            (self.1)(object);
            // SAFETY: the reference that it holds.
            unsafe { references::release_foreign(object) };
            true
        }
    }
    /// A destructor that panics keeps no other from its turn. Two that panic abort the process.
    impl<F: Fn(NonNull<Header>)> Drop for Rest<F> {
        fn drop(&mut self) {
            while self.settle_first() {}
        }
    }
    let mut rest = Rest(first, merge);
    while rest.settle_first() {}
}
