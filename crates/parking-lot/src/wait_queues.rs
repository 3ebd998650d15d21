//! The waiters of one bucket: a queue for each address, first in, first out.
//!
//! Deviation D12: C has one list for all addresses of the bucket, and walks past the strangers
//! in it. Here the first waiters of all addresses form a digital search tree: at the depth `d`
//! bit `d` of the mixed address says whether to go left or right, and any node may hold any
//! address that leads to it. Nothing is ever rotated, and no path is longer than an address has
//! bits. The other waiters for an address hang from its first one.

use std::ptr;

use pysync_platform::Parker;
use pysync_platform::primitive::UnsafeCell;
use pysync_platform::primitive::plain::{AtomicU32, AtomicUsize, Ordering};

use crate::{Key, fork};

/// A thread that is parked or is about to be, on its own stack.
///
/// CPython: Python/parking_lot.c:L23 wait_entry
pub(crate) struct WaitEntry {
    // L24: written by the parking thread before it queues the entry, fixed from then on.
    pub(crate) park_arg: *mut (),
    // L25: the waiter writes it before it queues the entry. While the entry is queued, only a
    // thread that holds the locks of both buckets changes it, the old one's and the new one's.
    // Not a model's atomic: the locks order all accesses but the first look of a waiter that
    // gives up, which looks again under the lock.
    key: AtomicUsize,
    // The number of the fork since which the entry has been on a queue. The waiter's own.
    generation: AtomicU32,
    // L26: woken once, by the thread that takes the entry off the queue.
    pub(crate) parker: Parker,
    // L27-L28: belongs to the holder of the bucket lock.
    node: UnsafeCell<Node>,
}

/// What a parked thread takes, on its own stack.
#[doc(hidden)]
pub const WAITER_BYTES: usize = size_of::<WaitEntry>();

struct Node {
    /// The queue of the key.
    prev: *const WaitEntry,
    next: *const WaitEntry,
    /// Where the queue ends and what grows below it in the tree. Only the first entry of a queue
    /// knows these.
    last: *const WaitEntry,
    children: [*const WaitEntry; 2],
    /// A waker has taken the entry off its queue, and owes it one wake.
    is_unparking: bool,
    /// The entry has been moved here from the queue of another key.
    is_requeued: bool,
}

impl Node {
    const fn new() -> Self {
        Self {
            prev: ptr::null(),
            next: ptr::null(),
            last: ptr::null(),
            children: [ptr::null(); 2],
            is_unparking: false,
            is_requeued: false,
        }
    }
}

impl WaitEntry {
    /// CPython: Python/parking_lot.c:L307 _PyParkingLot_Park
    pub(crate) fn new(key: Key, park_arg: *mut ()) -> Self {
        // L310-L314, L323: C sets its semaphore up only when it is going to be used.
        Self {
            park_arg,
            key: AtomicUsize::new(key.addr()),
            generation: AtomicU32::new(fork::generation()),
            parker: Parker::new(),
            node: UnsafeCell::new(Node::new()),
        }
    }

    /// Makes the entry ready to be queued, for `key`.
    pub(crate) fn prepare(&self, key: Key) {
        // Ordering: Relaxed, here and below; the bucket lock orders them.
        self.key.store(key.addr(), Ordering::Relaxed);
        self.generation.store(fork::generation(), Ordering::Relaxed);
        // SAFETY: on no queue, so the waiter's alone.
        self.node.with_mut(|node| unsafe { *node = Node::new() });
    }

    /// The key on whose queue the entry is, if the lock of its bucket is held; otherwise a key on
    /// whose queue it has been.
    pub(crate) fn key(&self) -> Key {
        Key::at(self.key.load(Ordering::Relaxed))
    }

    /// Whether a waker has taken the entry off its queue.
    ///
    /// # Safety
    /// The bucket lock is held.
    pub(crate) unsafe fn is_unparking(&self) -> bool {
        // SAFETY: the lock is held.
        self.node.with(|node| unsafe { (*node).is_unparking })
    }

    /// Whether the entry has been moved to the queue on which it is now.
    ///
    /// # Safety
    /// The bucket lock is held.
    pub(crate) unsafe fn is_requeued(&self) -> bool {
        // SAFETY: the lock is held.
        self.node.with(|node| unsafe { (*node).is_requeued })
    }

    /// Whether the queue that the entry was on is the parent's: this is the child of a fork, made
    /// while the entry was queued.
    pub(crate) fn is_forgotten(&self) -> bool {
        self.generation.load(Ordering::Relaxed) != fork::generation()
    }

    /// Says that the entry is off its queue and woken, and its thread's own again: a model in
    /// which another thread still uses it fails.
    #[inline(always)]
    pub(crate) fn retire(&self) {
        #[cfg(pysync_loom)]
        self.node.with_mut(|_| ());
    }

    /// The entry behind `this` in a [`Chain`].
    ///
    /// # Safety
    /// `this` is in a chain and has not been woken.
    pub(crate) unsafe fn next_in_chain(this: *const Self) -> *const Self {
        // SAFETY: alive until woken, and off the queue, so that no other thread writes its node.
        unsafe { get(this, |node| node.next) }
    }
}

/// Entries that are off their queue, linked in their order by `next` and `prev`.
pub(crate) struct Chain {
    pub(crate) first: *const WaitEntry,
    pub(crate) last: *const WaitEntry,
}

impl Chain {
    pub(crate) const EMPTY: Self = Self { first: ptr::null(), last: ptr::null() };

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_null()
    }

    /// Adds `entry` at the end.
    ///
    /// # Safety
    /// `entry` is valid, off every queue and chain, and the caller's to link.
    pub(crate) unsafe fn push(&mut self, entry: *const WaitEntry) {
        let last = self.last;
        // SAFETY: by contract, and what is in the chain is valid.
        unsafe {
            set(entry, |node| (node.prev, node.next) = (last, ptr::null()));
            if last.is_null() {
                self.first = entry;
            } else {
                set(last, |node| node.next = entry);
            }
        }
        self.last = entry;
    }

    /// Adds another chain at the end.
    ///
    /// # Safety
    /// As for [`push`](Self::push).
    pub(crate) unsafe fn push_all(&mut self, chain: Chain) {
        // SAFETY: by contract.
        unsafe {
            // The links behind the first are as they should be.
            let second = WaitEntry::next_in_chain(chain.first);
            self.push(chain.first);
            if !second.is_null() {
                set(chain.first, |node| node.next = second);
                self.last = chain.last;
            }
        }
    }

    /// Marks `entry` as about to be woken. The caller owes it one wake from now on.
    ///
    /// # Safety
    /// `entry` is valid, off its queue, and the lock of its bucket is held.
    pub(crate) unsafe fn mark_unparking(entry: *const WaitEntry) {
        // SAFETY: by contract.
        unsafe { set(entry, |node| node.is_unparking = true) };
    }

    /// Marks `entry` as moved to the queue of `key`.
    ///
    /// # Safety
    /// `entry` is valid and off its queue, and the locks of the buckets of its key and of `key` are
    /// held.
    pub(crate) unsafe fn mark_requeued(entry: *const WaitEntry, key: Key) {
        // Ordering: Relaxed; the waiter that gives up reads it again under the lock.
        // SAFETY: by contract.
        unsafe {
            (*entry).key.store(key.addr(), Ordering::Relaxed);
            set(entry, |node| node.is_requeued = true);
        }
    }
}

/// # Safety
/// `entry` is valid, and the bucket lock is held or the entry is the caller's alone.
unsafe fn get<T>(entry: *const WaitEntry, f: impl FnOnce(&Node) -> T) -> T {
    // SAFETY: by contract.
    unsafe { (*entry).node.with(|node| f(&*node)) }
}

/// # Safety
/// As for [`get`].
unsafe fn set(entry: *const WaitEntry, f: impl FnOnce(&mut Node)) {
    // SAFETY: by contract.
    unsafe { (*entry).node.with_mut(|node| f(&mut *node)) };
}

/// Queues of entries that live on their threads' stacks. Every method relies on the bucket lock
/// being held, and on queued entries staying where they are.
///
/// A signal handler may fork in the middle of any of them, and in the child find the queues emptied
/// and return. The child aborts as soon as the bucket is to be unlocked (`BucketGuard`), and must get
/// that far: the entries of the threads that are gone are still in memory, but the root may be null
/// where it was not a moment before. So each method looks at what it has got from there.
pub(crate) struct WaitQueues {
    root: *const WaitEntry,
}

// SAFETY: the entries behind the pointers are only touched under the bucket lock that also
// guards the queues.
unsafe impl Send for WaitQueues {}

/// Where in the tree a queue is or would be: a side of its parent, or at the root if that is null.
#[derive(Clone, Copy)]
struct Place {
    parent: *const WaitEntry,
    side: usize,
}

impl Place {
    const ROOT: Self = Self { parent: ptr::null(), side: 0 };
}

impl WaitQueues {
    pub(crate) const fn new() -> Self {
        Self { root: ptr::null() }
    }

    /// Queues `entry` as the last for its key.
    ///
    /// CPython: Python/parking_lot.c:L252 enqueue
    ///
    /// # Safety
    /// `entry` is valid, on no queue, and stays in place until it is taken off this one.
    pub(crate) unsafe fn push_back(&mut self, entry: *const WaitEntry) {
        // L254-L255: at the end of the queue of its key; no one asks for the sum of all.
        // SAFETY: by contract; its node is as `Node::new` has it.
        unsafe { self.append(Chain { first: entry, last: entry }, (*entry).key()) };
    }

    /// Queues all of a chain behind those that are queued for `key`, in the order of the chain.
    ///
    /// # Safety
    /// The entries are valid, on no queue, have `key`, and stay in place until they are taken off.
    pub(crate) unsafe fn append(&mut self, chain: Chain, key: Key) {
        let Chain { first: entry, last: new_last } = chain;
        if entry.is_null() {
            return;
        }
        // SAFETY: the entries are valid, and so are the first and the last of a queue.
        unsafe {
            let place = self.find(key);
            let first = self.get(place);
            if first.is_null() {
                set(entry, |node| {
                    node.prev = ptr::null();
                    node.last = new_last;
                    node.children = [ptr::null(); 2];
                });
                self.set(place, entry);
            } else {
                let last = get(first, |node| node.last);
                set(last, |node| node.next = entry);
                set(entry, |node| node.prev = last);
                set(first, |node| node.last = new_last);
            }
        }
    }

    /// Queues `entry` as the first for its key.
    ///
    /// # Safety
    /// As for [`push_back`](Self::push_back).
    pub(crate) unsafe fn push_front(&mut self, entry: *const WaitEntry) {
        // SAFETY: `entry` is valid, and so is the first of a queue.
        unsafe {
            let place = self.find((*entry).key());
            let second = self.get(place);
            if second.is_null() {
                return self.push_back(entry);
            }
            // It takes over what the first one knew.
            let (last, children) = get(second, |node| (node.last, node.children));
            set(entry, |node| {
                node.next = second;
                node.last = last;
                node.children = children;
            });
            set(second, |node| node.prev = entry);
            self.set(place, entry);
        }
    }

    /// Takes `entry` off, from wherever in its queue it is.
    ///
    /// # Safety
    /// `entry` is on a queue of this bucket.
    pub(crate) unsafe fn remove(&mut self, entry: *const WaitEntry) {
        // SAFETY: on a queue, so valid, and so are its neighbours.
        unsafe {
            let place = self.find((*entry).key());
            let (prev, next) = get(entry, |node| (node.prev, node.next));
            if prev.is_null() {
                self.remove_first_at(place);
            } else {
                set(prev, |node| node.next = next);
                if next.is_null() {
                    let first = self.get(place);
                    if !first.is_null() {
                        set(first, |first| first.last = prev);
                    }
                } else {
                    set(next, |node| node.prev = prev);
                }
            }
        }
    }

    /// The first entry for `key`; null if there is none.
    pub(crate) fn first(&self, key: Key) -> *const WaitEntry {
        self.get(self.find(key))
    }

    /// Takes off the first entry for `key` and marks it as about to be woken, and says whether
    /// others remain; null if there is none. From then on the caller owes it one wake.
    ///
    /// CPython: Python/parking_lot.c:L259 dequeue
    pub(crate) fn remove_first(&mut self, key: Key) -> (*const WaitEntry, bool) {
        // L262-L266: no waiters for other keys to walk past.
        let place = self.find(key);
        let first = self.get(place);
        // L273: out of order: no thread waits for it.
        if first.is_null() {
            return (first, false);
        }
        // L267-L270: first come, first served.
        // SAFETY: it is the first of the queue at `place`.
        let has_more = unsafe { self.remove_first_at(place) };
        // SAFETY: off its queue but not yet woken, so valid.
        unsafe { Chain::mark_unparking(first) };
        (first, has_more)
    }

    /// Takes off all entries for `key`, keeping their order, and marks them as about to be woken.
    /// From then on the caller owes each of them one wake.
    ///
    /// CPython: Python/parking_lot.c:L277 dequeue_all
    pub(crate) fn remove_all(&mut self, key: Key) -> Chain {
        // L280-L281, L285-L286: they are a list of their own already.
        let chain = self.take_all(key);
        // L282-L284: all of them.
        let mut entry = chain.first;
        while !entry.is_null() {
            // L287-L288: counted nowhere, but marked.
            // SAFETY: off the queue but not yet woken, so valid.
            unsafe {
                Chain::mark_unparking(entry);
                entry = WaitEntry::next_in_chain(entry);
            }
        }
        chain
    }

    /// Takes off all entries for `key`, keeping their order. The caller wakes each, having marked
    /// it, or queues it again, before it gives the bucket lock up.
    pub(crate) fn take_all(&mut self, key: Key) -> Chain {
        let place = self.find(key);
        let first = self.get(place);
        if first.is_null() {
            return Chain::EMPTY;
        }
        // SAFETY: it is the first of the queue at `place`.
        unsafe {
            self.prune(place);
            Chain { first, last: get(first, |node| node.last) }
        }
    }

    /// Takes off the first entry of the queue at `place`; says whether others remain.
    ///
    /// # Safety
    /// There is a queue.
    unsafe fn remove_first_at(&mut self, place: Place) -> bool {
        // SAFETY: queued entries are valid.
        unsafe {
            let first = self.get(place);
            if first.is_null() {
                return false;
            }
            let (second, last, children) = get(first, |node| (node.next, node.last, node.children));
            if second.is_null() {
                self.prune(place);
                return false;
            }
            // It takes over what the first one knew.
            set(second, |node| {
                node.prev = ptr::null();
                node.last = last;
                node.children = children;
            });
            self.set(place, second);
            true
        }
    }

    /// Takes the queue at `place` out of the tree. Any leaf below may stand in for it.
    ///
    /// # Safety
    /// There is a queue.
    unsafe fn prune(&mut self, place: Place) {
        let pruned = self.get(place);
        if pruned.is_null() {
            return;
        }
        let (mut leaf, mut leaf_place) = (pruned, place);
        // SAFETY: queued entries are valid.
        unsafe {
            while let Some(side) = get(leaf, |node| node.children.iter().position(|c| !c.is_null()))
            {
                leaf_place = Place { parent: leaf, side };
                leaf = self.get(leaf_place);
            }
            self.set(leaf_place, ptr::null());
            if leaf != pruned {
                // Read last, since the leaf may have been a child of it.
                let children = get(pruned, |node| node.children);
                set(leaf, |node| node.children = children);
                self.set(place, leaf);
            }
        }
    }

    /// Where the queue of `key` is, or where to put it.
    fn find(&self, key: Key) -> Place {
        let mut place = Place::ROOT;
        // 2⁶⁴ divided by the golden ratio. It spreads neighbours evenly, and is odd, so that no two
        // addresses take the same path to the end.
        let mut path = key.addr().wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as usize);
        loop {
            let entry = self.get(place);
            // SAFETY: queued entries are valid.
            if entry.is_null() || unsafe { (*entry).key() } == key {
                return place;
            }
            place = Place { parent: entry, side: path >> (usize::BITS - 1) };
            path <<= 1;
        }
    }

    fn get(&self, place: Place) -> *const WaitEntry {
        if place.parent.is_null() {
            self.root
        } else {
            // SAFETY: the parent is queued, so valid.
            unsafe { get(place.parent, |node| node.children[place.side]) }
        }
    }

    fn set(&mut self, place: Place, entry: *const WaitEntry) {
        if place.parent.is_null() {
            self.root = entry;
        } else {
            // SAFETY: as above.
            unsafe { set(place.parent, |node| node.children[place.side] = entry) };
        }
    }
}

#[cfg(all(test, not(any(pysync_loom, pysync_shuttle))))]
mod tests;
