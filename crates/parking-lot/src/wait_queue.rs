//! The waiters of one bucket, first in, first out; the `llist` of the C.

use std::ptr;

use crate::primitive::UnsafeCell;
use crate::semaphore::Semaphore;

/// A parked thread, on its own stack.
///
/// CPython: Python/parking_lot.c:L23 wait_entry
pub(crate) struct WaitEntry {
    // L24-L25: written by the parking thread before it queues itself, fixed from then on.
    pub(crate) park_arg: *mut (),
    addr: usize,
    // L26: woken once, by the thread that takes the entry off the queue.
    pub(crate) semaphore: Semaphore,
    // L27-L28: belongs to whoever holds the bucket lock.
    node: UnsafeCell<Node>,
}

struct Node {
    prev: *const WaitEntry,
    next: *const WaitEntry,
    /// Somebody has taken the entry off and is going to wake it.
    is_unparking: bool,
}

impl WaitEntry {
    /// CPython: Python/parking_lot.c:L307 _PyParkingLot_Park
    pub(crate) fn new(addr: usize, park_arg: *mut ()) -> Self {
        // L310-L314, L323: C sets its semaphore up only when it is going to be used.
        Self {
            park_arg,
            addr,
            semaphore: Semaphore::new(),
            node: UnsafeCell::new(Node {
                prev: ptr::null(),
                next: ptr::null(),
                is_unparking: false,
            }),
        }
    }

    /// # Safety
    /// The bucket lock is held.
    pub(crate) unsafe fn is_unparking(&self) -> bool {
        // SAFETY: the lock is held.
        self.node.with(|node| unsafe { (*node).is_unparking })
    }

    /// Says that the entry is off its queue and woken, and its thread's own again: a model in
    /// which somebody still uses it fails.
    #[cfg(loom)]
    pub(crate) fn retire(&self) {
        self.node.with_mut(|_| ());
    }

    /// The entry after `this` in the chain of [`WaitQueue::remove_all`].
    ///
    /// # Safety
    /// `this` is in such a chain and has not been woken.
    pub(crate) unsafe fn next_unparked(this: *const Self) -> *const Self {
        // SAFETY: alive until woken, and off the queue, so nobody writes its node.
        unsafe { (*this).node.with(|node| (*node).next) }
    }
}

/// A queue of entries that live on their threads' stacks. Every method that takes or returns an
/// entry relies on the bucket lock being held and on queued entries staying where they are.
pub(crate) struct WaitQueue {
    head: *const WaitEntry,
    tail: *const WaitEntry,
    len: usize,
}

// SAFETY: the entries behind the pointers are only touched under the bucket lock that also
// guards the queue.
unsafe impl Send for WaitQueue {}

impl WaitQueue {
    pub(crate) const fn new() -> Self {
        Self { head: ptr::null(), tail: ptr::null(), len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// CPython: Python/parking_lot.c:L252 enqueue
    ///
    /// # Safety
    /// `entry` is valid, on no queue, and stays in place until it is taken off this one.
    pub(crate) unsafe fn push_back(&mut self, entry: *const WaitEntry) {
        // L254: at the tail, so that each address is served in order.
        // SAFETY: valid, and ours until it is linked.
        unsafe {
            (*entry).node.with_mut(|node| {
                (*node).prev = self.tail;
                (*node).next = ptr::null();
            });
        }
        if self.tail.is_null() {
            self.head = entry;
        } else {
            // SAFETY: the tail is queued, so valid.
            unsafe { (*self.tail).node.with_mut(|node| (*node).next = entry) };
        }
        self.tail = entry;
        // L255: counted here, so that nobody walks the queue to see if it is empty.
        self.len += 1;
    }

    /// Takes `entry` off, from wherever in the queue it is.
    ///
    /// # Safety
    /// `entry` is on this queue.
    pub(crate) unsafe fn remove(&mut self, entry: *const WaitEntry) {
        // SAFETY: on the queue, so valid, and so are its neighbours.
        let (prev, next) = unsafe { (*entry).node.with(|node| ((*node).prev, (*node).next)) };
        if prev.is_null() {
            self.head = next;
        } else {
            // SAFETY: as above.
            unsafe { (*prev).node.with_mut(|node| (*node).next = next) };
        }
        if next.is_null() {
            self.tail = prev;
        } else {
            // SAFETY: as above.
            unsafe { (*next).node.with_mut(|node| (*node).prev = prev) };
        }
        self.len -= 1;
    }

    /// Takes off the first entry for `addr` and marks it as about to be woken; null if there is
    /// none. From then on the caller owes it one wake.
    ///
    /// CPython: Python/parking_lot.c:L259 dequeue
    pub(crate) fn remove_first(&mut self, addr: usize) -> *const WaitEntry {
        // L262-L266: the queue mixes all addresses of the bucket.
        let mut entry = self.head;
        while !entry.is_null() {
            // SAFETY: queued, so valid.
            let (found, next) =
                unsafe { ((*entry).addr == addr, (*entry).node.with(|node| (*node).next)) };
            if found {
                // L267-L270: first come, first served.
                // SAFETY: it is on this queue.
                unsafe { self.take(entry) };
                return entry;
            }
            entry = next;
        }
        // L273: nobody waits for it.
        ptr::null()
    }

    /// Takes off all entries for `addr`, keeping their order, as a chain to walk with
    /// [`WaitEntry::next_unparked`]. The caller owes each of them one wake.
    ///
    /// CPython: Python/parking_lot.c:L277 dequeue_all
    pub(crate) fn remove_all(&mut self, addr: usize) -> *const WaitEntry {
        // L280-L281: collected in a queue of their own.
        let mut chain = WaitQueue::new();
        let mut entry = self.head;
        // L282-L284: the next one is read first, since taking an entry off reuses its links.
        while !entry.is_null() {
            // SAFETY: queued, so valid.
            let (found, next) =
                unsafe { ((*entry).addr == addr, (*entry).node.with(|node| (*node).next)) };
            if found {
                // L285-L288: from this queue to that one.
                // SAFETY: on this queue, then on none.
                unsafe {
                    self.take(entry);
                    chain.push_back(entry);
                }
            }
            entry = next;
        }
        chain.head
    }

    /// # Safety
    /// `entry` is on this queue.
    unsafe fn take(&mut self, entry: *const WaitEntry) {
        // SAFETY: by contract.
        unsafe {
            self.remove(entry);
            (*entry).node.with_mut(|node| (*node).is_unparking = true);
        }
    }
}
