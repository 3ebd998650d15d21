//! The waiters of one bucket: a queue for each address, first in, first out.
//!
//! Deviation D12: C has one list for all addresses of the bucket, and walks past the strangers
//! in it. Here the first waiters of all addresses form a digital search tree: at the depth `d`
//! bit `d` of the mixed address says whether to go left or right, and any node may hold any
//! address that leads to it. Nothing is ever rotated, and no path is longer than an address has
//! bits. Those who wait for the same address hang from its first waiter.

use std::ptr;

use crate::fork;
use pysync_platform::Parker;
use pysync_platform::primitive::UnsafeCell;

/// A parked thread, on its own stack.
///
/// CPython: Python/parking_lot.c:L23 wait_entry
pub(crate) struct WaitEntry {
    // L24-L25: written by the parking thread before it queues itself, fixed from then on.
    pub(crate) park_arg: *mut (),
    addr: usize,
    generation: u32,
    // L26: woken once, by the thread that takes the entry off the queue.
    pub(crate) parker: Parker,
    // L27-L28: belongs to whoever holds the bucket lock.
    node: UnsafeCell<Node>,
}

/// What a parked thread takes, on its own stack.
#[doc(hidden)]
pub const WAITER_BYTES: usize = size_of::<WaitEntry>();

struct Node {
    /// The queue of the address.
    prev: *const WaitEntry,
    next: *const WaitEntry,
    /// Where the queue ends and what grows below it in the tree; only the first entry of a queue
    /// knows these.
    last: *const WaitEntry,
    children: [*const WaitEntry; 2],
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
            generation: fork::generation(),
            parker: Parker::new(),
            node: UnsafeCell::new(Node {
                prev: ptr::null(),
                next: ptr::null(),
                last: ptr::null(),
                children: [ptr::null(); 2],
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

    /// Whether the queue that the entry was on is the parent's: this is the child of a fork, made
    /// while its thread was parked.
    pub(crate) fn is_forgotten(&self) -> bool {
        self.generation != fork::generation()
    }

    /// Says that the entry is off its queue and woken, and its thread's own again: a model in
    /// which somebody still uses it fails.
    #[cfg(pysync_loom)]
    pub(crate) fn retire(&self) {
        self.node.with_mut(|_| ());
    }

    /// The entry behind `this` in the chain of [`WaitQueues::remove_all`].
    ///
    /// # Safety
    /// `this` is in such a chain and has not been woken.
    pub(crate) unsafe fn next_unparked(this: *const Self) -> *const Self {
        // SAFETY: alive until woken, and off the queue, so nobody writes its node.
        unsafe { get(this, |node| node.next) }
    }

    /// The last entry of a chain whose first is `this`.
    ///
    /// # Safety
    /// As for [`next_unparked`](Self::next_unparked).
    pub(crate) unsafe fn last_unparked(this: *const Self) -> *const Self {
        // SAFETY: as above.
        unsafe { get(this, |node| node.last) }
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

    /// CPython: Python/parking_lot.c:L252 enqueue
    ///
    /// # Safety
    /// `entry` is valid, on no queue, and stays in place until it is taken off this one.
    pub(crate) unsafe fn push_back(&mut self, entry: *const WaitEntry) {
        // L254-L255: at the end of the queue of its address; nobody asks for the sum of all.
        // SAFETY: `entry` is valid, and so are the first and the last of a queue.
        unsafe {
            let place = self.find((*entry).addr);
            let first = self.get(place);
            if first.is_null() {
                set(entry, |node| node.last = entry);
                self.set(place, entry);
            } else {
                let last = get(first, |node| node.last);
                set(last, |node| node.next = entry);
                set(entry, |node| node.prev = last);
                set(first, |node| node.last = entry);
            }
        }
    }

    /// Takes `entry` off, from wherever in its queue it is.
    ///
    /// # Safety
    /// `entry` is on a queue of this bucket.
    pub(crate) unsafe fn remove(&mut self, entry: *const WaitEntry) {
        // SAFETY: on a queue, so valid, and so are its neighbours.
        unsafe {
            let place = self.find((*entry).addr);
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

    /// Takes off the first entry for `addr` and marks it as about to be woken, and says whether
    /// others remain; null if there is none. From then on the caller owes it one wake.
    ///
    /// CPython: Python/parking_lot.c:L259 dequeue
    pub(crate) fn remove_first(&mut self, addr: usize) -> (*const WaitEntry, bool) {
        // L262-L266: no strangers to walk past.
        let place = self.find(addr);
        let first = self.get(place);
        // L273: out of order: nobody waits for it.
        if first.is_null() {
            return (first, false);
        }
        // L267-L270: first come, first served.
        // SAFETY: it is the first of the queue at `place`.
        let has_more = unsafe { self.remove_first_at(place) };
        // SAFETY: off its queue but not yet woken, so valid.
        unsafe { set(first, |node| node.is_unparking = true) };
        (first, has_more)
    }

    /// Takes off all entries for `addr`, keeping their order, as a chain to walk with
    /// [`WaitEntry::next_unparked`]. The caller owes each of them one wake.
    ///
    /// CPython: Python/parking_lot.c:L277 dequeue_all
    pub(crate) fn remove_all(&mut self, addr: usize) -> *const WaitEntry {
        // L280-L281, L285-L286: they are a list of their own already.
        let place = self.find(addr);
        let first = self.get(place);
        if !first.is_null() {
            // SAFETY: it is the first of the queue at `place`.
            unsafe { self.prune(place) };
        }
        // L282-L284: all of them.
        let mut entry = first;
        while !entry.is_null() {
            // L287-L288: counted nowhere, but marked.
            // SAFETY: off the queue but not yet woken, so valid.
            unsafe {
                set(entry, |node| node.is_unparking = true);
                entry = get(entry, |node| node.next);
            }
        }
        first
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

    /// Where the queue of `addr` is, or where to put it.
    fn find(&self, addr: usize) -> Place {
        let mut place = Place::ROOT;
        // 2⁶⁴ by the golden ratio: it spreads neighbours evenly, and is odd, so that no two
        // addresses take the same path to the end.
        let mut path = addr.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as usize);
        loop {
            let entry = self.get(place);
            // SAFETY: queued entries are valid.
            if entry.is_null() || unsafe { (*entry).addr } == addr {
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The nodes of the tree below `entry`; panics if one of them is where nobody would find it.
    fn count(queues: &WaitQueues, entry: *const WaitEntry) -> usize {
        if entry.is_null() {
            return 0;
        }
        // SAFETY: queued, and nobody else is there.
        let (addr, children) = unsafe { ((*entry).addr, get(entry, |node| node.children)) };
        assert_eq!(queues.get(queues.find(addr)), entry);
        1 + children.into_iter().map(|child| count(queues, child)).sum::<usize>()
    }

    /// What `remove_all` returned, as indices into `entries`.
    fn indices(mut chain: *const WaitEntry, entries: &[WaitEntry]) -> Vec<usize> {
        let mut indices = Vec::new();
        while !chain.is_null() {
            indices.extend(entries.iter().position(|entry| ptr::eq(entry, chain)));
            // SAFETY: nobody has woken it, and nobody else is there.
            chain = unsafe { WaitEntry::next_unparked(chain) };
        }
        indices
    }

    fn is_unparking(entry: &WaitEntry) -> bool {
        // SAFETY: nobody else is there.
        unsafe { entry.is_unparking() }
    }

    proptest! {
        /// Beside one list of all waiters, as C has it. Each entry is queued in its turn; the
        /// numbers then say which step to take, and with which entry or address.
        #[test]
        fn the_queues_are_those_of_one_list(
            addrs in prop::collection::vec(0_usize..24, 1..120),
            steps in prop::collection::vec((0..8, any::<prop::sample::Index>()), 0..240),
            stride in prop::sample::select(vec![1, 257, 4096, 1 << (usize::BITS - 5)]),
        ) {
            let addrs: Vec<_> = addrs.into_iter().map(|addr| addr.wrapping_mul(stride)).collect();
            let entries: Vec<_> =
                addrs.iter().map(|&addr| WaitEntry::new(addr, ptr::null_mut())).collect();
            let mut queues = WaitQueues::new();
            let mut list: Vec<usize> = Vec::new();
            let mut not_yet_queued = 0..entries.len();

            for (step, index) in steps {
                let of = |list: &[usize], addr| -> Vec<usize> {
                    list.iter().copied().filter(|&entry| addrs[entry] == addr).collect()
                };
                let addr = *index.get(&addrs);
                match step {
                    0..4 => if let Some(entry) = not_yet_queued.next() {
                        // SAFETY: the entries outlive the queues, and this one is on none.
                        unsafe { queues.push_back(&raw const entries[entry]) };
                        list.push(entry);
                    },
                    4 | 5 => {
                        let (first, has_more) = queues.remove_first(addr);
                        let expected = of(&list, addr);
                        let first = indices(first, &entries).first().copied();
                        prop_assert_eq!(first, expected.first().copied());
                        prop_assert_eq!(has_more, expected.len() > 1);
                        list.retain(|&entry| Some(entry) != first);
                    }
                    6 => if !list.is_empty() {
                        let entry = list.remove(index.index(list.len()));
                        // SAFETY: queued.
                        unsafe { queues.remove(&raw const entries[entry]) };
                        prop_assert!(!is_unparking(&entries[entry]));
                    },
                    _ => {
                        let first = queues.remove_all(addr);
                        let all = indices(first, &entries);
                        prop_assert_eq!(&all, &of(&list, addr));
                        if let Some(&last) = all.last() {
                            // SAFETY: as above.
                            let chained = unsafe { WaitEntry::last_unparked(first) };
                            prop_assert_eq!(chained, &raw const entries[last]);
                        }
                        prop_assert!(all.iter().all(|&entry| is_unparking(&entries[entry])));
                        list.retain(|&entry| addrs[entry] != addr);
                    }
                }
                let mut left: Vec<_> = list.iter().map(|&entry| addrs[entry]).collect();
                left.sort_unstable();
                left.dedup();
                prop_assert_eq!(count(&queues, queues.root), left.len());
            }
        }
    }

    #[test]
    fn a_waiter_takes_less_than_two_hundred_bytes() {
        const { assert!(WAITER_BYTES < 200) };
    }

    #[test]
    fn neighbours_of_one_bucket_make_a_tree_of_twice_the_least_depth_at_most() {
        fn depth(entry: *const WaitEntry) -> usize {
            if entry.is_null() {
                return 0;
            }
            // SAFETY: queued, and nobody else is there.
            let children = unsafe { get(entry, |node| node.children) };
            1 + children.map(depth).into_iter().max().unwrap_or(0)
        }
        for stride in [257, 257 * 8, 257 * 64, 257 * 4096] {
            let entries: Vec<_> =
                (0..1023).map(|i| WaitEntry::new(i * stride, ptr::null_mut())).collect();
            let mut queues = WaitQueues::new();
            for entry in &entries {
                // SAFETY: the entries outlive the queues.
                unsafe { queues.push_back(entry) };
            }
            assert!(depth(queues.root) <= 20, "{stride}: {}", depth(queues.root));
        }
    }
}
